"""Long short-term memory. Source: Hochreiter and Schmidhuber, 1997, with the forget gate of
Gers, Schmidhuber and Cummins, 2000.
"""

from engine import Tensor, linear, no_grad, sigmoid, split, tanh
from engine.checks import is_whole
from rnn.cells.pytorch import PyTorchCell
from rnn.modules.module import parameter, positive

State = tuple[Tensor, Tensor]


class LSTMCell(PyTorchCell):
    """c' = f c + i g, h' = o tanh(c'), with PyTorch's names, layouts and gate order i, f, g, o.

    `weight_ih` (4H, I), `weight_hh` (4H, H), `bias_ih` and `bias_hh` (4H,). With `proj_size` P the
    state h is projected: h' = W_hr (o tanh(c')) with `weight_hr` (P, H), and `weight_hh` is
    (4H, P). `forget_bias` is what the forget gate's bias begins with, 1 being usual: then little is
    forgotten at first (Jozefowicz et al., 2015). Source of the projection: Sak et al., 2014. Raises
    ValueError for sizes and settings out of range.

    >>> import engine, rnn
    >>> y, (h, c) = rnn.LSTMCell(3, 5)(engine.ones((2, 3)))
    >>> c.shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        proj_size: int = 0,
        forget_bias: float | None = None,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if not is_whole(proj_size, 0):
            raise ValueError(f"proj_size: expected an integer of at least 0, got {proj_size!r}")
        if proj_size >= hidden_size > 0:
            raise ValueError(f"proj_size {proj_size} must be below hidden_size {hidden_size}")
        width = proj_size or hidden_size
        super().__init__(4, input_size, hidden_size, recurrent=width, bias=bias, dtype=dtype)
        k = hidden_size**-0.5
        self.weight_hr = parameter((proj_size, hidden_size), k, dtype=dtype) if proj_size else None
        self.proj_size = proj_size
        if forget_bias is not None:
            self._set_forget_bias(forget_bias)
        self.state_size = {"h": width, "c": hidden_size}

    def _set_forget_bias(self, value: float) -> None:
        if self.bias_ih is None or self.bias_hh is None:
            raise ValueError("forget_bias: this cell has no bias")
        H = self.hidden_size
        for bias, own in ((self.bias_ih, value), (self.bias_hh, 0.0)):
            with no_grad():
                bias[H : 2 * H] = own

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h and c (B, H) -> h' (B, H), (h', c')."""
        h, c = state
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        a_i, a_f, a_g, a_o = split(a, 4, axis=-1)
        i = sigmoid(a_i)
        f = sigmoid(a_f)
        g = tanh(a_g)
        o = sigmoid(a_o)
        c = f * c + i * g
        h = o * tanh(c)
        if self.weight_hr is not None:
            h = linear(h, self.weight_hr)
        return h, (h, c)
