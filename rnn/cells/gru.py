"""The gated recurrent unit. Source: Cho et al., Learning phrase representations using RNN
encoder-decoder, 2014; reset-after form as in cuDNN and PyTorch.
"""

from engine import Tensor, linear, sigmoid, split, tanh
from engine.checks import flag
from rnn.cells.pytorch import PyTorchCell


class GRUCell(PyTorchCell):
    """h' = (1 - z) n + z h with n = tanh(W_in x + b_in + r (W_hn h + b_hn)).

    With `take_new` z is the share of the new, h' = z n + (1 - z) h, as some textbooks have it.

    PyTorch's names, layouts and gate order r, z, n: `weight_ih` (3H, I), `weight_hh` (3H, H),
    `bias_ih` and `bias_hh` (3H,). Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> y, h = rnn.GRUCell(3, 5)(engine.ones((2, 3)))
    >>> h.shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        take_new: bool = False,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(3, input_size, hidden_size, bias=bias, dtype=dtype)
        self.take_new = flag("take_new", take_new)
        self.state_size = {"h": hidden_size}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        u = linear(x, self.weight_ih, self.bias_ih)
        v = linear(h, self.weight_hh, self.bias_hh)
        u_r, u_z, u_n = split(u, 3, axis=-1)
        v_r, v_z, v_n = split(v, 3, axis=-1)
        r = sigmoid(u_r + v_r)
        z = sigmoid(u_z + v_z)
        n = tanh(u_n + r * v_n)
        h = z * n + (1 - z) * h if self.take_new else (1 - z) * n + z * h
        return h, h
