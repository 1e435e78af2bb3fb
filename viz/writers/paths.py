"""Write the lines of wires as path data of SVG, made once for each form, and numbers in it.

Above primitives, below `svg.py`.
"""

import math
from functools import lru_cache
from itertools import pairwise
from operator import add

from viz.moved import Form
from viz.writers.primitives import ROUND, arrow, toward


def digits(value: float) -> str:
    """Return a number with at most two decimals, the same on every machine."""
    if type(value) is int:
        return str(value)
    if value.is_integer():
        return str(int(value))
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


@lru_cache(maxsize=65536)
def drawn(form: Form, wide: float) -> tuple[str, str]:
    """Return the head and the line of a wire in coordinates relative to its first point."""
    return reaching(form, wide, 0, 0)


def reaching(form: Form, wide: float, start: float, end: float) -> tuple[str, str]:
    """Return the head and the line of a wire as `drawn` does, its ends moved to the right."""
    tip, head, first, corners, last, foot = _pieces(form, wide)
    line = f"l{digits(first - start)}{corners}"
    if foot:
        line += f"l{digits(last + end)}{foot}"
    return f"m{digits(tip + end - start)}{head}", line


@lru_cache(maxsize=65536)  # wires of different steps are mostly moved copies
def _pieces(form: Form, wide: float) -> tuple[float, str, float, str, float, str]:
    """Return a wire in relative coordinates, cut behind the x of each step that may be moved."""
    x, y = form.points[0]
    tip, points = arrow(tuple([(px - x, py - y) for px, py in form.points]), wide)
    head = "".join(f"l{digits(bx - ax)} {digits(by - ay)}" for (ax, ay), (bx, by) in pairwise(tip))
    steps, at = [], points[0]
    corners = []
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(ROUND, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start, end = toward(corner, before, r), toward(corner, after, r)
        steps.append((start[0] - at[0], start[1] - at[1]))
        turn = (corner[0] - start[0], corner[1] - start[1], end[0] - start[0], end[1] - start[1])
        corners.append("q" + " ".join(map(digits, turn)))
        at = end
    steps.append((points[-1][0] - at[0], points[-1][1] - at[1]))
    feet = [f" {digits(dy)}" for _, dy in steps]
    inner = [f"l{digits(dx)}{foot}" for (dx, _), foot in zip(steps[1:-1], feet[1:-1], strict=True)]
    text = feet[0] + "".join(map(add, corners, [*inner, ""]))
    last = feet[-1] if corners else ""  # a straight line has one step
    return tip[0][0], f" {digits(tip[0][1])}{head}z", steps[0][0], text, steps[-1][0], last
