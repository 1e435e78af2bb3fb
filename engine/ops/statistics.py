"""Compute mean, variance and norms. Compositions, above the reductions."""

import math
from typing import Any

from engine.checks import is_real
from engine.op import Draw, Example
from engine.ops.casts import in_float32
from engine.ops.choices import where
from engine.ops.creation import ones
from engine.ops.elementwise import abs_, sign
from engine.ops.logic import isfinite, isnan
from engine.ops.reductions import Axis, kept, max_, min_, sum_
from engine.ops.shaping import reshape
from engine.ops.stopping import multiple, stop_gradient
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = ["mean", "norm", "std", "var"]


@method
@composition
@in_float32
def mean(x: Tensor, /, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """Return the mean over `axis`, by default over all; 16-bit floats are summed in float32.

    >>> engine.mean([[1.0, 2.0], [3.0, 6.0]], axis=1).tolist()
    [1.5, 4.5]
    """
    total = sum_(x, axis=axis, keepdims=keepdims)
    return total / (x.size / max(total.size, 1)) if x.size else total * math.nan


@method
@composition
@in_float32
def var(
    x: Tensor, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the variance over `axis`: the squared distances from the mean over n - `correction`.

    Infinite where that is not positive, NaN of equal elements, as in NumPy.

    >>> engine.var([1.0, 3.0]).item(), engine.var([1.0, 3.0], correction=1).item()
    (1.0, 2.0)
    """
    away = x - mean(x, axis=axis, keepdims=True)
    total = sum_(away * away, axis=axis, keepdims=keepdims)
    left = x.size / max(total.size, 1) - correction
    return total / left if left > 0 else total * math.inf


def _root_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Return g / (2 sqrt x), and 0 at 0, where its own derivative is NaN.

    A gradient that is a multiple of the root needs no division: a square has all derivatives.
    """
    share = multiple(xp, g, out)
    if share is not None:
        return 0.5 * share
    is_zero = out == 0
    return xp.where(is_zero, 0.0 * xp.sqrt(x), 0.5 * g / xp.where(is_zero, 1.0, out))


@op(
    vjp=(_root_vjp,),
    examples=(Example((Draw((3, 4), 0.5, 3.0),)),),
    c="squareroot({0})",
    public=False,
)
def root(xp: Any, x: Any, /) -> Any:
    """Return the square root of a sum of squares, its derivative 0 at 0: a point of least length.

    A primitive for its derivatives at 0, which no composition has.
    """
    return xp.sqrt(x)


@method
@composition
@in_float32
def std(
    x: Tensor, /, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the standard deviation over `axis`, the root of `var`.

    Where it is 0 its derivative is 0 and its second one NaN; that of its square is right.

    >>> engine.std([1.0, 3.0]).item()
    1.0
    """
    return root(var(x, axis=axis, correction=correction, keepdims=keepdims))


@composition
@in_float32
def norm(x: Tensor, /, *, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the p-norm of all elements over `axis`: (sum |x|^p)^(1/p), the largest for inf.

    Scaled, so that no power overflows; the derivative at 0 is 0, the second one of p = 2 NaN there.
    Raises ValueError for a p that is no number.

    >>> engine.norm(engine.asarray([3e30, 4e30])).item() > 4.9e30
    True
    """
    if not is_real(ord) or math.isnan(ord):
        raise ValueError(f"norm: ord must be a number or inf, got {ord!r}")
    size = abs_(x)
    if ord == 1 or (ord == math.inf and not x.size):  # the largest of no elements is 0
        return sum_(size, axis=axis, keepdims=keepdims)
    if ord == math.inf or ord == -math.inf:
        fold = max_ if ord > 0 else min_
        return fold(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum_(abs_(sign(where(isnan(x), 1.0, x))), axis=axis, keepdims=keepdims)
    scale = _scale(size, axis)
    total = sum_((size / scale) ** ord if ord != 2 else (x / scale) * (x / scale),
                 axis=axis, keepdims=keepdims)  # fmt: skip
    out = root(total) if ord == 2 else _power_root(total, ord)
    return out * (scale if keepdims else reshape(scale, total.shape))


def _scale(size: Tensor, axis: Axis) -> Tensor:
    """Return the largest element over `axis` as a constant, 1 where it is no use as a scale."""
    if not size.size:
        return ones(kept(size.shape, axis), dtype=size.dtype, device=size.device)
    top = stop_gradient(max_(size, axis=axis, keepdims=True))
    return where((top > 0) & isfinite(top), top, 1.0)


def _power_root(total: Tensor, ord: float) -> Tensor:
    """Return total^(1/ord), with the value and the derivative 0 for elements that are all 0.

    For ord < 0 one of them is enough.
    """
    least = total == (0.0 if ord > 0 else math.inf)
    return where(least, 0.0, where(least, 1.0, total) ** (1 / ord))
