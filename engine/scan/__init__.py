"""Recurrences: `scan` runs a step over time, with the best executor that can express it.

In reading order: `call.py` holds a call as data, `padding.py` what becomes of rows without a step,
`body.py` records the step, `program.py` and `reading.py` have it as a program, `rows.py` finds the
rows of the batch in it and `masked.py` leaves some out, `recorded.py` remembers programs by kind,
`storage.py` widens what a device stores in half the width, `derivative.py` makes the derivative of
one, `lifting.py` computes what is outside of its core, `cores.py`, `recurrence.py`, `segments.py`
and `checkpointed.py` run programs, `explicit.py` is the loop, `fused.py` puts recurrences on the
graph, `executors.py` chooses, `repeated.py` runs calls like one before, `explain.py` tells what
runs how, with the `groups.py` of states, `expansion.py` and `unstacking.py` put the steps back for
pictures. `associative.py`, with `combining.py` and `sequential.py`, scans by a function of two
elements. The core of a program is run by `plan/`, with arrays, or compiled: by `c/` on the host, by
`cuda/` on a GPU, with `kernels/` below both; `agreement.py` holds compiled cores against the plan.
"""

from typing import Any

from engine.arguments import public
from engine.backends.arena import arena
from engine.scan.body import Body, record_body
from engine.scan.call import Step, prepare
from engine.scan.executors import EXECUTORS, Executor, executor_of, warn_of_loop
from engine.scan.explain import explain_scan, explained
from engine.scan.repeated import repeated
from engine.stepping import stepping

__all__ = ["EXECUTORS", "Body", "Executor", "explain_scan", "scan", "scan_body"]


@public
def scan(
    step: Step,
    init: Any,
    xs: Any,
    *,
    length: int | None = None,
    reverse: bool = False,
    lengths: Any = None,
    mask: Any = None,
    unroll: bool | None = None,
    checkpoint: bool | int | str | None = None,
) -> tuple[Any, Any]:
    """Run ``step(state, x) -> (state, y)`` over the leading axis of `xs`, as `jax.lax.scan` does.

    `init` and `xs` are any nesting of tensors; xs (T, B, ...), or None with `length`. `lengths`
    (B,) ends row b after ``lengths[b]`` steps, `mask` (T, B) says which rows have which steps: a
    row without a step keeps its state, its output is zero, and nothing that the step computes there
    reaches a value or a gradient. `reverse` runs from the last step to the first. `unroll` asks for
    the explicit graph. `checkpoint` keeps only the states between segments, of sqrt(T) steps, of as
    many as it says, or of so many that a number of bytes such as ``"200MB"`` is enough, and
    computes the rest again on the way back. The step is recorded once and must be the same at
    every step; under `unroll` or `engine.explicit()` it is called at each.
    Returns the final state and ys (T, ...). Raises ValueError where lengths or shapes disagree.

    >>> import engine
    >>> engine.scan(lambda h, x: (h + x, h), engine.zeros(1), engine.ones((3, 1)))[0]
    tensor([3.], dtype=float32)
    """
    plain = lengths is None and mask is None and not unroll and not checkpoint
    if plain and length is None:
        found = repeated(step, init, xs, reverse=reverse, new=True)
        if found is not None:
            return found
    arena.enter()
    call = prepare(step, init, xs, length=length, reverse=reverse, lengths=lengths, mask=mask,
                   unroll=unroll, checkpoint=checkpoint)  # fmt: skip
    executor, refusals = executor_of(call)
    if (told := stepping().explained) is not None:
        told.append(explained(call))
    states, ys = executor.run(call)
    if told is None:  # and the loop has not raised what the recording did
        warn_of_loop(call, executor, refusals)
    return call.init_nest(states), ys


def scan_body(step: Step, init: Any, xs: Any, *, length: int | None = None) -> Body:
    """The body of a recurrence as data: one step, recorded as a graph. Nothing is run over time."""
    return record_body(prepare(step, init, xs, length=length))
