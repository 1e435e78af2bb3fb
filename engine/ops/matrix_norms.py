"""Norms of vectors and of matrices, and the rank. Compositions, above `decompositions.py`."""

import math
from numbers import Real
from typing import Any

from engine.apply import asarray
from engine.backends import HOST
from engine.backends.numpy import int64
from engine.checks import axes_of
from engine.ops.creation import zeros
from engine.ops.decompositions import svdvals
from engine.ops.elementwise import abs_
from engine.ops.matrices import LinAlgError, check
from engine.ops.reductions import Axis, count_nonzero, max_, min_, sum_
from engine.ops.shaping import expand_dims
from engine.ops.statistics import norm
from engine.registry import composition
from engine.tensor import Tensor

__all__ = ["matrix_norm", "matrix_rank", "vector_norm"]

# Which axis to sum over, and which is left for the largest or the least sum.
SUMS = {1: (-2, -1), -1: (-2, -1), math.inf: (-1, -2), -math.inf: (-1, -2)}


@composition
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """Return the p-norm of the elements over `axis`, all by default; p is `ord`, also inf or -inf.

    Scaled, so that no power overflows; the derivative at 0 is 0. Raises TypeError for a dtype
    without fractions, IndexError for an axis that is not there, ValueError for another `ord`.

    >>> engine.linalg.vector_norm(engine.asarray([3.0, 4.0]))
    tensor(5., dtype=float32)
    """
    x = asarray(x)
    if x.dtype.kind != "f":
        raise TypeError(f"vector_norm: {x.shape}: needs floats, got {x.dtype}; use engine.astype")
    if axis is not None:
        axes_of(f"vector_norm: {x.shape}", axis, x.ndim)
    return norm(x, ord=ord, axis=axis, keepdims=keepdims)


def _checked(name: str, x: Any) -> Tensor:
    """Return x as matrices of floats, or an error that begins with the name."""
    tensor = asarray(x)
    try:
        check(tensor)
    except (TypeError, LinAlgError) as error:
        raise type(error)(f"{name}: {tensor.shape}: {error}") from None
    return tensor


@composition
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """Return the norms (...) of matrices x (..., M, N).

    `ord` is ``"fro"``, the root of the sum of squares; ``"nuc"``, the sum of the singular values;
    2 or -2, the largest or the least of them; 1 or -1, the largest or least sum of sizes in a
    column; inf or -inf, in a row. Raises ValueError for another one.

    >>> engine.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]]).item()
    5.0
    """
    x = _checked("matrix_norm", x)
    if isinstance(ord, bool) or ord not in ("fro", "nuc", 2, -2, *SUMS):
        raise ValueError(
            f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}"
        )
    if ord == "fro":
        return norm(x, axis=(-2, -1), keepdims=keepdims)
    if 0 in x.shape[-2:] and (ord == "nuc" or ord > 0):  # the largest of no sizes is 0
        return sum_(abs_(x), axis=(-2, -1), keepdims=keepdims)
    if ord in SUMS:
        summed, left = SUMS[ord]
        parts = sum_(abs_(x), axis=summed, keepdims=True)
    else:
        parts, left = expand_dims(svdvals(x), axis=-1), -2
    fold = sum_ if ord == "nuc" else max_ if ord > 0 else min_
    out = fold(parts, axis=left, keepdims=True)
    return out if keepdims else out[..., 0, 0]


@composition
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Tensor:
    """Return how many singular values of matrices x (..., M, N) exceed `rtol` times the largest.

    `rtol` is a number or one for each matrix (...), by default max(M, N) times the dtype's epsilon.

    >>> engine.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]]).item()
    1
    """
    x = _checked("matrix_rank", x)
    if not x.size:
        return zeros(x.shape[:-2], dtype=int64, device=x.device)
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(HOST.xp.finfo(x.dtype).eps)
    least = rtol if isinstance(rtol, Real) else expand_dims(asarray(rtol), axis=-1)
    sizes = svdvals(x)
    return count_nonzero(sizes > max_(sizes, axis=-1, keepdims=True) * least, axis=-1)
