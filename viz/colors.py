"""Colour scales: one hue for what runs from 0 upward, two for what has a middle, linear or log.

Blue, brown and red differ for the colour-blind. Above axes and `style.py`, below the charts.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from viz.axes import Axis
from viz.dark import rgb
from viz.style import BROKEN, Ramp, mixed

BLUES: Ramp = ((255, 255, 255), (198, 219, 239), (107, 160, 208), (33, 96, 165), (8, 40, 92))
REDS: Ramp = ((255, 255, 255), (252, 212, 196), (244, 142, 112), (205, 52, 40), (110, 8, 16))
BROWNS: Ramp = ((255, 255, 255), (253, 219, 172), (232, 156, 68), (176, 92, 12), (96, 46, 4))
PURPLES: Ramp = (
    (255, 255, 255), (231, 219, 241), (186, 152, 211), (123, 63, 160), (62, 18, 92),
)  # fmt: skip
ZERO = "#d3d6da"  # a norm of zero on a log scale: no gradient at all
SEVERAL = ("#2b6cb0", "#c4500c", "#2f855a", "#8b4aa8", "#5f6b7a", "#b8860b")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "12 4", "4 4")


@dataclass(frozen=True, slots=True)
class Colors:
    """Map values from `low` to `high` to colours; white at `middle` where there is one.

    Without a middle `low` is white. With `log` the shade goes by powers of ten. What lies beyond
    the ends has the colour of the end.

    >>> from viz.colors import Colors
    >>> Colors(0.0, 1.0).of(0.0), Colors(0.0, 1.0).of(1.0)
    ('#ffffff', '#08285c')
    """

    low: float
    high: float
    middle: float | None = None
    log: bool = False
    below: Ramp = BROWNS
    above: Ramp = BLUES

    def of(self, value: float) -> str:
        """Return the colour of a value; black where it is not finite, grey for 0 on a log scale."""
        if not math.isfinite(value):
            return BROKEN
        if self.log and value <= 0:
            return ZERO
        middle = self.low if self.middle is None else self.middle
        if value >= middle:
            return mixed(self.above, self._share(middle, self.high, value))
        return mixed(self.below, self._share(middle, self.low, value))

    def _share(self, middle: float, end: float, value: float) -> float:
        """Return how far a value is from the middle (0) to an end (1)."""
        if end == middle:
            return 0.0
        axis = Axis(min(middle, end), max(middle, end), 0.0, 1.0, self.log)
        return axis.at(value) if end > middle else 1 - axis.at(value)

    def axis(self, start: float, end: float) -> Axis:
        """Return the axis of the colour bar."""
        return Axis(self.low, self.high, start, end, self.log)


def norm_colors(values: Iterable[float], *, widest: float = 1e8) -> Colors:
    """Return a log scale for norms of Jacobians: white at 1, blue fades below it, red grows above.

    It spans whole decades, at least one at each side that is there at all, and at most `widest`.
    """
    alive = [v for v in values if math.isfinite(v) and v > 0]
    low, high = min(alive, default=1.0), max(alive, default=1.0)
    below = 1.0 if low >= 1 else max(10.0 ** math.floor(math.log10(low) + 1e-9), 1 / widest)
    above = 1.0 if high <= 1 else min(10.0 ** math.ceil(math.log10(high) - 1e-9), widest)
    if below == above:
        below, above = 0.1, 10.0
    return Colors(below, above, 1.0, log=True, below=BLUES, above=REDS)


def value_colors(values: Sequence[float], *, signed: bool | None = None) -> Colors:
    """Return a scale for activations: 0 to 1 in blues, or with signs brown, white at 0, blue.

    Values that go beyond 1 in size widen it. `signed` is read from the values where it is None.
    """
    finite = [v for v in values if math.isfinite(v)]
    size = max((abs(v) for v in finite), default=1.0)
    bound = 1.0 if size <= 1 else round_above(size)
    if signed or (signed is None and min(finite, default=0.0) < 0):
        return Colors(-bound, bound, 0.0)
    return Colors(0.0, bound)


def own_colors(values: Sequence[float], *, signed: bool) -> Colors:
    """Return a scale for exactly these values, round at its ends; white at 0 where signs differ."""
    finite = [v for v in values if math.isfinite(v)]
    if signed:
        size = max((abs(v) for v in finite), default=0.0)
        bound = Axis.of([size, -size], 0.0, 1.0).high if size else 1.0
        return Colors(-bound, bound, 0.0)
    axis = Axis.of(finite, 0.0, 1.0)
    return Colors(axis.low, axis.high)


def round_above(value: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a value."""
    head = 10.0 ** math.floor(math.log10(value))
    return next((k * head for k in (1.0, 2.0, 5.0) if k * head >= value), 10.0 * head)


def ink_on(color: str) -> str:
    """Return black or white: the one that is read better on a colour."""
    r, g, b = rgb(color)
    return "#202124" if 0.299 * r + 0.587 * g + 0.114 * b > 140 else "#ffffff"


def shades(ramp: Ramp, n: int, start: float = 0.25) -> list[str]:
    """Return `n` colours of one hue, from light to dark."""
    return [mixed(ramp, start + (1 - start) * (k / (n - 1) if n > 1 else 0.6)) for k in range(n)]


def paler(color: str) -> str:
    """Return a colour with three quarters of white in it."""
    return mixed((rgb(color), (255, 255, 255)), 0.75)
