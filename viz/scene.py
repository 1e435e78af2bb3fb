"""A drawing as data: boxes, wires, bands and words in pixels. The writers turn it into files."""

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its rectangle and lines of text. `title` is what hovering shows."""

    key: int
    x: float
    y: float
    w: float
    h: float
    kind: str
    lines: tuple[str, ...]
    title: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """An edge as a line through points that turns at right angles, from `source` to `target`."""

    source: int
    target: int
    points: tuple[Point, ...]
    kind: str
    color: str
    width: float = 1.3
    dash: str = ""
    label: str = ""
    label_at: Point | None = None
    title: str = ""
    mark: str = ""
    mark_at: Point | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """The column of a time step, with its heading."""

    x: float
    y: float
    w: float
    h: float
    heading: str
    shaded: bool


@dataclass(frozen=True, slots=True)
class Swatch:
    """One line of the legend."""

    text: str
    color: str
    width: float = 1.3
    dash: str = ""
    box: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is drawn, in order; `notes` stand under the picture."""

    title: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    bands: tuple[Band, ...] = ()
    legend: tuple[Swatch, ...] = ()
    notes: tuple[str, ...] = ()
