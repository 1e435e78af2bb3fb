"""Apply keys as CuPy's kernels do: positions wrap around, repeated ones are written in any order.

Lists and host arrays in a key travel to the device, which is counted.
"""

import numpy as np

from cupy import _recorded as recorded
from cupy import _state as state
from cupy._base import SCALARS, Base, here, host_to_device, wrap


def _entry(one):
    """Return an entry of a key: what is neither a number nor a slice is an array of the device."""
    if one is None or one is Ellipsis or isinstance(one, slice | Base):
        found = one
    elif np.isscalar(one) and not isinstance(one, bool | np.bool_):
        return one if isinstance(one, int | np.integer) else int(one)
    else:
        found = _sent(one)
    if isinstance(found, Base) and found.dtype.kind not in "biu":
        raise IndexError(
            "arrays used as indices must be of integer or boolean type. "
            f"(actual: {found.dtype.type})"
        )
    return found


def _sent(one):
    """Return a list or host array of a key on the device, which is a hidden transfer."""
    try:
        made = np.array(one)
    except ValueError as error:
        raise IndexError("arrays used as indices must be of integer or boolean type") from error
    if made.dtype.kind not in "biuf":
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or "
            "boolean arrays are valid indices"
        )
    if isinstance(one, list | tuple) and not made.size:
        made = made.astype(np.int32)
    return host_to_device(made)


def _axes(one):
    """Return the number of axes that an entry of a key reads."""
    if isinstance(one, Base) and one.dtype.kind == "b":
        return one.ndim
    return int(one is not None and one is not Ellipsis)


def _wrapped_around(positions, size):
    """Return positions silently around an axis, as the kernels read them."""
    if not size and positions.size:
        raise IndexError("cannot do a non-empty take from an empty axes.")
    positions = positions.astype(np.int64)
    return np.mod(positions, size) if size else positions


class Indexed(Base):
    """Read, assign and scatter at a key."""

    __slots__ = ()

    def _key(self, slices):
        """Return the key for NumPy, with positions wrapped around, and the arrays in it."""
        parts = [_entry(one) for one in (slices if isinstance(slices, tuple) else (slices,))]
        used = sum(map(_axes, parts))
        if used > self.ndim:
            raise IndexError(
                f"too many indices for array: array is {self.ndim}-dimensional, "
                f"but {used} were indexed"
            )
        axis, key = 0, []
        for one in parts:
            if isinstance(one, Base):
                mask = one.dtype.kind == "b"
                key.append(here(one) if mask else _wrapped_around(here(one), self.shape[axis]))
            else:
                key.append(one)
            axis += self.ndim - used if one is Ellipsis else _axes(one)
        return tuple(key), [one for one in parts if isinstance(one, Base)]

    def __getitem__(self, slices):
        key, arrays = self._key(slices)
        if not arrays:
            # The Ellipsis makes a view of what would be a scalar.
            if not any(part is Ellipsis for part in key):
                key = (*key, Ellipsis)
            return wrap(self._a[key], self._memory)
        found = np.array(here(self)[key])
        self._count_gather(arrays, "take")
        return wrap(found)

    def _count_gather(self, arrays, name):
        """Count the launches of a gather or scatter, and the size of a mask that the host reads."""
        for one in arrays:
            if one.dtype.kind == "b" and one.size:
                state.launch("scan", 2)
                state.count.to_host.append(("size of a mask", ()))
        if len(arrays) > 1:
            state.launch("fill")
            state.launch("prepare_array_indexing", len(arrays))
        state.launch(name)

    def __setitem__(self, slices, value):
        key, arrays = self._key(slices)
        if not isinstance(value, Base):
            if not arrays:
                self._fill(key, value)
                return
            # Even a number becomes an array first.
            value = np.asarray(value) if isinstance(value, SCALARS) else value
            value = host_to_device(value, self.dtype)
        target, given = here(self), here(value)
        while given.ndim and given.shape[0] == 1:  # leading ones are squeezed away
            given = given[0]
        if not arrays:
            place = key if Ellipsis in key else (*key, Ellipsis)
            np.copyto(target[place], given, casting="unsafe")
            state.launch("copy")
            return
        self._count_gather(arrays, "scatter_update")
        if _positions(arrays):
            _in_any_order(_put, target, key, given)
        else:
            target[key] = given

    def _fill(self, key, value):
        """Assign one number."""
        of_python = not isinstance(value, np.generic)
        value = np.asarray(value, self.dtype) if of_python else value.astype(self.dtype)
        if value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        here(self)[key] = value
        state.launch("fill")

    def _scatter_op(self, slices, value, op):
        if op == "update":
            self[slices] = value
            return
        key, arrays = self._key(slices)
        if not arrays:
            import cupy

            function = getattr(cupy, FUNCTIONS[op])
            function(self[slices], value, self[slices])
            return
        if not isinstance(value, Base):
            value = host_to_device(value, self.dtype)
        target, given = here(self), np.asarray(here(value), dtype=self.dtype)
        self._count_gather(arrays, f"scatter_{op}")
        function = getattr(np, FUNCTIONS[op]).at
        if not _positions(arrays):
            function(target, key, given)
            return
        if self.dtype.name not in ATOMIC[op]:
            raise TypeError(f"cupy.{op}.at only supports {', '.join(ATOMIC[op])} as data type")
        _in_any_order(function, target, key, given)


FUNCTIONS = {"add": "add", "sub": "subtract", "max": "maximum", "min": "minimum"}
# The dtypes that CUDA has atomic operations for, or that CuPy has written some for.
_EXTREME = ("int32", "float32", "float64", "uint32", "uint64")
_ADDED = ("int32", "float16", "float32", "float64", "uint32", "uint64")
ATOMIC = {
    "add": (*_ADDED, "int64") if recorded.ADD_AT_INT64 else _ADDED,
    "sub": ("int32", "uint32"),
    "max": _EXTREME,
    "min": _EXTREME,
}


def _positions(arrays):
    """Return whether no array of a key is a mask, which names each place once."""
    return all(one.dtype.kind != "b" for one in arrays)


def _put(target, key, values):
    target[key] = values


def _in_any_order(function, target, key, values):
    """Write values to their places in the order in which threads happen to come."""
    places = np.arange(target.size).reshape(target.shape)[key]
    values = np.broadcast_to(values, places.shape).reshape(-1)
    order = state.order.of(places.size)
    where = np.unravel_index(places.reshape(-1)[order], target.shape)
    function(target, where, values[order].astype(target.dtype))
