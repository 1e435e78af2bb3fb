"""Draw what each step adds to the gradient of the recurrent weight: bars that sum to it.

One cell has them in the units of the gradient; several have them as shares of their own, which
stand on one scale. Above `weights.py`, below `picture.py`.
"""

import math
from collections.abc import Iterable, Sequence

from viz.analysis.sampling import tiles
from viz.axes import Axis, tick_label
from viz.charts.parts import GREY, RULE
from viz.labels import count, fit, number, width
from viz.scene import Line, Rect, Shape, Words
from viz.story.layout import Frame
from viz.story.marks import NUMBER
from viz.story.measuring import Row
from viz.story.weights import Adds

GOLD, DARK_GOLD = "#d9a521", "#7d5a00"
MOST = 100  # bars: neighbours beyond that are added up
SLIGHT = 0.04  # of the longest bar
SMALL = 9.0  # pixels: the smallest text
TITLE_SIZE = 11.0
OVER = 12.0  # pixels over and under the bars for their numbers


def title_of(rows: Sequence[Row], room: float) -> str:
    """Return what the bars show, the longest way to say it that fits in `room` pixels."""
    names = list(dict.fromkeys(row.adds.weight.name for row in rows if row.adds.weight.name))
    long = f"dL/d {names[0]}" if len(names) == 1 else "dL/dW"
    ways = [way for name in (long, "dL/dW") for way in _titles(rows, name)]
    fitting = (way for way in ways if width(way, TITLE_SIZE, bold=True) <= room)
    return next(fitting, ways[-1])


def _titles(rows: Sequence[Row], name: str) -> list[str]:
    if len(rows) > 1:
        return [f"what step t adds to {name}, in % of its norm", f"share of step t in {name}"]
    adds = rows[0].adds
    rest = f" and {number(adds.elsewhere)} from elsewhere" if _elsewhere(adds) else ""
    total = f"bars{rest} sum to its norm, {number(adds.norm)}"
    return [
        f"what step t adds to {name}: {total}",
        f"steps add to {name}: {total}",
        f"{name}: {total}",
    ]


def drawable(row: Row) -> bool:
    """Return whether a cell has bars at all."""
    return bool(row.adds.parts) and row.adds.norm > 0


def notes_of(rows: Sequence[Row], names: Sequence[str]) -> Iterable[str]:
    """Yield what has to be said of the bars."""
    shown = [row for row in rows if drawable(row)]
    if any(row.adds.norm for row in shown):
        joined = max(len(own) for row in shown for own, _ in _summed(row))
        many = f", of up to {count(joined)} steps together" if joined > 1 else ""
        yield f"Bar: projection of what the step adds on the whole gradient{many}."
    for row, name in zip(rows, names, strict=True):
        adds, of = row.adds, f"{name}: " if name and len(rows) > 1 else ""
        if adds.reason:
            yield f"{of}No bars: {adds.reason}; weight= chooses another."
        elif adds.norm == 0:
            kind = "" if adds.weight.leaf is None else f" in {adds.weight.leaf.dtype}"
            yield f"{of}No bars: the gradient of {adds.weight.name} is 0{kind}."
        if adds.weight.joint:
            yield f"{of}{adds.weight.name} multiplies the state and the input together."
        if _elsewhere(adds) and len(rows) > 1:
            share = percent(adds.elsewhere / adds.norm)
            yield f"{of}{adds.weight.name} is also used elsewhere, which adds {share}."


def _elsewhere(adds: Adds) -> bool:
    """Return whether uses outside of the steps of a cell add more than rounding does."""
    return abs(adds.elsewhere) > 1e-6 * adds.norm > 0


def limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the smallest and largest share that a bar of several cells has to show."""
    shares = [v / row.adds.norm for row in rows if row.adds.norm
              for _, v in _summed(row)]  # fmt: skip
    return min([0.0, *shares]), max([0.0, *shares])


def bars(
    row: Row, frame: Frame, top: float, bottom: float, *, shares: tuple[float, float] | None = None
) -> list[Shape]:
    """Return the bars of one cell between two heights; of its norm where `shares` has limits."""
    unit = row.adds.norm if shares and row.adds.norm else 1.0
    found = [(own, value / unit) for own, value in _summed(row)]
    low, high = shares or (min(0.0, *(v for _, v in found)), max(0.0, *(v for _, v in found)))
    axis = _axis(low, high, top, bottom)
    base = axis.at(0.0)
    shapes: list[Shape] = [Line(((frame.left, base), (frame.right, base)), RULE, 1.0)]
    keys, numbered = row.keys, frame.boxed
    largest = max((abs(v) for _, v in found), default=0.0)
    for own, value in found:
        xs = [frame.at[keys[i]] for i in own]
        wide = min(0.55 * frame.step, 44.0) if numbered else 0.8 * frame.step * len(own)
        x = (min(xs) + max(xs)) / 2
        y = axis.at(value)
        times = [row.run.times[i] for i in own]
        where = f"t = {times[0]}" if len(own) == 1 else f"t = {times[0]} … {times[-1]}"
        shapes.append(Rect(x - wide / 2, min(y, base), wide, max(abs(y - base), 0.6), GOLD,
                           title=f"{where}: {value * unit:.6g}"))  # fmt: skip
        if numbered or (abs(value) == largest > 0 and len(found) > 1):
            over = min(y, base) if value >= -SLIGHT * high else y + 13.5
            shapes += _number(x, over - 3, value, frame, share=shares is not None)
    return shapes


def _axis(low: float, high: float, top: float, bottom: float) -> Axis:
    """Return the axis of the bars, with room for numbers at the ends that are used."""
    if high == low == 0:
        return Axis(0.0, 1.0, bottom, top + OVER)
    above = OVER if high > 0 else 0.0
    below = OVER if low < -SLIGHT * high else 0.0  # a slight bar has its number over it
    return Axis(low, high, bottom - below, top + above)


def _number(x: float, y: float, value: float, frame: Frame, *, share: bool) -> Iterable[Words]:
    text = percent(value) if share else number(value)
    sizes = (NUMBER, SMALL) if frame.boxed else (NUMBER,)
    size = next((s for s in sizes if width(text, s) <= frame.step - 2 or not frame.boxed), 0.0)
    if size:
        wide = width(text, size)
        x = min(max(x, frame.left + wide / 2), frame.width - 8 - wide / 2)
        yield Words(x, y, text, size, GREY, halo=True)


def percent(share: float) -> str:
    """Return a share in percent, with two digits where it is small."""
    value = 100 * share
    return f"{tick_label(round(value)) if abs(value) >= 9.5 else number(value)} %"


def _summed(row: Row) -> list[tuple[range, float]]:
    """Return the bars: each a step, or neighbours that are added up where there are too many."""
    parts = row.adds.parts
    return [(own, math.fsum(parts[i] for i in own)) for own in tiles(len(parts), MOST)]


def caption(name: str, row: Row, color: str, room: float, y: float) -> list[Shape]:
    """Return the words on the left of the bars of one cell of several."""
    shapes: list[Shape] = [
        Words(room, y, fit(name, room - 16, NUMBER, bold=True), NUMBER, color, "end", bold=True)
    ]
    if drawable(row):
        shapes.append(Words(room, y + 12, f"norm {number(row.adds.norm)}", NUMBER, GREY, "end"))
    return shapes
