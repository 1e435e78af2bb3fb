"""Recurrences: `scan` runs a step over time, with the best executor that can express it.

`EXECUTORS` is the seam: the first that does not refuse a call runs it, best first, and the last
takes everything. `call.py` holds a call as data, `body.py` the recorded step.
"""

from dataclasses import replace
from typing import Any, Protocol

from engine.scan.body import Body, record_body
from engine.scan.c_core import CCore
from engine.scan.call import ScanCall, Step, prepare
from engine.scan.checkpointed import segment_length
from engine.scan.explicit import Explicit
from engine.scan.fused import Fused
from engine.scan.numpy_plan import NumpyCore
from engine.tensor import Tensor

__all__ = ["EXECUTORS", "Body", "Executor", "explain_scan", "scan", "scan_body"]


class Executor(Protocol):
    """One way to run a recurrence."""

    name: str

    def refusal(self, call: ScanCall) -> str:
        """Why this call cannot be run here; empty: it can."""
        ...

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """The final states, flat, and the nest of all outputs (T, ...)."""
        ...


EXECUTORS: list[Executor] = [Fused(CCore()), Fused(NumpyCore()), Explicit()]


def scan(
    step: Step,
    init: Any,
    xs: Any,
    *,
    length: int | None = None,
    reverse: bool = False,
    lengths: Any = None,
    unroll: bool = False,
    checkpoint: bool | int = False,
) -> tuple[Any, Any]:
    """Run ``step(state, x) -> (state, y)`` over the leading axis of `xs`, as `jax.lax.scan` does.

    `init` and `xs` are any nesting of tensors; xs (T, B, ...), or None with `length`. `lengths`
    (B,) ends row b after ``lengths[b]`` steps: its state is kept from there on and its outputs
    are zero. `reverse` runs from the last step to the first. `unroll` asks for the explicit graph.
    `checkpoint` keeps only the states between segments, of sqrt(T) steps or of as many as it says,
    and computes the rest again on the way back. The step is recorded once and must be the same at
    every step; under `unroll` or `engine.explicit()` it is called at each.
    Returns the final state and ys (T, ...). Raises ValueError where lengths or shapes disagree.

    >>> import engine
    >>> engine.scan(lambda h, x: (h + x, h), engine.zeros(1), engine.ones((3, 1)))[0]
    tensor([3.], dtype=float32)
    """
    call = prepare(step, init, xs, length, reverse, lengths, unroll)
    if checkpoint:
        segment_length(checkpoint, call.length)
        call = replace(call, checkpoint=checkpoint)
    executor = next(one for one in EXECUTORS if not one.refusal(call))
    states, ys = executor.run(call)
    return call.init_nest(states), ys


def scan_body(step: Step, init: Any, xs: Any, *, length: int | None = None) -> Body:
    """The body of a recurrence as data: one step, recorded as a graph. Nothing is run over time."""
    return record_body(prepare(step, init, xs, length, False, None, False))


def explain_scan(step: Step, init: Any, xs: Any, **options: Any) -> str:
    """Which executor a call of `scan` with these arguments gets and why, and what it makes of it.

    For a fused executor the step and its derivative are listed value by value, each op as hoisted,
    core with its level, or deferred, and what is stored for the backward pass; for the explicit one
    the body as it was recorded.
    """
    given = {"length": None, "reverse": False, "lengths": None, "unroll": False, **options}
    given.pop("checkpoint", None)
    call = prepare(step, init, xs, **given)
    lines = []
    for executor in EXECUTORS:
        refusal = executor.refusal(call)
        lines.append(f"{executor.name}: {refusal or 'runs it'}")
        if not refusal:
            break
    if isinstance(executor, Fused):
        programs = executor.programs(call)
        for name, program in (("forward", programs.forward), ("backward", programs.backward)):
            lines += [f"{name}: {program.counts()}", program.text()]
        return "\n".join(lines)
    body = record_body(call)
    inside = sum(1 for node in body.graph.nodes if node.inputs)
    recurrent = sum(1 for node in body.recurrent if node.inputs)
    lines.append(f"body: {inside} ops, {recurrent} of them depend on the state")
    return "\n".join([*lines, body.graph.text()])
