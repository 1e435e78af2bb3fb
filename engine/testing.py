"""Assert things of graphs, for tests of programs that are built on this engine.

Reached as `engine.testing`. Each AssertionError says what was found. Above graph differences.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from engine.checks import is_whole
from engine.graph import Graph
from engine.graph_base import behind
from engine.node import Node
from engine.op import LEAF, Op
from engine.reading.differences import graph_diff
from engine.registry import REGISTRY
from engine.scan.nodes import OUTPUT, SCAN
from engine.tensor import Tensor

Outputs = Tensor | Node | Graph | Sequence[Tensor | Node]

SHOWN = 10  # nodes at most that a message names
UNREGISTERED = {op.name for op in (LEAF, SCAN, OUTPUT)}

__all__ = ["assert_no_path", "assert_node_count", "assert_path", "assert_same_graph"]


def assert_path(source: Tensor | Node, target: Outputs) -> None:
    """Assert that something of `target` was computed from `source`, or is it.

    `target` is a tensor, a node, several of them, or a graph, which stands for its outputs.
    Raises AssertionError where no recorded path leads there, TypeError for anything else.

    >>> x = engine.ones(2, requires_grad=True)
    >>> engine.testing.assert_path(x, engine.sum(x))
    """
    start, ends = _node("assert_path: source", source), _roots("assert_path: target", target)
    if not _shortest(start, ends):
        names = _listed(map(_shown, ends)) or "nothing"
        raise AssertionError(
            f"no path leads from {_shown(start)} to {names}; "
            "was it detached, or computed where nothing is recorded?"
        )


def assert_no_path(source: Tensor | Node, target: Outputs) -> None:
    """Assert that nothing of `target` was computed from `source`, and none of it is `source`.

    `target` is a tensor, a node, several of them, or a graph, which stands for its outputs.
    Raises AssertionError with a shortest path where there is one, TypeError for anything else.

    >>> x = engine.ones(2, requires_grad=True)
    >>> engine.testing.assert_no_path(x, engine.sum(x.detach()))
    """
    start, ends = _node("assert_no_path: source", source), _roots("assert_no_path: target", target)
    path = _shortest(start, ends)
    if path:
        steps = f"{len(path) - 1} step" + "s" * (len(path) != 2)
        way = [_shown(node) for node in path]
        if len(way) > SHOWN:
            half = SHOWN // 2
            way = [*way[:half], f"{len(way) - 2 * half:,} more", *way[-half:]]
        raise AssertionError(f"a path of {steps} leads there: {' -> '.join(way)}")


def assert_node_count(
    graph: Outputs, *, count: int, op: str | Op | None = None, scope: str | None = None,
    t: Any = None,
) -> None:  # fmt: skip
    """Assert that `count` nodes are of an op, in a scope or below it, and at a time.

    `graph` is a graph, or one or several tensors or nodes, which stand for all that they were
    computed from. What is None is not asked for. Raises AssertionError with what was found,
    ValueError for an op that there is not, TypeError for what has no graph.

    >>> x = engine.ones(2, requires_grad=True)
    >>> engine.testing.assert_node_count(engine.tanh(engine.tanh(x)), op="tanh", count=2)
    """
    if not is_whole(count, 0):
        raise ValueError(f"assert_node_count: count must be an integer from 0, got {count!r}")
    nodes = behind(_roots("assert_node_count: graph", graph))
    name = op.name if isinstance(op, Op) else op
    if name is not None:
        _check_op(name, op, nodes)
    found = [
        node
        for node in nodes
        if (name is None or node.op.name == name)
        and (scope is None or f"{node.scope.path}.".startswith(f"{scope}." if scope else ""))
        and (t is None or node.scope.labels.get("t") == t)
    ]
    if len(found) != count:
        kind = "".join([
            "" if name is None else f" of op {name!r}",
            "" if scope is None else f" in scope {scope!r}",
            "" if t is None else f" at t={t!r}",
        ])  # fmt: skip
        these = f": {_listed(map(_shown, found))}" if found else ""
        ops = Counter(node.op.name for node in nodes)
        there = ", ".join(f"{number} {one}" for one, number in sorted(ops.items())) or "nothing"
        raise AssertionError(
            f"expected {count} nodes{kind}, found {len(found)}{these}; in the graph: {there}"
        )


def assert_same_graph(one: Outputs, other: Outputs) -> None:
    """Assert that two graphs have the same nodes in the same order, of any values.

    Tensors stand for their graphs; TypeError for others. AssertionError has `Graph.diff`'s lines.

    >>> x = engine.ones(2, requires_grad=True)
    >>> engine.testing.assert_same_graph(engine.exp(x), engine.exp(x))
    """
    difference = graph_diff(_graph("one", one), _graph("other", other))
    if difference:
        raise AssertionError(f"the graphs differ:\n{difference}")


# ---- arguments


def _node(what: str, item: Any) -> Node:
    if isinstance(item, Tensor):
        return item.node
    if isinstance(item, Node):
        return item
    raise TypeError(f"{what} must be a tensor or a node, got {type(item).__name__}")


def _roots(what: str, item: Any) -> list[Node]:
    """Return the nodes of what stands for one or several."""
    if isinstance(item, Graph):
        return [out.node for out in item.outputs]
    if isinstance(item, tuple | list) and not isinstance(item, Node):
        return [_node(f"{what} number {place}", one) for place, one in enumerate(item)]
    if isinstance(item, Tensor | Node):
        return [_node(what, item)]
    kind = type(item).__name__
    raise TypeError(f"{what} must be a graph, or tensors or nodes, got {kind}")


def _graph(what: str, item: Any) -> Graph:
    """Return the graph of one or several tensors; a graph as it is."""
    if isinstance(item, Graph):
        return item
    tensors = item if isinstance(item, tuple | list) else (item,)
    if isinstance(item, Node) or not all(isinstance(x, Tensor) for x in tensors):
        kind = type(item).__name__
        raise TypeError(f"assert_same_graph: {what} must be a graph or tensors, got {kind}")
    return Graph.of(*tensors)


def _check_op(name: str, op: str | Op | None, nodes: Iterable[Node]) -> None:
    """Raise ValueError for the name of an op that is neither registered nor in the graph."""
    known = REGISTRY.keys() | UNREGISTERED | {node.op.name for node in nodes}
    if not isinstance(op, Op) and name not in known:
        close = get_close_matches(str(name), sorted(known), 1)
        fix = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"assert_node_count: there is no op {name!r}{fix}")


# ---- walks and words


def _shortest(source: Node, ends: Iterable[Node]) -> list[Node]:
    """Return the nodes of a shortest path from `source` to any of `ends`; empty for none."""
    after: dict[Node, Node | None] = dict.fromkeys(ends)
    queue = deque(after)
    while queue:
        node: Node | None = queue.popleft()
        if node is source:
            path = []
            while node is not None:
                path.append(node)
                node = after[node]
            return path
        assert node is not None
        for x in node.inputs:
            # What was born before the source was not computed from it.
            if type(x) is Tensor and x.node not in after and x.node.id >= source.id:
                after[x.node] = node
                queue.append(x.node)
    return []


def _shown(node: Node) -> str:
    """Return a node in a message: op or name, dtype and shape, scope."""
    name = f" {node.name!r}" if node.name and not node.inputs else ""
    shape = str(list(node.shape)).replace(" ", "")
    return f"{node.op.name}{name} {node.dtype}{shape}{node.scope.place}"


def _listed(names: Iterable[str]) -> str:
    """Return names with commas, the first of many."""
    every = list(names)
    rest = [f"{len(every) - SHOWN:,} more"] if len(every) > SHOWN else []
    return ", ".join([*every[:SHOWN], *rest])
