"""Read-outs in closed form: ridge regression. Below the models."""

import math
from typing import Any

import engine
from engine.backends import HOST, Array
from engine.checks import is_real

ROWS = 4096  # that are taken in at a time


def ridge(x: Any, y: Any, penalty: float = 1e-6) -> tuple[Array, Array]:
    """Return weight (O, F) and bias (O,) with the least |x W^T + b - y|^2 + `penalty` |W|^2.

    x (..., F) and y (..., O) have the same leading axes, all of which are examples. The result is
    float64, by a QR decomposition of blocks of rows and singular values, never by products of x
    with itself, so that a small penalty counts; with a penalty of 0 it is the shortest of the best
    weights. Raises ValueError for other shapes, no examples, NaN or inf, and a negative penalty.

    >>> W, b = ridge([[0.0], [1.0], [2.0]], [[1.0], [3.0], [5.0]], 0.0)
    >>> W.round(6).tolist(), b.round(6).tolist()
    ([[2.0]], [1.0])
    """
    if not is_real(penalty) or not 0 <= penalty < math.inf:
        raise ValueError(f"ridge: penalty must be a number of at least 0, got {penalty!r}")
    xp = HOST.xp
    x, y = (engine.asarray(one).numpy() for one in (x, y))
    if x.ndim < 1 or y.ndim < 1 or x.shape[:-1] != y.shape[:-1]:
        raise ValueError(f"ridge: expected x (..., F) and y (..., O) with the same leading axes, "
                         f"got {x.shape} and {y.shape}")  # fmt: skip
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    if not len(x):
        raise ValueError("ridge: no examples")
    ones = xp.ones((len(x), 1))
    r = _triangle(xp.concatenate([ones, x, y], axis=1, dtype="float64"))
    # Below the row of the ones there is what is left of x and y without their means.
    F, means = x.shape[1], r[0, 1:] / r[0, 0]
    u, s, vt = xp.linalg.svd(r[1:, 1 : F + 1], full_matrices=False)
    kept = s > (s.max() if s.size else 0.0) * max(len(x), F) * xp.finfo("float64").eps
    s = xp.where(kept, s, 1.0)
    gain = xp.where(kept, s / (s * s + penalty), 0.0)
    weight = (vt.T @ (gain[:, None] * (u.T @ r[1:, F + 1 :]))).T
    return weight, means[F:] - weight @ means[:F]


def _triangle(rows: Array) -> Array:
    """Return R (C, C) of rows (n, C) = QR, block by block. Raises ValueError for NaN or inf."""
    xp, C = HOST.xp, rows.shape[1]
    r = xp.zeros((C, C))
    for first in range(0, len(rows), ROWS):
        block = rows[first : first + ROWS]
        if not xp.all(xp.isfinite(block)):
            raise ValueError("ridge: x or y has numbers that are not finite")
        r = xp.linalg.qr(xp.concatenate([r, block]), mode="r")
    return r
