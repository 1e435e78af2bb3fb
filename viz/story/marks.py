"""Draw the pieces of the picture: dots, round boxes, ribbons, and labels that lie on nothing.

Plain shapes in pixels. Above scenes and labels, below the panels.
"""

import math
from collections.abc import Iterable

from viz.labels import width
from viz.rendering.placing import Room
from viz.scene import Line, Point, Shape, Words
from viz.style import BROKEN, DEAD, DOTS, THIN, Scale

NUMBER = 10.0  # the size of numbers at points
CROSS = 13.0  # of the sign of what is zero
CORNER = 6.0  # the radius of the corners of boxes
BARB = 2.5  # how far the head of a ribbon stands out


def dot(x: float, y: float, radius: float, color: str, title: str = "") -> Line:
    """Return a filled circle with a white rim, which sets it off from the line through it."""
    ring = tuple(
        (x + radius * math.cos(k * math.pi / 8), y + radius * math.sin(k * math.pi / 8))
        for k in range(16)
    )
    return Line(ring, "#ffffff", 1.0, fill=color, title=title)


def rounded(x: float, y: float, w: float, h: float) -> tuple[Point, ...]:
    """Return the outline of a rectangle with round corners."""
    r = min(CORNER, w / 2, h / 2)
    corners = ((x + w - r, y + r, -90), (x + w - r, y + h - r, 0),
               (x + r, y + h - r, 90), (x + r, y + r, 180))  # fmt: skip
    return tuple(
        (cx + r * math.cos(math.radians(start + k * 18)),
         cy + r * math.sin(math.radians(start + k * 18)))
        for cx, cy, start in corners for k in range(6)
    )  # fmt: skip


def cross(x: float, y: float) -> Words:
    """Return the mark of a zero: of the structure, or of the dtype."""
    return Words(x, y + 4.5, "×", CROSS, DEAD, bold=True)


def failed(x: float, y: float, value: float) -> Words:
    """Return the mark of what is NaN or infinite."""
    return Words(x, y + 4.5, "NaN" if math.isnan(value) else "∞", NUMBER, BROKEN, bold=True,
                 halo=True)  # fmt: skip


def thickness(scale: Scale, norm: float, full: float) -> float:
    """Return the width of a ribbon at a norm: thin below the scale."""
    return THIN if scale.dash(norm) else scale.width(norm, full)


def ribbon(
    tail: Point, head: Point, norms: tuple[float, float], scale: Scale, full: float, title: str = ""
) -> list[Shape]:
    """Return the way of a gradient between two states: as wide as its norm at each of the ends.

    Nothing flows from or to a state of gradient zero: a cross. What is not finite is black.
    """
    (x1, y), (x0, _) = tail, head
    start, end = norms
    if start == 0 or end == 0:
        return [cross((x0 + x1) / 2, y)]
    if not (math.isfinite(start) and math.isfinite(end)):
        bad = end if not math.isfinite(end) else start
        line = Line((tail, head), BROKEN, 3.0, "2 3", title=title)
        return [line, failed((x0 + x1) / 2, y - 10, bad)]
    color = scale.color(math.sqrt(start) * math.sqrt(end))
    if scale.dash(start) and scale.dash(end):
        return [Line((tail, head), color, THIN, DOTS, title=title)]
    a, b = thickness(scale, start, full) / 2, thickness(scale, end, full) / 2
    toward = 1.0 if x0 > x1 else -1.0
    neck = x0 - toward * min(10.0, 0.35 * abs(x1 - x0))
    outline = ((x1, y - a), (neck, y - b), (neck, y - b - BARB), (x0, y),
               (neck, y + b + BARB), (neck, y + b), (x1, y + a))  # fmt: skip
    return [Line(outline, "none", 0.0, fill=color, title=title)]


def placed(
    room: Room, x: float, y: float, text: str, color: str, *, under: bool = False
) -> list[Words]:
    """Return a label at a point: over it, under it, or beside it; none where all is taken.

    With `under` it is rather under the point than over it.
    """
    wide = width(text, NUMBER)
    for dx, dy in _offsets(wide, under=under):
        own = (x + dx - wide / 2, y + dy - 8.5, x + dx + wide / 2, y + dy + 2.5)
        if room.first([own]):
            return [Words(x + dx, y + dy, text, NUMBER, color, halo=True)]
    return []


def _offsets(wide: float, *, under: bool) -> Iterable[Point]:
    """Yield how far from a point the middle of a label's foot may stand, the best first."""
    aside = wide / 2 + 7.0
    over, below = [(0.0, -8.0), (0.0, -16.0)], [(0.0, 16.0), (0.0, 24.0)]
    right, left = [(aside, 11.0), (aside, 20.0)], [(-aside, -4.0), (-aside, -14.0)]
    yield from (below[0], right[0], over[0]) if under else (over[0], below[0], left[0], right[0])
    yield from ((aside, -4.0), (-aside, 11.0), over[1], below[1], left[1], right[1])
    yield from ((aside, -14.0), (-aside, 20.0))
