"""Place each box of a picture in a column: a column is a time step; time runs to the right.

What is outside of time stands before the steps, after them, on a rail under them (leaves that many
steps use) or at a bar across them (what many steps feed and many steps use). Above `elements.py`.
"""

from dataclasses import dataclass, field
from typing import Any

from viz.model.elements import Item, Model
from viz.model.window import in_order

RAIL, BAR = -1, -2  # instead of a column
BEFORE, AFTER = ("before",), ("after",)


@dataclass(slots=True)
class Column:
    """Hold a column: its time, None before and after all steps, its block, its boxes in order."""

    time: Any
    block: str | None
    keys: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Columns:
    """Hold columns from the left; the column of each box, or RAIL or BAR; what stands on those."""

    columns: list[Column]
    of: list[int]
    rail: list[int]
    bars: list[int]
    first: int  # the columns of time steps are first to last
    last: int


def placed(model: Model, *, stacked: bool = False) -> Columns:
    """Return the column of every box; `stacked` inputs before the steps stand on the rail."""
    places: list[Any] = [_step(item) for item in model.items]
    order = _ordered(places)
    _place_outside(model, places, order)
    if stacked:
        _stack(model, places)
    rail = [n for n, place in enumerate(places) if place == RAIL]
    bars = [n for n, place in enumerate(places) if place == BAR]
    used = set(places)
    ends = ([BEFORE] if BEFORE in used else [], [AFTER] if AFTER in used else [])
    names = [*ends[0], *order, *ends[1]]
    number: dict[Any, int] = {name: i for i, name in enumerate(names)}
    columns = [
        Column(None, None) if name in (BEFORE, AFTER)
        else Column("gap" if name[0] == "gap" else name[2], name[1]) for name in names
    ]  # fmt: skip
    of = [number[place] if isinstance(place, tuple) else place for place in places]
    for n, c in enumerate(of):
        if c >= 0:
            columns[c].keys.append(n)
    first = len(ends[0])
    return Columns(columns, of, rail, bars, first, first + len(order) - 1)


def _stack(model: Model, places: list[Any]) -> None:
    """Put inputs that stand before the steps on the rail where they lead to steps alone."""
    inner = {link.source for link in model.links if not isinstance(places[link.target], tuple)
             or places[link.target] in (BEFORE, AFTER)}  # fmt: skip
    fed = {link.target for link in model.links}
    for item in model.items:
        if places[item.key] == BEFORE and item.key not in inner | fed:
            places[item.key] = RAIL


def _step(item: Item) -> Any:
    """Return the column of a step or of a gap: its block and time; None outside of time."""
    if item.gap is not None:
        return ("gap", item.block, item.gap[0])
    if item.t is not None and item.kind != "parameter":
        return ("step", item.block, item.t)
    return None


def _ordered(places: list[Any]) -> list[Any]:
    """Return the columns of steps from the left: block after block as they ran, each by time."""
    blocks: dict[str | None, dict[Any, Any]] = {}  # of each the place at each time
    for place in dict.fromkeys(places):
        if place is not None:
            blocks.setdefault(place[1], {}).setdefault(place[2], place)
    return [times[t] for times in blocks.values() for t in in_order(times)]


def _place_outside(model: Model, places: list[Any], order: list[Any]) -> None:
    """Give what is outside of time its place."""
    outside = [n for n, place in enumerate(places) if place is None]
    into: dict[int, list[Any]] = {n: [] for n in outside}  # places of steps; None: outside too
    back: dict[int, list[int]] = {n: [] for n in outside}
    on: dict[int, list[int]] = {n: [] for n in outside}
    fed = []
    undoing = {item.key for item in model.items if item.kind == "gradient"}
    for link in model.links:
        a, b = link.source, link.target
        within = places[a] is not None and places[b] is not None
        if within or b in undoing:  # a way back is no way on
            continue
        if b in back:
            if a in back:
                back[b].append(a)
                on[a].append(b)
            else:
                fed.append(b)
        if a in into:
            into[a].append(places[b])
    before = _reached([n for n in outside if set(into[n]) - {None}], back)
    after = _reached(fed, on)
    for n in outside:
        if model.items[n].kind == "parameter":
            places[n] = RAIL
        elif n in undoing:
            places[n] = AFTER  # with what it undoes
        else:
            places[n] = _outside(n in before, n in after, into[n], order)
    on_rail = [n for n in outside if places[n] == RAIL]
    for n in _reached(on_rail, back):  # what the rail is made of stands on it too
        places[n] = RAIL


def _reached(start: list[int], edges: dict[int, list[int]]) -> set[int]:
    """Return everything that is reached from `start` along the edges."""
    seen, stack = set(start), list(start)
    while stack:
        for n in edges[stack.pop()]:
            if n not in seen:
                seen.add(n)
                stack.append(n)
    return seen


def _outside(before: bool, after: bool, into: list[Any], order: list[Any]) -> Any:
    """Return the place of a box outside of time, by whether it leads to steps, or they to it."""
    if not before:
        return AFTER
    if after:
        return BAR
    found = set(into)
    if len(found) > 1:  # what was made of leaves alone, for several steps
        return RAIL
    (place,) = found
    if place is None or place == order[0]:
        return BEFORE
    return AFTER if place == order[-1] else place
