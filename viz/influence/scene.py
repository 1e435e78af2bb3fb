"""Draw an influence at one t: the text in lines, its shades, their scale.

Above `looks.py`, below `drawing.py`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from viz.charts.parts import GREY, INK, RULE
from viz.influence import looks
from viz.influence.looks import ink, shade, spoken, visible
from viz.influence.norms import Influence
from viz.labels import count, counted, figure, number, width, wrapped
from viz.scene import Line, Rect, Scene, Shape, Words
from viz.style import BROKEN, FORWARD

SIDE, TOP = 20.0, 66.0  # pixels around the text
SIZES = (22.0, 17.0, 14.0, 12.0)  # of the letters: the largest that takes at most `LINES` lines
LINES = 14
REACH = 0.01  # how much of the largest norm still counts as looked at
FILLS: dict[int | str, str] = {**dict(enumerate(looks.SHADES)), looks.BROKEN: BROKEN}
DOTTED = looks.SHADES[looks.STEPS // 3]  # under what is faint
SILENT = "#80868b"  # ink of a token that has no influence
BAR = 14.0  # pixels of the scale for each shade
LEAST = 680.0  # pixels: what the scale of shades needs


class Place(NamedTuple):
    """Locate a token in pixels: its left edge, its line's top, its width."""

    x: float
    y: float
    w: float


def scene(found: Influence, t: int, *, title: str, width: float) -> Scene:
    """Return the picture of the logit at t, at most `width` pixels wide."""
    labels = [visible(piece) for piece in found.pieces]
    last = found.predicts and t == len(found.pieces) - 1
    ghost = [visible(found.outputs[-1].token) or "␣"] if last else []
    size, high, places = _set(found, [*labels, *ghost], width)
    bottom = max(place.y for place in places) + high
    shapes: list[Shape] = [Words(SIDE, 46, subtitle(found, t), 11.5, GREY, "start")]
    for k in range(len(labels)):
        shapes += _token(found, k, t, places[k], size, high)
    shapes += _marks(found, t, places, size, high, ghost)
    shapes += _scale(found, bottom + 26)
    return Scene(
        title=title or _title(found, t, width - 40),
        width=width,
        height=bottom + 62,
        boxes=(),
        wires=(),
        notes=wrapped(notes(found, t), width - 2 * SIDE),
        shapes=tuple(shapes),
    )


def _title(found: Influence, t: int, room: float) -> str:
    """Return the headline, without what stands in brackets where it is too long for the sheet."""
    full = headline(found, t)
    return full if width(full, 15, bold=True) <= room else full.partition(" (to ")[0]


def headline(found: Influence, t: int) -> str:
    """Return what the picture shows in one sentence.

    The reach is the distance of the first token with at least `REACH` of the largest norm.
    """
    i = found.times.index(t)
    what = spoken(found.outputs[i].token)
    back = reach(found.norms[i], t)
    if back is None:
        return f"The logit of {what} depends on no {found.unit} of the text"
    share = "" if back == t + 1 else f" (to {REACH:.0%} of its largest norm)"
    return f"The logit of {what} looks back {counted(back, found.unit)}{share}"


def reach(norms: Sequence[float], t: int) -> int | None:
    """Return how many tokens up to t there are from the first that counts; None where none does."""
    alive = [v for v in norms if math.isfinite(v)]
    largest = max(alive, default=0.0)
    first = next((k for k, v in enumerate(norms) if v > 0 and v >= REACH * largest), None)
    return None if first is None or not largest else max(t + 1 - first, 0)


def subtitle(found: Influence, t: int) -> str:
    """Return the quantity: which logit, by which input."""
    return f"norm of d logit / d x, x the embedding of a {found.unit}; {named(found, t)}"


def named(found: Influence, t: int) -> str:
    """Return which logit is differentiated at t, with its value."""
    output = found.outputs[found.times.index(t)]
    why = "which follows" if output.follows else "the largest"
    return (
        f"after t = {count(t)} the logit is that of {spoken(output.token)}, {why}: "
        f"{number(output.logit)} (softmax {number(output.probability)})"
    )


def notes(found: Influence, t: int) -> Iterator[str]:
    """Yield what must be said under the picture."""
    norms = found.norms[found.times.index(t)]
    tones = {shade(v, found.largest, later=k > t) for k, v in enumerate(norms)}
    if looks.ZERO in tones:
        yield "grey: after t, exactly zero"
    if tones & {looks.FAINT, looks.LOST}:
        yield "dotted: under a millionth of the largest"
    if looks.LOST in tones:
        yield f"dotted and grey: 0, or under {figure(found.smallest, 4)}, the least of its dtype"
    if len(found.times) < len(found.pieces):
        yield (
            f"computed for {count(len(found.times))} of {count(len(found.pieces))} t, evenly "
            "apart: “the largest” is that of these, and the page lets choose among them"
        )


def _set(found: Influence, labels: Sequence[str], wide: float) -> tuple[float, float, list[Place]]:
    """Return the size of the letters, the height of a line, and where each token stands."""
    for size in SIZES:
        places = list(_flow(found, labels, size, wide))
        high = _line(size)
        if places[-1].y < TOP + LINES * high:
            break
    return size, high, places


def _line(size: float) -> float:
    return round(1.65 * size)


def _flow(found: Influence, labels: Sequence[str], size: float, wide: float) -> Iterator[Place]:
    """Yield the places of tokens in lines, broken after spaces and line breaks, as in a book."""
    gap = 3.0 if found.unit == "token" else 0.0
    widths = [
        max(9.0, round(0.6 * size), math.ceil(width(text, size)) + 2 * gap + 1) for text in labels
    ]
    x, y, line = SIDE, TOP, _line(size)
    for group in _groups(found, len(labels)):
        if x > SIDE and x + sum(widths[k] for k in group) > wide - SIDE:
            x, y = SIDE, y + line
        for k in group:
            if x > SIDE and x + widths[k] > wide - SIDE:  # a word longer than a line
                x, y = SIDE, y + line
            yield Place(x, y, widths[k] - gap)
            x += widths[k]
        if found.pieces[group[-1] :][:1] == ("\n",):
            x, y = SIDE, y + line


def _groups(found: Influence, n: int) -> Iterator[range]:
    """Yield runs of tokens that stay on one line: words with the space behind them."""
    start = 0
    for k in range(n):
        piece = found.pieces[k] if k < len(found.pieces) else " "
        if found.unit == "token" or piece in " \n\t" or k == n - 1:
            yield range(start, k + 1)
            start = k + 1


def _token(
    found: Influence, k: int, t: int, place: Place, size: float, high: float
) -> Iterator[Shape]:
    """Yield a token on its shade."""
    norm, label = found.norms[found.times.index(t)][k], visible(found.pieces[k])
    tone = shade(norm, found.largest, later=k > t)
    fill = FILLS.get(tone, "#ffffff")
    edge = RULE if not label or found.unit == "token" else ""
    title = f"k = {k}, {spoken(found.pieces[k])}: {exact(norm, tone, found)}"
    inset = 1.0 if not label else 0.0  # a space is a box of its own
    yield Rect(place.x + inset, place.y + 2 * inset, place.w - 2 * inset, high - 2 - 4 * inset,
               fill, edge, title)  # fmt: skip
    if label:
        color = SILENT if tone in (looks.ZERO, looks.LOST) else ink(fill)
        yield Words(place.x + place.w / 2, _foot(place, size, high), label, size, color)
    if tone in (looks.FAINT, looks.LOST):
        y = place.y + high - 3
        yield Line(((place.x + 2, y), (place.x + place.w - 2, y)), DOTTED, 1.3, "1.5 2")


def _foot(place: Place, size: float, high: float) -> float:
    return place.y + high / 2 + 0.33 * size


def exact(norm: float, tone: int | str, found: Influence) -> str:
    """Return a norm in full."""
    if tone == looks.ZERO:
        return "0: it comes later"
    return f"0, or under {figure(found.smallest, 4)}" if tone == looks.LOST else figure(norm, 4)


def _marks(
    found: Influence, t: int, places: list[Place], size: float, high: float, ghost: list[str]
) -> Iterator[Shape]:
    """Yield the frame of t, and of the token of the logit: what follows, or one not in the text."""
    yield from _frame(places[t], high, "", f"t = {t}: the logit is computed here")
    if ghost:
        place = places[-1]
        x = place.x + place.w / 2
        yield Words(x, _foot(place, size, high), ghost[0], size, FORWARD)
        yield from _frame(place, high, "3 2", "the largest logit; it is not in the text")
    elif found.predicts:
        yield from _frame(places[t + 1], high, "3 2", "what follows: the logit is its own")


def _frame(place: Place, high: float, dash: str, title: str) -> Iterator[Shape]:
    left, top, right, bottom = place.x, place.y - 1, place.x + place.w, place.y + high - 1
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    yield Line(corners, "#ffffff", 4.5)
    yield Line(corners, FORWARD, 2.0, dash, title=title)


def _scale(found: Influence, y: float) -> Iterator[Shape]:
    """Yield the scale of shades from the largest downward, a number at each decade."""
    if not found.largest:
        return
    for i, fill in enumerate(looks.SHADES):
        yield Rect(SIDE + 160 + BAR * i, y - 10, BAR, 12, fill)
    yield Words(SIDE, y, "norm, by decades (log)", 11, INK, "start")
    for decade in range(looks.DECADES + 1):
        x = SIDE + 160 + BAR * (4 * decade + 0.5)
        yield Words(x, y + 15, number(found.largest * 10.0 ** (decade - looks.DECADES)), 10, GREY)
    yield Words(SIDE + 172 + BAR * len(looks.SHADES), y, "the largest of all t", 11, INK, "start")
