"""Where the words and the marks of wires stand, so that they lie on nothing.

Plain geometry in pixels. Above labels, below `edges.py`.
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
    """What is taken of a sheet, so that words find places on which nothing lies.

    `left`, `right` and `bottom` are the ends of the sheet; `right` grows where words need it.
    """

    def __init__(self, taken: Iterable[Area], *, left: float, right: float, bottom: float) -> None:
        self.left, self.right, self.bottom = left, right, bottom
        self.things = Table()
        self.wires = Table()
        for area in taken:
            self.things.add(area)

    def cross(self, wires: Sequence[Sequence[Point]]) -> None:
        """Let words keep off these wires too, where they can."""
        if len(wires) <= WIRES:
            for points in wires:
                for (ax, ay), (bx, by) in pairwise(points):
                    self.wires.add((min(ax, bx) - 2, min(ay, by) - 2,
                                    max(ax, bx) + 2, max(ay, by) + 2))  # fmt: skip

    def take(self, x: float, y: float, text: str, size: float = SIZE) -> None:
        """Take the place of words, centred at x with their foot at y."""
        half = width(text, size) / 2
        self.things.add((x - half, y - size, x + half, y + DOWN))

    def beside(self, points: Sequence[Point], text: str) -> Point | None:
        """Return the best place for the words of a wire, which is taken then; None without any."""
        half = width(text, SIZE) / 2 + 1
        best, least = None, math.inf
        for x, y in _candidates(points, half):
            area = (x - half, y - UP, x + half, y + DOWN)
            if area[0] < self.left or area[3] > self.bottom or self.things.hits(area):
                continue
            cost = WIDENED * (area[2] > self.right) + CROSSED * self.wires.hits(area)
            if cost < least:
                best, least = (x, y), cost
            if not cost:
                break
        if best is not None:
            x, y = best
            self.things.add((x - half, y - UP, x + half, y + DOWN))
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


class Table:
    """Rectangles by the squares of the sheet in which they lie."""

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


def room_of(scene: Scene) -> Room:
    """Return the room that a scene leaves: off its boxes, its heads of bands, and its words."""
    taken = [(box.x - 2, box.y - 2, box.x + box.w + 2, box.y + box.h + 2) for box in scene.boxes]
    taken += [(band.x, band.y, band.x + band.w, band.y + 20) for band in scene.bands]
    bottom = max((band.y + band.h for band in scene.bands), default=scene.height)
    room = Room(taken, left=4, right=scene.width - 6, bottom=bottom)
    room.cross([wire.points for wire in scene.wires if not wire.dim])
    for wire in scene.wires:
        if wire.label and wire.label_at:
            room.take(*wire.label_at, wire.label)
    return room
