"""Put recurrences on the graph as nodes: their values are bundles, `output` nodes take their parts.

The derivative of such a node is another one, so every order of derivative runs fused. Above
`recurrence.py` and `explicit.py`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from engine.apply import apply, asarray
from engine.backward import Expansion
from engine.derivatives.multi_output import MultiOutput
from engine.errors import NotRecordableError
from engine.node import Node, new_id
from engine.op import Op
from engine.ops.creation import zeros_like
from engine.ops.indexing import Piece
from engine.registry import RECORDING
from engine.scan.explicit import run_steps
from engine.scan.recurrence import Recurrence
from engine.state import current
from engine.stepping import stepping
from engine.tensor import Tensor
from engine.versions import as_read


def on_graph(recurrence: Recurrence, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the results of a recurrence as tensors, on the graph where it keeps enough."""
    state = current()
    compute = partial(recurrence.forward, [x.data for x in inputs])
    multi_output: MultiOutput = (
        compute() if state.interpreter is None else state.interpreter.compute(SCAN, compute)
    )
    if not recurrence.keep:
        return [Tensor(part) for part in multi_output]
    for x in inputs:
        x.node  # noqa: B018  (a leaf gets its node before the node that it feeds)
        x._used = True
    node = Node(SCAN, tuple(inputs), {"recurrence": recurrence}, (), multi_output.dtype,
                state.scope, new_id(), state.origin)  # fmt: skip
    whole = Tensor(multi_output, node, True)
    return [apply(OUTPUT, (whole,), {"number": i}) for i in range(recurrence.public)]


def differentiated(
    recurrence: Recurrence, g: Sequence[Any], whole: Tensor, inputs: Sequence[Any]
) -> Any:
    """Return the gradients of the inputs of a recurrence as a recurrence on the graph."""
    own = recurrence.derivative(g, saved=False)

    def part(number: int) -> Tensor:
        return apply(OUTPUT, (whole,), {"number": number})

    carry, sources = recurrence.pulled(own, g, part, inputs, zeros_like)
    for number, (_, i) in enumerate(recurrence.histories()):
        sources["state", i] = part(recurrence.public + number)
    program = own.program
    given = [asarray(sources[source]) for source in program.inputs]
    needs = frozenset(s for s, x in zip(program.inputs, given, strict=True) if x.requires_grad)
    back = Recurrence(program, recurrence.cores, steps=recurrence.steps,
                      reverse=not recurrence.reverse, needs=needs, keep=True)  # fmt: skip
    parts = on_graph(back, [*carry, *given])
    first, second = len(program.carry), len(program.carry) + len(program.steps)
    return recurrence.results(own, parts[:first], parts[first:second], parts[second:])


def _scan_vjp(xp: Any, g: Any, out: Any, *inputs: Any, recurrence: Recurrence) -> Any:
    if xp is not RECORDING:
        return recurrence.backward(g, out, list(inputs))
    if (
        stepping().explicit
        and recurrence.call is not None
        and not any(one is not None for one in g[recurrence.public :])
    ):
        return Expansion(partial(_steps, recurrence), g[: recurrence.public])
    if recurrence.opens:
        return Expansion(partial(_opened, recurrence), g[: recurrence.public])
    try:
        return differentiated(recurrence, g, out, inputs)
    except NotRecordableError:  # by the rule of an op that works on arrays alone
        if recurrence.call is None:
            raise
        return Expansion(partial(_steps, recurrence), g[: recurrence.public])


def _opened(recurrence: Recurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """Return the outputs by what a recurrence is made of, and an id older than all of its nodes."""
    lowest_id = new_id()
    made = recurrence.opened(inputs)
    return on_graph(made, inputs) if isinstance(made, Recurrence) else made, lowest_id


def _steps(recurrence: Recurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """Return the outputs with every step on the graph, and an id older than all of its nodes."""
    lowest_id = new_id()
    with as_read(inputs):
        return run_steps(recurrence.call, inputs), lowest_id


SCAN = Op("scan", lambda xp, *xs, recurrence: recurrence.forward(list(xs)), _scan_vjp)
OUTPUT = Op(
    "output",
    lambda xp, multi_output, *, number: multi_output.part(number),
    lambda xp, g, out, multi_output, *, number: [Piece(g, ("output", number), ())],
)
