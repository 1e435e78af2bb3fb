"""Draw what every step adds to the gradient of a parameter, loss by loss, as bars over time.

Above `contribution_bars.py` and `weight_contributions.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from engine import Tensor
from engine.suggestions import advised
from viz import labels
from viz.analysis.sampling import check_chart
from viz.analysis.weight_contributions import Contributions, Whole, contributions
from viz.axes import Axis
from viz.charts.contribution_bars import (
    AGAINST,
    ALONG,
    HIGH,
    LEFT,
    MOST,
    SMALL,
    Decades,
    by_step,
    colors_of,
    ends,
    height_of,
    label_of,
    log_bars,
    stacked_bars,
    worth_showing,
)  # fmt: skip
from viz.charts.parts import (
    INK,
    NARROWEST,
    TITLE,
    WIDTH,
    chart,
    even_columns,
    headline,
    mark_swatches,
    step_labels,
)  # fmt: skip
from viz.checks import check_choice, check_tensor, shown
from viz.colors import paler
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, figure, short, wrapped
from viz.scene import Columns, Line, Rect, Shape, Swatch, Words

MEASURES = ("projection", "norm")
RIGHT, LEAST = 24.0, 420.0
FLAT = 2.0  # pixels: a lower bar is hardly seen


@advised(DRAWINGS)
def draw_contributions(
    losses: Whole,
    parameter: Tensor,
    *,
    measure: str = "projection",
    log: bool | None = None,
    max_steps: int = 60,
    max_losses: int = 8,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw what the uses of `parameter` at each step k add to its gradient, by loss in colours.

    `losses` are numbers, by name or in a sequence, or a tensor (T,) of them, or one number, which
    is taken apart into the summands that it was added up from. With `measure` ``"projection"`` a
    bar is the part of a contribution that points along the whole gradient g = dL/dW, the scalar
    product with g / ‖g‖: what points against it goes down, and all bars together sum to ‖g‖. With
    ``"norm"`` it is the length of the contribution; those do not sum to ‖g‖. `log` draws sizes on a
    logarithmic axis, up for what is positive and down for what is negative, a bar for all losses of
    a step and a dot for each; None does where more than half of the bars would be too low to be
    seen. Neighbours beyond `max_steps` and `max_losses` are joined, added as vectors. The picture
    is at most `width` pixels wide, 480 or more. `graph` leads from losses to steps, each edge with
    both figures. Raises ValueError where no loss depends on the parameter, or it needs no gradient;
    TypeError for what is no tensor.

    >>> import engine, rnn
    >>> from viz.charts.contributions import draw_contributions
    >>> net = rnn.GRU(3, 4)
    >>> loss = engine.sum(net(engine.ones((5, 1, 3)))[0][-1])
    >>> draw_contributions(loss, net.weight_hh_l0).graph.number_of_edges()
    5
    """
    width = check_chart(
        "draw_contributions", width, NARROWEST, title, max_steps=max_steps, max_losses=max_losses
    )
    check_choice("draw_contributions", "measure", measure, MEASURES)
    _check(losses, parameter)
    found = contributions(losses, parameter, max_steps=max_steps, max_losses=max_losses)
    drawn = measure if math.isfinite(found.norm) else "norm"
    log = _most_vanish(found, drawn) if log is None else log
    name = short(parameter.node.name or "the parameter", 40)
    title = title or f"What each step adds to dL/d {name}"
    room = LEFT + _across(found, width) + RIGHT
    wide = max(room, min(labels.width(title, 15, bold=True) + 40, width))
    head = wrapped([_headline(found, drawn, name)], wide - 40, 11.5)
    top = TITLE + 22 + 15 * len(head)
    columns = even_columns(range(len(found.steps)), LEFT, _across(found, width) / len(found.steps),
                           top)  # fmt: skip
    shapes = _decades(found, drawn, columns) if log else stacked_bars(found, drawn, columns)
    legend = list(_legend(found, drawn, shapes, log=log))
    shapes += _time_axis(found, columns)
    shapes += headline(head)
    notes = _notes(found, measure, drawn, log=log)
    scene = chart(title, wide, top + HIGH + 46, shapes, legend, notes)
    return Diagram(scene, _graph(found, name))


def _check(losses: Whole, parameter: Tensor) -> None:
    """Raise TypeError for what are no tensors, ValueError for a parameter without a gradient."""
    where = "draw_contributions"
    check_tensor(where, "parameter", parameter)
    if not isinstance(losses, Tensor):
        if not isinstance(losses, Sequence | Mapping) or isinstance(losses, str):
            raise TypeError(f"{where}: expected losses as tensors, got {shown(losses)}")
        for one in losses.values() if isinstance(losses, Mapping) else losses:
            check_tensor(where, "each loss", one)
    if not parameter.requires_grad:
        name = parameter.node.name or "the parameter"
        raise ValueError(f"{where}: {name} requires no gradient, so nothing is added to one")


def _most_vanish(found: Contributions, measure: str) -> bool:
    """Return whether more than half of the bars that are there would be too low to be seen."""
    axis = Axis.of(worth_showing(ends(found, measure)), HIGH, 0.0, zero=True)
    drawn = [own for own in by_step(found, measure) if any(v and math.isfinite(v) for _, v in own)]
    sides = [[math.fsum(v for _, v in own if v * sign > 0 and math.isfinite(v)) for sign in (1, -1)]
             for own in drawn]  # fmt: skip
    low = sum(all(abs(axis.at(v) - axis.at(0.0)) < FLAT for v in both) for both in sides)
    return 2 * low > len(drawn)


def _decades(found: Contributions, measure: str, columns: Columns) -> list[Shape]:
    """Return the bars on a logarithmic axis, and the axis."""
    axis = Decades.of(_sizes(found, measure), columns.top, columns.top + HIGH)
    what = f"{measure}, log scale" + (" (down: negative)" if axis.down else "")
    shapes = list(axis.lines(columns.left, columns.right))
    y = columns.top + HIGH / 2
    shapes.append(Words(LEFT - 16 - axis.room(), y, what, 11, INK, angle=-90.0))
    return shapes + log_bars(found, measure, axis, columns, colors_of(found))


def _sizes(found: Contributions, measure: str) -> list[float]:
    """Return all that has a place on the logarithmic axis: of each loss, and of each step."""
    values = [height_of(use, measure) for use in found.uses]
    if measure == "norm":
        return values
    return values + [math.fsum(v for _, v in own) for own in by_step(found, measure)]


def _time_axis(found: Contributions, columns: Columns) -> list[Shape]:
    names = [label_of(times) for times in found.steps]
    y = columns.top + HIGH + 15
    return step_labels(columns, y, names, title="k, the step that uses it")


def _across(found: Contributions, wide: float) -> float:
    """Return how wide the bars are together: less where they are few."""
    least = min(LEAST, wide - LEFT - RIGHT)
    return min(wide - LEFT - RIGHT, max(least, 106.0 * len(found.steps)))


def _headline(found: Contributions, measure: str, name: str) -> str:
    """Return the whole gradient in numbers."""
    whole = math.fsum(use.norm for use in found.uses)
    total = figure(whole)
    text = f"‖dL/d {name}‖ = {figure(found.norm)}"
    if measure == "projection":
        return f"{text}, which is the sum of all bars; the norms of the parts sum to {total}"
    if not math.isfinite(found.norm):
        bad = sum(not math.isfinite(use.norm) for use in found.uses)
        return f"{text}: {count(bad)} of {count(len(found.uses))} parts are not finite"
    text = f"{text}; the norms of the parts sum to {total}"
    return text if whole <= found.norm * (1 + 1e-9) else f"{text}, for they point different ways"


def _legend(
    found: Contributions, measure: str, shapes: list[Shape], *, log: bool
) -> Iterable[Swatch]:
    rects = [shape for shape in shapes if isinstance(shape, Rect)]
    fills = {rect.fill for rect in rects}
    alone = len(found.losses) == 1
    if log and (alone or measure == "projection"):
        sums = "" if alone else ", all losses together"
        for color, what in ((ALONG, "along the gradient"), (AGAINST, "against it")):
            shade = color if alone else paler(color)
            text = f"{what}{sums}" if measure == "projection" else "norm"
            if shade in fills:
                yield Swatch(text, color, box=shade)
    if not log or not alone:
        for loss, color in zip(found.losses, colors_of(found), strict=True):
            yield Swatch(short(loss.name, 40), color, box=color)
    if SMALL in fills:
        yield Swatch("several that are each under a pixel", SMALL, box=SMALL)
    if any(isinstance(shape, Line) and shape.title for shape in shapes):
        yield Swatch("sum where parts go both ways", INK, 2.0)
    yield from mark_swatches({shape.text for shape in shapes if isinstance(shape, Words)})


def _notes(found: Contributions, measure: str, shown: str, *, log: bool) -> Iterable[str]:
    if measure != shown:
        yield "norms are shown: there is no projection on a gradient that is not finite"
    if found.norm == 0:
        alive = any(use.norm for use in found.uses)
        why = "for its parts cancel" if alive else "and so is each part"
        none = "; it has no direction to project them on" if shown == "projection" and alive else ""
        yield f"the whole gradient is zero, {why}{none}"
    if log:
        yield from _notes_on_decades(found, shown)
    elif shown == "norm":
        yield "the height of a stack is no norm: parts that point different ways cancel in the sum"
    tips = ends(found, shown)
    if not log and len(worth_showing(tips)) < sum(not math.isnan(tip) for tip in tips):
        yield "what goes the other way by less than a hundredth is too small to be seen here"
    longest = max(map(len, found.steps))
    if longest > 1:
        yield f"a bar is what up to {count(longest)} steps add together"
    if any(not times for times in found.steps):
        yield "outside: uses that belong to no time step"
    if any(len(loss.outputs) > 1 for loss in found.losses):
        yield f"losses are joined, up to {count(max(len(x.outputs) for x in found.losses))} to one"


def _notes_on_decades(found: Contributions, measure: str) -> Iterable[str]:
    """Yield what a reader of the logarithmic axis has to know."""
    if measure == "projection":
        yield "the axis is logarithmic: the numbers add up to the norm, the heights do not"
    axis = Decades.of(_sizes(found, measure), 0.0, HIGH)
    small = [v for use in found.uses if 0 < abs(v := height_of(use, measure)) < 10.0**axis.low]
    if small:
        yield f"{count(len(small))} smaller by {MOST} decades than the largest lie on the base line"


def _graph(found: Contributions, name: str) -> nx.MultiDiGraph:
    """Return edges from each loss to each step; ``graph.graph["norm"]`` is the whole norm."""
    graph = nx.MultiDiGraph(norm=found.norm, parameter=name)
    losses = len(found.losses)
    for i, loss in enumerate(found.losses):
        graph.add_node(i, kind="loss", name=loss.name, t=loss.t, value=0.0)
    place = {times: losses + k for k, times in enumerate(found.steps)}
    for times, n in place.items():
        graph.add_node(n, kind="step", name=f"k = {label_of(times)}", t=times[0] if times else None,
                       times=times, value=0.0)  # fmt: skip
    for use in found.uses:
        n = place[use.times]
        graph.add_edge(use.loss, n, norm=use.norm, projection=use.projection)
        graph.nodes[n]["value"] += use.projection
        graph.nodes[use.loss]["value"] += use.projection
    return graph
