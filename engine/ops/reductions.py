"""Fold axes away: sum, max, min, their positions, all, any, logsumexp, softmax.

Above the registry.
"""

import math
from functools import partial
from typing import Any

from engine.backends.half import FLOATING, rounded, single
from engine.backends.numpy import real_dtype
from engine.errors import explain_axis
from engine.op import Draw, Example
from engine.ops.time_batching import along, folded
from engine.registry import method, op

__all__ = ["argmax", "argmin", "count_nonzero", "log_softmax", "logsumexp", "softmax"]

Axis = int | tuple[int, ...] | None

FOLDS = (
    Example((Draw((3, 4)),)),
    Example((Draw((2, 3, 4)),), {"axis": (0, 2)}),
    Example((Draw((3, 4)),), {"axis": -1, "keepdims": True}),
)

reduction = partial(op, explain=explain_axis, kind="reduction")
fold = partial(reduction, examples=FOLDS, time_batch=folded)
position = partial(reduction, vjp=None, examples=(FOLDS[0], FOLDS[2]), time_batch=along(None))


def kept(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return `shape` with size 1 where an axis is folded away."""
    gone = folded_axes(shape, axis)
    return tuple(1 if one in gone else size for one, size in enumerate(shape))


def left(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return the sizes that stay when `axis` is folded away."""
    gone = folded_axes(shape, axis)
    return tuple(size for one, size in enumerate(shape) if one not in gone)


def folded_axes(shape: tuple[int, ...], axis: Axis) -> set[int]:
    """Return the axes that a reduction folds away, counted from the front."""
    rank = len(shape)
    axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return {one % rank for one in axes} if rank else set()  # a number has axis 0, as in NumPy


def _spread(xp: Any, g: Any, x: Any, axis: Axis) -> Any:
    """Return a folded gradient under a shape that broadcasts against x."""
    shape = kept(x.shape, axis)
    return g if g.shape == shape else xp.reshape(g, shape)


def _sum_vjp(
    xp: Any, g: Any, out: Any, x: Any, *, axis: Axis = None, dtype: Any = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    return xp.broadcast_to(_spread(xp, g, x, axis), x.shape)


@fold(vjp=(_sum_vjp,), degree="sum", c="({0} + {1})", start="(real)0")
def sum_(
    xp: Any, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
) -> Any:
    """Return the sum over `axis`, by default over all; small integers are summed in int64.

    >>> engine.sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    dtype = dtype if dtype is None else real_dtype(dtype)
    if dtype is not None and dtype.itemsize == 2 and dtype.kind in FLOATING:
        return xp.sum(single(x), axis=axis, keepdims=keepdims).astype(dtype)
    return xp.sum(x, axis=axis, dtype=dtype, keepdims=keepdims)


def _extreme_vjp(
    xp: Any, g: Any, out: Any, x: Any, *, axis: Axis = None, keepdims: bool = False
) -> Any:
    hit = (x == _spread(xp, out, x, axis)) | (x != x)  # a NaN is the result, and takes its gradient
    ties = xp.astype(xp.sum(hit, axis=axis, keepdims=True), g.dtype)
    return xp.where(hit, _spread(xp, g, x, axis) / ties, 0.0)


@fold(vjp=(_extreme_vjp,), c="maximum({0}, {1})", start="-(real)INFINITY")
def max_(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return largest element over `axis`, NaN if there is one; ties share the gradient equally.

    >>> engine.max([[1, 7], [5, 2]], axis=0).tolist()
    [5, 7]
    """
    return xp.max(x, axis=axis, keepdims=keepdims)


@fold(vjp=(_extreme_vjp,), c="minimum({0}, {1})", start="(real)INFINITY")
def min_(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return smallest element over `axis`, NaN if there is one; ties share the gradient equally.

    >>> engine.min([[1, 7], [5, 2]], axis=0).tolist()
    [1, 2]
    """
    return xp.min(x, axis=axis, keepdims=keepdims)


@position()
def argmax(xp: Any, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the index of the largest element over `axis`; the first where several are.

    >>> engine.argmax([[1, 7, 7], [5, 2, 4]], axis=1).tolist()
    [1, 0]
    """
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@position()
def argmin(xp: Any, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return the index of the smallest element over `axis`; the first where several are.

    >>> engine.argmin([[1, 7, 1], [5, 2, 4]], axis=1).tolist()
    [0, 1]
    """
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@fold(vjp=None)
def all_(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return whether every element over `axis` is true (not 0).

    >>> engine.all([[True, True], [True, False]], axis=1).tolist()
    [True, False]
    """
    return xp.all(x, axis=axis, keepdims=keepdims)


@fold(vjp=None)
def any_(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return whether any element over `axis` is true (not 0).

    >>> engine.any([[False, False], [True, False]], axis=1).tolist()
    [False, True]
    """
    return xp.any(x, axis=axis, keepdims=keepdims)


@fold(vjp=None)
def count_nonzero(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return how many elements over `axis` are not 0.

    >>> engine.count_nonzero([[0, 3], [5, 7]], axis=0).tolist()
    [1, 2]
    """
    return xp.count_nonzero(x, axis=axis, keepdims=keepdims)


def _shifted(xp: Any, x: Any, axis: Axis) -> tuple[Any, Any]:
    """Return x less its maximum, which keeps exp from overflowing, and that maximum.

    It is 0 where it is infinite, and of no elements.
    """
    if 0 in x.shape:
        return x, xp.zeros(kept(x.shape, axis), dtype=x.dtype)
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    return x - top, top


def _logsumexp_vjp(
    xp: Any, g: Any, out: Any, x: Any, *, axis: Axis = None, keepdims: bool = False
) -> Any:
    """Return g times the shares of the elements: 0 where all are -inf, NaN for inf among them."""
    out = _spread(xp, out, x, axis)
    return _spread(xp, g, x, axis) * xp.exp(x - xp.where(out == -math.inf, 0.0, out))


@fold(vjp=(_logsumexp_vjp,))
def logsumexp(xp: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return log(sum(exp(x))) over `axis`. A primitive for stability: nothing overflows.

    >>> engine.logsumexp([1000.0, 0.0]).item()
    1000.0
    """
    z, top = _shifted(xp, single(x), axis)
    raised = xp.sum(xp.exp(z), axis=axis, keepdims=True)
    some = raised != 0  # all of x is -inf where it is not
    total = xp.where(some, xp.log(xp.where(some, raised, 1.0)) + top, -xp.inf)
    total = rounded(total, x)
    return total if keepdims else xp.reshape(total, left(x.shape, axis))


def _log_softmax_vjp(xp: Any, g: Any, out: Any, x: Any, *, axis: int = -1) -> Any:
    return g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True)


@method
@op(
    vjp=(_log_softmax_vjp,),
    examples=(Example((Draw((3, 4)),)), Example((Draw((3, 4), 50, 90),), {"axis": 0})),
    explain=explain_axis,
    time_batch=along(-1),
)
def log_softmax(xp: Any, x: Any, /, *, axis: int = -1) -> Any:
    """Return x - logsumexp(x) along an axis. A primitive: stable, with half the memory passes.

    >>> engine.log_softmax([1000.0, 0.0]).tolist()
    [0.0, -1000.0]
    """
    z, _ = _shifted(xp, single(x), axis)
    if 0 in x.shape:
        return rounded(z, x)
    out = z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))
    return rounded(out, x)


def _softmax_vjp(xp: Any, g: Any, out: Any, x: Any, *, axis: int = -1) -> Any:
    scaled = g * out
    return scaled - out * xp.sum(scaled, axis=axis, keepdims=True)


@method
@op(
    vjp=(_softmax_vjp,),
    examples=(Example((Draw((3, 4)),)), Example((Draw((3, 4), 50, 90),), {"axis": 0})),
    explain=explain_axis,
    time_batch=along(-1),
    role="distribution",
)
def softmax(xp: Any, x: Any, /, *, axis: int = -1) -> Any:
    """Return exp(x) / sum(exp(x)) along an axis. A primitive for stability: nothing overflows.

    >>> engine.softmax([1000.0, 1000.0]).tolist()
    [0.5, 0.5]
    """
    z, _ = _shifted(xp, single(x), axis)
    raised = xp.exp(z)
    return rounded(raised / xp.sum(raised, axis=axis, keepdims=True), x)
