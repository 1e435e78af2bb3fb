"""Create arrays from data or a shape, and bring them back to the host."""

import numpy as np

from cupy import _recorded as recorded
from cupy import _state as state
from cupy._array import Unsupported, ndarray
from cupy._base import here, host_to_device, wrap
from cupy._functions import needs_array


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if subok:
        raise NotImplementedError
    if isinstance(obj, ndarray):
        return _array_of_array(obj, dtype, copy, ndmin)
    if isinstance(obj, list | tuple) and _has_device_array(obj):
        out = np.array(_nested(obj), dtype=dtype)
        state.launch("concatenate")
        return wrap(out)
    if hasattr(obj, "__cupy_get_ndarray__"):
        return array(obj.__cupy_get_ndarray__(), dtype, copy, order)
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    plain = hasattr(obj, "__array_interface__") or not hasattr(obj, "__array__")
    return host_to_device(obj if plain else np.asarray(obj), dtype)


def _array_of_array(obj, dtype, copy, ndmin):
    """Return an array of another one, brought to the current device."""
    kind = obj.dtype if dtype is None else np.dtype(dtype)
    recorded.check_dtype(kind)
    if copy is False and kind != obj.dtype:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if obj._memory.device != state.current[-1]:
        obj, copy = obj.copy(), None
    out = obj if kind == obj.dtype and not copy else obj.astype(kind)
    return out.reshape((1,) * (ndmin - out.ndim) + out.shape) if ndmin > out.ndim else out


def _has_device_array(obj):
    while isinstance(obj, list | tuple) and obj:
        obj = obj[0]
    return isinstance(obj, ndarray)


def _nested(obj):
    if isinstance(obj, list | tuple):
        return [_nested(one) for one in obj]
    if isinstance(obj, np.ndarray):
        raise TypeError("Nested array: numpy.ndarray among cupy arrays")
    return here(obj) if isinstance(obj, ndarray) else obj


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, copy, order or "K", blocking=blocking)


def asanyarray(a, dtype=None, order=None, *, blocking=False):
    return array(a, dtype, None, order or "K")


def ascontiguousarray(a, dtype=None):
    needs_array(a, "ascontiguousarray")
    if a._a.flags.c_contiguous and dtype in (None, a.dtype):
        return a if a.ndim else a.reshape(1)
    state.launch("copy")
    return wrap(np.ascontiguousarray(here(a), dtype))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream, order, out)
    return np.asarray(a, order=order)


def empty(shape, dtype=float, order="C"):
    recorded.check_dtype(np.dtype(dtype))
    return wrap(state.poisoned(shape, dtype, order))


def _filled(name, value):
    def function(shape, dtype=float, order="C"):
        recorded.check_dtype(np.dtype(dtype))
        if isinstance(shape, ndarray) or _has_device_array(shape):
            raise TypeError("'cupy.ndarray' object cannot be interpreted as an integer")
        state.launch(name)
        return wrap(np.full(shape, value, dtype))

    function.__name__ = name
    return function


zeros, ones = _filled("zeros", 0), _filled("ones", 1)


def full(shape, fill_value, dtype=None, order="C"):
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, ndarray) else np.array(fill_value).dtype
    out = empty(shape, dtype)
    if isinstance(fill_value, ndarray):
        if fill_value.shape != ():
            raise ValueError("non-scalar cupy.ndarray cannot be used for fill")
        fill_value = here(fill_value)
    elif np.asarray(fill_value).shape != ():
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    state.launch("full")
    with np.errstate(all="ignore"):
        out._a[...] = np.asarray(fill_value).astype(out.dtype)
    return out


def _like(name, value):
    def function(a, dtype=None, order="K", subok=None, shape=None):
        if subok is not None:
            raise TypeError("subok is not supported yet")
        needs_array(a, name)
        kind = np.dtype(dtype or a.dtype)
        recorded.check_dtype(kind)
        if value is None:
            return wrap(state.poisoned(a.shape if shape is None else shape, kind))
        state.launch(name)
        return wrap(np.full(a.shape if shape is None else shape, value, kind))

    function.__name__ = name
    return function


zeros_like, ones_like, empty_like = (
    _like("zeros_like", 0),
    _like("ones_like", 1),
    _like("empty_like", None),
)


def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None):
    needs_array(a, "full_like")
    return full(a.shape if shape is None else shape, fill_value, dtype or a.dtype)


def arange(start, stop=None, step=1, dtype=None):
    if any(isinstance(x, ndarray) for x in (start, stop, step)):
        raise Unsupported("arange of arrays")
    out = np.arange(*((start, stop, step) if stop is not None else (0, start, step)), dtype=dtype)
    if dtype is None and out.dtype.kind not in "f":
        out = out.astype(int)
    state.launch("arange")
    return wrap(out)


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    if num < 0:
        raise ValueError("linspace with num<0 is not supported")
    state.launch("linspace")
    return wrap(np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype, axis=axis))
