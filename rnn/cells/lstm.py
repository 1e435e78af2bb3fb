"""Long short-term memory. Source: Hochreiter and Schmidhuber, 1997, with the forget gate of
Gers, Schmidhuber and Cummins, 2000.
"""

from engine import Tensor, linear, sigmoid, split, tanh
from rnn.cells.base import PyTorchCell

State = tuple[Tensor, Tensor]


class LSTMCell(PyTorchCell):
    """c' = f c + i g, h' = o tanh(c'), with PyTorch's names, layouts and gate order i, f, g, o.

    `weight_ih` (4H, I), `weight_hh` (4H, H), `bias_ih` and `bias_hh` (4H,).

    >>> import engine, rnn
    >>> y, (h, c) = rnn.LSTMCell(3, 5)(engine.ones((2, 3)))
    >>> c.shape
    (2, 5)
    """

    pure = True

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool = True, dtype: object = None
    ) -> None:
        super().__init__(4, input_size, hidden_size, bias=bias, dtype=dtype)
        self.state_size = {"h": hidden_size, "c": hidden_size}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """x (B, I), h and c (B, H) -> h' (B, H), (h', c')."""
        h, c = state
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        a_i, a_f, a_g, a_o = split(a, 4, axis=-1)
        i = sigmoid(a_i)
        f = sigmoid(a_f)
        g = tanh(a_g)
        o = sigmoid(a_o)
        c = f * c + i * g
        h = o * tanh(c)
        return h, (h, c)
