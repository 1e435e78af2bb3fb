"""Launch kernels over many arrays on CuPy, with their pointers as arguments.

Below `cupy.py`, which lists these functions in its namespace; the texts are of `multi.py`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cupy as cp

from engine.backends.base import Array, DType
from engine.backends.multi import COUNTS, THREADS, Many, blocks, copying, launches

OPTIONS = ("-std=c++17", "--fmad=false")  # the bits of NumPy, which rounds each product


@lru_cache(maxsize=256)
def _compiled(source: str, name: str) -> Any:
    return cp.RawKernel(source, name, options=OPTIONS)


def multi(
    kernel: Many, columns: Sequence[Sequence[Any]], shared: Sequence[Any] = (), *,
    width: int | None = None,
) -> None:  # fmt: skip
    """Launch a kernel over many arrays, in as few launches as hold their pointers.

    A column has one array of every row, of the size that the row has in the first column, or an
    integer of every row. All arrays lie on the current device. `width` blocks work on each row.
    """
    columns = [
        [cp.ascontiguousarray(one) if isinstance(one, cp.ndarray) else one for one in own]
        for own in columns
    ]
    sizes = [array.size for array in columns[0]]
    for first, last, start, ends in launches(sizes):
        count = next(count for count in COUNTS if count >= last - first)
        spare = count - len(ends)  # no block looks at these
        rows = [array for row in zip(*(own[first:last] for own in columns), strict=True)
                for array in row]  # fmt: skip
        rows += [own[first] for own in columns] * spare
        grid = (width or blocks(max(sizes[first:last])), last - first)
        arguments = (*shared, start, *rows, *ends, *ends[-1:] * spare)
        _compiled(kernel.sources[count], kernel.name)(grid, (THREADS,), arguments)


def gather(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """Return the elements of arrays of one dtype, one after the other, or fill `out`.

    `cupy.concatenate` sends the pointers of more than eight arrays to the device, every time.
    """
    if out is None:
        out = cp.empty(sum(array.size for array in arrays), dtype=arrays[0].dtype)
    if out.size:
        multi(copying(out.dtype), [[array for array in arrays if array.size]], (out,))
    return out


def copies(arrays: Sequence[Array]) -> list[Array]:
    """Return a copy of every array, those of one floating dtype in one block of memory."""
    found: list[Array] = [None] * len(arrays)
    sorts: dict[DType, list[int]] = {}
    for place, array in enumerate(arrays):
        sorts.setdefault(array.dtype, []).append(place)
    for dtype, places in sorts.items():
        if len(places) == 1 or dtype.kind not in "fV":
            for place in places:
                found[place] = arrays[place].copy()
            continue
        flat, start = gather([arrays[place] for place in places]), 0
        for place in places:
            stop = start + arrays[place].size
            found[place] = flat[start:stop].reshape(arrays[place].shape)
            start = stop
    return found
