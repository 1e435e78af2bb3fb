"""The mLSTM of xLSTM: a matrix memory with exponential gates and a stabiliser."""

from typing import Any

import engine
from engine import Tensor, clip, exp, linear, maximum, minimum, sigmoid, softplus
from engine import sum as total
from engine.backends import HOST
from rnn.cells.memories.heads import MatrixMemory
from rnn.modules.module import parameter

State = tuple[Tensor, Tensor, Tensor]
FORGET = ("sigmoid", "exp")


class MLSTMCell(MatrixMemory):
    """C' = f C + i k v^T, n' = f n + i k, y = o (C'^T q) / max(|n'^T q|, e^-m').

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
        if forget not in FORGET:
            raise ValueError(f"forget {forget!r}: expected one of {list(FORGET)}")
        super().__init__(input_size, key_size, value_size, heads, dtype=dtype)
        N, K, V = heads, key_size, self.value_size
        self.forget = forget
        self.weight_o = self.made(V, dtype)
        kind = self.weight_v.dtype
        for name, width in (("q", N * K), ("k", N * K), ("v", N * V), ("o", N * V)):
            setattr(self, f"bias_{name}", engine.zeros(width, dtype=kind, requires_grad=True))
        self.weight_i = engine.zeros((N, input_size), dtype=kind, requires_grad=True)
        self.weight_f = engine.zeros((N, input_size), dtype=kind, requires_grad=True)
        self.bias_i = parameter((N,), 0.1, normal=True, dtype=dtype)
        rates = HOST.xp.linspace(3.0, 6.0, N)
        self.bias_f = engine.asarray(rates, dtype=kind, requires_grad=True)
        self.state_size = {"C": self.by_heads(K, V), "n": self.by_heads(K), "m": self.by_heads(1)}

    bias_q: Tensor
    bias_k: Tensor
    bias_v: Tensor
    bias_o: Tensor

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
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
        s = exp(minimum(m, 0.0))
        d = maximum(engine.abs(total(n * q, axis=-1, keepdims=True)) * s, exp(-clip(m, 0.0, 80.0)))
        y = o * self.join(total(C * q[..., None], axis=-2) * s / d)
        return y, (C, n, m)
