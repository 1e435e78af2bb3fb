"""Count every way in which an array leaves the device and becomes numbers of the host."""

import warnings

import numpy as np

from cupy import _state as state
from cupy import _streams as streams
from cupy._base import Base, Unsupported


class ToHost(Base):
    """Transfer an array to the host; each transfer is a synchronisation."""

    __slots__ = ()

    def _to_host(self, why):
        state.count.to_host.append((why, self.shape))
        if not self._a.flags.c_contiguous:
            state.launch("copy")
        return np.array(self._a, order="C")

    def get(self, stream=None, order="C", out=None, blocking=True):
        if blocking:
            return self._to_host("get") if out is None else np.copyto(out, self._to_host("get"))
        if out is None:
            raise Unsupported("ndarray.get(blocking=False) without out")
        streams.submit("get", lambda: np.copyto(out, self._a), stream)  # no one waits for it
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError("array cannot be set: dtype or shape differ")
        state.count.to_device.append(arr.shape)
        self._a[...] = arr

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._to_host("item").item()

    def tolist(self):
        return self._to_host("tolist").tolist()

    def tobytes(self, order="C"):
        return self._to_host("tobytes").tobytes(order)

    def __bool__(self):
        if self.size == 0:
            warnings.warn(
                "The truth value of an empty array is ambiguous.", DeprecationWarning, stacklevel=2
            )
            return False
        if self.size == 1:
            return bool(self._to_host("bool"))
        raise ValueError(
            "The truth value of an array with more than one element is ambiguous. "
            "Use a.any() or a.all()"
        )

    def __int__(self):
        return int(self._to_host("int"))

    def __float__(self):
        return float(self._to_host("float"))

    def __complex__(self):
        return complex(self._to_host("complex"))

    def __repr__(self):
        return repr(self._to_host("repr"))

    def __str__(self):
        return str(self._to_host("str"))

    def __format__(self, spec):
        return format(self._to_host("format"), spec)

    def __bytes__(self):
        return bytes(self._to_host("bytes"))

    def __reduce__(self):
        import cupy

        return cupy.array, (self._to_host("pickle"),)

    def __array__(self, dtype=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )
