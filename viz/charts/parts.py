"""Draw the pieces of charts: axes, colour bars, areas, bars under a grid of time steps.

Every function returns shapes in pixels. Above `axes.py` and `colors.py`, below the drawings.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

from viz.axes import Axis, fitted
from viz.colors import Colors
from viz.labels import fit, number, width, wrapped
from viz.scene import Columns, Line, Point, Rect, Scene, Shape, Swatch, Words
from viz.style import BROKEN

INK, GREY, RULE = "#202124", "#5f6368", "#e3e6ea"
SIZE = 10.0  # of the numbers at an axis
TITLE = 40.0  # the height of the title of a picture
MARK = 13.0
UNDER = 64.0  # the height of bars under a grid
WIDTH, NARROWEST = 800.0, 480.0  # pixels: the width of a chart by default, and the smallest
BAR, SLICES = 14.0, 60  # pixels: the width of a colour bar; its pieces


def chart(
    title: str, wide: float, height: float, shapes: Iterable[Shape], legend: Iterable[Swatch],
    notes: Iterable[str],
) -> Scene:  # fmt: skip
    """Return a picture of shapes alone, its title cut and its notes wrapped to its width."""
    return Scene(fit(title, wide - 40, 15, bold=True), wide, height, (), (), legend=tuple(legend),
                 notes=wrapped(notes, wide - 40), shapes=tuple(shapes))  # fmt: skip


def headline(lines: Sequence[str]) -> list[Shape]:
    """Return the lines of words that stand under the title of a picture."""
    return [Words(20, TITLE + 8 + 15 * i, line, 11.5, GREY, "start")
            for i, line in enumerate(lines)]  # fmt: skip


def mark_swatches(marks: Collection[str], what: str = "") -> list[Swatch]:
    """Return the legend of these marks of values that have no place on an axis."""
    names = {"!": "NaN", "∞": "infinite", "×": "zero"}
    return [Swatch(f"{what}{name}", "#ffffff", 0.1, mark=mark)
            for mark, name in names.items() if mark in marks]  # fmt: skip


def framed(left: float, top: float, right: float, low: float, color: str, wide: float) -> Line:
    """Return the outline of a rectangle."""
    corners = ((left, top), (right, top), (right, low), (left, low), (left, top))
    return Line(corners, color, wide)


def even_columns(times: Sequence[int], left: float, wide: float, top: float) -> Columns:
    """Return columns of one width, side by side."""
    spans = tuple((left + i * wide, left + (i + 1) * wide) for i in range(len(times)))
    return Columns(tuple(times), spans, left, left + wide * len(times), top)


def middle(columns: Columns, i: int) -> float:
    """Return the middle of column number `i`."""
    return (columns.spans[i][0] + columns.spans[i][1]) / 2


def y_axis(axis: Axis, left: float, right: float, *, title: str = "", most: int = 5) -> list[Shape]:
    """Return the numbers of an upright axis at `left`, and a thin rule for each up to `right`."""
    shapes: list[Shape] = []
    ticks = axis.ticks(most)
    for value in ticks:
        y = axis.at(value)
        base = not axis.log and value == 0
        shapes.append(Line(((left, y), (right, y)), GREY if base else RULE, 1.0))
        shapes.append(Words(left - 6, y + 3.5, axis.label(value), SIZE, GREY, "end"))
    if title:
        room = max((width(axis.label(v), SIZE) for v in ticks), default=0.0)
        x, y = left - 14 - room, (axis.start + axis.end) / 2
        shapes.append(Words(x, y, title, 11, INK, angle=-90.0))
    return shapes


def x_axis(
    axis: Axis, y: float, ticks: Iterable[float], *, title: str = "",
    frame: tuple[float, float] | None = None,
) -> list[Shape]:  # fmt: skip
    """Return a level axis at `y`: a line, short ticks, numbers and a title under them.

    The line is as long as the axis, or as the `frame` of the chart.
    """
    left, right = frame or (axis.start, axis.end)
    shapes: list[Shape] = [Line(((left, y), (right, y)), GREY, 1.0)]
    for value in ticks:
        x = axis.at(value)
        shapes.append(Line(((x, y), (x, y + 4)), GREY, 1.0))
        shapes.append(Words(x, y + 15, axis.label(value), SIZE, GREY))
    if title:
        shapes.append(Words((axis.start + axis.end) / 2, y + 31, title, 11, INK))
    return shapes


def step_labels(
    columns: Columns, y: float, labels: Sequence[str], *, title: str = ""
) -> list[Shape]:
    """Return what the columns of a time axis are called, every n-th where not all of them fit."""
    placed = [(middle(columns, i), text) for i, text in enumerate(labels)]
    shapes: list[Shape] = [Words(placed[i][0], y, placed[i][1], SIZE, GREY)
                           for i in fitted(placed, SIZE)]  # fmt: skip
    if title:
        centre = (columns.spans[0][0] + columns.spans[-1][1]) / 2
        shapes.append(Words(centre, y + 17, title, 11, INK))
    return shapes


def color_bar(
    colors: Colors, x: float, top: float, height: float, *, ends: bool = False
) -> list[Shape]:
    """Return an upright bar with all colours of a scale, the largest on top, numbers at its right.

    With `ends` the numbers are the ends of the scale and one between, else round ones.
    """
    axis = colors.axis(top + height, top)
    step = float(max(1, round(height / SLICES)))
    starts = [i * step for i in range(math.ceil(height / step))]
    shapes: list[Shape] = [  # each down to the end, under the next: no seams at any zoom
        Rect(x, top + start, BAR, height - start,
             colors.of(_value_at(colors, 1 - min(start + step / 2, height) / height)))
        for start in starts
    ]  # fmt: skip
    shapes.append(framed(x, top, x + BAR, top + height, GREY, 0.8))
    ticks = _ends(colors, axis) if ends else axis.ticks(max(2, int(height / 24)))
    for value in ticks:
        y = axis.at(value)
        shapes.append(Line(((x + BAR, y), (x + BAR + 3, y)), GREY, 0.8))
        shapes.append(Words(x + BAR + 6, y + 3.5, axis.label(value), SIZE, GREY, "start"))
    return shapes


def _ends(colors: Colors, axis: Axis) -> list[float]:
    """Return both ends of a scale, and the round value nearest to its middle that has room."""
    apart = 1.3 * SIZE
    between = [colors.middle] if colors.middle is not None else axis.ticks(5)
    centre = (axis.start + axis.end) / 2
    fit = [v for v in between
           if axis.start - axis.at(v) >= apart and axis.at(v) - axis.end >= apart]  # fmt: skip
    best = min(fit, key=lambda v: abs(axis.at(v) - centre), default=None)
    return [colors.low, *([] if best is None else [best]), colors.high]


def _value_at(colors: Colors, share: float) -> float:
    """Return the value at a share of the way up a colour bar."""
    if colors.log:
        return float(colors.low * (colors.high / colors.low) ** share)
    return colors.low + (colors.high - colors.low) * share


def area(upper: Sequence[Point], lower: Sequence[Point], fill: str, title: str = "") -> Line:
    """Return what lies between two lines."""
    return Line((*upper, *reversed(lower)), "none", 0.0, fill=fill, title=title)


def broken(x: float, y: float, value: float) -> Words:
    """Return the mark of a value that is NaN or infinite: it has no place on an axis."""
    return Words(x, y, "!" if math.isnan(value) else "∞", MARK, BROKEN, bold=True, halo=True)


def bars(
    columns: Columns, values: Sequence[float], color: str, title: str
) -> tuple[list[Shape], float]:
    """Return a bar for each column of a time grid, under it on its axis: shapes and their height.

    `values` are in the order of ``columns.times``. Bars stand on 0; what is not finite is marked.
    Raises ValueError for another number of values.
    """
    if len(values) != len(columns.times):
        raise ValueError(
            f"bars: expected a value for each of {len(columns.times)} columns, got {len(values)}"
        )
    top, head = columns.top, 22.0
    axis = Axis.of(values, top + head + UNDER, top + head, zero=True)
    left = columns.spans[0][0] if columns.spans else columns.left
    right = columns.spans[-1][1] if columns.spans else columns.right
    shapes = y_axis(axis, left, right, most=int(UNDER / 20))
    for i, value in enumerate(values):
        wide = min(0.7 * (columns.spans[i][1] - columns.spans[i][0]), 40.0)
        shapes += _bar(axis, middle(columns, i), wide, value, color, f"t = {columns.times[i]}")
    shapes.append(Words(left, top + 14, title, 11, INK, "start", bold=True))
    return shapes, head + UNDER + 10


def _bar(axis: Axis, x: float, wide: float, value: float, color: str, where: str) -> list[Shape]:
    """Return one bar from 0, with its number over it where that fits, or its mark."""
    if not math.isfinite(value):
        return [broken(x, axis.end + MARK, value)]
    if value == 0:
        return []
    y, base = axis.at(value), axis.at(0.0)
    shapes: list[Shape] = [
        Rect(x - wide / 2, min(y, base), wide, max(abs(y - base), 0.5), color,
             title=f"{where}: {value:.6g}")]  # fmt: skip
    text = number(value)
    if width(text, 9) <= wide / 0.7 - 2:
        shapes.append(Words(x, y - 3 if value > 0 else y + 10, text, 9, INK, halo=True))
    return shapes


def running_means(values: Sequence[float], window: int) -> list[float]:
    """Return for each value the mean of the finite ones among `window` around it; or NaN.

    The value is in the middle of its window, or just before it. At the ends what there is counts.

    >>> from viz.charts.parts import running_means
    >>> running_means([1.0, float("nan"), 3.0, 5.0], 3)
    [1.0, 2.0, 4.0, 4.0]
    """
    ahead = window // 2
    return _trailing_means([*values, *[math.nan] * ahead], window)[ahead:]


def _trailing_means(values: Sequence[float], window: int) -> list[float]:
    """Return for each value the mean of the finite ones among `window` up to it; or NaN."""
    n = len(values)
    alive = [math.isfinite(v) for v in values]
    head = [0.0] * n  # sums from the beginning of a block of `window` values to here
    tail = [0.0] * (n + 1)  # and from here to its end: two of them make up every window
    for i in range(n):
        head[i] = (head[i - 1] if i % window else 0.0) + (values[i] if alive[i] else 0.0)
    for i in range(n - 1, -1, -1):
        inside = (i + 1) % window != 0
        tail[i] = (tail[i + 1] if inside else 0.0) + (values[i] if alive[i] else 0.0)
    before = [0, *accumulate(alive)]
    means = []
    for i in range(n):
        start = max(0, i + 1 - window)
        total = head[i] if start % window == 0 else tail[start] + head[i]
        known = before[i + 1] - before[start]
        means.append(total / known if known else math.nan)
    return means
