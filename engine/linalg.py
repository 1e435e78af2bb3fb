"""Offer linear algebra: the extension of the array API standard, version 2024.12, and `expm`.

Every function takes batches of matrices (..., M, N) in front and can be differentiated to any
order. Those that the standard defines for floats alone raise TypeError for other dtypes; matrices
that have no result (singular, not positive definite, not square) raise LinAlgError, a ValueError.
The ops are in `ops/solving.py`, `determinants.py`, `triangular.py`, `decompositions.py` and
`matrix_powers.py`; the compositions that no op needs are here, norms and the rank among them.
"""

import math
from numbers import Real
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.backends import HOST
from engine.backends.numpy import int64
from engine.checks import axes_of, whole
from engine.ops import (
    decompositions,
    determinants,
    diagonals,
    matrix_powers,
    solving,
    triangular,
)
from engine.ops.contractions import outer, tensordot, vecdot
from engine.ops.creation import zeros
from engine.ops.decompositions import *
from engine.ops.decompositions import svdvals
from engine.ops.determinants import *
from engine.ops.elementwise import abs_
from engine.ops.matrices import LinAlgError, check
from engine.ops.matrix_powers import *
from engine.ops.products import matmul
from engine.ops.rearranging import roll
from engine.ops.reductions import Axis, count_nonzero, max_, min_, sum_
from engine.ops.shaping import expand_dims, matrix_transpose
from engine.ops.solving import *
from engine.ops.statistics import norm
from engine.ops.triangular import *
from engine.registry import composition
from engine.tensor import Tensor

__all__ = ["LinAlgError", "cross", "diagonal", "matmul", "matrix_norm", "matrix_rank",
           "matrix_transpose", "outer", "tensordot", "trace", "vecdot", "vector_norm"]  # fmt: skip
for _ops in (decompositions, determinants, matrix_powers, solving, triangular):
    __all__ += _ops.__all__


@public
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Return the cross product of vectors of three elements along an axis; others broadcast.

    An axis counted from the front needs tensors of the same number of dimensions. Raises
    IndexError for an axis that is not there, ValueError for other sizes.

    >>> engine.linalg.cross(engine.asarray([1.0, 0.0, 0.0]), engine.asarray([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.], dtype=float32)
    """
    a, b = asarray(x1), asarray(x2)
    rank = min(a.ndim, b.ndim)
    if not -rank <= whole("cross: axis", axis) < (rank if a.ndim == b.ndim else 0):
        raise IndexError(f"cross: {a.shape}, {b.shape}: axis {axis} is not there in both")
    if (a.shape[axis], b.shape[axis]) != (3, 3):
        raise ValueError(f"cross: {a.shape}, {b.shape}: axis {axis} must be of size 3 in both")
    # a_i b_(i+1) - a_(i+1) b_i is element i + 2.
    return roll(a * roll(b, -1, axis=axis) - roll(a, -1, axis=axis) * b, -1, axis=axis)


@public
def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """Return the diagonals (..., min(M, N)) of matrices x (..., M, N), `offset` above the main.

    Raises ValueError under two dimensions. `engine.diagonal` has a choice of axes.

    >>> engine.linalg.diagonal(engine.ones((5, 2, 2))).shape
    (5, 2)
    """
    return diagonals.diagonal(asarray(x), offset=offset, axis1=-2, axis2=-1)


@public
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """Return the sums (...) of the diagonals of matrices x (..., M, N), in `dtype` if given.

    Raises ValueError under two dimensions.

    >>> engine.linalg.trace(engine.ones((5, 2, 2))).shape
    (5,)
    """
    return sum_(diagonal(x, offset=offset), axis=-1, **({} if dtype is None else {"dtype": dtype}))


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
