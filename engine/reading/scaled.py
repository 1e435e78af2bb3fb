"""Multiply many matrices without overflow or vanishing: float64 times a power of two.

Below `jacobians.py`. Tables and pictures of derivatives through time are made of such products,
which shrink or grow by a factor a step.
"""

from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import Any

from engine.apply import asarray
from engine.backends import HOST, Array
from engine.backends.numpy import quiet
from engine.linalg import matrix_norm
from engine.tensor import Tensor

xp = HOST.xp
NORMS: dict[str, Any] = {"spectral": 2, "frobenius": "fro"}


@dataclass(frozen=True, slots=True)
class Scaled:
    """Hold matrices (B, M, N) in float64, each to be times two to its exponent (B,)."""

    matrices: Array
    exponents: Array

    @classmethod
    def of(cls, matrices: Tensor) -> "Scaled":
        """Take matrices (B, M, N), or (M, N) for a batch of one, as they are."""
        values = matrices.numpy().astype("float64")
        values = values if values.ndim == 3 else values[None]
        return cls(values, xp.zeros(len(values), dtype="int64"))._even()

    @classmethod
    def identity(cls, batch: int, size: int) -> "Scaled":
        """Return the product of no matrices."""
        return cls(xp.stack([xp.eye(size)] * batch), xp.zeros(batch, dtype="int64"))

    def __matmul__(self, other: "Scaled") -> "Scaled":
        with quiet():
            product = self.matrices @ other.matrices
        return Scaled(product, self.exponents + other.exponents)._even()

    def block(self, rows: slice, columns: slice) -> "Scaled":
        """Return a block of each matrix."""
        return Scaled(self.matrices[:, rows, columns], self.exponents)._even()

    def numpy(self) -> Array:
        """Return the values in float64: 0 or inf where they are beyond what it holds."""
        with quiet():
            return xp.ldexp(self.matrices, self.exponents[:, None, None])

    def norm(self, kind: str) -> float:
        """Return the norm of all matrices on the diagonal of one, inf beyond what a float holds.

        `kind` is ``"spectral"`` or ``"frobenius"``. inf or NaN where an element is.
        """
        if not self.matrices.size:
            return 0.0
        if not xp.isfinite(self.matrices).all():
            return nan if xp.isnan(self.matrices).any() else inf
        each = matrix_norm(asarray(self.matrices), ord=NORMS[kind]).numpy()
        if not each.any():
            return 0.0
        top = int(self.exponents[each > 0].max())
        with quiet():
            each = xp.ldexp(each, self.exponents - top)
            total = each.max() if kind == "spectral" else sqrt(float((each * each).sum()))
            return float(xp.ldexp(total, top))

    def _even(self) -> "Scaled":
        """Return the same with the largest element of each matrix between a half and 1."""
        largest = abs(self.matrices).max(axis=(-2, -1), initial=0.0)
        own = xp.where(xp.isfinite(largest), xp.frexp(largest)[1], 0)
        return Scaled(xp.ldexp(self.matrices, -own[:, None, None]), self.exponents + own)
