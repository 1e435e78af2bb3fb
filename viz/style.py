"""Colours and widths. Blue is forward, red is backward; both differ in grey and for the
colour-blind by width, shade and dash too. Below the drawings.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from viz.labels import number
from viz.scene import Swatch

FORWARD = "#2b6cb0"
TIME = "#134e8a"
PARAMETER = "#8793a3"
CONTEXT = "#0f766e"
ATTENTION = "#7b3fa0"
DEAD = "#9aa0a6"
BROKEN = "#111111"
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

THIN, THICK = 1.2, 6.0
SCISSORS = "✂"  # the mark of an edge that gradients do not pass


@dataclass(frozen=True)
class Scale:
    """Norms on a log scale: the smallest is thin and light, the largest thick and dark."""

    low: float
    high: float

    @classmethod
    def of(cls, norms: Iterable[float]) -> "Scale":
        """Return the scale that spans all norms that are finite and not zero."""
        alive = [n for n in norms if math.isfinite(n) and n > 0]
        return cls(min(alive, default=1.0), max(alive, default=1.0))

    def share(self, value: float) -> float:
        """Where a norm lies between the smallest (0) and the largest (1), in logarithms.

        What lies beyond is at the end.
        """
        if not math.isfinite(value) or value <= 0 or self.high <= self.low:
            return 1.0 if value > 0 else 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return min(max(share, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Norms for the legend, evenly apart in logarithms."""
        if self.high <= self.low:
            return [self.high]
        return [self.low * (self.high / self.low) ** (k / 3) for k in range(4)]


def backward_line(value: float, scale: Scale) -> tuple[str, float, str, str]:
    """Colour, width, dash and mark of a gradient of this norm."""
    if not math.isfinite(value):
        return BROKEN, THICK, "2 3", "!"
    if value == 0:
        return DEAD, THIN, "1 4", "×"
    share = scale.share(value)
    rgb = (round(a + (b - a) * share) for a, b in zip(LIGHT, DARK, strict=True))
    return "#" + "".join(f"{c:02x}" for c in rgb), THIN + (THICK - THIN) * share, "", ""


def attention_line(weight: float) -> tuple[str, float]:
    """Colour and width of a look of this weight, between 0 and 1."""
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


def backward_swatches(scale: Scale, norms: Iterable[float]) -> list[Swatch]:
    """Return the legend of gradients of these norms: the scale, and what is dead or broken."""
    norms = list(norms)
    alive = [norm for norm in norms if math.isfinite(norm) and norm > 0]
    lines = []
    for value in scale.ticks() if alive else ():
        color, wide, dash, _ = backward_line(value, scale)
        lines.append(Swatch(f"backward, norm {number(value)}", color, wide, dash))
    if alive and max(alive) > scale.high * (1 + 1e-9):  # into steps that are left out
        lines[-1] = lines[-1]._replace(text=f"{lines[-1].text} and more")
    if any(norm == 0 for norm in norms):
        lines.append(Swatch("zero (dead)", DEAD, THIN, "1 4", mark="×"))
    if len(alive) < sum(norm != 0 for norm in norms):
        lines.append(Swatch("inf or NaN", BROKEN, THICK, "2 3", mark="!"))
    return lines
