"""Count the paths through the graphs of pictures, and find the strongest and the longest.

Dynamic programming over topological order, linear in the edges; no path is enumerated and nothing
recurses. Works on any acyclic networkx MultiDiGraph. Above `box_names.py`.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx

from viz.model.box_names import box

Edge = tuple[Any, Any, Any]
Keep = Callable[[Hashable, Hashable, dict[str, Any]], bool]
Weight = str | Callable[[dict[str, Any]], float | None]


@dataclass(frozen=True, slots=True)
class Path:
    """Hold a path: its edges (source, target, key) and nodes, forward, and its total weight.

    `value` is the product or the sum of the weights, `log` the logarithm of a product, which holds
    where the product itself is too small or too large for a float.

    >>> import networkx as nx, viz
    >>> graph = nx.MultiDiGraph([(0, 1, {"w": 0.5}), (1, 2, {"w": 0.5}), (0, 2, {"w": 0.1})])
    >>> (path,) = viz.k_strongest_paths(graph, 0, 2, weight="w")
    >>> path.value, path.nodes
    (0.25, (0, 1, 2))
    """

    value: float
    nodes: tuple[Any, ...]
    edges: tuple[Edge, ...]
    log: float = math.nan


def count_paths(graph: nx.MultiDiGraph, a: Any, b: Any, *, edges: Keep | None = None) -> int:
    """Count the different paths there are between `a` and `b`, in either order.

    A path is a sequence of edges of this graph, so edges side by side, the h and the c of an LSTM,
    make different paths, and what a box does inside is not counted: at the level of cells an Elman
    network of T steps has T paths from its last loss to the parameters of its cell, one a use.
    `a` and `b` are keys or names (`viz.model.box_names.box`). Edges that gradients do not pass are
    left out, and all for which ``edges(source, target, data)`` is false. Exact at any size. Raises
    ValueError for unknown names and for graphs with a cycle, such as those that are rolled up.

    >>> import networkx as nx, viz
    >>> viz.count_paths(nx.MultiDiGraph([(0, 1), (0, 1), (1, 2)]), 0, 2)
    2
    """
    order, start, end = _ordered("count_paths", graph, a, b)
    counts: dict[Hashable, int] = {start: 1}
    for node in order:
        if node in counts:
            for _, target, _key in _out(graph, node, edges):
                counts[target] = counts.get(target, 0) + counts[node]
    return counts.get(end, 0)


def k_strongest_paths(
    graph: nx.MultiDiGraph,
    a: Any,
    b: Any,
    k: int = 1,
    *,
    weight: Weight = "jacobian_norm",
    edges: Keep | None = None,
) -> list[Path]:
    """Return the k paths between `a` and `b` with the largest products of weights, largest first.

    `weight` names an attribute of the edges (``"jacobian_norm"``, ``"grad_norm"``) or is a function
    of their attributes. A path with a weight of 0 comes after all others; along an edge of
    weight None there is none. NaN counts as infinite. Fewer than k where there are fewer; equal
    ones in the order of the edges. The graph of `draw_bptt_path` has a ``"jacobian_norm"`` on all
    edges from its source to its target, that of `draw_gradients` on all with a gradient that are
    not too large, that of `to_networkx` on those of states only. Besides as
    `count_paths`, raises ValueError for a k under 1, for negative weights, and where there are
    paths and none has this attribute on all its edges.

    >>> import networkx as nx, viz
    >>> graph = nx.MultiDiGraph([(0, 1, {"w": 0.5}), (0, 1, {"w": 3.0}), (1, 2, {"w": 2.0})])
    >>> [path.value for path in viz.k_strongest_paths(graph, 0, 2, 2, weight="w")]
    [6.0, 1.0]
    """
    if k < 1:
        raise ValueError(f"k_strongest_paths: k must be at least 1, got {k}")
    order, start, end = _ordered("k_strongest_paths", graph, a, b)
    best: dict[Hashable, list[_Entry]] = {start: [(0.0, None, 0)]}
    arriving: dict[Hashable, list[_Entry]] = {}
    for node in order:
        if node in arriving:
            best[node] = heapq.nlargest(k, arriving.pop(node), key=lambda entry: entry[0])
        if node not in best or node == end:
            continue
        for edge in _out(graph, node, edges):
            w = _weight(graph, edge, weight)
            if w is not None:
                gain = _log(w, edge)
                arriving.setdefault(edge[1], []).extend(
                    (_times(value, gain), edge, rank)
                    for rank, (value, _, _) in enumerate(best[node])
                )
    if end not in best:
        _check_weighted("k_strongest_paths", graph, order, start, end, weight, edges)
    return [_followed(best, end, rank, weight, graph) for rank in range(len(best.get(end, ())))]


def longest_path(
    graph: nx.MultiDiGraph,
    a: Any = None,
    b: Any = None,
    *,
    weight: Weight | None = None,
    edges: Keep | None = None,
) -> Path | None:
    """Return the path between `a` and `b` with the largest sum of weights, None without any.

    Without `a` it begins where no edge comes in, without `b` it ends where none goes out; of two
    ends either may be the first. Weights may be negative; without `weight` every edge counts 1, and
    along one of weight None there is no path. Raises as `k_strongest_paths`.

    >>> import networkx as nx, viz
    >>> viz.longest_path(nx.MultiDiGraph([(0, 1), (1, 2), (0, 2)])).nodes
    (0, 1, 2)
    """
    order, start, end = _ordered("longest_path", graph, a, b)
    best: dict[Hashable, list[_Entry]] = {}
    last, largest = None, -math.inf
    for node in order:
        first = node == start if a is not None else not graph.in_degree(node)
        if first and node not in best:
            best[node] = [(0.0, None, 0)]
        if node not in best:
            continue
        value = best[node][0][0]
        final = node == end if b is not None else not graph.out_degree(node)
        if final and (last is None or value > largest):
            last, largest = node, value
        for edge in _out(graph, node, edges):
            w = 1.0 if weight is None else _weight(graph, edge, weight)
            if w is not None and (edge[1] not in best or value + w > best[edge[1]][0][0]):
                best[edge[1]] = [(value + w, edge, 0)]
    if last is None and weight is not None and a is not None and b is not None:
        _check_weighted("longest_path", graph, order, start, end, weight, edges)
    return None if last is None else _followed(best, last, 0, None, graph)


def _check_weighted(
    name: str, graph: nx.MultiDiGraph, order: list[Hashable], start: Hashable, end: Hashable,
    weight: Weight, keep: Keep | None,
) -> None:  # fmt: skip
    """Raise ValueError where paths lead to the end, and edges on them lack an attribute."""
    if callable(weight):
        return
    onward, back = {start}, {end}
    for node in order:
        if node in onward:
            onward |= {edge[1] for edge in _out(graph, node, keep)}
    on_paths = [edge for node in reversed(order) if node in onward
                for edge in _out(graph, node, keep)
                if edge[1] in back and not back.add(node)]  # type: ignore[func-returns-value]  # fmt: skip
    lacking = [edge for edge in on_paths if weight not in graph.edges[edge]]
    if lacking:
        labels = [str(graph.nodes[n].get("label", n)) for n in lacking[-1][:2]]
        hint = "; the graph of draw_bptt_path has it on all" if weight == "jacobian_norm" else ""
        raise ValueError(
            f"{name}: no path has a {weight!r} on all its edges; {len(lacking)} of the "
            f"{len(on_paths)} edges have none, as {' → '.join(labels)}{hint}, or pass weight="
        )


def state_only(graph: nx.MultiDiGraph) -> nx.MultiDiGraph:
    """Return what lies inside of cells and between them: paths in it run through states alone.

    Heads, losses, embeddings, inputs and parameters are left out, and with them what is fed back
    from outputs. A copy; attributes are shared.

    >>> import engine, rnn, viz
    >>> graph = viz.draw_unrolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0]).graph
    >>> graph.number_of_nodes(), viz.state_only(graph).number_of_nodes()  # 5 cells and a stack
    (13, 6)
    """
    outside = ("input", "parameter")
    inside = [n for n, d in graph.nodes(data=True) if d.get("kind") == "gap"
              or (d.get("cell") is not None and d.get("kind") not in outside)]  # fmt: skip
    own: nx.MultiDiGraph = graph.subgraph(inside).copy()
    return own


_Entry = tuple[float, Edge | None, int]  # value, the edge it came by, and the rank before it


def _ordered(
    name: str, graph: nx.MultiDiGraph, a: Any, b: Any
) -> tuple[list[Hashable], Hashable, Hashable]:
    """Return the nodes in topological order, and the two ends in that order."""
    order = _topological(name, graph)
    start = None if a is None else box(graph, a)
    end = None if b is None else box(graph, b)
    if a is not None and b is not None:
        place = {node: i for i, node in enumerate(order)}
        if place[start] > place[end]:
            start, end = end, start
    return order, start, end


def _topological(name: str, graph: nx.MultiDiGraph) -> list[Hashable]:
    """Return Kahn's order, the same in every run. Raises ValueError for a cycle."""
    left = {node: len(graph.pred[node]) for node in graph}
    ready = deque(node for node, degree in left.items() if not degree)
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for target in graph.succ[node]:
            left[target] -= 1
            if not left[target]:
                ready.append(target)
    if len(order) < len(graph):
        raise ValueError(
            f"{name}: the graph has a cycle through {_cycle(graph, left)}; take one that is not "
            "rolled up (level 'op', 'gate' or 'cell')"
        )
    return order


def _cycle(graph: nx.MultiDiGraph, left: dict[Hashable, int]) -> str:
    """Return the labels along a cycle; `left` counts the edges into what is on or behind one."""
    node = next(node for node, degree in left.items() if degree)
    walked: dict[Hashable, int] = {}
    while node not in walked:
        walked[node] = len(walked)
        node = next(source for source in graph.pred[node] if left[source])
    around = list(walked)[walked[node] :][::-1]
    words = [str(graph.nodes[one].get("label", one)) for one in around[:4]]
    return " → ".join([*words, "…" if len(around) > 4 else words[0]])


def _out(graph: nx.MultiDiGraph, node: Hashable, keep: Keep | None) -> Iterator[Edge]:
    """Yield the edges out of a node that gradients pass and that are to be gone along."""
    for target, parallel in graph.succ[node].items():
        for key, data in parallel.items():
            if not data.get("cut") and (keep is None or keep(node, target, data)):
                yield node, target, key


def _weight(graph: nx.MultiDiGraph, edge: Edge, weight: Weight) -> float | None:
    data = graph.succ[edge[0]][edge[1]][edge[2]]
    value = data.get(weight) if isinstance(weight, str) else weight(data)
    return None if value is None else float(value)


def _log(value: float, edge: Edge) -> float:
    if value < 0:
        raise ValueError(f"k_strongest_paths: weights are norms; got {value} on the edge {edge}")
    if math.isnan(value):
        return math.inf
    return math.log(value) if value else -math.inf


def _times(a: float, b: float) -> float:
    """Return the logarithm of a product; what is multiplied by 0 is 0."""
    return -math.inf if -math.inf in (a, b) else a + b


def _followed(
    best: dict[Hashable, list[_Entry]],
    end: Hashable,
    rank: int,
    weight: Weight | None,
    graph: nx.MultiDiGraph,
) -> Path:
    """Return the path that ends with an entry; its product from its own weights where it is one."""
    log, edge, before = best[end][rank]
    edges: list[Edge] = []
    while edge is not None:
        edges.append(edge)
        _, edge, before = best[edge[0]][before]
    edges.reverse()
    nodes = (edges[0][0] if edges else end, *(one[1] for one in edges))
    if weight is None:
        return Path(log, nodes, tuple(edges))
    own = [_weight(graph, one, weight) or 0.0 for one in edges]
    product = math.prod(own) if log > -math.inf else 0.0  # and not NaN, where inf is on the way
    return Path(product, nodes, tuple(edges), log)
