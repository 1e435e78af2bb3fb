"""Describe how one picture differs from the plain one. Above the scene, below all that draws it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from viz.analysis.trunks import Parts
from viz.rendering.fitting import FULL, Detail
from viz.scene import Columns, Shape, Swatch

COLOR = re.compile("#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?|none")


@dataclass(frozen=True)
class Annotations:
    """Describe how a picture differs from the plain one.

    Boxes are named by key, edges by their place in `model.links`. What is dim is pale; `lines` are
    more lines in a box, `labels` words on an edge, `marks` signs on an edge; `fills` are fill and
    stroke of boxes, `link_colors` colours of forward edges. `below` draws charts under the grid on
    the same time axis: it is told where the columns are, and returns shapes and their height.
    `weights` are what uses add to weights, by edge: their wires are as wide as that. `detail` says
    how much is left out where room is scarce. `borders` are steps before which a border is drawn.
    `kinds` are words behind the name of a delayed edge. `gradient` says which one the boxes show.
    With `even` all boxes have one size.
    Raises ValueError for what is no colour, ``#rgb``, ``#rrggbb`` or ``none``.
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
    weights: dict[int, Parts] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    detail: Detail = FULL
    gradient: str = "whole"
    even: bool = False
    borders: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        for name, color in self._colors():
            if not COLOR.fullmatch(color):
                raise ValueError(
                    f"Annotations: {name} has the colour {color!r}; expected #rgb, #rrggbb or none"
                )

    def _colors(self) -> Iterable[tuple[str, str]]:
        """Yield all colours, each once, with where they come from."""
        for fill in dict.fromkeys(self.fills.values()):
            yield from (("fills", color) for color in fill)
        yield from (("link_colors", color) for color in dict.fromkeys(self.link_colors.values()))
        for swatch in self.legend:
            yield f"the legend line {swatch.text!r}", swatch.color
            if swatch.box:
                yield f"the legend line {swatch.text!r}", swatch.box
