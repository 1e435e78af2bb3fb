"""The strips and lines of gates over time, laid out from the top downward. Above the charts and
`variables.py`, below `gates.py`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from viz.charts.axes import Axis
from viz.charts.parts import (
    GREY,
    INK,
    TITLE,
    area,
    broken,
    color_bar,
    even_columns,
    middle,
    step_labels,
    y_axis,
)
from viz.colors import Colors, paler
from viz.graphs.sampling import tile_label, tiles
from viz.graphs.variables import Run, Variable
from viz.labels import count, short, width, wrapped
from viz.scene import Columns, Line, Rect, Scene, Shape, Swatch, Words
from viz.style import BROKEN, FORWARD

LEFT, BESIDE, ACROSS = 118.0, 96.0, 640.0
LINE_HEIGHT, HEADING, BETWEEN = 44.0, 30.0, 16.0
PAST = "#eceef0"  # past the end of a row


@dataclass(frozen=True, slots=True)
class Strip:
    """A variable as numbers: (H,) for each step, None past the end of the row."""

    variable: Variable
    colors: Colors
    values: list[Any]


class Picture:
    """The shapes of the picture in the making, from the top downward."""

    def __init__(self, kind: str, unit: int | None, max_units: int) -> None:
        self.kind, self.unit, self.max_units = kind, unit, max_units
        self.shapes: list[Shape] = []
        self.notes: dict[str, None] = {}
        self.y = TITLE
        self.right = 420.0
        self.past = self.broken = self.pale = False

    def add(self, run: Run, strips: list[Strip], max_steps: int) -> None:
        """Draw one cell: its heading, a strip and a line for each variable, and the time axis."""
        times = run.times
        columns_of = tiles(len(times), max_steps)
        wide = float(round(min(max(ACROSS / len(columns_of), 8.0), 36.0)))
        columns = even_columns([times[own[0]] for own in columns_of], LEFT, wide, self.y)
        self.right = max(self.right, columns.right + BESIDE)
        self.shapes.append(Words(20, self.y + 14, run.title, 13, INK, "start", bold=True))
        if run.direction == "reverse":
            self.shapes.append(
                Words(columns.right, self.y + 14, "← runs this way", 10, GREY, "end")
            )
        self.y += HEADING
        for strip in strips:
            self._add_strip(strip, columns, columns_of, times)
        labels = [str(t) for t in columns.times]
        self.shapes += step_labels(columns, self.y + 4, labels, title="t")
        self.y += 40
        if len(columns_of) < len(times):
            self.notes[f"{count(len(times))} steps: a column is the mean of up to "
                       f"{count(len(columns_of[0]))} of them"] = None  # fmt: skip

    def leave_out(self, run: Run) -> None:
        """Note which variables are not drawn by default."""
        rest = [f"{one.name} ({count(one.width)} wide)" for one in run.variables.values()
                if not run.as_wide_as_a_state(one)]  # fmt: skip
        if rest:
            self.notes[f"not drawn: {', '.join(rest)}; names= chooses"] = None

    def _add_strip(
        self, strip: Strip, columns: Columns, columns_of: list[range], times: list[int]
    ) -> None:
        top = self.y
        own = [[strip.values[i] for i in part if strip.values[i] is not None]
               for part in columns_of]  # fmt: skip
        self.past = self.past or any(not values for values in own)
        labels = [tile_label(times, part) for part in columns_of]
        if self.kind != "line":
            self._fields(strip, columns, own, labels)
        if self.kind != "strip":
            self._line(strip, columns, own, labels)
        name = short(strip.variable.name, 14)
        y = top + 14 if self.kind == "both" else (top + self.y) / 2
        self.shapes.append(Words(20, y, name, 13, INK, "start", bold=True))
        wide = strip.variable.width
        what = (
            f"unit {self.unit}"
            if self.unit is not None
            else f"{count(wide)} unit{'s' * (wide > 1)}"
        )
        self.shapes.append(Words(20, y + 14, what, 10, GREY, "start"))
        self.y += BETWEEN

    def _fields(
        self, strip: Strip, columns: Columns, own: list[list[Any]], labels: list[str]
    ) -> None:
        """Draw the strip: a field for each unit, or run of units, and each column."""
        units = [range(self.unit, self.unit + 1)] if self.unit is not None else tiles(
            strip.variable.width, self.max_units)  # fmt: skip
        if len(units[0]) > 1:
            self.notes[f"a line of a strip is the mean of up to {len(units[0])} units"] = None
        high = float(round(min(max(96.0 / len(units), 5.0), 14.0)))
        for (left, right), values, label in zip(columns.spans, own, labels, strict=True):
            mean = _mean(values)
            for i, part in enumerate(units):
                where = f"{strip.variable.name}[{_span(part)}], t = {label}"
                fill, title = PAST, f"{where}: past the end of the row"
                if mean is not None:
                    value = float(mean[part.start : part.stop].mean())
                    self.broken = self.broken or not math.isfinite(value)
                    fill, title = strip.colors.of(value), f"{where}: {value:.6g}"
                self.shapes.append(
                    Rect(left, self.y + i * high, right - left, high, fill, title=title)
                )
        tall = high * len(units)
        self._outline(columns, tall)
        bar = max(tall, 26.0)
        self.shapes += color_bar(strip.colors, columns.right + 14, self.y, bar)
        self.y += bar + 6

    def _outline(self, columns: Columns, tall: float) -> None:
        left, right, top, low = columns.left, columns.right, self.y, self.y + tall
        around = ((left, top), (right, top), (right, low), (left, low), (left, top))
        self.shapes.append(Line(around, "#b8bec6", 0.8))

    def _line(
        self, strip: Strip, columns: Columns, own: list[list[Any]], labels: list[str]
    ) -> None:
        """The mean over units as a line, over what lies between the smallest and the largest."""
        top, bottom = self.y + 4, self.y + 4 + LINE_HEIGHT
        axis = Axis(strip.colors.low, strip.colors.high, bottom, top)
        self.shapes += y_axis(axis, columns.left, columns.right, most=2)
        self.pale = self.pale or (self.unit is None and strip.variable.width > 1)
        for stretch in _stretches(own):
            self._stretch(strip.variable.name, axis, columns, stretch, own, labels)
        self.y = bottom + 4

    def _stretch(
        self, name: str, axis: Axis, columns: Columns, stretch: range, own: list[list[Any]],
        labels: list[str],
    ) -> None:  # fmt: skip
        """The line over steps that follow each other; what is not finite is marked instead."""
        points, upper, lower, rects = [], [], [], []
        for i in stretch:
            low, mean, high = _extremes(own[i], self.unit)
            x = middle(columns, i)
            if not math.isfinite(mean):
                self.broken = True
                self.shapes.append(broken(x, axis.end + 12, mean))
                continue
            points.append((x, axis.at(mean)))
            upper.append((x, axis.at(high)))
            lower.append((x, axis.at(low)))
            title = f"{name}, t = {labels[i]}: mean {mean:.6g}, from {low:.6g} to {high:.6g}"
            rects.append(Rect(x - 1.5, axis.at(mean) - 1.5, 3, 3, FORWARD, title=title))
        if len(points) > 1:
            self.shapes += [area(upper, lower, paler(FORWARD)), Line(tuple(points), FORWARD, 1.8)]
        self.shapes += rects

    def scene(self, title: str, row: int) -> Scene:
        """Return the finished picture."""
        legend = [] if self.kind == "strip" else [Swatch(
            "mean of the units" if self.unit is None else "value", FORWARD, 1.8)]  # fmt: skip
        if self.pale and self.kind != "strip":
            legend.append(Swatch("smallest to largest", paler(FORWARD), 8.0))
        if self.past:
            legend.append(Swatch("past the end of the row", "#b8bec6", box=PAST))
        if self.broken:
            field = [Swatch("NaN or infinite", BROKEN, box=BROKEN)]
            marks = [Swatch("mean is NaN", "#ffffff", 0.1, mark="!"),
                     Swatch("mean is infinite", "#ffffff", 0.1, mark="∞")]  # fmt: skip
            legend += (field if self.kind != "line" else []) + (
                marks if self.kind != "strip" else [])  # fmt: skip
        notes = [f"row {row} of the batch", *self.notes] if row else list(self.notes)
        wide = max(self.right, width(title, 15, bold=True) + 40)
        return Scene(title, wide, self.y, (), (), legend=tuple(legend),
                     notes=wrapped(notes, wide - 40), shapes=tuple(self.shapes))  # fmt: skip


def _stretches(own: list[list[Any]]) -> Iterable[range]:
    """Runs of columns that have values."""
    start = 0
    for i in range(len(own) + 1):
        if i == len(own) or not own[i]:
            if i > start:
                yield range(start, i)
            start = i + 1


def _mean(values: list[Any]) -> Any:
    """Return the mean over steps: (H,), None of none."""
    return sum(values[1:], values[0]) / len(values) if values else None


def _extremes(values: list[Any], unit: int | None) -> tuple[float, float, float]:
    """Return the smallest, the mean and the largest over steps and units."""
    own = [v if unit is None else v[unit : unit + 1] for v in values]
    mean = math.fsum(float(v.mean()) / len(own) for v in own)
    return min(float(v.min()) for v in own), mean, max(float(v.max()) for v in own)


def _span(part: range) -> str:
    return f"{part[0]}" if len(part) == 1 else f"{part[0]}–{part[-1]}"
