"""Sums over many steps with rounding that does not grow with them. Below `time_batched.py`."""

from math import prod
from typing import Any

from engine.backends import HOST, Array

BLOCK = 256  # numbers that are added up one after another on the host


def summed(xp: Any, x: Array, axes: tuple[int, ...]) -> Array:
    """Return the sum of x (T, ...) over its first axis and, after it, others.

    NumPy adds up along the first one step after another, and rounding grows with the number of
    steps; sums of blocks, and then of these, are nearer. A device adds up in a tree.
    """
    if xp is not HOST.xp or x.dtype.kind not in "fc":
        return xp.sum(x, axis=axes)
    if axes == (*range(len(axes)),) and x.flags.c_contiguous:
        x, axes = x.reshape(prod(x.shape[: len(axes)]), *x.shape[len(axes) :]), (0,)
    block = BLOCK // max(1, prod(x.shape[axis] for axis in axes[1:])) or 1
    count = len(x) // block
    if count < 2:
        return xp.sum(x, axis=axes)
    parts = x[: count * block].reshape(count, block, *x.shape[1:])
    total = summed(xp, xp.sum(parts, axis=(1, *(1 + axis for axis in axes[1:]))), (0,))
    rest = x[count * block :]
    return total + xp.sum(rest, axis=axes) if len(rest) else total
