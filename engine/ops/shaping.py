"""Move elements without changing them: reshape, permute, broadcast, join.

Above the registry.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from engine.arguments import public
from engine.backends import NAMESPACES
from engine.checks import axes_of, axis_of, whole
from engine.errors import (
    explain_broadcast,
    explain_concat,
    explain_permute,
    explain_reshape,
    explain_stack,
)
from engine.node import Shape
from engine.op import Draw, Example
from engine.ops import moves
from engine.ops.casts import copy as copied
from engine.ops.time_batching import Attrs, Shapes, along, behind, result_shape
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = [
    "broadcast_to", "concat", "expand_dims", "matrix_transpose", "permute_dims", "reshape", "split",
    "squeeze", "stack",
]  # fmt: skip


@op(
    vjp=(lambda xp, g, out, x, *, shape: xp.reshape(g, x.shape),),
    examples=(
        Example((Draw((3, 4)),), {"shape": (2, 6)}),
        Example((Draw((3, 4)),), {"shape": (-1,)}),
    ),
    explain=explain_reshape,
    moves=moves.reshaped,
    kind="layout",
    time_batch=result_shape,
    degree="sum",
)
def reshape_(xp: Any, x: Any, /, shape: Any) -> Any:
    """Return the elements in the same order under another shape (what `reshape` records)."""
    return xp.reshape(x, shape)


@method
@composition
def reshape(x: Tensor, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """Return the elements in the same order under another shape; one size may be -1.

    With `copy` the result has an array of its own. Raises ValueError where `copy` is False and the
    elements cannot stay where they are.

    >>> engine.reshape(engine.arange(6), (2, -1)).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    out = reshape_(copied(x) if copy else x, shape=shape)
    if copy is False and not NAMESPACES[type(x.data)].may_share_memory(out.data, x.data):
        raise ValueError(
            f"reshape: {x.shape} to {out.shape} cannot be done without a copy; leave copy=False out"
        )
    return out


def _inverse(axes: Sequence[int]) -> tuple[int, ...]:
    rank = len(axes)
    return tuple(sorted(range(rank), key=lambda axis: axes[axis] % rank))


def _permuted(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    return {"axes": (0, *(behind(axis, len(shape)) for axis in attrs["axes"]))}


@op(
    vjp=(lambda xp, g, out, x, *, axes: xp.permute_dims(g, _inverse(axes)),),
    examples=(
        Example((Draw((2, 3, 4)),), {"axes": (2, 0, 1)}),
        Example((Draw((3, 4)),), {"axes": (1, 0)}),
    ),
    explain=explain_permute,
    moves=moves.permuted,
    kind="layout",
    time_batch=_permuted,
    degree="sum",
)
def permute_dims(xp: Any, x: Any, /, axes: tuple[int, ...]) -> Any:
    """Return the axes in another order: ``out.shape[i] == x.shape[axes[i]]``.

    >>> engine.permute_dims(engine.ones((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return xp.permute_dims(x, tuple(axes))


def _spread(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    if shapes[0] is None or len(shapes[0]) != len(shape):
        raise ValueError(f"{shapes[0]} has fewer axes than {shape}: time is not the first of them")
    return result_shape(attrs, shapes, shape, steps)


@op(
    # The backward pass sums the gradient back over the axes that were broadcast.
    vjp=(lambda xp, g, out, x, *, shape: g,),
    examples=(
        Example((Draw((3, 1)),), {"shape": (2, 3, 4)}),
        Example((Draw(()),), {"shape": (2,)}),
    ),
    explain=lambda shapes, attrs: explain_broadcast([*shapes, tuple(attrs["shape"])], attrs),
    moves=moves.broadcast,
    kind="layout",
    time_batch=_spread,
    degree="sum",
)
def broadcast_to(xp: Any, x: Any, /, shape: tuple[int, ...]) -> Any:
    """Return x repeated along axes of size 1, or new ones in front, up to `shape`.

    >>> engine.broadcast_to([1, 2], (3, 2)).tolist()
    [[1, 2], [1, 2], [1, 2]]
    """
    return xp.broadcast_to(x, shape)


def _concat_vjp(xp: Any, g: Any, out: Any, *tensors: Any, axis: int = 0) -> list[Any]:
    front = (slice(None),) * (axis % len(g.shape))
    stops = list(accumulate(x.shape[axis] for x in tensors))
    return [g[(*front, slice(low, high))] for low, high in pairwise([0, *stops])]


def _stack_vjp(xp: Any, g: Any, out: Any, *tensors: Any, axis: int = 0) -> list[Any]:
    front = (slice(None),) * (axis % len(g.shape))
    return [g[(*front, position)] for position in range(len(tensors))]


@op(
    vjp=_concat_vjp,
    examples=(
        Example((Draw((2, 3)), Draw((1, 3)), Draw((2, 3)))),
        Example((Draw((2, 3)), Draw((2, 1))), {"axis": -1}),
    ),
    explain=explain_concat,
    moves=moves.joined,
    kind="layout",
    time_batch=along(0),
    degree="sum",
    role="join",
)
def concat_(xp: Any, *tensors: Any, axis: int = 0) -> Any:
    """Return tensors one after another along an axis (what `concat` records)."""
    return xp.concat(tensors, axis=axis)


def _stacked(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    return {"axis": behind(attrs.get("axis", 0), len(shape))}


@op(
    vjp=_stack_vjp,
    examples=(
        Example((Draw((2, 3)), Draw((2, 3)))),
        Example((Draw((2,)), Draw((2,)), Draw((2,))), {"axis": -1}),
    ),
    explain=explain_stack,
    moves=moves.stacked,
    kind="layout",
    time_batch=_stacked,
    degree="sum",
    role="stack",
)
def stack_(xp: Any, *tensors: Any, axis: int = 0) -> Any:
    """Return tensors of one shape side by side along a new axis (what `stack` records)."""
    return xp.stack(tensors, axis=axis)


def _check_several(name: str, tensors: Any) -> None:
    """Raise TypeError for what is no sequence of tensors, ValueError for an empty one."""
    if not hasattr(tensors, "__len__"):
        raise TypeError(f"{name}: expected a sequence of tensors, got {type(tensors).__name__}")
    if not len(tensors):
        raise ValueError(f"{name}: needs at least one tensor")


@composition
def concat(tensors: Sequence[Any], /, *, axis: int | None = 0) -> Tensor:
    """Return tensors joined along `axis`, on which alone shapes may differ; None: all flat.

    >>> engine.concat([engine.ones((2, 3)), engine.zeros((1, 3))]).shape
    (3, 3)
    """
    _check_several("concat", tensors)
    if axis is None:
        return concat_(*(reshape(x, (-1,)) for x in tensors), axis=0)
    return concat_(*tensors, axis=axis)


@composition
def stack(tensors: Sequence[Any], /, *, axis: int = 0) -> Tensor:
    """Return tensors of one shape joined along a new axis.

    >>> engine.stack([engine.ones(3), engine.zeros(3)]).shape
    (2, 3)
    """
    _check_several("stack", tensors)
    return stack_(*tensors, axis=axis)


@public
def split(x: Tensor, sections: int | Sequence[int], /, *, axis: int = 0) -> list[Tensor]:
    """Return x cut along an axis: into `sections` equal parts, or at the given indices.

    Raises ValueError where the parts would not be equal.

    >>> [part.shape for part in engine.split(engine.ones((2, 6)), 3, axis=-1)]
    [(2, 2), (2, 2), (2, 2)]
    """
    axis = axis_of("split", axis, x.ndim)
    size = x.shape[axis]
    given: Any = sections
    if isinstance(given, Sequence) or getattr(given, "ndim", 0) > 0:
        bounds = [0, *(whole("split: an index", one) for one in given), size]
    else:
        parts = whole("split: sections", sections)
        if parts < 1 or size % parts:
            raise ValueError(
                f"split: axis {axis} of {x.shape} has size {size}: no {parts} equal parts; "
                "give the places to cut"
            )
        bounds = [size // parts * part for part in range(parts + 1)]
    front = (slice(None),) * axis
    return [x[(*front, slice(low, high))] for low, high in pairwise(bounds)]


@composition
def expand_dims(x: Tensor, /, axis: int | tuple[int, ...] = 0) -> Tensor:
    """Return x with a new axis of size 1 at `axis`, or several, at these places of the result.

    >>> engine.expand_dims([1, 2], axis=1).shape
    (2, 1)
    """
    rank = x.ndim + (len(axis) if isinstance(axis, tuple | list) else 1)
    new, sizes = axes_of("expand_dims", axis, rank), iter(x.shape)
    return reshape(x, tuple(1 if one in new else next(sizes) for one in range(rank)))


@method
@composition
def squeeze(x: Tensor, /, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Return x without the given axes, by default all of size 1. Raises ValueError for others.

    >>> engine.squeeze(engine.ones((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    if axis is None:
        axis = tuple(one for one, size in enumerate(x.shape) if size == 1)
    dropped = axes_of("squeeze", axis, x.ndim)
    if wrong := [one for one in sorted(dropped) if x.shape[one] != 1]:
        raise ValueError(f"squeeze: axis {wrong[0]} of {x.shape} is not of size 1")
    return reshape(x, tuple(n for one, n in enumerate(x.shape) if one not in dropped))


@composition
def matrix_transpose(x: Tensor, /) -> Tensor:
    """Return x (..., M, N) as (..., N, M). Raises ValueError under two axes.

    >>> engine.matrix_transpose(engine.ones((5, 2, 3))).shape
    (5, 3, 2)
    """
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: needs two dimensions, got {x.shape}")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
