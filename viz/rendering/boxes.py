"""Write the words of a box, measure their room, and draw the names and borders of the grid.

Names of rows stand at its ends, borders between steps. Above the layout, below
`scene_builder.py`.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod

from viz.labels import FONT, SMALL, count, number, short, width
from viz.layout.geometry import Geometry
from viz.model.elements import Item
from viz.model.inputs import INITIAL
from viz.rendering.annotations import Annotations
from viz.scene import Line, Words
from viz.style import CUT

SIDE = 26  # between two straight wires, with room for a gradient and its name
GREY = "#5f6368"
SIZE = 11.0
OVER = 23  # between the middle of a row and the foot of its name: initial states stand there
HEADING = 22  # how far borders reach over the grid


def row_names(items: Sequence[Item], place: Geometry) -> Iterator[Words]:
    """Yield the name of the row of each layer and direction, where there are several, at its left.

    A layer that runs backward in time has an arrow to the left.
    """
    rows: dict[tuple[object, str], int] = {}
    for item in items:
        if item.kind in ("cell", "state") and item.layer is not None and item.gap is None:
            row = place.grid.row[item.key]
            key = (item.layer, str(item.direction or "forward"))
            rows[key] = max(row, rows.get(key, row))
    if len(rows) < 2 or len(set(rows.values())) < len(rows):
        return
    both = len({direction for _, direction in rows}) > 1
    x = place.left[place.grid.columns.first] - 4
    for (layer, direction), row in rows.items():
        arrow = "" if not both else " →" if direction == "forward" else " ←"
        name, y = f"layer {layer}{arrow}", place.heights.middle[row] - OVER
        if not _taken(place, x - width(name, SIZE, bold=True), x, y):
            yield Words(x, y, name, SIZE, GREY, "end", bold=True)


def _taken(place: Geometry, left: float, right: float, foot: float) -> bool:
    """Return whether a box stands where a name would, or the name would leave the sheet."""
    return left < 4 or any(
        x < right and x + w > left and y < foot + 3 and y + h > foot - SIZE
        for x, y, w, h in place.boxes
    )


def borders(annotations: Annotations, place: Geometry) -> Iterator[Line]:
    """Yield a dashed line before each step at which a border stands."""
    columns = place.grid.columns.columns
    for column, x in zip(columns, place.left, strict=False):
        if column.time in annotations.borders:
            ends = (place.top - HEADING, place.bottom)
            yield Line(tuple((float(x), float(y)) for y in ends), CUT, 1.4, "6 4",
                       title=f"a chunk begins at t = {column.time}")  # fmt: skip


def lines_of(item: Item, more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines of a box: its label, its size or its gradients, and those of a picture."""
    if item.grads:
        own = (item.sub,) if item.kind == "parameter" and item.sub not in ("", item.label) else ()
        grads = (f"d{short(name)} {number(g)}" for name, g in item.grads)
        return (item.label, *own, *grads, *more)
    if item.sub:
        return (item.label, item.sub, *more)
    if item.kind in ("parameter", "input") and prod(item.shape) > 1 and item.role != INITIAL:
        return (item.label, "×".join(map(count, item.shape)), *more)
    return (item.label, *more)


def title_of(item: Item) -> str:
    """Return what hovering over a box shows: all of it in words."""
    at = "" if item.t is None else f", t = {item.t}"
    title = f"{item.full}\n{item.path or 'top'}{at}\n{item.dtype} {_sizes(item.shape)}"
    for name, g in item.grads:
        title += f"\n‖dL/d{name}‖ = {g:.6g}"
    return title


@lru_cache(maxsize=1024)
def _sizes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def box_sizes(
    items: list[Item], lines: list[tuple[str, ...]], sides: dict[int, int], *, narrow: bool = False
) -> list[tuple[int, int]]:
    """Return the least size of each box for its words and its straight wires; `sides` counts them.

    Inputs of steps are all alike, initial states are stubs. `narrow` ones have less room.
    """
    pad, least = (4, 24) if narrow else (10, 34)
    sizes = [_box_size(item, own, sides.get(n, 0), pad, least)
             for n, (item, own) in enumerate(zip(items, lines, strict=True))]  # fmt: skip
    inputs = [n for n, item in enumerate(items) if item.kind == "input" and item.t is not None]
    widest = max((sizes[n][0] for n in inputs), default=0)
    highest = max((sizes[n][1] for n in inputs), default=0)
    for n in inputs:
        sizes[n] = widest, highest
    return sizes


def _box_size(
    item: Item, lines: tuple[str, ...], sides: int, pad: int, least: int
) -> tuple[int, int]:
    if item.role == INITIAL:
        return max(_inner(lines) + pad, 26), 22 + 14 * (len(lines) - 1)
    high = 28 + 14 * (len(lines) - 1)
    least = min(least, 26) if item.kind == "input" else least
    return max(_inner(lines) + pad, least), max(high, SIDE * (sides + 1))


@lru_cache(maxsize=65536)
def _inner(lines: tuple[str, ...]) -> int:
    return math.ceil(max(width(lines[0], FONT), *(width(line, SMALL) for line in lines[1:]), 0.0))
