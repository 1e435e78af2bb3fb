"""What every step adds to the gradient of a parameter, loss by loss, as stacked bars.

Above the charts and `uses.py`.
"""

import math
from collections.abc import Iterable

import networkx as nx

from engine import Tensor
from viz.charts.axes import Axis
from viz.charts.parts import (
    GREY,
    INK,
    TITLE,
    broken,
    even_columns,
    middle,
    step_labels,
    y_axis,
)
from viz.colors import REDS, shades
from viz.diagram import Diagram
from viz.graphs.sampling import check_limit
from viz.graphs.uses import Contributions, Use, Whole, contributions
from viz.labels import count, short, width, wrapped
from viz.scene import Line, Rect, Scene, Shape, Swatch, Words

MEASURES = ("projection", "norm")
LEFT, RIGHT, ACROSS, LEAST, HIGH = 92.0, 24.0, 640.0, 420.0, 260.0
SMALL = "#9aa0a6"  # several pieces that are each too thin to be seen


def draw_contributions(
    losses: Whole,
    parameter: Tensor,
    *,
    measure: str = "projection",
    max_steps: int = 60,
    max_losses: int = 8,
    title: str = "",
) -> Diagram:
    """Draw what the uses of `parameter` at each step k add to its gradient, by loss in colours.

    `losses` are numbers, by name or in a sequence, or a tensor (T,) of them, or one number, which
    is taken apart into the summands that it was added up from. With `measure` ``"projection"`` a
    bar is the part of a contribution that points along the whole gradient g = dL/dW, the scalar
    product with g / ‖g‖: what points against it goes down, and all bars together sum to ‖g‖. With
    ``"norm"`` it is the length of the contribution; those do not sum to ‖g‖. Neighbours beyond
    `max_steps` and `max_losses` are joined, added as vectors. `graph` leads from losses to steps,
    each edge with both figures. Raises ValueError where no loss depends on the parameter.

    >>> import engine, rnn
    >>> from viz.charts.contributions import draw_contributions
    >>> net = rnn.GRU(3, 4)
    >>> loss = engine.sum(net(engine.ones((5, 1, 3)))[0][-1])
    >>> draw_contributions(loss, net.weight_hh_l0).graph.number_of_edges()
    5
    """
    check_limit("draw_contributions", max_steps)
    check_limit("draw_contributions", max_losses, "max_losses")
    if measure not in MEASURES:
        expected = ", ".join(MEASURES)
        raise ValueError(f"draw_contributions: unknown measure {measure!r}; expected {expected}")
    found = contributions(losses, parameter, max_steps=max_steps, max_losses=max_losses)
    shown = measure if math.isfinite(found.norm) else "norm"
    name = short(parameter.node.name or "the parameter", 40)
    title = title or f"What each step adds to dL/d {name}"
    wide = max(LEFT + _across(found) + RIGHT, width(title, 15, bold=True) + 40)
    shapes, bottom = _bars(found, shown)
    both_ways = any(isinstance(shape, Line) and shape.title for shape in shapes)
    joined = any(isinstance(shape, Rect) and shape.fill == SMALL for shape in shapes)
    shapes += _headline(found, shown, name, wide - 40)
    scene = Scene(
        title=title,
        width=wide,
        height=bottom,
        boxes=(),
        wires=(),
        legend=tuple(_legend(found, shown, both_ways=both_ways, joined=joined)),
        notes=wrapped(_notes(found, measure, shown), wide - 40),
        shapes=tuple(shapes),
    )
    return Diagram(scene, _graph(found, name))


def _height(use: Use, measure: str) -> float:
    return use.projection if measure == "projection" else use.norm


def _colors(found: Contributions) -> list[str]:
    return shades(REDS, len(found.losses), 0.3)


def _label(times: tuple[int, ...]) -> str:
    if not times:
        return "outside"
    return f"{times[0]}" if len(times) == 1 else f"{times[0]}–{times[-1]}"


def _stacks(found: Contributions, measure: str) -> dict[tuple[int, ...], list[tuple[Use, float]]]:
    """For each step its uses in the order of the losses, each with where its bar begins."""
    stacks: dict[tuple[int, ...], list[tuple[Use, float]]] = {times: [] for times in found.steps}
    tops = {times: [0.0, 0.0] for times in found.steps}  # of what goes up, and of what goes down
    for use in found.uses:
        value = _height(use, measure)
        if not math.isfinite(value):
            stacks[use.times].append((use, math.nan))
            continue
        side = int(value < 0)
        stacks[use.times].append((use, tops[use.times][side]))
        tops[use.times][side] += value
    return stacks


def _bars(found: Contributions, measure: str) -> tuple[list[Shape], float]:
    """Return the stacked bars with both axes, and where they end below."""
    stacks = _stacks(found, measure)
    top = TITLE + 40
    ends = _ends(found, measure)
    axis = Axis.of(_worth_showing(ends), top + HIGH, top, zero=True)
    columns = even_columns(range(len(found.steps)), LEFT, _column(found), top)
    what = "projection on the gradient" if measure == "projection" else "norm"
    shapes = y_axis(axis, LEFT, columns.right, title=what)
    colors = _colors(found)
    for i, own in enumerate(stacks.values()):
        left, right = columns.spans[i]
        wide = min(0.78 * (right - left), 44.0)
        x = middle(columns, i) - wide / 2
        for piece in _pieces(axis, own, measure):
            if len(piece) > 1:
                shapes.append(_joined(axis, x, wide, piece, measure))
                continue
            use, start = piece[0]
            shapes += _bar(found, axis, x, wide, use, start, measure, colors[use.loss])
        if _goes_both_ways(axis, own, measure):
            y = axis.at(math.fsum(_height(use, measure) for use, _ in own))
            shapes.append(Line(((x - 2, y), (x + wide + 2, y)), INK, 2.0, title="sum of the bar"))
    labels = [_label(times) for times in found.steps]
    shapes += step_labels(columns, top + HIGH + 15, labels, title="k, the step that uses it")
    return shapes, top + HIGH + 46


def _ends(found: Contributions, measure: str) -> list[float]:
    """Where the pieces of all stacks end."""
    stacks = _stacks(found, measure).values()
    return [start + _height(use, measure) for own in stacks for use, start in own]


def _worth_showing(ends: list[float]) -> list[float]:
    """Return the ends of bars without those that go the other way by less than a hundredth."""
    size = max((abs(end) for end in ends if math.isfinite(end)), default=0.0)
    down = any(end < -size / 100 for end in ends)
    up = any(end > size / 100 for end in ends)
    return [end for end in ends if (end >= 0 or down) and (end <= 0 or up)]


def _goes_both_ways(axis: Axis, own: list[tuple[Use, float]], measure: str) -> bool:
    """Return whether a stack is seen to go up and down."""
    ends = [axis.at(start + _height(use, measure)) - axis.at(0.0) for use, start in own]
    return min(ends, default=0.0) < -1 and max(ends, default=0.0) > 1


def _across(found: Contributions) -> float:
    """Return how wide the bars are together: less where they are few."""
    return min(ACROSS, max(LEAST, 106.0 * len(found.steps)))


def _column(found: Contributions) -> float:
    return _across(found) / len(found.steps)


def _pieces(
    axis: Axis, own: list[tuple[Use, float]], measure: str
) -> Iterable[list[tuple[Use, float]]]:
    """Yield the pieces of a stack; those under a pixel that lie on each other together."""
    thin: tuple[list[tuple[Use, float]], list[tuple[Use, float]]] = ([], [])  # upward, downward
    for use, start in own:
        value = _height(use, measure)
        if value == 0:
            continue
        waiting = thin[value < 0]
        if abs(axis.at(start + value) - axis.at(start)) < 1:
            waiting.append((use, start))
            continue
        if waiting:
            yield waiting.copy()
            waiting.clear()
        yield [(use, start)]
    yield from filter(None, thin)


def _joined(
    axis: Axis, x: float, wide: float, piece: list[tuple[Use, float]], measure: str
) -> Rect:
    """Return several thin pieces as one."""
    values = [_height(use, measure) for use, _ in piece]
    a, b = axis.at(piece[0][1]), axis.at(piece[0][1] + math.fsum(values))
    what = "projection" if measure == "projection" else "sum of norms"
    title = (
        f"{count(len(piece))} losses, each under a pixel, k = {_label(piece[0][0].times)}: "
        f"{what} {math.fsum(values):.6g}"
    )
    return Rect(x, min(a, b), wide, max(abs(a - b), 0.3), SMALL, "", title)


def _bar(
    found: Contributions, axis: Axis, x: float, wide: float, use: Use, start: float, measure: str,
    color: str,
) -> list[Shape]:  # fmt: skip
    """One piece of a stack."""
    value = _height(use, measure)
    if not math.isfinite(value):
        return [broken(x + wide / 2, axis.end - 4, value)]
    a, b = axis.at(start), axis.at(start + value)
    where = f"k = {_label(use.times)}" if use.times else "outside of time"
    title = (
        f"{found.losses[use.loss].name}, {where}: projection {use.projection:.6g}, "
        f"norm {use.norm:.6g}"
    )
    edge = "#ffffff" if abs(a - b) > 2 and wide > 4 else ""
    return [Rect(x, min(a, b), wide, max(abs(a - b), 0.3), color, edge, title)]


def _headline(found: Contributions, measure: str, name: str, room: float) -> Iterable[Shape]:
    """Yield the whole gradient in numbers, over the bars."""
    total = math.fsum(use.norm for use in found.uses)
    text = f"‖dL/d {name}‖ = {found.norm:.6g}"
    if measure == "projection":
        text += f", which is the sum of all bars; the norms of the parts sum to {total:.6g}"
    else:
        text += f"; the norms of the parts sum to {total:.6g}, for they point different ways"
    for i, line in enumerate(wrapped([text], room, 11.5)):
        yield Words(20, TITLE + 8 + 15 * i, line, 11.5, GREY, "start")


def _legend(
    found: Contributions, measure: str, *, both_ways: bool, joined: bool
) -> Iterable[Swatch]:
    for loss, color in zip(found.losses, _colors(found), strict=True):
        yield Swatch(short(loss.name, 40), color, box=color)
    if joined:
        yield Swatch("several that are each under a pixel", SMALL, box=SMALL)
    if both_ways:
        yield Swatch("sum where parts go both ways", INK, 2.0)
    if any(not math.isfinite(_height(use, measure)) for use in found.uses):
        yield Swatch("NaN", "#ffffff", 0.1, mark="!")
        yield Swatch("infinite", "#ffffff", 0.1, mark="∞")


def _notes(found: Contributions, measure: str, shown: str) -> Iterable[str]:
    if measure != shown:
        yield "norms are shown: there is no projection on a gradient that is not finite"
    if found.norm == 0:
        yield "the whole gradient is zero, so nothing points along it"
    if shown == "norm":
        yield "the height of a stack is no norm: parts that point different ways cancel in the sum"
    ends = _ends(found, shown)
    if len(_worth_showing(ends)) < sum(not math.isnan(end) for end in ends):
        yield "what goes the other way by less than a hundredth is too small to be seen here"
    longest = max(map(len, found.steps))
    if longest > 1:
        yield f"a bar is what up to {count(longest)} steps add together"
    if any(not times for times in found.steps):
        yield "outside: uses that belong to no time step"
    if any(len(loss.outputs) > 1 for loss in found.losses):
        yield f"losses are joined, up to {count(max(len(x.outputs) for x in found.losses))} to one"


def _graph(found: Contributions, name: str) -> nx.MultiDiGraph:
    """From each loss to each step, as gradients go; ``graph.graph["norm"]`` is the whole norm."""
    graph = nx.MultiDiGraph(norm=found.norm, parameter=name)
    losses = len(found.losses)
    for i, loss in enumerate(found.losses):
        graph.add_node(i, kind="loss", name=loss.name, t=loss.t, value=0.0)
    place = {times: losses + k for k, times in enumerate(found.steps)}
    for times, n in place.items():
        graph.add_node(n, kind="step", name=f"k = {_label(times)}", t=times[0] if times else None,
                       times=times, value=0.0)  # fmt: skip
    for use in found.uses:
        n = place[use.times]
        graph.add_edge(use.loss, n, norm=use.norm, projection=use.projection)
        graph.nodes[n]["value"] += use.projection
        graph.nodes[use.loss]["value"] += use.projection
    return graph
