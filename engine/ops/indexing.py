"""Take by index, and its adjoint: `getitem` takes positions out, `place` puts pieces back in.

All else that indexes (take, embedding, take_along_axis, scatter_add) is written with these two.
The backward pass collects the pieces of one tensor and places them together, once, so that
slicing T steps out of a sequence costs O(T) and not O(T^2). Above the registry.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from engine.apply import asarray
from engine.backends import NAMESPACES, on_device_of, on_host
from engine.backends import numpy as host
from engine.checks import axis_of, whole
from engine.errors import NotRecordableError
from engine.interpreter import recording
from engine.node import Shape
from engine.op import Draw, Example
from engine.ops import moves
from engine.ops.choices import where
from engine.ops.creation import open_ranges
from engine.ops.keys import Key, Slot, check_later, filled, parsed, rank_of, time_batched
from engine.ops.shaping import broadcast_to, reshape
from engine.ops.stopping import stop_gradient
from engine.ops.time_batching import Attrs, Shapes
from engine.registry import RECORDING, composition, op
from engine.state import current
from engine.tensor import Tensor

__all__ = ["add_at", "embedding", "put_along_axis", "scatter_add", "take", "take_along_axis"]


class Piece(NamedTuple):
    """Hold the gradient of a part: ``tensor[key]`` with `arrays` in the slots of the key."""

    g: Any
    key: Key
    arrays: tuple[Any, ...]


def _getitem_vjp(xp: Any, g: Any, out: Any, x: Any, *arrays: Any, key: Key) -> list[Any]:
    return [Piece(g, key, arrays), *(None for _ in arrays)]


def _batched_getitem(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    first, *arrays = shapes
    return {"key": time_batched(attrs["key"], arrays, first or (), steps)}


@op(
    vjp=_getitem_vjp,
    examples=(
        Example((Draw((3, 4)),), {"key": (slice(None), 1)}),
        Example((Draw((5, 2)),), {"key": (slice(None, None, -2), None, ...)}),
        Example((Draw((5, 2)), Draw((2, 2), -5, 5, integer=True)), {"key": (Slot(0),)}),
        Example((Draw((3, 4)), Draw((6,), 0, 3, integer=True), Draw((6,), 0, 4, integer=True)),
                {"key": (Slot(0), Slot(1))}),
        Example((Draw((2, 3, 4)), Draw((5,), 0, 3, integer=True)), {"key": (slice(None), Slot(0))}),
        Example((Draw((2, 3, 4)), Draw((2, 2), -2, 2, integer=True)),
                {"key": (Slot(0), slice(0, 2), 1)}),
    ),
    moves=moves.taken, kind="layout", time_batch=_batched_getitem, degree="sum", role="slice",
    public=False,
)  # fmt: skip
def getitem(xp: Any, x: Any, /, *arrays: Any, key: Key) -> Any:
    """Return ``x[key]``, the arrays standing where the key has slots."""
    where = filled(key, arrays)
    if arrays and recording() is not None and any(a.dtype.kind == "b" for a in arrays):
        raise NotRecordableError("a mask as an index in the step depends on values")
    if arrays and xp.check_range is not None:
        check_later(xp, "getitem", x.shape, where)
    return x[where]


def _place_vjp(
    xp: Any, g: Any, out: Any, *operands: Any, keys: tuple[Key, ...], shape: Any
) -> list[Any]:
    grads = []
    for _, key, arrays in _pieces(operands, keys):
        grads += [g[filled(key, arrays)], *(None for _ in arrays)]
    return grads


def _pieces(operands: tuple[Any, ...], keys: tuple[Key, ...]) -> Iterator[Piece]:
    """Yield the pieces that the operands of `place` stand for."""
    start = 0
    for key in keys:
        stop = start + 1 + sum(isinstance(part, Slot) for part in key)
        yield Piece(operands[start], key, operands[start + 1 : stop])
        start = stop


def _batched_place(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    keys = []
    for values, key, arrays in _pieces(tuple(shapes), attrs["keys"]):
        _check_ranks(values, key, arrays, shape)
        keys.append(time_batched(key, arrays, shape, steps))
    return {"keys": tuple(keys), "shape": (steps, *shape)}


def _check_ranks(values: Shape | None, key: Key, arrays: Shapes, shape: Shape) -> None:
    """Raise ValueError for values that would be broadcast to their places along new axes."""
    if values is not None and len(values) != rank_of(key, arrays, len(shape)):
        raise ValueError(f"values of shape {values} are broadcast: time is not the first axis")


@op(
    vjp=_place_vjp,
    examples=(
        Example((Draw((4,)),), {"keys": ((1,),), "shape": (3, 4)}),
        Example((Draw((4,)), Draw((2, 4)), Draw((2,), 0, 3, integer=True)),
                {"keys": ((0,), (Slot(0),)), "shape": (3, 4)}),
        Example((Draw((2, 3)), Draw((3,), 0, 4, integer=True)),
                {"keys": ((..., Slot(0)),), "shape": (2, 4)}),
    ),
    moves=moves.put, kind="layout", time_batch=_batched_place, degree="sum", public=False,
)  # fmt: skip
def place(xp: Any, /, *operands: Any, keys: tuple[Key, ...], shape: tuple[int, ...]) -> Any:
    """Return zeros of `shape` with each piece added at its key: the adjoint of indexing.

    `operands` is each piece followed by the arrays of its key.
    """
    kind = operands[0].dtype
    out = xp.zeros(shape, dtype=host.float32 if kind == host.float16 else kind)
    add = xp.add_in_order if current().deterministic else xp.add_at
    for values, key, arrays in _pieces(operands, keys):
        add(out, filled(key, arrays), values.astype(out.dtype, copy=False))
    return out.astype(kind, copy=False)


def _assigned(xp: Any, x: Any, values: Any, arrays: Sequence[Any], key: Key) -> Any:
    """Return a copy of x with values in the place of ``x[key]``."""
    if xp is RECORDING:
        return xp.assign(x, values, *arrays, key=key)
    out, where = xp.asarray(x, copy=True), filled(key, arrays)
    if arrays and xp.check_range is not None:
        check_later(xp, "assign", x.shape, where)
    xp.assign_at(out, where, values)
    return out


def _assign_vjp(
    xp: Any, g: Any, out: Any, x: Any, values: Any, *arrays: Any, key: Key
) -> list[Any]:
    part = g[filled(key, arrays)]
    if any(array.dtype.kind != "b" for array in arrays):  # a position may be there twice
        part = xp.where(_lasting(x, part, arrays, key), part, 0.0)
    return [_assigned(xp, g, 0.0, arrays, key), part, *(None for _ in arrays)]


def _lasting(x: Any, part: Any, arrays: Sequence[Any], key: Key) -> Any:
    """Return which of the assigned values were not written over by a later one."""
    raw = [array.data if isinstance(array, Tensor) else array for array in arrays]
    xp = NAMESPACES[type(raw[0])]
    order = xp.arange(part.size).reshape(part.shape)
    where = filled(key, raw)
    written = _assigned(xp, xp.zeros(x.shape, dtype=order.dtype), order, raw, key)
    return written[where] == order


def _batched_assign(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    _, values, *arrays = shapes
    if arrays:
        raise ValueError("an array in the index may be a mask")
    _check_ranks(values, attrs["key"], arrays, shape)
    return {"key": time_batched(attrs["key"], arrays, shape, steps)}


@op(
    vjp=_assign_vjp,
    examples=(
        Example((Draw((3, 4)), Draw((4,))), {"key": (1,)}),
        Example((Draw((3, 4)), Draw((3,))), {"key": (slice(None), -1)}),
        Example((Draw((5, 2)), 2.5, Draw((2, 2), -5, 5, integer=True)), {"key": (Slot(0),)}),
        Example((Draw((4,)), Draw((6,)), Draw((6,), 0, 3, integer=True)), {"key": (Slot(0),)}),
    ),
    kind="layout",
    time_batch=_batched_assign,
    degree="sum",
    public=False,
)
def assign(xp: Any, x: Any, values: Any, /, *arrays: Any, key: Key) -> Any:
    """Return x with `values` in the place of ``x[key]``; of those for one position the last."""
    return _assigned(xp, x, values, arrays, key)


def index(x: Tensor, key: Any) -> Tensor:
    """Return ``x[key]`` with integers, slices, Ellipsis, None, and integer or boolean arrays.

    Raises IndexError with the shape and the axis where an index is out of bounds.
    """
    template, arrays = parsed(x, key)
    return getitem(x, *arrays, key=template)


@composition
def take(x: Tensor, indices: Any, /, *, axis: int | None = None) -> Tensor:
    """Return the slices of x at `indices` along an axis; negative indices count from the end.

    It is the first one where none is given. Raises IndexError for an index outside of the axis, of
    indices on a CUDA device when values are next read from there, so that nothing waits for it.

    >>> engine.take([10, 20, 30], [2, 0, -1]).tolist()
    [30, 10, 30]
    """
    axis = axis_of("take", 0 if axis is None else axis, x.ndim)
    indices = indices if isinstance(indices, Tensor) else asarray(indices).data
    return index(x, (*(slice(None),) * axis, indices))


@composition
def embedding(weight: Tensor, ids: Any, /, *, padding_idx: int | None = None) -> Tensor:
    """Return rows of `weight` (V, I) by integer `ids` of any shape: (..., I).

    The row `padding_idx` gets no gradient. Raises IndexError for an id, ValueError for a
    `padding_idx`, that is not in [-V, V).

    >>> engine.embedding([[0.0, 0.5], [1.0, 1.5]], [1, 1, 0]).tolist()
    [[1.0, 1.5], [1.0, 1.5], [0.0, 0.5]]
    """
    if padding_idx is None:
        return take(weight, ids, axis=0)
    V = weight.shape[0]
    if not -V <= whole("embedding: padding_idx", padding_idx) < V:
        raise ValueError(f"embedding: padding_idx must lie in {-V} to {V - 1}, got {padding_idx}")
    ids, row = asarray(ids, device=weight.device), padding_idx % V
    rows = take(weight, ids, axis=0)
    padding = reshape((ids == row) | (ids == row - V), (*ids.shape, *(1,) * (weight.ndim - 1)))
    return where(padding, stop_gradient(rows), rows)


def _positions(name: str, x: Tensor, indices: Any, axis: int) -> list[Tensor]:
    """Return an index for every axis: the given one along `axis`, each its own along the others."""
    indices, place = asarray(indices, device=x.device), axis_of(name, axis, x.ndim)
    if indices.ndim != x.ndim:
        raise ValueError(f"{name}: indices {indices.shape} for x {x.shape}; expected as many axes")
    parts = open_ranges(x.shape, x.device)
    parts[place] = indices
    return parts


@composition
def take_along_axis(x: Tensor, indices: Any, /, *, axis: int = -1) -> Tensor:
    """Return ``out[i, j] = x[i, indices[i, j]]`` for the last axis, and so on for the others.

    >>> engine.take_along_axis([[1, 2], [3, 4]], [[1], [0]]).tolist()
    [[2], [3]]
    """
    return index(x, tuple(_positions("take_along_axis", x, indices, axis)))


@composition
def put_along_axis(x: Tensor, indices: Any, values: Any, /, *, axis: int = -1) -> Tensor:
    """Return x with ``out[i, indices[i, j]] = values[i, j]`` for the last axis, and so on.

    The other direction of `take_along_axis`; of values for one position the last one stays.

    >>> engine.put_along_axis([[1, 2], [3, 4]], [[0], [1]], 9).tolist()
    [[9, 2], [3, 9]]
    """
    parts = _positions("put_along_axis", x, indices, axis)
    key = tuple(Slot(number) for number in range(x.ndim))
    return assign(x, values, *parts, key=key)


@composition
def add_at(x: Tensor, key: Any, values: Any, /) -> Tensor:
    """Return x with `values` added at ``x[key]``; repeated positions add up.

    >>> engine.add_at(engine.zeros(3), [0, 2, 2], 1.0)
    tensor([1., 0., 2.], dtype=float32)
    """
    template, arrays = parsed(x, key)
    selected = x[key]
    values = broadcast_to(asarray(values, x.dtype, x.device) if not isinstance(values, Tensor)
                          else values, selected.shape)  # fmt: skip
    return x + place(values, *arrays, keys=(template,), shape=x.shape)


@composition
def scatter_add(x: Tensor, indices: Any, updates: Tensor, /, *, axis: int = 0) -> Tensor:
    """Return x with `updates` added at `indices` along an axis; repeated indices add up.

    `updates` has the shape of ``take(x, indices, axis=axis)``. Raises ValueError for another.

    >>> engine.scatter_add(engine.zeros(3), [0, 2, 2], [1.0, 2.0, 3.0]).tolist()
    [1.0, 0.0, 5.0]
    """
    axis = axis_of("scatter_add", axis, x.ndim)
    indices = asarray(indices, device=x.device)
    expected = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if updates.shape != expected:
        raise ValueError(f"scatter_add: updates of shape {updates.shape}, expected {expected}")
    key = (*(slice(None),) * axis, Slot(0))
    if not on_host(x.data) and recording() is None:
        with on_device_of(x.data):
            check_later(
                NAMESPACES[type(x.data)], "scatter_add", x.shape, filled(key, [indices.data])
            )
    return x + place(updates, indices, keys=(key,), shape=x.shape)
