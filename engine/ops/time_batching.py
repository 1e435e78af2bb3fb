"""Put a time axis in front: what becomes of the attributes of an op (`Op.time_batch`).

A rule gets the attributes, the shapes of the inputs (None for a Python number) and of the result at
one step, and the number of steps. It raises ValueError where the op cannot be batched with
these attributes and shapes; it is then computed step by step. Below the ops.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.node import Shape

Attrs = Mapping[str, Any]
Shapes = Sequence[Shape | None]


def unchanged(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    """Return the attributes as they are: the op is about the last axes alone."""
    return attrs


def over_matrices(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    """Return the attributes as they are, for operands of one rank, matrices at least.

    The batch axes of other operands would be matched with the time axis.
    """
    ranks = {len(one) for one in shapes if one is not None}
    if len(ranks) > 1 or min(ranks) < 2:
        raise ValueError(f"operands of shapes {list(shapes)} have no common place for a time axis")
    return attrs


def result_shape(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    """Return the attributes with the shape of the result behind the time axis."""
    return {**attrs, "shape": (steps, *shape)}


def folded(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    """Return the attributes with the axes of a reduction one further on; None: all but time."""
    rank, axis = _rank(shapes), attrs.get("axis")
    if axis is None:
        return {**attrs, "axis": tuple(range(1, rank + 1))}
    if isinstance(axis, tuple):
        return {**attrs, "axis": tuple(behind(one, rank) for one in axis)}
    return {**attrs, "axis": behind(axis, rank)}


def along(default: int | None) -> Callable[[Attrs, Shapes, Shape, int], Attrs]:
    """Return the rule of an op along one axis, by default `default`; None: of all in one row."""

    def rule(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
        rank, axis = _rank(shapes), attrs.get("axis", default)
        if axis is None:
            if rank != 1:
                raise ValueError(f"the elements of {shapes[0]} are taken in one row")
            axis = 0
        if isinstance(axis, tuple):
            return {**attrs, "axis": tuple(behind(one, rank) for one in axis)}
        return {**attrs, "axis": behind(axis, rank)}

    return rule


def behind(axis: int, rank: int) -> int:
    """Return an axis of `rank`, counted from the front, behind a time axis."""
    return 1 + axis % rank


def _rank(shapes: Shapes) -> int:
    first = shapes[0]
    if first is None:
        raise ValueError("a number has no axes")
    return len(first)
