"""Place words, and the marks of wires, so that they lie on nothing.

Plain geometry in pixels. Above labels, below `edges.py`, the charts, the cells and the story.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from viz.labels import width
from viz.layout import wire_kinds
from viz.scene import Point, Scene

SIZE = 10  # of the words on wires
UP, DOWN = 9, 3  # how far they reach over and under their foot
AWAY = 7  # from an upright wire
CELL = 48  # pixels of a square of the table in which things are looked up
SHARES = (0.5, 0.35, 0.65, 0.2, 0.8)  # of the way along a stretch
MARGIN = 5  # of the sheet
CROSSED, WIDENED = 1.0, 1.5  # the costs of words on another wire, and beyond the sheet
WIRES = 2_000  # in pictures of more, words may lie on wires

# Wires that share all but their beginning: with what leads into one box, or a bar, from elsewhere.
GATHERED = frozenset({wire_kinds.GATHERED, wire_kinds.TO_BAR, wire_kinds.TO_END})

Area = tuple[float, float, float, float]  # left, top, right, bottom


def mark_at(points: Sequence[Point], way: int) -> Point:
    """Return where a mark stands: on the stretch that a wire, from source to target, has to itself.

    That is the last one, at the port of its target; of wires that are gathered it is the one on
    which they climb out of their column, and of those that join rails and bars the longest.
    """
    upright = [(p, q) for p, q in pairwise(points) if p[0] == q[0]]
    if way in GATHERED and upright:
        p, q = upright[min(1, len(upright) - 1)]
        return p[0], _inward(p[1], q[1])
    if way == wire_kinds.ASIDE and upright:
        (x, a), (_, b) = max(upright, key=lambda pair: abs(pair[0][1] - pair[1][1]))
        return x, (a + b) / 2
    p, q = points[-2], points[-1]
    if p[0] == q[0]:
        return q[0], _inward(q[1], p[1])
    return (p[0] + q[0]) / 2, (p[1] + q[1]) / 2


def _inward(end: float, other: float) -> float:
    """Return an end of an upright stretch, moved a little inward: clear of the box."""
    return end + math.copysign(min(max(abs(other - end) / 2, 7), 14), other - end)


def level_at(points: Sequence[Point], x: float) -> float | None:
    """Return the height of the level stretch of a wire that passes x; None where none does."""
    for (ax, ay), (bx, by) in pairwise(points):
        if ay == by and min(ax, bx) <= x <= max(ax, bx):
            return ay
    return None


class Room:
    """Track the areas of a sheet that are taken, so that words find places on which nothing lies.

    Words stay within `bounds`, off all areas that are taken and off `lines`.
    """

    def __init__(self, bounds: Area, taken: Iterable[Area] = ()) -> None:
        self.bounds = bounds
        self.things = Table()
        self.lines: list[tuple[Point, Point]] = []
        for area in taken:
            self.things.add(area)

    def path(self, points: Iterable[Point]) -> None:
        """Note a line through points."""
        self.lines += pairwise(points)

    def take(self, area: Area, more: float = 0.0) -> None:
        """Note that an area is not free, with so much more on all of its sides."""
        self.things.add(_wider(area, more))

    def is_free(self, area: Area) -> bool:
        """Return whether nothing lies on an area of the sheet."""
        left, top, right, bottom = self.bounds
        if area[0] < left or area[1] < top or area[2] > right or area[3] > bottom:
            return False
        if self.things.hits(area):
            return False
        wide = _wider(area, 1.5)
        return not any(crosses(a, b, wide) for a, b in self.lines)

    def first(self, areas: Iterable[Area], more: float = 0.0) -> Area | None:
        """Return the first area that is free, and take it; None where none is."""
        for area in areas:
            if self.is_free(area):
                self.take(area, more)
                return area
        return None


class WireRoom(Room):
    """Find room for words of wires: other wires may lie under them where there is no better place.

    `right` is the end of the sheet, which grows where words need it.
    """

    def __init__(self, taken: Iterable[Area], *, left: float, right: float, bottom: float) -> None:
        super().__init__((left, -math.inf, math.inf, bottom), taken)
        self.right = right
        self.wires = Table()

    def cross(self, wires: Sequence[Sequence[Point]]) -> None:
        """Let words keep off these wires too, where they can."""
        if len(wires) <= WIRES:
            for points in wires:
                for (ax, ay), (bx, by) in pairwise(points):
                    self.wires.add((min(ax, bx) - 2, min(ay, by) - 2,
                                    max(ax, bx) + 2, max(ay, by) + 2))  # fmt: skip

    def take_words(self, x: float, y: float, text: str, size: float = SIZE) -> None:
        """Take the place of words, centred at x with their foot at y."""
        half = width(text, size) / 2
        self.take((x - half, y - size, x + half, y + DOWN))

    def beside(self, points: Sequence[Point], text: str) -> Point | None:
        """Return the best place for the words of a wire, which is taken then; None without any."""
        half = width(text, SIZE) / 2 + 1
        best, least = None, math.inf
        for x, y in _candidates(points, half):
            area = (x - half, y - UP, x + half, y + DOWN)
            if not self.is_free(area):
                continue
            cost = WIDENED * (area[2] > self.right) + CROSSED * self.wires.hits(area)
            if cost < least:
                best, least = (x, y), cost
            if not cost:
                break
        if best is not None:
            x, y = best
            self.take((x - half, y - UP, x + half, y + DOWN))
            self.right = max(self.right, x + half)
        return best


def _candidates(points: Sequence[Point], half: float) -> Iterator[Point]:
    """Yield places for words 2 x `half` wide: beside upright stretches, over level ones."""
    stretches = sorted(pairwise(points), key=lambda pair: -math.dist(*pair))
    upright = [pair for pair in stretches if pair[0][0] == pair[1][0]]
    level = [pair for pair in stretches if pair[0][1] == pair[1][1]]
    for (ax, ay), (_, by) in upright:
        for share in SHARES:
            y = ay + (by - ay) * share + 3
            yield ax + AWAY + half, y
            yield ax - AWAY - half, y
    for (ax, ay), (bx, _) in level:
        for share in SHARES:
            x = ax + (bx - ax) * share
            yield x, ay - 5
            yield x, ay + 13


def _wider(area: Area, by: float) -> Area:
    return area[0] - by, area[1] - by, area[2] + by, area[3] + by


def crosses(a: Point, b: Point, area: Area) -> bool:
    """Return whether a straight line comes into a rectangle (Liang and Barsky, 1984)."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    low, high = 0.0, 1.0
    for p, q in ((-dx, a[0] - area[0]), (dx, area[2] - a[0]),
                 (-dy, a[1] - area[1]), (dy, area[3] - a[1])):  # fmt: skip
        if p == 0:
            if q < 0:
                return False
        elif p < 0:
            low = max(low, q / p)
        else:
            high = min(high, q / p)
    return low <= high


class Table:
    """Sort rectangles by the squares of the sheet in which they lie."""

    def __init__(self) -> None:
        self.at: dict[tuple[int, int], list[Area]] = defaultdict(list)

    def add(self, area: Area) -> None:
        for square in _squares(area):
            self.at[square].append(area)

    def hits(self, area: Area) -> int:
        """Return how many rectangles have room in common with this one."""
        left, top, right, bottom = area
        found = {
            own
            for square in _squares(area)
            for own in self.at.get(square, ())
            if own[0] < right and own[2] > left and own[1] < bottom and own[3] > top
        }
        return len(found)


def _squares(area: Area) -> Iterator[tuple[int, int]]:
    left, top, right, bottom = (math.floor(v / CELL) for v in area)
    for column in range(left, right + 1):
        for row in range(top, bottom + 1):
            yield column, row


def room_of(scene: Scene) -> WireRoom:
    """Return the room that a scene leaves: off its boxes, its heads of bands, and its words."""
    taken = [(box.x - 2, box.y - 2, box.x + box.w + 2, box.y + box.h + 2) for box in scene.boxes]
    taken += [(band.x, band.y, band.x + band.w, band.y + 20) for band in scene.bands]
    bottom = max((band.y + band.h for band in scene.bands), default=scene.height)
    room = WireRoom(taken, left=4, right=scene.width - 6, bottom=bottom)
    room.cross([wire.points for wire in scene.wires if not wire.dim])
    for wire in scene.wires:
        if wire.label and wire.label_at:
            room.take_words(*wire.label_at, wire.label)
    return room
