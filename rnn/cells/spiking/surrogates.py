"""Spikes: a step function with the derivative of something smooth. Below the spiking cells."""

import math
from collections.abc import Callable
from typing import Any

import engine
from engine import Tensor
from engine.checks import is_real

# The derivative of a spike at v, by name, and the slope by default.
SURROGATES: dict[str, tuple[Callable[..., Any], float]] = {
    "fast_sigmoid": (lambda xp, v, slope: 1.0 / xp.square(1.0 + slope * xp.abs(v)), 10.0),
    "triangular": (lambda xp, v, slope: slope * xp.maximum(1.0 - xp.abs(v), 0.0), 0.3),
    "arctan": (lambda xp, v, slope: slope / 2 / (1.0 + xp.square(math.pi * slope / 2 * v)), 2.0),
}


def _forward(xp: Any, v: Any, *, surrogate: str, slope: float) -> Any:
    return xp.astype(v >= 0, v.dtype)


def _vjp(xp: Any, g: Any, out: Any, v: Any, *, surrogate: str, slope: float) -> Any:
    return g * SURROGATES[surrogate][0](xp, v, slope)


# With its C and a rule that can be recorded, it is part of compiled kernels in both directions.
_spike = engine.custom_op("spike", _forward, _vjp, kind="elementwise",
                          c=lambda **attributes: "({0} >= 0 ? (real)1 : (real)0)")  # fmt: skip


def spike(v: Any, surrogate: str = "fast_sigmoid", slope: float | None = None) -> Tensor:
    """Return 1 where v >= 0, else 0, with a derivative of another function, element by element.

    ``"fast_sigmoid"``: 1 / (1 + slope |v|)^2, slope 10 by default (SuperSpike: Zenke and Ganguli,
    2018); ``"triangular"``: slope max(0, 1 - |v|), slope 0.3 (Bellec et al., 2018); ``"arctan"``:
    slope / 2 / (1 + (pi slope v / 2)^2), slope 2 (Fang et al., 2021). NaN gives no spike. Further
    derivatives are those of the surrogate. Raises ValueError for another name, or slope.

    >>> import engine, rnn
    >>> engine.value_and_grad(rnn.spike)(0.1)[1].item()
    0.25
    """
    slope = read(surrogate, slope)
    x = v if isinstance(v, Tensor) else engine.asarray(v)
    return _spike(x, surrogate=surrogate, slope=slope)


def read(surrogate: str, slope: float | None) -> float:
    """Return the slope, or that by default. Raises ValueError as `spike` says."""
    if surrogate not in SURROGATES:
        raise ValueError(f"surrogate {surrogate!r}: expected one of {list(SURROGATES)}")
    slope = SURROGATES[surrogate][1] if slope is None else slope
    if not is_real(slope) or not 0 < slope < math.inf:
        raise ValueError(f"slope: expected a number above 0, got {slope!r}")
    return float(slope)
