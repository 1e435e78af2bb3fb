"""The independently recurrent network. Source: Li et al., Independently recurrent neural network,
2018.
"""

from engine import Tensor, linear
from engine.checks import flag
from rnn.cells.activations import activation
from rnn.cells.base import Cell
from rnn.cells.elman import Activation
from rnn.modules.module import parameter, positive


class IndRNNCell(Cell):
    """h' = g(W x + u h + b): each unit sees only its own past.

    `weight_ih` (H, I), `weight_hh` (H,), `bias` (H,); g is relu by default. The Jacobian
    dh'/dh is diagonal, so a unit's gradient over t steps is u^t times the slopes of g. Raises
    ValueError for sizes below 1.

    >>> import engine, rnn
    >>> rnn.IndRNNCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Activation = "relu",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        H, k = hidden_size, hidden_size**-0.5
        self.input_size, self.hidden_size = input_size, H
        self.weight_ih = parameter((H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((H,), 1.0, dtype=dtype)
        self.bias = parameter((H,), k, dtype=dtype) if flag("bias", bias) else None
        activation(nonlinearity)  # refused here if it is none
        self.nonlinearity = nonlinearity
        self.state_size = {"h": H}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        g = activation(self.nonlinearity)
        h = g(linear(x, self.weight_ih, self.bias) + self.weight_hh * h)
        return h, h
