"""Liquid time constants: by a semi-implicit solver, and in closed form."""

from typing import Any

from engine import Tensor, exp, linear, sigmoid, tanh
from engine.checks import flag, is_real
from rnn.cells.base import Cell
from rnn.initializers import xavier_uniform
from rnn.modules.module import parameter, positive


class _Timed(Cell):
    """Base class of cells that know how much time passes in a step.

    That is `dt`, or where `irregular` a second input (B,): the input is then the pair (x, dt).
    """

    def __init__(self, input_size: int, hidden_size: int, dt: float, irregular: bool) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if not is_real(dt) or not 0 < dt < float("inf"):
            raise ValueError(f"dt: expected a number above 0, got {dt!r}")
        self.irregular, self.dt = flag("irregular", irregular), float(dt)
        self.input_size: Any = (input_size, None) if irregular else input_size
        self.hidden_size, self.state_size = hidden_size, {"h": hidden_size}

    def _read(self, x: Any) -> tuple[Tensor, Any]:
        """Return x (B, I) and the time that passes, a number or (B, 1)."""
        return (x[0], x[1][:, None]) if self.irregular else (x, self.dt)


class LTCCell(_Timed):
    """dh/dt = -(1 / tau + f) h + f A with f = sigmoid(W_ih x + b + W_hh h), over a time `dt`.

    By `unfolds` steps of the fused solver, h <- (h + d f A) / (1 + d (1 / tau + f)) with
    d = dt / unfolds, which no step length makes unstable. `weight_ih` (H, I), `weight_hh` (H, H),
    `bias`, `A` and `log_tau` (H,); tau begins with 1 and A uniform in +-1. With `irregular` times
    the input is (x, dt), dt (B,).

    Source: Hasani et al., Liquid time-constant networks, 2021, eq. 1, eq. 3 and algorithm 1. (Their
    programs have a conductance and a reversal potential for each synapse.) Raises ValueError for
    sizes below 1.

    >>> import engine, rnn
    >>> rnn.LTCCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        unfolds: int = 6,
        dt: float = 1.0,
        irregular: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, dt, irregular)
        positive(unfolds=unfolds)
        H, k = hidden_size, hidden_size**-0.5
        self.unfolds = unfolds
        self.weight_ih = parameter((H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((H, H), k, dtype=dtype)
        self.bias = parameter((H,), k, dtype=dtype)
        self.A = parameter((H,), 1.0, dtype=dtype)
        self.log_tau = parameter((H,), 0.0, dtype=dtype)

    def step(self, x: Any, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        x, dt = self._read(x)
        d = dt / self.unfolds
        a = linear(x, self.weight_ih, self.bias)
        w = exp(-self.log_tau)
        for _ in range(self.unfolds):
            f = sigmoid(a + linear(h, self.weight_hh))
            h = (h + d * f * self.A) / (1.0 + d * (w + f))
        return h, h


class CfCCell(_Timed):
    """h' = s g + (1 - s) k with s = sigmoid(-f dt): a liquid cell without a solver.

    f, g and k are heads of one layer z = 1.7159 tanh(2/3 (W_ih x + b + W_hh h)) of `backbone_size`
    units Z, H by default: f = W_f z + b_f, g = tanh(W_g z + b_g), k = tanh(W_k z + b_k). First
    weights are Xavier's, biases 0. With `irregular` times the input is (x, dt), dt (B,).

    Source: Hasani et al., Closed-form continuous-time neural networks, 2022 (h is x, k is h).
    Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> run = rnn.Recurrent(rnn.CfCCell(3, 5, irregular=True))
    >>> run((engine.ones((7, 2, 3)), engine.ones((7, 2))))[0].shape
    (7, 2, 5)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        backbone_size: int | None = None,
        dt: float = 1.0,
        irregular: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, dt, irregular)
        H, Z = hidden_size, hidden_size if backbone_size is None else backbone_size
        positive(backbone_size=Z)
        self.weight_ih = xavier_uniform(parameter((Z, input_size), dtype=dtype))
        self.weight_hh = xavier_uniform(parameter((Z, H), dtype=dtype))
        self.bias = parameter((Z,), 0.0, dtype=dtype)
        for name in "fgk":
            setattr(self, f"weight_{name}", xavier_uniform(parameter((H, Z), dtype=dtype)))
            setattr(self, f"bias_{name}", parameter((H,), 0.0, dtype=dtype))

    weight_f: Tensor
    weight_g: Tensor
    weight_k: Tensor
    bias_f: Tensor
    bias_g: Tensor
    bias_k: Tensor

    def step(self, x: Any, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        x, dt = self._read(x)
        a = linear(x, self.weight_ih, self.bias) + linear(h, self.weight_hh)
        z = 1.7159 * tanh(2 / 3 * a)
        f = linear(z, self.weight_f, self.bias_f)
        g = tanh(linear(z, self.weight_g, self.bias_g))
        k = tanh(linear(z, self.weight_k, self.bias_k))
        s = sigmoid(-f if self.dt == 1 and not self.irregular else -f * dt)
        h = s * g + (1 - s) * k
        return h, h
