"""CuPy: the CUDA backend. Imported only once a CuPy array or device is asked for."""

from typing import Any

import cupy as cp

from engine.backends.base import Array, DType
from engine.backends.namespace import Namespace
from engine.backends.precision import on_precision


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x): overflow of e^-x gives the limit 0, and CUDA does not warn."""
    if x.dtype.kind == "u" or x.dtype.kind == "b":
        x = x.astype(cp.float64)  # -x would wrap around
    return 1 / (1 + cp.exp(-x))


def erf(x: Array) -> Array:
    """The error function; its module is loaded when it is first asked for."""
    from cupyx.scipy import special

    return special.erf(x)


def add_at(buffer: Array, key: tuple[Any, ...], values: Array) -> None:
    """``buffer[key] += values``, in place, with repeated positions adding up."""
    if any(isinstance(entry, cp.ndarray) for entry in key):
        cp.add.at(buffer, key, values)
    else:
        buffer[key] += values


def check_index(shape: tuple[int, ...], key: tuple[Any, ...]) -> None:
    """Raise IndexError for positions outside of an axis, which kernels would wrap around silently.

    Reads one flag back from the device for each array of integers.
    """
    used = sum(entry.ndim if _is_mask(entry) else entry is not None and entry is not Ellipsis
               for entry in key)  # fmt: skip
    axis = 0
    for entry in key:
        if entry is Ellipsis:
            axis += len(shape) - used
        elif isinstance(entry, cp.ndarray) and not _is_mask(entry):
            size = shape[axis]
            if entry.size and bool(((entry >= size) | (entry < -size)).any()):
                wrong = int(entry[(entry >= size) | (entry < -size)][0])
                raise IndexError(f"index {wrong} is out of bounds for axis {axis} with size {size}")
            axis += 1
        elif entry is not None:
            axis += entry.ndim if _is_mask(entry) else 1


def _is_mask(entry: Any) -> bool:
    return isinstance(entry, cp.ndarray) and entry.dtype.kind == "b"


class CupyBackend:
    """Arrays in the memory of a CUDA device."""

    name = "cupy"
    array_type = cp.ndarray
    xp = Namespace("cupy", cp, sigmoid=sigmoid, erf=erf, add_at=add_at,
                   check_index=check_index)  # fmt: skip

    def asarray(self, x: Any, dtype: DType | None, device: str | None) -> Array:
        with cp.cuda.Device(_ordinal(device)):
            return cp.asarray(x, dtype=dtype)

    def to_numpy(self, x: Array) -> Array:
        return cp.asnumpy(x)

    def device_of(self, x: Array) -> str:
        return f"cupy:{x.device.id}"

    def devices(self) -> list[str]:
        return [f"cupy:{number}" for number in range(cp.cuda.runtime.getDeviceCount())]

    def memory(self, device: str) -> tuple[int, int]:
        with cp.cuda.Device(_ordinal(device)):
            pool = cp.get_default_memory_pool()
            return int(pool.used_bytes()), int(pool.total_bytes())

    def synchronize(self) -> None:
        cp.cuda.get_current_stream().synchronize()


def create() -> CupyBackend:
    """The backend, or a RuntimeError that says why there is none."""
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except cp.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"device 'cupy' needs a CUDA device and driver: {error}") from error
    if not count:
        raise RuntimeError("device 'cupy' needs a CUDA device, and none was found")
    on_precision(_set_precision)
    return CupyBackend()


def _set_precision(precision: str) -> None:
    """Let cuBLAS compute products of float32 so; CuPy has no public name for it."""
    from cupy._core import _routines_linalg as products

    kinds = {"tf32": products.COMPUTE_TYPE_TF32, "bfloat16": products.COMPUTE_TYPE_BF16}
    products.set_compute_type(cp.float32, kinds.get(precision, products.COMPUTE_TYPE_DEFAULT))


def _ordinal(device: str | None) -> int:
    """The number in ``"cupy:1"``; the current device where none is named."""
    if device is None or ":" not in device:
        return int(cp.cuda.runtime.getDevice())
    return int(device.partition(":")[2])
