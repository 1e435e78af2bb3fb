"""The simple recurrent unit. Source: Lei et al., Simple recurrent units for highly parallelizable
recurrence, 2018.
"""

import math

from engine import Tensor, linear, no_grad, sigmoid, split
from engine.checks import flag, is_real
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive


class SRUCell(Cell):
    """c' = f c + (1 - f) W x, h = r c' + (1 - r) alpha x, with gates f and r that see x and c.

    f = sigma(W_f x + v_f c + b_f), r = sigma(W_r x + v_r c + b_r): the version of 2018, equations 1
    to 4. Without `peephole` v is 0, as in the first version of 2017, and the state is linear in the
    one before it. Rows of `weight_ih` (3H, I): W, W_f, W_r; `weight_c` (2, H): v_f, v_r; `bias`
    (2, H): b_f, b_r. Where I is not H, W_s x with `weight_s` (H, I) stands for alpha x. Variances
    are 1 / I, half of it for W_f and W_r beside a peephole of 1/2, alpha^2 / I for W_s; b_f is 0,
    b_r is `highway_bias`, and alpha = sqrt(1 + 2 exp(highway_bias)). Source: Lei et al., Simple
    recurrent units for highly parallelizable recurrence, 2018, sections 3.1 and 3.2. Raises
    ValueError for settings out of range.

    >>> import engine, rnn
    >>> rnn.SRUCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peephole: bool = True,
        highway_bias: float = 0.0,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if not is_real(highway_bias) or not math.isfinite(highway_bias):
            raise ValueError(f"highway_bias must be a finite number, got {highway_bias!r}")
        H, k, half = hidden_size, math.sqrt(3 / input_size), math.sqrt(0.5)
        self.input_size, self.hidden_size = input_size, H
        self.alpha = math.sqrt(1 + 2 * math.exp(highway_bias))
        self.weight_ih = parameter((3 * H, input_size), k, dtype=dtype)
        self.weight_s = None
        if input_size != H:
            self.weight_s = parameter((H, input_size), k * self.alpha, dtype=dtype)
        self.weight_c = None
        if flag("peephole", peephole):
            self.weight_c = parameter((2, H), math.sqrt(3) * half, dtype=dtype)
        self.bias = parameter((2, H), 0.0, dtype=dtype)
        with no_grad():
            self.bias[1] = float(highway_bias)
            if self.weight_c is not None:
                self.weight_ih[H:] *= half
        self.state_size = {"c": H}

    def step(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), c (B, H) -> h (B, H), c' (B, H)."""
        n, a_f, a_r = split(linear(x, self.weight_ih), 3, axis=-1)
        v = self.weight_c
        f = sigmoid(a_f + self.bias[0] if v is None else a_f + v[0] * c + self.bias[0])
        r = sigmoid(a_r + self.bias[1] if v is None else a_r + v[1] * c + self.bias[1])
        c = f * c + (1 - f) * n
        s = self.alpha * x if self.weight_s is None else linear(x, self.weight_s)
        h = r * c + (1 - r) * s
        return h, c
