"""Order the nodes that some outputs were computed from, and write their canonical text form.

The text has a line a node, numbered in topological order, and nothing that differs between runs: no
addresses, no global ids, no hash order. Above tensors, below `reading/` and `graph.py`, which
offers it.
"""

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from engine.node import Node
from engine.tensor import Tensor

Edge = tuple[Node, Node, int]


class GraphBase:
    """Keep nodes in topological order, and the tensors that hold their values."""

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


def behind(roots: Iterable[Node], keep: Callable[[Node], bool] = lambda node: True) -> list[Node]:
    """Return what `roots` were computed from, themselves too, oldest first; `keep` says which."""
    seen: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node.id not in seen and keep(node):
            seen[node.id] = node
            stack += [x.node for x in node.inputs if type(x) is Tensor]
    return [seen[number] for number in sorted(seen)]


def node_of(item: Tensor | Node) -> Node:
    """Return the node of a tensor; a node as it is."""
    return item.node if isinstance(item, Tensor) else item


ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in what Python prints of functions and objects


def graph_text(graph: GraphBase) -> str:
    """Return the lines of all nodes and one of the outputs.

    >>> x = engine.asarray([1.0, 2.0], requires_grad=True, name="x")
    >>> print(engine.Graph.of((x * 2).sum()).text())
    %0 = leaf 'x' grad -> float32[2]
    %1 = multiply(%0, 2) -> float32[2]
    %2 = sum(%1) -> float32[]
    return %2
    """
    return "\n".join([*(node_line(graph, node) for node in graph.nodes), return_line(graph)])


def return_line(graph: GraphBase) -> str:
    """Return the line of the outputs."""
    return f"return {', '.join(f'%{graph.number[out.node]}' for out in graph.outputs)}".rstrip()


def node_line(graph: GraphBase, node: Node) -> str:
    """Return the line of one node: number, op, inputs, attributes, shape, scope, origin."""
    parts = [f"%{graph.number[node]} ="]
    if node.inputs:
        given = [f"%{graph.number[x.node]}" if isinstance(x, Tensor) else repr(x)
                 for x in node.inputs]  # fmt: skip
        given += [f"{name}={value_text(value)}" for name, value in node.attrs.items()]
        parts.append(f"{node.op.name}({', '.join(given)})")
    else:
        parts.append(node.op.name + (f" {node.name!r}" if node.name else ""))
        parts += ["grad"] if graph.tensor(node).requires_grad else []
    parts.append(f"-> {node.dtype}{list(node.shape)}".replace(" ", "").replace("->", "-> "))
    if node.scope.path or node.scope.labels:
        parts.append(f"@ {node.scope}")
    if node.origin is not None:
        known = graph.number.get(node.origin)
        parts.append(f"d[{node.origin.op.name if known is None else f'%{known}'}]")
    return " ".join(parts)


def value_text(value: Any, *, exact: bool = False) -> str:
    """Return the value of an attribute, floats in six digits, or all if `exact`."""
    if isinstance(value, slice):
        bounds = (value.start, value.stop, *(() if value.step is None else (value.step,)))
        return ":".join("" if bound is None else str(bound) for bound in bounds)
    if value is Ellipsis:
        return "..."
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        inner = ", ".join(value_text(part, exact=exact) for part in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float):
        return float.__repr__(value) if exact else format(value, "g")
    return ADDRESS.sub("", repr(value))
