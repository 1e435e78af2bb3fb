"""Normalise over features: `layer_norm`, composed of ops that every executor can run.

Above the reductions.
"""

from typing import Any

from engine.arguments import public
from engine.checks import axes_of, is_real
from engine.ops.casts import in_float32
from engine.ops.exponentials import sqrt
from engine.ops.loss_pairs import floating, floating_like
from engine.ops.statistics import mean
from engine.tensor import Tensor

__all__ = ["layer_norm"]


@public
@in_float32
def layer_norm(
    x: Tensor, /, weight: Any = None, bias: Any = None, *, axis: int | tuple[int, ...] = -1,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Return weight (x - mean) / sqrt(variance + eps) + bias, mean and variance over `axis`.

    `weight` and `bias` have the sizes of x on `axis`, in the order of x: (H,) for x (..., H) and
    the last axis. `eps` is in the units of the variance. In a step of `engine.scan` it runs in C
    where `axis` is the last one. Raises ValueError for weights that do not fit, IndexError for an
    axis that is not there. Source: Ba et al., Layer normalization, 2016.

    >>> engine.layer_norm(engine.asarray([[1.0, 3.0]]), eps=0.0)
    tensor([[-1.,  1.]], dtype=float32)
    """
    x = floating("layer_norm", "x", x)
    axes = _axes(x, axis)
    if not is_real(eps) or not eps >= 0:
        raise ValueError(f"layer_norm: eps must be at least 0, got {eps!r}")
    d = x - mean(x, axis=axis, keepdims=True)
    # The rounding of the first mean, next to large values more than eps, is in every d alike: the
    # second mean takes it out. Without it a row of equal values comes out as anything up to 1.
    d = d - mean(d, axis=axis, keepdims=True)
    y = d / sqrt(mean(d * d, axis=axis, keepdims=True) + eps)
    if weight is not None:
        y = y * _fitting("weight", weight, x, axes)
    return y if bias is None else y + _fitting("bias", bias, x, axes)


def _axes(x: Tensor, axis: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes in the order of x, counted from the front."""
    axes = tuple(sorted(axes_of("layer_norm", axis, x.ndim)))
    if not axes:
        raise ValueError(f"layer_norm: axis {axis}: expected one axis or several different ones")
    return axes


def _fitting(what: str, given: Any, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return a weight or bias under a shape that broadcasts against x."""
    tensor = floating_like(given, x)
    expected = tuple(x.shape[axis] for axis in axes)
    if tensor.shape != expected:
        raise ValueError(
            f"layer_norm: {what} {tensor.shape} for x {x.shape}; expected {expected}, "
            "the sizes on the axes that are normalised"
        )
    if axes == tuple(range(x.ndim - len(axes), x.ndim)):
        return tensor
    return tensor.reshape(tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
