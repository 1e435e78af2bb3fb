"""Define functions that differ from NumPy's in more than their arrays, one by one."""

import numpy as np

from cupy import _state as state
from cupy._array import ndarray
from cupy._base import here, host_to_device, wrap
from cupy._core._routines_linalg import rounded
from cupy._creation import asarray
from cupy._functions import needs_array


def where_of(ufunc):
    def where(condition, x=None, y=None):
        if (x is None) != (y is None):
            raise ValueError("Must provide both 'x' and 'y' or neither.")
        if x is None:
            return nonzero(condition)
        return ufunc(condition.astype("?", copy=False), x, y)  # a bool of Python has no astype

    return where


def nonzero(a):
    needs_array(a, "nonzero")
    if not a.ndim:
        raise ValueError("Calling nonzero on 0d arrays is not allowed.")
    state.launch("nonzero", 4)
    state.count.to_host.append(("size of nonzero", ()))
    return tuple(wrap(np.array(one)) for one in np.nonzero(here(a)))


def count_nonzero(a, axis=None):
    needs_array(a, "count_nonzero")
    state.launch("count_nonzero")
    return wrap(np.asarray(np.count_nonzero(here(a), axis=axis)))


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    if axis is None:
        tup, axis = [m.ravel() for m in tup], 0
    parts = []
    for one in tup:
        if isinstance(one, np.ndarray | list | tuple):
            raise TypeError(f"Unsupported type {type(one)}")
        if not isinstance(one, ndarray):
            raise TypeError("Only cupy arrays can be concatenated")
        if not one.ndim:
            raise TypeError("zero-dimensional arrays cannot be concatenated")
        parts.append(here(one))
    if not parts:
        raise ValueError("Cannot concatenate from empty tuple")
    same = len({one.dtype for one in parts}) == 1
    if len(parts) > 8 and same:
        state.launch("concatenate_same_size")
        state.count.to_device.append((len(parts),))  # the pointers
    else:
        state.launch("copy", len(parts))
    if out is None:
        return wrap(np.concatenate(parts, axis, dtype=dtype, casting=casting))
    if dtype is not None:
        raise TypeError("concatenate() only takes `out` or `dtype` as an argument")
    np.concatenate(parts, axis, out=needs_array(out, "concatenate"), casting=casting)
    return out


def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    for one in tup:
        needs_array(one, "stack")
    parts = [wrap(np.expand_dims(x._a, axis), x._memory) for x in tup]
    return concatenate(parts, axis, out, dtype=dtype, casting=casting)


def _matrix_launches(*arrays):
    """Count what a product costs: one call of cuBLAS, and a copy of what is no matrix for it."""
    for x in arrays:
        if x.ndim >= 2:
            rows, columns = x.strides[-2:]
            size = x.itemsize
            plain = size in (rows, columns) or min(x.shape[-2:]) <= 1
            packed = x.ndim == 2 or x.flags.c_contiguous
            if not (plain and packed):
                state.launch("copy")
    state.launch("gemm")


def matmul(
    *args,
    axes=None,
    axis=None,
    keepdims=False,
    casting="same_kind",
    dtype=None,
    signature=None,
    order="K",
    out=None,
):
    if len(args) == 3:
        *args, out = args
    a, b = (needs_array(x, "matmul") for x in args)
    if not a.ndim or not b.ndim:
        raise ValueError("matmul: Input operand does not have enough dimensions")
    if a.dtype.kind == "b" and b.dtype.kind == "b":
        raise TypeError("matmul of booleans: not checked in the fake")
    _matrix_launches(a, b)
    with np.errstate(all="ignore"):
        found = np.matmul(rounded(a), rounded(b))
    if out is None:
        return wrap(np.array(found))
    np.copyto(needs_array(out, "matmul"), found, casting=casting)
    return out


def dot(a, b, out=None):
    return matmul(a, b, out=out)


def clip(a, a_min, a_max, out=None):
    data = needs_array(a, "clip")
    for bound in (a_min, a_max):
        if isinstance(bound, np.ndarray):
            raise TypeError(f"Unsupported type {type(bound)}")
    low, high = (here(x) if isinstance(x, ndarray) else x for x in (a_min, a_max))
    state.launch("clip")
    found = np.array(data) if low is None and high is None else np.clip(data, low, high)
    if out is None:
        return wrap(found)
    np.copyto(here(out), found, casting="same_kind")
    return out


def take(a, indices, axis=None, out=None):
    needs_array(a, "take")
    if axis is None:
        return a.ravel()[indices if not np.isscalar(indices) else asarray(indices)]
    if not np.isscalar(indices) and not isinstance(indices, ndarray):
        indices = host_to_device(indices, int)
    elif np.isscalar(indices):
        indices = wrap(np.asarray(indices))
    return a[(*(slice(None),) * (axis % a.ndim), indices)]


def from_dlpack(x, /, *, device=None, copy=None):
    capsule = x.__dlpack__()
    if isinstance(capsule, tuple) and capsule[0] == "fake capsule":
        return wrap(capsule[1]._a, capsule[1]._memory)
    raise BufferError("fake cupy: no device memory but its own")


def may_share_memory(a, b, max_work=None):
    return np.may_share_memory(needs_array(a, "may_share_memory"), needs_array(b, "may_share"))


shares_memory = may_share_memory


def astype(x, dtype, /, *, copy=True):
    needs_array(x, "astype")
    return x.astype(dtype, copy=copy)


def searchsorted(a, v, side="left", sorter=None):
    if not isinstance(a, ndarray):
        raise NotImplementedError("Only int or ndarray are supported for a")
    state.launch("searchsorted")
    keys = here(v) if isinstance(v, ndarray) else np.asarray(v)
    if not isinstance(v, ndarray | int | float):
        raise NotImplementedError("Only int or ndarray are supported for v")
    order = None if sorter is None else needs_array(sorter, "searchsorted")
    return wrap(np.asarray(np.searchsorted(here(a), keys, side, order)))


def argsort(a, axis=-1, kind=None):
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    data = needs_array(a, "argsort")
    if not data.ndim:  # CuPy makes one dimension of it first
        data = data.reshape(1)
    state.launch("argsort", 3)
    return wrap(np.argsort(data, axis=axis, kind="stable"))


def sort(a, axis=-1, kind=None):
    out = a.copy()
    out.sort(axis, kind)
    return out


def round_(a, decimals=0, out=None):
    data = needs_array(a, "round")
    state.launch("round")
    return wrap(np.asarray(np.round(data, decimals)))
