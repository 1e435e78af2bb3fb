"""Truncated back-propagation through time: where gradients are cut, and what each weight loses.

Above `truncated_backward.py`, which measures it, and `drawing.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from engine import Graph, Node, Tensor
from engine.derivatives.cut_gradients import CutSums
from engine.derivatives.norms import norm
from engine.suggestions import advised
from viz.analysis.cuts import CutLike, Cuts, find_cuts, steps_with_a_cut
from viz.analysis.fetching import bring
from viz.analysis.measures import named_norms
from viz.analysis.truncated_backward import truncated_sums
from viz.checks import check_choice, check_loss
from viz.diagram import Diagram
from viz.drawings.lost_gradients import MOST, Loss, lost_chart, lost_gradients
from viz.instead import DRAWINGS
from viz.labels import count, counted, number
from viz.model.levels import recorded
from viz.model.links import use_of
from viz.model.window import STEPS
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing, scale_of
from viz.rendering.fitting import NO_WEIGHTS, WIDTH, Detail, fitted
from viz.scene import Swatch
from viz.style import CUT, SCISSORS


@advised(DRAWINGS)
def draw_truncation(
    loss: Tensor | Sequence[Tensor],
    cuts: int | Iterable[CutLike],
    *,
    losses: Iterable[int] | None = None,
    level: str = "cell",
    max_steps: int | None = None,
    weights: str = "thin",
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the unrolled network with the truncated gradient, and scissors where it is cut.

    `cuts` is k, the steps of a chunk: no gradient goes from one chunk to another; or cuts with
    `state`, `source`, `target` and `losses`, as `rnn.cut_edges` makes them: the losses of these
    steps do not pass that edge. `loss` is the loss of every step in a list, or one loss, of which
    what comes to step t from outside of time is the loss of step t. `losses` are the steps
    with losses that have a gradient at all, by default all; tail and window truncation leave some
    out. Of many steps the first and last are shown or, if nothing is cut there, those around a cut;
    `max_steps`, `width` and `weights`, ``"thin"`` or ``"off"``, are as in `draw_unrolled`.

    Red is the truncated gradient, summed over the losses, each with its own cuts. A number at the
    scissors is the norm of what would have passed; what no gradient gets to is pale. Bars under the
    picture say of each weight ‖g − g_truncated‖ / ‖g‖ and the cosine of the two. `graph` says on
    each edge whether nothing passes (`cut`) and the norm of what is cut off there (`refused`), and
    ``graph.graph["lost"]`` has (share, cosine) by weight.

    Raises ValueError for losses that are no single numbers or require no gradient, and for cuts and
    steps that are not in the graph.

    >>> import engine, rnn
    >>> from viz.drawings.truncation import draw_truncation
    >>> loss = engine.sum(rnn.GRU(3, 4)(engine.ones((6, 1, 3)))[0])
    >>> draw_truncation(loss, 3).graph.graph["lost"]["l0.weight_ih"][0] > 0
    True
    """
    check_choice("draw_truncation", "weights", weights, ("thin", "off"))
    single = isinstance(loss, Tensor)
    losses_of = [loss] if isinstance(loss, Tensor) else list(loss)
    if not losses_of:
        raise ValueError("draw_truncation: expected one loss or a list of them, got an empty list")
    for one in losses_of:
        check_loss("draw_truncation", "each loss", one)
    graph = recorded(loss if isinstance(loss, Tensor) else Graph.of(*loss), level)
    found = find_cuts(graph, cuts)
    title = title or "Truncated back-propagation through time"
    full: list[Loss] = []
    known: dict[tuple[Any, ...], CutSums] = {}  # by the steps shown: they come from a device once

    def make(most: int | None, detail: Detail) -> Diagram:
        around = steps_with_a_cut(graph, found, STEPS.get(level, 2) if most is None else most)
        drawing = Drawing(graph, level, max_steps=most, steps=around,
                          weights=weights != "off" and not detail.bare,
                          ready=True, joined=detail.joined)  # fmt: skip
        shown = (most, detail.joined, detail.bare)
        if (sums := known.get(shown)) is None:
            sums = known[shown] = truncated_sums(
                graph, found, losses, partial(use_of, drawing.model), split=not single
            )
            bring(*sums)
        full[:] = full or lost_gradients(graph, sums)
        refused = _write(drawing, found, sums)
        annotations = _annotations(drawing, found, sums, refused, full)
        notes = annotations.notes + (NO_WEIGHTS if detail.bare and weights != "off" else ())
        annotations = replace(annotations, detail=detail, notes=notes)
        return _told(drawing, drawing.diagram(title, annotations), refused, full)

    return fitted(make, "draw_truncation", width, level, asked=max_steps, least=2)


def _told(
    drawing: Drawing, diagram: Diagram, refused: dict[int, float], lost: list[Loss]
) -> Diagram:
    """Return the picture with what is lost and what does not pass on its graph."""
    diagram.graph.graph["lost"] = {one.name: (one.share, one.cosine) for one in lost}
    for i, value in refused.items():
        link = drawing.model.links[i]
        diagram.graph.edges[link.source, link.target, link.key]["refused"] = value
    return diagram


# ---- the numbers of boxes and edges


def _write(drawing: Drawing, cuts: Cuts, sums: CutSums) -> dict[int, float]:
    """Write the truncated norms on boxes and edges; of edges that are cut, what did not pass."""
    model = drawing.model
    cut_uses = _losses(drawing, cuts)
    refused: dict[int, float] = {}
    for i, link in enumerate(model.links):
        places = [(source, link.use) for source in link.sources]
        link.grad_norm = _joint(sums.uses, places)
        if any(place in cut_uses for place in places):
            refused[i] = _joint(sums.refused, places) or 0.0
            link.cut = link.grad_norm is None
    norms = {node: norm(g) for node, g in sums.nodes.items()}
    for item, members in zip(model.items, model.members, strict=True):
        item.grads = named_norms(item, members, norms)
        item.grad_norm = math.hypot(*(g for _, g in item.grads)) if item.grads else None
    drawing.scale = scale_of(model)
    return refused


def _joint(sums: dict[tuple[Node, Any], Any], places: list[tuple[Node, Any]]) -> float | None:
    """Return the norm of what several uses add, each to its own source; None: they add nothing."""
    found = [norm(sums[place]) for place in places if place in sums]
    return math.hypot(*found) if found else None


# ---- what is drawn


def _annotations(
    drawing: Drawing, cuts: Cuts, sums: CutSums, refused: dict[int, float], lost: list[Loss]
) -> Annotations:
    """Return scissors with the norms cut off, pale where no gradient gets to, chart and notes."""
    model, graph = drawing.model, drawing.recorded
    wanting = {key for node, key in drawing.member.items() if graph.tensor(node).requires_grad}
    pale = frozenset(wanting - {drawing.member[n] for n in sums.nodes if n in drawing.member})
    losses = _losses(drawing, cuts)
    labels = {}
    for i, value in refused.items():
        link = model.links[i]
        own = [losses[source, link.use] for source in link.sources if (source, link.use) in losses]
        labels[i] = number(value) if link.cut else f"{number(value)}{_of(own)}"
    legend = [Swatch("cut: the norm of what does not pass", CUT, mark=SCISSORS)]
    if pale:
        legend.append(Swatch("no gradient gets here", "#d3d6da", box="#f7f8f9"))
    return Annotations(
        dim_items=pale,
        dim_links=frozenset(
            i
            for i, link in enumerate(model.links)
            if link.source in wanting and link.grad_norm is None and i not in refused
        ),
        labels=labels,
        marks=dict.fromkeys(refused, SCISSORS),
        borders=_borders(drawing),
        legend=tuple(legend),
        notes=tuple(_notes(drawing, cuts, refused, lost)),
        below=lambda columns: lost_chart(lost, columns),
        gradient="truncated",
    )


def _borders(drawing: Drawing) -> tuple[Any, ...]:
    """Return the steps that a chunk begins with: no gradient leaves them for the step before."""
    passed: dict[Any, bool] = {}
    items = drawing.model.items
    for link in drawing.model.links:
        target = items[link.target]
        if link.kind == "time" and target.gap is None and items[link.source].gap is None:
            passed[target.t] = passed.get(target.t, False) or not link.cut
    return tuple(t for t, own in passed.items() if not own)


def _losses(drawing: Drawing, cuts: Cuts) -> dict[tuple[Node, Any], frozenset[int] | None]:
    """Return for every cut source and joint use the losses that it is cut for; None: all."""
    found: dict[tuple[Node, Any], frozenset[int] | None] = {}
    for (node, slot), own in cuts.uses.items():
        source = node.input(slot)
        assert isinstance(source, Tensor)
        place = source.node, use_of(drawing.model, node, slot)
        before = found.get(place, frozenset())
        found[place] = None if own is None or before is None else before | own
    return found


def _of(losses: list[frozenset[int] | None]) -> str:
    """Return the losses with a gradient that a cut stops; nothing where these are all."""
    steps = sorted({t for own in losses if own is not None for t in own})
    if not steps or None in losses:
        return ""
    ends = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]}…{steps[-1]}"
    return f" of L{ends}"


def _notes(
    drawing: Drawing, cuts: Cuts, refused: dict[int, float], lost: list[Loss]
) -> Iterable[str]:
    """Return what the picture does not say by itself."""
    if not cuts.uses:
        yield f"Nothing is cut in {counted(cuts.steps, 'step')}: this is the whole gradient"
    gaps = {item.key for item in drawing.model.items if item.kind == "gap"}
    hidden = sum(drawing.member.get(node) in gaps for node, _ in cuts.uses)
    if hidden:
        yield f"{count(hidden)} of {count(len(cuts.uses))} cut uses lie in the steps left out"
    if any(not drawing.model.links[i].cut for i in refused):
        yield "An edge with scissors and a red line is cut for the losses that it names only"
    if len(lost) > MOST:
        yield f"{count(MOST)} of {count(len(lost))} weights in the chart: those that lose most"
