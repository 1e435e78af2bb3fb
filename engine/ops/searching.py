"""Search and sort: nonzero, searchsorted, sorting, the largest k, unique elements.

What depends on values and not on shapes alone gives plain results that are not recorded, and
cannot stand in the recorded step of a recurrence. Above `indexing`.
"""

from itertools import product
from typing import Any, NamedTuple

from engine.apply import asarray
from engine.arguments import public
from engine.backends import backend_of, on_device_of
from engine.checks import axis_of, whole
from engine.errors import NotRecordableError, explain_axis
from engine.interpreter import recording
from engine.node import Shape
from engine.op import Draw, Example
from engine.ops.indexing import take_along_axis
from engine.ops.time_batching import Attrs, Shapes, along
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = [
    "argsort", "isin", "nonzero", "searchsorted", "sort", "topk", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip


def _array(x: Any, name: str, device: str | None = None) -> tuple[Any, Any]:
    """Return the namespace and the array of a tensor before its values are read.

    Numbers that are no tensor and no array are put on `device`.
    """
    if recording() is not None:
        raise NotRecordableError(f"{name} in the step depends on values, not on shapes alone")
    x = x if isinstance(x, Tensor) else asarray(x, device=None if backend_of(x) else device)
    backend = backend_of(x.data)
    assert backend is not None
    return backend.xp, x.data


@public
def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Return the positions of elements other than 0, a tensor an axis. ValueError for shape ().

    >>> [x.tolist() for x in engine.nonzero([[0, 3], [5, 0]])]
    [[0, 1], [1, 0]]
    """
    xp, data = _array(x, "nonzero")
    if not data.ndim:
        raise ValueError("nonzero: a tensor of shape () has no positions")
    with on_device_of(data):
        return tuple(map(Tensor, xp.nonzero(data)))


def _same_row(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    if len(shapes[0] or ()) > 1:
        raise ValueError("rows to search in go with rows of one step")
    return attrs


@op(
    vjp=None,
    examples=(
        Example((Draw((5,), 0, 9, integer=True), Draw((2, 3), 0, 9, integer=True))),
        Example(
            (Draw((5,), 0, 9, integer=True), Draw((3,), 0, 9, integer=True)), {"side": "right"}
        ),
        Example((Draw((2, 5), 0, 9, integer=True), Draw((2, 3), 0, 9, integer=True))),
    ),
    time_batch=_same_row,
    whole=(0, 2),
)
def searchsorted_(xp: Any, x1: Any, x2: Any, sorter: Any = None, /, *, side: str = "left") -> Any:
    """Return positions in sorted numbers, or in rows of them (what `searchsorted` records)."""
    if len(x1.shape) == 1:
        return xp.searchsorted(x1, x2, side=side, sorter=sorter)
    if not x1.shape or x1.shape[:-1] != getattr(x2, "shape", ())[:-1]:
        raise ValueError("rows to search in need as many rows of numbers to search for")
    out = xp.zeros(x2.shape, dtype=xp.int64)
    for row in product(*map(range, x1.shape[:-1])):
        order = None if sorter is None else sorter[row]
        out[row] = xp.searchsorted(x1[row], x2[row], side=side, sorter=order)
    return out


@composition
def searchsorted(
    x1: Tensor, x2: Any, /, *, side: str = "left", sorter: Tensor | None = None
) -> Tensor:
    """Return where each element of x2 would go into x1 (n,): before its equals, "right": after.

    x1 is sorted, or `sorter` sorts it. For x1 (..., n) and x2 (..., m) each row of x2 is searched
    for in its row of x1. Raises ValueError for another `side`, and for rows that do not match.

    >>> engine.searchsorted([10, 20, 30], [20, 25]).tolist()
    [1, 2]
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    return searchsorted_(x1, x2, *(() if sorter is None else (sorter,)), side=side)


@method
@op(
    vjp=None,
    examples=(Example((Draw((3, 4)),)), Example((Draw((3, 4)),), {"axis": 0, "descending": True})),
    explain=explain_axis,
    time_batch=along(-1),
)
def argsort(
    xp: Any, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    """Return the positions that sort x along an axis, in its shape; equal elements stay in order.

    >>> engine.argsort([30, 10, 20]).tolist()
    [1, 2, 0]
    """
    if not x.ndim:
        raise IndexError("a number has no axis to be sorted along")
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    # Turned around before and after, so that equal elements stay in order here too.
    turned = xp.flip(xp.argsort(xp.flip(x, axis=axis), axis=axis, kind="stable"), axis=axis)
    return x.shape[axis] - 1 - turned


@composition
def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Return x sorted along an axis; gradients go back to where the elements came from.

    >>> engine.sort([30, 10, 20], descending=True).tolist()
    [30, 20, 10]
    """
    order = argsort(x, axis=axis, descending=descending, stable=stable)
    return take_along_axis(x, order, axis=axis)


@public
def topk(x: Tensor, k: int, /, *, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """Return the `k` largest (or smallest) elements along an axis, the first one first, and where
    they were. Raises ValueError where the axis is shorter than k.

    >>> [x.tolist() for x in engine.topk([10, 40, 20, 30], 2)]
    [[40, 30], [1, 3]]
    """
    axis = axis_of("topk", axis, x.ndim)
    if not 0 <= whole("topk: k", k) <= x.shape[axis]:
        raise ValueError(f"topk: k must lie in 0 to {x.shape[axis]}, got {k!r}")
    order = argsort(x, axis=axis, descending=largest)
    first = order[(*(slice(None),) * axis, slice(0, k))]
    return take_along_axis(x, first, axis=axis), first


class UniqueAll(NamedTuple):
    """Hold the unique values, where each is first, where each element went, and how often it is."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Hold the unique values and how often each is there."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Hold the unique values and, for each element, the number of its value."""

    values: Tensor
    inverse_indices: Tensor


@public
def unique_all(x: Tensor, /) -> UniqueAll:
    """Return the unique elements, sorted, with first positions, inverse, counts; NaNs differ.

    >>> engine.unique_all([3, 1, 3]).indices.tolist()
    [1, 0]
    """
    xp, data = _array(x, "unique_all")
    with on_device_of(data):
        values, indices, inverse, counts = xp.unique(
            data, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
        )
    return UniqueAll(*map(Tensor, (values, indices, inverse.reshape(data.shape), counts)))


@public
def unique_counts(x: Tensor, /) -> UniqueCounts:
    """Return the unique elements, sorted, and how often each is there.

    >>> [x.tolist() for x in engine.unique_counts([3, 1, 3])]
    [[1, 3], [1, 2]]
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@public
def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """Return the unique elements, sorted, and for each element of x the number of its value.

    >>> engine.unique_inverse([3, 1, 3]).inverse_indices.tolist()
    [1, 0, 1]
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@public
def unique_values(x: Tensor, /) -> Tensor:
    """Return the unique elements, sorted.

    >>> engine.unique_values([3, 1, 3]).tolist()
    [1, 3]
    """
    return unique_all(x).values


@public
def isin(x: Any, values: Any, /, *, invert: bool = False) -> Tensor:
    """Return whether each element of x is among `values` (with `invert`: not), in the shape of x.

    >>> engine.isin([1, 2, 3], [3, 1]).tolist()
    [True, False, True]
    """
    device = next((one.device for one in (x, values) if isinstance(one, Tensor)), None)
    xp, data = _array(x, "isin", device)
    among = _array(values, "isin", device)[1]
    if type(among) is not type(data):
        own, other = (backend_of(one).device_of(one) for one in (data, among))  # type: ignore[union-attr]
        raise TypeError(f"isin: {own} and {other}; move one with engine.to(x, device)")
    with on_device_of(data):
        return Tensor(xp.isin(data, among, invert=invert))
