"""Extract the part of a large graph around one of its nodes, as a graph of its own.

Above the engine, below the pictures of faults.
"""

from collections import deque
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

from engine import Graph, Node, Tensor
from engine.node import new_id
from engine.op import LEAF

CUT_OFF = 4  # inputs of one node that come from outside of the part


def nearby(
    graph: Graph, middle: Node, room: int, cone: frozenset[Node]
) -> tuple[Graph, dict[Node, Node]]:
    """Return the part of a cone that stands nearest to a node, values in the place of the rest.

    `room` is the number of nodes on either side. Besides the part, of which node each is the copy.
    """
    users: dict[Node, list[Node]] = {}
    for source, target, _ in graph.edges:
        if target in cone:
            users.setdefault(source, []).append(target)
    chosen = set(_nearest(middle, room, lambda node: [
        x.node for x in node.inputs if isinstance(x, Tensor) and x.node in cone]))  # fmt: skip
    chosen |= set(_nearest(middle, room, lambda node: users.get(node, ())))
    made: dict[Node, Tensor] = {}
    twins: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in chosen:
            given = tuple(_inside(x, made, twins) for x in _few(node.inputs, chosen))
            held = graph.tensor(node)
            made[node] = Tensor(held.data, node._replace(operands=given, id=new_id()),
                                held.requires_grad)  # fmt: skip
            twins[made[node].node] = node
    ends = [made[node] for node in graph.nodes if node in chosen
            and not any(user in chosen for user in users.get(node, ()))]  # fmt: skip
    return Graph.of(*ends), twins


def _few(inputs: tuple[Any, ...], chosen: set[Node]) -> list[Any]:
    """Return the inputs of a node; of many that are cut off the first ones only."""
    outside = [x for x in inputs if isinstance(x, Tensor) and x.node not in chosen]
    dropped = {x.node for x in outside[CUT_OFF:]}
    return [x for x in inputs if not (isinstance(x, Tensor) and x.node in dropped)]


def _inside(x: Any, made: dict[Node, Tensor], twins: dict[Node, Node]) -> Any:
    """Return an input in the part: its copy, or a leaf that holds its value."""
    if not isinstance(x, Tensor):
        return x
    if x.node not in made and not x.node.inputs:
        made[x.node] = x
    if x.node not in made:
        attrs = MappingProxyType({"name": f"… {x.node.op.name}"})
        node = x.node._replace(op=LEAF, operands=(), attrs=attrs, id=new_id())
        made[x.node] = Tensor(x.data, node)
        twins[node] = x.node
    return made[x.node]


def _nearest(start: Node, limit: int, neighbours: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """Return the first nodes that are come to, in widening rings, the start among them."""
    seen = {start: None}
    queue = deque([start])
    while queue and len(seen) < limit:
        for node in neighbours(queue.popleft()):
            if node not in seen and len(seen) < limit:
                seen[node] = None
                queue.append(node)
    return list(seen)
