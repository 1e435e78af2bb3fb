"""Lay out the strips and lines of gates over time, from the top downward. Above the charts and
`variables.py`, below `gates.py`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from viz.analysis.sampling import tile_label, tiles
from viz.axes import Axis
from viz.charts.parts import (
    GREY,
    INK,
    TITLE,
    area,
    broken,
    chart,
    color_bar,
    even_columns,
    framed,
    mark_swatches,
    middle,
    step_labels,
    y_axis,
)  # fmt: skip
from viz.colors import Colors, own_colors, paler
from viz.labels import count, counted, figure, fit, width
from viz.model.variables import Run, Variable
from viz.scene import Columns, Line, Rect, Scene, Shape, Swatch, Words
from viz.style import BROKEN, FORWARD

LEFT, BESIDE = 112.0, 78.0  # the names and numbers of units, and the bar of colours
WIDEST, LEAST = 48.0, 420.0  # a column, and the picture where it has few of them
UNIT, LINE_HEIGHT, HEADING, BETWEEN = 10.0, 38.0, 28.0, 14.0
NUMBERS = 9.0  # pixels: the size of the numbers of units
OVERLAP = 0.7  # pixels by which a field reaches under the next, so that no seam shows
PAST = "#eceef0"  # past the end of a row


@dataclass(frozen=True, slots=True)
class Strip:
    """Hold a variable as numbers: (H,) for each step, None past the end of the row.

    `range` has the scale of all that the variable may be.
    """

    variable: Variable
    range: Colors
    values: list[Any]


class Picture:
    """Stack the shapes of the picture from the top downward."""

    def __init__(
        self, kind: str, units: tuple[int, ...] | None, max_units: int, wide: float
    ) -> None:
        self.kind, self.units, self.max_units, self.wide = kind, units, max_units, wide
        self.shapes: list[Shape] = []
        self.notes: dict[str, None] = {}
        self.y = TITLE
        self.right = min(LEAST, wide)
        self.past = self.broken = self.pale = False

    def add(self, run: Run, strips: list[Strip], max_steps: int) -> None:
        """Draw one cell: its heading, a strip and a line for each variable, and the time axis."""
        times = run.times
        columns_of = tiles(len(times), max_steps)
        wide = min((self.wide - LEFT - BESIDE) / len(columns_of), WIDEST)
        columns = even_columns([times[own[0]] for own in columns_of], LEFT, wide, self.y)
        self.right = max(self.right, columns.right + BESIDE)
        self.shapes.append(Words(20, self.y + 14, run.title, 13, INK, "start", bold=True))
        self.y += HEADING
        for strip in strips:
            self._add_strip(strip, columns, columns_of, times)
        labels = [str(t) for t in columns.times]
        title = "t, run from right to left" if run.direction == "reverse" else "t"
        self.shapes += step_labels(columns, self.y + 4, labels, title=title)
        self.y += 38
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
        name = fit(strip.variable.name, LEFT - 60, 13, bold=True)
        y = top + 10 if self.kind != "line" else (top + self.y) / 2
        self.shapes.append(Words(20, y, name, 13, INK, "start", bold=True))
        self.shapes.append(Words(20, y + 14, self._tally(strip.variable.width), 10, GREY, "start"))
        self.y += BETWEEN

    def _tally(self, wide: int) -> str:
        """Return how many units of a variable are shown, for the line under its name."""
        if self.units is not None and len(self.units) == 1:
            return f"unit {self.units[0]}"
        shown = min(wide, self.max_units if self.units is None else len(self.units))
        if shown < wide and self.kind != "line":
            return f"{count(shown)} of {count(wide)}"
        return counted(wide, "unit")

    def _chosen(self, strip: Strip) -> list[int]:
        """Return the units of a strip: all in order, or those that vary most, the most first."""
        if self.units is not None:
            return list(self.units)
        wide = strip.variable.width
        if wide <= self.max_units:
            return list(range(wide))
        self.notes[
            f"of {count(wide)} units the {count(self.max_units)} that vary most over time "
            f"(standard deviation), the most on top; {count(wide - self.max_units)} are not shown"
        ] = None
        spread = _spreads([own for own in strip.values if own is not None])
        return sorted(range(wide), key=lambda unit: (-spread[unit], unit))[: self.max_units]

    def _fields(
        self, strip: Strip, columns: Columns, own: list[list[Any]], labels: list[str]
    ) -> None:
        """Draw the strip: a field for each unit and each column."""
        units = self._chosen(strip)
        high = UNIT if len(units) > 4 else 14.0
        means = [_mean(values) for values in own]
        shown = [float(mean[unit]) for mean in means if mean is not None for unit in units]
        zero = all(v == 0 for v in shown)  # of one colour, which is white as in any other strip
        colors = own_colors(shown, signed=zero or strip.range.middle is not None)
        right, low = columns.right, self.y + high * len(units)
        for row, unit in enumerate(units):
            y = self.y + row * high
            self.shapes.append(Words(LEFT - 6, y + high / 2 + 3.2, str(unit), NUMBERS, GREY, "end"))
            for (x, end), mean, label in zip(columns.spans, means, labels, strict=True):
                where = f"{strip.variable.name}[{unit}], t = {label}"
                fill, title = PAST, f"{where}: past the end of the row"
                if mean is not None:
                    value = float(mean[unit])
                    self.broken = self.broken or not math.isfinite(value)
                    fill, title = colors.of(value), f"{where}: {figure(value, 6)}"
                wide, tall = min(end + OVERLAP, right) - x, min(y + high + OVERLAP, low) - y
                self.shapes.append(Rect(x, y, wide, tall, fill, title=title))
        self.shapes.append(framed(columns.left, self.y, right, low, "#b8bec6", 0.8))
        bar = max(low - self.y, 30.0)
        self.shapes += color_bar(colors, columns.right + 12, self.y, bar, ends=True)
        self.y += bar + 8

    def _line(
        self, strip: Strip, columns: Columns, own: list[list[Any]], labels: list[str]
    ) -> None:
        """Draw the mean over units as a line, over the band from the smallest to the largest."""
        top, bottom = self.y + 4, self.y + 4 + LINE_HEIGHT
        axis = Axis(strip.range.low, strip.range.high, bottom, top)
        self.shapes += y_axis(axis, columns.left, columns.right, most=2)
        self.pale = self.pale or len(self.units or range(strip.variable.width)) > 1
        for stretch in _stretches(own):
            self._stretch(strip.variable.name, axis, columns, stretch, own, labels)
        self.y = bottom + 4

    def _stretch(
        self, name: str, axis: Axis, columns: Columns, stretch: range, own: list[list[Any]],
        labels: list[str],
    ) -> None:  # fmt: skip
        """Draw the line over successive steps; what is not finite is marked instead."""
        points, upper, lower, rects = [], [], [], []
        for i in stretch:
            low, mean, high = _extremes(own[i], self.units)
            x = middle(columns, i)
            if not math.isfinite(mean):
                self.broken = True
                self.shapes.append(broken(x, axis.end + 12, mean))
                continue
            points.append((x, axis.at(mean)))
            upper.append((x, axis.at(high)))
            lower.append((x, axis.at(low)))
            title = (
                f"{name}, t = {labels[i]}: mean {figure(mean, 6)}, "
                f"from {figure(low, 6)} to {figure(high, 6)}"
            )
            rects.append(Rect(x - 1.5, axis.at(mean) - 1.5, 3, 3, FORWARD, title=title))
        if len(points) > 1:
            self.shapes += [area(upper, lower, paler(FORWARD)), Line(tuple(points), FORWARD, 1.8)]
        self.shapes += rects

    def scene(self, title: str, row: int) -> Scene:
        """Return the finished picture."""
        legend = [] if self.kind == "strip" else [Swatch(
            "mean of all units" if self.units is None else "value" if len(self.units) == 1
            else "mean of these units", FORWARD, 1.8)]  # fmt: skip
        if self.pale and self.kind != "strip":
            legend.append(Swatch("smallest to largest", paler(FORWARD), 8.0))
        if self.past:
            legend.append(Swatch("past the end of the row", "#b8bec6", box=PAST))
        if self.broken:
            if self.kind != "line":
                legend.append(Swatch("NaN or infinite", BROKEN, box=BROKEN))
            drawn = {shape.text for shape in self.shapes if isinstance(shape, Words)}
            legend += mark_swatches(drawn & {"!", "∞"}, "mean is ")
        notes = [f"row {row} of the batch", *self.notes] if row else list(self.notes)
        wide = min(max(self.right, width(title, 15, bold=True) + 40), max(self.right, self.wide))
        return chart(title, wide, self.y, self.shapes, legend, notes)


def _stretches(own: list[list[Any]]) -> Iterable[range]:
    """Return runs of columns that have values."""
    start = 0
    for i in range(len(own) + 1):
        if i == len(own) or not own[i]:
            if i > start:
                yield range(start, i)
            start = i + 1


def _mean(values: list[Any]) -> Any:
    """Return the mean over steps: (H,), None of none."""
    return sum(values[1:], values[0]) / len(values) if values else None


def _spreads(values: list[Any]) -> list[float]:
    """Return the standard deviation of each unit over the steps, (H,) each; infinite if broken."""
    steps = len(values)
    mean = sum(values[1:], values[0]) / steps
    square = sum(((own - mean) ** 2 for own in values[1:]), (values[0] - mean) ** 2) / steps
    return [math.sqrt(v) if math.isfinite(v) else math.inf for v in square.tolist()]


def _extremes(values: list[Any], units: tuple[int, ...] | None) -> tuple[float, float, float]:
    """Return the smallest, the mean and the largest over steps and units."""
    own = [v if units is None else v[list(units)] for v in values]
    mean = math.fsum(float(v.mean()) / len(own) for v in own)
    return min(float(v.min()) for v in own), mean, max(float(v.max()) for v in own)
