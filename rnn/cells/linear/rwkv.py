"""RWKV-4. Source: Peng et al., RWKV: reinventing RNNs for the transformer era, 2023."""

import math

from engine import Tensor, exp, linear, maximum, sigmoid
from engine.backends import HOST
from rnn.cells.base import Cell
from rnn.initializers import orthogonal
from rnn.modules.module import parameter, positive
from rnn.modules.values import fixed, lowest

State = tuple[Tensor, Tensor, Tensor, Tensor]


class RWKV4Cell(Cell):
    """wkv = (a + e^(u + k) v) / (b + e^(u + k)), a' = e^-w a + e^k v, b' = e^-w b + e^k.

    The weighted mean of all v so far, with a bonus u for the newest: equation 16. The state is
    a e^-m, b e^-m and m, the largest exponent so far, as in the appendix, and s, the input before
    x (B, I): x mixed with it makes r, k and v (equations 11 to 13), and y = W_o (sigma(r) wkv) is
    (B, I). w = exp(w_log), `w_log` and `u` (H,); `mu_r`, `mu_k` and `mu_v` (I,); `weight_r`,
    `weight_k` and `weight_v` (H, I), `weight_o` (I, H). The initial m is so low that nothing of the
    initial a and b counts. First values are those of the authors' first layer: of the matrices W_v
    is orthogonal and the others 0, which asks for the sum x + y that the block has around the cell;
    layers on each other without it never learn. Source: Peng et al., RWKV: reinventing RNNs for the
    transformer era, 2023, section 3.1 and appendix. Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> y, (a, b, m, s) = rnn.RWKV4Cell(3, 5)(engine.ones((2, 3)))
    >>> y.shape, a.shape, s.shape
    ((2, 3), (2, 5), (2, 3))
    """

    def __init__(self, input_size: int, hidden_size: int, *, dtype: object = None) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        I, H, xp = input_size, hidden_size, HOST.xp
        self.input_size, self.hidden_size = I, H
        share = xp.arange(I) / I
        self.mu_r = fixed(share**0.5, dtype=dtype)
        self.mu_k = fixed(share, dtype=dtype)
        self.mu_v = fixed(share, dtype=dtype)
        self.weight_r = parameter((H, I), 0.0, dtype=dtype)
        self.weight_k = parameter((H, I), 0.0, dtype=dtype)
        self.weight_v = orthogonal(parameter((H, I), dtype=dtype), max(1.0, H / I) ** 0.5)
        self.weight_o = parameter((I, H), 0.0, dtype=dtype)
        self.w_log = fixed(8 * (xp.arange(H) / max(H - 1, 1)) ** 0.7 - 5, dtype=dtype)
        self.u = fixed(math.log(0.3) + 0.5 * ((xp.arange(H) + 1) % 3 - 1), dtype=dtype)
        self.state_size = {"a": H, "b": H, "m": H, "s": I}

    def zero_state(self, batch: int, *, like: Tensor) -> State:
        """Return zeros, and for m a number that is far below all exponents."""
        a, b, m, s = super().zero_state(batch, like=like)
        return a, b, lowest(m), s

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x and s (B, I), a, b and m (B, H) -> y (B, I), (a', b', m', x)."""
        a, b, m, s = state
        r = linear(self.mu_r * x + (1 - self.mu_r) * s, self.weight_r)
        k = linear(self.mu_k * x + (1 - self.mu_k) * s, self.weight_k)
        v = linear(self.mu_v * x + (1 - self.mu_v) * s, self.weight_v)
        w = exp(self.w_log)
        q = maximum(m, self.u + k)
        old = exp(m - q)
        new = exp(self.u + k - q)
        wkv = (old * a + new * v) / (old * b + new)
        y = linear(sigmoid(r) * wkv, self.weight_o)
        p = maximum(m - w, k)
        f = exp(m - w - p)
        i = exp(k - p)
        a = f * a + i * v
        b = f * b + i
        return y, (a, b, p, x)
