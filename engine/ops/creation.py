"""Tensors from nothing: zeros, ones, full, arange and their like. Above `asarray`."""

from typing import Any

from engine.apply import asarray
from engine.backends import DType, by_device
from engine.backends import numpy as host
from engine.registry import composition
from engine.tensor import Tensor

Shape = int | tuple[int, ...]


def _make(kind: str, shape: Shape, dtype: DType | None, device: str | None, leaf: Any) -> Tensor:
    xp = by_device(device or "numpy").xp
    return asarray(getattr(xp, kind)(shape, dtype=dtype or host.float32), device=device, **leaf)


def zeros(
    shape: Shape, /, *, dtype: DType | None = None, device: str | None = None, **leaf: Any
) -> Tensor:
    """A leaf of zeros, float32 by default. `leaf`: requires_grad, name."""
    return _make("zeros", shape, dtype, device, leaf)


def ones(
    shape: Shape, /, *, dtype: DType | None = None, device: str | None = None, **leaf: Any
) -> Tensor:
    """A leaf of ones, float32 by default. `leaf`: requires_grad, name."""
    return _make("ones", shape, dtype, device, leaf)


def full(
    shape: Shape,
    value: float,
    /,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    **leaf: Any,
) -> Tensor:
    """A leaf that holds `value` everywhere, float32 by default. `leaf`: requires_grad, name."""
    xp = by_device(device or "numpy").xp
    return asarray(xp.full(shape, value, dtype=dtype or host.float32), device=device, **leaf)


@composition
def zeros_like(x: Tensor, /) -> Tensor:
    """Zeros of the shape, dtype and device of x."""
    return zeros(x.shape, dtype=x.dtype, device=x.device)


@composition
def ones_like(x: Tensor, /) -> Tensor:
    """Ones of the shape, dtype and device of x."""
    return ones(x.shape, dtype=x.dtype, device=x.device)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """Numbers from `start` up to `stop`, `step` apart; from 0 where only one bound is given."""
    if stop is None:
        start, stop = 0, start
    integral = all(isinstance(bound, int) for bound in (start, stop, step))
    xp = by_device(device or "numpy").xp
    kind = dtype or (host.int64 if integral else host.float32)
    return asarray(xp.arange(start, stop, step, dtype=kind), device=device)
