"""Draw estimators of a gradient beside each other: how near the true one, by step and by cost.

Above the panels of curves.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from engine.suggestions import advised
from viz.analysis.sampling import check_chart
from viz.axes import Axis
from viz.charts.curve_panels import Panel, color_of, dash_of, ticks
from viz.charts.parts import GREY, NARROWEST, SIZE, TITLE, WIDTH, chart, x_axis, y_axis
from viz.checks import shown
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, figure, short, width
from viz.rendering.placing import Room
from viz.scene import Line, Point, Rect, Shape, Swatch, Words

LEFT, RIGHT, INSET = 76.0, 24.0, 14.0
HIGH, LOW, BETWEEN = 200.0, 170.0, 66.0  # pixels: of both panels, and between them
SIDE = 8.0  # of the square of a method
SLACK = 1e-6  # beyond 1 a cosine may be by rounding


@advised(DRAWINGS)
def draw_estimators(
    cosines: Mapping[str, Sequence[float]],
    costs: Mapping[str, float] | None = None,
    *,
    unit: str = "ms a step",
    max_points: int = 320,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw how near estimates of a gradient come to the true one, by step and by cost.

    `cosines` has for each method the cosine after every step, and `costs` a number above 0, in
    `unit`, such as `rnn.online.compare` measures them. The upper panel has a line for each method,
    the lower one a square at its cost and its mean cosine, on a log axis. NaN, where a gradient is
    zero, breaks a line and is left out of the mean. `graph` has a node for each method with its
    `cosine` (the mean) and its `cost`, and one for each step of it.

    Raises ValueError where there is nothing to draw, for cosines beyond 1, costs of other methods
    and costs that are not above 0.

    >>> from viz.charts.estimators import draw_estimators
    >>> found = {"rtrl": [1.0, 1.0], "eprop": [1.0, 0.8]}
    >>> draw_estimators(found, {"rtrl": 3.0, "eprop": 1.0}).scene.title
    'Estimators of the gradient: cosine to the true one'
    """
    wide = check_chart("draw_estimators", width, NARROWEST, title, max_points=max_points)
    curves = _curves(cosines)
    prices = _prices(costs, curves)
    values = [v for own in curves.values() for v in own]
    top = TITLE + 12
    axis = Axis.of([*values, 1.0], top + HIGH, top)
    panel = Panel("cosine", curves, curves, axis, None)
    steps = max(map(len, curves.values()))
    frame = LEFT, wide - RIGHT
    first, last = (1, steps) if steps > 1 else (0.5, 1.5)
    across = Axis(first, last, frame[0] + INSET, frame[1] - INSET)
    shapes = y_axis(axis, *frame, title="cosine")
    stride = -(-steps // max_points)
    for i, (name, own) in enumerate(curves.items()):
        shapes += [Line(line, color_of(panel, i), 2.0, dash_of(panel, i), title=name)
                   for line in _lines(own, axis, across, stride)]  # fmt: skip
    shapes += x_axis(across, axis.start, ticks(steps), title="step", frame=frame)
    height = axis.start + 46
    if prices:
        shapes += _costs(panel, prices, unit, axis.start + BETWEEN, frame)
        height += BETWEEN + LOW - 8
    title = title or "Estimators of the gradient: cosine to the true one"
    scene = chart(title, wide, height, shapes, _legend(panel), _notes(curves))
    return Diagram(scene, lambda: _graph(curves, prices))


def _curves(cosines: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return the cosines as floats, by method. Raises ValueError for what are none."""
    if not isinstance(cosines, Mapping):
        raise TypeError(
            f"draw_estimators: expected a list of cosines for each method, got {shown(cosines)}"
        )
    found = {str(name): [float(v) for v in own] for name, own in cosines.items()}
    if not any(found.values()):
        raise ValueError("draw_estimators: there are no cosines to draw; give one for each step")
    for name, own in found.items():
        for i, value in enumerate(own):
            if abs(value) > 1 + SLACK:
                raise ValueError(
                    f"draw_estimators: {name!r} is {value} at step {i + 1}; a cosine lies between "
                    "-1 and 1"
                )
    return {name: [min(max(v, -1.0), 1.0) if math.isfinite(v) else math.nan for v in own]
            for name, own in found.items()}  # fmt: skip


def _prices(costs: Mapping[str, float] | None, curves: Mapping[str, object]) -> dict[str, float]:
    """Return the costs as floats. Raises ValueError for those of other methods, or not above 0."""
    found = {str(name): float(cost) for name, cost in (costs or {}).items()}
    for name, cost in found.items():
        if name not in curves:
            raise ValueError(
                f"draw_estimators: there is a cost of {name!r} and no cosines; methods are "
                f"{', '.join(curves)}"
            )
        if not 0 < cost < math.inf:
            raise ValueError(f"draw_estimators: the cost of {name!r} is {cost}, expected above 0")
    return found


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the finite values, NaN of none."""
    alive = [v for v in values if math.isfinite(v)]
    return math.fsum(alive) / len(alive) if alive else math.nan


def _costs(
    panel: Panel, prices: Mapping[str, float], unit: str, top: float, frame: tuple[float, float]
) -> list[Shape]:
    """Return the lower panel: a square for each method, with its name beside it."""
    means = {name: _mean(panel.curves[name]) for name in prices}
    axis = Axis.of([*means.values(), 1.0], top + LOW, top)
    across = Axis.of(prices.values(), frame[0] + INSET, frame[1] - INSET, log=True)
    shapes = y_axis(axis, *frame, title="mean cosine")
    shapes.append(Line(((frame[0], axis.start), (frame[1], axis.start)), GREY, 1.0))
    shapes += x_axis(across, axis.start, across.ticks(8), title=unit, frame=frame)
    places = {name: (across.at(cost), axis.at(means[name])) for name, cost in prices.items()
              if math.isfinite(means[name])}  # fmt: skip
    room = Room((frame[0], top - 10, frame[1], axis.start - 2),
                ((x - 6, y - 6, x + 6, y + 6) for x, y in places.values()))  # fmt: skip
    numbers = {name: i for i, name in enumerate(panel.curves)}
    for name, (x, y) in places.items():
        color = color_of(panel, numbers[name])
        shapes.append(Rect(x - SIDE / 2, y - SIDE / 2, SIDE, SIDE, color, "#ffffff",
                           f"{name}: mean cosine {figure(means[name], 6)}, "
                           f"{figure(prices[name], 4)} {unit}"))  # fmt: skip
    for name, (x, y) in places.items():
        shapes += _label(room, name, x, y)
    return shapes


def _label(room: Room, name: str, x: float, y: float) -> list[Words]:
    """Return the name of a method beside its square, clear of what is there; none for no room."""
    text = short(name, 24)
    wide = width(text, SIZE)
    for at in (3.5, -9.0, 16.0, -22.0, 29.0):
        for anchor, left, start in (("start", x + 9, x + 9), ("end", x - 9 - wide, x - 9)):
            if room.first([(left, y + at - 9, left + wide, y + at + 3)]):
                return [Words(start, y + at, text, SIZE, GREY, anchor, halo=True)]
    return []


def _legend(panel: Panel) -> Iterable[Swatch]:
    for i, (name, values) in enumerate(panel.curves.items()):
        yield Swatch(f"{short(name, 40)}, mean {figure(_mean(values), 4)}", color_of(panel, i), 2.0,
                     dash_of(panel, i))  # fmt: skip


def _notes(curves: Mapping[str, list[float]]) -> Iterable[str]:
    lost = [f"{count(n)} of {count(len(own))} of {short(name, 40)}" for name, own in curves.items()
            if (n := sum(map(math.isnan, own)))]  # fmt: skip
    if lost:
        yield f"Steps without a cosine, where a gradient is zero: {', '.join(lost)}"


def _lines(
    values: Sequence[float], axis: Axis, across: Axis, stride: int
) -> Iterable[tuple[Point, ...]]:
    """Yield the line of every stretch of cosines, of one alone a short dash; each `stride`-th."""
    points: list[Point] = []
    for i, value in enumerate([*values, math.nan]):
        if not math.isnan(value):
            last = i + 1 == len(values) or math.isnan(values[i + 1])
            if not i % stride or last or not points:
                points.append((across.at(i + 1), axis.at(value)))
        elif points:
            ((x, y), *more) = points
            yield tuple(points) if more else ((x - 3, y), (x + 3, y))
            points = []


def _graph(curves: Mapping[str, list[float]], prices: Mapping[str, float]) -> nx.MultiDiGraph:
    """Return a node for each method, and one for each step of it, joined in their order."""
    graph = nx.MultiDiGraph()
    for name, values in curves.items():
        start = graph.number_of_nodes()
        graph.add_node(start, method=name, kind="method", cosine=_mean(values),
                       cost=prices.get(name))  # fmt: skip
        for i, value in enumerate(values):
            graph.add_node(start + 1 + i, method=name, kind="step", step=i + 1, cosine=value)
        graph.add_edges_from((start + i, start + i + 1) for i in range(len(values)))
    return graph
