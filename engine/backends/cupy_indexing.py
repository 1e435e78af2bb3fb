"""Take and place by index on CuPy, where kernels wrap positions around and write in any order.

Below `cupy.py`, which lists these functions in its namespace.
"""

from math import prod
from typing import Any

import cupy as cp

from engine.backends.base import Array

# `cupy.add.at` adds these in all versions. Others are added in a wider dtype: booleans count,
# integers wrap. Integers of 64 bits have one sum, whether or not they have a sign.
ATOMIC = frozenset({"int32", "uint32", "uint64", "float16", "float32", "float64"})
WIDER = {"b": cp.int32, "i": cp.int32, "u": cp.uint32, "V": cp.float32}

Key = tuple[Any, ...]


def add_at(buffer: Array, key: Key, values: Array) -> None:
    """Compute ``buffer[key] += values`` in place, repeated positions adding up in any order."""
    _refuse_host(values)
    if not any(isinstance(entry, cp.ndarray) for entry in key):
        buffer[key] += values
    elif buffer.dtype.name in ATOMIC:
        cp.add.at(buffer, key, values)
    elif buffer.dtype == cp.int64:
        cp.add.at(buffer.view(cp.uint64), key, values.astype(cp.int64, copy=False).view(cp.uint64))
    else:
        wide = buffer.astype(WIDER[buffer.dtype.kind])
        cp.add.at(wide, key, values.astype(wide.dtype))
        buffer[...] = (wide != 0) if buffer.dtype.kind == "b" else wide


def add_in_order(buffer: Array, key: Key, values: Array) -> None:
    """Add as `add_at` does, with the same bits in every run: sorted by place, in a fixed tree."""
    if not _repeats(key) or buffer.dtype.kind != "f":  # the order of integers does not matter
        add_at(buffer, key, values)
        return
    if len(key) == 1 and buffer.ndim > 1:  # whole rows, as of an embedding
        table, places = buffer, cp.mod(key[0].reshape(-1), max(len(buffer), 1))
    else:
        places = _places(buffer.shape, key)
        values = cp.broadcast_to(values, places.shape)
        table, places = buffer.reshape(-1, 1), places.reshape(-1)
    if not places.size:
        return
    rows = values.reshape(places.size, *table.shape[1:])
    table += _summed_by_place(rows, places, len(table))


def _summed_by_place(rows: Array, places: Array, count: int) -> Array:
    """Return the sum of the rows of each place, (count, ...), without atomics.

    Each round adds to a row the partial sum that ends `reach` rows before it, of the same place:
    after all of them the last row of a place has the sum of all.
    """
    order = cp.argsort(places, kind="stable")
    places, sums = places[order], rows[order]
    reach = 1
    while reach < len(places):
        same = (places[reach:] == places[:-reach]).reshape(-1, *(1,) * (rows.ndim - 1))
        before = cp.where(same, sums[:-reach], cp.zeros((), dtype=rows.dtype))
        sums = cp.concatenate([sums[:reach], sums[reach:] + before])
        reach *= 2
    stops = cp.searchsorted(places, cp.arange(count, dtype=places.dtype), side="right")
    starts = cp.concatenate([cp.zeros(1, dtype=stops.dtype), stops[:-1]])
    last = sums[cp.maximum(stops - 1, 0)]
    there = (stops > starts).reshape(-1, *(1,) * (rows.ndim - 1))
    return cp.where(there, last, cp.zeros((), dtype=rows.dtype))


def assign_at(buffer: Array, key: Key, values: Any) -> None:
    """Assign ``buffer[key] = values`` in place; of values for one position the last one stays.

    CuPy leaves open which. The largest number of a writer is the same in any order; it counts from
    1 in uint64, the widest integers of which `cupy.maximum.at` is sure.
    """
    _refuse_host(values)
    if not _repeats(key):
        buffer[key] = values
        return
    places = _places(buffer.shape, key)
    if not places.size:
        buffer[key] = values  # for its complaints about shapes
        return
    if isinstance(values, cp.ndarray):
        values = _squeezed(values, places.ndim)
        given = cp.broadcast_to(values, places.shape).astype(buffer.dtype).reshape(-1)
    else:
        given = cp.full(places.size, values, dtype=buffer.dtype)
    writers = cp.zeros(buffer.size, dtype=cp.uint64)
    cp.maximum.at(writers, places.reshape(-1), cp.arange(1, places.size + 1, dtype=cp.uint64))
    last = writers.astype(cp.int64) - 1
    written = given[cp.maximum(last, 0)]
    buffer[...] = cp.where(last >= 0, written, buffer.reshape(-1)).reshape(buffer.shape)


def _refuse_host(values: Any) -> None:
    """Raise TypeError for an array of the host, which CuPy would send to the device unasked."""
    if hasattr(values, "shape") and not isinstance(values, cp.ndarray):
        raise TypeError(f"expected an array of CuPy, got {type(values).__name__}")


def _squeezed(values: Array, rank: int) -> Array:
    """Return values without the leading axes of size 1 that an assignment leaves out."""
    while values.ndim > rank and values.shape[0] == 1:
        values = values[0]
    return values


def _repeats(key: Key) -> bool:
    """Return whether a key may name one place twice: a mask, or slices, cannot."""
    return any(isinstance(entry, cp.ndarray) and entry.dtype.kind != "b" for entry in key)


def _places(shape: tuple[int, ...], key: Key) -> Array:
    """Return the places of a key in the flattened array."""
    return cp.arange(prod(shape), dtype=cp.int64).reshape(shape)[key]
