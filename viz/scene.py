"""Hold a drawing as data: boxes, wires, bands, words in pixels. The writers turn it into files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from viz.moved import Point as Point


class Box(NamedTuple):
    """Describe a node: its rectangle and lines of text. `title` is what hovering shows."""

    key: int
    x: float
    y: float
    w: float
    h: float
    kind: str
    lines: tuple[str, ...]
    title: str = ""
    mark: str = ""
    dim: bool = False
    fill: tuple[str, str] | None = None  # fill and stroke other than those of the kind


class Wire(NamedTuple):
    """Hold an edge: a line through points that turns at right angles, from `source` to `target`."""

    source: int
    target: int
    points: Sequence[Point]
    kind: str
    color: str
    width: float = 1.3
    dash: str = ""
    label: str = ""
    label_at: Point | None = None
    title: str = ""
    mark: str = ""
    mark_at: Point | None = None
    dim: bool = False


class Band(NamedTuple):
    """Describe the column of a time step, with its heading."""

    x: float
    y: float
    w: float
    h: float
    heading: str
    shaded: bool


class Swatch(NamedTuple):
    """Hold one line of the legend; a `wedge` is colour and width at points evenly along it."""

    text: str
    color: str
    width: float = 1.3
    dash: str = ""
    box: str = ""
    mark: str = ""
    wedge: tuple[tuple[str, float], ...] = ()


class Rect(NamedTuple):
    """Describe a rectangle of a chart: a bar, a field of a heat map."""

    x: float
    y: float
    w: float
    h: float
    fill: str
    stroke: str = ""
    title: str = ""


class Line(NamedTuple):
    """Hold a line of a chart through points, or the outline of an area where there is a `fill`."""

    points: tuple[Point, ...]
    color: str
    width: float = 1.3
    dash: str = ""
    fill: str = ""
    title: str = ""


class Run(NamedTuple):
    """Hold a part of a formula: `level` is -1 below the line, 1 above it, 0 on it.

    `part` is the number by which links know it, `within` those of all parts that it lies in.
    `title` is what hovering shows.
    """

    text: str
    italic: bool = False
    level: int = 0
    part: int = -1
    within: tuple[int, ...] = ()
    title: str = ""


class Words(NamedTuple):
    """Hold a line of text; `anchor` is start, middle or end, `angle` in degrees, clockwise.

    A formula has `runs` too; they say the same as `text`, which is plain.
    """

    x: float
    y: float
    text: str
    size: float = 11.0
    color: str = "#202124"
    anchor: str = "middle"
    bold: bool = False
    angle: float = 0.0
    halo: bool = False
    runs: tuple[Run, ...] = ()


class Group(NamedTuple):
    """Group boxes by key, wires by both ends, and runs by the numbers of their parts."""

    boxes: tuple[int, ...] = ()
    wires: tuple[tuple[int, int], ...] = ()
    parts: tuple[int, ...] = ()


class Link(NamedTuple):
    """Light up `lit` while the pointer is over one of `by`."""

    by: Group
    lit: Group


@dataclass(frozen=True, slots=True)
class Columns:
    """Locate the steps of a picture for charts below it: x ranges, ends, first free y."""

    times: tuple[int, ...]
    spans: tuple[tuple[float, float], ...]
    left: float
    right: float
    top: float


Shape = Rect | Line | Words


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold everything that is drawn, in order; `notes` stand under the picture.

    `shapes` are those of charts; they stand over the bands and under wires and boxes. The picture
    is shown `shown` pixels wide, 0 for its own width; all else is in pixels before that. Where
    there are `links`, what belongs to what the pointer is over lights up.
    """

    title: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    bands: tuple[Band, ...] = ()
    legend: tuple[Swatch, ...] = ()
    notes: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = ()
    shown: float = 0.0
    links: tuple[Link, ...] = ()
