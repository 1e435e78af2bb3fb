"""Shapes without numbers: what an op gives on arrays that repeat one number without memory.

While the body of a recurrence is recorded only shapes and dtypes count; large products would take
time and wake the array library's threads. Below `apply`.
"""

from collections.abc import Mapping
from typing import Any

from engine.backends import Array
from engine.op import Op


def abstract(op: Op, xp: Any, values: list[Any], attrs: Mapping[str, Any]) -> Array:
    """An array of the shape and dtype that the op would give; its numbers mean nothing.

    Raises what the op would raise where shapes do not fit.
    """
    if op.c:
        points = [_point(x) if hasattr(x, "shape") else x for x in values]
        shape = xp.broadcast_shapes(*(x.shape for x in values if hasattr(x, "shape")))
        return xp.broadcast_to(xp.asarray(op.forward(xp, *points, **attrs)), shape)
    if op.name == "linear" and values[0].shape:
        x, weight = values[:2]
        fits = len(weight.shape) == 2 and x.shape[-1] == weight.shape[1]
        if not fits or (len(values) > 2 and values[2].shape != weight.shape[:1]):
            raise ValueError("the shapes do not fit")
        return xp.broadcast_to(_point(x) * _point(weight), (*x.shape[:-1], weight.shape[0]))
    if op.name == "matmul" and min(x.ndim for x in values) >= 2:
        x, y = values
        if x.shape[-1] != y.shape[-2]:
            raise ValueError("the shapes do not fit")
        front = xp.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        return xp.broadcast_to(_point(x) * _point(y), (*front, x.shape[-2], y.shape[-1]))
    return op.forward(xp, *values, **attrs)


def _point(x: Array) -> Array:
    """One number of an array, or a zero where it has none."""
    return x[(slice(0, 1),) * x.ndim].reshape(()) if x.size else x.dtype.type(0)
