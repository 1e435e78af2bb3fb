"""Takes the detour by a stack out of a graph: what a step reads of it comes straight from a step.

A layer stacks its outputs over time and the layer above takes them apart again. For pictures of
cells neither says anything. Beside `expansion.py`.
"""

from engine.apply import apply
from engine.graph import Graph
from engine.node import Node
from engine.ops.shaping import concat
from engine.state import using
from engine.tensor import Tensor


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
            inputs = tuple(made.get(x.node, x) if isinstance(x, Tensor) else x for x in node.inputs)
            with using(scope=node.scope, origin=node.origin, equations=None):
                made[node] = apply(node.op, inputs, dict(node.attrs))
    return tuple(made.get(out.node, out) for out in outputs)


def _slice(node: Node) -> int | None:
    """Return which entry along the first axis a node takes; None where it does something else."""
    key = node.attrs.get("key") if node.op.name == "getitem" else None
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
    if node.op.name == "concat" and axis % len(node.shape) != 0:
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
    if not isinstance(y, Tensor) or y.node.op.name != "stack":
        return None
    one = y.node.input(t) if y.node.attrs.get("axis", 0) in (0, -len(y.shape)) else None
    return one if isinstance(one, Tensor) else None
