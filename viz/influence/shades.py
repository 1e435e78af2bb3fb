"""The shade of a norm: by decades from the largest of a picture down to its millionth.

The picture and the page share it, so that both have the same colours. Above colours.
"""

import math

from viz.colors import REDS, mixed
from viz.dark import linear

DECADES = 6
STEPS = 4 * DECADES  # a shade each quarter of a decade
FIRST = 0.07  # the share of red in the lightest shade
SHADES = tuple(mixed(REDS, FIRST + (1 - FIRST) * i / STEPS) for i in range(STEPS + 1))
ZERO, LOST, FAINT, BROKEN = "zero", "lost", "faint", "broken"


def shade(norm: float, largest: float, *, later: bool = False) -> int | str:
    """Return the number of a shade, from 0 for a millionth to `STEPS` for the largest; or a word.

    The words are `ZERO` for zero where a token comes `later` than t, `LOST` for another zero, which
    may be a gradient too small for its dtype, `FAINT` under a millionth, `BROKEN` not finite.

    >>> from viz.influence.shades import shade
    >>> shade(2.0, 2.0), shade(0.2, 2.0), shade(1e-9, 2.0), shade(0.0, 2.0)
    (24, 20, 'faint', 'lost')
    """
    if not math.isfinite(norm):
        return BROKEN
    if norm == 0:
        return ZERO if later else LOST
    below = math.log10(norm) - math.log10(largest)  # a quotient could vanish
    return FAINT if below < -DECADES else round(STEPS * (1 + below / DECADES))


def ink(fill: str) -> str:
    """Return black or white, the one of the higher contrast on a shade (WCAG 2.2)."""
    light = _light(fill)
    return "#202124" if light + 0.05 > math.sqrt(1.05 * (_light("#202124") + 0.05)) else "#ffffff"


def _light(color: str) -> float:
    """Return the relative luminance of ``#rrggbb``."""
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
