"""Finds free places for words beside boxes and wires. Knows rectangles; below `drawing.py`."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from viz.scene import Point

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
GAP = 3.0


class Room:
    """What is taken: words go only where nothing is."""

    def __init__(self, inside: Rectangle) -> None:
        self.inside = inside
        self.taken: list[Rectangle] = []

    def take(self, area: Rectangle, more: float = 0.0) -> None:
        """Note that an area is not free."""
        self.taken.append((area[0] - more, area[1] - more, area[2] + more, area[3] + more))

    def take_way(self, points: Iterable[Point], wide: float) -> None:
        """Note that a wire lies along these points."""
        for (ax, ay), (bx, by) in pairwise(points):
            self.take((min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)), wide / 2 + 1)

    def first(self, areas: Iterable[Rectangle]) -> Rectangle | None:
        """Return the first area that is free, and take it; None where none is."""
        for area in areas:
            if self._is_free(area):
                self.take(area, 1.0)
                return area
        return None

    def _is_free(self, area: Rectangle) -> bool:
        x0, y0, x1, y1 = area
        left, top, right, bottom = self.inside
        if x0 < left or y0 < top or x1 > right or y1 > bottom:
            return False
        return not any(x0 < c and x1 > a and y0 < d and y1 > b for a, b, c, d in self.taken)


def beside_wire(points: tuple[Point, ...], wide: float, high: float) -> Iterator[Rectangle]:
    """Yield places for words beside a wire, those at its end first."""
    for (ax, ay), (bx, by) in reversed(list(pairwise(points))):
        for share in (0.62, 0.5, 0.38, 0.8, 0.2):
            x, y = ax + (bx - ax) * share, ay + (by - ay) * share
            if ay == by and abs(ax - bx) > wide:
                yield x - wide / 2, y - GAP - high, x + wide / 2, y - GAP
                yield x - wide / 2, y + GAP, x + wide / 2, y + GAP + high
            elif ax == bx and abs(ay - by) > high:
                yield x + GAP, y - high / 2, x + GAP + wide, y + high / 2
                yield x - GAP - wide, y - high / 2, x - GAP, y + high / 2


def beside_box(area: Rectangle, wide: float, high: float) -> Iterator[Rectangle]:
    """Yield places for words at the corners of a box: above on the right first."""
    x0, y0, x1, y1 = area
    middle = (x0 + x1) / 2
    for y in (y0 - GAP - high, y1 + GAP):
        for x in (middle + GAP + 1, x1 - wide, x1 + GAP, middle - GAP - 1 - wide, x0,
                  x0 - GAP - wide):  # fmt: skip
            yield x, y, x + wide, y + high
    for y in (y0 - 2, y1 - high + 2):
        yield x1 + GAP, y, x1 + GAP + wide, y + high
        yield x0 - GAP - wide, y, x0 - GAP, y + high
