"""The recurrent highway network: several layers of gates between one step and the next."""

import math

from engine import Tensor, linear, no_grad, sigmoid, split, tanh
from engine.checks import is_real
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive


class RHNCell(Cell):
    """s <- t n + (1 - t) s, `depth` times a step, with n = tanh(W_n x + R_n s + b_n) and
    t = sigma(W_t x + R_t s + b_t); x enters the first layer alone.

    The recurrent highway network with its carry gate coupled to t. Gate order n, t: `weight_ih`
    (2H, I), `weight_hh` (depth, 2H, H), `bias` (depth, 2H), uniform in +-1 / sqrt(H), but that b_t
    begins as `gate_bias`: below 0 it lets a layer carry its state on. Source: Zilly et al.,
    Recurrent highway networks, 2017, equations 6 to 9.

    >>> import engine, rnn
    >>> rnn.RHNCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        depth: int = 2,
        gate_bias: float = -2.0,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, depth=depth)
        if not is_real(gate_bias) or not math.isfinite(gate_bias):
            raise ValueError(f"gate_bias must be a finite number, got {gate_bias!r}")
        H, k = hidden_size, hidden_size**-0.5
        self.input_size, self.hidden_size, self.depth = input_size, H, depth
        self.weight_ih = parameter((2 * H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((depth, 2 * H, H), k, dtype=dtype)
        self.bias = parameter((depth, 2 * H), k, dtype=dtype)
        with no_grad():
            self.bias[:, H:] = float(gate_bias)
        self.state_size = {"s": H}

    def step(self, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (B, I), s (B, H) -> s' (B, H), s'."""
        u = linear(x, self.weight_ih)
        for layer in range(self.depth):
            v = linear(s, self.weight_hh[layer], self.bias[layer])
            a_n, a_t = split(v + u if layer == 0 else v, 2, axis=-1)
            n = tanh(a_n)
            t = sigmoid(a_t)
            s = t * n + (1 - t) * s
        return s, s
