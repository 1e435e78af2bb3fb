"""Define the reservoir of an echo state network: a recurrent network, drawn and never trained."""

import math
from typing import Any

import engine
from engine import Tensor, linear, tanh
from engine.backends import HOST, Array
from engine.checks import is_real
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive


class EchoStateCell(Cell):
    """Compute h' = (1 - a) h + a tanh(W_ih x + b + W_hh h) with weights that are not trained.

    `leak` is a. `weight_ih` (H, I) is uniform in +-`input_scale`, `bias` (H,) in +-`bias_scale`.
    Of `weight_hh` (H, H) a share of `density` is not 0, uniform, and scaled so that the largest
    eigenvalue has the absolute value `spectral_radius`: below 1, it mostly forgets how it began.
    The weights are frozen parameters: saved, moved and, where they are told to, trained.
    Raises ValueError for settings that are none.

    Sources: Jaeger, The "echo state" approach to analysing and training recurrent neural networks,
    2001; Lukosevicius, A practical guide to applying echo state networks, 2012, eq. 2 and 3.

    >>> import engine, rnn
    >>> rnn.EchoStateCell(3, 50)(engine.ones((2, 3)))[1].shape
    (2, 50)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        spectral_radius: float = 0.9,
        density: float = 0.1,
        leak: float = 1.0,
        input_scale: float = 1.0,
        bias_scale: float = 0.0,
        dtype: Any = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        scales = {"spectral_radius": spectral_radius, "input_scale": input_scale,
                  "bias_scale": bias_scale}  # fmt: skip
        for name, value in scales.items():
            if not is_real(value) or not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
        for name, value in (("density", density), ("leak", leak)):
            if not is_real(value) or not 0 < value <= 1:
                raise ValueError(f"{name}: expected a number above 0 and at most 1, got {value!r}")
        I, H = input_size, hidden_size
        self.input_size, self.hidden_size, self.leak = I, H, float(leak)
        self.weight_ih = parameter((H, I), input_scale, dtype=dtype)
        self.weight_hh = parameter((H, H), dtype=dtype)
        self.bias = parameter((H,), bias_scale, dtype=dtype)
        values = _sparse(H, density) * self.weight_hh.numpy().astype("float64")
        scaled = engine.asarray(rescaled(values, spectral_radius), dtype=self.weight_hh.dtype)
        self.weight_hh.data = scaled.data
        for x in (self.weight_ih, self.weight_hh, self.bias):
            x.requires_grad = False
        self.state_size = {"h": H}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        n = tanh(linear(x, self.weight_ih, self.bias) + linear(h, self.weight_hh))
        h = n if self.leak == 1 else (1 - self.leak) * h + self.leak * n
        return h, h


def _sparse(size: int, density: float) -> Array:
    """Draw a matrix (H, H) of booleans with that share of true ones, at least one a row."""
    count = max(1, round(density * size))
    drawn = engine.random.generator("reservoir", engine.random.birth()).uniform(size=(size, size))
    return HOST.xp.argsort(HOST.xp.argsort(drawn, axis=-1), axis=-1) < count


def rescaled(weight: Array, radius: float) -> Array:
    """Return a matrix times a number that makes `radius` its spectral radius. One without an
    eigenvalue other than 0, which no number scales, is returned as it is.
    """
    largest = float(HOST.xp.max(HOST.xp.abs(HOST.xp.linalg.eigvals(weight))))
    return weight * (radius / largest) if largest else weight
