"""Draw one panel of curves: lines, running means, marks of non-finite values. Below `curves.py`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from viz.axes import Axis, whole_ticks
from viz.charts.parts import GREY, INK, SIZE, area, broken, y_axis
from viz.colors import DASHES, SEVERAL, paler
from viz.labels import figure, width
from viz.scene import Line, Point, Rect, Shape, Words
from viz.style import DEAD

Curve = Sequence[float] | Mapping[str, Sequence[float]]

RIGHT = 24.0
SINGLE = 80  # updates: of no more every point is drawn
FEW = 12  # updates: of no more the values of a curve that is alone are written
NORM = "#b3321b"  # of a gradient, where there is one curve
LIMIT = "#202124"


@dataclass(frozen=True, slots=True)
class Panel:
    """Describe one chart of the picture: what it shows, and where it stands."""

    what: str
    curves: dict[str, list[float]]
    means: dict[str, list[float]]
    axis: Axis
    limit: float | None


def ticks(updates: int) -> list[int]:
    """Round numbers of updates, and the first one."""
    return sorted({1, *(t for t in whole_ticks(1, updates, 8) if t > updates / 25)})


def charted(panel: Panel, across: Axis, frame: tuple[float, float], most: int) -> list[Shape]:
    """Return the axis of one panel, from side to side of its frame, and its curves."""
    left, right = frame
    shapes = y_axis(panel.axis, left, right, title=panel.what)
    floor = panel.axis.start
    shapes.append(Line(((left, floor), (right, floor)), GREY, 1.0))
    runs = max(map(len, panel.curves.values()))
    runs_of = [range(s, min(s + -(-runs // most), runs)) for s in range(0, runs, -(-runs // most))]
    for i, values in enumerate(panel.curves.values()):
        shapes += _given(panel, i, values, across, runs_of)
    for i, values in enumerate(panel.curves.values()):
        shapes += _mean_line(panel, i, across, runs_of)
        shapes += _marks(panel, values, across)
        shapes += _points(panel, i, values, across) if len(values) <= SINGLE else []
    if len(panel.curves) == 1 and runs <= FEW:
        shapes += _numbers(panel, next(iter(panel.curves.values())), across)
    if panel.limit is not None:
        y = panel.axis.at(panel.limit)
        shapes.append(Line(((left, y), (right, y)), LIMIT, 1.2, "6 4"))
        for line, words in enumerate(_limit_words(panel.limit)):
            shapes.append(Words(right + 5, y - 2 + 12 * line, words, 10, LIMIT, "start"))
    return shapes


def _limit_words(limit: float) -> tuple[str, str]:
    """Return what stands at the right end of the limit, clear of all curves."""
    return "clipped", f"to {figure(limit)}"


def beside(panels: list[Panel]) -> float:
    """Return the room on the right of the axes."""
    words = [word for panel in panels if panel.limit is not None
             for word in _limit_words(panel.limit)]  # fmt: skip
    return max((width(word, 10) + 11 for word in words), default=RIGHT)


def color_of(panel: Panel, i: int) -> str:
    """Return the colour of a curve."""
    alone = len(panel.curves) == 1
    return NORM if alone and panel.what != "loss" else SEVERAL[i % len(SEVERAL)]


def _fits(panel: Panel, value: float) -> bool:
    """Return whether a value has a place on the axis."""
    return math.isfinite(value) and (value > 0 or not panel.axis.log)


def _given(
    panel: Panel, i: int, values: list[float], across: Axis, runs: list[range]
) -> list[Shape]:
    """Return the given values: a thin line, or an area between the extremes of runs of updates."""
    color = paler(color_of(panel, i))
    shapes: list[Shape] = []
    for stretch in _stretches(panel, values, runs):
        if any(len(run) > 1 for run, _ in stretch):
            upper = [(_x(across, run), panel.axis.at(max(own))) for run, own in stretch]
            lower = [(_x(across, run), panel.axis.at(min(own))) for run, own in stretch]
            shapes.append(area(upper, lower, color))
        else:
            points = tuple((_x(across, run), panel.axis.at(own[0])) for run, own in stretch)
            shapes.append(Line(_long_enough(points), color, 1.4))
    return shapes


def _stretches(
    panel: Panel, values: list[float], runs: list[range]
) -> Iterable[list[tuple[range, list[float]]]]:
    """Return runs of updates with the values that have a place, apart where a run has none."""
    stretch: list[tuple[range, list[float]]] = []
    for run in runs:
        own = [v for v in values[run.start : run.stop] if _fits(panel, v)]
        if own:
            stretch.append((run, own))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _x(across: Axis, run: range) -> float:
    return across.at((run.start + run.stop + 1) / 2)


def _long_enough(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Return a line of one point as a short dash, so that it is seen."""
    if len(points) > 1:
        return points
    (x, y) = points[0]
    return (x - 2, y), (x + 2, y)


def _mean_line(panel: Panel, i: int, across: Axis, runs: list[range]) -> list[Shape]:
    """Return the running mean as a strong line, at the middle update of each run."""
    shapes: list[Shape] = []
    points: list[Point] = []
    name, means = list(panel.means.items())[i]
    middles = [(run.start + min(run.stop, len(means)) - 1) // 2 for run in runs
               if run.start < len(means)]  # fmt: skip
    if len(means) > 1 and middles[-1] != len(means) - 1:
        middles[0], middles[-1] = 0, len(means) - 1  # from the first update to the last
    for at in [*middles, None]:
        if at is not None and _fits(panel, means[at]):
            points.append((across.at(at + 1), panel.axis.at(means[at])))
        elif points:
            line = _long_enough(tuple(points))
            shapes.append(Line(line, color_of(panel, i), 2.0, dash_of(panel, i), title=name))
            points = []
    return shapes


def dash_of(panel: Panel, i: int) -> str:
    """Return the dashes of a curve, none where it is alone."""
    return "" if len(panel.curves) == 1 else DASHES[i % len(DASHES)]


def _points(panel: Panel, i: int, values: list[float], across: Axis) -> list[Shape]:
    """Return the values of a short run one by one."""
    name = list(panel.curves)[i]
    return [
        Rect(across.at(k + 1) - 2, panel.axis.at(value) - 2, 4, 4, color_of(panel, i),
             title=f"{name}, update {k + 1}: {figure(value, 6)}")
        for k, value in enumerate(values) if _fits(panel, value)
    ]  # fmt: skip


def _numbers(panel: Panel, values: list[float], across: Axis) -> list[Shape]:
    """Return the values of a few updates beside their points, off the line and in the frame."""
    shapes: list[Shape] = []
    limit = None if panel.limit is None else panel.axis.at(panel.limit)
    for k, value in enumerate(values):
        if not _fits(panel, value):
            continue
        y = panel.axis.at(value)
        around = [panel.axis.at(v) for v in values[max(k - 1, 0) : k + 2] if _fits(panel, v)]
        places = (y + 14, y - 7) if y > sum(around) / len(around) + 0.1 else (y - 7, y + 14)
        inside = [p for p in places if panel.axis.end + 9 < p < panel.axis.start - 3
                  and (limit is None or not p - 9 < limit < p + 2)]  # fmt: skip
        place = (inside or [p for p in places if p < panel.axis.start - 3] or list(places))[0]
        shapes.append(Words(across.at(k + 1), place, figure(value, 4), SIZE, INK, halo=True))
    return shapes


def _marks(panel: Panel, values: list[float], across: Axis) -> list[Shape]:
    """Return marks of what has no place on the axis, no two of one kind on top of each other."""
    shapes: list[Shape] = []
    last: dict[str, float] = {}
    for i, value in enumerate(values):
        if _fits(panel, value):
            continue
        x = across.at(i + 1)
        mark = Words(x, panel.axis.start - 3, "×", 12, DEAD, bold=True)
        if not math.isfinite(value):
            mark = broken(x, panel.axis.end - (3 if math.isnan(value) else 13), value)
        if x - last.get(mark.text, -math.inf) >= 7:
            shapes.append(mark)
            last[mark.text] = x
    return shapes
