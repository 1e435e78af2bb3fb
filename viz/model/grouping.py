"""Group the nodes of a recorded graph that share a box: at each level a key for every node.

What is known of cells and time is read from the scopes on the nodes. Below `levels.py`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping

import networkx as nx

from engine import Graph, Node
from engine.scope import Scope
from viz.model.inputs import given_leaves

LEVELS = ("op", "gate", "cell", "rolled")

Key = Hashable
Hidden = Callable[[Node], Hashable | None]


def keys_of(
    graph: Graph,
    level: str,
    hidden: Hidden | None,
    states: Collection[Node],
    calls: Mapping[Node, int],
) -> dict[Node, Key]:
    """Return what each node is drawn as: nodes of one key share a box.

    What `hidden` says of a node names the gap that it is joined in; None: it is shown. `states` are
    those before the first step, `calls` as `calls_of` has them.

    Raises ValueError for an unknown level.
    """
    if level not in LEVELS:
        raise ValueError(f"unknown level {level!r}; there are {', '.join(map(repr, LEVELS))}")
    gone: dict[Node, Key] = {}
    if hidden is not None:
        gone = {node: ("gap", gap) for node in graph.nodes if (gap := hidden(node)) is not None}
    if level == "op":
        return {node: gone.get(node, node) for node in graph.nodes}
    grouped = _by_equation(graph, calls) if level == "gate" else {}
    folded = level == "rolled"
    keys: dict[Node, Key] = {}
    for node in graph.nodes:
        own = _module(node, calls.get(node, 0), folded=folded)
        keys[node] = gone.get(node) or grouped.get(node) or own
    keys = _without_cycles(graph, keys) | _same_inputs(graph, gone)
    return keys | _leaf_sets(graph, keys, states, folded=folded)


def calls_of(graph: Graph) -> dict[Node, int]:
    """Return in which call of a cell at its step each node was made: 0 in the first.

    A network that reads two sequences calls its cell twice at each step, and in a loop by hand two
    cells may have one name, none. A call has scopes of its own, which tell it from the next one.
    """
    found: dict[Node, int] = {}
    now: dict[Hashable, tuple[int, dict[Hashable, Scope]]] = {}
    for node in graph.nodes:
        labels = node.scope.labels
        if not node.inputs or "cell" not in labels or "t" not in labels or "input" in labels:
            continue
        place = (node.scope.path, labels["cell"], labels["t"], labels.get("block"),
                 labels.get("direction"), node.origin is not None)  # fmt: skip
        number, scopes = now.get(place, (0, {}))
        role = (labels.get("gate"), labels.get("state"))
        if scopes.setdefault(role, node.scope) is not node.scope:
            number, scopes = number + 1, {role: node.scope}
        now[place] = number, scopes
        found[node] = number
    return found


def _module(node: Node, call: int, *, folded: bool) -> Key:
    """Return the box of a node at the level of cells: its module at its step, or itself."""
    labels = node.scope.labels
    timed = "t" in labels
    t = None if folded and timed else labels.get("t")
    path = node.scope.path
    if not node.inputs:
        return node
    if "input" in labels:
        return ("input", path, labels["input"], t, timed, labels.get("block"))
    if not path and not timed:
        return node
    if "cell" in labels and not timed:  # what a layer does around its steps
        return node
    part = "" if path else labels.get("cell") or node.op.name  # a cell without a name
    return ("module", path, part, t, timed, node.origin is not None, labels.get("block"), call)


def _by_equation(graph: Graph, calls: Mapping[Node, int]) -> dict[Node, Key]:
    """Return the equation of each node that is part of one; a slice goes where it is used."""
    found: dict[Node, Key] = {}
    users: dict[Node, list[Node]] = {}
    for source, target, _ in graph.edges:
        users.setdefault(source, []).append(target)
    for node in reversed(graph.nodes):
        labels = node.scope.labels
        name = labels.get("state") or labels.get("gate")
        if name is None or not node.inputs or "input" in labels:
            continue
        if "," in name:
            taken = {found.get(user) for user in users.get(node, ())}
            if len(taken) == 1 and None not in taken:
                found[node] = taken.pop()
                continue
        kind = "state" if "state" in labels else "gate"
        gradient = node.origin is not None
        place = (labels.get("t"), "t" in labels, labels.get("block"), calls.get(node, 0))
        found[node] = (kind, node.scope.path, name, *place, gradient)
    return found


def _without_cycles(graph: Graph, keys: dict[Node, Key]) -> dict[Node, Key]:
    """Take groups apart that would run in a circle within a step: a module called twice in it."""
    if not (circular := _circular(graph, keys)):
        return keys
    order: Counter[Hashable] = Counter()
    told = dict(keys)  # only their order tells ops between the layers of a stack apart
    for node in graph.nodes:
        if keys[node] in circular and node.inputs and not node.scope.path:
            place = keys[node], node.scope.labels.get("t")
            told[node] = ("ordered", keys[node], order[place])
            order[place] += 1
    circular = _circular(graph, told)
    return {node: node if key in circular else key for node, key in told.items()}


def _circular(graph: Graph, keys: dict[Node, Key]) -> set[Key]:
    """Return the groups that run in a circle within a step."""
    groups = nx.DiGraph()
    groups.add_nodes_from(dict.fromkeys(keys.values()))
    for source, target, _ in graph.edges:
        a, b = keys[source], keys[target]
        if a != b and source.scope.labels.get("t") == target.scope.labels.get("t"):
            groups.add_edge(a, b)
    return {key for part in nx.strongly_connected_components(groups) if len(part) > 1
            for key in part}  # fmt: skip


def _same_inputs(graph: Graph, gone: dict[Node, Key]) -> dict[Node, Key]:
    """Return the shared box of inputs that a layer takes twice, for its two directions."""
    first: dict[Key, Node] = {}
    found: dict[Node, Key] = {}
    for node in graph.nodes:
        labels = node.scope.labels
        if node.inputs or "input" not in labels or "t" not in labels or node in gone:
            continue
        place = (labels.get("block"), labels.get("layer"), labels["input"], labels["t"])
        other = first.setdefault((*place, node.shape), node)
        if other is not node and (graph.tensor(other).data == graph.tensor(node).data).all():
            found[other] = found[node] = ("given", *place)
    return found


def _leaf_sets(
    graph: Graph, keys: dict[Node, Key], states: Collection[Node], *, folded: bool
) -> dict[Node, Key]:
    """Let leaves that feed the same boxes share one: weights, initial states, inputs if folded."""
    taken = given_leaves(graph) if folded else {}
    users: dict[Node, dict[Key, None]] = {}
    for source, target, _ in graph.leaf_edges:
        trained = graph.tensor(source).requires_grad
        named = "t" in source.scope.labels and is_input(source)
        given = folded and (named or source in taken)
        first = source in states and not trained
        if trained or given or first:
            users.setdefault(source, {(trained, first): None})[keys[target]] = None
    return {node: ("leaves", *own) for node, own in users.items() if not is_gap(keys[node])}


def is_gap(key: Key) -> bool:
    """Return whether a key is that of steps that are left out."""
    return type(key) is tuple and key[0] == "gap"


def is_input(leaf: Node) -> bool:
    """Return whether a leaf that is no parameter says something: it has a name, or is an input."""
    return bool(leaf.name) or "input" in leaf.scope.labels


def last_of_equations(graph: Graph) -> set[Node]:
    """Return the nodes that end an equation: no other node of the same equation uses them."""
    inner = {
        source
        for source, target, _ in graph.edges
        if source.origin is target.origin
        and (source.scope is target.scope or source.scope == target.scope)
    }
    return {node for node in graph.nodes if node not in inner}
