"""Compute losses of an input and a target of one shape, by element, and share what all losses need.

Shared is what their inputs must be, and how their terms become one number. Composed of the ops.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.backends import backend_of
from engine.backends import numpy as host
from engine.backends.half import FLOATING
from engine.checks import is_real
from engine.ops.choices import clip, where
from engine.ops.elementwise import abs_
from engine.ops.exponentials import exp, log1p
from engine.ops.reductions import sum_
from engine.ops.statistics import mean
from engine.tensor import Tensor

__all__ = ["binary_cross_entropy_with_logits", "huber_loss", "l1_loss", "mse_loss"]

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"mean": mean, "sum": sum_, "none": lambda x: x}


def check_reduction(name: str, reduction: str) -> None:
    """Raise ValueError for a reduction that is none."""
    if reduction not in tuple(REDUCTIONS):
        raise ValueError(f"{name}: unknown reduction {reduction!r}; use {list(REDUCTIONS)}")


def floating(name: str, what: str, x: Any) -> Tensor:
    """Return x as a tensor. Raises TypeError where it holds no floats."""
    tensor = asarray(x)
    if tensor.dtype.kind not in FLOATING:
        raise TypeError(f"{name}: {what} of dtype {tensor.dtype}; expected floats")
    return tensor


def floating_like(x: Any, like: Tensor) -> Tensor:
    """Return x as floats on the device of `like`; numbers, integers and booleans take its dtype."""
    if isinstance(x, Tensor) or backend_of(x) is not None:
        return asarray(x, None if x.dtype.kind in FLOATING else like.dtype, like.device)
    return asarray(x, like.dtype, like.device)


def integers(name: str, what: str, x: Any, device: str) -> Tensor:
    """Return x as a tensor. Raises TypeError where it holds no integers."""
    tensor = asarray(x, device=device)
    if not tensor.size and not hasattr(x, "dtype"):  # an empty list has no dtype to go by
        return asarray(tensor, host.int64)
    if tensor.dtype.kind not in "iu":
        raise TypeError(f"{name}: {what} of dtype {tensor.dtype}; expected integers")
    return tensor


@public
def mse_loss(x: Tensor, target: Any, /, *, reduction: str = "mean") -> Tensor:
    """Return (x - target)^2. `target` has the shape of x; `reduction` is "mean", "sum" or "none".

    Raises ValueError for shapes that differ (nothing is broadcast) and unknown reductions,
    TypeError where x holds no floats. So do the other losses here.

    >>> engine.mse_loss(engine.asarray([1.0, 2.0]), [0.0, 4.0]).item()
    2.5
    """
    x, target = _pair("mse_loss", x, target, reduction)
    gap = x - target
    return REDUCTIONS[reduction](gap * gap)


@public
def l1_loss(x: Tensor, target: Any, /, *, reduction: str = "mean") -> Tensor:
    """Return |x - target|; the derivative is 0 where they are equal. Arguments as `mse_loss`.

    >>> engine.l1_loss(engine.asarray([1.0, 2.0]), [0.0, 4.0]).item()
    1.5
    """
    x, target = _pair("l1_loss", x, target, reduction)
    return REDUCTIONS[reduction](abs_(x - target))


@public
def huber_loss(x: Tensor, target: Any, /, *, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """Return (x - target)^2 / 2 up to a gap of `delta`, beyond it delta (|x - target| - delta / 2).

    Arguments as `mse_loss`. Raises ValueError for a delta that is not positive. Source: Huber,
    Robust estimation of a location parameter, 1964.

    >>> engine.huber_loss(engine.asarray([0.5, 3.0]), [0.0, 0.0], reduction="none")
    tensor([0.125, 2.5  ], dtype=float32)
    """
    x, target = _pair("huber_loss", x, target, reduction)
    if not is_real(delta) or not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta!r}")
    gap = x - target
    near = clip(gap, -delta, delta)
    # One formula for both cases: no square of a large gap overflows in the branch not taken.
    return REDUCTIONS[reduction](near * (gap - 0.5 * near))


@public
def binary_cross_entropy_with_logits(
    x: Tensor, target: Any, /, *, weight: Any = None, pos_weight: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return -(p y log s(x) + (1 - y) log(1 - s(x))), logits x, targets y in [0, 1], s the sigmoid.

    `weight` scales the terms and `pos_weight` is p; both broadcast against x. The mean is over the
    elements, of any weight. Arguments else as `mse_loss`.

    >>> engine.binary_cross_entropy_with_logits(engine.asarray([0.0, 1e4]), [1.0, 1.0]).item()
    0.3465735912322998
    """
    name = "binary_cross_entropy_with_logits"
    x, y = _pair(name, x, target, reduction)
    # log(1 + e^-|x|), which neither overflows nor rounds to 0. |x| is written so that its slope
    # at 0 is that of one branch and not 0: then all derivatives at 0 are right.
    positive = x > 0
    tail = log1p(exp(where(positive, -x, x)))
    hit = y * (where(positive, 0.0, -x) + tail)
    miss = (1.0 - y) * (where(positive, x, 0.0) + tail)
    if pos_weight is not None:
        hit = hit * _scale(name, "pos_weight", pos_weight, x)
    terms = hit + miss
    if weight is not None:
        terms = terms * _scale(name, "weight", weight, x)
    return REDUCTIONS[reduction](terms)


def _pair(name: str, x: Any, target: Any, reduction: str) -> tuple[Tensor, Tensor]:
    """Return input and target as tensors of one shape."""
    check_reduction(name, reduction)
    tensor = floating(name, "input", x)
    other = floating_like(target, tensor)
    if other.shape != tensor.shape:
        raise ValueError(
            f"{name}: input {tensor.shape} and target {other.shape} differ in shape; "
            "reshape or broadcast one of them first"
        )
    return tensor, other


def _scale(name: str, what: str, scale: Any, x: Tensor) -> Tensor:
    """Return a weight that broadcasts against x without making it larger."""
    tensor = floating_like(scale, x)
    sizes = zip(reversed(tensor.shape), reversed(x.shape), strict=False)
    if tensor.ndim > x.ndim or any(own not in (1, size) for own, size in sizes):
        raise ValueError(f"{name}: {what} {tensor.shape} does not broadcast to input {x.shape}")
    return tensor
