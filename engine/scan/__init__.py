"""Run recurrences: `scan` runs a step over time, with the best executor that can express it.

In reading order: `call.py` holds a call as data, `padding.py` what becomes of rows without a step,
`body.py` records the step, `program.py` and `reading.py` have it as a program, `rows.py` finds the
rows of the batch in it and `masked.py` leaves some out, `purity.py` holds a second record against
it, `recorded.py` remembers programs by kind, `derivative.py` makes the derivative of one,
`time_batched.py` computes all outside of its core and adds up over time, `cores.py`,
`recurrence.py` and `checkpointed.py` run programs, `explicit.py` is the loop, `nodes.py` puts
recurrences on the graph, `affine/` finds what can be run in other ways than step by step,
`executors.py` has the executors and chooses, `repeated.py` runs calls like one before, `explain.py`
tells what runs how, `expansion.py` puts the steps back for pictures, `whole.py` keeps recurrences
as nodes for other formats. `associative.py`, with `combining.py`, scans by a function of two
elements, `mapping.py` maps over a batch. The core of a program is run by `plan/`, with arrays, or
compiled: by `c/` on the host, by `cuda/` on a GPU, with `kernels/` below both.
"""

from dataclasses import replace
from typing import Any

from engine.arguments import public
from engine.backends.arena import arena
from engine.errors import NotRecordableError
from engine.scan.affine.kinds import classified
from engine.scan.body import Body, record_body
from engine.scan.call import Step, prepare
from engine.scan.executors import EXECUTORS, Executor, executor_of, warn_of_loop
from engine.scan.explain import explain_scan, explained
from engine.scan.recorded import read
from engine.scan.repeated import repeated
from engine.scan.whole import whole
from engine.stepping import stepping

__all__ = ["EXECUTORS", "Body", "Executor", "explain_scan", "scan", "scan_body"]


@public
def scan(
    step: Step, init: Any, xs: Any, *, length: int | None = None, reverse: bool = False,
    lengths: Any = None, mask: Any = None, unroll: bool | None = None,
    checkpoint: bool | int | str | None = None, method: str | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Run ``step(state, x) -> (state, y)`` over the leading axis of `xs`, as `jax.lax.scan` does.

    `init` and `xs` are any nesting of tensors; xs (T, B, ...), or None with `length`. `lengths`
    (B,) ends row b after ``lengths[b]`` steps, `mask` (T, B) says which rows have which steps: a
    row without a step keeps its state, its output is zero, and nothing that the step computes there
    reaches a value or a gradient. `reverse` runs from the last step to the first. `unroll` asks for
    the explicit graph. `checkpoint` keeps only the states between segments, of sqrt(T) steps, of as
    many as it says, or of so many that a number of bytes such as ``"200MB"`` is enough, and
    computes the rest again on the way back. The step is recorded and must be the same at every
    step; under `unroll` or `engine.explicit()` it is called at each.
    Returns the final state and ys (T, ...). Raises ValueError where lengths or shapes disagree,
    for a step that is another when it is called again (a counter, a draw of NumPy), and for a
    `method` that does not apply, with the reason.

    >>> engine.scan(lambda h, x: (h + x, h), engine.zeros(1), engine.ones((3, 1)))[0]
    tensor([3.], dtype=float32)
    """
    plain = lengths is None and mask is None and not unroll and not checkpoint and method is None
    if plain and length is None:
        found = repeated(step, init, xs, reverse=reverse, new=True)
        if found is not None:
            return found
    arena.enter()
    call = prepare(step, init, xs, length=length, reverse=reverse, lengths=lengths, mask=mask,
                   unroll=unroll, checkpoint=checkpoint, method=method)  # fmt: skip
    if stepping().whole:
        states, ys = whole(call)
        return call.init_nest(states), ys
    executor, refusals = executor_of(call)
    if (told := stepping().explained) is not None:
        told.append(explained(call))
    states, ys = executor.run(call)
    if told is None:  # and the loop has not raised what the recording did
        warn_of_loop(call, executor, refusals)
    return call.init_nest(states), ys


def scan_body(step: Step, init: Any, xs: Any, *, length: int | None = None) -> Body:
    """Return the body of a recurrence as data: one step, recorded as a graph. Runs no steps.

    Its `groups` are the states that read each other, each after those that it reads, with the kind
    of each: see `engine.scan.affine.kinds`. They are empty where a step is no program.

    >>> body = engine.scan_body(lambda h, x: (0.5 * h + x, h), engine.zeros(2), engine.ones((3, 2)))
    >>> body.groups[0].kind
    'diagonal'
    """
    call = prepare(step, init, xs, length=length)
    body = record_body(call)
    try:
        return replace(body, groups=classified(read(call, body).program))
    except NotRecordableError:
        return body
