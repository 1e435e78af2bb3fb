"""Draw the states as a chain, with the gradient that travels back along it as a ribbon.

With few steps each state has a box and a ribbon leads from one to the next; with many it is one
ribbon over all of them. Above `marks.py`, below `picture.py`.
"""

import math
from collections.abc import Iterable, Sequence

from viz.charts.parts import GREY, INK
from viz.labels import count, number, short, width
from viz.scene import Line, Shape, Words
from viz.story.layout import Frame
from viz.story.marks import NUMBER, cross, failed, ribbon, rounded, thickness
from viz.story.measuring import Row, Track
from viz.story.sentence import power_of, state_name
from viz.style import BROKEN, DOTS, FILLS, RATIO, THIN, Scale

STUB = 18.0  # pixels: the height of where a gradient enters
LABEL = 14.0  # that of the words over it
BETWEEN = 8.0  # lanes of the states of one cell
PIECE = 5.0  # pixels: the length of a piece of one shade of a long ribbon
LOSS = "#8e1212"
BARB_LONG = 3.0  # pixels: how far the head of a long ribbon stands out
SEAM = 0.8


def lane_height(scale: Scale, full: float) -> float:
    """Return the height of a box: more than the widest ribbon."""
    return round(full / RATIO if scale.top == 1 else full) + 3.0


def head_height(row: Row, words: str) -> float:
    """Return the height of what enters a chain from above, and of the words over it."""
    return (STUB if any(row.sources) else 0.0) + (LABEL if words else 0.0)


def lanes_height(row: Row, scale: Scale, full: float) -> float:
    """Return the height of all lanes of a chain."""
    lanes = len(row.tracks)
    return lanes * lane_height(scale, full) + (lanes - 1) * BETWEEN


def entering(row: Row) -> str:
    """Return where the gradients of a cell come from: ``loss``, ``from layer 1 at every step``."""
    entered = [names for names in row.sources if names]
    names = list(dict.fromkeys(name for own in entered for name in own))
    text = " and ".join(name if name == "loss" else f"from {name}" for name in names)
    n, steps = len(entered), len(row.sources)
    if n < 2:
        return text
    return (
        f"{text} at every step" if n == steps else f"{text} at {count(n)} of {count(steps)} steps"
    )


def chain(
    row: Row, frame: Frame, y: float, scale: Scale, full: float, *, words: str = ""
) -> list[Shape]:
    """Return the chain of a cell, a lane for each of its states, the first one at `y`.

    What enters stands over it, with `words` over that.
    """
    high = lane_height(scale, full)
    shapes: list[Shape] = []
    # What enters is on top, so that its words stand over it.
    for k, track in enumerate(sorted(row.tracks, key=lambda own: not any(own.entries))):
        middle = y + high / 2 + k * (high + BETWEEN)
        lane = _Lane(row, track, frame, middle, scale, full)
        shapes += lane.boxed() if frame.boxed else lane.long()
        shapes += lane.entering(STUB if k == 0 else BETWEEN)
    if words:
        shapes.append(_words(row, frame, words, y - STUB - 4))
    return shapes


def _words(row: Row, frame: Frame, words: str, y: float) -> Words:
    """Return where the gradient comes from, over the stub on the right."""
    x = max(frame.at[key] for key, names in zip(row.keys, row.sources, strict=True) if names)
    wide = width(words, 11.0, bold=True)
    return Words(min(x, frame.width - 10 - wide / 2), y, words, 11.0, LOSS, bold=True)


class _Lane:
    """Draw one state of a cell through time."""

    def __init__(
        self, row: Row, track: Track, frame: Frame, y: float, scale: Scale, full: float
    ) -> None:
        self.row, self.track, self.frame, self.y = row, track, frame, y
        self.scale, self.full = scale, full
        self.high = lane_height(scale, full)
        self.xs = [frame.at[key] for key in row.keys]
        self.names = [state_name(track.name, t) for t in row.run.times]

    def boxed(self) -> Iterable[Shape]:
        """Yield a box for each state, and a ribbon from each to the one before."""
        half = min(22.0, 0.29 * self.frame.step)
        norms, back = self.track.norms, 1.0 if self.row.reverse else -1.0
        for i in range(1, len(self.xs)):
            tail, head = self.xs[i] + back * (half + 1), self.xs[i - 1] - back * (half + 1)
            title = f"{self._told(i)} to {self._told(i - 1)}"
            yield from ribbon((tail, self.y), (head, self.y), (norms[i], norms[i - 1]),
                              self.scale, self.full, title)  # fmt: skip
        fill, stroke = FILLS["state"]
        texts = [short(name, 6) for name in self.names]
        widest = max(width(text, 1.0) for text in texts)
        size = min(14.0, (2 * half - 4) / widest)
        for i, x in enumerate(self.xs):
            frame = rounded(x - half, self.y - self.high / 2, 2 * half, self.high)
            yield Line(frame, stroke, 1.3, fill=fill, title=self._told(i))
            text = texts[i] if size >= 9 else self.track.name
            yield Words(x, self.y + 4.5, text, max(size, 9.0))

    def long(self) -> Iterable[Shape]:
        """Yield one ribbon over all states, its marked steps as white lines across it."""
        for run, kind in _stretches(self.track.norms, self.scale):
            yield from self._stretch(run, kind)
        yield from self._arrow()
        marked = set(self.frame.marked)
        for i, key in enumerate(self.row.keys):
            norm = self.track.norms[i]
            if 0 < i < len(self.xs) - 1 and math.isfinite(norm) and norm > 0 and (
                key in marked or self.frame.step >= 12
            ):  # fmt: skip
                half = thickness(self.scale, norm, self.full) / 2
                if half > 1:
                    x = self.xs[i]
                    ends = ((x, self.y - half - 0.5), (x, self.y + half + 0.5))
                    yield Line(ends, "#ffffff", 1.2, title=self._told(i))
        yield from self._ends()

    def _stretch(self, run: range, kind: str) -> Iterable[Shape]:
        """Yield what a stretch of states of one kind looks like."""
        a, b = self.xs[run.start], self.xs[run.stop - 1]
        middle = (a + b) / 2
        ends = ((a, self.y), (b, self.y))
        if kind == "zero":
            where = f"{self.names[run.start]} to {self.names[run.stop - 1]}: {self.track.zero(run)}"
            yield Line(ends, "#c9ccd1", THIN, "1 4", title=where)
            yield cross(middle, self.y)
        elif kind == "broken":
            yield Line(ends, BROKEN, 3.0, "2 3")
            yield failed(middle, self.y - 10, self.track.norms[run.start])
        elif kind == "tiny":
            yield Line(ends, self.scale.color(self.track.norms[run.start]), THIN, DOTS)
        else:
            yield from self._pieces(run)

    def _pieces(self, run: range) -> Iterable[Shape]:
        """Yield a ribbon through all states of a stretch, in pieces of one shade each."""
        own = [*run]
        stride = max(1, round(PIECE / self.frame.step))
        norms, xs = self.track.norms, self.xs
        for start in range(0, max(len(own) - 1, 1), stride):
            piece = own[start : start + stride + 1]
            middle = norms[piece[len(piece) // 2]]
            upper, lower = [], []
            for i in piece:
                half = thickness(self.scale, norms[i], self.full) / 2
                upper.append((xs[i], self.y - half))
                lower.append((xs[i], self.y + half))
            if len(piece) > 1:
                if piece[-1] != own[-1]:  # under the next piece, so that no seam shines through
                    x = xs[piece[-1]] + (SEAM if xs[piece[-1]] > xs[piece[0]] else -SEAM)
                    upper.append((x, upper[-1][1]))
                    lower.append((x, lower[-1][1]))
                title = f"{self._told(piece[0])} … {self._told(piece[-1])}"
                yield Line((*upper, *reversed(lower)), "none", 0.0,
                           fill=self.scale.color(middle), title=title)  # fmt: skip

    def _arrow(self) -> Iterable[Shape]:
        """Yield a head at the first state, where the gradient arrives."""
        norm = self.track.norms[0]
        if norm == 0 or not math.isfinite(norm) or len(self.xs) < 2:
            return
        x, back = self.xs[0], 1.0 if self.row.reverse else -1.0
        half = thickness(self.scale, norm, self.full) / 2 + BARB_LONG
        tip = ((x + back * 9, self.y), (x, self.y - half), (x, self.y + half))
        yield Line(tip, "none", 0.0, fill=self.scale.color(norm), title=self._told(0))

    def _ends(self) -> Iterable[Shape]:
        """Yield the names of the first and the last state, beside the ribbon."""
        back = 1.0 if self.row.reverse else -1.0
        for i, side, room in ((0, back, 13.0), (len(self.xs) - 1, -back, 5.0)):
            anchor = "start" if side > 0 else "end"
            yield Words(self.xs[i] + side * room, self.y + 4, self.names[i], 12.0, INK, anchor)

    def _told(self, i: int) -> str:
        return f"‖dL/d{self.names[i]}‖ = {self.track.norms[i]:.6g}"

    def entering(self, tall: float) -> Iterable[Shape]:
        """Yield a stub wherever a gradient enters, as wide as its norm; of many a comb."""
        entered = [i for i, norm in enumerate(self.track.entries) if norm != 0]
        top, foot = self.y - self.high / 2 - tall, self.y - self.high / 2
        if not self.frame.boxed and len(entered) > 3:
            yield from self._comb(entered)
            return
        for i in entered:
            yield from self._stub(i, top, foot) if self.frame.boxed else self._arrow_in(i, top)

    def _arrow_in(self, i: int, top: float) -> Iterable[Shape]:
        """Yield an arrow down to a long ribbon, as wide for any norm: the ribbon has that."""
        norm, x = self.track.norms[i], self.xs[i]
        alive = math.isfinite(norm) and norm > 0
        foot = self.y - (thickness(self.scale, norm, self.full) / 2 if alive else 0.0) - 1
        yield Line(((x, top), (x, foot - 5)), LOSS, 2.0)
        yield Line(((x, foot), (x - 4, foot - 8), (x + 4, foot - 8)), "none", 0.0, fill=LOSS)

    def _stub(self, i: int, top: float, foot: float) -> Iterable[Shape]:
        norm, x = self.track.entries[i], self.xs[i]
        title = f"∂L/∂{self.names[i]} = {number(norm)}: what enters here alone"
        if not math.isfinite(norm):
            yield Line(((x, top), (x, foot)), BROKEN, 3.0, "2 3", title=title)
            return
        wide = thickness(self.scale, norm, self.full)
        color = self.scale.color(norm)
        if self.scale.dash(norm):
            yield Line(((x, top), (x, foot)), color, THIN, DOTS, title=title)
            return
        a, b = x - wide / 2, x + wide / 2
        outline = ((a, top), (b, top), (b, foot), (a, foot))
        yield Line(outline, "none", 0.0, fill=color, title=title)

    def _comb(self, entered: Sequence[int]) -> Iterable[Shape]:
        """Yield a line over all steps where a gradient enters, with a tooth at marked ones."""
        y = self.y - self.high / 2 - STUB + 6
        xs = [self.xs[i] for i in entered]
        yield Line(((min(xs), y), (max(xs), y)), LOSS, 1.4)
        marked = {self.frame.at[key] for key in self.frame.marked}
        for x in sorted(marked & set(xs)):
            yield Line(((x, y), (x, y + 7)), LOSS, 1.4)


def _stretches(norms: Sequence[float], scale: Scale) -> Iterable[tuple[range, str]]:
    """Yield runs of states of one kind; neighbours share the state where one ends."""
    kinds = [_kind(norm, scale) for norm in norms]
    start = 0
    for i in range(1, len(norms) + 1):
        if i == len(norms) or kinds[i] != kinds[start]:
            joins = i < len(norms) and {kinds[start], kinds[i]} == {"alive", "tiny"}
            yield range(start, i + 1 if joins else i), kinds[start]
            start = i


def _kind(norm: float, scale: Scale) -> str:
    if not math.isfinite(norm):
        return "broken"
    return "zero" if norm == 0 else "tiny" if scale.dash(norm) else "alive"


def key_to_widths(scale: Scale, full: float, x: float, y: float) -> tuple[list[Shape], float]:
    """Return the scale of the ribbons as one wedge with its decades, and where it ends."""
    apart, shapes = 34.0, []
    marks = [scale.top * 10.0**-k for k in range(7)]
    for k in range(6):
        a, b = (thickness(scale, marks[j], full) / 2 for j in (k, k + 1))
        left, right = x + k * apart, x + (k + 1) * apart
        color = scale.color(math.sqrt(marks[k] * marks[k + 1]))
        shapes.append(Line(((left, y - a), (right, y - b), (right, y + b), (left, y + a)),
                           color, 0.4, fill=color))  # fmt: skip
    words: list[Shape] = [
        Words(x + k * apart, y + full / 2 + 11, power_of(mark), NUMBER - 1, GREY)
        for k, mark in enumerate(marks)
    ]
    return [*shapes, *words], x + 6 * apart
