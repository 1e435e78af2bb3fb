"""Draw how much each state depends on each earlier one: norms of Jacobians through time as a map.

Above the charts and `jacobian_norms.py`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx

from engine import Graph, Tensor
from engine.reading.variables import StateRun, state_runs
from engine.suggestions import advised
from viz.analysis.sampling import check_chart, check_recorded
from viz.charts.jacobian_norms import KINDS, NormMap, norm_map
from viz.charts.parts import (
    GREY,
    NARROWEST,
    RULE,
    TITLE,
    WIDTH,
    chart,
    color_bar,
    even_columns,
    headline,
    middle,
    step_labels,
)  # fmt: skip
from viz.checks import check_choice, check_outputs
from viz.colors import ZERO, Colors, ink_on, norm_colors
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, figure, wrapped
from viz.labels import width as wide_of
from viz.scene import Columns, Rect, Scene, Shape, Swatch, Words
from viz.style import BROKEN

KEYS = ("layer", "direction", "path")
LEFT, BESIDE = 66.0, 78.0
FIELD, LEAST = 46.0, 10.0  # pixels: the largest field, and the smallest


@advised(DRAWINGS)
def draw_jacobian_heatmap(
    x: Tensor | Graph,
    *,
    of: str = "h",
    by: str | None = None,
    kind: str = "spectral",
    layer: int | None = None,
    direction: str | None = None,
    path: str | None = None,
    max_steps: int = 40,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the norms of d of_t / d by_k for all steps t and k <= t, on a log scale, white at 1.

    What fades is blue and what grows is red. A Jacobian is exact: the product of the one-step
    Jacobians between, with all states of step k free, so that h does not move with c. Rows of a
    batch are independent of each other, and the norm is that of all of them on the diagonal of one
    matrix. `of` and `by` (`of` by default) are states of the cell; `layer`, `direction` and `path`
    choose among several cells. `kind` is ``"spectral"`` or ``"frobenius"``. Of more than
    `max_steps` steps some are shown, evenly apart, with Jacobians through all steps between. The
    picture is at most `width` pixels wide, 480 or more, but for more steps than fit. Where rows
    have lengths, give a graph of the outputs and the final state: without it nothing tells that
    rows keep it. `graph` has an edge from k to t with its `jacobian_norm`. Raises ValueError for
    unknown states, where there is no such cell or more than one, and for another kind.

    >>> import engine, rnn
    >>> from viz.charts.heatmap import draw_jacobian_heatmap
    >>> d = draw_jacobian_heatmap(rnn.LSTM(3, 4)(engine.ones((5, 1, 3)))[0], of="c")
    >>> d.graph.edges[2, 2, 0]["jacobian_norm"], d.graph.number_of_edges()
    (1.0, 15)
    """
    width = check_chart("draw_jacobian_heatmap", width, NARROWEST, title, max_steps=max_steps)
    check_outputs("draw_jacobian_heatmap", x)
    check_recorded("draw_jacobian_heatmap", x)
    check_choice("draw_jacobian_heatmap", "kind", kind, KINDS)
    run = _chosen(state_runs(x), {"layer": layer, "direction": direction, "path": path})
    found = norm_map(run, of, of if by is None else by, kind, max_steps)
    name = f"‖d{found.of}ₜ/d{found.by}ₖ‖"
    title = title or f"Jacobians through time: {name}"
    return Diagram(_scene(found, title, name, width), _graph(found))


def _chosen(runs: list[StateRun], wanted: dict[str, Any]) -> StateRun:
    """Return the only run that is asked for."""
    given = {what: value for what, value in wanted.items() if value is not None}
    chosen = [run for run in runs
              if all(getattr(run, what) == value for what, value in given.items())]  # fmt: skip
    if len(chosen) == 1:
        return chosen[0]
    if not runs:
        raise ValueError(
            "draw_jacobian_heatmap: no state of a cell has a time step here; call a cell of your "
            "own inside of engine.scope(t=t)"
        )
    raise ValueError(f"draw_jacobian_heatmap: {_mistaken(runs, chosen, given)}")


def _mistaken(runs: list[StateRun], chosen: list[StateRun], given: dict[str, Any]) -> str:
    """Return why none or several of the cells are asked for, and what tells them apart."""
    there = "; ".join(dict.fromkeys(_said(run, KEYS) for run in chosen or runs))
    asked = ", ".join(f"{what}={value!r}" for what, value in given.items())
    if not chosen:
        return f"no cell has {asked}; there are {there}"
    apart = [what for what in KEYS if len({getattr(run, what) for run in chosen}) > 1]
    fit = f"{len(chosen)} cells fit{f' {asked}' if asked else ''}"
    if not apart:
        return (
            f"{fit}, and nothing tells them apart: {there} was run {len(chosen)} times; give what "
            "was computed from one of these runs alone"
        )
    keys = " or ".join(f"{what}=" for what in apart)
    return f"{fit}; tell them apart with {keys}: {there}"


def _said(run: StateRun, keys: Sequence[str]) -> str:
    return ", ".join(f"{what}={getattr(run, what)!r}" for what in keys)


def _scene(found: NormMap, title: str, name: str, width: float) -> Scene:
    """Return the map, its axes and its colour bar."""
    n = len(found.shown)
    side = min(max((width - LEFT - BESIDE) / n, LEAST), FIELD)
    right = LEFT + n * side + BESIDE
    least = min(max(wide_of(title, 15, bold=True), wide_of(_headline(found), 11.5)) + 40, width)
    wide = max(right, least)
    head = wrapped([_headline(found)], wide - 40, 11.5)
    top = TITLE + 15 + 15 * len(head)
    columns = even_columns(found.times, LEFT, side, top)
    colors = norm_colors(value for line in found.norms for value in line)
    words = _numbers(found, side - 2)
    shapes = [shape for i in range(n) for shape in _row(found, i, columns, colors, words[i])]
    bottom = top + n * side
    labels = [str(t) for t in columns.times]
    shapes += step_labels(columns, bottom + 15, labels, title=f"k, the step of {found.by}")
    shapes += _left_labels(columns, f"t, the step of {found.of}")
    tall = max(min(n * side, 320.0), 90.0)
    shapes += color_bar(colors, columns.right + 16, top, tall)
    shapes += headline(head)
    high = max(bottom + 46, top + tall + 20)
    return chart(title, wide, high, shapes, _legend(found), _notes(found, name))


def _numbers(found: NormMap, room: float) -> list[list[str]]:
    """Return what is written in the fields: the norms where all of them fit, else marks alone."""
    words = [[field_number(value, room) if math.isfinite(value) else "!" for value in line]
             for line in found.norms]  # fmt: skip
    if all(text for line in words for text in line):
        return words
    return [["!" if text == "!" else "" for text in line] for line in words]


def _row(
    found: NormMap, i: int, columns: Columns, colors: Colors, words: list[str]
) -> Iterable[Shape]:
    """Yield the fields of one later step."""
    side = columns.spans[0][1] - columns.spans[0][0]
    y = columns.top + i * side
    for j, value in enumerate(found.norms[i]):
        fill = colors.of(value)
        title = (
            f"‖d{found.of}(t = {found.times[i]}) / d{found.by}(k = {found.times[j]})‖ = "
            f"{figure(value, 6)}"
        )
        yield Rect(columns.spans[j][0], y, side, side, fill, RULE, title)
        if words[j]:
            yield Words(middle(columns, j), y + side / 2 + 3.2, words[j], 9, ink_on(fill))


def field_number(value: float, room: float) -> str:
    """Return a norm as it fits in so many pixels: 0.031 or 0.03; empty where neither does.

    >>> from viz.charts.heatmap import field_number
    >>> field_number(0.0312, 40), field_number(0.0312, 22), field_number(0.0312, 8)
    ('0.031', '0.03', '')
    """
    usable = [figure(value, 2), figure(value, 1)]
    return next((text for text in usable if wide_of(text, 9) <= room), "")


def _left_labels(columns: Columns, title: str) -> Iterable[Shape]:
    """Yield the names of the rows, every n-th where not all of them fit."""
    side = columns.spans[0][1] - columns.spans[0][0]
    stride = next(s for s in (1, 2, 5, 10) if s * side >= 13)
    for i in range(0, len(columns.times), stride):
        y = columns.top + (i + 0.5) * side + 3.5
        yield Words(columns.left - 6, y, str(columns.times[i]), 10, GREY, "end")
    centre = columns.top + len(columns.times) * side / 2
    yield Words(22, centre, title, 11, angle=-90.0)


def _headline(found: NormMap) -> str:
    """Return which cell this is, and how the norm goes from the first step to the last."""
    run = found.run
    parts = [run.cell or run.path or "cell"]
    parts += [] if run.layer is None else [f"layer {run.layer}"]
    parts += ["reverse"] if run.direction == "reverse" else []
    text = f"{', '.join(parts)}: {found.kind} norms"
    steps = found.shown[-1] - found.shown[0]
    whole = found.norms[-1][0]
    if steps and math.isfinite(whole) and whole > 0:
        text += (
            f"; first step to last {figure(whole)}, a factor {figure(whole ** (1 / steps))} a step"
        )
    return text


def _legend(found: NormMap) -> Iterable[Swatch]:
    flat = [value for line in found.norms for value in line]
    yield Swatch("1: neither fades nor grows", "#9aa0a6", box="#ffffff")
    if 0 in flat:
        yield Swatch("zero", "#9aa0a6", box=ZERO)
    if not all(map(math.isfinite, flat)):
        yield Swatch("inf or NaN", BROKEN, box=BROKEN)


def _notes(found: NormMap, name: str) -> Iterable[str]:
    steps, shown = len(found.run.times), len(found.shown)
    if shown < steps:
        yield (
            f"{count(shown)} of {count(steps)} steps are shown; their Jacobians go through all "
            "steps between"
        )
    if found.run.direction == "reverse":
        yield "the cell runs from the last step to the first, and so do rows and columns"
    if found.batch > 1:
        how = "the largest of" if found.kind == "spectral" else "that of all"
        yield f"{name}: {how} {count(found.batch)} rows of the batch"
    if found.of != found.by:
        yield "the diagonal is zero: the states of one step are free of each other"
    ends = [v for line in found.norms for v in line if math.isfinite(v) and v > 0]
    if ends and (min(ends) < 1e-8 or max(ends) > 1e8):
        yield "colours end at 10⁻⁸ and 10⁸; the numbers that pointing shows do not"


def _graph(found: NormMap) -> nx.MultiDiGraph:
    """Return a node for each step shown, numbered by position, and an edge from every k to t."""
    graph = nx.MultiDiGraph(of=found.of, by=found.by, kind=found.kind)
    for i, t in enumerate(found.times):
        graph.add_node(i, kind="state", name=found.of, t=t, layer=found.run.layer,
                       direction=found.run.direction, value=found.norms[i][0])  # fmt: skip
    for i, line in enumerate(found.norms):
        for j, value in enumerate(line):
            graph.add_edge(j, i, jacobian_norm=value, k=found.times[j], t=found.times[i])
    return graph
