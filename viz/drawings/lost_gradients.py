"""Show what truncation takes from the gradient of each weight, as numbers and as a chart.

Above the engine's gradients, below `truncation.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from engine import Graph, Node, gradients
from engine.derivatives.cut_gradients import CutSums
from engine.derivatives.norms import norm
from viz import labels
from viz.analysis.fetching import bring
from viz.labels import fit, short
from viz.scene import Columns, Line, Rect, Shape, Words
from viz.style import CUT

MOST = 12  # weights in the chart
ROW, BAR, SIZE = 17.0, 10.0, 11.0
LEAST, WIDEST = 120.0, 480.0  # pixels of the longest bar
ALL, RULE, GREY = "#f6e4de", "#9aa0a6", "#5f6368"


class Loss(NamedTuple):
    """Measure what truncation takes from the gradient of one weight.

    `share` is ‖g − g_truncated‖ / ‖g‖, `cosine` that of the angle between the two; NaN where one of
    them is zero; both are NaN where a gradient is not finite.
    """

    name: str
    share: float
    cosine: float


def lost_gradients(graph: Graph, sums: CutSums) -> list[Loss]:
    """Return what each leaf that requires a gradient loses, in the order of the graph."""
    leaves = [node for node in graph.nodes if not node.inputs and graph.tensor(node).requires_grad]
    full = gradients(graph.outputs, [graph.tensor(node) for node in leaves])
    known = [(node, g) for node, g in zip(leaves, full, strict=True) if g is not None]
    names = _names(graph, [node for node, _ in known])
    held = {node: g.data for node, g in known}
    bring(held)
    return [_compared(name, held[node], sums.nodes.get(node))
            for name, (node, _) in zip(names, known, strict=True)]  # fmt: skip


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
    if not math.isfinite(whole) or (cut is not None and not math.isfinite(norm(cut))):
        return Loss(name, math.nan, math.nan)
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


def lost_chart(lost: list[Loss], columns: Columns) -> tuple[list[Shape], float]:
    """Return a bar for each weight: the share of its gradient that is lost; the cosine in words."""
    rows = lost if len(lost) <= MOST else sorted(lost, key=_first)[:MOST]
    if not rows:
        return [], 0.0
    words = [_percent(one) for one in rows]
    room = columns.right - max(labels.width(text, SIZE) for text in words) - 10
    widest = max(room - columns.left - LEAST - 10, 60.0)
    names = [fit(short(one.name), widest, SIZE) for one in rows]
    start = columns.left + max(labels.width(name, SIZE) for name in names) + 10
    end = min(max(room, start + LEAST), start + WIDEST)
    most = max([1.0, *(one.share for one in rows if math.isfinite(one.share))])
    heading = "Lost of the gradient of each weight: ‖g − g truncated‖ / ‖g‖"
    shapes: list[Shape] = [
        Words(columns.left, columns.top + 12, heading, SIZE, anchor="start", bold=True)
    ]
    y = columns.top + 22
    for one, name, text in zip(rows, names, words, strict=True):
        full = (end - start) / most
        share = one.share if math.isnan(one.share) else min(one.share, most)
        title = f"{one.name}: {text}"
        shapes += [
            Rect(start, y, full, BAR, ALL, title=title),
            *([] if math.isnan(share) else [Rect(start, y, full * share, BAR, CUT, title=title)]),
            Words(start - 6, y + BAR - 1, name, SIZE, anchor="end"),
            Words(end + 6, y + BAR - 1, text, SIZE, GREY, "start"),
        ]
        y += ROW
    shapes += _axis(start, (end - start) / most, most, y)
    return shapes, y + 22 - columns.top


def _first(one: Loss) -> float:
    """Return what puts the weights that lose most first, those without a number before them."""
    return -math.inf if math.isnan(one.share) else -one.share


def _axis(start: float, full: float, most: float, y: float) -> Iterable[Shape]:
    """Return the ends and the middle of the bars in percent, and their end if they are longer."""
    ends = [0.0, 0.5, 1.0] if most == 1 else [0.0, 1.0, most]
    yield Line(((start, y), (start + full * most, y)), RULE, 1.0)
    for share in ends:
        x = start + full * share
        yield Line(((x, y), (x, y + 4)), RULE, 1.0)
        yield Words(x, y + 14, f"{share:.0%}".replace("%", " %"), 10.0, GREY)


def _percent(one: Loss) -> str:
    """Return the share and the cosine in words; what rounding would hide is under 0.01 %."""
    if math.isnan(one.share):
        return "not finite"
    if one.share == math.inf:
        share = "infinite"
    else:
        share = f"{100 * one.share:.3g} %" if not 0 < one.share < 1e-4 else "under 0.01 %"
    cosine = "–" if math.isnan(one.cosine) else f"{one.cosine:.3f}".replace("-", "−")
    return f"{share}, cos {cosine}"
