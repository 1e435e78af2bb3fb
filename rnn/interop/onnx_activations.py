"""ONNX's activations of recurrent ops by name, with their alpha and beta. Below ONNX's cells."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor


class Activation(NamedTuple):
    """A function by ONNX's name, with the numbers that it takes."""

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        given = [number for number in (self.alpha, self.beta) if number is not None]
        return KINDS[self.name].function(x, *given)


class Kind(NamedTuple):
    """A function of x and the `takes` numbers alpha and beta, and what they are by default."""

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


def activations(op: str, given: Iterable[Any]) -> tuple[Activation, ...]:
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
