"""Contributions as stacks: a bar for each step, in it a piece for each loss, from 0 up and down.

Above the charts, `decades.py` and `weight_contributions.py`, below `contributions.py`.
"""

import math
from collections.abc import Iterable

from viz.analysis.weight_contributions import Contributions, Use
from viz.axes import Axis
from viz.charts.decades import height_of, label_of, where_of
from viz.charts.parts import INK, broken, middle, y_axis
from viz.colors import REDS, shades
from viz.labels import count, figure
from viz.scene import Columns, Line, Rect, Shape

LEFT, HIGH = 92.0, 260.0
SMALL = "#9aa0a6"  # several pieces that are each too thin to be seen


def colors_of(found: Contributions) -> list[str]:
    """Return a shade of red for each loss, the later the darker."""
    return shades(REDS, len(found.losses), 0.3)


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
            shapes += _bar(found, axis, x, wide, use, start, measure, colors[use.loss])
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


def _bar(
    found: Contributions, axis: Axis, x: float, wide: float, use: Use, start: float, measure: str,
    color: str,
) -> list[Shape]:  # fmt: skip
    """Return one piece of a stack."""
    value = height_of(use, measure)
    if not math.isfinite(value):
        return [broken(x + wide / 2, axis.end - 4, value)]
    a, b = axis.at(start), axis.at(start + value)
    where = where_of(use.times)
    title = (
        f"{found.losses[use.loss].name}, {where}: projection {figure(use.projection, 6)}, "
        f"norm {figure(use.norm, 6)}"
    )
    edge = "#ffffff" if abs(a - b) > 2 and wide > 4 else ""
    return [Rect(x, min(a, b), wide, max(abs(a - b), 0.3), color, edge, title)]
