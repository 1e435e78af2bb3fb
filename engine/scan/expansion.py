"""Puts the steps of fused recurrences on the graph, for pictures and for reading.

Above the executors.
"""

from dataclasses import replace
from typing import Any

from engine.apply import apply, asarray
from engine.graph import Graph
from engine.node import Node
from engine.ops.indexing import index
from engine.ops.reductions import sum_
from engine.ops.shaping import stack
from engine.pytree import flatten
from engine.scan.explicit import Explicit
from engine.scan.nodes import OUTPUT, SCAN
from engine.scan.program import Literal, Program, Source, Value
from engine.scan.recurrence import Recurrence
from engine.state import scope, using
from engine.tensor import Tensor
from engine.versions import as_read


def expanded(*outputs: Tensor) -> tuple[Tensor, ...]:
    """Return the same values computed with every step of every recurrence on the graph.

    Leaves are kept, and so is all that no fused recurrence leads to; outputs that depend on none
    come back as they are.

    >>> x = engine.ones((3, 1), requires_grad=True)
    >>> h, _ = engine.scan(lambda h, x: (h + x, None), engine.zeros(1), x)
    >>> len(engine.Graph.of(h)), len(engine.Graph.of(*engine.expanded(h)))
    (4, 8)
    """
    graph = Graph.of(*outputs)
    if not any(node.op is SCAN for node in graph.nodes):
        return outputs
    past = {node.inputs[0].node for node in graph.nodes  # with states before each step in use
            if node.op is OUTPUT and isinstance(node.inputs[0], Tensor)
            and _is_past(node.inputs[0].node, node.attrs["number"])}  # fmt: skip
    made: dict[Node, Tensor] = {}
    steps: dict[Node, list[Tensor]] = {}
    for node in graph.nodes:
        tensors = [x for x in node.inputs if isinstance(x, Tensor)]
        if node.op is SCAN:
            steps[node] = _explicit_steps(node, made, node in past)
        elif node.op is OUTPUT and tensors[0].node in steps:
            made[node] = steps[tensors[0].node][node.attrs["number"]]
        elif any(x.node in made for x in tensors):
            inputs = tuple(made.get(x.node, x) if isinstance(x, Tensor) else x for x in node.inputs)
            with using(scope=node.scope, origin=node.origin, equations=None):
                made[node] = apply(node.op, inputs, dict(node.attrs))
    return tuple(made.get(out.node, out) for out in outputs)


def _is_past(node: Node, number: int) -> bool:
    """Return whether an output of a recurrence is the states before each step."""
    return node.op is SCAN and number >= node.attrs["recurrence"].public


def _explicit_steps(node: Node, made: dict[Node, Tensor], past: bool) -> list[Tensor]:
    """Return the outputs of one recurrence, run step by step where it was made."""
    recurrence: Recurrence = node.attrs["recurrence"]
    operands = [made.get(x.node, x) if isinstance(x, Tensor) else x for x in node.inputs]
    with using(scope=node.scope, recording=True), as_read(node.inputs):
        if recurrence.call is None or past:
            return _interpreted(recurrence, operands)
        states = len(recurrence.call.init)
        call = replace(recurrence.call, init=operands[:states],
                       xs=operands[states : states + len(recurrence.call.xs)])  # fmt: skip
        final, ys = Explicit().run(call)
    return [*final, *flatten(ys)[0]]


def _interpreted(recurrence: Recurrence, operands: list[Any]) -> list[Tensor]:
    """Return the bundle of a recurrence, its program run step by step: also of a derivative."""
    program = recurrence.program
    state, sources = recurrence.split(operands)
    sources |= {("constant", i): asarray(x) for i, x in enumerate(program.constants)}
    times = range(recurrence.steps)
    before: dict[int, list[Tensor]] = {}
    steps: dict[int, list[Tensor]] = {}
    totals: dict[int, list[Tensor]] = {}
    for t in reversed(times) if recurrence.reverse else times:
        now = {source: index(x, t) if source in program.per_step else x
               for source, x in sources.items()}  # fmt: skip
        now |= {("carry", i): x for i, x in enumerate(state)}
        with scope(t=t):
            values = _one_step(program, now)
        before[t] = state
        steps[t] = [values[p] for p in program.steps]
        totals[t] = [values[p] for p in program.totals]
        state = [values[p] for p in program.carry]
    return [
        *state,
        *(stack([steps[t][k] for t in times]) for k in range(len(program.steps))),
        *(sum_(stack([totals[t][k] for t in times]), axis=0) for k in range(len(program.totals))),
        *(stack([before[t][i] for t in times]) for _, i in recurrence.histories()),
    ]


def _one_step(program: Program, sources: dict[Source, Tensor]) -> list[Tensor]:
    """Return the values of a program at one step."""
    values: list[Tensor] = []
    for value in program.values:
        if value.source is not None:
            values.append(sources[value.source])
            continue
        with scope(**({"gate": value.label} if value.label else {})):
            values.append(_applied(value, values))
    return values


def _applied(value: Value, values: list[Tensor]) -> Tensor:
    assert value.op is not None
    inputs = tuple(one.value if isinstance(one, Literal) else values[one] for one in value.inputs)
    out = apply(value.op, inputs, value.attrs)
    return out.detach() if value.stopped else out
