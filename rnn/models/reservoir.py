"""Train read-outs in closed form, by ridge regression: those of echo state networks."""

import math
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import is_real, is_whole
from engine.scan.padding import read_lengths
from rnn.cells import EchoStateCell
from rnn.layers.recurrent import Recurrent
from rnn.modules.feedforward import Linear
from rnn.modules.module import Module

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
        raise ValueError(f"ridge: expected at least one example, got x {x.shape} and y {y.shape}")
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


class EchoStateNetwork(Module):
    """Run a reservoir of H units and a linear read-out, ``(x, state=None, lengths=None)``.

    x (T, B, I) to y (T, B, O) and the state (B, H). `fit_ridge` finds the weights of the read-out;
    they are the only ones that training by gradients changes too. Further options are
    those of `EchoStateCell`.

    >>> import engine, rnn
    >>> x = engine.sin(0.3 * engine.arange(200.0))[:, None, None]
    >>> net = rnn.EchoStateNetwork(1, 50, 1)
    >>> net.fit_ridge(x[:-1], x[1:], washout=20) < 1e-6  # what comes next
    True
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, *, dtype: Any = None,
        **options: Any,
    ) -> None:  # fmt: skip
        cell = EchoStateCell(input_size, hidden_size, dtype=dtype, **options)
        self.reservoir = Recurrent(cell)
        self.head = Linear(hidden_size, output_size, dtype=dtype)

    def forward(
        self, x: Any, state: Any = None, lengths: Any = None, *, mask: Any = None
    ) -> tuple[Tensor, Any]:
        h, state = self.reservoir(x, state, lengths, mask=mask)
        return self.head(h), state

    def fit_ridge(
        self, x: Any, y: Any, *, lengths: Any = None, penalty: float = 1e-6, washout: int = 0
    ) -> float:
        """Set the read-out to that with the least squared error; return its mean over x and y.

        x (T, B, I) and y (T, B, O); the first `washout` steps of each row and those beyond its
        `lengths` (B,) do not count. See `rnn.ridge` for the penalty. Raises ValueError for a
        washout that leaves no step, and other shapes.
        """
        if not is_whole(washout, 0):
            raise ValueError(
                f"fit_ridge: washout must be an integer of at least 0, got {washout!r}"
            )
        with engine.no_grad():
            h = self.reservoir(x, None, lengths)[0].numpy()
        y, xp = engine.asarray(y).numpy(), HOST.xp
        outputs = self.head.weight.shape[0]
        if y.shape != (*h.shape[:2], outputs):
            raise ValueError(
                f"fit_ridge: expected y (T, B, O) {(*h.shape[:2], outputs)}, got {y.shape}"
            )
        ends = xp.full(h.shape[1], len(h))
        if lengths is not None:
            ends = read_lengths("fit_ridge", lengths, *h.shape[:2])
        steps = xp.arange(len(h))[:, None]
        counts = (steps >= washout) & (steps < ends[None, :])
        if not counts.any():
            raise ValueError(f"fit_ridge: a washout of {washout} leaves no step of {len(h)}")
        weight, bias = ridge(h[counts], y[counts], penalty)
        for own, values in ((self.head.weight, weight), (self.head.bias, bias)):
            assert own is not None
            own.data = engine.asarray(values, dtype=own.dtype, device=own.device).data
        error = h[counts] @ weight.T + bias - y[counts]
        return float(xp.mean(error * error))
