"""Attention as a matrix, large and alone: a row for each step that looks, a column for each that
is looked at. Above `attention_matrix.py` and `model/attention.py`.
"""

import math
from collections.abc import Iterable, Sequence

import networkx as nx

from engine import Graph, Tensor
from engine.suggestions import advised
from viz import labels
from viz.analysis.sampling import check_chart, check_recorded, tiles
from viz.charts.attention_matrix import (
    ABSENT,
    BAR,
    LEAST,
    Fields,
    axis_titles,
    beside_of,
    fields_of,
    matrix,
    written,
)  # fmt: skip
from viz.charts.parts import GREY, NARROWEST, TITLE, WIDTH, chart, color_bar
from viz.checks import check_names, check_outputs, check_whole
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, figure
from viz.model.attention import Attention, attentions
from viz.model.levels import recorded
from viz.scene import Shape, Swatch, Words
from viz.style import BROKEN

LEFT, FIELD, TALL = 20.0, 46.0, 640.0  # the edge, the largest field, and all of them together


@advised(DRAWINGS)
def draw_attention(
    x: Tensor | Graph | Sequence[Tensor],
    *,
    row: int | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    max_steps: int = 60,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw how much each step of a decoder looks at each step of an encoder, as a matrix.

    A row is a step that looks, a column one that is looked at; the darker the larger the weight,
    which is written where it fits. A row sums to 1. Of a batch it is the mean over its rows, or
    `row`. `sources` and `targets` name the steps, by tokens, say. Of more than `max_steps` columns
    neighbours are added up, of more rows some are shown, evenly apart. The picture is at most
    `width` pixels wide, 480 or more. `graph` has a node for each step, and an edge with its
    `weight` from each that looks to each that is looked at. Raises ValueError where there is no
    attention: a softmax in the steps of one block over the stacked states of another, as
    `engine.scope(block=...)` names them; for another number of names; IndexError for an absent row.

    >>> import engine, viz
    >>> states = []
    >>> for t in range(3):
    ...     with engine.scope(block="encoder", t=t):
    ...         states.append(engine.ones((1, 2), requires_grad=True) * float(t))
    >>> with engine.scope(block="decoder", t=0):
    ...     look = engine.softmax(engine.sum(engine.stack(states, axis=1), axis=-1), axis=-1)
    >>> round(viz.draw_attention(look).graph.edges["target 0", "source 2", 0]["weight"], 3)
    0.867
    """
    width = check_chart("draw_attention", width, NARROWEST, title, max_steps=max_steps)
    check_outputs("draw_attention", x, several=True)
    if row is not None:
        check_whole("draw_attention", "row", row)
    check_recorded("draw_attention", x)
    found = attentions(recorded(x, "cell"), row=row)
    if not found:
        raise ValueError(
            "draw_attention: no attention is recorded here: no softmax in a step of one block is "
            "over the stacked states of another; name them by engine.scope(block=...), with t=t"
        )
    for what, names, steps in (("sources", sources, found[0].sources),
                               ("targets", targets, found[0].targets)):  # fmt: skip
        if names is not None:
            check_names("draw_attention", what, names, len(steps))
    shapes: list[Shape] = []
    notes = dict.fromkeys(_notes(found, row, max_steps))
    y, right = TITLE, 0.0
    for one in found:
        fields = fields_of(one, max_steps, sources, targets)
        own, y, end, blank = _panel(one, fields, y, width)
        shapes, right = [*shapes, *own], max(right, end)
        if blank:
            notes[f"no number: less than {0.5 / 10**fields.decimals:g}"] = None
    title = title or f"Attention: where each step of {found[0].target or 'one block'} looks"
    wide = min(max(right, labels.width(title, 15, bold=True) + 40, 360.0), max(right, width))
    return Diagram(chart(title, wide, y, shapes, _legend(found), notes), lambda: _graph(found))


def _panel(
    found: Attention, fields: Fields, top: float, width: float
) -> tuple[list[Shape], float, float, bool]:
    """Return a large matrix with all around it, its lower and right ends, and if it has blanks."""
    beside = LEFT + beside_of(fields)
    wide = min(max((width - beside - BAR) / len(fields.columns), LEAST), FIELD)
    high = max(min(wide, TALL / len(fields.rows)), LEAST)
    head = _headline(found)
    shapes: list[Shape] = [Words(20, top + 8, head, 11.5, GREY, "start")]
    y = top + 26
    shapes += matrix(fields, beside, y, wide, high)
    foot, bottom = axis_titles(fields, found, beside, y, wide, high)
    right, tall = beside + wide * len(fields.columns), high * len(fields.rows)
    bar = max(min(tall, 240.0), 40.0)
    shapes += color_bar(fields.colors, right + 16, y, bar, ends=True)
    words = 40 + min(labels.width(head, 11.5), width - 40)
    blank = written(fields, wide, high) and any(
        w is not None and math.isfinite(w) and not fields.short(w)
        for line in fields.weights for w in line
    )  # fmt: skip
    return [*shapes, *foot], max(bottom, y + bar) + 12, max(right + BAR, words), blank


def _headline(found: Attention) -> str:
    """Return the largest weight in words, and where the softmax stands."""
    all_of = [(w, t, s) for t, own in zip(found.targets, found.weights, strict=True)
              for s, w in zip(found.sources, own, strict=True)
              if w is not None and math.isfinite(w)]  # fmt: skip
    where = f"{found.path}: " if found.path else ""
    if not all_of:
        return f"{where}no weight is finite"
    w, t, s = max(all_of, key=lambda own: own[0])
    return (
        f"{where}the largest weight is {figure(w)}, of {found.target} t = {t} "
        f"at {found.source} t = {s}"
    )


def _legend(found: Sequence[Attention]) -> Iterable[Swatch]:
    flat = [w for one in found for line in one.weights for w in line]
    if None in flat:
        yield Swatch("not there to be looked at", "#b8bec6", box=ABSENT)
    if any(w is not None and not math.isfinite(w) for w in flat):
        yield Swatch("NaN or infinite", BROKEN, box=BROKEN)


def _notes(found: Sequence[Attention], row: int | None, most: int) -> Iterable[str]:
    rows = max(one.rows for one in found)
    if rows > 1:
        what = f"the mean over {count(rows)} rows of the batch; row= chooses one"
        yield f"weights are {what if row is None else f'those of row {row} of {count(rows)}'}"
    yield "a row sums to 1"
    for one in found:
        own = tiles(len(one.sources), most)
        if len(own) < len(one.sources):
            yield (
                f"{count(len(one.sources))} steps of {one.source}: a column is the sum of up to "
                f"{count(len(own[0]))} of them"
            )
        if len(one.targets) > most:
            yield f"{count(most)} of {count(len(one.targets))} steps of {one.target} are shown"


def _graph(found: Sequence[Attention]) -> nx.MultiDiGraph:
    """Return a node for each step, and an edge for each weight from what looks."""
    graph = nx.MultiDiGraph()
    for number_of, one in enumerate(found):
        mark = f" of attention {number_of}" if number_of else ""
        for kind, block, times in (("target", one.target, one.targets),
                                   ("source", one.source, one.sources)):  # fmt: skip
            for t in times:
                graph.add_node(f"{kind} {t}{mark}", kind=kind, block=block, t=t, path=one.path)
        for t, line in zip(one.targets, one.weights, strict=True):
            for s, weight in zip(one.sources, line, strict=True):
                if weight is not None:
                    graph.add_edge(f"target {t}{mark}", f"source {s}{mark}", weight=weight)
    return graph
