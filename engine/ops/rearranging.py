"""Put elements in other places: flip, roll, repeat, tile, pad. Above `shaping` and `indexing`."""

from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.backends import numpy as host
from engine.checks import axes_of, axis_of, whole
from engine.errors import explain_axis
from engine.op import Draw, Example
from engine.ops import moves
from engine.ops.creation import full
from engine.ops.indexing import index, place, take
from engine.ops.shaping import broadcast_to, concat, permute_dims, reshape
from engine.ops.time_batching import along, folded
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = [
    "broadcast_arrays", "flip", "meshgrid", "moveaxis", "pad", "repeat", "roll", "swapaxes", "tile",
    "unstack",
]  # fmt: skip

Axes = int | tuple[int, ...] | None


@op(
    vjp=(lambda xp, g, out, x, *, axis=None: xp.flip(g, axis=axis),),
    examples=(Example((Draw((3, 4)),)), Example((Draw((2, 3, 4)),), {"axis": (0, -1)})),
    explain=explain_axis,
    moves=moves.flipped,
    kind="layout",
    time_batch=folded,
    degree="sum",
)
def flip(xp: Any, x: Any, /, *, axis: Axes = None) -> Any:
    """Return x with the order of its elements turned around along `axis`, along all by default.

    >>> engine.flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    return xp.flip(x, axis=axis)


def _back(shift: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return tuple(-one for one in shift) if isinstance(shift, tuple | list) else -shift


@op(
    vjp=(lambda xp, g, out, x, *, shift, axis=None: xp.roll(g, _back(shift), axis=axis),),
    examples=(
        Example((Draw((3, 4)),), {"shift": 2}),
        Example((Draw((3, 4)),), {"shift": (1, -2), "axis": (0, 1)}),
    ),
    explain=explain_axis,
    kind="layout",
    time_batch=along(None),
    moves=moves.rolled,
    degree="sum",
)
def roll(xp: Any, x: Any, /, shift: int | tuple[int, ...], *, axis: Axes = None) -> Any:
    """Return x moved on by `shift` along `axis`; what falls off at the end begins the result.

    >>> engine.roll([1, 2, 3, 4], 1).tolist()
    [4, 1, 2, 3]
    """
    for one in shift if isinstance(shift, tuple | list) else (shift,):
        whole("shift", one)  # NumPy drops the fraction of others
    return xp.roll(x, shift, axis=axis)


@composition
def moveaxis(x: Tensor, source: Axes, destination: Axes, /) -> Tensor:
    """Return x with the axes at `source` moved to `destination`, the others in order.

    Raises ValueError where these are not as many, AxisError for axes that x does not have.

    >>> engine.moveaxis(engine.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    start = axes_of("moveaxis: source", source, x.ndim)
    end = axes_of("moveaxis: destination", destination, x.ndim)
    if len(start) != len(end):
        raise ValueError(f"moveaxis: {source} and {destination} are no pairs of axes")
    moved = dict(zip(end, start, strict=True))
    others = iter(one for one in range(x.ndim) if one not in moved.values())
    return permute_dims(x, tuple(moved[i] if i in moved else next(others) for i in range(x.ndim)))


@method
@composition
def swapaxes(x: Tensor, axis1: int, axis2: int, /) -> Tensor:
    """Return x with two axes exchanged. Raises AxisError for axes that x does not have.

    >>> engine.swapaxes(engine.ones((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    one, two = axis_of("swapaxes", axis1, x.ndim), axis_of("swapaxes", axis2, x.ndim)
    order = list(range(x.ndim))
    order[one], order[two] = two, one
    return permute_dims(x, tuple(order))


@public
def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Return the slices of x along an axis, without it: of x (T, B, I), T of (B, I).

    >>> [x.tolist() for x in engine.unstack([[1, 2], [3, 4]], axis=1)]
    [[1, 3], [2, 4]]
    """
    axis = axis_of("unstack", axis, x.ndim)
    front = (slice(None),) * axis
    return tuple(index(x, (*front, position)) for position in range(x.shape[axis]))


@composition
def repeat(x: Tensor, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Return each element `repeats` times in a row, along `axis`, or of all elements in one row.

    `repeats` is an integer or one for each position. Raises TypeError for other numbers.

    >>> engine.repeat([1, 2], [2, 3]).tolist()
    [1, 1, 2, 2, 2]
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = axis_of("repeat", axis, x.ndim)
    counts = asarray(repeats).numpy()
    if counts.dtype.kind not in "iu":
        raise TypeError(f"repeat: repeats must be integers, got {repeats!r}")
    positions = host.repeated(x.shape[axis], counts)
    return take(x, asarray(positions, device=x.device), axis=axis)


@composition
def tile(x: Tensor, repetitions: int | tuple[int, ...], /) -> Tensor:
    """Return x as a whole repeated along each axis; missing axes count as 1 in front.

    >>> engine.tile([1, 2], 3).tolist()
    [1, 2, 1, 2, 1, 2]
    """
    given = repetitions if isinstance(repetitions, tuple | list) else (repetitions,)
    repetitions = tuple(whole("tile: a number of repetitions", one) for one in given)
    rank = max(len(repetitions), x.ndim)
    shape = (1,) * (rank - x.ndim) + x.shape
    times = (1,) * (rank - len(repetitions)) + tuple(repetitions)
    wide = [n for pair in zip(times, shape, strict=True) for n in pair]
    spread = [n for size in shape for n in (1, size)]
    flat = tuple(n * size for n, size in zip(times, shape, strict=True))
    return reshape(broadcast_to(reshape(x, tuple(spread)), tuple(wide)), flat)


@public
def broadcast_arrays(*tensors: Tensor) -> list[Tensor]:
    """Return the tensors under the one shape that they broadcast to.

    >>> [x.shape for x in engine.broadcast_arrays(engine.ones((3, 1)), engine.ones(4))]
    [(3, 4), (3, 4)]
    """
    shape = host.broadcast_shapes(*(x.shape for x in tensors))
    return [broadcast_to(x, shape) if x.shape != shape else x for x in tensors]


@public
def meshgrid(*tensors: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Return coordinates as grids; ``"xy"`` exchanges the first two axes, ``"ij"`` does not.

    (N,), (M,) -> two (M, N), or (N, M) by ``"ij"``. Raises ValueError for another `indexing`.

    >>> [x.tolist() for x in engine.meshgrid([1, 2], [5, 6, 7])]
    [[[1, 2], [1, 2], [1, 2]], [[5, 5], [6, 6], [7, 7]]]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    rank = len(tensors)
    grids = [
        reshape(x, tuple(-1 if i == one else 1 for i in range(rank)))
        for one, x in enumerate(tensors)
    ]
    grids = broadcast_arrays(*grids) if grids else []
    return [swapaxes(x, 0, 1) for x in grids] if indexing == "xy" and rank > 1 else grids


@composition
def pad(
    x: Tensor, pad_width: Any, /, *, mode: str = "constant", constant_values: float = 0
) -> Tensor:
    """Return x with elements put around it: `pad_width` (before, after) for each axis, as in NumPy.

    `mode` is ``"constant"``, ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``. A negative
    width takes elements away, before any are put there; this goes with ``"constant"`` alone.
    Raises ValueError for widths that do not fit or an unknown mode.

    >>> engine.pad([1, 2, 3], (1, 2), mode="edge").tolist()
    [1, 1, 2, 3, 3, 3]
    """
    widths = _widths(pad_width, x.ndim)
    if any(min(pair) < 0 for pair in widths):
        x, widths = _cropped(x, widths, mode)
    if mode != "constant":
        for axis, (before, after) in enumerate(widths):
            if before or after:
                positions = host.padded_positions(x.shape[axis], before, after, mode)
                x = take(x, asarray(positions, device=x.device), axis=axis)
        return x
    if constant_values == 0 and x.dtype.kind != "b":
        key = tuple(slice(b, b + n) for (b, _), n in zip(widths, x.shape, strict=True))
        shape = tuple(b + n + a for (b, a), n in zip(widths, x.shape, strict=True))
        return place(x, keys=(key,), shape=shape) if x.ndim else x
    for axis, (before, after) in enumerate(widths):
        parts = [_filled(x, axis, before, constant_values), x,
                 _filled(x, axis, after, constant_values)]  # fmt: skip
        x = concat([part for part in parts if part.shape[axis]] or [x], axis=axis)
    return x


def _cropped(
    x: Tensor, widths: list[tuple[int, int]], mode: str
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Return x without what negative widths take away, and the widths that are left."""
    if mode != "constant":
        raise ValueError(f"pad: a negative width goes with mode 'constant', got {mode!r}")
    key = [slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(widths, x.shape, strict=True)]
    if any(part.start > part.stop for part in key):
        raise ValueError(f"pad: {x.shape}: widths {widths} take away more than there is")
    return index(x, tuple(key)), [(max(b, 0), max(a, 0)) for b, a in widths]


def _filled(x: Tensor, axis: int, size: int, value: float) -> Tensor:
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    return full(shape, value, dtype=x.dtype, device=x.device)


def _widths(given: Any, rank: int) -> list[tuple[int, int]]:
    """Return (before, after) for each axis."""
    parts = list(given) if hasattr(given, "__len__") else [given, given]
    several = [hasattr(one, "__len__") for one in parts]
    if len(parts) == 2 and not any(several):
        parts, several = [parts] * rank, [True] * rank
    if len(parts) == 1 and rank > 1:
        parts, several = parts * rank, several * rank
    pairs = [tuple(one) if pair else (one, one) for one, pair in zip(parts, several, strict=True)]
    if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"pad: expected (before, after) for each of {rank} axes, got {given}")
    return [(whole("pad: a width", b), whole("pad: a width", a)) for b, a in pairs]
