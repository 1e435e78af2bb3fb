"""Draw the norm of dL/ds_t over time, on a log axis: a line for each state of each cell.

Above `marks.py`, below `picture.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from viz.axes import DECADES, Axis
from viz.charts.parts import GREY, INK, RULE
from viz.colors import DASHES
from viz.labels import fit, number, width
from viz.rendering.placing import Room
from viz.scene import Line, Point, Shape, Words
from viz.story.layout import Frame
from viz.story.marks import NUMBER, cross, dot, failed, placed
from viz.story.measuring import Row, Track
from viz.style import Scale

ALONE = "#b3321b"
DOT = 4.2  # pixels: the radius of a dot
APART = 12.5  # pixels between labels at the ends of lines
MOST_POINTS = 4_000  # of a line: more are thinned so that it looks the same
GAP = 26.0  # between the words of a label, and on its right


@dataclass(frozen=True, slots=True)
class Curve:
    """Describe one line of the panel: its cell and state, its name, its colour and its dash."""

    row: Row
    track: Track
    name: str
    color: str
    dash: str

    @property
    def end(self) -> int:
        """Return the position of the state on the left of the picture."""
        return len(self.track.norms) - 1 if self.row.reverse else 0

    @property
    def value(self) -> str:
        """Return the norm at the left end."""
        return number(self.track.norms[self.end])


def curves(rows: Sequence[Row], names: Sequence[str], colors: Sequence[str]) -> list[Curve]:
    """Return the lines of all cells; a state has the same dash in each of them."""
    states = list(dict.fromkeys(track.name for row in rows for track in row.tracks))
    many = any(len(row.tracks) > 1 for row in rows)
    found = []
    for row, name, color in zip(rows, names, colors, strict=True):
        for track in row.tracks:
            own = [name] if name else []
            own += [track.name] if many else []
            dash = DASHES[states.index(track.name) % len(DASHES)]
            found.append(Curve(row, track, " ".join(own), color, dash))
    return found


def room_before(found: Sequence[Curve]) -> float:
    """Return the width of the labels on the left of the lines; 0 for one line."""
    if len(found) < 2:
        return 0.0
    return GAP + max(
        width(curve.name, NUMBER, bold=True) + width(curve.value, NUMBER) for curve in found
    )


def lines(
    found: Sequence[Curve], frame: Frame, top: float, bottom: float, scale: Scale
) -> list[Shape]:
    """Return the panel between two heights: rules, lines, numbers where they lie on nothing."""
    norms = [norm for curve in found for norm in curve.track.norms]
    axis = _axis(norms, bottom, top)
    shapes: list[Shape] = _rules(axis, frame, left=len(found) == 1)
    room = Room((16.0, top - 14, frame.width - 6, bottom + 13))
    for words in shapes:
        if isinstance(words, Words):
            x = words.x - width(words.text, NUMBER) if words.anchor == "end" else words.x
            room.take((x, words.y - 9, x + width(words.text, NUMBER) + 2, words.y + 3))
    for curve in found:
        shapes += _curve(curve, axis, frame, room)
    for curve in found:
        shapes += _points(curve, axis, frame, room, scale if len(found) == 1 else None)
    if len(found) > 1:
        shapes += _labels(found, axis, frame, room)
    if len(found) < 3:  # more would not find a place
        for curve in found:
            shapes += _numbers(curve, found, axis, frame, room)
    return shapes


def _axis(norms: Sequence[float], bottom: float, top: float) -> Axis:
    """Return a log axis of whole decades, at least two, so that what holds looks level."""
    alive = [n for n in norms if math.isfinite(n) and n > 0] or [1.0]
    low = math.floor(math.log10(min(alive)) + 1e-9)
    high = max(math.ceil(math.log10(max(alive)) - 1e-9), low + 1)
    if high - low < 2:
        low, high = (low, high + 1) if high <= 0 else (low - 1, high)
    return Axis(max(10.0**low, DECADES[0]), min(10.0**high, DECADES[1]), bottom, top, log=True)


def _rules(axis: Axis, frame: Frame, *, left: bool) -> list[Shape]:
    """Return a thin line for each round value, its number on the left, or else on the right."""
    shapes: list[Shape] = []
    for value in axis.ticks(5):
        y = axis.at(value)
        shapes.append(Line(((frame.left, y), (frame.right, y)), RULE, 1.0))
        x, anchor = (frame.left - 6, "end") if left else (frame.right + 6, "start")
        shapes.append(Words(x, y + 3.5, axis.label(value), NUMBER, GREY, anchor))
    return shapes


def _curve(curve: Curve, axis: Axis, frame: Frame, room: Room) -> Iterable[Shape]:
    """Yield a line through all states with a norm that has a place on the axis, in pieces."""
    piece: list[Point] = []
    shown = sorted(zip((frame.at[key] for key in curve.row.keys), curve.track.norms, strict=True))
    last_cross = -math.inf
    for x, norm in [*shown, (math.inf, 0.0)]:
        if math.isfinite(norm) and norm > 0:
            piece.append((x, axis.at(norm)))
            continue
        if len(piece) > 1:
            room.path(piece)
            yield Line(tuple(thinned(piece)), curve.color, 2.0, curve.dash, title=curve.name)
        piece = []
        y = axis.start - 5 if norm == 0 else axis.end + 6  # it has no place on the axis
        near = (x - 6, y - 4, x + 6, y + 4)
        if math.isfinite(x) and x - last_cross >= 14 and not room.things.hits(near):
            mark = cross(x, y) if norm == 0 else failed(x, y, norm)
            wide = width(mark.text, mark.size) / 2
            room.take((x - wide, mark.y - mark.size, x + wide, mark.y + 2))
            last_cross = x
            yield mark


def _points(
    curve: Curve, axis: Axis, frame: Frame, room: Room, scale: Scale | None
) -> Iterable[Shape]:
    """Yield a dot at each marked state, in the shade of its norm where there is one line."""
    marked = set(frame.marked)
    t_of = zip(curve.row.keys, curve.row.run.times, curve.track.norms, strict=True)
    for key, t, norm in t_of:
        if key in marked and math.isfinite(norm) and norm > 0:
            color = scale.color(norm) if scale else curve.color
            title = f"‖dL/d{curve.track.name}‖ at t = {t}: {norm:.6g}"
            x, y = frame.at[key], axis.at(norm)
            room.take((x - DOT, y - DOT, x + DOT, y + DOT))
            yield dot(x, y, DOT, color, title)


def _numbers(
    curve: Curve, found: Sequence[Curve], axis: Axis, frame: Frame, room: Room
) -> Iterable[Shape]:
    """Yield the norm at each marked state where it finds a place, under the lower of two lines."""
    marked = set(frame.marked)
    others = [dict(zip(other.row.keys, other.track.norms, strict=True))
              for other in found if other is not curve]  # fmt: skip
    for i, (key, norm) in enumerate(zip(curve.row.keys, curve.track.norms, strict=True)):
        labelled = bool(others) and i == curve.end
        if key in marked and not labelled and math.isfinite(norm) and norm > 0:
            under = any(other.get(key, 0.0) > norm for other in others)
            yield from placed(room, frame.at[key], axis.at(norm), number(norm), INK, under=under)


def _labels(found: Sequence[Curve], axis: Axis, frame: Frame, room: Room) -> Iterable[Shape]:
    """Yield what each line is called, at its left end, moved apart where they are close.

    A line that begins further to the right has its label where it finds a place.
    """
    wanted: list[tuple[float, int, Curve]] = []
    later: list[tuple[float, float, Curve]] = []
    for n, curve in enumerate(found):
        norm = curve.track.norms[curve.end]
        x = min(frame.at[key] for key in curve.row.keys)
        y = axis.at(norm) if math.isfinite(norm) and norm > 0 else axis.start
        if x > frame.left + frame.step:
            later.append((x, y, curve))
        else:
            wanted.append((y if math.isfinite(norm) else axis.end, n, curve))
    wanted.sort(key=lambda label: label[:2])
    x = frame.left + frame.step / 2
    for (y, _, curve), own in zip(wanted, _inside([y for y, *_ in wanted], axis), strict=True):
        if abs(own - y) > 2:
            yield Line(((x - 12, own), (x - 5, y)), curve.color, 0.8)
        yield Words(x - 14, own + 3.5, curve.value, NUMBER, INK, "end")
        beside = x - 20 - width(curve.value, NUMBER)
        name = fit(curve.name, beside - 8, NUMBER, bold=True)
        left = beside - width(name, NUMBER, bold=True)
        room.take((left, own - 6, x - 5, own + 7))
        yield Words(beside, own + 3.5, name, NUMBER, curve.color, "end", bold=True)
    for x, y, curve in later:
        yield from placed(room, x, y, f"{curve.name} {curve.value}", curve.color)


def _inside(ys: Sequence[float], axis: Axis) -> list[float]:
    """Return heights moved apart, and back where the first or the last would leave the panel."""
    found = spread(ys, APART)
    limit = axis.end - 4
    for i in range(len(found)):
        found[i] = max(found[i], limit)
        limit = found[i] + APART
    limit = axis.start + 4
    for i in reversed(range(len(found))):
        found[i] = min(found[i], limit)
        limit = found[i] - APART
    return found


def spread(ys: Sequence[float], apart: float) -> list[float]:
    """Return heights, lowest first, moved as little as needed so that they are `apart`.

    >>> spread([10.0, 11.0, 40.0], 12.0)
    [4.5, 16.5, 40.0]
    """
    groups: list[list[float]] = []  # each the wanted heights of labels that touch
    for y in ys:
        groups.append([y])
        while len(groups) > 1 and _foot(groups[-1], apart) - _top(groups[-2], apart) < apart:
            last = groups.pop()
            groups[-1] += last
    return [_foot(own, apart) + k * apart for own in groups for k in range(len(own))]


def _foot(group: Sequence[float], apart: float) -> float:
    return math.fsum(group) / len(group) - apart * (len(group) - 1) / 2


def _top(group: Sequence[float], apart: float) -> float:
    return _foot(group, apart) + apart * (len(group) - 1)


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return at most about 4,000 points of a line that looks the same: the extremes of columns."""
    if len(points) <= MOST_POINTS:
        return points
    size = -(-len(points) * 4 // MOST_POINTS)
    kept: list[Point] = []
    for start in range(0, len(points), size):
        own = points[start : start + size]
        ends = (0, len(own) - 1, min(range(len(own)), key=lambda i: own[i][1]),
                max(range(len(own)), key=lambda i: own[i][1]))  # fmt: skip
        kept += [own[i] for i in sorted(set(ends))]
    return kept
