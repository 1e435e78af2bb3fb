"""Define long short-term memory and its variants. Source: Hochreiter and Schmidhuber, 1997, with
the forget gate of Gers, Schmidhuber and Cummins, 2000.
"""

from engine import Tensor, layer_norm, linear, no_grad, sigmoid, split, tanh
from engine.checks import flag, is_whole
from rnn.cells.base import PyTorchCell
from rnn.modules.module import parameter, positive

State = tuple[Tensor, Tensor]


class LSTMCell(PyTorchCell):
    """Compute c' = f c + i g, h' = o tanh(c') with PyTorch's names, layouts, gate order i, f, g, o.

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
            raise ValueError(
                f"LSTMCell: proj_size {proj_size} must be below hidden_size {hidden_size}"
            )
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
            raise ValueError("LSTMCell: forget_bias sets a bias, bias=False leaves none; give one")
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


class PeepholeLSTMCell(PyTorchCell):
    """Compute an LSTM with gates that see the cell: i and f the old c, o the new one.

    i = sigma(a_i + p_i c), f = sigma(a_f + p_f c), c' = f c + i tanh(a_g),
    h' = sigma(a_o + p_o c') tanh(c'). `weight_ch` holds the peepholes of i, f and o: (3, H), or
    with `full` whole matrices (3H, H). All else as `LSTMCell`. Source: Gers, Schraudolph and
    Schmidhuber, Learning precise timing with LSTM recurrent networks, 2002. Raises ValueError for
    sizes below 1.

    >>> import engine, rnn
    >>> y, (h, c) = rnn.PeepholeLSTMCell(3, 5)(engine.ones((2, 3)))
    >>> c.shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        full: bool = False,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(4, input_size, hidden_size, bias=bias, dtype=dtype)
        H = hidden_size
        self.full = flag("full", full)
        self.weight_ch = parameter((3 * H, H) if full else (3, H), H**-0.5, dtype=dtype)
        self.state_size = {"h": H, "c": H}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h and c (B, H) -> h' (B, H), (h', c')."""
        h, c = state
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        a_i, a_f, a_g, a_o = split(a, 4, axis=-1)
        i = sigmoid(a_i + self._peep(0, c))
        f = sigmoid(a_f + self._peep(1, c))
        g = tanh(a_g)
        c = f * c + i * g
        o = sigmoid(a_o + self._peep(2, c))
        h = o * tanh(c)
        return h, (h, c)

    def _peep(self, gate: int, c: Tensor) -> Tensor:
        if not self.full:
            return self.weight_ch[gate] * c
        H = self.hidden_size
        return linear(c, self.weight_ch[gate * H : (gate + 1) * H])


class CoupledLSTMCell(PyTorchCell):
    """Compute an LSTM that forgets exactly as much as it takes in: i = 1 - f.

    Gate order f, g, o: `weight_ih` (3H, I), `weight_hh` (3H, H), biases (3H,).

    >>> import engine, rnn
    >>> y, (h, c) = rnn.CoupledLSTMCell(3, 5)(engine.ones((2, 3)))
    >>> c.shape
    (2, 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, bias: bool = True, dtype: object = None
    ) -> None:
        super().__init__(3, input_size, hidden_size, bias=bias, dtype=dtype)
        self.state_size = {"h": hidden_size, "c": hidden_size}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h and c (B, H) -> h' (B, H), (h', c')."""
        h, c = state
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        a_f, a_g, a_o = split(a, 3, axis=-1)
        f = sigmoid(a_f)
        g = tanh(a_g)
        o = sigmoid(a_o)
        c = f * c + (1 - f) * g
        h = o * tanh(c)
        return h, (h, c)


class LayerNormLSTMCell(PyTorchCell):
    """Compute an LSTM with pre-activations and cell normalised over the units.

    a = LN(W_ih x) + LN(W_hh h) + b, c' = f c + i g, h' = o tanh(LN(c')). `gain_ih` and `gain_hh`
    (4H,), `gain_c` and `bias_c` (H,); one bias (4H,). Source: Ba, Kiros and Hinton, Layer
    normalization, 2016.

    >>> import engine, rnn
    >>> y, (h, c) = rnn.LayerNormLSTMCell(3, 5)(engine.ones((2, 3)))
    >>> c.shape
    (2, 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, eps: float = 1e-5, dtype: object = None
    ) -> None:
        super().__init__(4, input_size, hidden_size, bias=False, dtype=dtype)
        H = hidden_size
        self.eps = eps
        self.gain_ih = parameter((4 * H,), 0.0, dtype=dtype, centre=1.0)
        self.gain_hh = parameter((4 * H,), 0.0, dtype=dtype, centre=1.0)
        self.gain_c = parameter((H,), 0.0, dtype=dtype, centre=1.0)
        self.bias = parameter((4 * H,), 0.0, dtype=dtype)
        self.bias_c = parameter((H,), 0.0, dtype=dtype)
        self.state_size = {"h": H, "c": H}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h and c (B, H) -> h' (B, H), (h', c')."""
        h, c = state
        u = layer_norm(linear(x, self.weight_ih), self.gain_ih, self.bias, eps=self.eps)
        a = u + layer_norm(linear(h, self.weight_hh), self.gain_hh, eps=self.eps)
        a_i, a_f, a_g, a_o = split(a, 4, axis=-1)
        i = sigmoid(a_i)
        f = sigmoid(a_f)
        g = tanh(a_g)
        o = sigmoid(a_o)
        c = f * c + i * g
        h = o * tanh(layer_norm(c, self.gain_c, self.bias_c, eps=self.eps))
        return h, (h, c)
