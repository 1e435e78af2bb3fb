"""The cells of ONNX's RNN, LSTM and GRU in full: any activations, clipping, coupled gates.

Above the activations; `onnx_weights.py` makes these where none of the plain cells will do.
"""

from collections.abc import Iterable
from typing import Any

import engine
from engine import Tensor, linear, split
from engine.checks import flag
from rnn.cells.lstm import State
from rnn.cells.pytorch import PyTorchCell
from rnn.interop.onnx_activations import DEFAULTS, activations
from rnn.modules.module import parameter


class OnnxCell(PyTorchCell):
    """Base class: PyTorch's parameters, activations by ONNX's names, and `clip`.

    An activation is a name, or a tuple of a name, alpha and beta: ``("LeakyRelu", 0.1)``. With
    `clip` the sums that go into the gates are held in [-clip, clip].
    """

    op: str

    def __init__(
        self,
        blocks: int,
        input_size: int,
        hidden_size: int,
        *,
        chosen: Iterable[Any] | None,
        clip: float | None,
        bias: bool,
        dtype: object,
    ) -> None:
        super().__init__(blocks, input_size, hidden_size, bias=bias, dtype=dtype)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip: expected a number above 0 or None, got {clip!r}")
        self.clip = clip
        self.activations = activations(self.op, chosen or DEFAULTS[self.op])
        self.state_size = {"h": hidden_size}

    def _held(self, a: Tensor) -> Tensor:
        return a if self.clip is None else engine.clip(a, -self.clip, self.clip)


class OnnxRNNCell(OnnxCell):
    """h' = f(W_ih x + b_ih + W_hh h + b_hh) with one activation f, tanh by default.

    Parameters as `ElmanCell`. Source: the ONNX operator RNN.

    >>> import engine, rnn
    >>> cell = rnn.interop.OnnxRNNCell(3, 5, activations=[("LeakyRelu", 0.1)])
    >>> cell(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    op, pure = "RNN", True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activations: Iterable[Any] | None = None,
        clip: float | None = None,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(1, input_size, hidden_size, chosen=activations, clip=clip,
                         bias=bias, dtype=dtype)  # fmt: skip

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        f = self.activations[0]
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        h = f(self._held(a))
        return h, h


class OnnxLSTMCell(OnnxCell):
    """i, f, o = f1(...), c' = f c + i f2(a_g), h' = o f3(c'), with activations f1, f2, f3.

    Gate order i, f, g, o, parameters as `LSTMCell`; with `peephole` also `weight_ch` (3, H) for i,
    f, o as in `PeepholeLSTMCell`. With `coupled` f = 1 - i, and its rows are left out of all
    parameters. c' is not clipped on its way into f3: as onnxruntime does, while the standard can
    be read otherwise. Source: the ONNX operator LSTM.

    >>> import engine, rnn
    >>> cell = rnn.interop.OnnxLSTMCell(3, 5, clip=1.0, coupled=True, peephole=True)
    >>> cell.weight_ih.shape, cell.weight_ch.shape
    ((15, 3), (2, 5))
    """

    op, pure = "LSTM", True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activations: Iterable[Any] | None = None,
        clip: float | None = None,
        coupled: bool = False,
        peephole: bool = False,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        coupled, peephole = flag("coupled", coupled), flag("peephole", peephole)
        blocks = 3 if coupled else 4
        super().__init__(blocks, input_size, hidden_size, chosen=activations, clip=clip,
                         bias=bias, dtype=dtype)  # fmt: skip
        H = hidden_size
        self.coupled = coupled
        self.weight_ch = parameter((blocks - 1, H), H**-0.5, dtype=dtype) if peephole else None
        self.state_size = {"h": H, "c": H}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h and c (B, H) -> h' (B, H), (h', c')."""
        h, c = state
        f1, f2, f3 = self.activations
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        if self.coupled:
            a_i, a_g, a_o = split(a, 3, axis=-1)
            i = f1(self._held(self._seen(a_i, 0, c)))
            f = 1 - i
        else:
            a_i, a_f, a_g, a_o = split(a, 4, axis=-1)
            i = f1(self._held(self._seen(a_i, 0, c)))
            f = f1(self._held(self._seen(a_f, 1, c)))
        g = f2(self._held(a_g))
        c = f * c + i * g
        o = f1(self._held(self._seen(a_o, 1 if self.coupled else 2, c)))
        h = o * f3(c)
        return h, (h, c)

    def _seen(self, a: Tensor, gate: int, c: Tensor) -> Tensor:
        """Return the sum that goes into a gate, with what it sees of the cell."""
        return a if self.weight_ch is None else a + self.weight_ch[gate] * c


class OnnxGRUCell(OnnxCell):
    """h' = (1 - z) n + z h with r, z = f1(...) and n = f2(...), with activations f1 and f2.

    With `reset_after` the reset gate falls on W_hn h + b_hn, parameters as `GRUCell`; without on h,
    parameters as `ResetBeforeGRUCell`. Source: the ONNX operator GRU.

    >>> import engine, rnn
    >>> cell = rnn.interop.OnnxGRUCell(3, 5, activations=["HardSigmoid", "Softsign"])
    >>> cell(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    op, pure = "GRU", True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        activations: Iterable[Any] | None = None,
        clip: float | None = None,
        reset_after: bool = False,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(3, input_size, hidden_size, chosen=activations, clip=clip,
                         bias=bias, dtype=dtype)  # fmt: skip
        self.reset_after = flag("reset_after", reset_after)
        if not reset_after:
            self.bias_hh = None

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        H = self.hidden_size
        f1, f2 = self.activations
        u_r, u_z, u_n = split(linear(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        if self.reset_after:
            v = linear(h, self.weight_hh, self.bias_hh)
            v_r, v_z, v_n = split(v, 3, axis=-1)
            r = f1(self._held(u_r + v_r))
            n = f2(self._held(u_n + r * v_n))
        else:
            v_r, v_z = split(linear(h, self.weight_hh[: 2 * H]), 2, axis=-1)
            r = f1(self._held(u_r + v_r))
            n = f2(self._held(u_n + linear(r * h, self.weight_hh[2 * H :])))
        z = f1(self._held(u_z + v_z))
        h = (1 - z) * n + z * h
        return h, h
