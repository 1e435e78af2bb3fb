"""Define the cells of ONNX's RNN, LSTM and GRU in full: any activations, clipping, coupled gates.

Activations are known by name, with their alpha and beta. `onnx_weights.py` makes these cells where
none of the plain ones will do.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor, linear, split
from engine.checks import flag
from rnn.cells.base import PyTorchCell
from rnn.cells.lstm import State
from rnn.modules.module import parameter


class Activation(NamedTuple):
    """Call a function by ONNX's name, with the numbers that it takes."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        given = [number for number in (self.alpha, self.beta) if number is not None]
        return KINDS[self.name].function(x, *given)


class Kind(NamedTuple):
    """Hold a function of x and the `takes` numbers alpha and beta, and what they are by default."""

    function: Callable[..., Tensor]
    takes: int = 0
    default: tuple[float, ...] = ()


# Affine, ScaledTanh and ThresholdedRelu have no default that the standard and its runtimes share.
KINDS = {
    "Sigmoid": Kind(engine.sigmoid),
    "Tanh": Kind(engine.tanh),
    "Relu": Kind(engine.relu),
    "Softsign": Kind(lambda x: x / (1.0 + engine.abs(x))),
    "Softplus": Kind(engine.softplus),
    "LeakyRelu": Kind(engine.leaky_relu, 1, (0.01,)),
    "Elu": Kind(engine.elu, 1, (1.0,)),
    "ThresholdedRelu": Kind(lambda x, alpha: engine.where(x >= alpha, x, 0.0), 1),
    "Affine": Kind(lambda x, alpha, beta: alpha * x + beta, 2),
    "ScaledTanh": Kind(lambda x, alpha, beta: alpha * engine.tanh(beta * x), 2),
    "HardSigmoid": Kind(
        lambda x, alpha, beta: engine.clip(alpha * x + beta, 0.0, 1.0), 2, (0.2, 0.5)
    ),
}
BY_LOWER_CASE = {name.lower(): name for name in KINDS}  # runtimes do not look at the case
SIGMOID, TANH, RELU = Activation("Sigmoid"), Activation("Tanh"), Activation("Relu")
DEFAULTS = {"RNN": (TANH,), "LSTM": (SIGMOID, TANH, TANH), "GRU": (SIGMOID, TANH)}


def chosen(op: str, given: Iterable[Any]) -> tuple[Activation, ...]:
    """Return the activations of one direction of an op: names, or tuples of a name, alpha and beta.
    Raises ValueError for unknown names, another number of them, missing or too many numbers.
    """
    made = tuple(_activation(one) for one in given)
    if len(made) != len(DEFAULTS[op]):
        raise ValueError(f"{op}: expected {len(DEFAULTS[op])} activations, got {len(made)}")
    return made


def _activation(given: Any) -> Activation:
    name, *numbers = (given,) if isinstance(given, str) else given
    if str(name).lower() not in BY_LOWER_CASE:
        raise ValueError(f"activation {name!r}: expected one of {list(KINDS)}")
    name = BY_LOWER_CASE[name.lower()]
    kind = KINDS[name]
    told = [float(number) for number in numbers if number is not None]
    told += kind.default[len(told) :]
    if len(told) != kind.takes:
        wanted = ("no numbers", "alpha", "alpha and beta")[kind.takes]
        raise ValueError(f"activation {name}: takes {wanted}, got {told}")
    return Activation(name, *told)


def from_attributes(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Activation]:
    """Return ONNX's three attributes as one: each function takes its alphas and betas. Raises
    ValueError for unknown names and where numbers are missing or left over.
    """
    waiting = [list(alphas), list(betas)]
    made = []
    for name in names:
        kind = KINDS.get(BY_LOWER_CASE.get(name.lower(), ""))
        numbers = []
        for place in range(kind.takes if kind else 0):  # unknown names are refused below
            if waiting[place]:
                numbers.append(waiting[place].pop(0))
            elif kind and kind.default:
                numbers.append(kind.default[place])
        made.append(_activation((name, *numbers)))
    if waiting[0] or waiting[1]:
        left = f"activation_alpha {waiting[0]}, activation_beta {waiting[1]}"
        raise ValueError(f"numbers that no activation of {list(names)} takes: {left}")
    return made


def to_attributes(made: Sequence[Activation]) -> dict[str, Any]:
    """Return ONNX's attributes for these activations."""
    told: dict[str, Any] = {"activations": [one.name for one in made]}
    alphas = [one.alpha for one in made if one.alpha is not None]
    betas = [one.beta for one in made if one.beta is not None]
    told |= {"activation_alpha": alphas} if alphas else {}
    return told | ({"activation_beta": betas} if betas else {})


class OnnxCell(PyTorchCell):
    """Serve as base class: hold PyTorch's parameters, activations by ONNX's names, and `clip`.

    An activation is a name, or a tuple of a name, alpha and beta: ``("LeakyRelu", 0.1)``. With
    `clip` the sums that go into the gates are held in [-clip, clip].
    """

    op: str
    _blocks = 1  # of rows, one a gate

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
        super().__init__(self._blocks, input_size, hidden_size, bias=bias, dtype=dtype)
        if clip is not None and not clip > 0:
            told = type(self).__name__
            raise ValueError(f"{told}: clip: expected a number above 0 or None, got {clip!r}")
        self.clip = clip
        self.activations = chosen(self.op, activations or DEFAULTS[self.op])
        self.state_size = {"h": hidden_size}

    def _held(self, a: Tensor) -> Tensor:
        return a if self.clip is None else engine.clip(a, -self.clip, self.clip)


class OnnxRNNCell(OnnxCell):
    """Compute h' = f(W_ih x + b_ih + W_hh h + b_hh) with one activation f, tanh by default.

    Parameters as `ElmanCell`. Source: the ONNX operator RNN.

    >>> import engine, rnn
    >>> cell = rnn.interop.OnnxRNNCell(3, 5, activations=[("LeakyRelu", 0.1)])
    >>> cell(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    op = "RNN"

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        f = self.activations[0]
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        h = f(self._held(a))
        return h, h


class OnnxLSTMCell(OnnxCell):
    """Compute i, f, o = f1(...), c' = f c + i f2(a_g), h' = o f3(c'), with activations f1, f2, f3.

    Gate order i, f, g, o, parameters as `LSTMCell`; with `peephole` also `weight_ch` (3, H) for i,
    f, o as in `PeepholeLSTMCell`. With `coupled` f = 1 - i, and its rows are left out of all
    parameters. c' is not clipped on its way into f3: as onnxruntime does, while the standard can
    be read otherwise. Source: the ONNX operator LSTM.

    >>> import engine, rnn
    >>> cell = rnn.interop.OnnxLSTMCell(3, 5, clip=1.0, coupled=True, peephole=True)
    >>> cell.weight_ih.shape, cell.weight_ch.shape
    ((15, 3), (2, 5))
    """

    op = "LSTM"

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
        coupled = flag("OnnxLSTMCell: coupled", coupled)
        peephole = flag("OnnxLSTMCell: peephole", peephole)
        blocks = self._blocks = 3 if coupled else 4
        super().__init__(input_size, hidden_size, activations=activations, clip=clip,
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
    """Compute h' = (1 - z) n + z h with r, z = f1(...) and n = f2(...), with activations f1 and f2.

    With `reset_after` the reset gate falls on W_hn h + b_hn, parameters as `GRUCell`; without on h,
    parameters as `ResetBeforeGRUCell`. Source: the ONNX operator GRU.

    >>> import engine, rnn
    >>> cell = rnn.interop.OnnxGRUCell(3, 5, activations=["HardSigmoid", "Softsign"])
    >>> cell(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    op = "GRU"
    _blocks = 3

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
        super().__init__(input_size, hidden_size, activations=activations, clip=clip,
                         bias=bias, dtype=dtype)  # fmt: skip
        self.reset_after = flag("OnnxGRUCell: reset_after", reset_after)
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
