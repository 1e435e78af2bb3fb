"""Set colours and widths. Blue is forward, red is backward; both differ in grey and for the
colour-blind by width, shade and dash too. Below the drawings.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from viz.labels import number
from viz.scene import Swatch

Ramp = tuple[tuple[int, int, int], ...]  # colours in order, as red, green and blue

FORWARD = "#2b6cb0"
TIME = "#134e8a"
AFFINE = "#0b7a53"
PARAMETER = "#8793a3"
CONTEXT = "#0f766e"
ATTENTION = "#7b3fa0"
DEAD = "#9aa0a6"
BROKEN = "#111111"
CUT = "#b3321b"
LIGHT, DARK = (0xF7, 0xB0, 0x95), (0x8E, 0x12, 0x12)

FILLS = {
    "parameter": ("#fdf3d7", "#b8860b"),
    "input": ("#e3f2e6", "#3d8b52"),
    "constant": ("#f1f3f4", "#80868b"),
    "cell": ("#dbe9f8", "#1f5fa8"),
    "module": ("#ece6f6", "#6b4fa0"),
    "gate": ("#ffffff", "#1f5fa8"),
    "op": ("#ffffff", "#5f6b7a"),
    "state": ("#dbe9f8", "#1f5fa8"),
    "gradient": ("#fde8e2", "#b3321b"),
    "gap": ("#f7f7f7", "#9aa0a6"),
}
NAMES = {
    "parameter": "parameter", "input": "input", "constant": "constant", "cell": "cell",
    "module": "module", "gate": "gate", "op": "op", "state": "new state", "gradient": "gradient op",
    "gap": "steps left out",
}  # fmt: skip

THIN = 1.2  # pixels: the width of what has no place on the scale
FULL = 6.0  # pixels: the width of a gradient of norm 1
STATE = 12.0  # the same of a gradient on its way from state to state
RATIO = 0.6  # how much narrower each decade is
DECADES = 6  # of the scale; what is smaller still is dotted
DOTS = "1.5 3"
RAIL = 1.2  # the width of thin rails to weights
SCISSORS = "✂"  # the mark of an edge that gradients do not pass


@dataclass(frozen=True, slots=True)
class Scale:
    """Map norms to widths on a fixed log scale: each decade is `RATIO` times as wide as that above.

    It begins at `top`, 1, the gradient of a loss by itself, and is the same in all pictures with
    norms up to 10; where gradients explode `top` is the power of ten that holds them all.

    >>> scale = Scale()
    >>> [round(scale.width(norm, 10.0), 2) for norm in (1.0, 0.1, 0.01)]
    [10.0, 6.0, 3.6]
    """

    top: float = 1.0

    @classmethod
    def of(cls, norms: Iterable[float]) -> "Scale":
        """Return the scale that holds all norms that are finite."""
        largest = max((n for n in norms if math.isfinite(n)), default=1.0)
        return cls() if largest <= 10.0 else cls(10.0 ** math.ceil(math.log10(largest) - 1e-9))

    def below(self, norm: float) -> float:
        """Return how many decades a norm lies below the top; less than 0 for what lies above."""
        return math.log10(self.top) - math.log10(norm)

    def width(self, norm: float, full: float) -> float:
        """Return the width of a norm in pixels, where that of the top is `full`."""
        return float(full * RATIO ** max(self.below(norm), -1.0))

    def color(self, norm: float) -> str:
        """Return the shade of a norm: dark at the top, light at the end of the scale."""
        return mixed((LIGHT, DARK), 1 - self.below(norm) / DECADES)

    def dash(self, norm: float) -> str:
        """Return the dash of a norm: dots for what lies below the scale."""
        return DOTS if self.below(norm) > DECADES + 1e-9 else ""


def mixed(ramp: Ramp, share: float) -> str:
    """Return the colour at a share of the way along a ramp."""
    place = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    i = min(int(place), len(ramp) - 2)
    rgb = (round(a + (b - a) * (place - i)) for a, b in zip(ramp[i], ramp[i + 1], strict=True))
    return "#" + "".join(f"{c:02x}" for c in rgb)


def backward_line(norm: float, scale: Scale, full: float = FULL) -> tuple[str, float, str, str]:
    """Return colour, width, dash and mark of a gradient of this norm."""
    if not math.isfinite(norm):
        return BROKEN, full, "2 3", "!"
    if norm == 0:
        return DEAD, THIN, "1 4", "×"
    dash = scale.dash(norm)
    return scale.color(norm), THIN if dash else scale.width(norm, full), dash, ""


def attention_line(weight: float) -> tuple[str, float]:
    """Return colour and width of a look of this weight, between 0 and 1."""
    return ATTENTION, round(0.4 + 4.6 * weight, 2)


def attention_swatches(low: float, high: float) -> list[Swatch]:
    """Return the legend of attention: its smallest and its largest weight."""
    shown = {number(w): w for w in (high, low)}  # one where both read the same
    return [
        Swatch(f"attention, weight {n}", *attention_line(w)) for n, w in reversed(shown.items())
    ]


def forward_swatches(kinds: Iterable[str], *, local: bool, delayed: bool) -> list[Swatch]:
    """Return the legend of boxes and forward wires, within a step and from step to step."""
    lines = [Swatch(NAMES[kind], FILLS[kind][1], box=FILLS[kind][0]) for kind in kinds]
    if local:
        lines.append(Swatch("forward", FORWARD))
    if delayed:
        lines.append(Swatch("forward in time", TIME, 2.4))
    return lines


def affine_swatches(loops: Iterable[int]) -> tuple[Swatch, ...]:
    """Return the legend of loops that are affine in their states, where there are any."""
    return (Swatch("forward in time, affine", AFFINE, 2.4),) if tuple(loops) else ()


def backward_swatches(
    scale: Scale, norms: Iterable[float], *, states_wider: bool = False, marked: bool = True
) -> list[Swatch]:
    """Return the legend of gradients of these norms: one wedge for the scale, dead and broken.

    Dead ones have a mark where they are `marked`.
    """
    norms = list(norms)
    alive = [norm for norm in norms if math.isfinite(norm) and norm > 0]
    lines = []
    if alive:
        marks = [scale.top * 10.0**-k for k in range(DECADES + 1)]
        wedge = tuple((scale.color(norm), scale.width(norm, FULL)) for norm in marks)
        ends = f"{number(marks[0])} … {number(marks[-1])}"
        log = "log; states × 2" if states_wider else "log"
        lines.append(Swatch(f"gradient, norm {ends} ({log})", wedge[0][0], wedge=wedge))
        if any(scale.dash(norm) for norm in alive):
            lines.append(Swatch(f"under {number(marks[-1])}", wedge[-1][0], THIN, DOTS))
    if any(norm == 0 for norm in norms):
        lines.append(Swatch("zero (dead)", DEAD, THIN, "1 4", mark="×" * marked))
    if len(alive) < sum(norm != 0 for norm in norms):
        lines.append(Swatch("inf or NaN", BROKEN, FULL, "2 3", mark="!"))
    return lines
