"""How a picture looks: the colours and words of its boxes and wires, and the scene of it all.

Above the layout and the writers' scene, below `drawing.py`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from viz import style
from viz.drawings.boxes import SMALL, box_size, lines_of, title_of
from viz.graphs.model import Link, Model
from viz.labels import number, short, width
from viz.layout.geometry import Geometry, measured
from viz.layout.grid import arrange
from viz.layout.wires import strung
from viz.scene import Band, Box, Columns, Point, Scene, Shape, Swatch, Wire, Words

TITLE = 40
HEADING = 22  # over the columns
BLOCK = 20  # over the headings, where there are blocks
BESIDE = 6  # between a forward wire and its gradient
FORWARD = {  # class, colour and width of the wire of each kind of link
    "data": ("forward", style.FORWARD, 1.2),
    "parameter": ("forward", style.PARAMETER, 1.2),
    "time": ("time", style.TIME, 2.2),
    "context": ("time", style.CONTEXT, 2.2),
}
GAPS = {"op": 26, "gate": 30, "cell": 56, "rolled": 26}  # between columns, at least


@dataclass(frozen=True)
class Look:
    """How a picture differs from the plain one.

    Boxes are named by key, edges by their place in `model.links`. What is dim is pale; `lines` are
    more lines in a box, `labels` words on an edge, `marks` signs on an edge; `fills` are fill and
    stroke of boxes, `link_colors` colours of forward edges. `below` draws charts under the grid on
    the same time axis: it is told where the columns are, and returns shapes and their height.
    """

    dim_items: frozenset[int] = frozenset()
    dim_links: frozenset[int] = frozenset()
    lines: dict[int, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    box_marks: dict[int, str] = field(default_factory=dict)
    fills: dict[int, tuple[str, str]] = field(default_factory=dict)
    link_colors: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    legend: tuple[Swatch, ...] = ()
    below: Callable[[Columns], tuple[list[Shape], float]] | None = None


class Dressing:
    """The colours and words of one picture."""

    def __init__(
        self, model: Model, look: Look, scale: style.Scale | None, notes: tuple[str, ...]
    ) -> None:
        self.model, self.look, self.scale, self.notes = model, look, scale, notes
        self.items, self.links = self.model.items, self.model.links
        self.rolled = self.model.level == "rolled"

    def scene(self, title: str) -> Scene:
        """Everything in its place."""
        model, look = self.model, self.look
        grid = arrange(model)
        lines = [lines_of(item, look.lines.get(item.key, ())) for item in self.items]
        sides: dict[int, int] = {}
        pairs: dict[tuple[int, int], int] = {}
        for i in grid.straight:
            pair = (self.links[i].source, self.links[i].target)
            pairs[pair] = pairs.get(pair, 0) + 1
        for pair, many in pairs.items():
            for n in pair:
                sides[n] = max(sides.get(n, 0), many if many > 1 else 0)
        sizes = [box_size(own, sides.get(n, 0)) for n, own in enumerate(lines)]
        blocks = any(column.block for column in grid.columns.columns)
        top = TITLE + HEADING + (BLOCK if blocks else 0)
        place = measured(model, grid, sizes, self._gap(grid.straight), top)
        for item, (x, y, w, h) in zip(self.items, place.boxes, strict=True):
            item.position = (x + w / 2, y + h / 2)
        shapes, bottom = self._below(place)
        return Scene(
            title=title,
            width=max(place.width, 420.0),
            height=bottom,
            boxes=tuple(self._boxes(place, lines)),
            wires=tuple(self._wires(place)),
            bands=tuple(_bands(place)),
            legend=(*self._legend(), *look.legend),
            notes=(*self.notes, *look.notes),
            shapes=(*_block_names(place), *shapes),
        )

    def _gap(self, straight: Iterable[int]) -> int:
        """The room between columns: for the widest words on a straight wire."""
        words = [short(self._side_label(i, self.links[i])) for i in straight]
        widest = max((width(text, SMALL) for text in words), default=0)
        return max(GAPS[self.model.level], math.ceil(widest) + 14)

    def _below(self, place: Geometry) -> tuple[list[Shape], float]:
        bottom = place.bottom + 18.0
        if self.look.below is None:
            return [], bottom
        shown = [(column.time, span) for column, span
                 in zip(place.grid.columns.columns, place.spans, strict=True)
                 if isinstance(column.time, int)]  # fmt: skip
        columns = Columns(
            times=tuple(t for t, _ in shown),
            spans=tuple((float(a), float(b)) for _, (a, b) in shown),
            left=float(place.left[0]), right=float(place.left[-1]), top=bottom,
        )  # fmt: skip
        shapes, high = self.look.below(columns)
        return shapes, bottom + high

    def _boxes(self, place: Geometry, lines: list[tuple[str, ...]]) -> Iterable[Box]:
        look = self.look
        for item, (x, y, w, h), words in zip(self.items, place.boxes, lines, strict=True):
            n = item.key
            kind = "state" if item.is_state and item.kind == "op" else item.kind
            broken = any(not math.isfinite(g) for _, g in item.grads)
            mark = look.box_marks.get(n, "!" if broken else "")
            yield Box(n, x, y, w, h, kind, words, title_of(item), mark,
                      n in look.dim_items, look.fills.get(n))  # fmt: skip

    def _wires(self, place: Geometry) -> Iterable[Wire]:
        """A blue wire for every edge and, where gradients were measured, a red one beside it."""
        forward, backward, looking = [], [], []
        points = strung(self.model, place)
        names = [item.full for item in self.items]
        worded = place.grid.straight
        if self.rolled or self.look.marks or self.look.link_colors or self.look.dim_links:
            worded = set(range(len(self.links)))
        measured = self.scale is not None
        for i, link in enumerate(self.links):
            if link.kind == "attention":
                looking.append(self._attention(i, link, points[i]))
                continue
            backed = measured and link.grad_norm is not None
            way = _shifted(points[i], -BESIDE // 2) if backed else points[i]
            if i not in worded:  # most of them, so this is quick
                kind, color, wide = FORWARD[link.kind]
                a, b = link.source, link.target
                title = f"{names[a]} → {names[b]}"
                forward.append(Wire(a, b, way, kind, color, wide, "", "", None, title))
                if backed:
                    backward.append(self._backward(i, link, points[i], None))
                continue
            straight = i in place.grid.straight
            at = self._label_at(place, i, points[i]) if straight or self.rolled else None
            forward.append(self._forward(i, link, way, None if backed else at))
            if backed:
                backward.append(self._backward(i, link, points[i], at))
        looking.sort(key=lambda wire: wire.width)
        return [*looking, *forward, *sorted(backward, key=lambda wire: wire.width)]

    def _label_at(self, place: Geometry, i: int, points: Sequence[tuple[int, int]]) -> Point:
        """Where the words of an edge stand: over a straight one, beside a loop."""
        if i not in place.grid.straight:
            return _beside_longest(points)
        of, link = place.grid.columns.of, self.links[i]
        right = max(of[link.source], of[link.target])
        return place.left[right] + place.gap / 2 - 2, points[0][1] - 8

    def _forward(self, i: int, link: Link, points: Sequence[Point], at: Point | None) -> Wire:
        kind, color, wide = FORWARD[link.kind]
        timed = kind == "time"
        label = self.look.labels.get(i, self._side_label(i, link) if timed else "") if at else ""
        mark = self.look.marks.get(i, "")
        return Wire(
            link.source, link.target, tuple(points), kind, self.look.link_colors.get(i, color),
            wide, "", label, at if label else None,
            f"{self.items[link.source].full} → {self.items[link.target].full}",
            mark, _middle(points) if mark else None, i in self.look.dim_links,
        )  # fmt: skip

    def _attention(self, i: int, link: Link, points: Sequence[Point]) -> Wire:
        color, wide = style.attention_line(link.weight or 0.0)
        a, b = self.items[link.source], self.items[link.target]
        title = f"{b.full} at t = {b.t} looks at t = {a.t}: weight {link.weight:.6g}"
        return Wire(link.source, link.target, tuple(points), "attention", color, wide,
                    title=title, dim=i in self.look.dim_links)  # fmt: skip

    def _side_label(self, i: int, link: Link) -> str:
        """The words on an edge that runs straight, or around a rolled picture."""
        if i in self.look.labels:
            return self.look.labels[i]
        if self.scale is not None and link.grad_norm is not None:
            return f"{f'∂{link.label} ' if link.label else ''}{number(link.grad_norm)}"
        if self.rolled and link.kind == "time":
            return f"{link.label} z⁻¹".strip() if link.dt == 1 else f"z^{-link.dt}"
        return link.label if link.kind in ("time", "context") else ""

    def _backward(self, i: int, link: Link, points: Sequence[Point], at: Point | None) -> Wire:
        assert self.scale is not None
        assert link.grad_norm is not None
        color, wide, dash, mark = style.backward_line(link.grad_norm, self.scale)
        shifted = _shifted(points, BESIDE // 2)
        a, b = self.items[link.source], self.items[link.target]
        label = self._side_label(i, link) if at else ""
        title = f"{b.full} → {a.full}: gradient norm {link.grad_norm:.6g}"
        mark = self.look.marks.get(i, mark)
        return Wire(
            link.target, link.source, tuple(reversed(shifted)), "backward", color, wide, dash,
            label, at if label else None, title, mark, _own_stretch(shifted) if mark else None,
            i in self.look.dim_links,
        )  # fmt: skip

    def _legend(self) -> list[Swatch]:
        kinds = {
            "state" if item.is_state and item.kind == "op" else item.kind for item in self.items
        }
        delayed = any(link.kind == "time" for link in self.links)
        shown = [kind for kind in style.FILLS if kind in kinds]
        swatches = style.forward_swatches(shown, delayed=delayed)
        if any(link.kind == "context" for link in self.links):
            swatches.append(Swatch("context: from block to block", style.CONTEXT, 2.4))
        scale = self.scale
        if weights := [link.weight for link in self.links if link.weight is not None]:
            swatches += style.attention_swatches(min(weights), max(weights))
        return swatches + (style.backward_swatches(scale) if scale else [])


def _bands(place: Geometry) -> Iterable[Band]:
    top = place.top - HEADING
    columns = zip(place.grid.columns.columns, place.spans, strict=True)
    for steps, (column, (left, right)) in enumerate(columns):
        if column.time is not None:
            heading = "…" if column.time == "gap" else f"t = {column.time}"
            yield Band(left + 3, top, right - left - 6, place.bottom - top, heading, steps % 2 == 0)


def _block_names(place: Geometry) -> Iterable[Words]:
    """The name of each block over the middle of its columns."""
    ends: dict[str, list[int]] = {}
    for column, span in zip(place.grid.columns.columns, place.spans, strict=True):
        if column.block:
            ends.setdefault(column.block, []).extend(span)
    for block, xs in ends.items():
        middle = (min(xs) + max(xs)) / 2
        yield Words(middle, place.top - HEADING - 7, short(block), 12, bold=True)


def _beside_longest(points: Sequence[Point]) -> Point:
    """Where the label of a loop goes: beside its longest stretch that runs up or down."""
    upright = [(p, q) for p, q in pairwise(points) if p[0] == q[0]]
    if not upright:
        return (points[0][0] + points[-1][0]) / 2, points[0][1] - 8
    (ax, ay), (_, by) = max(upright, key=lambda pair: abs(pair[0][1] - pair[1][1]))
    return ax + 22, (ay + by) / 2


def _middle(points: Sequence[Point]) -> Point:
    """The middle of the longest stretch of a wire."""
    (ax, ay), (bx, by) = max(pairwise(points),
                             key=lambda pair: math.dist(*pair))  # fmt: skip
    return (ax + bx) / 2, (ay + by) / 2


def _own_stretch(points: Sequence[Point]) -> Point:
    """Where a mark stands: on the last stretches of a wire, which it shares with no other."""
    upright = [(p, q) for p, q in pairwise(points) if p[0] == q[0]]
    (ax, ay), (bx, by) = max(upright, key=lambda pair: abs(pair[0][1] - pair[1][1]),
                             default=(points[0], points[1]))  # fmt: skip
    return (ax + bx) / 2, (ay + by) / 2


def _shifted(points: Sequence[Point], by: int) -> tuple[Point, ...]:
    """A wire moved aside; its ends stay on the edges of the boxes that they touch."""
    moved = [(x + by, y + by) for x, y in points]
    for end, inner in ((0, 1), (-1, -2)):
        x, y = moved[end]
        moved[end] = (
            (x, points[end][1]) if points[end][0] == points[inner][0] else (points[end][0], y)
        )
    return tuple(moved)
