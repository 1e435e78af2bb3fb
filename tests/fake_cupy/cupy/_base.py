"""Define the block of memory that every array of the fake is, and the ways into it and out of it.

Below the class `ndarray`; its parts (`_indexing.py`, `_methods.py`, ...) inherit from `Base`.
"""

import numpy as np

from cupy import _state as state

SCALARS = (bool, int, float, complex, np.generic)


class Base:
    """Hold a NumPy array `_a` in a block `_memory` of a device."""

    __slots__ = ("__weakref__", "_a", "_memory")
    _whole = None  # the class of all arrays, once there is one


class Unsupported(NotImplementedError):  # noqa: N818  (what is missing, not what is wrong)
    """Report a feature of the real library that the fake lacks: no fault of the caller."""

    def __init__(self, what):
        state.count.unsupported[what] += 1
        super().__init__(f"fake cupy: {what} needs a real GPU (or is not written yet)")


def here(x):
    """Return the values of an array on the current device. Raises ValueError for another one."""
    if x._memory.device != state.current[-1]:
        raise ValueError(
            f"The device where the array resides ({x._memory.device}) is different from the "
            f"current device ({state.current[-1]}). Peer access is unavailable between these "
            "devices."
        )
    return x._a


def wrap(array, memory=None):
    """Return a device array around a NumPy array; `memory` is the block that a view lies in."""
    out = object.__new__(Base._whole)
    if not isinstance(array, np.ndarray):
        array = np.asarray(array)
    out._a = array
    out._memory = memory if memory is not None else state.Memory(array.nbytes)
    return out


def view_of(source, array):
    """Return `array` as a view of `source` where they share memory, else by itself."""
    if np.may_share_memory(source._a, array):
        if not array.flags.writeable and source._a.flags.writeable:  # NumPy's caution, not CuPy's
            array = np.lib.stride_tricks.as_strided(
                array, array.shape, array.strides, writeable=True
            )
        return wrap(array, source._memory)
    state.launch("copy")
    here(source)
    return wrap(array)


def operand(x, what="operand"):
    """Return the NumPy array or scalar of an operand. Raise TypeError as CuPy does for others."""
    if isinstance(x, Base):
        return here(x)
    if isinstance(x, SCALARS):
        return x
    if hasattr(x, "__cupy_get_ndarray__"):
        return here(x.__cupy_get_ndarray__())
    raise TypeError(f"Unsupported type {type(x)}")


def host_to_device(x, dtype=None, order="C"):
    made = np.array(x, dtype=dtype)
    if made.dtype.kind not in "biufc" and made.dtype.name != "bfloat16":
        raise ValueError(f"Unsupported dtype {made.dtype}")
    made = made.astype(made.dtype.newbyteorder("="), copy=False)
    if made.ndim:
        state.count.to_device.append(made.shape)
    else:
        state.launch("fill")  # a number is no copy: it travels with the launch
    return wrap(made)
