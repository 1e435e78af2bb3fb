"""Compute powers and the exponential of square matrices. Above `solving.py`."""

import operator
from typing import Any

from engine.apply import asarray
from engine.op import Draw, Example, Op
from engine.ops.choices import where
from engine.ops.creation import eye, ones
from engine.ops.matrices import LinAlgError, applied, check, matrices
from engine.ops.products import matmul
from engine.ops.solving import inv
from engine.ops.time_batching import unchanged
from engine.registry import RECORDING, composition, op
from engine.tensor import Tensor

__all__ = ["expm", "matrix_power"]

# The numerator of the Pade approximant of degree 13, less a common factor. It is as precise as
# doubles are up to the norm LIMIT. Source: Higham, The scaling and squaring method for the matrix
# exponential revisited, 2005.
PADE = tuple(one / 64764752532480000.0 for one in (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
    129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0,
    960960.0, 16380.0, 182.0, 1.0,
))  # fmt: skip
LIMIT = 5.371920351148152


def _approximated(xp: Any, x: Any) -> Any:
    """Return the exponential of matrices up to the norm LIMIT."""
    b, one = PADE, xp.eye(x.shape[-1], dtype=x.dtype)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = (
        x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one
    )
    even = (
        x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
    )
    odd = x @ odd
    return xp.linalg.solve(even - odd, even + odd)


def _expm_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Return the derivative in the direction g at x^T, a block of the exponential of [[x^T, g], [0,
    x^T]].

    Source: Higham, Functions of Matrices, 2008, theorem 3.6.
    """
    size = x.shape[-1]
    if not size:
        return g
    # It is linear in g, of which a large one would be all that the scaling looks at.
    scale = xp.max(xp.abs(g), axis=(-2, -1), keepdims=True)
    scale = xp.where((scale > 0) & xp.isfinite(scale), scale, 1.0)
    scale = xp.stop_gradient(scale) if xp is RECORDING else scale
    turned = xp.matrix_transpose(x)
    upper = xp.concat([turned, g / scale], axis=-1)
    lower = xp.concat([xp.zeros_like(x), turned], axis=-1)
    whole = applied(xp, EXPM, xp.concat([upper, lower], axis=-2))
    return whole[..., :size, size:] * scale


@op(
    vjp=(_expm_vjp,),
    examples=(Example((Draw((3, 3), -1.0, 1.0),)), Example((Draw((2, 2, 2), -0.5, 0.5),))),
    time_batch=unchanged,
)
def expm(xp: Any, x: Any, /) -> Any:
    """Return the exponential of square matrices (..., M, M): 1 + x + x x / 2 + x x x / 6 + ...

    A primitive, as how often the approximant is squared depends on the values; that is done in
    double precision. NaN where x is not finite. Raises LinAlgError for matrices that are not
    square.

    >>> engine.linalg.expm([[0.0, 2.0], [0.0, 0.0]]).tolist()
    [[1.0, 2.0], [0.0, 1.0]]
    """
    given = matrices(xp, x, square=True)
    if not given.size:
        return given
    x = given.astype(xp.float64)
    norm = xp.max(xp.sum(xp.abs(x), axis=-2), axis=-1)
    finite = xp.isfinite(norm)
    norm = xp.where(finite, norm, 0.0)
    halvings = xp.ceil(xp.log2(xp.maximum(norm, LIMIT) / LIMIT))
    whole = finite[..., None, None]
    out = _approximated(xp, xp.where(whole, x, 0.0) / xp.exp2(halvings)[..., None, None])
    for number in range(int(xp.max(halvings))):
        out = xp.where((halvings > number)[..., None, None], out @ out, out)
    return xp.where(whole, out, xp.nan).astype(given.dtype)


EXPM: Op = expm.op  # type: ignore[attr-defined]


@composition
def matrix_power(x: Any, n: int, /) -> Tensor:
    """Return the product of n square matrices x (..., M, M), of inverses for negative n.

    By repeated squaring, in 2 log2(n) products at most. Raises TypeError for an n that is no
    integer, LinAlgError where x is not square, or singular and n negative.

    >>> engine.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]
    """
    x = asarray(x)
    try:
        check(x, square=True)
        left = operator.index(n)
    except (TypeError, LinAlgError) as error:
        raise type(error)(f"matrix_power: {x.shape}, {n!r}: {error}") from None
    if left == 0:
        one = eye(x.shape[-1], dtype=x.dtype, device=x.device)
        return where(ones(x.shape, dtype="bool", device=x.device), one, x)  # still of the graph
    square, left = (inv(x), -left) if left < 0 else (x, left)
    out = None
    while True:
        if left % 2:
            out = square if out is None else matmul(out, square)
        left //= 2
        if not left:
            assert out is not None, "the highest bit is 1"
            return out
        square = matmul(square, square)
