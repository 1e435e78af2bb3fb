"""Give a read-only view of everything that some outputs were computed from.

Queries by dynamic programming over topological order; nothing here recurses or enumerates paths.
Above the record of nodes, its text form and what is read off it; `viz` draws a graph.
"""

from typing import TYPE_CHECKING, Any

from engine.graph_base import GraphBase, graph_text, node_of
from engine.node import Node
from engine.reading.differences import graph_diff
from engine.reading.statistics import GraphStatistics, graph_statistics
from engine.tensor import Tensor

if TYPE_CHECKING:
    import networkx


class Graph(GraphBase):
    """Keep nodes in topological order, and the tensors that hold their values.

    Make one with `Graph.of(*outputs)`. Tensors and nodes both serve as arguments.

    >>> x = engine.asarray(2.0, requires_grad=True)
    >>> y = x * x + x
    >>> engine.Graph.of(y).count_paths(x, y)
    3
    """

    @classmethod
    def of(cls, *outputs: Tensor) -> "Graph":
        """Return the graph of everything recorded that leads to `outputs`, leaves included."""
        tensors: dict[Node, Tensor] = {}
        stack = list(outputs)
        while stack:
            tensor = stack.pop()
            node = tensor.node
            if node in tensors:
                continue
            tensors[node] = tensor
            stack.extend(x for x in node.inputs if type(x) is Tensor and x.node not in tensors)
        return cls(outputs, dict(sorted(tensors.items(), key=lambda item: item[0].id)))

    def ancestors(self, item: Tensor | Node) -> tuple[Node, ...]:
        """Return the nodes that `item` was computed from, itself left out, in topological order."""
        target = self._member(item, "ancestors")
        reached = {target}
        for node in reversed(self.nodes):
            if node in reached:
                reached.update(x.node for x in node.inputs if type(x) is Tensor)
        return tuple(node for node in self.nodes if node in reached and node is not target)

    def descendants(self, item: Tensor | Node) -> tuple[Node, ...]:
        """Return the nodes that were computed from `item`, itself left out, in order."""
        source = self._member(item, "descendants")
        return tuple(
            n for n, paths in self._paths_from(source).items() if paths and n is not source
        )

    def between(self, source: Tensor | Node, target: Tensor | Node) -> tuple[Node, ...]:
        """Return the nodes on any path from `source` to `target`, both included; empty if none."""
        start, end = self._member(source, "between"), self._member(target, "between")
        after = {start, *self.descendants(start)}
        before = {end, *self.ancestors(end)}
        return tuple(node for node in self.nodes if node in after and node in before)

    def count_paths(self, source: Tensor | Node, target: Tensor | Node) -> int:
        """Return how many different paths lead from `source` to `target`, exact at any size."""
        start, end = self._member(source, "count_paths"), self._member(target, "count_paths")
        return self._paths_from(start)[end]

    def _paths_from(self, source: Node) -> dict[Node, int]:
        """Count the paths that reach each node from `source`."""
        paths: dict[Node, int] = {}
        for node in self.nodes:
            paths[node] = int(node is source) + sum(
                paths[x.node] for x in node.inputs if type(x) is Tensor
            )
        return paths

    def _member(self, item: Tensor | Node, query: str) -> Node:
        node = node_of(item)
        if node not in self._tensors:
            raise ValueError(f"{query}: {node!r} is not in this graph")
        return node

    def text(self) -> str:
        """Return the canonical text form: a line a node; the same program gives the same bytes."""
        return graph_text(self)

    def diff(self, other: "Graph") -> str:
        """Return the nodes to remove (-), add (+) and change (~) to get `other`; empty where alike.

        See `engine.reading.differences.graph_diff`. Raises TypeError for what is no graph.
        """
        return graph_diff(self, other)

    def statistics(self) -> GraphStatistics:
        """Return nodes, edges, depth, width and bytes, exact, also by op, by scope and by t."""
        return graph_statistics(self)

    def to_networkx(self) -> "networkx.MultiDiGraph":
        """Return the graph for networkx: nodes by number, an edge for each use, keyed by slot."""
        import networkx

        graph = networkx.MultiDiGraph()
        for node, number in self.number.items():
            graph.add_node(number, **attributes(node))
        for source, target, slot in self.edges:
            graph.add_edge(self.number[source], self.number[target], key=slot, slot=slot)
        return graph


def attributes(node: Node) -> dict[str, Any]:
    """Return what networkx is told of a node: op, name, shape, dtype, scope path and labels."""
    return {
        "op": node.op.name, "name": node.name, "shape": node.shape, "dtype": str(node.dtype),
        "scope": node.scope.path, **node.scope.labels,
    }  # fmt: skip
