"""Recurrences as nodes of the graph: their values are bundles, `output` nodes take their parts.

The derivative of such a node is another one, so every order of derivative runs fused. Above
`recurrence.py` and `explicit.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from engine.apply import apply, asarray
from engine.backward import Detour
from engine.derivatives.multi_output import Bundle
from engine.errors import NotRecordableError
from engine.node import Node, ordinal
from engine.op import Op
from engine.ops.creation import zeros_like
from engine.ops.indexing import Piece
from engine.pytree import flatten
from engine.registry import RECORDING
from engine.scan.explicit import Explicit
from engine.scan.recurrence import Recurrence
from engine.state import current
from engine.stepping import stepping
from engine.tensor import Tensor
from engine.versions import as_read


def on_graph(job: Recurrence, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The results of a recurrence as tensors, on the graph where it keeps what that needs."""
    state = current()
    compute = partial(job.forward, [x.data for x in inputs])
    bundle: Bundle = (
        compute() if state.interpreter is None else state.interpreter.compute(SCAN, compute)
    )
    if not job.keep:
        return [Tensor(part) for part in bundle]
    for x in inputs:
        x.node  # noqa: B018  (a leaf gets its node before the node that it feeds)
        x._used = True
    node = Node(SCAN, tuple(inputs), {"job": job}, (), bundle.dtype, state.scope, ordinal(),
                state.origin)  # fmt: skip
    whole = Tensor(bundle, node, True)
    return [apply(OUTPUT, (whole,), {"number": i}) for i in range(job.public)]


def differentiated(job: Recurrence, g: Sequence[Any], whole: Tensor, inputs: Sequence[Any]) -> Any:
    """The gradients of the inputs of a recurrence as a recurrence on the graph."""
    own = job.derivative(g, saved=False)
    tensors = _Parts(whole)
    carry, sources = job.pulled(own, g, tensors, inputs, zeros_like)
    for number, (_, i) in enumerate(job.histories()):
        sources["state", i] = tensors.part(job.public + number)
    program = own.program
    names = program.inputs
    given = [asarray(sources[source]) for source in names]
    needs = frozenset(source for source, x in zip(names, given, strict=True) if x.requires_grad)
    back = Recurrence(program, job.cores, steps=job.steps, reverse=not job.reverse, needs=needs,
                      keep=True)  # fmt: skip
    parts = on_graph(back, [*carry, *given])
    first, second = len(program.carry), len(program.carry) + len(program.steps)
    return job.results(own, parts[:first], parts[first:second], parts[second:])


class _Parts:
    """The arrays of a bundle as tensors on the graph, each made when it is asked for."""

    def __init__(self, whole: Tensor) -> None:
        self._whole = whole

    def part(self, number: int) -> Tensor:
        """An array by its number."""
        return apply(OUTPUT, (self._whole,), {"number": number})


def _scan_vjp(xp: Any, g: Any, out: Any, *inputs: Any, job: Recurrence) -> Any:
    if xp is not RECORDING:
        return job.backward(g, out, list(inputs))
    if (
        stepping().explicit
        and job.call is not None
        and not any(one is not None for one in g[job.public :])
    ):
        return Detour(partial(_steps, job), g[: job.public])
    if job.opens:
        return Detour(partial(_opened, job), g[: job.public])
    try:
        return differentiated(job, g, out, inputs)
    except NotRecordableError:  # by the rule of an op that works on arrays alone
        if job.call is None:
            raise
        return Detour(partial(_steps, job), g[: job.public])


def _opened(job: Recurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """The outputs by what a recurrence is made of, and an ordinal older than all of its nodes."""
    oldest = ordinal()
    made = job.opened(inputs)
    return on_graph(made, inputs) if isinstance(made, Recurrence) else made, oldest


def _steps(job: Recurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """The outputs with every step on the graph, and an ordinal older than all of its nodes."""
    oldest = ordinal()
    states = len(job.call.init)
    call = replace(job.call, init=list(inputs[:states]),
                   xs=list(inputs[states : states + len(job.call.xs)]))  # fmt: skip
    with as_read(inputs):
        final, ys = Explicit().run(call)
    return [*final, *flatten(ys)[0]], oldest


def _scan_forward(xp: Any, *inputs: Any, job: Recurrence) -> Bundle:
    return job.forward(list(inputs))


def _output_vjp(xp: Any, g: Any, out: Any, bundle: Any, *, number: int) -> list[Any]:
    return [Piece(g, ("output", number), ())]


SCAN = Op("scan", _scan_forward, _scan_vjp)
OUTPUT = Op("output", lambda xp, bundle, *, number: bundle.part(number), _output_vjp)
