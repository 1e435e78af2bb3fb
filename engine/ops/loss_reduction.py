"""What all losses share: what their inputs must be, and how their terms become one number.

Above the reductions; the files of the losses are above this.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.backends import backend_of
from engine.backends import numpy as host
from engine.backends.half import FLOATING
from engine.ops.reductions import sum_
from engine.ops.statistics import mean
from engine.tensor import Tensor

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
