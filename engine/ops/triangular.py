"""Write matrices as products with a triangular one: Cholesky and QR.

`engine.linalg` offers them; Q and R are one node, packed. Above `decompositions.py`.
"""

from typing import Any, NamedTuple

from engine.apply import apply, asarray
from engine.arguments import public
from engine.backends import HOST
from engine.op import Draw, Example, Op
from engine.ops.decompositions import thin
from engine.ops.matrices import LinAlgError, matrices, mirrored, packed, symmetric, unpacked
from engine.ops.shaping import matrix_transpose
from engine.ops.solving import solved
from engine.ops.time_batching import unchanged
from engine.registry import RECORDING, composition, op
from engine.tensor import Tensor

__all__ = ["QRResult", "cholesky", "qr"]

# ---- Cholesky


def _cholesky_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Follow Murray, Differentiation of the Cholesky decomposition, 2016, equation (8)."""
    upper = xp.matrix_transpose(out)
    half = solved(xp, upper, mirrored(xp, upper @ g))
    return 0.5 * xp.matrix_transpose(solved(xp, upper, xp.matrix_transpose(half)))


@op(
    vjp=(_cholesky_vjp,),
    examples=(
        Example((Draw((3, 3), -0.75, 4.0),)),  # drawn so that they are positive definite
        Example((Draw((2, 2, 2), -0.5, 3.5),)),
    ),
    time_batch=unchanged,
)
def cholesky_(xp: Any, x: Any, /) -> Any:
    """Return the lower triangular factors (what `cholesky` records)."""
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
    """Return L, lower triangular, x = L L^T for positive definite x (..., M, M); L^T if `upper`.

    x is read as its symmetric part. Raises LinAlgError if it is not square, positive definite.

    >>> engine.linalg.cholesky(engine.asarray([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]], dtype=float32)
    """
    lower = cholesky_(x)
    return matrix_transpose(lower) if upper else lower


# ---- QR


class QRResult(NamedTuple):
    """Hold orthonormal columns Q and upper triangular R."""

    Q: Tensor
    R: Tensor


def _qr(xp: Any, x: Any, /, *, mode: str) -> Any:
    return packed(xp, xp.linalg.qr(matrices(xp, x), mode=mode), x.shape[:-2])


def _qr_parts(xp: Any, whole: Any, x: Any, mode: str) -> list[Any]:
    """Return Q and R, or their gradients, from what holds both."""
    rows, columns = x.shape[-2:]
    size = rows if mode == "complete" else min(rows, columns)
    return unpacked(xp, whole, [(rows, size), (size, columns)])


def _qr_vjp(xp: Any, g: Any, out: Any, x: Any, *, mode: str) -> list[Any]:
    """Follow Roberts and Roberts, QR and LQ decomposition matrix backpropagation, 2020."""
    (q, r), (gq, gr) = _qr_parts(xp, out, x, mode), _qr_parts(xp, g, x, mode)
    size = min(x.shape[-2:])
    q, gq = thin(xp, q, gq, size)
    r, gr = r[..., :size, :], gr[..., :size, :]
    if x.shape[-1] == size:
        return [_square_qr_vjp(xp, q, r, gq, gr)]
    # Wide: R = [R1, Q^T x2], and only the first columns of x have a say in Q.
    rest = gr[..., size:]
    gq = gq + x[..., size:] @ xp.matrix_transpose(rest)
    first = _square_qr_vjp(xp, q, r[..., :size], gq, gr[..., :size])
    return [xp.concat([first, q @ rest], axis=-1)]


def _square_qr_vjp(xp: Any, q: Any, r: Any, gq: Any, gr: Any) -> Any:
    """Return the gradient of x = Q R with square R, which is NaN where R is singular."""
    inner = r @ xp.matrix_transpose(gr) - xp.matrix_transpose(gq) @ q
    total = gq + q @ mirrored(xp, inner)
    return xp.matrix_transpose(solved(xp, r, xp.matrix_transpose(total)))


QR = Op("qr", _qr, _qr_vjp, time_batch=unchanged)  # not in the registry, as SVD


@public
def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Return Q, R with x = Q R: (..., M, K), (..., K, N) for x (..., M, N) and K = min(M, N).

    `mode` ``"complete"`` gives (..., M, M), (..., M, N), where the last columns of Q are any basis
    of what is left, as in `svd`. The derivative is NaN where the first K columns of x are linearly
    dependent. Raises ValueError for another `mode`.

    >>> [part.shape for part in engine.linalg.qr(engine.ones((3, 2)))]
    [(3, 2), (2, 2)]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}")
    x = asarray(x)
    return QRResult(*_qr_parts(RECORDING, apply(QR, (x,), {"mode": mode}), x, mode))
