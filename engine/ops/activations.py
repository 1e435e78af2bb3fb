"""Define activation functions. Above the element-wise ops, of which most of these are made."""

import math
from typing import Any

from engine.checks import is_real
from engine.op import Draw, Example
from engine.ops.choices import maximum, minimum, where
from engine.ops.elementwise import AWAY, ONE
from engine.ops.exponentials import expm1, logaddexp
from engine.ops.trigonometry import tanh
from engine.registry import composition, op
from engine.tensor import Tensor

__all__ = ["elu", "erf", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus"]


@op(vjp=(lambda xp, g, out, x: g * (out * (1.0 - out)),), examples=ONE, c="logistic({0})")
def sigmoid(xp: Any, x: Any, /) -> Any:
    """Return 1 / (1 + e^-x). A primitive for stability: no overflow, and right in both tails.

    >>> engine.sigmoid([-1000.0, 0.0, 1000.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return xp.sigmoid(x)


@op(vjp=(lambda xp, g, out, x: xp.where(x <= 0, 0.0, g),), examples=AWAY, c="maximum({0}, (real)0)")
def relu(xp: Any, x: Any, /) -> Any:
    """Return max(x, 0); the derivative at 0 is taken as 0. NaN stays NaN, its gradient too.

    >>> engine.relu([-2.0, 3.0]).tolist()
    [0.0, 3.0]
    """
    return xp.maximum(x, 0)


@op(
    vjp=(lambda xp, g, out, x: g * (2.0 / math.sqrt(math.pi)) * xp.exp(-x * x),),
    examples=(Example((Draw((3, 4)),)),),
    c="OF(erf)({0})",
)
def erf(xp: Any, x: Any, /) -> Any:
    """Return the error function, 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x.

    >>> engine.erf([0.0, 10.0]).tolist()
    [0.0, 1.0]
    """
    return xp.erf(x)


@composition
def leaky_relu(x: Tensor, /, negative_slope: float = 0.01) -> Tensor:
    """Return x where it is positive, `negative_slope` x elsewhere.

    >>> engine.leaky_relu([-2.0, 3.0], 0.5).tolist()
    [-1.0, 3.0]
    """
    return where(x > 0, x, x * negative_slope)


@composition
def elu(x: Tensor, /, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha (e^x - 1) elsewhere. Source: Clevert et al., 2016.

    >>> engine.elu([-100.0, 2.0]).tolist()
    [-1.0, 2.0]
    """
    return where(x > 0, x, alpha * expm1(where(x > 0, 0.0, x)))  # expm1 of a large x is infinite


@composition
def gelu(x: Tensor, /, *, approximate: str = "none") -> Tensor:
    """Return x times the probability that a normal number is below x; ``"tanh"`` is near it.

    Source: Hendrycks and Gimpel, 2016. Raises ValueError for another `approximate`.

    >>> engine.gelu([-100.0, 0.0, 100.0]).abs().tolist()
    [0.0, 0.0, 100.0]
    """
    x = maximum(x, -100.0)  # from there on it is 0, and -inf times 0 would not be
    if approximate == "tanh":
        z = minimum(x, 100.0)  # the cube of more may overflow
        inner = math.sqrt(2 / math.pi) * (z + 0.044715 * (z * z * z))
        return 0.5 * x * (1.0 + tanh(inner))
    if approximate != "none":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


@composition
def silu(x: Tensor, /) -> Tensor:
    """Return x sigmoid(x), also called swish.

    >>> engine.silu([-1000.0, 0.0, 1000.0]).abs().tolist()
    [0.0, 0.0, 1000.0]
    """
    x = maximum(x, -1000.0)  # from there on it is 0, and -inf times 0 would not be
    return x * sigmoid(x)


@composition
def softplus(x: Tensor, /, beta: float = 1.0, threshold: float = math.inf) -> Tensor:
    """Return log(1 + e^(beta x)) / beta, which neither overflows nor loses its tail.

    Where beta x exceeds `threshold` it is x, as PyTorch has it from 20 on; by default nowhere.
    Raises ValueError for a `beta` of 0 and for bounds that are no numbers.

    >>> engine.softplus([-1000.0, 1000.0]).tolist()
    [0.0, 1000.0]
    """
    numbers = is_real(beta) and is_real(threshold)
    if not numbers or beta == 0 or beta != beta or threshold != threshold:
        raise ValueError(f"softplus: beta must be a number other than 0, got {beta!r}, and the "
                         f"threshold a number, got {threshold!r}")  # fmt: skip
    beta, threshold = float(beta), float(threshold)  # NumPy's would widen float32
    scaled = x if beta == 1 else beta * x
    out = logaddexp(scaled, 0.0)
    out = out if beta == 1 else out / beta
    return out if threshold == math.inf else where(scaled > threshold, x, out)
