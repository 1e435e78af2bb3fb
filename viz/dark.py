"""Compute the dark counterpart of every colour of a picture: lightness turned over, hue kept.

Below the writer of SVG and the interactive page. The space is Oklab (B. Ottosson, "A perceptual
color space for image processing", 2020), in which equal steps of lightness look equal.
"""

import math
import re
from collections.abc import Iterable
from functools import cache

PAPER, SPAN, BEND = 0.205, 0.765, 0.7  # darkest paper, lightest ink; BEND lifts the middle
PAINTS = ("fill", "stroke")  # the attributes of SVG that hold colours
HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})\Z")

TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
FROM_LAB = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
FROM_LMS = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)


@cache
def dark(color: str) -> str:
    """Return the colour on dark paper for `color` on white; what is no ``#rrggbb`` stays.

    >>> from viz.dark import dark
    >>> dark("#ffffff"), dark("#202124"), dark("none")
    ('#161719', '#c5c8cf', 'none')
    """
    if not HEX.match(color):
        return color
    lightness, a, b = _times(
        TO_LAB, [math.pow(max(c, 0.0), 1 / 3) for c in _times(TO_LMS, linear(color))]
    )
    lightness = PAPER + SPAN * max(1.0 - lightness, 0.0) ** BEND
    a, b = a, b - 0.005  # paper and ink lean a little toward blue
    for _ in range(40):  # less and less colour until the screen can show it
        lms = [c**3 for c in _times(FROM_LAB, (lightness, a, b))]
        light = _times(FROM_LMS, lms)
        if all(-1e-3 <= c <= 1 + 1e-3 for c in light):
            break
        a, b = 0.93 * a, 0.93 * b
    return "#" + "".join(f"{round(255 * _gamma(min(max(c, 0.0), 1.0))):02x}" for c in light)


def night(colors: Iterable[str], within: str) -> str:
    """Return style rules that darken these colours on a screen that is set to dark ones.

    They name attributes, which stay as they are: other programs, and paper, get the light picture.

    >>> from viz.dark import night
    >>> print(night(["#ffffff"], ".a"))
    @media screen and (prefers-color-scheme: dark){
    .a [fill="#ffffff"]{fill:#161719}.a [stroke="#ffffff"]{stroke:#161719}
    }
    """
    lines = [
        "".join(f'{within} [{name}="{color}"]{{{name}:{dark(color)}}}' for name in PAINTS)
        for color in dict.fromkeys(colors)
        if dark(color) != color
    ]
    return "\n".join(["@media screen and (prefers-color-scheme: dark){", *lines, "}"])


def rules(colors: Iterable[str], within: str) -> str:
    """Return style rules that pair every `fill` and `stroke` of these colours with its dark one.

    The rules follow the colour scheme of the page, which has a switch of its own.
    """
    lines = []
    for color in dict.fromkeys(colors):
        pair = f"light-dark({color},{dark(color)})"
        for name in PAINTS:
            lines.append(f'{within} [{name}="{color}"]{{{name}:{pair}}}')
    return "\n".join(lines)


def linear(color: str) -> list[float]:
    """Return red, green and blue of ``#rrggbb`` or ``#rgb`` as amounts of light from 0 to 1."""
    parts = (part / 255 for part in rgb(color))
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of ``#rrggbb`` or ``#rgb``, each from 0 to 255."""
    digits = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def _gamma(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * math.pow(light, 1 / 2.4) - 0.055


def _times(matrix: tuple[tuple[float, ...], ...], vector: Iterable[float]) -> list[float]:
    values = list(vector)
    return [math.fsum(m * v for m, v in zip(row, values, strict=True)) for row in matrix]
