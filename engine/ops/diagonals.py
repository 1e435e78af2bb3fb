"""Take triangles and diagonals of the last two axes, or of others. Above `rearranging`."""

from engine.checks import whole
from engine.ops.choices import where
from engine.ops.creation import arange, open_ranges, zeros
from engine.ops.indexing import index, place
from engine.ops.keys import Slot
from engine.ops.rearranging import moveaxis
from engine.ops.reductions import sum_
from engine.registry import composition, method
from engine.tensor import Tensor

__all__ = ["diag", "diagonal", "trace", "tril", "triu"]


def _triangle(x: Tensor, k: int, name: str, *, lower: bool) -> Tensor:
    if x.ndim < 2:
        raise ValueError(f"{name}: needs two dimensions, got {x.shape}")
    k = whole(f"{name}: k", k)
    rows, columns = open_ranges(x.shape[-2:], x.device)
    keep = columns - rows <= k if lower else columns - rows >= k
    return where(keep, x, zeros((1, 1), dtype=x.dtype, device=x.device))


@composition
def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """Return the lower triangles of the last two axes, zeros above diagonal `k`.

    >>> engine.tril(engine.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle(x, k, "tril", lower=True)


@composition
def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """Return the upper triangles of the last two axes, zeros below diagonal `k`.

    >>> engine.triu(engine.ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle(x, k, "triu", lower=False)


@method
@composition
def diagonal(x: Tensor, /, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonals of two axes, as the last axis. Raises ValueError under two axes.

    >>> engine.diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    if x.ndim < 2:
        raise ValueError(f"diagonal: needs two dimensions, got {x.shape}")
    offset = whole("diagonal: offset", offset)
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    size = max(0, min(x.shape[-2] + min(offset, 0), x.shape[-1] - max(offset, 0)))
    steps = arange(size, device=x.device)
    return index(x, (..., steps - min(offset, 0), steps + max(offset, 0)))


@method
@composition
def trace(x: Tensor, /, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the sums of the diagonals of two axes.

    >>> engine.trace([[1, 2], [3, 4]]).item()
    5
    """
    return sum_(diagonal(x, offset=offset, axis1=axis1, axis2=axis2), axis=-1)


@composition
def diag(x: Tensor, /, *, k: int = 0) -> Tensor:
    """Return the matrix with a vector on diagonal `k`, of a matrix that diagonal; else ValueError.

    >>> engine.diag([1, 2]).tolist(), engine.diag([[1, 2], [3, 4]]).tolist()
    ([[1, 0], [0, 2]], [1, 4])
    """
    if x.ndim == 2:
        return diagonal(x, offset=k)
    if x.ndim != 1:
        raise ValueError(f"diag: needs one or two dimensions, got {x.shape}")
    k = whole("diag: k", k)
    size = x.shape[0] + abs(k)
    steps = arange(x.shape[0], device=x.device)
    rows, columns = steps + max(0, -k), steps + max(0, k)
    return place(x, rows, columns, keys=((Slot(0), Slot(1)),), shape=(size, size))
