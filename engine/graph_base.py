"""The nodes that some outputs were computed from, in order, with the tensors of their values.

Above tensors, below all that reads graphs: `text.py`, `reading/`, and `graph.py`, which offers it.
"""

from functools import cached_property

from engine.node import Node
from engine.tensor import Tensor

Edge = tuple[Node, Node, int]


class GraphBase:
    """Nodes in topological order, and the tensors that hold their values."""

    def __init__(self, outputs: tuple[Tensor, ...], tensors: dict[Node, Tensor]) -> None:
        self._outputs = tuple((out, out.node) for out in outputs)
        self._tensors = tensors

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Return the tensors that the graph leads to, as they were when it was taken."""
        return tuple(out._version_made_by(node) for out, node in self._outputs)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes, each after its inputs."""
        return tuple(self._tensors)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Return (source, target, slot) for each use of a node as an input of another."""
        return tuple(
            (x.node, node, slot)
            for node in self.nodes
            for slot, x in enumerate(node.inputs)
            if type(x) is Tensor
        )

    @cached_property
    def leaf_edges(self) -> tuple[Edge, ...]:
        """Return the edges that begin at a leaf."""
        return tuple([edge for edge in self.edges if not edge[0].inputs])

    @cached_property
    def number(self) -> dict[Node, int]:
        """Return the position of each node: its name in the text form, alike for like programs."""
        return {node: position for position, node in enumerate(self.nodes)}

    def __contains__(self, item: Tensor | Node) -> bool:
        return node_of(item) in self._tensors

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} nodes, {len(self.edges)} edges>"

    def tensor(self, node: Node) -> Tensor:
        """Return the tensor that holds the value of a node."""
        return self._tensors[node]._version_made_by(node)


def node_of(item: Tensor | Node) -> Node:
    """Return the node of a tensor; a node as it is."""
    return item.node if isinstance(item, Tensor) else item
