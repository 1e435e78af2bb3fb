"""A recorded graph as the graph of a picture, at four levels: op, gate, cell, or rolled up.

Above `grouping.py`, which says what shares a box; `drawing.py` lays the result out.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

from engine import Graph, Node, Tensor, expanded, unstacked
from engine.backends import DType
from viz.graphs.grouping import Hidden, Key, is_gap, is_input, keys_of, last_of_equations
from viz.graphs.leaves import initial_names, leaf_names, told_apart
from viz.graphs.model import Item, Link, Model
from viz.graphs.times import in_order
from viz.labels import LONGEST, count, short, symbol

CONST = "const"  # what has no name


def recorded(x: Tensor | Graph | Sequence[Tensor], level: str) -> Graph:
    """Return the graph to draw: the steps of fused recurrences put back.

    Above the level of ops what a step takes from a stack of earlier steps comes straight from
    them.
    """
    given = (x,) if isinstance(x, Tensor) else x.outputs if isinstance(x, Graph) else x
    outputs = expanded(*given)
    return Graph.of(*(outputs if level == "op" else unstacked(*outputs)))


def build(graph: Graph, level: str, hidden: Hidden | None = None) -> Model:
    """The boxes and edges of a recorded graph; `hidden` names the gap that a node is joined in."""
    keys = keys_of(graph, level, hidden)
    groups: dict[Key, list[Node]] = {}
    for node in graph.nodes:
        groups.setdefault(keys[node], []).append(node)
    if level != "op":  # index arrays and the like say nothing at this height
        groups = {key: own for key, own in groups.items()
                  if own[0].inputs or _kind(graph, key, own[0]) != "constant"}  # fmt: skip
    last = last_of_equations(graph)
    items = [_item(graph, n, key, own, level, last) for n, (key, own) in enumerate(groups.items())]
    member = {node: n for n, own in enumerate(groups.values()) for node in own}
    model = Model(level, items, [], member)
    if level == "op":
        _label_leaves(model, told_apart(graph))
    else:
        _label_parameters(graph, model, leaf_names(graph))
    _label_initial_states(model, initial_names(graph))
    _add_links(graph, model)
    _tell_apart(model)
    if level == "rolled":
        _fold_links(model)
    return model


def _item(
    graph: Graph, number: int, key: Key, own: list[Node], level: str, last: set[Node]
) -> Item:
    """One box."""
    first, end = own[0], own[-1]
    labels = first.scope.labels
    kind = _kind(graph, key, first)
    role = str(labels.get("state") or labels.get("gate") or labels.get("input") or "")
    if level == "gate" and kind in ("gate", "state") and isinstance(key, tuple):
        role = str(key[2])
    if level in ("cell", "rolled") and kind == "cell":
        role = ""
    label = _label(kind, first, own, role, last)
    return Item(
        number, kind, short(label), label,
        op=first.op.name if len(own) == 1 and first.inputs else "",
        t=labels.get("t") if level != "rolled" and kind != "gap" else None,
        layer=labels.get("layer"),
        direction=labels.get("direction"),
        cell=labels.get("cell") if first.inputs else None,
        role=role,
        block=labels.get("block"),
        shape=end.shape,
        dtype=_name(end.dtype),
        path=first.scope.path,
        members=len(own),
        is_state=kind == "state" or (level == "op" and "state" in labels),
        gap=(times[0], times[-1]) if (times := _times(own) if kind == "gap" else []) else None,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _name(dtype: DType) -> str:
    return str(dtype)


def _times(own: list[Node]) -> list[Any]:
    return [node.scope.labels["t"] for node in own if "t" in node.scope.labels]


def _kind(graph: Graph, key: Key, first: Node) -> str:
    if is_gap(key):
        return "gap"
    if not first.inputs:
        if graph.tensor(first).requires_grad:
            return "parameter"
        return "input" if is_input(first) else "constant"
    if isinstance(key, Node):
        return "gradient" if first.origin is not None else "op"
    assert isinstance(key, tuple)
    if first.origin is not None:
        return "gradient"
    if key[0] in ("input", "gate", "state"):
        return str(key[0])
    return "cell" if "cell" in first.scope.labels and "t" in first.scope.labels else "module"


def _label(kind: str, first: Node, own: list[Node], role: str, last: set[Node]) -> str:
    """Return the words in the box."""
    if kind == "gap":
        steps = len(set(_times(own)))
        return f"… {count(steps)} step{'s' * (steps != 1)}"
    if not first.inputs:
        return _common([node.name for node in own]) or role or CONST
    if kind in ("input", "gate", "state"):
        return role
    if kind == "cell":
        return str(first.scope.labels["cell"])
    if kind == "module":
        return first.scope.path or symbol(own[-1])
    if role and "," not in role and first in last and kind == "op":
        return f"{role} = {symbol(first)}"
    return symbol(first)


def _common(names: list[str]) -> str:
    """What the names of leaves that share a box begin with: ``x`` for ``x0`` and ``x1``."""
    if len(names) == 1:
        return names[0]
    columns = zip(*names, strict=False)
    shared = len(list(takewhile(lambda column: len(set(column)) == 1, columns)))
    whole = min(map(len, names)) == shared == max(map(len, names))
    return names[0] if whole else names[0][:shared].rstrip(" =:'\"0123456789")


def _label_leaves(model: Model, names: dict[Node, str]) -> None:
    """Call parameters by their names."""
    for node, name in names.items():
        item = model.items[model.member[node]]
        if item.kind == "parameter":
            item.label, item.full = short(name), name


def _label_initial_states(model: Model, names: dict[Node, str]) -> None:
    """Call the states before the first step so that no state after a step is called the same."""
    for node, name in names.items():
        item = model.items[model.member[node]] if node in model.member else None
        if item is not None and item.kind == "input" and item.members == 1:
            item.label, item.full = short(name), name


def _tell_apart(model: Model) -> None:
    """Add its layer, or else a number, to the name of an input that others have too."""
    owners = [item for item in model.items
              if item.kind == "input" and item.t is None and item.full != CONST]  # fmt: skip
    names = Counter(item.full for item in owners)
    users = {link.source: model.items[link.target] for link in reversed(model.links)}
    for item in owners:
        user = users.get(item.key)
        if names[item.full] > 1 and user is not None and user.layer is not None:
            back = " reverse" if user.direction == "reverse" else ""
            item.full = f"{item.full} l{user.layer}{back}"
    seen: Counter[str] = Counter()
    for item in owners:
        seen[item.full] += 1
        item.full += f" ({seen[item.full]})" if seen[item.full] > 1 else ""
        item.label = short(item.full)


def _label_parameters(graph: Graph, model: Model, called: dict[Node, str]) -> None:
    """Call the parameters of one module by its path, and say below which they are."""
    names: dict[int, list[str]] = {}
    paths: dict[int, str] = {}
    for node, n in model.member.items():
        if model.items[n].kind == "parameter":
            names.setdefault(n, []).append(called[node])
    for source, target, _ in graph.edges:
        n = model.member.get(source, -1)
        if n in names and target.scope.path:
            paths.setdefault(n, target.scope.path)
    apart = told_apart(graph) if len(paths) < len(names) else called
    alone = {n: apart[node] for node, n in model.member.items() if n in names}
    for n, own in names.items():
        own = own if n in paths or len(own) > 1 else [alone[n]]
        full = ", ".join(own)
        label = f"θ {paths[n]}" if n in paths else full
        item = model.items[n]
        item.label, item.full = short(label), f"{label}: {full}"
        item.sub = (
            short(full) if len(own) == 1 or len(full) <= LONGEST else f"{len(own)} parameters"
        )


def _add_links(graph: Graph, model: Model) -> None:
    """Add an edge for each source node and joint use of it, keyed by both.

    What comes out of a gap is one edge for each state and use, however many steps are in it.
    """
    member, items, number = model.member, model.items, graph.number
    ranks = _ranks(graph)
    found: dict[tuple[int, int, Hashable], Link] = {}
    sources: dict[tuple[int, int, Hashable], dict[Node, None]] = {}
    for source, target, slot in graph.edges:
        a, b = member.get(source), member.get(target)
        if a is None or b is None:  # a constant that is not drawn
            continue
        dt = _delay(source, target, ranks)
        left_out = items[a].kind == "gap"
        if a == b and (left_out or not dt):
            continue
        kind = "parameter" if items[a].kind == "parameter" else "data"
        use = use_of(model, target, slot)
        label = str(source.scope.labels.get("state") or source.name or "")
        own: Hashable = a if kind == "parameter" else label if left_out else number[source]
        place: tuple[int, int, Hashable] = (a, b, (own, use))
        if place not in found:
            if kind == "data" and _enters_block(source, target):
                kind, dt = "context", 0
            found[place] = Link(a, b, (own, use), "time" if dt else kind, slot, dt, label, (), use)
            sources[place] = {}
        sources[place][source] = None
    for place, link in found.items():
        link.sources = tuple(sources[place])
    model.links.extend(found.values())


def use_of(model: Model, node: Node, slot: int) -> Hashable:
    """The joint use that the use of input `slot` by `node` is part of; None where none is drawn.

    Uses of one box are joint above the level of ops, and where one of the two ends is a gap.
    """
    n = model.member.get(node)
    if n is None:
        return None
    if model.level != "op" or model.items[n].kind == "gap":
        return (n, 0)
    source = node.input(slot)
    m = model.member.get(source.node) if isinstance(source, Tensor) else None
    return (n, "gap" if m is not None and model.items[m].kind == "gap" else slot)


def _ranks(graph: Graph) -> dict[Any, int]:
    """Return the place of each step among those of its block, where times are no numbers."""
    times: dict[Any, dict[Any, None]] = {}
    for node in graph.nodes:
        labels = node.scope.labels
        if "t" in labels:
            times.setdefault(labels.get("block"), {})[labels["t"]] = None
    return {
        (block, t): rank
        for block, own in times.items()
        if not all(isinstance(t, int | float) for t in own)
        for rank, t in enumerate(in_order(own))
    }


def _delay(source: Node, target: Node, ranks: dict[Any, int]) -> int:
    """Return how many steps an edge spans; 0 where one of its ends is outside of time."""
    a, b = source.scope.labels, target.scope.labels
    if "t" not in a or "t" not in b or a.get("block") != b.get("block"):
        return 0
    if ranks:
        start, end = ranks.get((a.get("block"), a["t"])), ranks.get((b.get("block"), b["t"]))
        if start is not None and end is not None:
            return end - start
    dt: int = b["t"] - a["t"]
    return dt


def _enters_block(source: Node, target: Node) -> bool:
    """Whether an edge leads from a step of one block, an encoder say, into one of another."""
    a, b = source.scope.labels, target.scope.labels
    return "t" in a and "t" in b and a.get("block") != b.get("block")


def _fold_links(model: Model) -> None:
    """Join the edges between each pair of rolled boxes that have one delay, and their labels."""
    kept: dict[tuple[int, int, int], Link] = {}
    sources: dict[tuple[int, int, int], dict[Node, None]] = {}
    for link in model.links:
        place = (link.source, link.target, link.dt)
        if link.source == link.target and not link.dt:
            continue
        sources.setdefault(place, {}).update(dict.fromkeys(link.sources))
        if place not in kept:
            kept[place] = link
        elif link.label:
            labels = kept[place].label.split(", ")
            if link.label not in labels:
                kept[place].label = ", ".join(filter(None, [*labels, link.label]))
    for place, link in kept.items():
        link.sources = tuple(sources[place])
    model.links[:] = kept.values()
