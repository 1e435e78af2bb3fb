"""Write matrices as products of simpler ones: eigenvalues and vectors, singular values.

The functions that users call are in `engine.linalg`. What gives several arrays is one node that
holds them packed, so that no decomposition is computed twice and every derivative is recorded.

Vectors are fixed only up to a choice: their signs, and the basis that completes Q, U or V to a
square matrix. Derivatives are right for all that does not depend on the choice. Where eigenvalues
or singular values are equal, to rounding, any basis of their vectors will do, and the derivative of
what depends on them is NaN. A matrix function such as ``V f(w) V^T`` has a limit there, but no rule
can tell it: all that arrives is the gradient at one basis, which is the same for ``V V^T`` and for
``V w^2 V^T`` at the identity, and their limits differ. Above `solving.py`.
"""

import math
from typing import Any, NamedTuple

from engine.apply import apply, asarray
from engine.arguments import public
from engine.backends import HOST
from engine.op import Draw, Example, Op
from engine.ops.matrices import (
    applied,
    finite,
    matrices,
    ones_on_diagonal,
    packed,
    symmetric,
    unpacked,
)  # fmt: skip
from engine.ops.time_batching import unchanged
from engine.registry import RECORDING, op
from engine.tensor import Tensor

__all__ = ["EighResult", "SVDResult", "eigh", "eigvalsh", "svd", "svdvals"]

# ---- eigenvalues of symmetric matrices


class EighResult(NamedTuple):
    """Hold eigenvalues (..., M), the least first, and eigenvectors as columns (..., M, M)."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def _eigh(xp: Any, x: Any, /) -> Any:
    values, vectors = xp.linalg.eigh(symmetric(xp, matrices(xp, x, square=True)))
    return packed(xp, [values, vectors, _mark(xp, values)], x.shape[:-2])


def _eigh_parts(xp: Any, whole: Any, x: Any) -> list[Any]:
    """Return eigenvalues, vectors and the mark, or their gradients, from what holds them."""
    size = x.shape[-1]
    return unpacked(xp, whole, [(size,), (size, size), (1,)])


def _mark(xp: Any, values: Any) -> Any:
    """Return one number (..., 1) for each matrix: its gradient says that the vectors are used.

    Their own gradient may be 0 where they are, as that of ``V f(w) V^T`` where f(w) is 0.
    """
    return xp.zeros((*values.shape[:-1], 1), dtype=values.dtype)


def _as_used(xp: Any, vectors: Any, mark: Any) -> Any:
    """Return vectors, of which the mark has the gradient 1."""
    return vectors


AS_USED = Op(
    "vectors",
    _as_used,
    (lambda xp, g, out, vectors, mark: g, lambda xp, g, out, vectors, mark: xp.ones_like(mark)),
    time_batch=unchanged,
)


def _rotation(xp: Any, vectors: Any, g: Any) -> Any:
    """Return twice the antisymmetric part of V^T g, by which g turns the vectors."""
    turned = xp.matrix_transpose(vectors) @ g
    return turned - xp.matrix_transpose(turned)


def _gaps(xp: Any, values: Any) -> Any:
    """Return w_j - w_i at (i, j)."""
    return values[..., None, :] - values[..., :, None]


def _quotients(xp: Any, turns: Any, values: Any, used: Any) -> Any:
    """Return turns / (w_j - w_i), 0 on the diagonal.

    Of values that are equal to rounding: NaN where vectors are `used` (..., 1), else 0, and
    the derivative of that is NaN.
    """
    gaps = _gaps(xp, values)
    near = xp.abs(gaps) <= _rounding(xp, values)[..., None]
    equal = near & (ones_on_diagonal(xp, values) == 0)
    apart = xp.where(near, _kink(xp, turns, equal), turns / xp.where(near, 1.0, gaps))
    lost = equal & used[..., None]
    return apart + xp.where(lost, math.nan, xp.zeros_like(apart))


def _kink(xp: Any, x: Any, here: Any) -> Any:
    """Return 0 for an x that is 0, with the derivative NaN where `here` says so, else 0."""
    return 0.0 * xp.sqrt(xp.where(here, x * x, 1.0))


def _rounding(xp: Any, values: Any) -> Any:
    """Return the size (..., 1) to which values that are equal may differ."""
    eps, sizes = float(HOST.xp.finfo(values.dtype).eps), xp.abs(values)
    largest = xp.max if values.shape[-1] else xp.sum
    return 4 * eps * largest(sizes, axis=-1, keepdims=True)


def _symmetric_in(xp: Any, values: Any, g: Any, total: Any) -> Any:
    """Return the derivative `total` by values with the gradient g, NaN where there is none.

    Equal values are told apart by their order alone, which has no derivative.
    """
    apart = _gaps(xp, g)
    equal = (_gaps(xp, values) == 0) & (ones_on_diagonal(xp, values) == 0)
    torn = xp.where(equal & (apart != 0), math.nan, _kink(xp, apart, equal))
    return total + xp.sum(torn, axis=(-2, -1), keepdims=True)


def _eigh_vjp(xp: Any, g: Any, out: Any, x: Any) -> list[Any]:
    """Follow Giles, An extended collection of matrix derivative results, 2008, section 3.1."""
    (w, v, _), (gw, gv, used) = _eigh_parts(xp, out, x), _eigh_parts(xp, g, x)
    inner = 0.5 * _quotients(xp, _rotation(xp, v, gv), w, used != 0)
    total = (v @ inner + v * gw[..., None, :]) @ xp.matrix_transpose(v)
    return [_symmetric_in(xp, w, gw, total)]


# Not in the registry: no user calls it, and devices differ in the signs of vectors.
EIGH = Op("eigh", _eigh, _eigh_vjp, time_batch=unchanged)


@public
def eigh(x: Any, /) -> EighResult:
    """Return eigenvalues and orthonormal eigenvectors of symmetric matrices x (..., M, M).

    x is read as its symmetric part. Where eigenvalues are equal, the derivative of what depends on
    their vectors, or on their order, is NaN. Raises LinAlgError where x is not square.

    >>> engine.linalg.eigh(engine.asarray([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    tensor([1., 3.], dtype=float32)
    """
    x = asarray(x)
    values, vectors, mark = _eigh_parts(RECORDING, apply(EIGH, (x,), {}), x)
    return EighResult(values, apply(AS_USED, (vectors, mark), {}))


def _eigvalsh_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    _, v, mark = _eigh_parts(xp, applied(xp, EIGH, x), x)
    v = applied(xp, AS_USED, v, mark)
    return _symmetric_in(xp, out, g, (v * g[..., None, :]) @ xp.matrix_transpose(v))


@op(
    vjp=(_eigvalsh_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    time_batch=unchanged,
)
def eigvalsh(xp: Any, x: Any, /) -> Any:
    """Return the eigenvalues (..., M) of symmetric matrices x (..., M, M), the least first.

    x is read as its symmetric part. A primitive for speed: without the vectors it takes less than
    half the time. Where eigenvalues are equal there is a derivative for what treats them alike, and
    else NaN; the second derivative is NaN. Raises LinAlgError where x is not square.

    >>> [round(y, 4) for y in engine.linalg.eigvalsh([[2.0, 1.0], [1.0, 2.0]]).tolist()]
    [1.0, 3.0]
    """
    return xp.linalg.eigvalsh(symmetric(xp, matrices(xp, x, square=True)))


# ---- singular values


class SVDResult(NamedTuple):
    """Hold left vectors as columns of U, singular values S, right vectors as rows of Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _svd(xp: Any, x: Any, /, *, full_matrices: bool) -> Any:
    found = xp.linalg.svd(finite(xp, matrices(xp, x)), full_matrices=full_matrices)
    return packed(xp, [*found, _mark(xp, found[1])], x.shape[:-2])


def _svd_parts(xp: Any, whole: Any, x: Any, full_matrices: bool) -> list[Any]:
    """Return U, S, Vh and the mark, or their gradients, from what holds them."""
    rows, columns = x.shape[-2:]
    least = min(rows, columns)
    left, right = (rows, columns) if full_matrices else (least, least)
    return unpacked(xp, whole, [(rows, left), (least,), (right, columns), (1,)])


def thin(xp: Any, q: Any, g: Any, size: int) -> tuple[Any, Any]:
    """Return `size` columns of an orthogonal matrix, and the gradient of all as one of these.

    The others must stay orthogonal to them, so that dq2 = -q1 (q2^T dq1)^T.
    """
    if q.shape[-1] == size:
        return q, g
    q1, q2, g2 = q[..., :size], q[..., size:], g[..., size:]
    return q1, g[..., :size] - q2 @ (xp.matrix_transpose(g2) @ q1)


def _svd_vjp(xp: Any, g: Any, out: Any, x: Any, *, full_matrices: bool) -> list[Any]:
    """Follow Townsend, Differentiating the singular value decomposition, 2016, (21) to (25).

    With s_j / (s_j^2 - s_i^2) and s_i / (s_j^2 - s_i^2) as sums of 1 / (s_j - s_i) and
    1 / (s_j + s_i), half each, with squares that cannot overflow.
    """
    u, s, vh, _ = _svd_parts(xp, out, x, full_matrices)
    gu, gs, gvh, mark = _svd_parts(xp, g, x, full_matrices)
    u, gu = thin(xp, u, gu, s.shape[-1])
    v, gv = thin(xp, xp.matrix_transpose(vh), xp.matrix_transpose(gvh), s.shape[-1])
    left, right = _rotation(xp, u, gu), _rotation(xp, v, gv)
    used = mark != 0
    sums = s[..., None, :] + s[..., :, None]
    sums = xp.where(sums == 0, 1.0, sums)  # of two values that are equal, or with itself
    inner = _quotients(xp, left + right, s, used) + (left - right) / sums
    turned = xp.matrix_transpose(v)
    total = _symmetric_in(xp, s, gs, (u @ (0.5 * inner) + u * gs[..., None, :]) @ turned)
    if u.shape[-2] > s.shape[-1]:  # out of the space that the columns of U span
        away = gu - u @ (xp.matrix_transpose(u) @ gu)
        total = total + _scaled_down(xp, away, s, used) @ turned
    if v.shape[-2] > s.shape[-1]:
        away = gv - v @ (turned @ gv)
        total = total + u @ xp.matrix_transpose(_scaled_down(xp, away, s, used))
    return [total]


def _scaled_down(xp: Any, away: Any, s: Any, used: Any) -> Any:
    """Return columns divided by singular values; by 0 that is NaN where vectors are `used`."""
    is_zero = s <= _rounding(xp, s)
    columns = away / xp.where(is_zero, 1.0, s)[..., None, :]
    lost = (is_zero & used)[..., None, :]
    return xp.where(lost, math.nan, xp.where(is_zero[..., None, :], 0.0, columns))


SVD = Op("svd", _svd, _svd_vjp, time_batch=unchanged)  # not in the registry, as EIGH


@public
def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Return U, S and Vh with x = U S Vh: (..., M, M), (..., K), (..., N, N) for x (..., M, N).

    K is min(M, N); without `full_matrices` U is (..., M, K) and Vh (..., K, N). Where singular
    values are equal, or 0 while M and N differ, the derivative of what depends on their vectors is
    NaN. The vectors that only `full_matrices` has are any basis of what is left: the derivative is
    right for what depends on that space and not on the basis.

    >>> [part.shape for part in engine.linalg.svd(engine.ones((3, 2)), full_matrices=False)]
    [(3, 2), (2,), (2, 2)]
    """
    x = asarray(x)
    whole = apply(SVD, (x,), {"full_matrices": full_matrices})
    u, s, vh, mark = _svd_parts(RECORDING, whole, x, full_matrices)
    return SVDResult(apply(AS_USED, (u, mark), {}), s, apply(AS_USED, (vh, mark), {}))


def _svdvals_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    u, _, vh, mark = _svd_parts(xp, applied(xp, SVD, x, full_matrices=False), x, False)
    u, vh = applied(xp, AS_USED, u, mark), applied(xp, AS_USED, vh, mark)
    return _symmetric_in(xp, out, g, (u * g[..., None, :]) @ vh)


@op(
    vjp=(_svdvals_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((3, 2)),)), Example((Draw((2, 2, 3)),))),
    time_batch=unchanged,
)
def svdvals(xp: Any, x: Any, /) -> Any:
    """Return the singular values (..., min(M, N)) of matrices x (..., M, N), the largest first.

    A primitive for speed: without the vectors it takes less than half the time. The derivative of
    a value that is 0 is that along one choice of its vectors, as of |x| at 0 along one side. Where
    values are equal there is one for what treats them alike, and else NaN; the second is NaN.

    >>> [round(y, 4) for y in engine.linalg.svdvals([[0.0, 2.0], [3.0, 0.0]]).tolist()]
    [3.0, 2.0]
    """
    return xp.linalg.svd(matrices(xp, x), compute_uv=False)
