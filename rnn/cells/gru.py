"""Define the gated recurrent unit, and smaller gated units. Sources: Cho et al., Learning phrase
representations using RNN encoder-decoder, 2014; the reset-after form as in cuDNN and PyTorch.
"""

from engine import Tensor, linear, sigmoid, split, tanh
from engine.checks import flag
from rnn.cells.base import PyTorchCell


class GRUCell(PyTorchCell):
    """Compute h' = (1 - z) n + z h with n = tanh(W_in x + b_in + r (W_hn h + b_hn)).

    With `take_new` z is the share of the new, h' = z n + (1 - z) h, as some textbooks have it.

    PyTorch's names, layouts and gate order r, z, n: `weight_ih` (3H, I), `weight_hh` (3H, H),
    `bias_ih` and `bias_hh` (3H,). Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> y, h = rnn.GRUCell(3, 5)(engine.ones((2, 3)))
    >>> h.shape
    (2, 5)
    """

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


class ResetBeforeGRUCell(PyTorchCell):
    """Compute h' = (1 - z) n + z h with n = tanh(W_in x + W_hn (r h) + b_n): the original GRU.

    `weight_ih` (3H, I), `weight_hh` (3H, H), gate order r, z, n; one bias (3H,). With `take_new`
    z is the share of the new: h' = z n + (1 - z) h, as in textbooks.
    Source: Cho et al., 2014, version 1.

    >>> import engine, rnn
    >>> rnn.ResetBeforeGRUCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

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
        self.bias_hh = None
        self.take_new = flag("take_new", take_new)
        self.state_size = {"h": hidden_size}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        H = self.hidden_size
        u_r, u_z, u_n = split(linear(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        v_r, v_z = split(linear(h, self.weight_hh[: 2 * H]), 2, axis=-1)
        r = sigmoid(u_r + v_r)
        z = sigmoid(u_z + v_z)
        n = tanh(u_n + linear(r * h, self.weight_hh[2 * H :]))
        h = z * n + (1 - z) * h if self.take_new else (1 - z) * n + z * h
        return h, h


class OneGateGRUCell(PyTorchCell):
    """Compute c' = u n + (1 - u) c with n = tanh(W_c [c, x] + b_c) and u = sigma(W_u [c, x] + b_u).

    The simplified GRU of the textbooks. Gate order n, u: `weight_ih` (2H, I), `weight_hh` (2H, H),
    one bias (2H,). Source: Ng, Sequence models, 2017.

    >>> import engine, rnn
    >>> rnn.OneGateGRUCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool = True, dtype: object = None
    ) -> None:
        super().__init__(2, input_size, hidden_size, bias=bias, dtype=dtype)
        self.bias_hh = None
        self.state_size = {"c": hidden_size}

    def step(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), c (B, H) -> c' (B, H), c'."""
        a = linear(x, self.weight_ih, self.bias_ih) + linear(c, self.weight_hh)
        a_n, a_u = split(a, 2, axis=-1)
        n = tanh(a_n)
        u = sigmoid(a_u)
        c = u * n + (1 - u) * c
        return c, c


class MinimalGatedCell(PyTorchCell):
    """Compute h' = (1 - f) h + f n, f = sigma(W_f [h, x] + b_f), n = tanh(W_n [f h, x] + b_n).

    The minimal gated unit. Gate order f, n: `weight_ih` (2H, I), `weight_hh` (2H, H), one bias
    (2H,). Source: Zhou et al., Minimal gated unit for recurrent neural networks, 2016.

    >>> import engine, rnn
    >>> rnn.MinimalGatedCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool = True, dtype: object = None
    ) -> None:
        super().__init__(2, input_size, hidden_size, bias=bias, dtype=dtype)
        self.bias_hh = None
        self.state_size = {"h": hidden_size}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        H = self.hidden_size
        u_f, u_n = split(linear(x, self.weight_ih, self.bias_ih), 2, axis=-1)
        f = sigmoid(u_f + linear(h, self.weight_hh[:H]))
        n = tanh(u_n + linear(f * h, self.weight_hh[H:]))
        h = (1 - f) * h + f * n
        return h, h
