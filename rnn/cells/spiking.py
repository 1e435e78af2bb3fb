"""Define spiking cells: leaky neurons that integrate, fire and reset, and their step function.

The step has the derivative of something smooth; the threshold is fixed or adapts.
"""

import math
from collections.abc import Callable
from typing import Any

import engine
from engine import Tensor, linear
from engine.checks import flag, is_real
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive

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


RESETS = ("subtract", "zero")


class LIFCell(Cell):
    """Leak, integrate and fire: v' = a v + W_ih x + W_hh z - th z, z' = 1 where v' >= th, else 0.

    a = exp(-1 / `tau`), the time constant being in steps; a spike takes the threshold off, or with
    `reset` "zero" all of v: v' = a v (1 - z) + W_ih x + W_hh z. The output is z' (B, H); its
    derivative is that of `rnn.spike` at (v' - th) / th. `weight_ih` (H, I) and, where `recurrent`,
    `weight_hh` (H, H) are normal with variances 1 / I and 1 / H. A neuron may feed itself.
    Raises ValueError for settings that are none.

    Sources: Bellec et al., A solution to the learning dilemma for recurrent networks of spiking
    neurons, 2020, methods; first values: Bellec et al., Long short-term memory and
    learning-to-learn in networks of spiking neurons, 2018.

    >>> import engine, rnn
    >>> y, (v, z) = rnn.LIFCell(3, 5)(engine.ones((2, 3)))
    >>> set(y.numpy().ravel().tolist()) <= {0.0, 1.0}
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        tau: float = 20.0,
        threshold: float = 1.0,
        reset: str = "subtract",
        recurrent: bool = True,
        surrogate: str = "fast_sigmoid",
        slope: float | None = None,
        dtype: Any = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if reset not in RESETS:
            raise ValueError(
                f"{type(self).__name__}: reset {reset!r}: expected one of {list(RESETS)}"
            )
        I, H = input_size, hidden_size
        self.input_size, self.hidden_size = I, H
        self.decay, self.threshold = decay("tau", tau), _above_zero("threshold", threshold)
        self.reset, self.surrogate, self.slope = reset, surrogate, read(surrogate, slope)
        self.weight_ih = parameter((H, I), I**-0.5, normal=True, dtype=dtype)
        fed = flag("recurrent", recurrent)
        self.weight_hh = parameter((H, H), H**-0.5, normal=True, dtype=dtype) if fed else None
        self.state_size = {"v": H, "z": H}

    def step(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
        """Map x (B, I), v and z (B, H) -> z' (B, H), (v', z')."""
        v, z = state
        v = self._charged(x, v, z)
        u = v - self.threshold
        z = self._fired(u)
        return z, (v, z)

    def _charged(self, x: Tensor, v: Tensor, z: Tensor) -> Tensor:
        """Return the potential (B, H) after a step, before it may fire."""
        current = linear(x, self.weight_ih)
        if self.weight_hh is not None:
            current = current + linear(z, self.weight_hh)
        if self.reset == "zero":
            return self.decay * v * (1 - z) + current
        return self.decay * v + current - (z if self.threshold == 1 else self.threshold * z)

    def _fired(self, u: Tensor) -> Tensor:
        """Return the spikes (B, H) of what is above the threshold; a quotient keeps the sign."""
        return spike(u if self.threshold == 1 else u / self.threshold, self.surrogate, self.slope)


class ALIFCell(LIFCell):
    """Adapt the threshold of a `LIFCell`: it is th + beta b', with b' = rho b + z.

    Each spike raises the threshold of its neuron by `beta`, which decays with the time constant
    `tau_adaptation`: rho = exp(-1 / tau_adaptation). z' = 1 where v' >= th + beta b', with the
    derivative of `rnn.spike` at (v' - th - beta b') / th. States v, z and b (B, H).

    Sources: Bellec et al., Long short-term memory and learning-to-learn in networks of spiking
    neurons, 2018; in this form, A solution to the learning dilemma for recurrent networks of
    spiking neurons, 2020, methods (where b is called a).

    >>> import engine, rnn
    >>> y, (v, z, b) = rnn.ALIFCell(3, 5)(engine.ones((2, 3)))
    >>> b.shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        tau_adaptation: float = 200.0,
        beta: float = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.rho, self.beta = decay("tau_adaptation", tau_adaptation), _above_zero("beta", beta)
        self.state_size = {"v": hidden_size, "z": hidden_size, "b": hidden_size}

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map x (B, I), v, z and b (B, H) -> z' (B, H), (v', z', b')."""
        v, z, b = state
        v = self._charged(x, v, z)
        b = self.rho * b + z
        u = v - self.threshold - self.beta * b
        z = self._fired(u)
        return z, (v, z, b)


def decay(name: str, tau: float) -> float:
    """Return what is left after one step of a time constant in steps, which may be infinite."""
    if not is_real(tau) or not tau > 0:
        raise ValueError(f"{name}: expected a number of steps above 0, got {tau!r}")
    return math.exp(-1 / tau)


def _above_zero(name: str, value: float) -> float:
    if not is_real(value) or not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    return float(value)
