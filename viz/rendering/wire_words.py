"""Write the words on edges: choose the edges that have any, and what they say.

Above the layout's ways, below `edges.py`, which finds them a place.
"""

import math
from collections import Counter
from collections.abc import Iterator

from viz.labels import LONGEST, NARROW, SMALL, number, short, superscript, width
from viz.layout import wire_kinds
from viz.layout.grid import Grid
from viz.model.elements import Link, Model
from viz.rendering.annotations import Annotations

KINDS = 48  # characters of words that say the kinds of several states
OVER_COLUMNS = frozenset({wire_kinds.NEXT, wire_kinds.BACK, wire_kinds.FAR})


class Words:
    """Write the words on edges: choose the edges that have any, and what they say."""

    def __init__(self, model: Model, annotations: Annotations, *, measured: bool) -> None:
        self.model, self.annotations, self.measured = model, annotations, measured
        self.rolled = model.level == "rolled"
        self.longest = NARROW if annotations.detail.narrow else LONGEST
        self.crowded = measured and any(  # marks may stand on any wire
            link.grad_norm is not None and self.has_mark(link.grad_norm) for link in model.links
        )
        self.marked = bool(annotations.marks) or self.crowded
        self.bundled = annotations.detail.narrow and not (self.crowded or annotations.weights)
        self.known: dict[int, str] = {}

    def has_mark(self, norm: float) -> bool:
        """Return whether a gradient of this norm has a mark: a broken one, and with room a zero."""
        return not norm < math.inf or (norm == 0 and not self.annotations.detail.narrow)

    def texts(self, grid: Grid) -> Iterator[tuple[int, str, bool]]:
        """Yield each edge with words, these, and whether they may stand between its columns.

        Edges that run together have one name.
        """
        worded = self.worded(grid)
        trunks = {} if self.rolled else {
            i: (self.model.links[i].source, grid.way[i], self.column(grid, i))
            for i in worded - grid.straight
        }  # fmt: skip
        shared = Counter(trunks.values())
        named = set()
        for i in sorted(worded):
            trunk = trunks.get(i)
            text, together = self.of(i), trunk is not None and shared[trunk] > 1
            if together and i not in self.annotations.labels:
                text, together = "" if trunk in named else self.name_of(i), False
                named.add(trunk)
            if text:
                over = i in grid.straight or grid.way[i] in OVER_COLUMNS
                yield i, text, over and not (together or self.rolled)

    def column(self, grid: Grid, i: int) -> int:
        """Return the column that keeps room free on its left for the words of an edge."""
        of, link = grid.columns.of, self.model.links[i]
        if grid.way[i] == wire_kinds.FAR:
            return of[link.source] + 1
        return max(of[link.source], of[link.target])

    def gaps(self, grid: Grid, least: int, crowd: int) -> list[int]:
        """Return the room for words on the left of each shape of columns, and `crowd` more."""
        found = [least] * len(grid.shapes)
        for i, text, between in self.texts(grid):
            if between:
                shape = grid.shape_of[self.column(grid, i)]
                found[shape] = max(found[shape], math.ceil(width(text, SMALL)) + 7)
        return [gap + crowd for gap in found]

    def worded(self, grid: Grid) -> set[int]:
        """Return the edges that may have words: straight ones, those through time; rolled, all."""
        if self.rolled:
            return set(range(len(self.model.links)))
        timed = {
            i for i, (link, way) in enumerate(zip(self.model.links, grid.way, strict=True))
            if way in OVER_COLUMNS and link.kind in ("time", "context")
        }  # fmt: skip
        return grid.straight | timed | set(self.annotations.labels)

    def of(self, i: int) -> str:
        """Return the words on an edge, at most as many as fit on it."""
        if i not in self.known:
            limit = KINDS if i in self.annotations.kinds else self.longest
            self.known[i] = short(self._whole(i, self.model.links[i]), limit)
        return self.known[i]

    def name_of(self, i: int) -> str:
        """Return the name of what runs along an edge, for several that run together."""
        link = self.model.links[i]
        backed = self.measured and link.grad_norm is not None
        name = f"∂{link.label}" if backed and link.label else link.label
        return short(name, self.longest)

    def _whole(self, i: int, link: Link) -> str:
        if i in self.annotations.labels:
            return self.annotations.labels[i]
        if self.measured and link.grad_norm is not None:
            norm = self._norm(link)
            return f"∂{link.label} {norm}" if norm and link.label else norm or link.label
        if self.rolled and link.kind == "time":
            ahead = "⁺" if link.dt < 0 else ""
            kind = self.annotations.kinds.get(i, "")
            return f"{link.label} z{ahead}{superscript(-link.dt)} {kind}".strip()
        return link.label if link.kind in ("time", "context") else ""

    def _norm(self, link: Link) -> str:
        """Return the norm on an edge; nothing where it stands in the box of its source already."""
        assert link.grad_norm is not None
        if not self.annotations.detail.numbers:
            return ""
        text = number(link.grad_norm)
        source = self.model.items[link.source]
        known = {number(g) for name, g in source.grads if name in (link.label, "")}
        return "" if text in known else text
