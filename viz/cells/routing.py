"""Route all wires of a cell: lanes first, then from near to far. Above `sheet.py`."""

from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import inf

from viz.cells.lattice import Spot
from viz.cells.model import CellModel, StepRecord, Use
from viz.cells.sheet import UNIT, Sheet, Spread, sheet
from viz.scene import Point

TRIES = 4
FOLDED, CLOSE = 4, 10  # rows between lanes and layers to begin with, at most


@dataclass(frozen=True)
class Routed:
    """Hold the sheet, the points of each wire by both ends, in pixels, and where wires branch."""

    sheet: Sheet
    ways: dict[tuple[int, int], tuple[Point, ...]]
    branches: tuple[Point, ...]

    def own_end(self, ends: tuple[int, int]) -> tuple[Point, ...]:
        """Return the last stretches of a wire, which no other wire of its source shares."""
        way = self.ways[ends]
        others = [way for other, way in self.ways.items() if other[0] == ends[0] and other != ends]
        for start in range(len(way) - 1):
            stretch = (way[start], way[start + 1])
            if not any(_overlap(stretch, (a, b)) for one in others
                       for a, b in pairwise(one)):  # fmt: skip
                return way[start:]
        return way[-2:]


def _overlap(a: tuple[Point, Point], b: tuple[Point, Point]) -> bool:
    """Tell whether two straight stretches have more than a point in common."""
    for along, across in ((0, 1), (1, 0)):
        if a[0][across] == a[1][across] == b[0][across] == b[1][across]:
            low = max(min(a[0][along], a[1][along]), min(b[0][along], b[1][along]))
            high = min(max(a[0][along], a[1][along]), max(b[0][along], b[1][along]))
            return low < high
    return False


def routed(model: CellModel, record: StepRecord, width: float = inf) -> Routed:
    """Lay a cell out, no wider than `width` pixels where that is possible.

    Ways to set the boxes are tried until every wire has a way of its own; at last some may share.
    """
    spreads = _spreads(model, record, width)
    for spread in spreads:
        found = _route(model, sheet(model, record, spread), loose=False)
        if found is not None:
            return found
    found = _route(model, sheet(model, record, _wider(spreads[0], TRIES)), loose=True)
    assert found is not None
    return found


def _spreads(model: CellModel, record: StepRecord, width: float) -> list[Spread]:
    """Return the ways to set the boxes that are narrow enough, else the narrowest and wider ones.

    Chains of ops stand in a row if there is room, then above each other, at last close together.
    """
    ways = [Spread(between=rows) for rows in range(1, FOLDED + 1)]
    ways += [Spread(columns=columns, between=rows, close=True)
             for columns in (4, 3) for rows in range(2, CLOSE + 1)]  # fmt: skip

    def wide(spread: Spread) -> float:
        return sheet(model, record, spread).width * UNIT

    every = (_wider(way, more) for way in ways for more in range(TRIES))
    found = list(islice((spread for spread in every if wide(spread) <= width), TRIES))
    if found:
        return found
    least = min(ways, key=wide)
    return [_wider(least, more) for more in range(TRIES)]


def _wider(spread: Spread, more: int) -> Spread:
    return replace(spread, columns=spread.columns + more, rows=spread.rows + more)


def _route(model: CellModel, made: Sheet, *, loose: bool) -> Routed | None:
    lattice = made.lattice()
    ways: dict[tuple[int, int], tuple[Point, ...]] = {}
    for use in sorted(model.uses, key=lambda use: _order(use, made)):
        ends = (use.source, use.target)
        found = lattice.route(
            ends, made.starts(use.source), made.goals(use.target, use.source), loose=loose
        )
        if found is None:
            return None
        way, goal = found
        lattice.take(use.source, way, goal.way)
        ways[ends] = _points(made, ends, way, goal.way)
    return Routed(made, ways, _branches(model, ways))


def _order(use: Use, made: Sheet) -> tuple[int, int, int, int]:
    """Return straight ways first, then those between boxes that are near."""
    a, b = made.frames[use.source].at, made.frames[use.target].at
    level = a[1] == b[1]
    return (0 if level else 1, abs(a[0] - b[0]) + abs(a[1] - b[1]), use.source, use.target)


def _points(
    made: Sheet, ends: tuple[int, int], way: list[Spot], last: tuple[int, int]
) -> tuple[Point, ...]:
    """Return the corners of a way in pixels, from the edge of a box to that of the other."""
    source, target = made.frames[ends[0]], made.frames[ends[1]]
    first = way[0][0] - source.at[0], way[0][1] - source.at[1]
    out = (_sign(first[0]), 0) if abs(first[0]) * source.h > abs(first[1]) * source.w else (
        0, _sign(first[1]))  # fmt: skip
    points = [source.edge(way[0], out), *((x * UNIT, y * UNIT) for x, y in way)]
    points.append(target.edge(way[-1], (-last[0], -last[1])))
    corners = [points[0]]
    for a, b, c in zip(points, points[1:], points[2:], strict=False):
        if not (a[0] == b[0] == c[0] or a[1] == b[1] == c[1]):
            corners.append(b)
    return tuple((float(x), float(y)) for x, y in (*corners, points[-1]))


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _branches(
    model: CellModel, ways: dict[tuple[int, int], tuple[Point, ...]]
) -> tuple[Point, ...]:
    """Return the points at which wires of one source part."""
    found: dict[Point, None] = {}
    for part in model.parts:
        own = [way for ends, way in ways.items() if ends[0] == part.key]
        arms: dict[Point, set[tuple[int, int]]] = {}
        for way in own:
            for a, b in pairwise(way):
                step = _sign(round(b[0] - a[0])), _sign(round(b[1] - a[1]))
                arms.setdefault(a, set()).add(step)
                arms.setdefault(b, set()).add((-step[0], -step[1]))
        for point, own_arms in arms.items():
            through = _passing(point, own)
            if len(own_arms | through) > 2:
                found[point] = None
    return tuple(found)


def _passing(point: Point, ways: list[tuple[Point, ...]]) -> set[tuple[int, int]]:
    """Return the directions in which wires pass a point that is no corner of theirs."""
    found: set[tuple[int, int]] = set()
    for way in ways:
        for a, b in pairwise(way):
            if a[1] == b[1] == point[1] and min(a[0], b[0]) < point[0] < max(a[0], b[0]):
                found |= {(1, 0), (-1, 0)}
            if a[0] == b[0] == point[0] and min(a[1], b[1]) < point[1] < max(a[1], b[1]):
                found |= {(0, 1), (0, -1)}
    return found
