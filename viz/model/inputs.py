"""Choose and place the leaves without a gradient in a picture: inputs and initial states.

Above `elements.py` and `leaves.py`, which has their names; below `levels.py`.
"""

from collections.abc import Mapping
from typing import Any

from engine import Graph, Node
from viz.model.elements import Item, Link, Model
from viz.model.leaves import given_names, shown_name

INITIAL = "initial"  # the role of an initial state
GIVEN = "input"  # the label of an input of which no more is known
NUMBERS = frozenset("fc")  # the kinds of dtypes that say something: no index arrays


def given_leaves(graph: Graph) -> dict[Node, Any]:
    """Return the leaves that cells take from outside, as in a loop by hand, with their time.

    The time is None for what several steps take.
    """
    found: dict[Node, Any] = {}
    for source, target, _ in graph.leaf_edges:
        labels = target.scope.labels
        if not source.shape or source.dtype.kind not in NUMBERS:
            continue
        if "cell" in labels and "input" not in labels and "cell" not in source.scope.labels:
            t = labels.get("t")
            found[source] = t if found.get(source, t) == t else None
    return found


def cut_leaves(graph: Graph) -> set[Node]:
    """Return the leaves that are only cut into the inputs of steps, which have boxes themselves."""
    users: dict[Node, list[Node]] = {}
    for source, target, _ in graph.leaf_edges:
        users.setdefault(source, []).append(target)
    return {leaf for leaf, own in users.items() if all("input" in n.scope.labels for n in own)}


def label_inputs(
    graph: Graph, model: Model, given: Mapping[Node, Any], states: Mapping[Node, str]
) -> None:
    """Tell initial states and inputs without a name from constants; inputs stand at their step."""
    shown = {item.t for item in model.items if item.gap is None}
    names: dict[Node, str] | None = None
    initial: dict[int, list[str]] = {}  # the names in each box
    for node, n in model.member.items():
        item = model.items[n]
        if node.inputs or item.kind not in ("input", "constant"):
            continue
        if node in states:
            initial.setdefault(n, []).append(states[node])
            continue
        if node in given and item.kind == "constant":
            names = given_names(graph) if names is None else names
            item.kind = "input"
            item.label = item.full = names.get(node, GIVEN)
        if node in given and item.t is None and given[node] in shown:
            item.t = given[node]
    for n, own in initial.items():
        item = model.items[n]
        item.kind, item.role, item.t = "input", INITIAL, None
        item.label, item.sub, item.full = own[0], ", ".join(own[1:]), ", ".join(own)


def complete_states(model: Model) -> None:
    """Let states begin that nothing recorded brings to the first step of their cell.

    What a step makes of an initial state alone, half of it say, needs no gradient, so that it is
    not recorded. Where all other states of the cell begin at zero this one does too.
    """
    into: dict[int, list[Link]] = {}
    onward: dict[int, dict[str, None]] = {}  # the states that a box hands to later steps
    for link in model.links:
        into.setdefault(link.target, []).append(link)
        if link.kind == "time":
            onward.setdefault(link.source, {})[link.label] = None
    for n, names in onward.items():
        own = into.get(n, [])
        stubs = [link.source for link in own if model.items[link.source].role == INITIAL]
        if (
            not stubs
            or not isinstance(model.items[n].t, int)
            or not all(_is_plain(model, link) for link in own)
        ):
            continue
        stub, t = model.items[stubs[0]], model.items[n].t
        before = t + (1 if model.items[n].direction == "reverse" else -1)
        for name in (shown_name(f"{name}{before}") for name in names):
            if name not in stub.full.split(", "):
                _begin(model, stub, n, name)


def _is_plain(model: Model, link: Link) -> bool:
    """Return whether an edge into a step brings an initial state, an input, or weights."""
    source, target = model.items[link.source], model.items[link.target]
    own = source.t is not None and source.t == target.t
    return source.role == INITIAL or source.kind == "parameter" or own


def _begin(model: Model, stub: Item, n: int, name: str) -> None:
    stub.sub = ", ".join(filter(None, [stub.sub, name]))
    stub.full = f"{stub.full}, {name}"
    model.links.append(Link(stub.key, n, (name, n), "data", label=name, use=(n, 0)))
