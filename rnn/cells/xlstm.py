"""Define cells of the xLSTM, with exponential gates and a stabiliser: scalar and matrix memories.

Source: Beck et al., xLSTM: extended long short-term memory, 2024.
"""

from typing import Any

import engine
from engine import Tensor, concat, exp, linear, maximum, sigmoid, softplus, split, tanh
from engine import sum as total
from engine.backends import HOST
from rnn.cells.base import Cell
from rnn.cells.memories import MatrixMemory
from rnn.modules.module import parameter, positive
from rnn.modules.values import lowest

Scalar = tuple[Tensor, Tensor, Tensor, Tensor]
Matrix = tuple[Tensor, Tensor, Tensor]
FORGETTING = ("sigmoid", "exp")


class SLSTMCell(Cell):
    """Compute c' = f c + i z, n' = f n + i, h' = o c' / n', i = exp(a_i): scalar memory of xLSTM.

    f is sigma(a_f), or exp(a_f) with `forget` "exp". Equations 8 to 17: the state is h, c e^-m,
    n e^-m and m, the largest exponent so far, all (B, H). `weight_ih` (4H, I), gate order i, f, z,
    o, `bias` (4H,), and `weight_hh` (heads, 4H / heads, H / heads): each head sees its own part of
    h. First values are those of the authors' code: `weight_ih` normal with variance 2 / 5I,
    `weight_hh` 0, `bias` 0 but for f, where it falls from 5 to -7 within a head by the power 0.3.
    The initial m is so low that nothing of the initial c and n counts. Source: Beck et al., xLSTM:
    extended long short-term memory, 2024, section 2.2 and appendix A. Raises ValueError for
    settings out of range.

    >>> import engine, rnn
    >>> y, (h, c, n, m) = rnn.SLSTMCell(3, 4, heads=2)(engine.ones((2, 3)))
    >>> c.shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 1,
        forget: str = "sigmoid",
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, heads=heads)
        if hidden_size % heads:
            raise ValueError(
                f"SLSTMCell: hidden_size {hidden_size} is not a multiple of heads {heads}"
            )
        if forget not in FORGETTING:
            raise ValueError(
                f"{type(self).__name__}: forget {forget!r}: expected one of {list(FORGETTING)}"
            )
        I, H, d, xp = input_size, hidden_size, hidden_size // heads, HOST.xp
        self.input_size, self.hidden_size, self.heads, self.forget = I, H, heads, forget
        self.weight_ih = parameter((4 * H, I), (2 / (5 * I)) ** 0.5, normal=True, dtype=dtype)
        self.weight_hh = parameter((heads, 4 * d, d), 0.0, dtype=dtype)
        self.bias = parameter((4 * H,), 0.0, dtype=dtype)
        with engine.no_grad():
            place = xp.tile(xp.arange(d) / max(d - 1, 1), heads)
            self.bias[H : 2 * H] = (5 - 12 * place**0.3).astype(self.bias.data.dtype)
        self.state_size = {"h": H, "c": H, "n": H, "m": H}

    def zero_state(self, batch: int, *, like: Tensor) -> Scalar:
        """Return zeros, and for m a number that is far below all exponents."""
        h, c, n, m = super().zero_state(batch, like=like)
        return h, c, n, lowest(m)

    def by_heads(self, h: Tensor) -> list[Tensor]:
        """Return what h (B, H) adds to each gate (B, H): each head sees its own part."""
        if self.heads == 1:
            return split(linear(h, self.weight_hh[0]), 4, axis=-1)
        parts = split(h, self.heads, axis=-1)
        v = [split(linear(one, self.weight_hh[k]), 4, axis=-1) for k, one in enumerate(parts)]
        return [concat(gate, axis=-1) for gate in zip(*v, strict=True)]

    def step(self, x: Tensor, state: Scalar) -> tuple[Tensor, Scalar]:
        """Map x (B, I), h, c, n and m (B, H) -> h' (B, H), (h', c', n', m')."""
        h, c, n, m = state
        u_i, u_f, u_z, u_o = split(linear(x, self.weight_ih, self.bias), 4, axis=-1)
        v_i, v_f, v_z, v_o = self.by_heads(h)
        a_i = u_i + v_i
        a_f = u_f + v_f
        z = tanh(u_z + v_z)
        o = sigmoid(u_o + v_o)
        log_f = a_f if self.forget == "exp" else -softplus(-a_f)
        p = maximum(log_f + m, a_i)
        i = exp(a_i - p)
        f = exp(log_f + m - p)
        c = f * c + i * z
        n = f * n + i
        h = o * (c / n)
        return h, (h, c, n, p)


class MLSTMCell(MatrixMemory):
    """Compute C' = f C + i k v^T, n' = f n + i k, y = o (C'^T q) / max(|n'^T q|, e^-m').

    q = W_q x + b_q, k = (W_k x + b_k) / sqrt(K), v = W_v x + b_v, o = sigmoid(W_o x + b_o). The
    gates are i = exp(u_i - m') and f = exp(p - m') with the stabiliser m' = max(p, u_i), where
    u_i = w_i x + b_i, p = m + w_f x + b_f (`forget` "exp") or m + log sigmoid(w_f x + b_f)
    ("sigmoid"), one a head: C e^m and n e^m are what the cell would hold without m. States C
    (B, K, V), n (B, K) and m (B, 1), with `heads` N > 1 C (B, N, K, V), n (B, N, K), m (B, N, 1);
    y (B, N V). b_f begins with 3 to 6 over the heads, b_i is normal with deviation 0.1, w_i and w_f
    are 0. The convolution, the norm and the projections of the block stay outside. Raises
    ValueError for another `forget`.

    Source: Beck et al., xLSTM: Extended long short-term memory, 2024, eq. 19 to 27, and 15 to 17.

    >>> import engine, rnn
    >>> y, (C, n, m) = rnn.MLSTMCell(3, 4, 5)(engine.ones((2, 3)))
    >>> y.shape, C.shape, n.shape, m.shape
    ((2, 5), (2, 4, 5), (2, 4), (2, 1))
    """

    def __init__(
        self,
        input_size: int,
        key_size: int,
        value_size: int | None = None,
        *,
        heads: int = 1,
        forget: str = "sigmoid",
        dtype: Any = None,
    ) -> None:
        if forget not in FORGETTING:
            raise ValueError(
                f"{type(self).__name__}: forget {forget!r}: expected one of {list(FORGETTING)}"
            )
        super().__init__(input_size, key_size, value_size, heads, dtype=dtype)
        N, K, V = heads, key_size, self.value_size
        self.forget = forget
        self.weight_o = self.made(V, dtype)
        kind = self.weight_v.dtype
        self.bias_q = engine.zeros(N * K, dtype=kind, requires_grad=True)
        self.bias_k = engine.zeros(N * K, dtype=kind, requires_grad=True)
        self.bias_v = engine.zeros(N * V, dtype=kind, requires_grad=True)
        self.bias_o = engine.zeros(N * V, dtype=kind, requires_grad=True)
        self.weight_i = engine.zeros((N, input_size), dtype=kind, requires_grad=True)
        self.weight_f = engine.zeros((N, input_size), dtype=kind, requires_grad=True)
        self.bias_i = parameter((N,), 0.1, normal=True, dtype=dtype)
        rates = HOST.xp.linspace(3.0, 6.0, N)
        self.bias_f = engine.asarray(rates, dtype=kind, requires_grad=True)
        self.state_size = {"C": self.by_heads(K, V), "n": self.by_heads(K), "m": self.by_heads(1)}

    def step(self, x: Tensor, state: Matrix) -> tuple[Tensor, Matrix]:
        """Map x (B, I), C (B, [N,] K, V), n (B, [N,] K), m (B, [N,] 1) to y (B, N V), states."""
        C, n, m = state
        q = self.cut(linear(x, self.weight_q, self.bias_q), self.key_size)
        k = self.cut(linear(x, self.weight_k, self.bias_k), self.key_size) * self.key_size**-0.5
        v = self.cut(linear(x, self.weight_v, self.bias_v), self.value_size)
        o = sigmoid(linear(x, self.weight_o, self.bias_o))
        u_i = self.cut(linear(x, self.weight_i, self.bias_i), 1)
        u_f = self.cut(linear(x, self.weight_f, self.bias_f), 1)
        p = (u_f if self.forget == "exp" else -softplus(-u_f)) + m
        m = maximum(p, u_i)
        i = exp(u_i - m)
        f = exp(p - m)
        C = f[..., None] * C + (i * k)[..., None] * v[..., None, :]
        n = f * n + i * k
        # Both sides of the quotient are multiplied by e^min(m, 0), so that e^-m cannot overflow,
        # and e^-m is e^-80 at least, so that a query of zeros reads 0 and not 0 / 0.
        s = exp(engine.minimum(m, 0.0))
        d = maximum(
            engine.abs(total(n * q, axis=-1, keepdims=True)) * s, exp(-engine.clip(m, 0.0, 80.0))
        )
        y = o * self.join(total(C * q[..., None], axis=-2) * s / d)
        return y, (C, n, m)
