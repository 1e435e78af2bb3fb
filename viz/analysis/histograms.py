"""Histograms of the values of a tensor, for cards and charts. Above the engine, below pictures."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import engine
from engine import Tensor


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of finite values in bins of one width from `low` to `high`; the last includes `high`.

    One bin where all are alike, none where nothing is finite (then `low` and `high` are 0). NaN
    and infinite values of either sign are counted apart.
    """

    counts: tuple[int, ...]
    low: float
    high: float
    nan: int = 0
    inf: int = 0

    def attributes(self, name: str = "histogram") -> dict[str, Any]:
        """Return what a node of a drawing's graph carries: counts, range, what is not finite."""
        return {
            name: list(self.counts),
            f"{name}_range": (self.low, self.high),
            f"{name}_nonfinite": (self.nan, self.inf),
        }


def histogram(array: Any, bins: int = 16) -> Histogram:
    """Return the histogram of all elements of a tensor or array of any shape, dtype and device.

    Raises ValueError for fewer bins than one.

    >>> import engine
    >>> from viz.analysis.histograms import histogram
    >>> histogram(engine.asarray([0.0, 1.0, 1.0, 4.0, float("nan")]), bins=2)
    Histogram(counts=(3, 1), low=0.0, high=4.0, nan=1, inf=0)
    """
    if bins < 1:
        raise ValueError(f"histogram: bins must be at least 1, got {bins}")
    tensor = array if isinstance(array, Tensor) else engine.asarray(array)
    values = tensor.numpy().reshape(-1).astype("float64")
    nan = int((values != values).sum())
    finite = values[abs(values) < math.inf]
    inf = values.size - nan - finite.size
    if not finite.size:
        return Histogram((), 0.0, 0.0, nan, inf)
    finite.sort()
    low, high = float(finite[0]), float(finite[-1])
    if low == high:
        return Histogram((finite.size,), low, high, nan, inf)
    inner = [low * (1 - k / bins) + high * (k / bins) for k in range(1, bins)]  # cannot overflow
    below = [0, *(int(n) for n in finite.searchsorted(inner)), finite.size]
    return Histogram(tuple(b - a for a, b in pairwise(below)), low, high, nan, inf)
