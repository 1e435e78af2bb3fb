"""Compute order statistics: the k-th smallest, the median, and extremes that pass over NaN.

Compositions, above sorting.
"""

from math import prod
from typing import Any

from engine.arguments import public
from engine.backends.half import FLOATING
from engine.checks import axes_of, axis_of, whole
from engine.ops.choices import maximum, minimum, where
from engine.ops.indexing import take_along_axis
from engine.ops.logic import isnan
from engine.ops.reductions import Axis, kept
from engine.ops.searching import argsort, sort
from engine.ops.shaping import permute_dims, reshape, squeeze
from engine.ops.statistics import mean
from engine.registry import composition
from engine.tensor import Tensor

__all__ = ["fmax", "fmin", "kthvalue", "median"]


@composition
def fmax(x1: Any, x2: Any, /) -> Tensor:
    """Return the larger of two numbers, the other one where one is NaN; NaN where both are.

    The gradient goes where the value came from; equal numbers share it equally, as in `maximum`.

    >>> engine.fmax(engine.asarray([1.0, engine.nan]), engine.asarray([2.0, 3.0]))
    tensor([2., 3.], dtype=float32)
    """
    return where(isnan(x1), x2, where(isnan(x2), x1, maximum(x1, x2)))


@composition
def fmin(x1: Any, x2: Any, /) -> Tensor:
    """Return the smaller of two numbers, the other one where one is NaN; NaN where both are.

    The gradient goes where the value came from; equal numbers share it equally, as in `minimum`.

    >>> engine.fmin([1.0, engine.nan], [2.0, 3.0]).tolist()
    [1.0, 3.0]
    """
    return where(isnan(x1), x2, where(isnan(x2), x1, minimum(x1, x2)))


@public
def kthvalue(
    x: Tensor, k: int, /, *, axis: int = -1, keepdims: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the k-th smallest element along an axis, from 1, and where it was; NaN is the largest.

    Of equal elements the one that a stable sort puts there is meant, and has the gradient. Raises
    ValueError for a k that is not in 1 to the size of the axis.

    >>> engine.kthvalue(engine.asarray([3.0, 1.0, 2.0]), 2)
    (tensor(2., dtype=float32), tensor(2, dtype=int64))
    """
    axis = axis_of("kthvalue", axis, x.ndim)
    if not 1 <= whole("kthvalue: k", k) <= x.shape[axis]:
        raise ValueError(f"kthvalue: k must lie in 1 to {x.shape[axis]}, got {k!r}")
    order = argsort(x, axis=axis)
    place = order[(*(slice(None),) * axis, slice(k - 1, k))]
    value = take_along_axis(x, place, axis=axis)
    return (value, place) if keepdims else (squeeze(value, axis), squeeze(place, axis))


@composition
def median(x: Tensor, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the middle element over `axis`, of an even number the mean of the two in the middle.

    So does NumPy; PyTorch takes the lower one. It is NaN where an element is, or where there is
    none. The gradient goes to the elements in the middle, of equal ones to those that a stable sort
    puts there.

    >>> engine.median(engine.asarray([4.0, 1.0, 2.0, 9.0]))
    tensor(3., dtype=float32)
    """
    axes = tuple(range(x.ndim)) if axis is None else axes_of("median", axis, x.ndim)
    count = prod(x.shape[one] for one in axes)
    if not count:
        return mean(x, axis=axis, keepdims=keepdims)
    x = x if x.dtype.kind in FLOATING else x * 1.0
    others = tuple(one for one in range(x.ndim) if one not in axes)
    shape = tuple(x.shape[one] for one in others)
    ordered = sort(reshape(permute_dims(x, (*others, *axes)), (*shape, count)))
    middle, last = ordered[..., count // 2], ordered[..., -1]
    if count % 2 == 0:
        middle = 0.5 * ordered[..., count // 2 - 1] + 0.5 * middle
    out = where(isnan(last), last, middle)  # NaN is sorted to the end
    return reshape(out, kept(x.shape, axes)) if keepdims else out
