"""Yield places for words beside boxes and wires. Knows rectangles; below `drawing.py`."""

from collections.abc import Iterator
from itertools import pairwise

from viz.rendering.placing import Area
from viz.scene import Point

GAP = 3.0


def beside_wire(points: tuple[Point, ...], wide: float, high: float) -> Iterator[Area]:
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


def beside_box(area: Area, wide: float, high: float) -> Iterator[Area]:
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
