"""Mean, variance, norms. Compositions, above the reductions."""

import math

from engine.ops.creation import ones
from engine.ops.elementwise import abs_, where
from engine.ops.exponentials import sqrt
from engine.ops.logic import isfinite
from engine.ops.reductions import Axis, kept, max_, min_, sum_
from engine.ops.shaping import reshape
from engine.ops.stopping import stop_gradient
from engine.registry import composition
from engine.tensor import Tensor

__all__ = ["mean", "norm", "std", "var"]


@composition
def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over `axis`, over everything by default."""
    total = sum_(x, axis=axis, keepdims=keepdims)
    return total / (x.size / max(total.size, 1)) if x.size else total * math.nan


@composition
def var(
    x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Variance over `axis`: the squared distances from the mean over n - `correction`."""
    away = x - mean(x, axis=axis, keepdims=True)
    total = sum_(away * away, axis=axis, keepdims=keepdims)
    left = x.size / max(total.size, 1) - correction
    return total / left if left > 0 else total * (math.nan if left == 0 else math.inf)


def _root(x: Tensor) -> Tensor:
    """The square root, with the derivative 0 at 0: a point of least length."""
    nought = x == 0
    return where(nought, 0.0, sqrt(where(nought, 1.0, x)))


@composition
def std(
    x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Standard deviation over `axis`, the root of `var`; its derivative is 0 where it is 0."""
    return _root(var(x, axis=axis, correction=correction, keepdims=keepdims))


@composition
def norm(x: Tensor, /, *, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The p-norm of all elements over `axis`: (sum |x|^p)^(1/p), the largest for inf.

    Scaled, so that no power overflows; the derivative at 0 is 0. Raises ValueError for a p that
    is no number.

    >>> import engine
    >>> engine.norm(engine.asarray([3e30, 4e30])).item() > 4.9e30
    True
    """
    if isinstance(ord, bool) or not isinstance(ord, int | float) or math.isnan(ord):
        raise ValueError(f"norm: ord must be a number or inf, got {ord!r}")
    size = abs_(x)
    if ord == math.inf or ord == -math.inf:
        fold = max_ if ord > 0 else min_
        return fold(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum_(where(x == 0, 0.0, 1.0 + 0.0 * x), axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum_(size, axis=axis, keepdims=keepdims)
    scale = _scale(size, axis)
    total = sum_((size / scale) ** ord if ord != 2 else (x / scale) * (x / scale),
                 axis=axis, keepdims=True)  # fmt: skip
    out = (_root(total) if ord == 2 else _power_root(total, 1 / ord)) * scale
    return out if keepdims else reshape(out, _folded(x, axis))


def _scale(size: Tensor, axis: Axis) -> Tensor:
    """The largest element over `axis` as a constant, 1 where it is no use as a scale."""
    if not size.size:
        return ones(kept(size.shape, axis), dtype=size.dtype, device=size.device)
    top = stop_gradient(max_(size, axis=axis, keepdims=True))
    return where((top > 0) & isfinite(top), top, 1.0)


def _power_root(total: Tensor, power: float) -> Tensor:
    nought = total == 0
    return where(nought, 0.0, where(nought, 1.0, total) ** power)


def _folded(x: Tensor, axis: Axis) -> tuple[int, ...]:
    """The shape that is left when `axis` is folded away."""
    if axis is None:
        return ()
    folded = {one % x.ndim for one in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(n for one, n in enumerate(x.shape) if one not in folded)
