"""Systems of linear equations: solve, inverses, determinants, powers of matrices.

The functions that users call are in `engine.linalg`. Source of the derivatives where no other is
named: Giles, An extended collection of matrix derivative results, 2008. Above `matrices.py`.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.apply import asarray
from engine.backends import HOST
from engine.node import Shape
from engine.op import Draw, Example, Op
from engine.ops.creation import eye, ones
from engine.ops.elementwise import where
from engine.ops.lifting import Attrs, Shapes, over_matrices, unchanged
from engine.ops.matrices import (
    LinAlgError,
    applied,
    check,
    matrices,
    ones_on_diagonal,
    packed,
    unpacked,
)  # fmt: skip
from engine.ops.products import matmul
from engine.ops.shaping import expand_dims, squeeze
from engine.registry import RECORDING, composition, op
from engine.tensor import Tensor

__all__ = ["SlogdetResult", "det", "inv", "matrix_power", "pinv", "slogdet", "solve"]

# ---- equations


def _strictly(xp: Any, function: Callable[..., Any], a: Any, *rest: Any) -> Any:
    """``function(a, *rest)``. Raises LinAlgError with the first matrix of a that is singular."""
    try:
        out = function(a, *rest)
    except LinAlgError:
        out = None
    # Some devices say nothing of singular matrices, and what they return is not finite.
    if out is not None and (xp is HOST.xp or bool(xp.all(xp.isfinite(out)))):
        return out
    nought = xp.nonzero(xp.reshape(xp.linalg.det(a), (-1,)) == 0)[0]
    if out is not None and not len(nought):
        return out
    which = f"matrix {int(nought[0])} of the batch" if a.ndim > 2 and len(nought) else "the matrix"
    raise LinAlgError(f"{which} is singular; pinv has a value for every matrix") from None


def _quietly(xp: Any, a: Any, b: Any) -> Any:
    """Solutions, of NaN where a matrix is singular."""
    try:
        return xp.linalg.solve(a, b)
    except LinAlgError:
        if a.ndim == 2:
            return xp.full_like(b, xp.nan)
    every = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
    return xp.stack([_quietly(xp, *pair) for pair in every]).reshape(b.shape)


def _solve_vjp_left(xp: Any, g: Any, out: Any, a: Any, b: Any, *, strict: bool = True) -> Any:
    return -_solve_vjp_right(xp, g, out, a, b) @ xp.matrix_transpose(out)


def _solve_vjp_right(xp: Any, g: Any, out: Any, a: Any, b: Any, *, strict: bool = True) -> Any:
    return solved(xp, xp.matrix_transpose(a), g)


@op(
    # Batch axes that were broadcast are summed by the backward pass.
    vjp=(_solve_vjp_left, _solve_vjp_right),
    examples=(
        Example((Draw((3, 3)), Draw((3, 2)))),
        Example((Draw((2, 1, 2, 2)), Draw((3, 2, 1)))),
        Example((Draw((3, 3)), Draw((2, 3, 1))), {"strict": False}),
    ),
    lift=over_matrices,
)
def solve_(xp: Any, a: Any, b: Any, /, *, strict: bool = True) -> Any:
    """x with a x = b (what `solve` records); not `strict`: of NaN for singular a."""
    a, b = matrices(xp, a, square=True), matrices(xp, b)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"{a.shape[-1]} equations for {b.shape[-2]} rows on the right-hand side")
    batch = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = xp.broadcast_to(a, (*batch, *a.shape[-2:]))
    b = xp.broadcast_to(b, (*batch, *b.shape[-2:]))
    return _strictly(xp, xp.linalg.solve, a, b) if strict else _quietly(xp, a, b)


SOLVE: Op = solve_.op  # type: ignore[attr-defined]


def solved(xp: Any, a: Any, b: Any) -> Any:
    """Inside of a rule: x with a x = b, of NaN where a is singular."""
    return applied(xp, SOLVE, a, b, strict=False)


@composition
def solve(x1: Any, x2: Any, /) -> Tensor:
    """The solution x of x1 x = x2, for x2 (M,) or (..., M, K) and x1 (..., M, M).

    Raises LinAlgError where x1 is singular or not square, ValueError where x2 does not fit.

    >>> import engine
    >>> engine.linalg.solve(engine.asarray([[2.0, 0.0], [0.0, 4.0]]), engine.ones(2))
    tensor([0.5 , 0.25], dtype=float32)
    """
    right = asarray(x2)
    if right.ndim != 1:
        return solve_(x1, right)
    return squeeze(solve_(x1, expand_dims(right, axis=-1)), -1)


def _inv_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    transposed = xp.matrix_transpose(out)
    return -(transposed @ g @ transposed)


@op(
    vjp=(_inv_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((3, 2, 2)),))),
    lift=unchanged,
)
def inv(xp: Any, x: Any, /) -> Any:
    """The inverse of square matrices (..., M, M); to solve equations, `solve` is better.

    Raises LinAlgError where a matrix is singular or not square.
    """
    return _strictly(xp, xp.linalg.inv, matrices(xp, x, square=True))


# ---- the inverse of any matrix


def _pinv_vjp(xp: Any, g: Any, out: Any, x: Any, rtol: Any = None) -> Any:
    """Golub and Pereyra, The differentiation of pseudo-inverses, 1973."""
    turned, back = xp.matrix_transpose(out), xp.matrix_transpose(g)
    wide = back @ (out @ turned)  # (M, M)
    tall = (turned @ out) @ back  # (M, M) of the other side
    return -(turned @ g @ turned) + wide - x @ (out @ wide) + tall - tall @ out @ x


def _ranked(attrs: Attrs, shapes: Shapes, shape: Shape, steps: int) -> Attrs:
    least = shapes[1] if len(shapes) > 1 else None
    if least is not None and len(least) != len(shape) - 2:
        raise ValueError(f"rtol {least} is not one for each matrix")
    return attrs


@op(
    vjp=(_pinv_vjp, None),
    examples=(
        Example((Draw((3, 2)),)),
        Example((Draw((2, 2, 3)),)),
        Example((Draw((3, 3)), 0.01)),
    ),
    lift=_ranked,
)
def pinv_(xp: Any, x: Any, rtol: Any = None, /) -> Any:
    """The pseudo-inverse (what `pinv` records)."""
    x = matrices(xp, x)
    if not x.size:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(xp.finfo(x.dtype).eps)
    least = xp.max(s, axis=-1, keepdims=True) * (
        rtol[..., None] if hasattr(rtol, "shape") else rtol
    )
    kept = s > least
    s = xp.where(kept, 1.0 / xp.where(kept, s, 1.0), 0.0)
    return xp.matrix_transpose(vh) @ (s[..., None] * xp.matrix_transpose(u))


@composition
def pinv(x: Any, /, *, rtol: Any = None) -> Tensor:
    """The Moore-Penrose pseudo-inverse (..., N, M) of matrices (..., M, N).

    Singular values of at most `rtol`, a number or one for each matrix, times the largest count as
    0; by default max(M, N) times the epsilon of the dtype. The derivative is that among matrices
    of the same rank: where a small change raises the rank there is none.
    """
    return pinv_(x, *(() if rtol is None else (rtol,)))


# ---- determinants


def _cofactors_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """From d(det(x) x^-T), with the derivatives of det and inverse; NaN where x is singular."""
    inverse = xp.matrix_transpose(solved(xp, x, ones_on_diagonal(xp, x)))
    inner = xp.sum(g * out, axis=(-2, -1), keepdims=True)
    return inner * inverse - inverse @ xp.matrix_transpose(g) @ out


@op(
    vjp=(_cofactors_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    lift=unchanged,
    public=False,
)
def cofactors(xp: Any, x: Any, /) -> Any:
    """The derivative of the determinant: det(x) x^-T, and its limit where x is singular."""
    x = matrices(xp, x, square=True)
    det = xp.linalg.det(x)[..., None, None]
    inverse = _quietly(xp, x, xp.broadcast_to(xp.eye(x.shape[-1], dtype=x.dtype), x.shape))
    out = det * xp.matrix_transpose(inverse)
    singular = (det == 0) & xp.all(xp.isfinite(x), axis=(-2, -1), keepdims=True)
    if not bool(xp.any(singular)):
        return out
    return xp.where(singular, _limits(xp, xp.where(singular, x, 1.0)), out)


def _limits(xp: Any, x: Any) -> Any:
    """Cofactors where any singular value may be 0: cof(U S V^T) = cof(U) cof(S) cof(V)^T."""
    u, s, vh = xp.linalg.svd(x)
    one = xp.eye(s.shape[-1], dtype=bool)
    others = xp.prod(xp.where(one, 1.0, s[..., None, :]), axis=-1)  # of all but each
    signs = xp.linalg.det(u) * xp.linalg.det(vh)
    return signs[..., None, None] * ((u * others[..., None, :]) @ vh)


COFACTORS: Op = cofactors.op  # type: ignore[attr-defined]


@op(
    vjp=(lambda xp, g, out, x: g[..., None, None] * applied(xp, COFACTORS, x),),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    lift=unchanged,
)
def det(xp: Any, x: Any, /) -> Any:
    """The determinants (...) of square matrices (..., M, M).

    The derivative, the cofactors, is right for singular matrices too; the second derivative is NaN
    there. Raises LinAlgError for matrices that are not square.
    """
    return xp.linalg.det(matrices(xp, x, square=True))


class SlogdetResult(NamedTuple):
    """The sign of each determinant, and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


def _slogdet_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    inverse = solved(xp, x, ones_on_diagonal(xp, x))
    return g[..., 1][..., None, None] * xp.matrix_transpose(inverse)


@op(
    vjp=(_slogdet_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 2, 2)),))),
    lift=unchanged,
)
def slogdet_(xp: Any, x: Any, /) -> Any:
    """Sign and logarithm of the determinants side by side (what `slogdet` records)."""
    found = xp.linalg.slogdet(matrices(xp, x, square=True))
    return packed(xp, [part[..., None] for part in found], x.shape[:-2])


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign and log |det x| (...) of square matrices (..., M, M), where det would overflow.

    Of a singular matrix they are 0 and -inf, and the derivative is NaN. The sign has the
    derivative 0. Raises LinAlgError for matrices that are not square.
    """
    return SlogdetResult(*unpacked(RECORDING, slogdet_(x), [(), ()]))


# ---- powers


@composition
def matrix_power(x: Any, n: int, /) -> Tensor:
    """The product of n square matrices x (..., M, M), of inverses for negative n.

    By repeated squaring, in 2 log2(n) products at most. Raises TypeError for an n that is no
    integer, LinAlgError where x is not square, or singular and n negative.
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
