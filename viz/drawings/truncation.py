"""Truncated back-propagation through time: where gradients are cut, and what each weight loses.

Above `cut_passes.py`, which measures it, and `drawing.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from engine import Graph, Node, Tensor, gradients
from engine.derivatives.cut_gradients import CutSums
from engine.derivatives.norms import norm
from viz import labels
from viz.diagram import Diagram
from viz.drawings.drawing import Drawing, scale_of
from viz.drawings.fitting import WIDTH, check_weights, fitted
from viz.drawings.look import Look
from viz.graphs.cut_passes import truncated_sums
from viz.graphs.cuts import CutLike, Cuts, find_cuts, steps_with_a_cut
from viz.graphs.levels import recorded
from viz.graphs.links import use_of
from viz.graphs.measures import members_of, named_norms
from viz.graphs.window import STEPS
from viz.labels import count, number, short
from viz.scene import Columns, Line, Rect, Shape, Swatch, Words
from viz.style import CUT, SCISSORS

MOST = 12  # weights in the chart
ROW, BAR, SIZE = 17.0, 10.0, 11.0
WIDEST = 480.0  # pixels of the longest bar
LOST, ALL, RULE, GREY = CUT, "#f6e4de", "#9aa0a6", "#5f6368"


class Loss(NamedTuple):
    """What truncation takes from the gradient of one weight.

    `share` is ‖g − g_truncated‖ / ‖g‖, `cosine` that of the angle between the two; NaN where one of
    them is zero.
    """

    name: str
    share: float
    cosine: float


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
    what comes to step t from outside of time is the loss of step t. `losses` are the steps whose
    losses have a gradient at all, by default every one; tail and window truncation leave some out.
    Of many steps the first and last are shown or, where nothing is cut there, those around a cut;
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
    check_weights("draw_truncation", weights, ("thin", "off"))
    single = isinstance(loss, Tensor)
    _check([loss] if isinstance(loss, Tensor) else list(loss))
    graph = recorded(loss if isinstance(loss, Tensor) else Graph.of(*loss), level)
    found = find_cuts(graph, cuts)
    title = title or "Truncated back-propagation through time"
    full: list[Loss] = []

    def make(most: int | None, numbers: bool) -> Diagram:
        around = steps_with_a_cut(graph, found, STEPS.get(level, 2) if most is None else most)
        drawing = Drawing(graph, level, max_steps=most, steps=around, weights=weights != "off")
        sums = truncated_sums(
            graph, found, losses, partial(use_of, drawing.model), split=not single
        )
        full[:] = full or _lost(graph, sums)
        refused = _write(drawing, found, sums)
        look = replace(_look(drawing, found, sums, refused, full), numbers=numbers)
        return _told(drawing, drawing.diagram(title, look), refused, full)

    return fitted(make, "draw_truncation", width, level, asked=max_steps)


def _told(
    drawing: Drawing, diagram: Diagram, refused: dict[int, float], lost: list[Loss]
) -> Diagram:
    """Return the picture with what is lost and what does not pass on its graph."""
    diagram.graph.graph["lost"] = {one.name: (one.share, one.cosine) for one in lost}
    for i, value in refused.items():
        link = drawing.model.links[i]
        diagram.graph.edges[link.source, link.target, link.key]["refused"] = value
    return diagram


def _check(losses: list[Tensor]) -> None:
    """Raise ValueError for what no gradient can start from."""
    if not losses:
        raise ValueError("draw_truncation: expected one loss or a list of them, got an empty list")
    for one in losses:
        if one.size != 1 or not one.requires_grad:
            raise ValueError(
                "draw_truncation: expected losses that are single numbers and require a gradient, "
                f"got shape {one.shape}, requires_grad={one.requires_grad}"
            )


def _lost(graph: Graph, sums: CutSums) -> list[Loss]:
    """What each leaf that requires a gradient loses, in the order of the graph."""
    leaves = [node for node in graph.nodes if not node.inputs and graph.tensor(node).requires_grad]
    full = gradients(graph.outputs, [graph.tensor(node) for node in leaves])
    known = [(node, g) for node, g in zip(leaves, full, strict=True) if g is not None]
    names = _names(graph, [node for node, _ in known])
    return [_compared(name, g.data, sums.nodes.get(node))
            for name, (node, g) in zip(names, known, strict=True)]  # fmt: skip


def _names(graph: Graph, leaves: list[Node]) -> list[str]:
    """Return the names of leaves with the path of what uses them first, each another."""
    paths: dict[Node, str] = {}
    for source, target, _ in graph.edges:
        paths.setdefault(source, target.scope.path)
    names = [".".join(filter(None, (paths[n], n.name))) if n.name else "" for n in leaves]
    uses = Counter(names)
    return [name if uses[name] == 1 and name else f"{name} %{graph.number[n]}".strip()
            for name, n in zip(names, leaves, strict=True)]  # fmt: skip


def _compared(name: str, full: Any, cut: Any) -> Loss:
    """Return the two gradients of one weight, compared in float64."""
    whole = norm(full)
    if cut is None:
        return Loss(name, 1.0 if whole else 0.0, math.nan)
    part = norm(cut)
    wide, other = full.astype("float64").reshape(-1), cut.astype("float64").reshape(-1)
    off = norm(wide - other)
    share = off / whole if whole else (math.inf if off else 0.0)
    if not (whole and part):
        return Loss(name, share, math.nan)
    cosine = float((wide / whole) @ (other / part))
    return Loss(name, share, max(-1.0, min(1.0, cosine)))


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
    for item, members in zip(model.items, members_of(model), strict=True):
        item.grads = named_norms(item, members, norms)
        item.grad_norm = math.hypot(*(g for _, g in item.grads)) if item.grads else None
    drawing.scale = scale_of(model)
    return refused


def _joint(sums: dict[tuple[Node, Any], Any], places: list[tuple[Node, Any]]) -> float | None:
    """Return the norm of what several uses add, each to its own source; None: they add nothing."""
    found = [norm(sums[place]) for place in places if place in sums]
    return math.hypot(*found) if found else None


# ---- what is drawn


def _look(
    drawing: Drawing, cuts: Cuts, sums: CutSums, refused: dict[int, float], lost: list[Loss]
) -> Look:
    """Scissors with what did not pass, pale where no gradient gets to, the chart and the notes."""
    model, graph = drawing.model, drawing.recorded
    wanting = {key for node, key in drawing.member.items() if graph.tensor(node).requires_grad}
    pale = frozenset(wanting - {drawing.member[n] for n in sums.nodes if n in drawing.member})
    losses = _losses(drawing, cuts)
    labels = {}
    for i, value in refused.items():
        link = model.links[i]
        own = [losses[source, link.use] for source in link.sources if (source, link.use) in losses]
        labels[i] = number(value) if link.cut else f"{number(value)}{_of(own)}"
    legend = [Swatch("cut: the norm of what does not pass", LOST, mark=SCISSORS)]
    if pale:
        legend.append(Swatch("no gradient gets here", "#d3d6da", box="#f7f8f9"))
    return Look(
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
        below=lambda columns: _chart(lost, columns),
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
    """For every cut source and joint use the losses that it is cut for; None: for all."""
    found: dict[tuple[Node, Any], frozenset[int] | None] = {}
    for (node, slot), own in cuts.uses.items():
        source = node.input(slot)
        assert isinstance(source, Tensor)
        place = source.node, use_of(drawing.model, node, slot)
        before = found.get(place, frozenset())
        found[place] = None if own is None or before is None else before | own
    return found


def _of(losses: list[frozenset[int] | None]) -> str:
    """Whose gradient it is that a cut stops; nothing where it is that of all losses."""
    steps = sorted({t for own in losses if own is not None for t in own})
    if not steps or None in losses:
        return ""
    ends = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]}…{steps[-1]}"
    return f" of L{ends}"


def _notes(
    drawing: Drawing, cuts: Cuts, refused: dict[int, float], lost: list[Loss]
) -> Iterable[str]:
    """What the picture does not say by itself."""
    if not cuts.uses:
        yield f"Nothing is cut in {count(cuts.steps)} steps: this is the whole gradient"
    gaps = {item.key for item in drawing.model.items if item.kind == "gap"}
    hidden = sum(drawing.member.get(node) in gaps for node, _ in cuts.uses)
    if hidden:
        yield f"{count(hidden)} of {count(len(cuts.uses))} cut uses lie in the steps left out"
    if any(not drawing.model.links[i].cut for i in refused):
        yield "An edge with scissors and a red line is cut for the losses that it names only"
    if len(lost) > MOST:
        yield f"{count(MOST)} of {count(len(lost))} weights in the chart: those that lose most"


def _chart(lost: list[Loss], columns: Columns) -> tuple[list[Shape], float]:
    """A bar for each weight: the share of its gradient that is lost, and the cosine in words."""
    rows = lost if len(lost) <= MOST else sorted(lost, key=lambda one: -one.share)[:MOST]
    if not rows:
        return [], 0.0
    names = [short(one.name) for one in rows]
    words = [_percent(one) for one in rows]
    start = columns.left + max(labels.width(name, SIZE) for name in names) + 10
    room = columns.right - max(labels.width(text, SIZE) for text in words) - 10
    end = min(max(room, start + 120), start + WIDEST)
    most = max([1.0, *(one.share for one in rows if math.isfinite(one.share))])
    heading = "Lost of the gradient of each weight: ‖g − g truncated‖ / ‖g‖"
    shapes: list[Shape] = [
        Words(columns.left, columns.top + 12, heading, SIZE, anchor="start", bold=True)
    ]
    y = columns.top + 22
    for one, name, text in zip(rows, names, words, strict=True):
        full = (end - start) / most
        share = min(one.share, most)
        title = f"{one.name}: {text}"
        shapes += [
            Rect(start, y, full, BAR, ALL, title=title),
            Rect(start, y, full * share, BAR, LOST, title=title),
            Words(start - 6, y + BAR - 1, name, SIZE, anchor="end"),
            Words(end + 6, y + BAR - 1, text, SIZE, GREY, "start"),
        ]
        y += ROW
    shapes += _axis(start, (end - start) / most, most, y)
    return shapes, y + 22 - columns.top


def _axis(start: float, full: float, most: float, y: float) -> Iterable[Shape]:
    """The ends and the middle of the bars in percent, and where they end if they are longer."""
    ends = [0.0, 0.5, 1.0] if most == 1 else [0.0, 1.0, most]
    yield Line(((start, y), (start + full * most, y)), RULE, 1.0)
    for share in ends:
        x = start + full * share
        yield Line(((x, y), (x, y + 4)), RULE, 1.0)
        yield Words(x, y + 14, f"{share:.0%}".replace("%", " %"), 10.0, GREY)


def _percent(one: Loss) -> str:
    """The share and the cosine in words; what is less than rounding shows is nearly nothing."""
    if one.share == math.inf:
        share = "infinite"
    else:
        share = f"{100 * one.share:.3g} %" if not 0 < one.share < 1e-4 else "under 0.01 %"
    cosine = "–" if math.isnan(one.cosine) else f"{one.cosine:.3f}".replace("-", "−")
    return f"{share}, cos {cosine}"
