"""Losses and norms of gradients over the updates of a training run. Above the charts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from viz.charts.axes import Axis, whole_ticks
from viz.charts.parts import GREY, TITLE, area, broken, running_means, x_axis, y_axis
from viz.colors import DASHES, SEVERAL, paler
from viz.diagram import Diagram
from viz.graphs.sampling import check_limit
from viz.labels import count, number, short, width, wrapped
from viz.scene import Line, Point, Rect, Scene, Shape, Swatch, Words
from viz.style import DEAD

Curve = Sequence[float] | Mapping[str, Sequence[float]]

LEFT, RIGHT, ACROSS, HIGH, BETWEEN = 76.0, 24.0, 640.0, 200.0, 36.0
SINGLE = 80  # updates: of no more every point is drawn
NORM = "#b3321b"  # of a gradient, where there is one curve
LIMIT = "#202124"


@dataclass(frozen=True, slots=True)
class _Panel:
    """One chart of the picture: what it shows, and where it stands."""

    what: str
    curves: dict[str, list[float]]
    means: dict[str, list[float]]
    axis: Axis
    limit: float | None


def draw_curves(
    losses: Curve,
    norms: Curve | None = None,
    *,
    threshold: float | None = None,
    window: int | None = None,
    log: bool = False,
    max_points: int = 320,
    title: str = "",
) -> Diagram:
    """Losses over the updates of a training run, and under them norms of gradients, on a log axis.

    Each is a list with a number for each update, or several lists by name. A strong line is the
    mean of the finite ones among the `window` values around each update, as many before as after,
    by default a twenty-fifth of the run; pale is what was given. Of more than `max_points` updates
    the pale area spans the smallest and the largest of each run of them. NaN, infinities and norms
    of zero are marked where they occur. `threshold` is the norm to which gradients are clipped.
    `log` draws the losses on a log axis too. `graph` has a node for each update and curve, with its
    `value` and its running `mean`.
    Raises ValueError where there is nothing to draw, for negative norms, and for a loss that is
    not above 0 with `log`.

    >>> from viz.charts.curves import draw_curves
    >>> draw_curves([2.0, 1.5, 1.2], [0.3, float("nan"), 4.0], threshold=1.0).scene.title
    'Training: loss and norm of the gradient'
    """
    check_limit("draw_curves", max_points, "max_points")
    if threshold is not None and not threshold > 0:
        raise ValueError(f"draw_curves: expected a threshold above 0, got {threshold}")
    parts = _parts(losses, norms, log=log)
    updates = max(len(values) for curves in parts.values() for values in curves.values())
    window = max(1, updates // 25) if window is None else window
    if window < 1:
        raise ValueError(f"draw_curves: window must be at least 1, got {window}")
    panels = _panels(parts, window, log=log, threshold=threshold)
    across = Axis(1, max(updates, 2), LEFT, LEFT + ACROSS)
    shapes: list[Shape] = []
    for panel in panels:
        shapes += _charted(panel, across, max_points)
    shapes += x_axis(across, panels[-1].axis.start, _ticks(updates), title="update")
    title = title or "Training: " + " and ".join(panel.what for panel in panels)
    wide = max(LEFT + ACROSS + _beside(panels), width(title, 15, bold=True) + 40)
    notes = _notes(parts, updates, window, max_points)
    scene = Scene(
        title=title,
        width=wide,
        height=panels[-1].axis.start + 46,
        boxes=(),
        wires=(),
        legend=tuple(_legend(panels, window)),
        notes=wrapped(notes, wide - 40),
        shapes=tuple(shapes),
    )
    return Diagram(scene, lambda: _graph(panels, window))


def _parts(losses: Curve, norms: Curve | None, *, log: bool) -> dict[str, dict[str, list[float]]]:
    """The curves of each panel by name, as floats."""
    parts = {"loss": _named(losses, "loss")}
    if norms is not None:
        parts["norm of the gradient"] = _named(norms, "norm")
    for what, curves in parts.items():
        for name, values in curves.items():
            _check(what, name, values, log=log)
    parts = {what: curves for what, curves in parts.items() if any(curves.values())}
    if "loss" not in parts:
        raise ValueError("draw_curves: there are no losses to draw; give a number for each update")
    return parts


def _check(what: str, name: str, values: list[float], *, log: bool) -> None:
    for i, value in enumerate(values):
        where = f"draw_curves: {name!r} is {value} at update {i + 1}"
        if what != "loss" and value < 0:
            raise ValueError(f"{where}; a norm is not negative")
        if what == "loss" and log and value <= 0:
            raise ValueError(f"{where}, which has no place on a log axis; leave out log=True")


def _named(curve: Curve, name: str) -> dict[str, list[float]]:
    given = curve if isinstance(curve, Mapping) else {name: curve}
    return {str(key): [float(value) for value in values] for key, values in given.items()}


def _panels(
    parts: dict[str, dict[str, list[float]]],
    window: int,
    *,
    log: bool,
    threshold: float | None,
) -> list[_Panel]:
    panels = []
    for i, (what, curves) in enumerate(parts.items()):
        top = TITLE + 26 + i * (HIGH + BETWEEN)
        limit = threshold if what != "loss" else None
        values = [v for own in curves.values() for v in own] + ([limit] if limit else [])
        axis = Axis.of(values, top + HIGH, top, log=log or what != "loss")
        means = {name: running_means(own, window) for name, own in curves.items()}
        panels.append(_Panel(what, curves, means, axis, limit))
    return panels


def _ticks(updates: int) -> list[int]:
    """Round numbers of updates, and the first one."""
    return sorted({1, *(t for t in whole_ticks(1, updates, 8) if t > updates / 25)})


def _charted(panel: _Panel, across: Axis, most: int) -> list[Shape]:
    """The axis of one panel and its curves."""
    shapes = y_axis(panel.axis, across.start, across.end, title=panel.what)
    floor = panel.axis.start
    shapes.append(Line(((across.start, floor), (across.end, floor)), GREY, 1.0))
    runs = max(map(len, panel.curves.values()))
    runs_of = [range(s, min(s + -(-runs // most), runs)) for s in range(0, runs, -(-runs // most))]
    for i, values in enumerate(panel.curves.values()):
        shapes += _given(panel, i, values, across, runs_of)
    for i, values in enumerate(panel.curves.values()):
        shapes += _mean_line(panel, i, across, runs_of)
        shapes += _marks(panel, values, across)
        shapes += _points(panel, i, values, across) if len(values) <= SINGLE else []
    if panel.limit is not None:
        y = panel.axis.at(panel.limit)
        shapes.append(Line(((across.start, y), (across.end, y)), LIMIT, 1.2, "6 4"))
        for line, words in enumerate(_limit_words(panel.limit)):
            shapes.append(Words(across.end + 5, y - 2 + 12 * line, words, 10, LIMIT, "start"))
    return shapes


def _limit_words(limit: float) -> tuple[str, str]:
    """What stands at the right end of the limit, clear of all curves."""
    return "clipped", f"to {number(limit)}"


def _beside(panels: list[_Panel]) -> float:
    """The room on the right of the axes."""
    words = [word for panel in panels if panel.limit is not None
             for word in _limit_words(panel.limit)]  # fmt: skip
    return max((width(word, 10) + 11 for word in words), default=RIGHT)


def _color(panel: _Panel, i: int) -> str:
    alone = len(panel.curves) == 1
    return NORM if alone and panel.what != "loss" else SEVERAL[i % len(SEVERAL)]


def _fits(panel: _Panel, value: float) -> bool:
    """Whether a value has a place on the axis."""
    return math.isfinite(value) and (value > 0 or not panel.axis.log)


def _given(
    panel: _Panel, i: int, values: list[float], across: Axis, runs: list[range]
) -> list[Shape]:
    """What was given: a thin line, or an area between the extremes of each run of updates."""
    color = paler(_color(panel, i))
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
    panel: _Panel, values: list[float], runs: list[range]
) -> Iterable[list[tuple[range, list[float]]]]:
    """Runs of updates with the values that have a place, apart where a run has none."""
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
    """A line of one point as a short dash, so that it is seen."""
    if len(points) > 1:
        return points
    (x, y) = points[0]
    return (x - 2, y), (x + 2, y)


def _mean_line(panel: _Panel, i: int, across: Axis, runs: list[range]) -> list[Shape]:
    """The running mean as a strong line, at the middle update of each run."""
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
            shapes.append(Line(line, _color(panel, i), 2.0, _dash(panel, i), title=name))
            points = []
    return shapes


def _dash(panel: _Panel, i: int) -> str:
    return "" if len(panel.curves) == 1 else DASHES[i % len(DASHES)]


def _points(panel: _Panel, i: int, values: list[float], across: Axis) -> list[Shape]:
    """The values of a short run one by one."""
    name = list(panel.curves)[i]
    return [
        Rect(across.at(k + 1) - 2, panel.axis.at(value) - 2, 4, 4, _color(panel, i),
             title=f"{name}, update {k + 1}: {value:.6g}")
        for k, value in enumerate(values) if _fits(panel, value)
    ]  # fmt: skip


def _marks(panel: _Panel, values: list[float], across: Axis) -> list[Shape]:
    """Marks of what has no place on the axis, no two of one kind on top of each other."""
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


def _legend(panels: list[_Panel], window: int) -> Iterable[Swatch]:
    mean = f", mean of the {count(window)} around" if window > 1 else ""
    drawn = [(name, _color(panel, i), _dash(panel, i))
             for panel in panels for i, name in enumerate(panel.curves)]  # fmt: skip
    alone = {one for one in drawn if drawn.count(one) == 1}  # others look alike in both panels
    for panel in panels:
        for i, name in enumerate(panel.curves):
            one = name, _color(panel, i), _dash(panel, i)
            if one in alone or panel is panels[0]:
                plain = len(panel.curves) == 1 or one not in alone
                what = name if plain else f"{panel.what}: {name}"
                yield Swatch(short(what, 40) + mean, one[1], 2.0, one[2])
    values = [v for p in panels for own in p.curves.values() for v in own]
    if window > 1 or len(values) > 1000:
        yield Swatch("as given", "#c3cfdc", 4.0)
    if any(math.isnan(v) for v in values):
        yield Swatch("NaN", "#ffffff", 0.1, mark="!")
    if any(math.isinf(v) for v in values):
        yield Swatch("infinite", "#ffffff", 0.1, mark="∞")
    if any(v == 0 for p in panels if p.axis.log for own in p.curves.values() for v in own):
        yield Swatch("zero", "#ffffff", 0.1, mark="×")


def _notes(
    parts: dict[str, dict[str, list[float]]], updates: int, window: int, most: int
) -> Iterable[str]:
    if updates > most:
        yield (
            f"{count(updates)} updates: pale from the smallest to the largest of each "
            f"{count(-(-updates // most))}"
        )
    bad = [
        f"{count(lost)} of {count(len(values))} of {short(name, 40)}"
        for curves in parts.values()
        for name, values in curves.items()
        if (lost := sum(not math.isfinite(v) for v in values))
    ]
    if bad:
        yield f"NaN or infinite: {', '.join(bad)}"


def _graph(panels: list[_Panel], window: int) -> nx.MultiDiGraph:
    """A node for each update and curve, joined in their order."""
    graph = nx.MultiDiGraph(window=window)
    for panel in panels:
        for name, values in panel.curves.items():
            start = graph.number_of_nodes()
            for i, (value, mean) in enumerate(zip(values, panel.means[name], strict=True)):
                graph.add_node(start + i, panel=panel.what, curve=name, update=i + 1,
                               value=value, mean=mean)  # fmt: skip
            graph.add_edges_from((start + i, start + i + 1) for i in range(len(values) - 1))
    return graph
