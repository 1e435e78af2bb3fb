"""Clipping of gradients that lie on one device: nothing is read from there.

The norm stays a tensor, and whether it is finite is told when numbers are next read. Below
`clipping.py`, which has the sums for the host.
"""

import math
from collections.abc import Sequence
from typing import Any

from engine import Tensor
from engine.backends import NAMESPACES, Array, on_device_of, on_host
from engine.backends.numpy import float32, float64, int64

Flat = tuple[list[Tensor], Array]  # parameters, and their gradients as one array


def share_a_device(flats: Sequence[Flat]) -> bool:
    """Return whether all gradients lie on one device that is not the host."""
    return not any(on_host(flat) for _, flat in flats) and (
        len({own[0].grad.device for own, _ in flats if own[0].grad is not None}) == 1
    )


def norm_of(flats: Sequence[Flat], p: float) -> tuple[Array, Array]:
    """Return the largest size of an element and the norm divided by it, as float64 numbers.

    The largest is 1 instead where it is 0 or not finite, and nothing can be divided by it.
    """
    xp = NAMESPACES[type(flats[0][1])]
    flats = [(own, flat) for own, flat in flats if flat.size]
    if not flats:
        return xp.ones((), dtype=float64), xp.zeros((), dtype=float64)
    tops = [xp.max(xp.abs(flat)).astype(float64) for _, flat in flats]
    top = xp.max(xp.stack(tops))  # a NaN among them is the result
    scale = xp.where((top > 0) & xp.isfinite(top), top, 1.0)
    if p == math.inf:
        return scale, top / scale
    kinds = {flat.dtype for _, flat in flats}
    total = 0.0
    for _, flat in flats:
        kind = _wide(flat) if len(kinds) == 1 else float64  # a number of one may be 0 in another
        ratio = xp.abs(flat).astype(kind) / scale.astype(kind)
        total = total + xp.sum(ratio * ratio if p == 2 else ratio**p, dtype=float64)
    return scale, total ** (1 / p)


def norm(flats: Sequence[Flat], p: float) -> Array:
    """Return the p-norm of all gradients, without axes."""
    with on_device_of(flats[0][1]):
        scale, root = norm_of(flats, p)
        return scale * root


def clip_norm(flats: Sequence[Flat], max_norm: float, p: float, *, refuse: bool) -> Any:
    """Return the norm, without axes, and the gradients scaled to it where it is over the bound.

    With `refuse` FloatingPointError is raised later for a norm that is not finite.
    """
    with on_device_of(flats[0][1]):
        scale, root = norm_of(flats, p)
        xp = NAMESPACES[type(scale)]
        size = scale * root
        finite = xp.isfinite(size)
        if refuse:
            xp.check_range(finite.astype(int64), 1, 1, _not_finite)
        over = finite & (size > max_norm)
        share = max_norm / root
        scaled = []
        for _, flat in flats:
            wide = flat.astype(_wide(flat), copy=False)
            less = wide / scale.astype(wide.dtype) * share.astype(wide.dtype)
            scaled.append(xp.where(over, less.astype(flat.dtype, copy=False), flat))
        return size, scaled


def clip_value(flats: Sequence[Flat], bound: float) -> list[Array]:
    """Return the gradients within bounds; all as they are where one is NaN, which is told later."""
    with on_device_of(flats[0][1]):
        xp = NAMESPACES[type(flats[0][1])]
        sums = [xp.max(xp.abs(flat)).astype(float64) for _, flat in flats if flat.size]
        if not sums:
            return [flat for _, flat in flats]
        good = ~xp.isnan(xp.max(xp.stack(sums)))
        xp.check_range(good.astype(int64), 1, 1, _is_nan)
        return [xp.where(good, xp.clip(flat, -bound, bound), flat) for _, flat in flats]


def _wide(flat: Array) -> Any:
    return float32 if flat.dtype.itemsize == 2 else flat.dtype


def _not_finite(_: int) -> FloatingPointError:
    return FloatingPointError(
        "clip_grad_norm: the norm of the gradients was not finite, and they were not clipped; "
        "lower the learning rate, or find the origin under engine.detect_anomaly()"
    )


def _is_nan(_: int) -> FloatingPointError:
    return FloatingPointError(
        "clip_grad_value: a gradient had NaN, and none was clipped; find its origin under "
        "engine.detect_anomaly()"
    )
