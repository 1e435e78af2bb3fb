"""Offer CuPy as the CUDA backend. Imported only once a CuPy array or device is asked for."""

from contextlib import AbstractContextManager
from typing import Any

import cupy as cp

from engine.backends.base import STAYING, Array, DType, Memory, Namespace, placement
from engine.backends.cupy_checks import check_range, check_slot, checks
from engine.backends.cupy_indexing import add_at, add_in_order, assign_at
from engine.backends.cupy_multi import copies, gather, multi
from engine.backends.numpy import with_wide_total
from engine.backends.precision import on_precision


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x): overflow of e^-x gives the limit 0, and CUDA does not warn."""
    if x.dtype.kind == "u" or x.dtype.kind == "b":
        x = x.astype(cp.float64)  # -x would wrap around
    return 1 / (1 + cp.exp(-x))


def erf(x: Array) -> Array:
    """Return the error function, in float64 of integers; its module is loaded when first asked.

    CuPy has no loop for half precision but one that gives float64.
    """
    from cupyx.scipy import special

    if x.dtype.kind != "f":
        return special.erf(x.astype(cp.float64))
    return special.erf(x.astype(cp.float32)).astype(x.dtype) if x.itemsize == 2 else special.erf(x)


def where(condition: Any, *choices: Any) -> Any:
    """Return `cupy.where`, which asks the condition for a method that Python's True has not."""
    if not isinstance(condition, cp.ndarray):
        condition = cp.asarray(condition, dtype=cp.bool_)
    return cp.where(condition, *choices)


def count_nonzero(x: Array, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Return how many elements are not 0; CuPy's own function keeps no axes."""
    return cp.sum(x != 0, axis=axis, dtype=cp.int64, keepdims=keepdims)


class CupyBackend:
    """Hold arrays in the memory of a CUDA device."""

    name = "cupy"
    array_type = cp.ndarray
    xp = Namespace(
        "cupy", cp, sigmoid=sigmoid, erf=erf, where=where, count_nonzero=count_nonzero,
        add_at=add_at, add_in_order=add_in_order, assign_at=assign_at, check_range=check_range,
        check_slot=check_slot, cross_entropy_kernel=None, affine=None, copies=copies, gather=gather,
        multi=multi, cumulative_sum=with_wide_total(cp.cumulative_sum),
    )  # fmt: skip

    @property
    def device_sums(self) -> Any:
        from engine.backends import cupy_nccl

        return cupy_nccl

    def asarray(self, x: Any, dtype: DType | None, device: str | None) -> Array:
        if device is None and isinstance(x, cp.ndarray):
            with self.on_device_of(x):
                return cp.asarray(x, dtype=dtype)
        with self.on(device):
            return cp.asarray(x, dtype=dtype)

    def to_numpy(self, x: Array) -> Array:
        with checks.read_along(x):
            return cp.asnumpy(x)

    def device_of(self, x: Array) -> str:
        return f"cupy:{x.device.id}"

    def devices(self) -> list[str]:
        return [f"cupy:{number}" for number in range(cp.cuda.runtime.getDeviceCount())]

    def full_name(self, device: str) -> str:
        return f"cupy:{_ordinal(device)}"

    def on(self, device: str | None) -> AbstractContextManager[Any]:
        return cp.cuda.Device(_ordinal(device))  # type: ignore[no-any-return]

    def on_device_of(self, x: Array) -> AbstractContextManager[Any]:
        if not placement.several or x.device.id == cp.cuda.runtime.getDevice():
            return STAYING
        return x.device  # type: ignore[no-any-return]

    def memory(self, device: str) -> Memory:
        with self.on(device):
            pool = cp.get_default_memory_pool()
            used = int(pool.used_bytes())
            return Memory(used, int(pool.total_bytes()) - used, int(pool.get_limit()), 0)

    def release_memory(self) -> None:
        for device in self.devices():
            with self.on(device):
                cp.get_default_memory_pool().free_all_blocks()
        cp.get_default_pinned_memory_pool().free_all_blocks()

    def set_memory_bound(self, size: int, device: str) -> None:
        with self.on(device):
            cp.get_default_memory_pool().set_limit(size=size)

    def synchronize(self) -> None:
        for number in range(cp.cuda.runtime.getDeviceCount()):
            with cp.cuda.Device(number):
                cp.cuda.get_current_stream().synchronize()
        checks.settle()


def create() -> CupyBackend:
    """Return the backend. Raises RuntimeError with the reason where there is none."""
    try:
        count = cp.cuda.runtime.getDeviceCount()
    except cp.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"device 'cupy' needs a CUDA device and driver: {error}") from error
    if not count:
        raise RuntimeError("device 'cupy' needs a CUDA device, and none was found")
    placement.several = count > 1
    on_precision(_set_precision)
    return CupyBackend()


def _set_precision(precision: str) -> None:
    """Let cuBLAS compute products of float32 so; CuPy has no public name for it."""
    from cupy._core import _routines_linalg as products

    tf32 = products.COMPUTE_TYPE_TF32
    kinds = {"tf32": tf32, "bfloat16": tf32}  # what CuPy hands to cuBLAS knows no bfloat16
    products.set_compute_type(cp.float32, kinds.get(precision, products.COMPUTE_TYPE_DEFAULT))


def _ordinal(device: str | None) -> int:
    """Return the number in ``"cupy:1"``; that of the current device where none is named.

    Raises RuntimeError for a number that no device has.
    """
    if device is None or ":" not in device:
        return int(cp.cuda.runtime.getDevice())
    number, count = int(device.partition(":")[2]), cp.cuda.runtime.getDeviceCount()
    if number >= count:
        raise RuntimeError(f"device {device!r} needs {number + 1} CUDA devices; there are {count}")
    return number
