"""Turn a scene into strokes: outlines and words, in the order and in the places of the SVG.

For the writers that know no boxes. Above scenes and labels, below the writers.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from viz.dark import rgb
from viz.labels import FONT, SMALL, width
from viz.scene import Band, Box, Line, Point, Run, Scene, Shape, Swatch, Wire, Words
from viz.style import FILLS, SCISSORS, mixed

INK, FAINT = "#202124", "#5f6368"
ROUND_BOXES = frozenset({"cell", "module", "pointwise"})
ROUND = 5.0  # radius of the corners of wires
LEGEND_LINE, NOTE_LINE, NOTE_GAP = 18.0, 16.0, 6.0
EDGE = 20.0  # on the left of the legend and the notes
SIGN, WEDGE = 34.0, 84.0  # pixels: the width of a sign of the legend, and of a scale there
GRADIENT = "#8e1212"  # of words on a gradient
DIM = 0.22  # how much of its colour is left of what is dim
RAISED = 0.74  # the size of what stands above or below the line of a formula
ARC = 0.5523  # how far the handles of a Bézier curve that is a quarter of a circle reach


@dataclass(frozen=True, slots=True)
class Stroke:
    """Hold a line through points or, with a `fill`, an area; `curved` ones are Bézier curves.

    A curve is its first point and three more for each of its pieces: two handles and an end.
    """

    points: tuple[Point, ...]
    color: str = ""
    fill: str = ""
    width: float = 1.0
    dash: str = ""
    curved: bool = False


Mark = Stroke | Words


def picture(scene: Scene) -> Iterator[Mark]:
    """Yield the whole scene, what is drawn first first."""
    yield from backdrop(scene)
    for wire in scene.wires:
        yield from wire_strokes(wire)
    for box in scene.boxes:
        yield outline(box)
        yield from box_words(box)
    for wire in scene.wires:
        yield from wire_words(wire)
    yield from caption(scene)


def backdrop(scene: Scene) -> Iterator[Mark]:
    """Yield what lies under wires and boxes: the bands, the title, the charts."""
    for band in scene.bands:
        fill = "#f4f6f8" if band.shaded else "#fafbfc"
        yield Stroke(_rounded(band.x, band.y, band.w, band.h, 6), fill=fill, curved=True)
        yield band_heading(band)
    yield headline(scene)
    for shape in scene.shapes:
        if isinstance(shape, Words) and shape.runs:
            yield from pieces(shape)
        else:
            yield _shape(shape)


def pieces(words: Words) -> Iterator[Words]:
    """Yield a formula as lines of text side by side, by widths that are a little too large."""
    whole = math.fsum(width(run.text, size_of(run, words.size)) for run in words.runs)
    x = words.x - whole * {"start": 0.0, "middle": 0.5, "end": 1.0}[words.anchor]
    for run in words.runs:
        size = size_of(run, words.size)
        yield words._replace(x=x, y=words.y - rise(run, words.size), text=run.text, size=size,
                             anchor="start", runs=())  # fmt: skip
        x += width(run.text, size)


def size_of(run: Run, size: float) -> float:
    """Return the size of a run in a formula of that size: what is raised or lowered is smaller."""
    return size * RAISED if run.level else size


def rise(run: Run, size: float) -> float:
    """Return how far above the line of its formula a run stands."""
    return size * {-1: -0.22, 0: 0.0, 1: 0.36}[run.level]


def caption(scene: Scene) -> Iterator[Mark]:
    """Yield what stands under the picture: the legend and the notes."""
    for swatch, x, y in legend_places(scene):
        yield from _swatch(swatch, x, y)
    yield from notes(scene)


def height(scene: Scene) -> float:
    """Return the height of the picture with its legend and notes, in pixels."""
    notes = NOTE_GAP + NOTE_LINE * len(scene.notes) if scene.notes else 0.0
    return scene.height + _legend_height(scene) + notes


def outline(box: Box) -> Stroke:
    """Return the rectangle of a box."""
    fill, color = (shade(c, dim=box.dim) for c in box.fill or FILLS[box.kind])
    radius = 10.0 if box.kind in ROUND_BOXES else 4.0
    dash = "4 3" if box.kind == "gap" else ""
    return Stroke(_rounded(box.x, box.y, box.w, box.h, radius), color, fill, 1.4, dash, curved=True)


def headline(scene: Scene) -> Words:
    """Return the title of a picture."""
    return Words(scene.width / 2, 22, scene.title, 15, bold=True)


def band_heading(band: Band) -> Words:
    """Return the heading of the column of a step."""
    return Words(band.x + band.w / 2, band.y + 14, band.heading, 11, FAINT)


def box_words(box: Box) -> Iterator[Words]:
    """Yield the lines of text in a box, then the mark at its corner, which is bold."""
    high = FONT + (SMALL + 4) * (len(box.lines) - 1)
    first = box.y + (box.h - high) / 2 + FONT - 2
    for line, text in enumerate(box.lines):
        y = first + line * (SMALL + 4)
        size, color = (FONT, INK) if line == 0 else (SMALL, FAINT)
        yield Words(box.x + box.w / 2, y, text, size, shade(color, dim=box.dim))
    if box.mark:
        color = shade("#b00020", dim=box.dim)
        yield Words(box.x + box.w, box.y + 4, box.mark, 15, color, bold=True, halo=True)


def wire_words(wire: Wire) -> Iterator[Words]:
    """Yield the label of a wire, then its mark."""
    if wire.label and wire.label_at:
        x, y = wire.label_at
        yield Words(x, y, wire.label, SMALL, label_color(wire), halo=True)
    if wire.mark and wire.mark_at:
        x, y = wire.mark_at
        color = shade("#111111", dim=wire.dim)
        yield Words(x, y + 5, wire.mark, 15, color, bold=True, halo=True)


def label_color(wire: Wire) -> str:
    """Return red where the words are a norm of a gradient, be it one that does not pass here."""
    backward = wire.kind == "backward" or wire.mark == SCISSORS
    return shade(GRADIENT if backward else wire.color, dim=wire.dim)


def wire_strokes(wire: Wire) -> Iterator[Stroke]:
    """Yield the line of a wire with round corners, then its arrow head."""
    tip, line = arrow(wire.points, wire.width)
    color = shade(wire.color, dim=wire.dim)
    yield Stroke(curve(line), color, "", wire.width, wire.dash, curved=True)
    yield Stroke(tip, fill=color)


def pale(color: str) -> str:
    """Return a colour ``#rrggbb`` or ``#rgb`` as it looks when most of it is white: of what is dim.

    >>> pale("#000000")
    '#c7c7c7'
    """
    if color == "none":
        return color
    return mixed((rgb(color), (255, 255, 255)), 1 - DIM)


def shade(color: str, *, dim: bool) -> str:
    """Return the colour, pale where it is that of something dim.

    Not by opacity: pale lines on top of each other would add up.
    """
    return pale(color) if dim else color


def arrow(points: Sequence[Point], wide: float) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the triangle at the end of a line, tip first, and the line cut short to meet it."""
    (ax, ay), (bx, by) = points[-2], points[-1]
    length = math.dist((ax, ay), (bx, by)) or 1.0
    ux, uy = (bx - ax) / length, (by - ay) / length
    size = min(5.0 + wide, max(length, 3.0))
    half = size / 2
    cx, cy = bx - ux * size, by - uy * size
    tip = ((bx, by), (cx - uy * half, cy + ux * half), (cx + uy * half, cy - ux * half))
    return tip, (*points[:-1], (bx - ux * size * 0.8, by - uy * size * 0.8))


def curve(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return the Bézier curve of a line through points with its corners rounded."""
    way = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(ROUND, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start, end = toward(corner, before, r), toward(corner, after, r)
        way += [way[-1], start, start]
        way += [_between(start, corner, 2 / 3), _between(end, corner, 2 / 3), end]
    return (*way, way[-1], points[-1], points[-1])


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def toward(start: Point, goal: Point, distance: float) -> Point:
    """Return the point at a distance from `start` on the way to `goal`."""
    return _between(start, goal, distance / (math.dist(start, goal) or 1.0))


def _rounded(x: float, y: float, w: float, h: float, radius: float) -> tuple[Point, ...]:
    """Return the Bézier curve of a rectangle with round corners."""
    r = min(radius, w / 2, h / 2)
    k = r * (1 - ARC)
    corners = ((x + w, y, 1, 0), (x + w, y + h, 0, 1), (x, y + h, -1, 0), (x, y, 0, -1))
    way = [(x + r, y)]
    for cx, cy, dx, dy in corners:  # the line runs along (dx, dy) to each corner and turns right
        start, end = (cx - dx * r, cy - dy * r), (cx - dy * r, cy + dx * r)
        way += [way[-1], start, start, (cx - dx * k, cy - dy * k), (cx - dy * k, cy + dx * k), end]
    return tuple(way)


def _shape(shape: Shape) -> Mark:
    if isinstance(shape, Words):
        return shape
    if isinstance(shape, Line):
        return Stroke(shape.points, shape.color, shape.fill, shape.width, shape.dash)
    x, y, right, bottom = shape.x, shape.y, shape.x + shape.w, shape.y + shape.h
    corners = ((x, y), (right, y), (right, bottom), (x, bottom))
    return Stroke(corners, shape.stroke, shape.fill)


def legend_places(scene: Scene) -> Iterator[tuple[Swatch, float, float]]:
    """Yield the legend in as many lines as it takes: each swatch and where it begins."""
    x, y = EDGE, scene.height + 10
    for swatch in scene.legend:
        needed = sign_width(swatch) + 10 + width(swatch.text, 11) + 14
        if x + needed > scene.width and x > EDGE:
            x, y = EDGE, y + LEGEND_LINE
        yield swatch, x, y
        x += needed


def notes(scene: Scene) -> Iterator[Words]:
    """Yield the notes in a column under the legend."""
    first = scene.height + _legend_height(scene) + NOTE_GAP + 4
    for line, note in enumerate(scene.notes):
        yield Words(EDGE, first + NOTE_LINE * line, note, 11, FAINT, "start")


def _legend_height(scene: Scene) -> float:
    return max((y - scene.height + 16 for _, _, y in legend_places(scene)), default=0.0)


def sign_width(swatch: Swatch) -> float:
    """Return the width of the sign of a line of the legend: a scale is longer than a line."""
    return WEDGE if swatch.wedge else SIGN


def wedge(swatch: Swatch, x: float, y: float) -> Iterator[tuple[tuple[Point, ...], str]]:
    """Yield the pieces of a scale in the legend, each an area and its colour, widest first."""
    step = WEDGE / (len(swatch.wedge) - 1)
    for i, ((color, wide), (_, next_wide)) in enumerate(pairwise(swatch.wedge)):
        left, right = x + i * step, x + (i + 1) * step
        a, b = wide / 2, next_wide / 2
        yield ((left, y - a), (right, y - b), (right, y + b), (left, y + a)), color


def _swatch(swatch: Swatch, x: float, y: float) -> Iterator[Mark]:
    if swatch.wedge:
        for area, color in wedge(swatch, x, y):
            yield Stroke(area, fill=color)
    elif swatch.box:
        frame = _rounded(x + 6, y - 6, 24, 12, 3)
        yield Stroke(frame, swatch.color, swatch.box, 1.4, curved=True)
    else:
        yield Stroke(((x, y), (x + SIGN, y)), swatch.color, "", swatch.width, swatch.dash)
    yield from swatch_words(swatch, x, y)


def swatch_words(swatch: Swatch, x: float, y: float) -> Iterator[Words]:
    """Yield the mark on the sign of a line of the legend, then its text."""
    if swatch.mark:
        yield Words(x + SIGN / 2, y + 5, swatch.mark, 15, "#111111", bold=True, halo=True)
    yield Words(x + sign_width(swatch) + 6, y + 4, swatch.text, 11, anchor="start")
