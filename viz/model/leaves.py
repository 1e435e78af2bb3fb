"""Name leaves: parameters told apart, states before the first step, inputs by hand.

Each name means one thing in a picture: h₋₁ is the state that step 0 reads, h0 the one that it
makes, not after the tensor. Below `names.py` and `levels.py`.
"""

import re
from collections import Counter
from collections.abc import Iterator

from engine import Graph, Node
from engine.reading.variables import StateRun, state_runs

BEFORE = re.compile(r"(?<=[^\W\d])-\d+(?=_l\d|$)")  # the time of a state before step 0
LOWERED = str.maketrans("-0123456789", "₋₀₁₂₃₄₅₆₇₈₉")
RAISED = str.maketrans("₋₀₁₂₃₄₅₆₇₈₉", "-0123456789")
LAYER = re.compile(r"(?:^|\.)(l\d+(?:_reverse)?)$")
FIRST = re.compile(r"([^\W\d]+)0")  # the name that a state before the first step is made with


def shown_name(name: str) -> str:
    """Return a name as pictures show it, with no minus that could be read as a difference: h₋₁."""
    return BEFORE.sub(lambda found: found.group().translate(LOWERED), name)


def typed_name(name: str) -> str:
    """Return a name as it is typed, from one as pictures show it: h-1."""
    return name.translate(RAISED)


def leaf_names(graph: Graph) -> dict[Node, str]:
    """Return the names of leaves that require a gradient; those without one are counted."""
    leaves = [n for n in graph.nodes if not n.inputs and graph.tensor(n).requires_grad]
    unnamed = [node for node in leaves if not node.name]
    counted = {node: f"parameter {i}" if len(unnamed) > 1 else "parameter"
               for i, node in enumerate(unnamed, 1)}  # fmt: skip
    return {node: node.name or counted[node] for node in leaves}


def told_apart(graph: Graph) -> dict[Node, str]:
    """Return the names of leaves that require a gradient, each a different one.

    Those with one name are told apart by their layer, as weights of layers are called, else by the
    path of what uses them first, else by a number.

    >>> import engine, rnn
    >>> (y,) = engine.expanded(rnn.GRU(3, 4, num_layers=2, bias=False)(engine.ones((2, 1, 3)))[0])
    >>> list(told_apart(engine.Graph.of(y)).values())
    ['weight_ih_l0', 'weight_hh_l0', 'weight_ih_l1', 'weight_hh_l1']
    """
    plain, paths = leaf_names(graph), first_paths(graph)
    groups: dict[str, list[Node]] = {}
    for node, name in plain.items():
        groups.setdefault(name, []).append(node)
    found: dict[Node, str] = {}
    for name, own in groups.items():
        ways = ([name] * len(own), [_with_layer(name, paths.get(node, "")) for node in own],
                [f"{paths[node]}.{name}" if node in paths else name for node in own])  # fmt: skip
        best = next((way for way in ways if len(set(way)) == len(own)), None)
        found |= zip(own, best or _numbered(ways[-1]), strict=True)
    return {node: found[node] for node in plain}


def _with_layer(name: str, path: str) -> str:
    layer = LAYER.search(path)
    return f"{name}_{layer.group(1)}" if layer else name


def _numbered(names: list[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield f"{name} ({seen[name]})" if seen[name] > 1 else name


def first_paths(graph: Graph) -> dict[Node, str]:
    """Return the path of what uses each leaf first, of those that any path uses."""
    paths: dict[Node, str] = {}
    for source, target, _ in graph.leaf_edges:
        if target.scope.path:
            paths.setdefault(source, target.scope.path)
    return paths


def initial_names(graph: Graph) -> dict[Node, str]:
    """Return the names of the states before the first step: h₋₁ for h0 that step 0 reads.

    >>> import engine, rnn
    >>> (y,) = engine.expanded(rnn.LSTM(3, 4)(engine.ones((2, 1, 3)))[0])
    >>> list(initial_names(engine.Graph.of(y)).values())
    ['h₋₁', 'c₋₁']
    """
    named = {node: first.group(1) for node in graph.nodes
             if not node.inputs and (first := FIRST.fullmatch(node.name or ""))}  # fmt: skip
    found: dict[Node, str] = {}
    states: set[tuple[str, str]] = set()
    last = None
    for node in graph.nodes if named else ():
        if node.scope is not last:
            last = node.scope
            if "state" in last.labels and "cell" in last.labels:
                states.add((last.labels["cell"], last.labels["state"]))
    for source, target, _ in graph.leaf_edges if named else ():
        labels = target.scope.labels
        own = labels.get("cell"), named.get(source)
        if own in states and source not in found and isinstance(labels.get("t"), int):
            found[source] = shown_name(f"{named[source]}{_before(labels['t'], target)}")
    return found


def _before(t: int, node: Node) -> int:
    """Return the time before a step, in the direction of its cell."""
    return t + (1 if node.scope.labels.get("direction") == "reverse" else -1)


def given_names(graph: Graph, runs: list[StateRun] | None = None) -> dict[Node, str]:
    """Return names of leaves that have none, and that steps of cells take: of a loop by hand.

    Inputs are called x, states before the first step as `initial_names` has them, and what was
    made of such a state without a gradient "from m₋₁". `runs` are the graph's where they are known.

    >>> import engine, rnn
    >>> cell, h = rnn.GRUCell(3, 4), engine.zeros((1, 4))
    >>> for t in range(2):
    ...     with engine.scope(t=t): y, h = cell(engine.ones((1, 3)), h)
    >>> list(given_names(engine.Graph.of(y)).values())
    ['x', 'h₋₁', 'x']
    """
    users = _users_of_unnamed(graph)
    if not users:
        return {}
    runs = state_runs(graph) if runs is None else runs
    states = dict(_states_before(runs))
    made = dict(_made_of_states(runs, users))
    inputs = {node: "x" for node in users if "cell" not in node.scope.labels}
    known = inputs | made | states
    return {node: known[node] for node in users if node in known}


def starting_states(graph: Graph) -> dict[Node, str]:
    """Return the names of all states before the first step, called something or not."""
    found = initial_names(graph)
    users = _users_of_unnamed(graph)
    if users:
        known = _states_before(state_runs(graph))
        found |= {node: name for node, name in known if node in users}
    return found


def _users_of_unnamed(graph: Graph) -> dict[Node, list[Node]]:
    """Return the leaves without a name that steps of cells take, each with what takes it."""
    users: dict[Node, list[Node]] = {}
    for source, target, _ in graph.leaf_edges:
        labels = target.scope.labels
        if "cell" in labels and isinstance(labels.get("t"), int) and _is_unnamed(graph, source):
            users.setdefault(source, []).append(target)
    return users


def _is_unnamed(graph: Graph, node: Node) -> bool:
    named = node.inputs or node.name or "input" in node.scope.labels
    return not named and not graph.tensor(node).requires_grad


def _states_before(runs: list[StateRun]) -> Iterator[tuple[Node, str]]:
    """Yield the states before the first step that the graph tells."""
    for run in runs:
        for name, state in zip(run.names, run.before or (), strict=False):
            t = _before(run.times[0], run.after[0][0].node)
            yield state.node, shown_name(f"{name}{t}")


def _made_of_states(
    runs: list[StateRun], users: dict[Node, list[Node]]
) -> Iterator[tuple[Node, str]]:
    """Yield leaves within the first step that stand where later steps read a state."""
    for run in runs:
        if run.before is not None or len(run.times) < 2:
            continue
        first, second = (_within(run, users, t) for t in run.times[:2])
        for name in run.names:
            if len(first.get(name, ())) == 1 and name not in second:
                t = _before(run.times[0], run.after[0][0].node)
                yield first[name][0], f"from {shown_name(f'{name}{t}')}"


def _within(run: StateRun, users: dict[Node, list[Node]], t: int) -> dict[str, list[Node]]:
    """Return the leaves that were made within a step, by the state that is computed of them."""
    found: dict[str, list[Node]] = {}
    for node, own in users.items():
        labels = own[0].scope.labels
        same = labels.get("t") == t and own[0].scope.path == run.path
        if same and "cell" in node.scope.labels and "state" in labels:
            found.setdefault(str(labels["state"]), []).append(node)
    return found
