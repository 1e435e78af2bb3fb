"""Define methods of arrays: those that move numbers, and those named after functions."""

import numpy as np

from cupy import _recorded as recorded
from cupy import _state as state
from cupy._base import Base, here, view_of, wrap


class Methods(Base):
    """Cast, copy and reshape; `_method` lays the recorded functions beside them."""

    __slots__ = ()

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        dtype = np.dtype(dtype)
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        if dtype == self.dtype and not copy:
            return self
        recorded.check_dtype(dtype)
        state.launch("cast" if dtype != self.dtype else "copy")
        with np.errstate(all="ignore"):
            return wrap(here(self).astype(dtype, order=order))

    def copy(self, order="C"):
        state.launch("copy")  # also from another device, by way of no kernel
        return wrap(self._a.copy(order=order))

    def view(self, dtype=None, array_class=None):
        return wrap(self._a.view(dtype) if dtype is not None else self._a.view(), self._memory)

    def fill(self, value):
        self[...] = value

    def reshape(self, *shape, order="C", copy=None):
        if len(shape) == 1:
            shape = shape[0]
        if isinstance(shape, Base):
            raise TypeError("'cupy.ndarray' object cannot be interpreted as an integer")
        return view_of(self, self._a.reshape(shape, order=order))

    def transpose(self, *axes):
        return wrap(self._a.transpose(*axes), self._memory)

    def swapaxes(self, axis1, axis2):
        return wrap(self._a.swapaxes(axis1, axis2), self._memory)

    def flatten(self, order="C"):
        state.launch("copy")
        return wrap(here(self).flatten(order))

    def ravel(self, order="C"):
        return view_of(self, self._a.ravel(order))

    def squeeze(self, axis=None):
        return wrap(self._a.squeeze(axis), self._memory)

    def diagonal(self, offset=0, axis1=0, axis2=1):
        return view_of(self, self._a.diagonal(offset, axis1, axis2))

    def reduced_view(self, dtype=None):
        return self

    def dot(self, b, out=None):
        import cupy

        return cupy.dot(self, b, out)

    def clip(self, min=None, max=None, out=None):
        import cupy

        return cupy.clip(self, min, max, out)


def _method(name, parameters):
    """Return a method that is the function of the same name, with the parameters of the method."""

    def method(self, *args, **kwargs):
        import cupy

        bound = recorded.bind(f"ndarray.{name}", parameters, args, kwargs)
        return getattr(cupy, name)(self, **bound)

    method.__name__ = name
    return method


for _name, _parameters in {
    "sum": "axis=None, dtype=None, out=None, keepdims=False",
    "prod": "axis=None, dtype=None, out=None, keepdims=False",
    "mean": "axis=None, dtype=None, out=None, keepdims=False",
    "var": "axis=None, dtype=None, out=None, ddof=0, keepdims=False",
    "std": "axis=None, dtype=None, out=None, ddof=0, keepdims=False",
    "max": "axis=None, out=None, keepdims=False",
    "min": "axis=None, out=None, keepdims=False",
    "ptp": "axis=None, out=None, keepdims=False",
    "all": "axis=None, out=None, keepdims=False",
    "any": "axis=None, out=None, keepdims=False",
    "argmax": "axis=None, out=None, dtype=None, keepdims=False",
    "argmin": "axis=None, out=None, dtype=None, keepdims=False",
    "cumsum": "axis=None, dtype=None, out=None",
    "cumprod": "axis=None, dtype=None, out=None",
    "argsort": "axis=-1, kind=None",
    "searchsorted": "v, side='left', sorter=None",
    "nonzero": "",
    "repeat": "repeats, axis=None",
    "take": "indices, axis=None, out=None",
    "round": "decimals=0, out=None",
    "trace": "offset=0, axis1=0, axis2=1, dtype=None, out=None",
    "compress": "condition, axis=None, out=None",
    "argpartition": "kth, axis=-1",
    "conj": "", "conjugate": "",
}.items():  # fmt: skip
    setattr(Methods, _name, _method(_name, _parameters))


def _sort(self, axis=-1, kind=None):
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    state.launch("sort", 3)
    here(self).sort(axis=axis, kind="stable")


Methods.sort = _sort
