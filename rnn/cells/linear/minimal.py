"""The minimal GRU and LSTM: their gates see the input only. Source: Feng et al., Were RNNs all we
needed?, 2024.
"""

from engine import Tensor, linear, sigmoid, softplus, split, where
from engine.checks import flag
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive


class _MinimalCell(Cell):
    """Parameters for `gates` gates: `weight_ih` (gates H, I), `bias` (gates H,), or none."""

    gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        above_zero: bool = False,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        H, k = hidden_size, input_size**-0.5
        self.input_size, self.hidden_size = input_size, H
        self.weight_ih = parameter((self.gates * H, input_size), k, dtype=dtype)
        self.bias = parameter((self.gates * H,), k, dtype=dtype) if flag("bias", bias) else None
        self.above_zero = flag("above_zero", above_zero)
        self.state_size = {"h": H}

    def candidate(self, a: Tensor) -> Tensor:
        """Return a as it is, or g(a) of appendix B, which is above 0."""
        return where(a >= 0, a + 0.5, sigmoid(a)) if self.above_zero else a


class MinGRUCell(_MinimalCell):
    """h' = (1 - z) h + z n with z = sigma(W_z x + b_z) and n = W_n x + b_n.

    `weight_ih` (2H, I), gate order z, n, and `bias` (2H,), uniform in +-1 / sqrt(I). With
    `above_zero` n = g(W_n x + b_n), where g(a) is a + 1/2 from 0 up and sigma(a) below: the form
    that the paper takes the logarithm of. Source: Feng et al., Were RNNs all we needed?, 2024,
    section 3.1 and appendix B.

    >>> import engine, rnn
    >>> rnn.MinGRUCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    pure = True
    gates = 2

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        a_z, a_n = split(linear(x, self.weight_ih, self.bias), 2, axis=-1)
        z = sigmoid(a_z)
        n = self.candidate(a_n)
        h = (1 - z) * h + z * n
        return h, h


class MinLSTMCell(_MinimalCell):
    """h' = f h + i n with gates that add up to 1: f = s_f / (s_f + s_i), i = s_i / (s_f + s_i).

    s_f = sigma(W_f x + b_f), s_i = sigma(W_i x + b_i), n = W_n x + b_n. Written as f = sigma(-d),
    i = sigma(d) with d = log s_i - log s_f, which holds where both of the s underflow.
    `weight_ih` (3H, I), gate order f, i, n, and `bias` (3H,), uniform in +-1 / sqrt(I);
    `above_zero` as for `MinGRUCell`. Source: Feng et al., Were RNNs all we needed?, 2024, section
    3.2 and appendix B.

    >>> import engine, rnn
    >>> rnn.MinLSTMCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    pure = True
    gates = 3

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        a_f, a_i, a_n = split(linear(x, self.weight_ih, self.bias), 3, axis=-1)
        d = softplus(-a_f) - softplus(-a_i)
        f = sigmoid(-d)
        i = sigmoid(d)
        n = self.candidate(a_n)
        h = f * h + i * n
        return h, h
