"""Put the steps of fused recurrences on the graph, for pictures and for reading, without stacks.

A layer stacks its outputs over time and the layer above takes them apart again. For pictures of
cells neither says anything: what a step reads of a stack comes straight from a step. Above the
executors.
"""

from typing import Any

from engine.apply import apply, asarray
from engine.graph import Graph
from engine.node import Node
from engine.ops.indexing import index
from engine.ops.reductions import sum_
from engine.ops.shaping import concat, stack
from engine.scan.explicit import run_steps
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
            and (own := node.inputs[0].node).op is SCAN
            and node.attrs["number"] >= own.attrs["recurrence"].public}  # fmt: skip
    made: dict[Node, Tensor] = {}
    steps: dict[Node, list[Tensor]] = {}
    for node in graph.nodes:
        tensors = [x for x in node.inputs if isinstance(x, Tensor)]
        if node.op is SCAN:
            steps[node] = _explicit_steps(node, made, node in past)
        elif node.op is OUTPUT and tensors[0].node in steps:
            made[node] = steps[tensors[0].node][node.attrs["number"]]
        elif any(x.node in made for x in tensors):
            made[node] = _again(node, made)
    return tuple(made.get(out.node, out) for out in outputs)


def _again(node: Node, made: dict[Node, Tensor]) -> Tensor:
    """Return the result of a node, of what has been made in the place of its inputs."""
    inputs = tuple(made.get(x.node, x) if isinstance(x, Tensor) else x for x in node.inputs)
    with using(scope=node.scope, origin=node.origin, equations=None):
        return apply(node.op, inputs, dict(node.attrs))


def _explicit_steps(node: Node, made: dict[Node, Tensor], past: bool) -> list[Tensor]:
    """Return the outputs of one recurrence, run step by step where it was made."""
    recurrence: Recurrence = node.attrs["recurrence"]
    operands: list[Any] = [made.get(x.node, x) if isinstance(x, Tensor) else x for x in node.inputs]
    with using(scope=node.scope, recording=True), as_read(node.inputs):
        if recurrence.call is None or past:
            return _interpreted(recurrence, operands)
        return run_steps(recurrence.call, operands)


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


def unstacked(*outputs: Tensor) -> tuple[Tensor, ...]:
    """Return the same values, where each ``stack(xs)[t]`` is ``xs[t]``, also through joins.

    Leaves are kept, and so is all that leads through no such slice. Call `expanded` first.

    >>> x = engine.ones(2, requires_grad=True)
    >>> len(engine.Graph.of(*engine.unstacked(engine.stack([x, x * 2])[0])))
    1
    """
    graph = Graph.of(*outputs)
    if not any(_slice(node) is not None for node in graph.nodes):
        return outputs
    made: dict[Node, Tensor] = {}
    steps: dict[tuple[Node, int], Tensor | None] = {}
    for node in graph.nodes:
        t = _slice(node)
        if t is not None:
            source = node.inputs[0]
            assert isinstance(source, Tensor)
            found = _step(made.get(source.node, source), t, node, steps)
            if found is not None:
                made[node] = found
                continue
        if any(isinstance(x, Tensor) and x.node in made for x in node.inputs):
            made[node] = _again(node, made)
    return tuple(made.get(out.node, out) for out in outputs)


def _slice(node: Node) -> int | None:
    """Return which entry along the first axis a node takes; None where it does something else."""
    key = node.attrs.get("key") if node.op.role == "slice" else None
    if not isinstance(key, tuple) or len(key) != 1 or type(key[0]) is not int:
        return None
    source = node.inputs[0]
    return key[0] % source.shape[0] if isinstance(source, Tensor) else None


def _step(
    x: Tensor, t: int, where: Node, steps: dict[tuple[Node, int], Tensor | None]
) -> Tensor | None:
    """Return entry t of a stack, or of stacks joined along another axis; None for anything else."""
    node = x.node
    if (node, t) in steps:
        return steps[node, t]
    found = _stacked(x, t)
    axis = node.attrs.get("axis", 0)
    if node.op.role == "join" and axis % len(node.shape) != 0:
        parts = [_stacked(y, t) for y in node.inputs]
        if all(part is not None for part in parts):
            labels = {name: where.scope.labels[name] for name in ("t", "block")
                      if name in where.scope.labels}  # fmt: skip
            scope = type(node.scope)(node.scope.path, labels)
            with using(scope=scope, origin=None, equations=None, recording=True):
                found = concat(parts, axis=axis % len(node.shape) - 1)
    steps[node, t] = found
    return found


def _stacked(y: object, t: int) -> Tensor | None:
    """Return entry t of a stack; None for anything else."""
    if not isinstance(y, Tensor) or y.node.op.role != "stack":
        return None
    one = y.node.input(t) if y.node.attrs.get("axis", 0) in (0, -len(y.shape)) else None
    return one if isinstance(one, Tensor) else None
