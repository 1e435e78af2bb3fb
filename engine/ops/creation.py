"""Create tensors from nothing: zeros, ones, full, arange and their like. Above `asarray`."""

from numbers import Integral
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.backends import DType, backend_of, by_device, full_name
from engine.backends import numpy as host
from engine.registry import composition
from engine.tensor import Tensor

__all__ = [
    "arange", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "ones",
    "ones_like", "zeros", "zeros_like",
]  # fmt: skip

Shape = int | tuple[int, ...]


def _made(
    kind: str, device: str | None, leaf: dict[str, Any], *given: Any, **options: Any
) -> Tensor:
    """Return what a function of the array library makes on a device."""
    backend = by_device(device or "numpy")
    with backend.on(device):
        values = getattr(backend.xp, kind)(*given, **options)
    return asarray(values, device=device, **leaf)


@public
def zeros(
    shape: Shape, *, dtype: DType | None = None, device: str | None = None, **leaf: Any
) -> Tensor:
    """Return a leaf of zeros, float32 by default. `leaf`: requires_grad, name.

    >>> engine.zeros((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return _made("zeros", device, leaf, shape, dtype=dtype or host.float32)


@public
def ones(
    shape: Shape, *, dtype: DType | None = None, device: str | None = None, **leaf: Any
) -> Tensor:
    """Return a leaf of ones, float32 by default. `leaf`: requires_grad, name.

    >>> engine.ones((2, 3)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    return _made("ones", device, leaf, shape, dtype=dtype or host.float32)


@public
def empty(
    shape: Shape, *, dtype: DType | None = None, device: str | None = None, **leaf: Any
) -> Tensor:
    """Return a leaf with values that are not set, float32 by default.

    >>> engine.empty((2, 3)).shape
    (2, 3)
    """
    return _made("empty", device, leaf, shape, dtype=dtype or host.float32)


@public
def full(
    shape: Shape, fill_value: Any, *, dtype: DType | None = None, device: str | None = None,
    **leaf: Any,
) -> Tensor:  # fmt: skip
    """Return a leaf full of `fill_value`, of its dtype, float32 for a float; TypeError if complex.

    >>> engine.full((2, 2), 7).tolist()
    [[7, 7], [7, 7]]
    """
    if isinstance(fill_value, complex) or fill_value is None:
        raise TypeError(f"full: expected a number that is not complex, got {fill_value!r}")
    fill_value = fill_value.data if isinstance(fill_value, Tensor) else fill_value
    return _made("full", device, leaf, shape, fill_value, dtype=dtype or _of(fill_value))


def _of(value: Any) -> DType:
    """Return the default dtype of a Python number."""
    if hasattr(value, "dtype"):
        return value.dtype  # a NumPy scalar or an array keeps its own
    return host.bool_ if isinstance(value, bool) else (
        host.int64 if isinstance(value, int) else host.float32)  # fmt: skip


@composition
def zeros_like(x: Tensor, /, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Return zeros of the shape, dtype and device of x, where no others are asked for.

    >>> engine.zeros_like(engine.asarray([5, 6])).tolist()
    [0, 0]
    """
    return zeros(x.shape, dtype=dtype or x.dtype, device=device or x.device)


@composition
def ones_like(x: Tensor, /, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Return ones of the shape, dtype and device of x, where no others are asked for.

    >>> engine.ones_like(engine.asarray([5, 6])).tolist()
    [1, 1]
    """
    return ones(x.shape, dtype=dtype or x.dtype, device=device or x.device)


@public
def empty_like(x: Tensor, /, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Return a leaf of any values, of the shape, dtype and device of x.

    >>> engine.empty_like(engine.ones((2, 3))).shape
    (2, 3)
    """
    return empty(x.shape, dtype=dtype or x.dtype, device=device or x.device)


@public
def full_like(
    x: Tensor, /, fill_value: Any, *, dtype: DType | None = None, device: str | None = None
) -> Tensor:
    """Return a leaf that holds `fill_value` everywhere, of the shape, dtype and device of x.

    >>> engine.full_like(engine.ones(3), 7).tolist()
    [7.0, 7.0, 7.0]
    """
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


@public
def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DType | None = None,
    device: str | None = None, **leaf: Any,
) -> Tensor:  # fmt: skip
    """Return ones on diagonal `k` and zeros elsewhere, float32 by default.

    >>> engine.eye(2, 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    return _made("eye", device, leaf, n_rows, n_cols, k=k, dtype=dtype or host.float32)


@public
def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:  # fmt: skip
    """Return numbers from `start` (0 if left out) up to `stop`, `step` apart.

    >>> engine.arange(1, 2, 0.25).tolist()
    [1.0, 1.25, 1.5, 1.75]
    """
    if stop is None:
        start, stop = 0, start
    integral = all(isinstance(bound, Integral) for bound in (start, stop, step))
    kind = dtype or (host.int64 if integral else host.float32)
    return _made("arange", device, {}, start, stop, step, dtype=kind)


def open_ranges(shape: tuple[int, ...], device: str) -> list[Tensor]:
    """Return the positions of each axis, under a shape that broadcasts against all the others."""
    ranges = []
    for axis, size in enumerate(shape):
        spread = tuple(size if one == axis else 1 for one in range(len(shape)))
        ranges.append(arange(size, device=device).reshape(spread))
    return ranges


@public
def linspace(
    start: float, stop: float, /, num: int, *, dtype: DType | None = None,
    device: str | None = None, endpoint: bool = True,
) -> Tensor:  # fmt: skip
    """Return `num` numbers evenly from `start` to `stop`, which is left out without `endpoint`.

    Raises TypeError for complex bounds.

    >>> engine.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if isinstance(start, complex) or isinstance(stop, complex):
        raise TypeError(f"linspace: complex bounds are not supported, got {start!r} and {stop!r}")
    kind = dtype or host.float32
    return _made("linspace", device, {}, start, stop, num, dtype=kind, endpoint=endpoint)


@public
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Return a leaf over the memory of any array that speaks DLPack, copied where that must be.

    Raises ValueError where `copy` is False and another device is asked for.

    >>> engine.from_dlpack(engine.ones(2).numpy()).tolist()
    [1.0, 1.0]
    """
    on_host = x.__dlpack_device__()[0] == 1
    backend = by_device("numpy" if on_host else "cupy")
    found = asarray(backend.xp.from_dlpack(x))
    if device is not None and found.device != full_name(device):
        if copy is False:
            raise ValueError(
                f"from_dlpack: {found.device} to {device} cannot be done in place; "
                "leave copy=False out"
            )
        return asarray(found.data, device=device)
    if copy:
        own = backend_of(found.data)
        assert own is not None
        with own.on_device_of(found.data):
            return asarray(own.xp.asarray(found.data, copy=True))
    return found
