"""The simple recurrent network. Source: Elman, Finding structure in time, 1990."""

from collections.abc import Callable

from engine import Tensor, linear
from rnn.cells.activations import activation
from rnn.cells.pytorch import PyTorchCell

Activation = str | Callable[[Tensor], Tensor]


class ElmanCell(PyTorchCell):
    """h' = g(W_ih x + b_ih + W_hh h + b_hh), with PyTorch's names and layouts.

    `weight_ih` (H, I), `weight_hh` (H, H), `bias_ih` and `bias_hh` (H,). g is ``"tanh"``,
    ``"relu"``, another name, or any function.

    >>> import engine, rnn
    >>> y, h = rnn.ElmanCell(3, 5)(engine.ones((2, 3)))
    >>> y.shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Activation = "tanh",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(1, input_size, hidden_size, bias=bias, dtype=dtype)
        activation(nonlinearity)  # refused here if it is none
        self.nonlinearity = nonlinearity
        self.state_size = {"h": hidden_size}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        g = activation(self.nonlinearity)
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        h = g(a)
        return h, h
