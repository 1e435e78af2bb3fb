"""A recorded graph for networkx, at three levels: every op, a box a cell and step, or rolled up.

What is known of cells and time is read from the scopes on the nodes. Above the engine; `draw.py`
lays the result out.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import networkx as nx

from engine import Graph, Node, Tensor, expanded
from viz.labels import LONGEST, count, short, symbol

LEVELS = ("op", "cell", "rolled")

Key = Hashable
GAP = ("gap",)


@dataclass(frozen=True)
class Level:
    """A drawing's graph, and which of its nodes and edges each node and use belongs to."""

    graph: nx.MultiDiGraph
    member: dict[Node, int]
    use: Callable[[Node, int], Hashable]


def to_networkx(x: Tensor | Graph, level: str = "op") -> nx.MultiDiGraph:
    """The graph that led to `x` as a networkx MultiDiGraph, nodes numbered in topological order.

    `level` is ``"op"`` (a node an op), ``"cell"`` (a node for each module or cell and time step)
    or ``"rolled"`` (time folded, edges with their delay). Nodes carry kind, label, op, t, layer,
    direction, cell, role, shape, dtype, path, members; edges carry kind, slot, dt, label.
    Raises ValueError for an unknown level.

    >>> import engine, rnn, viz
    >>> y, _ = rnn.GRU(3, 4)(engine.ones((5, 1, 3)))
    >>> [d["label"] for _, d in viz.to_networkx(y, "rolled").nodes(data=True) if d["cell"]]
    ['GRUCell', 'stack']
    """
    return build(x, level).graph


def build(
    x: Tensor | Graph, level: str, hidden: Callable[[Node], bool] = lambda node: False
) -> Level:
    """`to_networkx` with its bookkeeping; nodes that are `hidden` are joined in one gap."""
    if level not in LEVELS:
        raise ValueError(f"unknown level {level!r}; there are {', '.join(map(repr, LEVELS))}")
    graph = Graph.of(*expanded(*(x.outputs if isinstance(x, Graph) else (x,))))
    keys = _keys(graph, level, hidden)
    numbers: dict[Key, int] = {}
    member = {node: numbers.setdefault(keys[node], len(numbers)) for node in graph.nodes}
    members: list[list[Node]] = [[] for _ in numbers]
    for node in graph.nodes:
        members[member[node]].append(node)

    def use(node: Node, slot: int) -> Hashable:
        return (member[node], slot) if level == "op" else (member[node], 0)

    result = nx.MultiDiGraph(level=level)
    makers = _makers(graph)
    for key, own in zip(numbers, members, strict=True):
        result.add_node(numbers[key], **_attributes(graph, key, own, level, makers))
    if level != "op":
        _label_parameters(graph, result, member)
    _add_edges(graph, result, member, use)
    if level != "op":  # index arrays and the like say nothing at this height
        result.remove_nodes_from([n for n, d in result.nodes(data=True) if d["kind"] == "constant"])
    if level == "rolled":
        _fold_edges(result)
    return Level(result, member, use)


def _keys(graph: Graph, level: str, hidden: Callable[[Node], bool]) -> dict[Node, Key]:
    """What each node is drawn as: nodes of one key share a box."""
    keys: dict[Node, Key] = {}
    for node in graph.nodes:
        if hidden(node):
            keys[node] = GAP
        elif level == "op":
            keys[node] = node
        else:
            keys[node] = _group(node, folded=level == "rolled")
    if level == "op":
        return keys
    keys = _without_cycles(graph, keys)
    return keys | _leaf_sets(graph, keys, folded=level == "rolled")


def _leaf_sets(graph: Graph, keys: dict[Node, Key], *, folded: bool) -> dict[Node, Key]:
    """Leaves that feed the same boxes share one: the weights of a cell; rolled up, its inputs."""
    users: dict[Node, dict[Key, None]] = {}
    for source, target, _ in graph.edges:
        trained = graph.tensor(source).requires_grad
        given = folded and "t" in source.scope.labels and _kind(graph, None, source) == "input"
        if not source.inputs and (trained or given):
            users.setdefault(source, {trained: None})[keys[target]] = None
    return {node: ("leaves", *own) for node, own in users.items() if keys[node] != GAP}


def _group(node: Node, *, folded: bool) -> Key:
    """The box of a node at the levels above ops: its module at its step, or itself."""
    t = None if folded and "t" in node.scope.labels else node.scope.labels.get("t")
    timed = "t" in node.scope.labels
    labels = node.scope.labels
    if not node.inputs:
        return node
    if "input" in labels:
        return ("input", node.scope.path, labels["input"], t, timed)
    if not node.scope.path and not timed:
        return node
    part = node.op.name if not node.scope.path else ""
    return ("module", node.scope.path, part, t, timed, node.origin is not None)


def _without_cycles(graph: Graph, keys: dict[Node, Key]) -> dict[Node, Key]:
    """Take groups apart that would run in a circle: a module called twice without a time step.

    Circles through time (dt != 0) are what a rolled picture shows, so they stay.
    """
    groups = nx.DiGraph()
    groups.add_nodes_from(dict.fromkeys(keys.values()))
    for source, target, _ in graph.edges:
        same = source.scope.labels.get("t") == target.scope.labels.get("t")
        if keys[source] != keys[target] and same:
            groups.add_edge(keys[source], keys[target])
    circular = {key for part in nx.strongly_connected_components(groups) if len(part) > 1
                for key in part}  # fmt: skip
    return {node: node if key in circular else key for node, key in keys.items()}


def _makers(graph: Graph) -> set[Node]:
    """The nodes that end an equation: no other node of the same equation uses them."""
    inner = {
        source
        for source, target, _ in graph.edges
        if source.scope == target.scope and source.origin is target.origin
    }
    return {node for node in graph.nodes if node not in inner}


def _attributes(
    graph: Graph, key: Key, own: list[Node], level: str, makers: set[Node]
) -> dict[str, Any]:
    """What networkx is told of one box."""
    first, last = own[0], own[-1]
    labels = first.scope.labels
    kind = _kind(graph, key, first)
    role = str(labels.get("state") or labels.get("gate") or labels.get("input") or "")
    single = len(own) == 1
    return {
        "kind": kind,
        "label": short(_label(kind, first, own, role, makers)),
        "full": _label(kind, first, own, role, makers),
        "op": first.op.name if single and first.inputs else "",
        "t": labels.get("t") if level != "rolled" and kind != "gap" else None,
        "timed": "t" in labels,
        "layer": labels.get("layer"),
        "direction": labels.get("direction"),
        "cell": labels.get("cell") if first.inputs else None,
        "role": role if level == "op" else "",
        "is_state": "state" in labels and level == "op",
        "shape": last.shape,
        "dtype": str(last.dtype),
        "path": first.scope.path,
        "members": len(own),
    }


def _kind(graph: Graph, key: Key, first: Node) -> str:
    if key == GAP:
        return "gap"
    if not first.inputs:
        if graph.tensor(first).requires_grad:
            return "parameter"
        return "input" if first.name or "input" in first.scope.labels else "constant"
    if isinstance(key, Node):
        return "gradient" if first.origin is not None else "op"
    if isinstance(key, tuple) and key[0] == "input":
        return "input"
    if first.origin is not None:
        return "gradient"
    return "cell" if "cell" in first.scope.labels and "t" in first.scope.labels else "module"


def _label(kind: str, first: Node, own: list[Node], role: str, makers: set[Node]) -> str:
    """The words in the box."""
    if kind == "gap":
        steps = sorted({node.scope.labels["t"] for node in own})
        return f"… {count(len(steps))} steps"
    if not first.inputs:
        return _common([node.name for node in own]) or role or "const"
    if kind == "input":
        return role
    if kind == "cell":
        return str(first.scope.labels["cell"])
    if kind == "module" and not (len(own) == 1 and "cell" in first.scope.labels):
        return first.scope.path or symbol(own[-1])
    if role and "," not in role and first in makers and kind == "op":
        return f"{role} = {symbol(first)}"
    return symbol(first)


def _common(names: list[str]) -> str:
    """What the names of leaves that share a box begin with: ``x`` for ``x0`` and ``x1``."""
    first = names[0]
    shared = next((i for i, column in enumerate(zip(*names, strict=False)) if len(set(column)) > 1),
                  min(map(len, names)))  # fmt: skip
    return first if len(names) == 1 else first[:shared].rstrip(" =:'\"0123456789")


def _label_parameters(graph: Graph, result: nx.MultiDiGraph, member: dict[Node, int]) -> None:
    """Call the parameters of one module by its path, and say below which they are."""
    names: dict[int, list[str]] = {}
    paths: dict[int, str] = {}
    for node in graph.nodes:
        if not node.inputs and graph.tensor(node).requires_grad:
            names.setdefault(member[node], []).append(node.name or "parameter")
    for source, target, _ in graph.edges:
        if member[source] in names and target.scope.path:
            paths.setdefault(member[source], target.scope.path)
    for n, own in names.items():
        full = ", ".join(own)
        label = f"θ {paths[n]}" if n in paths else full
        below = full if len(full) <= LONGEST else f"{len(own)} parameters"
        result.nodes[n].update(label=short(label), full=f"{label}: {full}", sub=below)


def _add_edges(
    graph: Graph,
    result: nx.MultiDiGraph,
    member: dict[Node, int],
    use: Callable[[Node, int], Hashable],
) -> None:
    """An edge for each source node and joint use of it, keyed by both."""
    number = graph.number
    for source, target, slot in graph.edges:
        a, b = member[source], member[target]
        if a == b and (result.nodes[a]["kind"] == "gap" or not _delay(source, target)):
            continue
        kind = "parameter" if result.nodes[a]["kind"] == "parameter" else "data"
        key = (a if kind == "parameter" else number[source], use(target, slot))
        if result.has_edge(a, b, key):
            sources = result.edges[a, b, key]["sources"]
            sources += () if source in sources else (source,)
            continue
        delay = _delay(source, target)
        state = source.scope.labels.get("state")
        result.add_edge(
            a, b, key=key, kind="time" if delay else kind, slot=slot, dt=delay,
            label=str(state or source.name or ""), sources=[source], use=key[1],
        )  # fmt: skip


def _delay(source: Node, target: Node) -> int:
    """How many steps an edge spans; 0 where one of its ends is outside of time."""
    a, b = source.scope.labels.get("t"), target.scope.labels.get("t")
    return 0 if a is None or b is None else b - a


def _fold_edges(result: nx.MultiDiGraph) -> None:
    """Join the edges between each pair of rolled nodes that have one delay, and their labels."""
    kept: dict[tuple[int, int, int], dict[str, Any]] = {}
    for a, b, key, data in list(result.edges(keys=True, data=True)):
        if a == b and not data["dt"]:
            result.remove_edge(a, b, key)
        elif (place := (a, b, data["dt"])) not in kept:
            kept[place] = data
        else:
            labels = kept[place]["label"].split(", ")
            if data["label"] and data["label"] not in labels:
                kept[place]["label"] = ", ".join(filter(None, [*labels, data["label"]]))
            result.remove_edge(a, b, key)
