"""First values of parameters: what to draw them from, and by which pattern of names.

Each function fills a parameter at once, ``orthogonal(x)``, or without one is the same with its
settings to come later: ``initialize(module, {"weight_hh*": orthogonal(gain=2.0)})``. All values
follow from `engine.seed`, alike on all devices. A parameter is given a new array. Above layers.
"""

import math
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import wraps
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import is_real, is_whole
from rnn.cells import CoupledLSTMCell, LayerNormLSTMCell, LSTMCell, PeepholeLSTMCell
from rnn.layers import LSTM
from rnn.module import Module

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}

# Which of the stacked gates forgets, and how many there are.
FORGET_GATES: dict[type[Module], tuple[int, int]] = {
    LSTM: (1, 4),
    LSTMCell: (1, 4),
    PeepholeLSTMCell: (1, 4),
    CoupledLSTMCell: (0, 3),
    LayerNormLSTMCell: (1, 4),
}
BIAS = re.compile(r"bias(_ih|_hh)?(?:_l\d+(?:_reverse)?)?")


def _initializer(fill: Callable[..., Array]) -> Callable[..., Any]:
    """`fill(shape, ...)` as a function of a parameter, or of settings alone."""
    name = fill.__name__

    @wraps(fill)
    def outer(*arguments: Any, **settings: Any) -> Any:
        if arguments and isinstance(arguments[0], Tensor):
            x, *rest = arguments
            if x.dtype.kind != "f":
                raise TypeError(f"{name}: a parameter of floats is needed, got {x.dtype}")
            values = fill(x.shape, *rest, **settings)
            x.data = engine.asarray(values, dtype=x.dtype, device=x.device).data
            return x

        def later(x: Tensor) -> Tensor:
            if not isinstance(x, Tensor):
                raise TypeError(f"{name}: expected a Tensor, got {type(x).__name__}")
            return outer(x, *arguments, **settings)  # type: ignore[no-any-return]

        return later

    return outer


def _generator() -> Any:
    return engine.random.generator("initializer", engine.random.birth())


def _number(name: str, least: float = -math.inf, **settings: Any) -> None:
    for setting, value in settings.items():
        if not is_real(value) or not (math.isfinite(value) and float(value) >= least):
            bound = "" if least == -math.inf else f" of at least {least:g}"
            raise ValueError(f"{name}: {setting} must be a finite number{bound}, got {value!r}")


# ---- without regard to shape


@_initializer
def constant(shape: tuple[int, ...], value: float) -> Array:
    """Every element `value`."""
    _number("constant", value=value)
    return HOST.xp.full(shape, value, dtype="float64")


@_initializer
def zeros(shape: tuple[int, ...]) -> Array:
    """Every element 0."""
    return HOST.xp.zeros(shape)


@_initializer
def uniform(shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
    """Uniform in [low, high)."""
    _number("uniform", low=low, high=high)
    if low > high:
        raise ValueError(f"uniform: low {low!r} is above high {high!r}")
    return _generator().uniform(low, high, shape)


@_initializer
def normal(shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> Array:
    """Normal, of that mean and standard deviation."""
    _number("normal", mean=mean)
    _number("normal", 0, std=std)
    return _generator().normal(mean, std, shape)


# ---- by the number of inputs and outputs


def _fans(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of a weight (out, in, ...)."""
    if len(shape) < 2 or not math.prod(shape):
        raise ValueError(f"{name}: a weight (out, in) is needed, got shape {shape}; "
                         "give biases zeros or constant(value)")  # fmt: skip
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _spread(name: str, shape: tuple[int, ...], std: float) -> Array:
    """Values of that standard deviation: uniform or normal, as the name ends."""
    if name.endswith("uniform"):
        return _generator().uniform(-std * math.sqrt(3), std * math.sqrt(3), shape)
    return _generator().normal(0.0, std, shape)


def _xavier(name: str, shape: tuple[int, ...], gain: float) -> Array:
    _number(name, 0, gain=gain)
    return _spread(name, shape, gain * math.sqrt(2 / sum(_fans(name, shape))))


@_initializer
def xavier_uniform(shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """Uniform with variance 2 gain^2 / (inputs + outputs), for a weight (out, in, ...).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, 2010.
    """
    return _xavier("xavier_uniform", shape, gain)


@_initializer
def xavier_normal(shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """Normal with variance 2 gain^2 / (inputs + outputs): see `xavier_uniform`."""
    return _xavier("xavier_normal", shape, gain)


glorot_uniform, glorot_normal = xavier_uniform, xavier_normal


def _kaiming(name: str, shape: tuple[int, ...], nonlinearity: str, a: float, mode: str) -> Array:
    _number(name, a=a)
    if nonlinearity != "leaky_relu" and nonlinearity not in GAINS:
        known = [*GAINS, "leaky_relu"]
        raise ValueError(f"{name}: nonlinearity must be one of {known}, got {nonlinearity!r}")
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    gain = GAINS.get(nonlinearity, math.sqrt(2 / (1 + a * a)))
    fan = _fans(name, shape)[mode == "fan_out"]
    return _spread(name, shape, gain / math.sqrt(fan))


@_initializer
def kaiming_uniform(
    shape: tuple[int, ...], nonlinearity: str = "relu", a: float = 0.0, mode: str = "fan_in"
) -> Array:
    """Uniform with variance gain^2 / inputs, the gain being that of what follows: 2 for relu.

    `nonlinearity` is "linear", "sigmoid", "tanh", "relu", "selu" or "leaky_relu" with slope `a`;
    `mode` "fan_out" counts outputs. Source: He et al., Delving deep into rectifiers, 2015; the
    gains are PyTorch's.
    """
    return _kaiming("kaiming_uniform", shape, nonlinearity, a, mode)


@_initializer
def kaiming_normal(
    shape: tuple[int, ...], nonlinearity: str = "relu", a: float = 0.0, mode: str = "fan_in"
) -> Array:
    """Normal with variance gain^2 / inputs: see `kaiming_uniform`."""
    return _kaiming("kaiming_normal", shape, nonlinearity, a, mode)


kaiming = kaiming_normal


# ---- for recurrent weights


def _orthogonal(name: str, shape: tuple[int, ...], gates: int, gain: float) -> Array:
    """`gates` blocks of rows, each with orthonormal rows or columns, times `gain`."""
    _number(name, gain=gain)
    if not is_whole(gates, 1):
        raise ValueError(f"{name}: gates must be a positive integer, got {gates!r}")
    if len(shape) < 2 or not math.prod(shape) or shape[0] % gates:
        needed = f"({gates} * rows, columns)" if gates > 1 else "(rows, columns)"
        raise ValueError(f"{name}: a weight {needed} is needed, got shape {shape}")
    xp, rows, columns = HOST.xp, shape[0] // gates, math.prod(shape[1:])
    drawn = _generator().normal(size=(gates, max(rows, columns), min(rows, columns)))
    q, r = xp.linalg.qr(drawn)
    # Signs as of a diagonal above 0: then all orthogonal matrices are equally likely.
    q = q * xp.where(xp.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[:, None, :]
    if rows < columns:
        q = xp.swapaxes(q, -1, -2)
    return (gain * q).reshape(shape)


@_initializer
def orthogonal(shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """A random orthogonal matrix times `gain`; orthonormal rows or columns where it is not square.

    Dimensions after the first count as columns. Source: Saxe, McClelland and Ganguli, Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks, 2014.
    """
    return _orthogonal("orthogonal", shape, 1, gain)


@_initializer
def orthogonal_per_gate(shape: tuple[int, ...], gates: int, gain: float = 1.0) -> Array:
    """`orthogonal` for each of the stacked gates of a weight (gates * rows, columns)."""
    return _orthogonal("orthogonal_per_gate", shape, gates, gain)


@_initializer
def identity(shape: tuple[int, ...], scale: float = 1.0) -> Array:
    """The identity times `scale`, for the recurrent weight (H, H) of a simple network with relu.

    Source: Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified
    linear units, 2015.
    """
    _number("identity", scale=scale)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"identity: a square matrix is needed, got shape {shape}")
    return scale * HOST.xp.eye(shape[0])


# ---- modules


def initialize(module: Module, patterns: Mapping[str, Callable[[Tensor], Any]]) -> None:
    """Fill the parameters of a module by their names.

    Patterns are as of file names (``*``, ``?``) and meet the whole path of a parameter or its last
    part; of several that do the last one counts. Other parameters stay. Raises ValueError for a
    pattern that meets none; then, and after any other error, nothing has changed.

    >>> import rnn
    >>> from rnn.initializers import initialize, orthogonal_per_gate, zeros
    >>> net = rnn.LSTM(3, 5)
    >>> initialize(net, {"weight_hh*": orthogonal_per_gate(4), "bias*": zeros})
    """
    own = dict(module.named_parameters())
    chosen: dict[str, str] = {}
    for pattern, fill in patterns.items():
        if not callable(fill):
            raise TypeError(f"initialize: {pattern!r}: expected an initializer such as zeros or "
                            f"constant(1.0), got {fill!r}")  # fmt: skip
        met = [path for path in own if _meets(pattern, path)]
        if not met:
            raise ValueError(f"initialize: {pattern!r} meets no parameter; there are {list(own)}")
        chosen |= dict.fromkeys(met, pattern)
    before = {path: x.data for path, x in own.items()}
    try:
        for path, x in own.items():
            if path in chosen:
                _fill(path, x, patterns[chosen[path]])
    except BaseException:
        for path, x in own.items():
            if x.data is not before[path]:
                x.data = before[path]
        raise


def _meets(pattern: str, path: str) -> bool:
    return fnmatchcase(path, pattern) or fnmatchcase(path.rpartition(".")[2], pattern)


def _fill(path: str, x: Tensor, fill: Callable[[Tensor], Any]) -> None:
    """Run an initializer; its errors say which parameter they are about."""
    try:
        fill(x)
    except (TypeError, ValueError) as error:
        raise type(error)(f"initialize: {path}: {error}") from error


def forget_bias(module: Module, value: float) -> None:
    """Set the biases of all forget gates in a module, so that cells keep what they hold at first.

    For LSTM cells of all kinds and LSTM layers, wherever they are in the module: the part of
    `bias_ih`, or of the only bias, becomes `value`, that of `bias_hh` 0. Raises ValueError where
    there is none. Source: Jozefowicz, Zaremba and Sutskever, An empirical exploration of recurrent
    network architectures, 2015.

    >>> import rnn
    >>> net = rnn.LSTM(3, 2)
    >>> rnn.initializers.forget_bias(net, 1.0)
    >>> net.bias_ih_l0.numpy()[2:4].tolist()
    [1.0, 1.0]
    """
    _number("forget_bias", value=value)
    found = [
        (x, gate, gates, 0.0 if parsed[1] == "_hh" else value)
        for one in module.modules()
        for kind, (gate, gates) in FORGET_GATES.items()
        if isinstance(one, kind)
        for name, x in vars(one).items()
        if (parsed := BIAS.fullmatch(name)) and isinstance(x, Tensor)
    ]
    if not found:
        raise ValueError(
            f"forget_bias: {type(module).__name__} holds no LSTM cell or layer with biases"
        )
    for x, gate, gates, number in found:
        rows, data = x.size // gates, x.data.copy()
        data[gate * rows : (gate + 1) * rows] = number
        x.data = data
