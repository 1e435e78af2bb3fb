"""Place boxes, counted in columns, rows and slots, and find which columns are alike.

Columns of one shape hold the same boxes joined in the same way, so slots, wires and widths are
worked out once for all of them; that is what makes large pictures quick. Above `rows.py`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from viz.layout import wire_kinds
from viz.layout.columns import BAR, RAIL, Columns, placed
from viz.layout.rows import rows_of, signatures
from viz.model.elements import Model

FAN_IN = 3  # this many columns that lead into one box run together


@dataclass(slots=True)
class Shape:
    """Describe the columns of one shape: how many slots they have, and the first such column."""

    slots: int
    sample: int


@dataclass(slots=True)
class Grid:
    """Hold the place of every box and the way of every link.

    `row`, `slot` and `position` (in its column) are by box; `way` is by link. `home[c]` are the
    links that are drawn with column c and `leaving[c]` those that leave it for another, in an order
    that columns of one shape share. `lane` numbers what is on the rail, then the bars.
    `straight` are the links between neighbouring columns with nothing in their way, `twin` has the
    number of each link that joins two boxes which another joins already.
    """

    columns: Columns
    row: list[int]
    slot: list[int]
    position: list[int]
    rows: int
    way: list[int]
    home: list[list[int]]
    leaving: list[list[int]]
    shapes: list[Shape]
    shape_of: list[int]
    lane: dict[int, int]
    straight: set[int]
    twin: dict[int, int]


def arrange(model: Model, *, stacked: bool = False) -> Grid:
    """Give every box its place; `stacked` inputs before the steps stand on the rail."""
    columns = placed(model, stacked=stacked)
    signature, position = signatures(model, columns), [0] * len(model.items)
    row, signature = rows_of(model, columns, signature)
    for column in columns.columns:
        for i, n in enumerate(column.keys):
            position[n] = i
    lane = {n: i for i, n in enumerate([*columns.rail, *columns.bars])}
    twin = _twins(model)
    found = _Ways(model, columns, position, lane, twin)
    slot = [0] * len(model.items)
    alike = _alike(
        (tuple([signature[n] for n in column.keys]), tuple(outline))
        for column, outline in zip(columns.columns, found.outline, strict=True)
    )
    below = _below(model, columns, [i for c in dict.fromkeys(alike) for i in found.home[c]])
    slots = {c: _slots(columns.columns[c].keys, row, slot, below) for c in dict.fromkeys(alike)}
    for column, sample in zip(columns.columns, alike, strict=True):
        for n, like in zip(column.keys, columns.columns[sample].keys, strict=True):
            slot[n] = slot[like]
    straight = _straight(found, alike, row, slot)
    samples = _alike(
        (first, tuple([i in straight for i in home]), tuple([i in straight for i in leaving]))
        for first, home, leaving in zip(alike, found.home, found.leaving, strict=True)
    )
    number = {c: i for i, c in enumerate(dict.fromkeys(samples))}
    shapes = [Shape(slots[alike[c]], c) for c in number]
    rows = 1 + max((row[n] for n in range(len(row)) if columns.of[n] != RAIL), default=0)
    return Grid(columns, row, slot, position, rows, found.way, found.home, found.leaving, shapes,
                [number[c] for c in samples], lane, straight,
                twin)  # fmt: skip


def _alike(keys: Iterable[Any]) -> list[int]:
    """Return for each key the place of the first that is equal to it."""
    first: dict[Any, int] = {}
    return [first.setdefault(key, i) for i, key in enumerate(keys)]


def _straight(wires: "_Ways", alike: list[int], row: list[int], slot: list[int]) -> set[int]:
    """Return the links between boxes of one row in neighbouring columns with no box in between."""
    ends: dict[tuple[int, int], tuple[int, int]] = {}  # the first and last slot of a row
    columns = wires.columns
    for c in dict.fromkeys(alike):
        for n in columns.columns[c].keys:
            low, high = ends.get((c, row[n]), (slot[n], slot[n]))
            ends[c, row[n]] = (min(low, slot[n]), max(high, slot[n]))
    found = set()
    for i, a, b in wires.near:
        if row[a] == row[b]:
            before, after = alike[columns.of[a]], alike[columns.of[b]]
            if ends[before, row[a]][1] == slot[a] and ends[after, row[b]][0] == slot[b]:
                found.add(i)
    return found


class _Ways:
    """Find the way of each link, the links of each column, and the outline of each column.

    Two columns of one outline have the same wires. `near` are the links between neighbours, with
    their ends from left to right.
    """

    def __init__(
        self,
        model: Model,
        columns: Columns,
        position: list[int],
        lane: dict[int, int],
        twin: dict[int, int],
    ) -> None:
        count = len(columns.columns)
        self.columns = columns
        self.way: list[int] = []
        self.near: list[tuple[int, int, int]] = []
        self.home: list[list[int]] = [[] for _ in range(count)]
        self.leaving: list[list[int]] = [[] for _ in range(count)]
        self.outline: list[list[Any]] = [[] for _ in range(count)]
        of = columns.of
        gathering = _gathering(model, of)
        for i, link in enumerate(model.links):
            a, b = link.source, link.target
            ca, cb = of[a], of[b]
            kind = wire_kinds.LOCAL if ca == cb >= 0 else _way(columns, ca, cb, b in gathering)
            if link.kind == "attention":
                kind = wire_kinds.FAN if ca != cb >= 0 <= ca else wire_kinds.ASIDE
            self.way.append(kind)
            if kind == wire_kinds.ASIDE:
                continue
            at, start = (cb, position[b]) if cb >= 0 else (ca, lane[b])
            self.home[at].append(i)
            number = twin.get(i, 0)
            self.outline[at].append((kind, position[a] if ca >= 0 else lane[a], start, number))
            if ca != cb >= 0 <= ca:
                self.leaving[ca].append(i)
                if kind in (wire_kinds.NEXT, wire_kinds.BACK):
                    self.near.append((i, a, b) if kind == wire_kinds.NEXT else (i, b, a))
                self.outline[ca].append((-kind, position[a], number))


def _way(columns: Columns, ca: int, cb: int, gathered: bool) -> int:
    """Return the way of a link between two columns, or RAIL or BAR."""
    if ca == RAIL and cb >= 0:
        return wire_kinds.FROM_RAIL
    if ca == BAR and cb >= 0:
        return wire_kinds.FROM_BAR if cb <= columns.last else wire_kinds.BAR_END
    if cb == BAR and ca >= 0:
        return wire_kinds.TO_BAR if ca >= columns.first else wire_kinds.TO_END
    if ca < 0 or cb < 0:
        return wire_kinds.ASIDE
    if gathered:
        return wire_kinds.GATHERED
    return wire_kinds.NEXT if cb == ca + 1 else wire_kinds.BACK if cb == ca - 1 else wire_kinds.FAR


def _twins(model: Model) -> dict[int, int]:
    """Return the links between two boxes beyond the first: the second has number 1."""
    seen: dict[tuple[int, int], int] = {}
    found = {}
    for i, link in enumerate(model.links):
        pair = (link.source, link.target)
        if pair in seen:
            found[i] = seen[pair] = seen[pair] + 1
        else:
            seen[pair] = 0
    return found


def _gathering(model: Model, of: list[int]) -> set[int]:
    """Return boxes after the steps that many steps lead into: their wires share a lane."""
    found: dict[int, set[int]] = defaultdict(set)
    for link in model.links:
        a, b = link.source, link.target
        crosses = of[a] != of[b] and of[a] >= 0 <= of[b] and link.kind != "attention"
        if crosses and model.items[b].t is None:
            found[b].add(of[a])
    return {b for b, sources in found.items() if len(sources) >= FAN_IN}


def _below(model: Model, columns: Columns, links: Iterable[int]) -> dict[int, list[int]]:
    """Return for each box of these links what feeds it in its own column."""
    found: dict[int, list[int]] = defaultdict(list)
    of = columns.of
    for link in (model.links[i] for i in links):
        if of[link.source] == of[link.target] >= 0:
            found[link.target].append(link.source)
    return found


def _slots(keys: list[int], row: list[int], slot: list[int], below: dict[int, list[int]]) -> int:
    """Return how many slots there are, and give every box one, as near as may be to its inputs."""
    by_row: dict[int, list[int]] = defaultdict(list)
    for n in keys:
        by_row[row[n]].append(n)
    most = max(map(len, by_row.values()), default=1)
    done: set[int] = set()
    for r in sorted(by_row):
        own = by_row[r]
        wish = {}
        for n in own:
            fed = [slot[m] for m in below.get(n, ()) if m in done]
            wish[n] = sum(fed) / len(fed) if fed else (most - 1) / 2
        ordered = sorted(own, key=lambda n: (wish[n], n))
        for rank, n in enumerate(ordered):
            lowest = 0 if rank == 0 else slot[ordered[rank - 1]] + 1
            slot[n] = min(max(lowest, round(wish[n])), most - (len(ordered) - rank))
        done.update(own)
    return most
