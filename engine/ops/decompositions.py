"""Matrices as products of simpler ones: Cholesky, eigenvalues and vectors, singular values, QR.

The functions that users call are in `engine.linalg`. What gives several arrays is one node that
holds them packed, so that no decomposition is computed twice and every derivative is recorded.

Vectors are fixed only up to a choice: their signs, and the basis that completes Q, U or V to a
square matrix. Derivatives are right for all that does not depend on the choice. Where eigenvalues
or singular values are equal their vectors have no derivative: it is inf or NaN, but 0 where nothing
depends on the vectors. Above `solving.py`.
"""

from typing import Any, NamedTuple

from engine.apply import apply, asarray
from engine.backends import HOST
from engine.op import Draw, Example, Op
from engine.ops.lifting import unchanged
from engine.ops.matrices import (
    LinAlgError,
    applied,
    matrices,
    mirrored,
    ones_on_diagonal,
    over,
    packed,
    symmetric,
    unpacked,
)  # fmt: skip
from engine.ops.shaping import matrix_transpose
from engine.ops.solving import solved
from engine.registry import RECORDING, composition, op
from engine.tensor import Tensor

# ---- Cholesky


def _cholesky_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Murray, Differentiation of the Cholesky decomposition, 2016, equation (8)."""
    upper = xp.matrix_transpose(out)
    half = solved(xp, upper, mirrored(xp, upper @ g))
    return 0.5 * xp.matrix_transpose(solved(xp, upper, xp.matrix_transpose(half)))


@op(
    vjp=(_cholesky_vjp,),
    examples=(
        Example((Draw((3, 3), -0.75, 4.0),)),  # drawn so that they are positive definite
        Example((Draw((2, 2, 2), -0.5, 3.5),)),
    ),
    lift=unchanged,
)
def cholesky_(xp: Any, x: Any, /) -> Any:
    """The lower triangular factors (what `cholesky` records)."""
    x = symmetric(xp, matrices(xp, x, square=True))
    try:
        out = xp.linalg.cholesky(x)
    except LinAlgError:
        out = None
    # Some devices say nothing: they leave on the diagonal what they could not take the root of.
    silent = out is not None and xp is not HOST.xp
    if out is None or (silent and not bool(xp.all(xp.diagonal(out, axis1=-2, axis2=-1) > 0))):
        raise LinAlgError(
            "a matrix is not positive definite; add a small multiple of the identity?"
        ) from None
    return out


@composition
def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """L, lower triangular, with x = L L^T for positive definite x (..., M, M); L^T if `upper`.

    x is read as its symmetric part. Raises LinAlgError where it is not positive definite or not
    square.

    >>> import engine
    >>> engine.linalg.cholesky(engine.asarray([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]], dtype=float32)
    """
    lower = cholesky_(x)
    return matrix_transpose(lower) if upper else lower


# ---- eigenvalues of symmetric matrices


class EighResult(NamedTuple):
    """Eigenvalues (..., M), the least first, and eigenvectors as columns (..., M, M)."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def _eigh(xp: Any, x: Any, /) -> Any:
    values, vectors = xp.linalg.eigh(symmetric(xp, matrices(xp, x, square=True)))
    return packed(xp, [values, vectors], x.shape[:-2])


def _eigh_parts(xp: Any, whole: Any, x: Any) -> list[Any]:
    """Eigenvalues and vectors, or their gradients, from what holds both."""
    size = x.shape[-1]
    return unpacked(xp, whole, [(size,), (size, size)])


def _rotation(xp: Any, vectors: Any, g: Any) -> Any:
    """Twice the antisymmetric part of V^T g: how g would turn the vectors among themselves."""
    turned = xp.matrix_transpose(vectors) @ g
    return turned - xp.matrix_transpose(turned)


def _gaps(xp: Any, values: Any) -> Any:
    """w_j - w_i at (i, j), and 1 on the diagonal, where nothing is to be divided."""
    one = ones_on_diagonal(xp, values)
    return values[..., None, :] - values[..., :, None] + one


def _eigh_vjp(xp: Any, g: Any, out: Any, x: Any) -> list[Any]:
    """Giles, An extended collection of matrix derivative results, 2008, section 3.1."""
    (w, v), (gw, gv) = _eigh_parts(xp, out, x), _eigh_parts(xp, g, x)
    inner = 0.5 * over(xp, _rotation(xp, v, gv), _gaps(xp, w))
    return [(v @ inner + v * gw[..., None, :]) @ xp.matrix_transpose(v)]


# Not in the registry: nobody calls it, and devices differ in the signs of vectors.
EIGH = Op("eigh", _eigh, _eigh_vjp, lift=unchanged)


def eigh(x: Any, /) -> EighResult:
    """Eigenvalues and orthonormal eigenvectors of symmetric matrices x (..., M, M).

    x is read as its symmetric part. Where eigenvalues are equal, what depends on the single
    vectors has no derivative (inf or NaN). Raises LinAlgError where x is not square.

    >>> import engine
    >>> engine.linalg.eigh(engine.asarray([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    tensor([1., 3.], dtype=float32)
    """
    x = asarray(x)
    return EighResult(*_eigh_parts(RECORDING, apply(EIGH, (x,), {}), x))


def _eigvalsh_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    v = _eigh_parts(xp, applied(xp, EIGH, x), x)[1]
    return (v * g[..., None, :]) @ xp.matrix_transpose(v)


@op(
    vjp=(_eigvalsh_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    lift=unchanged,
)
def eigvalsh(xp: Any, x: Any, /) -> Any:
    """The eigenvalues (..., M) of symmetric matrices x (..., M, M), the least first.

    x is read as its symmetric part. A primitive for speed: without the vectors it takes less than
    half the time. Where eigenvalues are equal the derivative is that along one choice of vectors,
    the second derivative inf or NaN. Raises LinAlgError where x is not square.
    """
    return xp.linalg.eigvalsh(symmetric(xp, matrices(xp, x, square=True)))


# ---- singular values


class SVDResult(NamedTuple):
    """Left vectors as columns of U, singular values S, right vectors as rows of Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _svd(xp: Any, x: Any, /, *, full_matrices: bool) -> Any:
    found = xp.linalg.svd(matrices(xp, x), full_matrices=full_matrices)
    return packed(xp, found, x.shape[:-2])


def _svd_parts(xp: Any, whole: Any, x: Any, full_matrices: bool) -> list[Any]:
    """U, S and Vh, or their gradients, from what holds all three."""
    rows, columns = x.shape[-2:]
    least = min(rows, columns)
    left, right = (rows, columns) if full_matrices else (least, least)
    return unpacked(xp, whole, [(rows, left), (least,), (right, columns)])


def _thin(xp: Any, q: Any, g: Any, size: int) -> tuple[Any, Any]:
    """The first `size` columns of an orthogonal matrix, and the gradient of all as one of these.

    The others must stay orthogonal to them, so that dq2 = -q1 (q2^T dq1)^T.
    """
    if q.shape[-1] == size:
        return q, g
    q1, q2, g2 = q[..., :size], q[..., size:], g[..., size:]
    return q1, g[..., :size] - q2 @ (xp.matrix_transpose(g2) @ q1)


def _svd_vjp(xp: Any, g: Any, out: Any, x: Any, *, full_matrices: bool) -> list[Any]:
    """Townsend, Differentiating the singular value decomposition, 2016, equations (21) to (25).

    With s_j / (s_j^2 - s_i^2) and s_i / (s_j^2 - s_i^2) as sums of 1 / (s_j - s_i) and
    1 / (s_j + s_i), half each, whose squares cannot overflow.
    """
    u, s, vh = _svd_parts(xp, out, x, full_matrices)
    gu, gs, gvh = _svd_parts(xp, g, x, full_matrices)
    u, gu = _thin(xp, u, gu, s.shape[-1])
    v, gv = _thin(xp, xp.matrix_transpose(vh), xp.matrix_transpose(gvh), s.shape[-1])
    left, right = _rotation(xp, u, gu), _rotation(xp, v, gv)
    sums = s[..., None, :] + s[..., :, None] + ones_on_diagonal(xp, s)
    inner = over(xp, left + right, _gaps(xp, s)) + over(xp, left - right, sums)
    turned = xp.matrix_transpose(v)
    total = (u @ (0.5 * inner) + u * gs[..., None, :]) @ turned
    if u.shape[-2] > s.shape[-1]:  # out of the space that the columns of U span
        away = gu - u @ (xp.matrix_transpose(u) @ gu)
        total = total + over(xp, away, s[..., None, :]) @ turned
    if v.shape[-2] > s.shape[-1]:
        away = gv - v @ (turned @ gv)
        total = total + u @ xp.matrix_transpose(over(xp, away, s[..., None, :]))
    return [total]


SVD = Op("svd", _svd, _svd_vjp, lift=unchanged)  # not in the registry, as EIGH


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """U, S and Vh with x = U S Vh: (..., M, M), (..., K), (..., N, N) for x (..., M, N).

    K is min(M, N); without `full_matrices` U is (..., M, K) and Vh (..., K, N). Where singular
    values are equal, or 0 while M and N differ, what depends on the single vectors has no
    derivative (inf or NaN). The vectors that only `full_matrices` has are any basis of what is
    left: the derivative is right for what depends on that space and not on the basis.
    """
    x = asarray(x)
    whole = apply(SVD, (x,), {"full_matrices": full_matrices})
    return SVDResult(*_svd_parts(RECORDING, whole, x, full_matrices))


def _svdvals_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    u, _, vh = _svd_parts(xp, applied(xp, SVD, x, full_matrices=False), x, False)
    return (u * g[..., None, :]) @ vh


@op(
    vjp=(_svdvals_vjp,),
    examples=(
        Example((Draw((3, 3)),)),
        Example((Draw((3, 2)),)),
        Example((Draw((2, 2, 3)),)),
    ),
    lift=unchanged,
)
def svdvals(xp: Any, x: Any, /) -> Any:
    """The singular values (..., min(M, N)) of matrices x (..., M, N), the largest first.

    A primitive for speed: without the vectors it takes less than half the time. Where singular
    values are equal, or 0, the derivative is that along one choice of vectors, the second
    derivative inf or NaN.
    """
    return xp.linalg.svd(matrices(xp, x), compute_uv=False)


# ---- QR


class QRResult(NamedTuple):
    """Orthonormal columns Q and upper triangular R."""

    Q: Tensor
    R: Tensor


def _qr(xp: Any, x: Any, /, *, mode: str) -> Any:
    return packed(xp, xp.linalg.qr(matrices(xp, x), mode=mode), x.shape[:-2])


def _qr_parts(xp: Any, whole: Any, x: Any, mode: str) -> list[Any]:
    """Q and R, or their gradients, from what holds both."""
    rows, columns = x.shape[-2:]
    size = rows if mode == "complete" else min(rows, columns)
    return unpacked(xp, whole, [(rows, size), (size, columns)])


def _qr_vjp(xp: Any, g: Any, out: Any, x: Any, *, mode: str) -> list[Any]:
    """Roberts and Roberts, QR and LQ decomposition matrix backpropagation algorithms, 2020."""
    (q, r), (gq, gr) = _qr_parts(xp, out, x, mode), _qr_parts(xp, g, x, mode)
    size = min(x.shape[-2:])
    q, gq = _thin(xp, q, gq, size)
    r, gr = r[..., :size, :], gr[..., :size, :]
    if x.shape[-1] == size:
        return [_square_qr_vjp(xp, q, r, gq, gr)]
    # Wide: R = [R1, Q^T x2], and only the first columns of x have a say in Q.
    rest = gr[..., size:]
    gq = gq + x[..., size:] @ xp.matrix_transpose(rest)
    first = _square_qr_vjp(xp, q, r[..., :size], gq, gr[..., :size])
    return [xp.concat([first, q @ rest], axis=-1)]


def _square_qr_vjp(xp: Any, q: Any, r: Any, gq: Any, gr: Any) -> Any:
    """The gradient of x = Q R with square R, which is NaN where R is singular."""
    inner = r @ xp.matrix_transpose(gr) - xp.matrix_transpose(gq) @ q
    total = gq + q @ mirrored(xp, inner)
    return xp.matrix_transpose(solved(xp, r, xp.matrix_transpose(total)))


QR = Op("qr", _qr, _qr_vjp, lift=unchanged)  # not in the registry, as EIGH


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Q, R with x = Q R: (..., M, K), (..., K, N) for x (..., M, N) and K = min(M, N).

    `mode` ``"complete"`` gives (..., M, M), (..., M, N), where the last columns of Q are any basis
    of what is left, as in `svd`. The derivative is NaN where the first K columns of x are linearly
    dependent. Raises ValueError for another `mode`.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}")
    x = asarray(x)
    return QRResult(*_qr_parts(RECORDING, apply(QR, (x,), {"mode": mode}), x, mode))
