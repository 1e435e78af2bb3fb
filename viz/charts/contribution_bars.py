"""Draw contributions as bars: stacked from 0 up and down, or on a logarithmic axis both ways.

In a stack each loss has a piece. On the logarithmic axis what is positive goes up from the smallest
decade, what is negative down from the same. Above the charts and `weight_contributions.py`, below
`contributions.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from viz.analysis.weight_contributions import Contributions, Use
from viz.axes import Axis, power
from viz.charts.parts import GREY, INK, RULE, SIZE, broken, middle, y_axis
from viz.colors import REDS, paler, shades
from viz.labels import count, figure, width
from viz.scene import Columns, Line, Rect, Shape, Words
from viz.style import DEAD

LEFT, HIGH = 92.0, 260.0
SMALL = "#9aa0a6"  # several pieces that are each too thin to be seen
ALONG, AGAINST = "#c9392c", "#2b6cb0"  # what adds to the gradient, and what points against it
MOST = 12  # decades: what is smaller than the largest by more is at the base line
APART = 0.15  # of a decade: how far the smallest is from the base line at least
DOT = 5.0


def height_of(use: Use, measure: str) -> float:
    """Return what a bar shows of a use."""
    return use.projection if measure == "projection" else use.norm


def label_of(times: tuple[int, ...]) -> str:
    """Return what a step, or several joined, are called."""
    if not times:
        return "outside"
    return f"{times[0]}" if len(times) == 1 else f"{times[0]}–{times[-1]}"


def where_of(times: tuple[int, ...]) -> str:
    """Return the place of a use in words: k = 3, or outside of time."""
    return f"k = {label_of(times)}" if times else "outside of time"


def colors_of(found: Contributions) -> list[str]:
    """Return a shade of red for each loss, the later the darker."""
    return shades(REDS, len(found.losses), 0.3)


def _told(found: Contributions, use: Use) -> str:
    """Return what pointing at a use shows."""
    return (
        f"{found.losses[use.loss].name}, {where_of(use.times)}: projection "
        f"{figure(use.projection, 6)}, norm {figure(use.norm, 6)}"
    )


def _stacks(found: Contributions, measure: str) -> dict[tuple[int, ...], list[tuple[Use, float]]]:
    """Return the uses of each step in the order of the losses, each with its bar's begin."""
    stacks: dict[tuple[int, ...], list[tuple[Use, float]]] = {times: [] for times in found.steps}
    tops = {times: [0.0, 0.0] for times in found.steps}  # of what goes up, and of what goes down
    for use in found.uses:
        value = height_of(use, measure)
        if not math.isfinite(value):
            stacks[use.times].append((use, math.nan))
            continue
        side = int(value < 0)
        stacks[use.times].append((use, tops[use.times][side]))
        tops[use.times][side] += value
    return stacks


def stacked_bars(found: Contributions, measure: str, columns: Columns) -> list[Shape]:
    """Return the stacked bars and their axis."""
    top = columns.top
    axis = Axis.of(worth_showing(ends(found, measure)), top + HIGH, top, zero=True)
    what = "projection on the gradient" if measure == "projection" else "norm"
    shapes = y_axis(axis, LEFT, columns.right, title=what)
    colors = colors_of(found)
    for i, own in enumerate(_stacks(found, measure).values()):
        left, right = columns.spans[i]
        wide = min(0.78 * (right - left), 44.0)
        x = middle(columns, i) - wide / 2
        for piece in _pieces(axis, own, measure):
            if len(piece) > 1:
                shapes.append(_joined(axis, x, wide, piece, measure))
                continue
            use, start = piece[0]
            shapes += _piece(found, axis, x, wide, use, start, measure, colors[use.loss])
        if _goes_both_ways(axis, own, measure):
            y = axis.at(math.fsum(height_of(use, measure) for use, _ in own))
            shapes.append(Line(((x - 2, y), (x + wide + 2, y)), INK, 2.0, title="sum of the bar"))
    return shapes


def ends(found: Contributions, measure: str) -> list[float]:
    """Return where the pieces of all stacks end."""
    stacks = _stacks(found, measure).values()
    return [start + height_of(use, measure) for own in stacks for use, start in own]


def worth_showing(tips: list[float]) -> list[float]:
    """Return the ends of bars without those that go the other way by less than a hundredth."""
    size = max((abs(end) for end in tips if math.isfinite(end)), default=0.0)
    down = any(end < -size / 100 for end in tips)
    up = any(end > size / 100 for end in tips)
    return [end for end in tips if (end >= 0 or down) and (end <= 0 or up)]


def _goes_both_ways(axis: Axis, own: list[tuple[Use, float]], measure: str) -> bool:
    """Return whether a stack is seen to go up and down."""
    tips = [axis.at(start + height_of(use, measure)) - axis.at(0.0) for use, start in own]
    return min(tips, default=0.0) < -1 and max(tips, default=0.0) > 1


def _pieces(
    axis: Axis, own: list[tuple[Use, float]], measure: str
) -> Iterable[list[tuple[Use, float]]]:
    """Yield the pieces of a stack; those under a pixel that lie on each other together."""
    thin: tuple[list[tuple[Use, float]], list[tuple[Use, float]]] = ([], [])  # upward, downward
    for use, start in own:
        value = height_of(use, measure)
        if value == 0:
            continue
        waiting = thin[value < 0]
        if abs(axis.at(start + value) - axis.at(start)) < 1:
            waiting.append((use, start))
            continue
        if waiting:
            yield waiting.copy()
            waiting.clear()
        yield [(use, start)]
    yield from filter(None, thin)


def _joined(
    axis: Axis, x: float, wide: float, piece: list[tuple[Use, float]], measure: str
) -> Rect:
    """Return several thin pieces as one."""
    values = [height_of(use, measure) for use, _ in piece]
    a, b = axis.at(piece[0][1]), axis.at(piece[0][1] + math.fsum(values))
    what = "projection" if measure == "projection" else "sum of norms"
    title = (
        f"{count(len(piece))} losses, each under a pixel, k = {label_of(piece[0][0].times)}: "
        f"{what} {figure(math.fsum(values), 6)}"
    )
    return Rect(x, min(a, b), wide, max(abs(a - b), 0.3), SMALL, "", title)


def _piece(
    found: Contributions, axis: Axis, x: float, wide: float, use: Use, start: float, measure: str,
    color: str,
) -> list[Shape]:  # fmt: skip
    """Return one piece of a stack."""
    value = height_of(use, measure)
    if not math.isfinite(value):
        return [broken(x + wide / 2, axis.end - 4, value)]
    a, b = axis.at(start), axis.at(start + value)
    edge = "#ffffff" if abs(a - b) > 2 and wide > 4 else ""
    return [Rect(x, min(a, b), wide, max(abs(a - b), 0.3), color, edge,
                 _told(found, use))]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decades:
    """Hold a logarithmic axis both ways from `base`: `up`, `down` decades from 10 ** `low` on."""

    low: int
    up: int
    down: int
    base: float
    unit: float  # pixels to a decade

    @classmethod
    def of(cls, values: Iterable[float], top: float, bottom: float) -> "Decades":
        """Return the axis between two pixels for all values that are finite and not zero."""
        alive = [v for v in values if math.isfinite(v) and v]
        sizes = [math.log10(abs(v)) for v in alive] or [0.0]
        high = math.ceil(max(sizes) - 1e-9)
        low = max(min(math.floor(min(sizes) - APART), high - 1), high - MOST)
        up, down = (_reach([v * sign for v in alive if v * sign > 0], low) for sign in (1, -1))
        up = up if up or down else 1
        unit = (bottom - top) / (up + down)
        return cls(low, up, down, top + unit * up, unit)

    def at(self, value: float) -> float:
        """Return the pixel of a value; what is too small for the axis is at the base line."""
        if not value:
            return self.base
        above = max(math.log10(abs(value)) - self.low, 0.0)
        return self.base - math.copysign(above, value) * self.unit

    def lines(self, left: float, right: float) -> Iterable[Shape]:
        """Yield a thin rule for each decade, every n-th of them with its number."""
        stride = max(1, math.ceil(18 / self.unit))
        for k in range(-self.down, self.up + 1):
            y = self.base - k * self.unit
            yield Line(((left, y), (right, y)), RULE if k else GREY, 1.0)
            if k % stride == 0:
                yield Words(left - 6, y + 3.5, self._label(k), SIZE, GREY, "end")

    def room(self) -> float:
        """Return how wide the numbers at the axis are."""
        return max(width(self._label(k), SIZE) for k in range(-self.down, self.up + 1))

    def _label(self, k: int) -> str:
        sign = "" if k > 0 or not self.down else "−" if k < 0 and self.up else "±" * bool(self.up)
        sign = sign if self.up else "−"
        return f"{sign}{power(10.0 ** (self.low + abs(k)))}"


def _reach(sizes: list[float], low: int) -> int:
    """Return how many decades from 10 ** `low` on hold these sizes; none: 0."""
    return max(1, math.ceil(math.log10(max(sizes)) - 1e-9) - low) if sizes else 0


def by_step(found: Contributions, measure: str) -> list[list[tuple[Use, float]]]:
    """Return for each step its uses, each with its height."""
    own: dict[tuple[int, ...], list[tuple[Use, float]]] = {times: [] for times in found.steps}
    for use in found.uses:
        own[use.times].append((use, height_of(use, measure)))
    return list(own.values())


def log_bars(
    found: Contributions, measure: str, axis: Decades, columns: Columns, colors: Sequence[str]
) -> list[Shape]:
    """Return a bar for each step, the sum over all losses, and on it a dot for each of several.

    Norms of several losses do not sum: they have dots alone.
    """
    alone = len(found.losses) == 1
    shapes: list[Shape] = []
    if not alone and measure == "norm":
        shapes += _ways(found, axis, columns, colors)
    wide = min(0.78 * (columns.spans[0][1] - columns.spans[0][0]), 44.0)
    for i, own in enumerate(by_step(found, measure)):
        x = middle(columns, i)
        where = where_of(found.steps[i])
        if alone or measure == "projection":
            value = math.fsum(v for _, v in own) if all(math.isfinite(v) for _, v in own) else (
                math.nan)  # fmt: skip
            shapes += _bar(axis, x, wide, value, f"{where}: {measure}", pale=not alone)
        if not alone:
            shapes += _dots(found, axis, x, wide, own, colors)
    return shapes


def _ways(
    found: Contributions, axis: Decades, columns: Columns, colors: Sequence[str]
) -> Iterable[Shape]:
    """Yield a thin line through the norms of each loss: its slope is the fading."""
    place = {times: middle(columns, i) for i, times in enumerate(found.steps) if times}
    for loss, color in enumerate(colors):
        points = tuple((place[use.times], axis.at(use.norm)) for use in found.uses
                       if use.loss == loss and use.times and use.norm >= 10.0**axis.low
                       and math.isfinite(use.norm))  # fmt: skip
        if len(points) > 1:
            yield Line(points, color, 1.0)


def _bar(
    axis: Decades, x: float, wide: float, value: float, where: str, *, pale: bool
) -> Iterable[Shape]:
    """Yield one bar from the base line, or the mark of what has none."""
    if not math.isfinite(value):
        yield broken(x, axis.base - axis.up * axis.unit + 12, value)
    elif not value:
        yield Words(x, axis.base - 3, "×", SIZE, DEAD)
    else:
        y = axis.at(value)
        color = ALONG if value > 0 else AGAINST
        fill, title = paler(color) if pale else color, f"{where} {figure(value, 6)}"
        tall = max(abs(y - axis.base), 1.0)
        yield Rect(x - wide / 2, min(y, axis.base), wide, tall, fill, title=title)


def _dots(
    found: Contributions, axis: Decades, x: float, wide: float, own: list[tuple[Use, float]],
    colors: Sequence[str],
) -> Iterable[Shape]:  # fmt: skip
    """Yield a small square for each loss, at its own height."""
    side = min(DOT, wide)
    for use, value in own:
        if not math.isfinite(value):
            yield broken(x, axis.base - axis.up * axis.unit + 12, value)
        if not value or not math.isfinite(value):
            continue
        yield Rect(x - side / 2, axis.at(value) - side / 2, side, side, colors[use.loss],
                   "#ffffff", _told(found, use))  # fmt: skip
