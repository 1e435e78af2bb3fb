"""The selective state space of Mamba. Source: Gu and Dao, Mamba: linear-time sequence modeling with
selective state spaces, 2023.
"""

import math
from typing import Any

from engine import Tensor, exp, expm1, linear, log, silu, softplus
from engine import sum as total
from engine.backends import HOST
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive
from rnn.modules.values import drawn, fixed, whole


class MambaCell(Cell):
    """h' = exp(Delta A) h + Delta B x, y = C h' + D x, with Delta, B and C of the input: S6.

    Each channel of x (B, I) has N = `order` numbers of state, h (B, I, N). `weight_x`
    (rank + 2N, I) makes d, B, C of x; Delta = softplus(W_Delta d + b_Delta) with `weight_Delta`
    (I, rank), `rank` being I / 16 rounded up; A = -exp(A_log) (I, N); `D` (I,). Algorithm 2, with B
    discretised as the authors' code does it, Delta B, and A as in equation 4. At first A is -1 to
    -N in each channel (S4D-Real), D is 1, Delta from 0.001 to 0.1, its logarithm uniform.
    With `window` k of at least 2, u = silu(b + sum_j w_j s_j) in the place of x is the block's
    causal convolution of each channel: s_0 is the input, and the states `s_1` to `s_k-1` (B, I) are
    the inputs before it; `weight_conv` (k, I), `bias_conv` (I,). The block's projections and its
    gate stay outside.
    Source: Gu and Dao, Mamba, 2023, sections 3.2 to 3.6. Raises ValueError for sizes out of range.

    >>> import engine, rnn
    >>> y, h = rnn.MambaCell(3, 4)(engine.ones((2, 3)))
    >>> y.shape, h.shape, list(rnn.MambaCell(3, 4, window=3).state_size)
    ((2, 3), (2, 3, 4), ['h', 's_1', 's_2'])
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        order: int = 16,
        *,
        rank: int | None = None,
        window: int = 1,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, order=order, window=window)
        I, N = input_size, order
        R = math.ceil(I / 16) if rank is None else whole("MambaCell", "rank", rank)
        self.input_size, self.order, self.rank, self.window = I, N, R, window
        self.weight_conv = None
        self.bias_conv = None
        if window > 1:
            self.weight_conv = parameter((window, I), window**-0.5, dtype=dtype)
            self.bias_conv = parameter((I,), window**-0.5, dtype=dtype)
        self.weight_x = parameter((R + 2 * N, I), I**-0.5, dtype=dtype)
        self.weight_Delta = parameter((I, R), R**-0.5, dtype=dtype)
        low, high = math.log(0.001), math.log(0.1)
        self.bias_Delta = drawn((I,), low, high, lambda p: log(expm1(exp(p))), dtype=dtype)
        self.A_log = fixed(HOST.xp.log(HOST.xp.arange(1.0, N + 1)[None].repeat(I, 0)), dtype=dtype)
        self.D = fixed(HOST.xp.ones(I), dtype=dtype)
        self.state_size = {"h": (I, N)} | {f"s_{j}": I for j in range(1, window)}

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map x (B, I), h (B, I, N), and shifts (B, I) of x, to y (B, I), h' (B, I, N)."""
        R, N = self.rank, self.order
        h, *s = state if self.window > 1 else (state,)
        s = [x, *s]
        u = x
        if self.weight_conv is not None and self.bias_conv is not None:
            shifted = (self.weight_conv[j] * s_j for j, s_j in enumerate(s))
            u = silu(sum(shifted, start=self.bias_conv))
        a = linear(u, self.weight_x)
        d, B, C = a[:, :R], a[:, R : R + N], a[:, R + N :]
        Delta = softplus(linear(d, self.weight_Delta, self.bias_Delta))
        A = -exp(self.A_log)
        h = exp(Delta[:, :, None] * A) * h + (Delta * u)[:, :, None] * B[:, None, :]
        y = total(h * C[:, None, :], axis=-1) + self.D * u
        return y, (h, *s[:-1]) if self.window > 1 else h
