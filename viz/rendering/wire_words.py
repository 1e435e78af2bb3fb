"""The words on edges: which edges have any, and what they say.

Above the layout's ways, below `edges.py`, which finds them a place.
"""

import math

from viz.labels import LONGEST, number, short, superscript
from viz.layout import wire_kinds
from viz.layout.grid import Grid
from viz.model.elements import Link, Model
from viz.rendering.annotations import Annotations

KINDS = 48  # characters of words that say the kinds of several states
OVER_COLUMNS = frozenset({wire_kinds.NEXT, wire_kinds.BACK, wire_kinds.FAR})


class Words:
    """The words on edges: which edges have any, and what they say."""

    def __init__(self, model: Model, annotations: Annotations, *, measured: bool) -> None:
        self.model, self.annotations, self.measured = model, annotations, measured
        self.rolled = model.level == "rolled"
        self.crowded = measured and any(  # marks may stand on any wire
            link.grad_norm is not None and not 0 < link.grad_norm < math.inf for link in model.links
        )
        self.marked = bool(annotations.marks) or self.crowded
        self.known: dict[int, str] = {}

    def worded(self, grid: Grid) -> set[int]:
        """Return the edges that may have words: straight ones, those through time, all if rolled
        up.
        """
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
            limit = KINDS if i in self.annotations.kinds else LONGEST
            self.known[i] = short(self._whole(i, self.model.links[i]), limit)
        return self.known[i]

    def name_of(self, i: int) -> str:
        """Return the name of what runs along an edge, for several that run together."""
        link = self.model.links[i]
        backed = self.measured and link.grad_norm is not None
        return short(f"∂{link.label}" if backed and link.label else link.label)

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
        if not self.annotations.numbers:
            return ""
        text = number(link.grad_norm)
        source = self.model.items[link.source]
        known = {number(g) for name, g in source.grads if name in (link.label, "")}
        return "" if text in known else text
