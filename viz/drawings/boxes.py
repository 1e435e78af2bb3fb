"""The words of a box and the room that they take. Above `labels.py`."""

import math
from functools import lru_cache

from viz.graphs.model import Item
from viz.labels import count, number, short, width

FONT = 13
SMALL = 10
SIDE = 22  # between two straight wires, with room for a label


def lines_of(item: Item, more: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a box: its label, then its size or its gradients, then what a picture adds."""
    if item.grads:
        own = (item.sub,) if item.kind == "parameter" and item.sub not in ("", item.label) else ()
        grads = (f"∂{short(name)} {number(g)}" for name, g in item.grads)
        return (item.label, *own, *grads, *more)
    if item.sub:
        return (item.label, item.sub, *more)
    if item.kind in ("parameter", "input") and item.shape:
        return (item.label, "×".join(map(count, item.shape)), *more)
    return (item.label, *more)


def title_of(item: Item) -> str:
    """What hovering over a box shows: all of it in words."""
    where = item.path or "top"
    if item.t is not None:
        where += f", t = {item.t}"
    title = f"{item.full}\n{where}\n{item.dtype} {'×'.join(map(str, item.shape))}"
    for name, g in item.grads:
        title += f"\n‖∂L/∂{name}‖ = {g:.6g}"
    return title


def box_size(lines: tuple[str, ...], sides: int) -> tuple[int, int]:
    """Return the least size of a box for its words and its `sides` straight wires."""
    high = 28 + 14 * (len(lines) - 1)
    return max(_inner(lines) + 18, 34), max(high, SIDE * (sides + 1))


@lru_cache(maxsize=65536)
def _inner(lines: tuple[str, ...]) -> int:
    return math.ceil(max(width(lines[0], FONT), *(width(line, SMALL) for line in lines[1:]), 0.0))
