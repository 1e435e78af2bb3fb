"""The simple recurrent network. Source: Elman, Finding structure in time, 1990."""

from engine import Tensor, linear, relu, tanh
from rnn.cells.base import Cell, bound
from rnn.module import parameter, positive

ACTIVATIONS = {"tanh": tanh, "relu": relu}


class ElmanCell(Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu, with PyTorch's names and layouts.

    `weight_ih` (H, I), `weight_hh` (H, H), `bias_ih` and `bias_hh` (H,).

    >>> import engine, rnn
    >>> y, h = rnn.ElmanCell(3, 5)(engine.ones((2, 3)))
    >>> y.shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if nonlinearity not in ACTIVATIONS:
            raise ValueError(f"nonlinearity {nonlinearity!r}: expected one of {list(ACTIVATIONS)}")
        H, k = hidden_size, bound(hidden_size)
        self.input_size, self.hidden_size, self.nonlinearity = input_size, H, nonlinearity
        self.state_size = {"h": H}
        self.weight_ih = parameter((H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((H, H), k, dtype=dtype)
        self.bias_ih = parameter((H,), k, dtype=dtype) if bias else None
        self.bias_hh = parameter((H,), k, dtype=dtype) if bias else None

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, I), h (B, H) -> h' (B, H), h'."""
        g = ACTIVATIONS[self.nonlinearity]
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        h = g(a)
        return h, h
