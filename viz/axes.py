"""Map values to pixels along an axis, and choose the round values that are written beside it.

Plain numbers; above labels, below the charts.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from viz.labels import count, figure, superscript, width

STEPS = (1, 2, 2.5, 5, 10)  # of a linear axis, times a power of ten
DECADES = 2e-308, 1e308  # what a log axis holds: beyond, values are drawn at its ends


@dataclass(frozen=True, slots=True)
class Axis:
    """Map values from `low` to `high` to pixels from `start` to `end`, in logarithms with `log`.

    >>> from viz.axes import Axis
    >>> Axis(0.0, 10.0, 100.0, 200.0).at(2.5)
    125.0
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def of(
        cls, values: Iterable[float], start: float, end: float, *, log: bool = False,
        zero: bool = False,
    ) -> "Axis":  # fmt: skip
        """Return the axis with round ends that spans all finite values, and 0 with `zero`.

        A log axis spans those above 0. Where there are none it goes from 0 to 1, or from 0.1 to 1.
        """
        shown = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
        if log:
            return cls(*_decades(shown or [0.1, 1.0]), start, end, log)
        return cls(*_round_ends([*shown, 0.0] if zero else shown or [0.0, 1.0]), start, end)

    def at(self, value: float) -> float:
        """Return the pixel of a value; what lies beyond the axis is at its end."""
        if value <= self.low:
            return self.start
        if value >= self.high:
            return self.end
        return self.start + self.share(value) * (self.end - self.start)

    def share(self, value: float) -> float:
        """Return how far a value lies between the low end (0) and the high end (1)."""
        if self.log:
            low = math.log10(self.low)
            return (math.log10(value) - low) / (math.log10(self.high) - low)
        scale = max(abs(self.low), abs(self.high))  # so that no difference overflows
        return (value / scale - self.low / scale) / (self.high / scale - self.low / scale)

    def ticks(self, most: int = 6) -> list[float]:
        """Return at most about `most` round values, ends included where they are round."""
        return _log_ticks(self.low, self.high, most) if self.log else self._linear_ticks(most)

    def label(self, value: float) -> str:
        """Return a tick in words: 1,000, 0.25, 10⁻⁶; with the digits that tell it from the next."""
        if self.log:
            return power(value)
        size, span = max(abs(self.low), abs(self.high)), self.high / 2 - self.low / 2
        close = max(0, math.ceil(math.log10(size / span))) if span > 0 else 0
        return tick_label(value, min(6 + max(0, close - 3), 15))

    def _linear_ticks(self, most: int) -> list[float]:
        step = nice_step(self.low, self.high, most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def nice_step(low: float, high: float, most: int) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten with at most `most` intervals."""
    rough = high / most - low / most
    power_of_ten = 10.0 ** math.floor(math.log10(rough))
    return next(s * power_of_ten for s in STEPS if s * power_of_ten >= rough * (1 - 1e-9))


def whole_ticks(low: int, high: int, most: int) -> list[int]:
    """Round whole numbers from `low` to `high`: updates, time steps."""
    if high <= low:
        return [low]
    nice = nice_step(low, high, max(most, 1))
    step = 5 if nice == 2.5 else max(1, round(nice))
    return [k * step for k in range(-(-low // step), high // step + 1)]


def power(value: float) -> str:
    """Return a value on a log axis: plain near 1, as a power of ten far from it."""
    exponent = math.floor(math.log10(value) + 1e-9)
    if -4 < exponent < 4:
        return tick_label(value)
    head = float(f"{value / 10.0**exponent:.3g}")
    sign = f"10{superscript(exponent)}"
    return sign if head == 1 else f"{head:g}×{sign}"


def tick_label(value: float, digits: int = 6) -> str:
    """Return a round value without needless digits, its thousands apart, its minus a minus."""
    if abs(value) < 1e7 and value == int(value):
        return count(int(value)).replace("-", "−")
    return figure(value, digits)


def fitted(labels: list[tuple[float, str]], size: float, apart: float = 8.0) -> list[int]:
    """Return which labels, centred at growing pixels, fit side by side: each n-th, n least."""
    room = max((width(text, size) for _, text in labels), default=0.0) + apart
    if len(labels) < 2:
        return list(range(len(labels)))
    nearest = min(b[0] - a[0] for a, b in pairwise(labels))
    strides = (s * 10**e for e in range(len(str(len(labels)))) for s in (1, 2, 5))
    stride = next((s for s in strides if s * nearest >= room), len(labels))
    return list(range(0, len(labels), stride))


def _round_ends(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high <= low or (high / 2 - low / 2) <= 1e-12 * max(abs(low), abs(high)):
        half = abs(high) / 2 or 0.5
        low, high = low - half, high + half
    step = nice_step(low, high, 6)
    low_end, high_end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return (low_end if math.isfinite(low_end) else low,
            high_end if math.isfinite(high_end) else high)  # fmt: skip


def _decades(values: list[float]) -> tuple[float, float]:
    """Return ends at powers of ten, or at 1, 2 and 5 times one where values lie close together."""
    low, high = max(min(values), DECADES[0]), min(max(values), DECADES[1])
    if high / low >= 10:
        return (max(10.0 ** math.floor(math.log10(low) + 1e-9), DECADES[0]),
                min(10.0 ** math.ceil(math.log10(high) - 1e-9), DECADES[1]))  # fmt: skip
    ends = [k * 10.0**e for e in range(math.floor(math.log10(low)) - 1,
            math.ceil(math.log10(high)) + 2) for k in (1, 2, 5)]  # fmt: skip
    below = max(v for v in ends if v <= low * (1 + 1e-9))
    above = min(v for v in ends if v >= high * (1 - 1e-9) and v > below)
    return below, above


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten, each n-th of many; with 2 and 5 times them if they are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    found = [10.0**e for e in range(first, last + 1)]
    if len(found) < 3:
        finer = [k * 10.0**e for e in range(first - 1, last + 1) for k in (1, 2, 5)]
        inside = [v for v in finer if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        return inside if len(inside) <= most or len(found) < 2 else found
    stride = math.ceil(len(found) / most)
    return [10.0**e for e in range(first, last + 1) if e % stride == 0]
