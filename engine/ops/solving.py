"""Solve systems of linear equations, and invert matrices.

The functions that users call are in `engine.linalg`. Source of the derivatives where no other is
named: Giles, An extended collection of matrix derivative results, 2008. Above `matrices.py`.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.backends import HOST
from engine.node import Shape
from engine.op import Draw, Example, Op
from engine.ops.matrices import (
    LinAlgError,
    applied,
    finite,
    matrices,
)  # fmt: skip
from engine.ops.shaping import expand_dims, matrix_transpose, squeeze
from engine.ops.time_batching import Attrs, Shapes, over_matrices, unchanged
from engine.registry import composition, op
from engine.tensor import Tensor

__all__ = ["inv", "pinv", "solve"]

# ---- equations


def _strictly(xp: Any, function: Callable[..., Any], a: Any, *rest: Any) -> Any:
    """Return ``function(a, *rest)``. Raises LinAlgError with the first singular matrix of a."""
    try:
        out = function(a, *rest)
    except LinAlgError:
        out = None
    # Some devices say nothing of singular matrices, and what they return is not finite.
    if out is not None and (xp is HOST.xp or bool(xp.all(xp.isfinite(out)))):
        return out
    singular = xp.nonzero(xp.reshape(xp.linalg.det(a), (-1,)) == 0)[0]
    if out is not None and not len(singular):
        return out
    known = a.ndim > 2 and len(singular)
    which = f"matrix {int(singular[0])} of the batch" if known else "the matrix"
    raise LinAlgError(f"{which} is singular; pinv has a value for every matrix") from None


def quietly(xp: Any, a: Any, b: Any) -> Any:
    """Return solutions, of NaN where a matrix is singular."""
    try:
        return xp.linalg.solve(a, b)
    except LinAlgError:
        if a.ndim == 2:
            return xp.full_like(b, xp.nan)
    every = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
    return xp.stack([quietly(xp, *pair) for pair in every]).reshape(b.shape)


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
    time_batch=over_matrices,
)
def solve_(xp: Any, a: Any, b: Any, /, *, strict: bool = True) -> Any:
    """Return x with a x = b (what `solve` records); not `strict`: of NaN for singular a."""
    a, b = matrices(xp, a, square=True), matrices(xp, b)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"{a.shape[-1]} equations for {b.shape[-2]} rows on the right-hand side")
    batch = xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = xp.broadcast_to(a, (*batch, *a.shape[-2:]))
    b = xp.broadcast_to(b, (*batch, *b.shape[-2:]))
    return _strictly(xp, xp.linalg.solve, a, b) if strict else quietly(xp, a, b)


SOLVE: Op = solve_.op  # type: ignore[attr-defined]


def solved(xp: Any, a: Any, b: Any) -> Any:
    """Return x with a x = b, of NaN where a is singular, for a rule."""
    return applied(xp, SOLVE, a, b, strict=False)


@composition
def solve(x1: Any, x2: Any, /, *, left: bool = True) -> Tensor:
    """Return the solution x of x1 x = x2, for x2 (M,) or (..., M, K) and x1 (..., M, M).

    Not `left`: of x x1 = x2, for x2 (M,) or (..., K, M). Raises LinAlgError where x1 is singular or
    not square, ValueError where x2 does not fit.

    >>> engine.linalg.solve(engine.asarray([[2.0, 0.0], [0.0, 4.0]]), engine.ones(2))
    tensor([0.5 , 0.25], dtype=float32)
    """
    right = asarray(x2)
    if not left:
        x1 = matrix_transpose(x1)
        if right.ndim > 1:
            return matrix_transpose(solve_(x1, matrix_transpose(right)))
    if right.ndim != 1:
        return solve_(x1, right)
    return squeeze(solve_(x1, expand_dims(right, axis=-1)), -1)


def _inv_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    transposed = xp.matrix_transpose(out)
    return -(transposed @ g @ transposed)


@op(
    vjp=(_inv_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((3, 2, 2)),))),
    time_batch=unchanged,
)
def inv(xp: Any, x: Any, /) -> Any:
    """Return the inverse of square matrices (..., M, M); to solve equations, `solve` is better.

    Raises LinAlgError where a matrix is singular or not square.

    >>> engine.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return _strictly(xp, xp.linalg.inv, matrices(xp, x, square=True))


# ---- the inverse of any matrix


def _pinv_vjp(xp: Any, g: Any, out: Any, x: Any, rtol: Any = None) -> Any:
    """Follow Golub and Pereyra, The differentiation of pseudo-inverses, 1973."""
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
    examples=(Example((Draw((3, 2)),)), Example((Draw((2, 2, 3)),)), Example((Draw((3, 3)), 0.01))),
    time_batch=_ranked,
)
def pinv_(xp: Any, x: Any, rtol: Any = None, /) -> Any:
    """Return the pseudo-inverse (what `pinv` records)."""
    x = matrices(xp, x)
    if not x.size:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
    u, s, vh = xp.linalg.svd(finite(xp, x), full_matrices=False)
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
    """Return the Moore-Penrose pseudo-inverse (..., N, M) of matrices (..., M, N).

    Singular values of at most `rtol`, a number or one for each matrix, times the largest count as
    0; by default max(M, N) times the epsilon of the dtype. The derivative is that among matrices
    of the same rank: where a small change raises the rank there is none.

    >>> engine.linalg.pinv(engine.ones((3, 2))).shape
    (2, 3)
    """
    return pinv_(x, *(() if rtol is None else (rtol,)))


# ---- unit triangular matrices


def _unit_lower_inverse_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Return d X^-1 = -X^-1 dX X^-1, of the entries below the diagonal."""
    turned = xp.matrix_transpose(out)
    return xp.tril(-(turned @ g @ turned), k=-1)


@op(
    vjp=(_unit_lower_inverse_vjp,),
    examples=(Example((Draw((3, 3)),)), Example((Draw((2, 5, 5)),))),
    time_batch=unchanged,
    public=False,
)
def unit_lower_inverse(xp: Any, x: Any, /) -> Any:
    """Return (I + L)^-1 for L, the entries of x (..., C, C) below the diagonal.

    Blocks on the diagonal are inverted, then joined two by two until there is one: the inverse of
    [[A, 0], [B, D]] is [[A^-1, 0], [-D^-1 B A^-1, D^-1]]. That is as stable as substitution.
    """
    count = x.shape[-1]
    eye = xp.eye(count, dtype=x.dtype)
    position = xp.arange(count)
    out, width = xp.broadcast_to(eye, x.shape), 1
    while width < count:
        block = position // (2 * width)
        lower = position // width
        inside = (block[:, None] == block[None, :]) & (lower[:, None] > lower[None, :])
        out = out - out @ xp.where(inside, x, 0.0) @ out
        width *= 2
    return out
