"""Read a written SVG as rectangles, wires and words, and check which must not lie on which.

Widths of words are those of DejaVu Sans as matplotlib measures it, which `viz` knows nothing of.
Above `pictures.py`, which reads paths; knows the document alone, and no part of `viz`.
"""

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from unicodedata import east_asian_width

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tests.viz.pictures import SVG, way

SLACK = 0.6  # pixels that rounding may take
CANDIDATES = 200_000  # pairs of rectangles that are compared at once
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Area:
    """Bound a rectangle of the picture, from its upper left corner to its lower right one."""

    what: str
    x0: float
    y0: float
    x1: float
    y1: float
    key: int = -1
    kind: str = ""

    @property
    def middle(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def within(self, other: "Area", slack: float = SLACK) -> bool:
        """Return whether this rectangle lies inside of another."""
        return (self.x0 >= other.x0 - slack and self.x1 <= other.x1 + slack
                and self.y0 >= other.y0 - slack and self.y1 <= other.y1 + slack)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wire:
    """Hold an edge from its tail to the tip of its head."""

    kind: str
    source: int
    target: int
    points: tuple[tuple[float, float], ...]
    width: float
    title: str


@dataclass(frozen=True)
class Picture:
    """Hold the contents of an SVG. `words` are by kind: box, wire-label, heading, legend, ..."""

    sheet: Area
    boxes: tuple[Area, ...]
    wires: tuple[Wire, ...]
    bands: tuple[Area, ...]
    words: tuple[Area, ...]

    @cached_property
    def box(self) -> dict[int, Area]:
        """Return boxes by key."""
        return {box.key: box for box in self.boxes}


@cache
def extent(text: str, size: float, bold: bool) -> tuple[float, float, float]:
    """Return width, height above the line and depth below it of a line of text, in pixels.

    Characters that stand in squares, which DejaVu Sans lacks, are as wide as they are in all fonts.
    """
    squares = sum(east_asian_width(c) in "WF" for c in text)
    text = "".join("" if east_asian_width(c) in "WF" else c for c in text) or " "
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font lacks
        w, h, d = text_to_path.get_text_width_height_descent(text, font, False)
    return w + squares * size, max(h - d, 0.75 * size * bool(squares)), d


def read(svg: str) -> Picture:
    """Read the picture in an SVG document."""
    root = ET.fromstring(svg)
    sheet = Area("sheet", *map(float, root.get("viewBox").split()))
    boxes, wires, bands, words = [], [], [], []
    for part in root:
        classes = (part.get("class") or "").split()
        if part.tag == f"{SVG}g" and classes[0] == "node":
            box, own = _box(part, classes[1])
            boxes.append(box)
            words += own
        elif part.tag == f"{SVG}g":
            wires.append(_wire(part, classes[1]))
        elif part.tag == f"{SVG}rect" and classes == ["step"]:
            bands.append(_rectangle(part, "band"))
        elif part.tag == f"{SVG}text":
            words.append(_words(part, classes[0]))
    return Picture(sheet, tuple(boxes), tuple(wires), tuple(bands), tuple(words))


def _rectangle(part: ET.Element, what: str) -> Area:
    x, y, w, h = (float(part.get(name, 0)) for name in ("x", "y", "width", "height"))
    return Area(what, x, y, x + w, y + h)


def _box(part: ET.Element, kind: str) -> tuple[Area, list[Area]]:
    """Return a box, and the words in it."""
    inner, key = part.find(f"{SVG}g"), int(part.get("data-id"))
    x, y = map(float, NUMBER.findall(inner.get("transform")))
    rect = inner.find(f"{SVG}rect")
    w, h = float(rect.get("width")), float(rect.get("height"))
    texts = inner.findall(f"{SVG}text")
    words = [
        _words(text, "mark" if text.get("font-weight") else "box", key, x, y) for text in texts
    ]
    what = next((text.text or "" for text in texts), "")
    return Area(what, x, y, x + w, y + h, key, kind), words


def _words(part: ET.Element, kind: str, key: int = -1, dx: float = 0.0, dy: float = 0.0) -> Area:
    """Return the ink of a line of text."""
    size, bold = float(part.get("font-size")), part.get("font-weight") == "bold"
    x, y = float(part.get("x")) + dx, float(part.get("y")) + dy
    runs = [
        (_letters(run), float(run.get("font-size", size))) for run in part.findall(f"{SVG}tspan")
    ]
    text = "".join(letters for letters, _ in runs) or part.text or ""
    parts = [extent(*run, bold) for run in runs or [(text, size)]]
    wide, up, down = sum(p[0] for p in parts), max(p[1] for p in parts), max(p[2] for p in parts)
    if part.get("transform"):
        assert part.get("transform").startswith("rotate(-90 ")  # it reads upward
        top = y - wide * {"start": 1.0, "middle": 0.5, "end": 0.0}[part.get("text-anchor", "start")]
        return Area(text, x - up, top, x + down, top + wide, key, kind)
    left = x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[part.get("text-anchor", "start")]
    return Area(text, left, y - up, left + wide, y + down, key, kind)


def _letters(run: ET.Element) -> str:
    """Return the letters of a part of a formula, without its title."""
    title = run.find(f"{SVG}title")
    return (run.text if title is None else title.tail) or ""


def _wire(part: ET.Element, kind: str) -> Wire:
    line, head, *_ = part.findall(f"{SVG}path")  # a third one is not seen
    tip = way(head.get("d"))[1]
    return Wire(
        kind, int(part.get("data-source")), int(part.get("data-target")),
        (*way(line.get("d"))[:-1], tip), float(line.get("stroke-width")),
        part.findtext(f"{SVG}title") or "",
    )  # fmt: skip


def faults(drawn: str | Picture) -> list[str]:
    """Return all faults in the geometry of an SVG or of what was read of it, in words."""
    picture = read(drawn) if isinstance(drawn, str) else drawn
    found: list[str] = []
    for check in (boxes_on_boxes, wires_through_boxes, loose_ends, words_outside, words_on_words,
                  words_on_boxes, beyond_the_sheet):  # fmt: skip
        found += [f"{check.__name__}: {fault}" for fault in check(picture)]
    return found


def _edges(areas: Iterable[Area], shrink: float = 0.0) -> np.ndarray:
    """Return x0, y0, x1, y1 of areas, (4, n), each drawn in by `shrink` on every side."""
    rows = [(a.x0 + shrink, a.y0 + shrink, a.x1 - shrink, a.y1 - shrink) for a in areas]
    return np.array(rows, dtype=float).reshape(-1, 4).T


def _meeting(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield each pair of rectangles, one of each set, that have room in common."""
    order = np.argsort(b[0], kind="stable")
    b = b[:, order]
    widest = float((b[2] - b[0]).max(initial=0.0))
    low, high = np.searchsorted(b[0], a[0] - widest), np.searchsorted(b[0], a[2])
    ends = np.cumsum(np.maximum(high - low, 0))
    start = 0
    while start < a.shape[1]:  # as many rows as have CANDIDATES pairs, one at least
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + CANDIDATES, "right")), start + 1)
        counts = np.maximum(high[start:stop] - low[start:stop], 0)
        rows = np.repeat(np.arange(start, stop), counts)
        columns = np.arange(len(rows)) - np.repeat(ends[start:stop] - counts - done, counts)
        columns += np.repeat(low[start:stop], counts)
        x0, y0, x1, y1 = a[:, rows]
        near = b[:, columns]
        hit = (near[2] > x0) & (near[0] < x1) & (near[3] > y0) & (near[1] < y1)
        yield from zip(rows[hit].tolist(), order[columns[hit]].tolist(), strict=True)
        start = stop


def boxes_on_boxes(picture: Picture) -> list[str]:
    """Return each two boxes that overlap."""
    own = _edges(picture.boxes)
    return [f"{picture.boxes[i]} and {picture.boxes[j]}" for i, j in _meeting(own, own) if i < j]


def wires_through_boxes(picture: Picture) -> list[str]:
    """Return each wire that runs inside of a box, be it one of its own ends."""
    segments = [
        (wire, p, q) for wire in picture.wires
        for p, q in zip(wire.points, wire.points[1:], strict=False)
    ]  # fmt: skip
    spans = [Area("", min(p[0], q[0]), min(p[1], q[1]), max(p[0], q[0]), max(p[1], q[1]))
             for _, p, q in segments]  # fmt: skip
    inside = _edges(picture.boxes, 1.0)
    found = []
    for i, j in _meeting(_edges(spans, -1e-6), inside):
        wire, p, q = segments[i]
        if _passes(p, q, inside[:, j]):
            box = picture.boxes[j]
            found.append(f"{wire.kind} {wire.title!r} by {p} to {q} in {box}")
    return found


def _passes(p: tuple[float, float], q: tuple[float, float], area: np.ndarray) -> bool:
    """Return whether a straight stretch has a point in a rectangle."""
    low, high = 0.0, 1.0
    for axis in (0, 1):
        way = q[axis] - p[axis]
        a, b = area[axis] - p[axis], area[axis + 2] - p[axis]
        if way == 0:
            if not a < 0 < b:
                return False
            continue
        near, far = sorted((a / way, b / way))
        low, high = max(low, near), min(high, far)
    return low < high


def loose_ends(picture: Picture) -> list[str]:
    """Return each wire that does not begin at the edge of its source and end at its target."""
    found = []
    for wire in picture.wires:
        for key, (x, y) in ((wire.source, wire.points[0]), (wire.target, wire.points[-1])):
            box = picture.box[key]
            inside = box.x0 - SLACK <= x <= box.x1 + SLACK and box.y0 - SLACK <= y <= box.y1 + SLACK
            off = min(abs(x - box.x0), abs(x - box.x1), abs(y - box.y0), abs(y - box.y1))
            if not inside or off > SLACK:
                found.append(f"{wire.kind} {wire.title!r} has an end at {(x, y)}, not at {box}")
    return found


def words_outside(picture: Picture) -> list[str]:
    """Return words that are wider or higher than their box, and headings than their column."""
    found = [
        f"{word} in {picture.box[word.key]}" for word in picture.words
        if word.kind == "box" and not word.within(picture.box[word.key])
    ]  # fmt: skip
    headings = [word for word in picture.words if word.kind == "heading"]
    for word, band in zip(headings, picture.bands, strict=True):
        if not word.within(band):
            found.append(f"heading {word} in {band}")
    return found


def words_on_words(picture: Picture) -> list[str]:
    """Return each two lines of text of which one lies on the other."""
    own = _edges(picture.words, SLACK / 2)
    return [f"{picture.words[i]} and {picture.words[j]}" for i, j in _meeting(own, own) if i < j]


def words_on_boxes(picture: Picture) -> list[str]:
    """Return words that lie on the box of another."""
    found = []
    for i, j in _meeting(_edges(picture.words, SLACK / 2), _edges(picture.boxes, SLACK / 2)):
        word, box = picture.words[i], picture.boxes[j]
        if word.key != box.key:
            found.append(f"{word} on {box}")
    return found


def beyond_the_sheet(picture: Picture) -> list[str]:
    """Return all that is not on the sheet."""
    ways = [Area(wire.title, min(x for x, _ in wire.points), min(y for _, y in wire.points),
                 max(x for x, _ in wire.points), max(y for _, y in wire.points))
            for wire in picture.wires]  # fmt: skip
    everything = (*picture.boxes, *picture.words, *picture.bands, *ways)
    return [str(area) for area in everything if not area.within(picture.sheet)]
