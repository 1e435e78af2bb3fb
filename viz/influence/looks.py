"""Give a token its sign, so that no space, line break or accent goes unseen, and its shade.

Shades go by decades from the largest norm of a picture down to its millionth. The picture and the
page share both. Above colours.
"""

import math
import unicodedata

from viz.colors import REDS
from viz.dark import linear
from viz.style import mixed

SIGNS = {"\n": "⏎", "\r": "␍", "\t": "⇥"}
NAMES = {" ": "space", "\n": "newline", "\r": "carriage return", "\t": "tab", "": "nothing"}
LONGEST = 24  # characters of a token
CARRIER = "◌"  # what an accent that stands by itself is put on
DECADES = 6
STEPS = 4 * DECADES  # a shade each quarter of a decade
FIRST = 0.07  # the share of red in the lightest shade
SHADES = tuple(mixed(REDS, FIRST + (1 - FIRST) * i / STEPS) for i in range(STEPS + 1))
ZERO, LOST, FAINT, BROKEN = "zero", "lost", "faint", "broken"


def visible(piece: str) -> str:
    """Return a token as it is drawn; empty for a space, which is a box.

    >>> from viz.influence.looks import visible
    >>> visible("a"), visible(" "), visible("\\n"), visible("\\x00"), visible("a b")
    ('a', '', '⏎', 'U+0000', 'a␣b')
    """
    if len(piece) == 1 and unicodedata.category(piece) == "Zs":
        return ""
    shown = "".join(_sign(c) for c in piece)
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST - 1]}…"
    return CARRIER + shown if unicodedata.category(shown[:1] or " ")[0] == "M" else shown


def spoken(piece: str) -> str:
    """Return a token within a sentence: “e”, space, newline."""
    if piece in NAMES:
        return NAMES[piece]
    if not visible(piece):
        return unicodedata.name(piece, f"U+{ord(piece):04X}").lower()
    return f"“{visible(piece)}”"


def _sign(c: str) -> str:
    """Return a character, or what stands for one that cannot be seen."""
    kind = unicodedata.category(c)
    if c in SIGNS:
        return SIGNS[c]
    if kind == "Zs":
        return "␣"
    return f"U+{ord(c):04X}" if kind[0] in "CZ" else c


def shade(norm: float, largest: float, *, later: bool = False) -> int | str:
    """Return the number of a shade, from 0 for a millionth to `STEPS` for the largest; or a word.

    The words are `ZERO` for zero where a token comes `later` than t, `LOST` for another zero, which
    may be a gradient too small for its dtype, `FAINT` under a millionth, `BROKEN` not finite.

    >>> from viz.influence.looks import shade
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
