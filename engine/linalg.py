"""Linear algebra: the extension of the array API standard, version 2024.12, and `expm`.

Every function takes batches of matrices (..., M, N) in front and can be differentiated to any
order. Those that the standard defines for floats alone raise TypeError for other dtypes; matrices
that have no result (singular, not positive definite, not square) raise LinAlgError, a ValueError.
The ops are in `ops/solving.py`, `determinants.py`, `triangular.py`, `decompositions.py`,
`matrix_norms.py` and `matrix_powers.py`.
"""

from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.checks import whole
from engine.ops import (
    decompositions,
    determinants,
    diagonals,
    matrix_norms,
    matrix_powers,
    solving,
    triangular,
)
from engine.ops.contractions import outer, tensordot, vecdot
from engine.ops.decompositions import *
from engine.ops.determinants import *
from engine.ops.matrices import LinAlgError
from engine.ops.matrix_norms import *
from engine.ops.matrix_powers import *
from engine.ops.products import matmul
from engine.ops.rearranging import roll
from engine.ops.reductions import sum_
from engine.ops.shaping import matrix_transpose
from engine.ops.solving import *
from engine.ops.triangular import *
from engine.tensor import Tensor

__all__ = ["LinAlgError", "cross", "diagonal", "matmul", "matrix_transpose", "outer", "tensordot",
           "trace", "vecdot"]  # fmt: skip
__all__ += decompositions.__all__
__all__ += determinants.__all__
__all__ += matrix_powers.__all__
__all__ += matrix_norms.__all__
__all__ += solving.__all__
__all__ += triangular.__all__


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
