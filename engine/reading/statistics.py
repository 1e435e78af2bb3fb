"""Count a graph in numbers: nodes, edges, depth, width and bytes, by op, scope and time.

Above the executors of recurrences, which have bundles of arrays as values; below `Graph`.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engine.derivatives.multi_output import MultiOutput
from engine.graph_base import GraphBase
from engine.node import Node
from engine.tensor import Tensor

ROWS = 20  # of a table that is printed


@dataclass(frozen=True, slots=True)
class Count:
    """Hold how many nodes of one kind there are, and the bytes of their values."""

    nodes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GraphStatistics:
    """Hold the numbers of a graph, all exact.

    `depth` is the number of edges on the longest path, `width` the largest number of nodes that
    lie equally deep. `bytes` is what NumPy calls nbytes, by the shape and dtype of each node: a
    view counts in full. The value of a recurrence is all its arrays; an `output`, which is one of
    them, counts for nothing.
    `by_op` goes from the most frequent op down; `by_scope` is by path, ``""`` at the top, without
    what lies in scopes below; `by_t` is by the label t, None for what has no time, and comes first.
    The nodes and bytes of each of the three add up to those of the graph.
    """

    nodes: int
    edges: int
    leaves: int
    depth: int
    width: int
    bytes: int
    by_op: Mapping[str, Count]
    by_scope: Mapping[str, Count]
    by_t: Mapping[Any, Count]

    def __str__(self) -> str:
        """Return one line for the whole, and a table each by op, scope and t, long ones cut."""
        whole = (
            f"{self.nodes:,} nodes ({self.leaves:,} leaves), {self.edges:,} edges, "
            f"depth {self.depth:,}, width {self.width:,}, {self.bytes:,} bytes"
        )
        parts = [whole, _printed("op", self.by_op)]
        if set(self.by_scope) - {""}:
            parts.append(_printed("scope", self.by_scope))
        if set(self.by_t) - {None}:
            parts.append(_printed("t", self.by_t))
        return "\n\n".join(part for part in parts if part)


def graph_statistics(graph: GraphBase) -> GraphStatistics:
    """Return the statistics of a graph, in one walk over it.

    >>> x = engine.ones(2, requires_grad=True)
    >>> graph_statistics(engine.Graph.of(engine.tanh(x) * x)).by_op["tanh"]
    Count(nodes=1, bytes=8)
    """
    depth: dict[Node, int] = {}
    level: dict[int, int] = {}  # how many nodes lie how deep
    sizes = {node: _bytes(graph.tensor(node)) for node in graph.nodes}
    for node in graph.nodes:
        before = (depth[x.node] for x in node.inputs if type(x) is Tensor)
        depth[node] = own = 1 + max(before, default=-1)
        level[own] = level.get(own, 0) + 1
    by_op = _counted(sizes, lambda node: node.op.name)
    by_scope = _counted(sizes, lambda node: node.scope.path)
    by_t = _counted(sizes, lambda node: node.scope.labels.get("t"))
    return GraphStatistics(
        nodes=len(graph), edges=len(graph.edges),
        leaves=sum(not node.inputs for node in graph.nodes), depth=max(level, default=0),
        width=max(level.values(), default=0), bytes=sum(sizes.values()),
        by_op=_sorted(by_op, lambda op: (-by_op[op].nodes, op)),
        by_scope=_sorted(by_scope, lambda path: path), by_t=_sorted(by_t, _in_time),
    )  # fmt: skip


def _bytes(tensor: Tensor) -> int:
    """Return the bytes of the value of a node."""
    data, node = tensor.data, tensor.node
    if type(data) is MultiOutput:
        return sum(_nbytes(part) for part in data)
    first = node.operands[0] if node.operands else None
    return 0 if isinstance(first, Tensor) and type(first.data) is MultiOutput else _nbytes(node)


def _nbytes(x: Any) -> int:
    size: int = math.prod(x.shape) * x.dtype.itemsize
    return size


def _counted(sizes: Mapping[Node, int], kind: Callable[[Node], Any]) -> dict[Any, Count]:
    """Return nodes and bytes by kind."""
    nodes: dict[Hashable, int] = {}
    total: dict[Hashable, int] = {}
    for node, size in sizes.items():
        own = kind(node)
        nodes[own] = nodes.get(own, 0) + 1
        total[own] = total.get(own, 0) + size
    return {own: Count(nodes[own], total[own]) for own in nodes}


def _sorted(counts: dict[Any, Count], key: Callable[[Any], Any]) -> Mapping[Any, Count]:
    return MappingProxyType({own: counts[own] for own in sorted(counts, key=key)})


def _in_time(t: Any) -> tuple[bool, bool, float, str]:
    """Return a key that sorts by time: none first, then numbers, then other labels."""
    numeric = isinstance(t, int | float)
    return (t is not None, not numeric, t if numeric else 0, str(t))


def _printed(title: str, counts: Mapping[Any, Count]) -> str:
    """Return a table of counts; empty where there are none."""
    names = {"": "top", None: "none"}
    rows = [(str(names.get(own, own)), f"{count.nodes:,}", f"{count.bytes:,}")
            for own, count in counts.items()]  # fmt: skip
    return table([(title, "nodes", "bytes"), *rows], left=1) if rows else ""


def table(rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Return rows under a title row as aligned text, `left` columns to the left; long ones cut.

    >>> print(table([("op", "calls"), ("tanh", "12")], left=1))
    op    calls
    tanh     12
    """
    shown = rows[: ROWS + 1]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    if len(rows) > len(shown):
        lines.append(f"and {len(rows) - len(shown):,} more")
    return "\n".join(lines)
