"""Link the boxes of a picture: by the uses of what one made by the other, through time or not.

Above `elements.py`, below `levels.py`.
"""

from collections.abc import Hashable
from typing import Any

from engine import Graph, Node, Tensor
from viz.model.elements import Link, Model
from viz.model.window import times_of


def add_links(graph: Graph, model: Model) -> None:
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
    """Return the joint use that the use of input `slot` by `node` is part of; None if not drawn.

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
    return {
        (block, t): rank
        for block, times in times_of(graph).items()
        if not all(isinstance(t, int | float) for t in times)
        for rank, t in enumerate(times)
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
    """Return whether an edge leads from a step of one block, an encoder say, into another one."""
    a, b = source.scope.labels, target.scope.labels
    return "t" in a and "t" in b and a.get("block") != b.get("block")


def fold_links(model: Model) -> None:
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
