"""Activations by name, for cells that take any. Below the cells."""

from collections.abc import Callable

import engine
from engine import Tensor

NAMES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": engine.tanh, "relu": engine.relu, "sigmoid": engine.sigmoid,
    "identity": engine.positive, "elu": engine.elu, "gelu": engine.gelu, "silu": engine.silu,
    "softplus": engine.softplus, "leaky_relu": engine.leaky_relu,
}  # fmt: skip


def activation(given: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the function of a name, or the function itself. Raises ValueError for other names."""
    if callable(given):
        return given
    if given not in NAMES:
        raise ValueError(f"nonlinearity {given!r}: expected one of {list(NAMES)} or a function")
    return NAMES[given]
