"""Share among the ops of linear algebra what they take, and ways to write rules for them.

Their functions are the array library's own, in `xp.linalg`. Above the registry.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from engine.apply import apply
from engine.backends import HOST
from engine.interpreter import recording
from engine.node import Shape
from engine.op import Op
from engine.ops.creation import eye
from engine.registry import RECORDING

# A ValueError. The class that every array library raises.
LinAlgError: Any = HOST.xp.linalg.LinAlgError


def check(x: Any, *, square: bool = False) -> None:
    """Raise TypeError for what has no floats, LinAlgError for what are no (square) matrices."""
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        raise TypeError(f"needs float32 or float64, got {x.dtype}; convert it with engine.astype")
    if len(x.shape) < 2:
        raise LinAlgError(f"needs matrices (..., M, N), got shape {tuple(x.shape)}")
    rows, columns = x.shape[-2:]
    if square and rows != columns:
        raise LinAlgError(
            f"needs square matrices (..., M, M), got {rows} rows and {columns} columns; "
            "pinv, qr and svd take any shape"
        )


def matrices(xp: Any, x: Any, *, square: bool = False) -> Any:
    """Return x, checked; where only shapes count, identity matrices, which no function refuses."""
    check(x, square=square)
    if recording() is not None:
        return xp.broadcast_to(xp.eye(*x.shape[-2:], dtype=x.dtype), x.shape)
    return x


def finite(xp: Any, x: Any) -> Any:
    """Return x. Raises LinAlgError for NaN and infinities, with which LAPACK may never return."""
    if not bool(xp.all(xp.isfinite(x))):
        raise LinAlgError("needs finite numbers, got NaN or an infinity")
    return x


def symmetric(xp: Any, x: Any) -> Any:
    """Return the symmetric part of x: x itself, to the last bit, where x is symmetric."""
    return 0.5 * x + 0.5 * xp.matrix_transpose(x)  # halved first, so that nothing overflows


def mirrored(xp: Any, x: Any) -> Any:
    """Return the symmetric matrices with the lower triangles of x."""
    return xp.tril(x) + xp.matrix_transpose(xp.tril(x, k=-1))


def ones_on_diagonal(xp: Any, like: Any) -> Any:
    """Return the identity matrix of the last size and the dtype of an array or a tensor."""
    size = like.shape[-1]
    if xp is RECORDING:
        return eye(size, dtype=like.dtype, device=like.device)
    return xp.eye(size, dtype=like.dtype)


def applied(xp: Any, op: Op, *inputs: Any, **attrs: Any) -> Any:
    """Return an op inside of a rule: recorded as a node, or its forward rule on arrays."""
    if xp is RECORDING:
        return apply(op, inputs, attrs)
    return op.forward(xp, *inputs, **attrs)


def packed(xp: Any, parts: Iterable[Any], batch: Shape) -> Any:
    """Join arrays (*batch, ...) into one, flat behind the batch: the value of one node."""
    rank = len(batch)
    flat = [xp.reshape(part, (*batch, math.prod(part.shape[rank:]))) for part in parts]
    return xp.concat(flat, axis=-1)


def unpacked(xp: Any, x: Any, shapes: Sequence[Shape]) -> list[Any]:
    """Return the arrays in what was packed, by their shapes behind the batch."""
    parts, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        parts.append(xp.reshape(x[..., start:stop], (*x.shape[:-1], *shape)))
        start = stop
    return parts
