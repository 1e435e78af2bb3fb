"""Build the look of a picture: its boxes, columns and legend, and the scene of it all.

Above the layout, `boxes.py` and `edges.py`, below `drawing.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable

from viz import style
from viz.labels import count, fit, short, shortest, width, wrapped
from viz.layout.frames import DENSE, ROOMY, TRACK, Spacing
from viz.layout.geometry import Geometry, measured
from viz.layout.grid import Grid, arrange
from viz.model.elements import Item, Model
from viz.rendering.annotations import Annotations
from viz.rendering.boxes import borders, box_sizes, lines_of, row_names, title_of
from viz.rendering.edges import MARK, Edges, states_wider
from viz.rendering.wire_words import Words
from viz.scene import Band, Box, Columns, Scene, Shape, Swatch, Wire
from viz.scene import Words as Line

TITLE = 40
HEADING, HEAD = 22, 11  # over the columns: their room and the size of their letters
BLOCK, NAME = 20, 12  # over the headings, where there are blocks, and the size of their letters
SINGLE, PAIRS = 8, 10  # from wire to wire, and from pair to pair, where room is scarce
GAPS = {"op": 12, "gate": 12, "cell": 12, "rolled": 26}  # between columns, at least


class SceneBuilder:
    """Choose the colours and words of one picture."""

    def __init__(
        self, model: Model, annotations: Annotations, scale: style.Scale | None,
        notes: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.model, self.annotations, self.scale, self.notes = model, annotations, scale, notes
        self.items, self.links = self.model.items, self.model.links
        self.words = Words(model, annotations, measured=scale is not None)

    def scene(self, title: str) -> Scene:
        """Return everything in its place."""
        model, annotations = self.model, self.annotations
        grid = arrange(model, stacked=annotations.detail.narrow)
        lines = [lines_of(item, annotations.lines.get(item.key, ())) for item in self.items]
        if annotations.detail.narrow:
            lines = [
                tuple(map(_shortest, (*own[0].rsplit(" ", item.kind == "gap"), *own[1:])))
                for item, own in zip(self.items, lines, strict=True)
            ]
        sides: dict[int, int] = {}
        pairs: dict[tuple[int, int], int] = {}
        for i in grid.straight:
            pair = (self.links[i].source, self.links[i].target)
            pairs[pair] = pairs.get(pair, 0) + 1
        for pair, many in pairs.items():
            for n in pair:
                sides[n] = max(sides.get(n, 0), many if many > 1 else 0)
        sizes = box_sizes(self.items, lines, sides, narrow=annotations.detail.narrow)
        if annotations.even:
            sizes = [(max(w for w, _ in sizes), max(h for _, h in sizes))] * len(sizes)
        blocks = any(column.block for column in grid.columns.columns)
        top = TITLE + HEADING + (BLOCK if blocks else 0)
        place = measured(
            model, grid, sizes, self._gaps(grid), top, self._spacing(), _heading_room(grid)
        )
        for item, (x, y, w, h) in zip(self.items, place.boxes, strict=True):
            item.position = (x + w / 2, y + h / 2)
        shapes, bottom = self._below(place)
        edges = Edges(model, annotations, self.scale, self.words, place)
        wires = edges.wires()
        wide = max(place.width, edges.right, 420.0)
        have = "edge has" if (lost := edges.without_room) == 1 else "edges have"
        unsaid = f"{count(lost)} {have} no room for words: pointing at them shows these"
        return Scene(
            title=fit(title, wide - 16, 15, bold=True),
            width=wide,
            height=bottom,
            boxes=tuple(self._boxes(place, lines)),
            wires=tuple(wires),
            bands=tuple(_bands(place)),
            legend=(*self._legend(), *annotations.legend),
            notes=wrapped(
                [*self._signs(wires), *self.notes, *annotations.notes, *[unsaid] * bool(lost)],
                wide - 40,
            ),
            shapes=(
                *_block_names(place),
                *row_names(self.items, place),
                *borders(annotations, place),
                *edges.trunks(),
                *shapes,
            ),
        )

    def _signs(self, wires: list[Wire]) -> Iterable[str]:
        """Yield what the signs of derivatives mean, of those that there are."""
        if self.scale is None:
            return
        whole = f"d: norm of the {self.annotations.gradient} gradient, ‖dL/dh‖"
        adds = any(wire.label.startswith("∂") for wire in wires)
        yield f"{whole}; ∂: of what one use adds to it" if adds else whole

    def _spacing(self) -> Spacing:
        """Return how close wires stand: where room is scarce and nothing is on them, closer."""
        spacing = ROOMY if self.words.crowded else DENSE
        if not self.annotations.detail.narrow or self.words.crowded:
            return spacing
        track = TRACK if states_wider(self.model) or self.words.marked else PAIRS
        track = SINGLE if self.scale is None else track
        return spacing._replace(rail=6, aside=5, margin=12, track=track, bundle=self.words.bundled)

    def _gaps(self, grid: Grid) -> list[int]:
        """Return the room for words and marks on the left of the columns of each shape."""
        crowd = MARK * self.words.crowded  # beside the words, on wires that are not theirs
        least = GAPS[self.model.level] // (2 if self.annotations.detail.narrow else 1)
        least = MARK if self.words.marked else least
        return self.words.gaps(grid, least, crowd)

    def _below(self, place: Geometry) -> tuple[list[Shape], float]:
        bottom = place.bottom + 18.0
        if self.annotations.below is None:
            return [], bottom
        shown = [(column.time, span) for column, span
                 in zip(place.grid.columns.columns, place.spans, strict=True)
                 if isinstance(column.time, int)]  # fmt: skip
        columns = Columns(
            times=tuple(t for t, _ in shown),
            spans=tuple((float(a), float(b)) for _, (a, b) in shown),
            left=float(place.left[0]), right=float(place.left[-1]), top=bottom,
        )  # fmt: skip
        shapes, high = self.annotations.below(columns)
        return shapes, bottom + high

    def _boxes(self, place: Geometry, lines: list[tuple[str, ...]]) -> Iterable[Box]:
        annotations = self.annotations
        for item, (x, y, w, h), words in zip(self.items, place.boxes, lines, strict=True):
            n = item.key
            mark = annotations.box_marks.get(n, "!" if item.grads and _broken(item) else "")
            yield Box(n, x, y, w, h, _kind(item), words, title_of(item), mark,
                      n in annotations.dim_items, annotations.fills.get(n))  # fmt: skip

    def _legend(self) -> list[Swatch]:
        """Return what the colours and lines mean that there are, but for what is pale."""
        annotations, scale = self.annotations, self.scale
        plain = annotations.dim_items.union(annotations.fills)
        kinds = {_kind(item) for item in self.items if item.key not in plain}
        pale = annotations.dim_links.union(annotations.link_colors)
        drawn = {link.kind for i, link in enumerate(self.links) if i not in pale}
        swatches = style.forward_swatches(
            [kind for kind in style.FILLS if kind in kinds],
            local=bool(drawn & {"data", "parameter"}), delayed="time" in drawn,
        )  # fmt: skip
        if "context" in drawn:
            swatches.append(Swatch("context: from block to block", style.CONTEXT, 2.4))
        if weights := [link.weight for link in self.links if link.weight is not None]:
            swatches += style.attention_swatches(min(weights), max(weights))
        if scale is None:
            return swatches
        norms = [link.grad_norm for link in self.links if link.grad_norm is not None]
        wider = states_wider(self.model) and "time" in drawn
        return swatches + style.backward_swatches(
            scale, norms, states_wider=wider, marked=not annotations.detail.narrow
        )


def _shortest(line: str) -> str:
    """Return a line of a box where room is scarce; factors stay, as they multiply as printed."""
    return line if "×" in line.rpartition(" ")[2] else shortest(line)


def _heading_room(grid: Grid) -> list[int]:
    """Return the least width of the columns of each shape: the time of one, where that is a word,
    and its part of the name of its block have to fit.
    """
    columns = grid.columns.columns
    many = Counter(one.block for one in columns)
    least = [0] * len(grid.shapes)
    for one, shape in zip(columns, grid.shape_of, strict=True):
        if one.time is not None:
            part = width(short(one.block or ""), NAME, bold=True) / many[one.block]
            wide = math.ceil(max(width(str(one.time), HEAD), part)) + 10
            least[shape] = max(least[shape], wide)
    return least


def _broken(item: Item) -> bool:
    return not all(math.isfinite(g) for _, g in item.grads)


def _kind(item: Item) -> str:
    """Return the kind of a box as it is drawn: an op that makes a new state is one too."""
    return "state" if item.is_state and item.kind == "op" else item.kind


def _bands(place: Geometry) -> Iterable[Band]:
    top = place.top - HEADING
    columns = zip(place.grid.columns.columns, place.spans, strict=True)
    for steps, (column, (left, right)) in enumerate(columns):
        if column.time is not None:
            heading = "…" if column.time == "gap" else f"t = {column.time}"
            if width(heading, HEAD) > right - left - 6:
                heading = str(column.time)
            yield Band(left + 3, top, right - left - 6, place.bottom - top, heading, steps % 2 == 0)


def _block_names(place: Geometry) -> Iterable[Line]:
    """Yield the name of each block over the middle of its columns."""
    ends: dict[str, list[int]] = {}
    for column, span in zip(place.grid.columns.columns, place.spans, strict=True):
        if column.block:
            ends.setdefault(column.block, []).extend(span)
    for block, xs in ends.items():
        middle = (min(xs) + max(xs)) / 2
        yield Line(middle, place.top - HEADING - 7, short(block), NAME, bold=True)
