"""Offer NumPy as the host backend, always there. Also the one place that names the dtypes."""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.backends.arena import arena
from engine.backends.base import Array, Backend, DType, Memory, Namespace

dtype = np.dtype
float16, float32, float64 = map(dtype, ("float16", "float32", "float64"))
int8, int16, int32, int64 = map(dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(dtype, ("uint8", "uint16", "uint32", "uint64"))
bool_ = dtype("bool")


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x): right to the last bits in both tails, where tanh(x/2) would cancel."""
    if x.dtype.kind == "u" or x.dtype.kind == "b":
        x = x.astype(float64)  # -x would wrap around
    with np.errstate(over="ignore"):  # e^-x = inf below -88 gives the limit, 0
        return 1 / (1 + np.exp(-x))


def erf(x: Array) -> Array:
    """Return the error function, element by element: NumPy has none of its own."""
    out = _erf(x)
    return np.asarray(out, dtype=x.dtype if x.dtype.kind == "f" else float64)


_erf = np.vectorize(math.erf, otypes=[float])


def add_at(buffer: Array, key: tuple[Any, ...], values: Array) -> None:
    """Compute ``buffer[key] += values`` in place, with repeated positions adding up."""
    if not any(isinstance(entry, np.ndarray) for entry in key):
        buffer[key] += values
    elif len(key) == 1 and buffer.ndim > 1 and key[0].dtype.kind in "iu":
        rows = key[0].reshape(-1)
        _add_rows(buffer, rows, values.reshape(rows.size, *buffer.shape[1:]))
    else:
        np.add.at(buffer, key, values)


def _add_rows(buffer: Array, rows: Array, values: Array) -> None:
    """Add whole rows, equal ones grouped: `np.add.at` takes several times as long on rows."""
    if not values.size:
        return
    rows = rows.astype(np.int64)
    rows[rows < 0] += len(buffer)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    buffer[rows[starts]] += np.add.reduceat(values[order], starts, axis=0)


def assign_at(buffer: Array, key: tuple[Any, ...], values: Any) -> None:
    """Assign ``buffer[key] = values`` in place; of values for one position the last one stays."""
    buffer[key] = values


def copies(arrays: Sequence[Array]) -> list[Array]:
    """Return a copy of every array."""
    return [array.copy() for array in arrays]


def gather(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the elements of all arrays, one after the other, in a new array or in `out`."""
    return np.concatenate(arrays, axis=None, out=out)


def with_wide_total(fold: Callable[..., Array]) -> Callable[..., Array]:
    """Return a sum that keeps its total in float32 where it adds up float16."""

    def total(x: Array, *, dtype: DType | None = None, **options: Any) -> Array:
        if dtype is not None or x.dtype != float16:
            return fold(x, dtype=dtype, **options)
        return fold(x, dtype=float32, **options).astype(float16)

    return total


# The one object of each dtype, which kernels compare by; arrays of pickles and files have others.
DTYPES = {np.dtype(kind).num: np.dtype(kind) for kind in "?bBhHiIlLqQefd"}


class NumpyBackend(Backend):
    """Hold arrays in the memory of the host."""

    name = "numpy"
    array_type = np.ndarray
    xp = Namespace(
        "numpy", np, sigmoid=sigmoid, erf=erf, add_at=add_at, add_in_order=add_at,
        assign_at=assign_at, check_range=None, cross_entropy_kernel=None, affine=None,
        copies=copies, gather=gather, multi=None, sum=with_wide_total(np.sum),
        cumulative_sum=with_wide_total(np.cumulative_sum),
    )  # fmt: skip

    def asarray(self, x: Any, dtype: DType | None, device: str | None) -> Array:
        made = np.asarray(x, dtype=dtype)
        found = made.dtype
        one = DTYPES.get(found.num, found)
        if found is one:
            return made
        # Files have numbers in other byte orders; kernels and CuPy read native ones.
        return made.view(one) if found.isnative else made.astype(one)

    def to_numpy(self, x: Array) -> Array:
        return x

    def device_of(self, x: Array) -> str:
        return self.name

    def devices(self) -> list[str]:
        return [self.name]

    def full_name(self, device: str) -> str:
        return self.name

    def memory(self, device: str) -> Memory:
        return arena.figures()

    def release_memory(self) -> None:
        arena.release()

    def set_memory_bound(self, size: int, device: str) -> None:
        arena.set_bound(size)


def repeated(size: int, counts: Any) -> Array:
    """Return the positions of an axis, each as often as its count says."""
    return np.repeat(np.arange(size), counts)


def padded_positions(size: int, before: int, after: int, mode: str) -> Array:
    """Return which element stands at each place of a padded axis. Raises as `np.pad` does."""
    return np.pad(np.arange(size), (before, after), mode=mode)  # type: ignore[call-overload]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that all of these broadcast to.

    >>> engine.broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return np.broadcast_shapes(*shapes)


def real_dtype(x: Any) -> DType:
    """Return the dtype of that name. Raises TypeError for complex ones and other kinds."""
    found = np.dtype(x)
    if found.kind not in "fiub" and found.name != "bfloat16":
        raise TypeError(f"dtype {found} is not supported; use floats, integers or booleans")
    return found


def asarray(x: Any) -> Array:
    """Return numbers of Python as an array."""
    return np.asarray(x)


def quiet() -> contextlib.AbstractContextManager[Any]:
    """Return no floating-point warnings inside: a gradient of inf is an answer, not an accident."""
    return np.errstate(all="ignore")


def generator(key: Sequence[int]) -> np.random.Generator:
    """Return a counter-based generator with a stream that `key` fixes."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(key))))
