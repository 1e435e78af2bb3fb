"""Lay two graphs over one another, as one graph with the nodes and the edges of both.

A node that both have stands once. Above the matching in `engine/reading/differences.py`; below
`differences.py`, which draws the result.
"""

from dataclasses import dataclass
from typing import Any

from engine import Graph, Node, Tensor
from engine.node import new_id
from engine.reading.differences import Matched, matched

BOTH, REMOVED, ADDED, CHANGED = "both", "removed", "added", "changed"


@dataclass(frozen=True)
class Union:
    """Hold the common graph and, for its nodes and uses, whether both have each, and what it was.

    `nodes` says both, removed, added or changed; `uses` says of a node and a slot both, removed or
    added. `old` and `new` have the node of either graph that a node of the union stands for.
    """

    graph: Graph
    nodes: dict[Node, str]
    uses: dict[tuple[Node, int], str]
    old: dict[Node, Node]
    new: dict[Node, Node]
    texts: dict[Node, tuple[str, ...]]
    same_outputs: bool

    def count(self, state: str) -> int:
        """Return how many nodes are in a state."""
        return sum(own == state for own in self.nodes.values())


def union_of(old: Graph, new: Graph) -> Union:
    """Return the two graphs in one, in an order in which each node stands after its inputs.

    A node that both have has the inputs of the new graph and then those of the old one alone.
    """
    return _Union(old, new, matched(old, new)).made()


class _Union:
    """Build a union: keep the tensor that stands for each node of either graph."""

    def __init__(self, old: Graph, new: Graph, found: Matched) -> None:
        self.graphs, self.found = (old, new), found
        self.partner = dict(found.pairs)
        self.of_old: dict[Node, Tensor] = {}
        self.of_new: dict[Node, Tensor] = {}
        self.result = Union(Graph((), {}), {}, {}, {}, {}, {}, False)

    def made(self) -> Union:
        """Return both graphs side by side, from pair to pair: the order of each is kept."""
        old, new = self.graphs
        rest = iter(new.nodes)
        for node in old.nodes:
            other = self.partner.get(node)
            if other is None:
                self._alone(node, old, REMOVED)
                continue
            for one in rest:
                if one is other:
                    break
                self._alone(one, new, ADDED)
            self._pair(node, other)
        for one in rest:
            self._alone(one, new, ADDED)
        outputs = [self.of_new[out.node] for out in new.outputs]
        before = [self.of_old[out.node] for out in old.outputs]
        same = [out.node for out in before] == [out.node for out in outputs]
        made = self.result
        graph = Graph.of(*{out.node: out for out in (*before, *outputs)}.values())
        return Union(graph, made.nodes, made.uses, made.old, made.new, made.texts, same)

    def _alone(self, node: Node, graph: Graph, state: str) -> None:
        """Add a node that one graph has."""
        known, side = ((self.of_old, self.result.old) if state == REMOVED else
                       (self.of_new, self.result.new))  # fmt: skip
        given = tuple(known[x.node] if isinstance(x, Tensor) else x for x in node.inputs)
        tensor = known[node] = self._tensor(node, graph, given)
        side[tensor.node] = node
        self.result.nodes[tensor.node] = state
        for slot, x in enumerate(given):
            if isinstance(x, Tensor):
                self.result.uses[tensor.node, slot] = state

    def _pair(self, node: Node, other: Node) -> None:
        """Add a node that both have, with the inputs of both."""
        new = self.graphs[1]
        given = [self.of_new[x.node] if isinstance(x, Tensor) else x for x in other.inputs]
        before = [self.of_old[x.node] if isinstance(x, Tensor) else None for x in node.inputs]
        states = [_state(before, slot, x) for slot, x in enumerate(given)]
        gone = [x for slot, x in enumerate(before) if x is not None
                and not (slot < len(given) and given[slot] is x)]  # fmt: skip
        tensor = self._tensor(other, new, (*given, *gone))
        self.of_old[node] = self.of_new[other] = tensor
        made, own = self.result, tensor.node
        made.old[own], made.new[own] = node, other
        made.texts[own] = self.found.changed.get(other, ())
        made.nodes[own] = CHANGED if made.texts[own] else BOTH
        for slot, (x, state) in enumerate([*zip(given, states, strict=True),
                                           *((x, REMOVED) for x in gone)]):  # fmt: skip
            if isinstance(x, Tensor):
                made.uses[own, slot] = state

    def _tensor(self, node: Node, graph: Graph, given: tuple[Any, ...]) -> Tensor:
        """Return a copy of a node on other inputs, with its value."""
        held = graph.tensor(node)
        copy = node._replace(operands=given, id=new_id(), origin=self._origin(node))
        return Tensor(held.data, copy, held.requires_grad)

    def _origin(self, node: Node) -> Node | None:
        """Return the node that a gradient node differentiates, as it stands in the union."""
        if node.origin is None:
            return None
        known = self.of_new.get(node.origin, self.of_old.get(node.origin))
        return node.origin if known is None else known.node


def _state(before: list[Tensor | None], slot: int, x: Any) -> str:
    return BOTH if slot < len(before) and before[slot] is x else ADDED
