"""Draw losses and norms of gradients over the updates of a training run. Above the charts."""

import math
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from engine.checks import is_whole
from engine.suggestions import advised
from viz.analysis.sampling import check_chart
from viz.axes import Axis
from viz.charts.curve_panels import FEW, Panel, beside, charted, color_of, dash_of, ticks
from viz.charts.parts import NARROWEST, TITLE, WIDTH, chart, mark_swatches, running_means, x_axis
from viz.checks import shown
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, short
from viz.scene import Shape, Swatch

Curve = Sequence[float] | Mapping[str, Sequence[float]]

LEFT, HIGH, BETWEEN = 76.0, 200.0, 36.0
INSET, ROOM = 14.0, 30.0  # pixels on either side of the curves, and of those with numbers


@advised(DRAWINGS)
def draw_curves(
    losses: Curve,
    norms: Curve | None = None,
    *,
    threshold: float | None = None,
    window: int | None = None,
    log: bool = False,
    max_points: int = 320,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw losses over the updates of a run, and under them norms of gradients, on a log axis.

    Each is a list with a number for each update, or several lists by name. A strong line is the
    mean of the finite ones among the `window` values around each update, as many before as after:
    an even window is taken one wider. By default it is a twenty-fifth of the run. Pale is what was
    given. Of more than `max_points` updates the pale area spans the smallest and the largest of
    each run of them; of few the values stand beside the points. NaN, infinities and norms of zero
    are marked where they occur. `threshold` is the norm to which gradients are clipped. `log` draws
    the losses on a log axis too. The picture is `width` pixels wide, 480 or more. `graph` has a
    node for each update and curve, with its `value` and its running `mean`.

    Raises ValueError without values, for negative norms, and with `log` for losses not above 0.

    >>> from viz.charts.curves import draw_curves
    >>> draw_curves([2.0, 1.5, 1.2], [0.3, float("nan"), 4.0], threshold=1.0).scene.title
    'Training: loss and norm of the gradient'
    """
    width = check_chart("draw_curves", width, NARROWEST, title, max_points=max_points)
    if threshold is not None and not threshold > 0:
        raise ValueError(f"draw_curves: expected a threshold above 0, got {threshold}")
    parts = _parts(losses, norms, log=log)
    updates = max(len(values) for curves in parts.values() for values in curves.values())
    window = _odd(max(1, updates // 25) if window is None else window)
    panels = _panels(parts, window, log=log, threshold=threshold)
    frame = LEFT, width - beside(panels)
    first, last = (1, updates) if updates > 1 else (0.5, 1.5)  # a single one is in the middle
    inset = ROOM if updates <= FEW else INSET
    across = Axis(first, last, frame[0] + inset, frame[1] - inset)
    shapes: list[Shape] = []
    for panel in panels:
        shapes += charted(panel, across, frame, max_points)
    shapes += x_axis(across, panels[-1].axis.start, ticks(updates), title="update", frame=frame)
    title = title or "Training: " + " and ".join(panel.what for panel in panels)
    notes = _notes(parts, updates, max_points)
    scene = chart(title, width, panels[-1].axis.start + 46, shapes, _legend(panels, window), notes)
    return Diagram(scene, lambda: _graph(panels, window))


def _odd(window: int) -> int:
    """Return a window that has as many values before its middle as after: an even one plus 1."""
    if not is_whole(window, least=1):
        raise ValueError(f"draw_curves: window must be a whole number from 1 on, got {window!r}")
    return window + 1 - window % 2


def _parts(losses: Curve, norms: Curve | None, *, log: bool) -> dict[str, dict[str, list[float]]]:
    """Return the curves of each panel by name, as floats."""
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
    for values in given.values():
        if not isinstance(values, Iterable) or isinstance(values, str):
            raise TypeError(f"draw_curves: expected a list of numbers, got {shown(values)}")
    return {str(key): [float(value) for value in values] for key, values in given.items()}


def _panels(
    parts: dict[str, dict[str, list[float]]], window: int, *, log: bool, threshold: float | None
) -> list[Panel]:
    panels = []
    for i, (what, curves) in enumerate(parts.items()):
        top = TITLE + 26 + i * (HIGH + BETWEEN)
        limit = threshold if what != "loss" else None
        values = [v for own in curves.values() for v in own] + ([limit] if limit else [])
        axis = Axis.of(values, top + HIGH, top, log=log or what != "loss")
        means = {name: running_means(own, window) for name, own in curves.items()}
        panels.append(Panel(what, curves, means, axis, limit))
    return panels


def _legend(panels: list[Panel], window: int) -> Iterable[Swatch]:
    mean = f", mean of the {count(window)} around" if window > 1 else ""
    drawn = [(name, color_of(panel, i), dash_of(panel, i))
             for panel in panels for i, name in enumerate(panel.curves)]  # fmt: skip
    alone = {one for one in drawn if drawn.count(one) == 1}  # others look alike in both panels
    for panel in panels:
        for i, name in enumerate(panel.curves):
            one = name, color_of(panel, i), dash_of(panel, i)
            if one in alone or panel is panels[0]:
                plain = len(panel.curves) == 1 or one not in alone
                what = name if plain else f"{panel.what}: {name}"
                yield Swatch(short(what, 40) + mean, one[1], 2.0, one[2])
    values = [v for p in panels for own in p.curves.values() for v in own]
    if window > 1 or len(values) > 1000:
        yield Swatch("as given", "#c3cfdc", 4.0)
    marks = {"!" if math.isnan(v) else "∞" for v in values if not math.isfinite(v)}
    if any(v == 0 for p in panels if p.axis.log for own in p.curves.values() for v in own):
        marks.add("×")
    yield from mark_swatches(marks)


def _notes(parts: dict[str, dict[str, list[float]]], updates: int, most: int) -> Iterable[str]:
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


def _graph(panels: list[Panel], window: int) -> nx.MultiDiGraph:
    """Return a node for each update and curve, joined in their order."""
    graph = nx.MultiDiGraph(window=window)
    for panel in panels:
        for name, values in panel.curves.items():
            start = graph.number_of_nodes()
            for i, (value, mean) in enumerate(zip(values, panel.means[name], strict=True)):
                graph.add_node(start + i, panel=panel.what, curve=name, update=i + 1,
                               value=value, mean=mean)  # fmt: skip
            graph.add_edges_from((start + i, start + i + 1) for i in range(len(values) - 1))
    return graph
