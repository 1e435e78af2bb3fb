"""Compute determinants and their derivatives, which singular matrices have too.

The functions that users call are in `engine.linalg`. A determinant is a polynomial: its first
derivative are the cofactors, its second sums of minors. Where a matrix is regular they are written
with the inverse, where it is singular with singular values, without a division. Above `solving.py`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.arguments import public
from engine.backends import HOST
from engine.op import Draw, Example, Op
from engine.ops.matrices import applied, matrices, ones_on_diagonal, packed, unpacked
from engine.ops.solving import quietly, solved
from engine.ops.time_batching import unchanged
from engine.registry import RECORDING, op
from engine.tensor import Tensor

__all__ = ["SlogdetResult", "det", "slogdet"]


def _inverse(xp: Any, x: Any) -> Any:
    """Return x^-T as a rule writes it, NaN where x is singular."""
    return xp.matrix_transpose(solved(xp, x, ones_on_diagonal(xp, x)))


def _inner(xp: Any, x: Any, y: Any) -> Any:
    """Return the sums of the products of all elements of matrices, (..., 1, 1)."""
    return xp.sum(x * y, axis=(-2, -1), keepdims=True)


def _minors_vjp(xp: Any, g: Any, out: Any, h: Any, x: Any) -> list[Any]:
    """Return the gradients of ``det (<h, b> b - b h^T b)`` with b = x^-T, by h and by x.

    The second derivative is symmetric, so by h it is itself; the third is NaN for singular x.
    """
    b = _inverse(xp, x)
    gt, ht = xp.matrix_transpose(g), xp.matrix_transpose(h)
    bg, bh = b @ gt @ b, b @ ht @ b
    ig, ih = _inner(xp, g, b), _inner(xp, h, b)
    both = (ig * ih - _inner(xp, g, bh)) * b - ih * bg - ig * bh + bg @ ht @ b + bh @ gt @ b
    third = xp.where(
        _near_singular(xp, x, b), math.nan, applied(xp, DET, x)[..., None, None] * both
    )
    return [applied(xp, MINORS, g, x), third]


@op(
    vjp=_minors_vjp,
    examples=(Example((Draw((3, 3)), Draw((3, 3)))), Example((Draw((3, 3, 3)), Draw((3, 3, 3))))),
    time_batch=unchanged,
    public=False,
)
def minors(xp: Any, h: Any, x: Any, /) -> Any:
    """Return the determinant's second derivative by h: ``det (<h, b> b - b h^T b)``, b = x^-T."""
    h, x = matrices(xp, h, square=True), matrices(xp, x, square=True)
    det, b = xp.linalg.det(x)[..., None, None], _inverse_or_nan(xp, x)
    out = det * (_inner(xp, h, b) * b - b @ xp.matrix_transpose(h) @ b)
    return _where_singular(xp, x, b, out, lambda x: _minor_limits(xp, h, x))


def _minor_limits(xp: Any, h: Any, x: Any) -> Any:
    """Return the same of U S V^T, from the products of all singular values but two."""
    u, s, vh = xp.linalg.svd(x)
    one = xp.eye(s.shape[-1], dtype=bool)
    left = xp.where(one[:, None, :] | one[None, :, :], 1.0, s[..., None, None, :])
    others = xp.where(one, 0.0, xp.prod(left, axis=-1))  # (..., M, M), of all but i and j
    turned = xp.matrix_transpose(u) @ h @ xp.matrix_transpose(vh)
    diagonal = xp.where(one, turned, 0.0)
    straight = xp.sum(diagonal @ others, axis=-2)  # at (k, k): sum over i of h_ii others_ik
    inner = xp.where(one, straight[..., None, :], -xp.matrix_transpose(turned) * others)
    return _signs(xp, u, vh) * (u @ inner @ vh)


MINORS: Op = minors.op  # type: ignore[attr-defined]


@op(
    vjp=(lambda xp, g, out, x: applied(xp, MINORS, g, x),),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    time_batch=unchanged,
    public=False,
)
def cofactors(xp: Any, x: Any, /) -> Any:
    """Return the derivative of the determinant: det(x) x^-T, and its limit where x is singular."""
    x = matrices(xp, x, square=True)
    b = _inverse_or_nan(xp, x)
    out = xp.linalg.det(x)[..., None, None] * b
    return _where_singular(xp, x, b, out, lambda x: _limits(xp, x))


def _limits(xp: Any, x: Any) -> Any:
    """Return cofactors where any singular value may be 0: cof(U S V^T) = cof(U) cof(S) cof(V)^T."""
    u, s, vh = xp.linalg.svd(x)
    one = xp.eye(s.shape[-1], dtype=bool)
    others = xp.prod(xp.where(one, 1.0, s[..., None, :]), axis=-1)  # of all but each
    return _signs(xp, u, vh) * ((u * others[..., None, :]) @ vh)


def _signs(xp: Any, u: Any, vh: Any) -> Any:
    return (xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None]


def _inverse_or_nan(xp: Any, x: Any) -> Any:
    """Return x^-T of arrays, NaN where x is singular."""
    one = xp.broadcast_to(xp.eye(x.shape[-1], dtype=x.dtype), x.shape)
    return xp.matrix_transpose(quietly(xp, x, one))


def _near_singular(xp: Any, x: Any, b: Any) -> Any:
    """Return where x (with b = x^-T) is so near to a singular matrix that digits are lost.

    An error of rounding grows by the square of the condition in the second derivative.
    """
    most = float(HOST.xp.finfo(x.dtype).eps) ** -0.5
    condition = _inner(xp, x, x) * _inner(xp, b, b)
    return xp.logical_not(condition <= most)


def _where_singular(xp: Any, x: Any, b: Any, out: Any, limits: Callable[[Any], Any]) -> Any:
    """Return `out`, with ``limits(x)`` in the place of matrices that are singular or nearly so."""
    finite = xp.all(xp.isfinite(x), axis=(-2, -1), keepdims=True)
    singular = _near_singular(xp, x, b) & finite
    if not bool(xp.any(singular)):
        return out
    return xp.where(singular, limits(xp.where(singular, x, 1.0)), out)


COFACTORS: Op = cofactors.op  # type: ignore[attr-defined]


@op(
    vjp=(lambda xp, g, out, x: g[..., None, None] * applied(xp, COFACTORS, x),),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    time_batch=unchanged,
)
def det(xp: Any, x: Any, /) -> Any:
    """Return the determinants (...) of square matrices (..., M, M).

    The first two derivatives are right for singular matrices too; the third is NaN where rounding
    would leave fewer than half of its digits. Raises LinAlgError for matrices that are not square.

    >>> round(engine.linalg.det([[1.0, 2.0], [3.0, 4.0]]).item(), 4)
    -2.0
    """
    return xp.linalg.det(matrices(xp, x, square=True))


DET: Op = det.op  # type: ignore[attr-defined]


class SlogdetResult(NamedTuple):
    """Hold the sign of each determinant, and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


def _slogdet_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    inverse = solved(xp, x, ones_on_diagonal(xp, x))
    return g[..., 1][..., None, None] * xp.matrix_transpose(inverse)


@op(
    vjp=(_slogdet_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    time_batch=unchanged,
)
def slogdet_(xp: Any, x: Any, /) -> Any:
    """Return the sign and logarithm of the determinants side by side (what `slogdet` records)."""
    found = xp.linalg.slogdet(matrices(xp, x, square=True))
    return packed(xp, [part[..., None] for part in found], x.shape[:-2])


@public
def slogdet(x: Any, /) -> SlogdetResult:
    """Return the sign and log |det x| (...) of matrices (..., M, M), where det would overflow.

    Of a singular matrix they are 0 and -inf, and the derivative is NaN. The sign has the
    derivative 0. Raises LinAlgError for matrices that are not square.

    >>> [round(part.item(), 4) for part in engine.linalg.slogdet(-1e30 * engine.eye(3))]
    [-1.0, 207.2327]
    """
    return SlogdetResult(*unpacked(RECORDING, slogdet_(x), [(), ()]))
