"""Fill parameters with their first values, constant or drawn.

Each function fills a parameter at once, ``orthogonal(x)``, or without one is the same with its
settings to come later: ``initialize(module, {"weight_hh*": orthogonal(gain=2.0)})``. All values
follow from `engine.seed`, alike on all devices. A parameter gets a new array. Below
`initialization.py`.
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import is_real, is_whole
from engine.suggestions import kind_of, teller
from rnn.instead import INITIALIZERS

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def _initializer(fill: Callable[..., Array]) -> Callable[..., Any]:
    """Return `fill(shape, ...)` as a function of a parameter, or of settings alone."""
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
                raise TypeError(f"{name}: expected a Tensor, got {kind_of(x)}")
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
    """Return every element `value`.

    >>> import engine, rnn
    >>> rnn.initializers.constant(engine.zeros((2, 3)), 0.5).tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    _number("constant", value=value)
    return HOST.xp.full(shape, value, dtype="float64")


@_initializer
def zeros(shape: tuple[int, ...]) -> Array:
    """Return every element 0.

    >>> import engine, rnn
    >>> rnn.initializers.zeros(engine.ones((2, 3))).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return HOST.xp.zeros(shape)


@_initializer
def uniform(shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
    """Return uniform in [low, high). Raises ValueError for low above high.

    >>> import engine, rnn
    >>> w = rnn.initializers.uniform(engine.zeros((90, 90)), -0.1, 0.1)
    >>> round(w.numpy().min().item(), 2), round(w.numpy().max().item(), 2)
    (-0.1, 0.1)
    """
    _number("uniform", low=low, high=high)
    if low > high:
        raise ValueError(f"uniform: low {low!r} is above high {high!r}")
    return _generator().uniform(low, high, shape)


@_initializer
def normal(shape: tuple[int, ...], mean: float = 0.0, std: float = 1.0) -> Array:
    """Return normal, of that mean and standard deviation.

    >>> import engine, rnn
    >>> w = rnn.initializers.normal(engine.zeros((90, 90)), std=0.5)
    >>> round(w.numpy().std().item(), 1)
    0.5
    """
    _number("normal", mean=mean)
    _number("normal", 0, std=std)
    return _generator().normal(mean, std, shape)


# ---- by the number of inputs and outputs


def _fans(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return inputs and outputs of a weight (out, in, ...)."""
    if len(shape) < 2 or not math.prod(shape):
        raise ValueError(f"{name}: a weight (out, in) is needed, got shape {shape}; "
                         "give biases zeros or constant(value)")  # fmt: skip
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _spread(name: str, shape: tuple[int, ...], std: float) -> Array:
    """Draw values of that standard deviation: uniform or normal, as the name ends."""
    if name.endswith("uniform"):
        return _generator().uniform(-std * math.sqrt(3), std * math.sqrt(3), shape)
    return _generator().normal(0.0, std, shape)


def _xavier(name: str, shape: tuple[int, ...], gain: float) -> Array:
    _number(name, 0, gain=gain)
    return _spread(name, shape, gain * math.sqrt(2 / sum(_fans(name, shape))))


@_initializer
def xavier_uniform(shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """Return uniform with variance 2 gain^2 / (inputs + outputs), for a weight (out, in, ...).

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks, 2010.

    >>> import engine, rnn
    >>> w = rnn.initializers.xavier_uniform(engine.zeros((90, 60)))
    >>> round(w.numpy().max().item(), 1)  # sqrt(6 / 150)
    0.2
    """
    return _xavier("xavier_uniform", shape, gain)


@_initializer
def xavier_normal(shape: tuple[int, ...], gain: float = 1.0) -> Array:
    """Return normal with variance 2 gain^2 / (inputs + outputs): see `xavier_uniform`.

    >>> import engine, rnn
    >>> w = rnn.initializers.xavier_normal(engine.zeros((90, 60)))
    >>> round(w.numpy().std().item(), 1)  # sqrt(2 / 150)
    0.1
    """
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
    """Return uniform with variance gain^2 / inputs, by the gain of `nonlinearity`.

    `nonlinearity` is "linear", "sigmoid", "tanh", "relu", "selu" or "leaky_relu" with slope `a`;
    `mode` "fan_out" counts outputs; gains are PyTorch's. Source: He et al., Delving deep into
    rectifiers, 2015.

    >>> import engine, rnn
    >>> w = rnn.initializers.kaiming_uniform(engine.zeros((90, 60)))
    >>> round(w.numpy().max().item(), 1)  # sqrt(6 / 60)
    0.3
    """
    return _kaiming("kaiming_uniform", shape, nonlinearity, a, mode)


@_initializer
def kaiming_normal(
    shape: tuple[int, ...], nonlinearity: str = "relu", a: float = 0.0, mode: str = "fan_in"
) -> Array:
    """Return normal with variance gain^2 / inputs: see `kaiming_uniform`.

    >>> import engine, rnn
    >>> w = rnn.initializers.kaiming_normal(engine.zeros((90, 50)))
    >>> round(w.numpy().std().item(), 1)  # sqrt(2 / 50)
    0.2
    """
    return _kaiming("kaiming_normal", shape, nonlinearity, a, mode)


kaiming = kaiming_normal


# ---- for recurrent weights


def _orthogonal(name: str, shape: tuple[int, ...], gates: int, gain: float) -> Array:
    """Return `gates` blocks of rows, each with orthonormal rows or columns, times `gain`."""
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
    """Return a random orthogonal matrix times `gain`; orthonormal rows or columns if not square.

    Dimensions after the first count as columns. Source: Saxe, McClelland and Ganguli, Exact
    solutions to the nonlinear dynamics of learning in deep linear neural networks, 2014.

    >>> import engine, rnn
    >>> w = rnn.initializers.orthogonal(engine.zeros((4, 3)), gain=2.0)
    >>> abs((w.T @ w).numpy()).round(3).tolist()
    [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
    """
    return _orthogonal("orthogonal", shape, 1, gain)


@_initializer
def orthogonal_per_gate(shape: tuple[int, ...], gates: int, gain: float = 1.0) -> Array:
    """Return `orthogonal` for each of the stacked gates of a weight (gates * rows, columns).

    >>> import engine, rnn
    >>> w = rnn.initializers.orthogonal_per_gate(engine.zeros((6, 2)), gates=3)
    >>> [(g.T @ g).numpy().trace().round(3).item() for g in w.reshape((3, 2, 2))]
    [2.0, 2.0, 2.0]
    """
    return _orthogonal("orthogonal_per_gate", shape, gates, gain)


@_initializer
def identity(shape: tuple[int, ...], scale: float = 1.0) -> Array:
    """Return the identity times `scale`, for a recurrent weight (H, H) with relu.

    Source: Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified
    linear units, 2015. Raises ValueError for more than two axes.

    >>> import engine, rnn
    >>> rnn.initializers.identity(engine.zeros((2, 2)), 0.5).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    _number("identity", scale=scale)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"identity: a square matrix is needed, got shape {shape}")
    return scale * HOST.xp.eye(shape[0])


if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, INITIALIZERS)
