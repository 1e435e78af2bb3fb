"""Put norms into words: the finding that a picture has as its title, and what is said of each cell.

All of it speaks of ‖dL/ds_t‖, the norm of the total derivative of the loss by a state, at the first
state and at the last one that a gradient reaches; a factor a step is the geometric mean between
them. Below the panels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from viz.labels import count, number, short, superscript, width
from viz.story.measuring import Row, Track
from viz.style import Scale

TITLE_SIZE = 15.0
SUBSCRIPTS = str.maketrans("-0123456789", "₋₀₁₂₃₄₅₆₇₈₉")
MUCH, SOME = 100.0, 2.0  # a gradient that changes by less than the second is said to hold


@dataclass(frozen=True, slots=True)
class Fate:
    """Tell what becomes of the gradient of one state on its way from the last step to the first.

    `start` is the position of the last state that has a gradient, None where none has. `at` is the
    first position on the way back from where the gradient is zero, or not finite. `ratio` is the
    norm at the first state by that at the start, `decades` its logarithm, which never overflows,
    and `factor` its geometric mean a step.
    """

    start: int | None
    verb: str
    at: int | None = None
    ratio: float = math.nan
    factor: float = math.nan
    decades: float = math.nan


def fate(track: Track) -> Fate:
    """Return what becomes of the gradient of a state.

    It vanishes where less than a hundredth is left, fades where less than half is, holds up to
    twice, grows up to a hundred times, and explodes beyond.

    >>> from viz.story.measuring import Track
    >>> found = fate(Track("h", (0.25, 0.5, 1.0), (0.0, 0.0, 1.0)))
    >>> found.verb, found.factor
    ('fades', 0.5)
    """
    norms = track.norms
    start = max((i for i, n in enumerate(norms) if n != 0), default=None)
    if start is None:
        return Fate(None, "is zero")
    broken = [i for i in range(start + 1) if not math.isfinite(norms[i])]
    if broken:
        return Fate(start, "is not finite", max(broken))
    if norms[0] == 0:
        return Fate(start, "dies", next(i for i, n in enumerate(norms) if n != 0) - 1, 0.0, 0.0)
    decades = math.log10(norms[0]) - math.log10(norms[start])
    ratio = norms[0] / norms[start]
    factor = 10.0 ** (decades / start) if start else math.nan
    return Fate(start, _verb(ratio), None, ratio, factor, decades)


def _verb(ratio: float) -> str:
    if ratio < 1:
        return "vanishes" if ratio < 1 / MUCH else "fades" if ratio < 1 / SOME else "holds"
    return "explodes" if ratio > MUCH else "grows" if ratio > SOME else "holds"


def main_track(row: Row) -> Track:
    """Return the state that brings the most back to the first step, h before others."""
    size = [n if math.isfinite(n) else math.inf for n in (t.norms[0] for t in row.tracks)]
    return row.tracks[size.index(max(size))]


def factor(value: float) -> str:
    """Return a factor with two digits of what it changes: 0.45, 0.998, 1.3.

    >>> [factor(v) for v in (0.4512, 0.99812, 1.0, 1.31)]
    ['0.45', '0.9981', '1', '1.3']
    """
    change = abs(value - 1)
    if not 1e-6 < change < 0.095:
        return number(value)
    return f"{value:.{1 - math.floor(math.log10(change))}f}".rstrip("0")


def size(found: Fate) -> str:
    """Return what is left at the first state as people say it: 1/262, 48 %, 3.1×10⁻⁶, or 2,100.

    >>> size(Fate(9, "vanishes", None, 1 / 262, 0.5, -2.4)), size(Fate(9, "holds", None, 0.9714))
    ('1/262', '97 %')
    """
    ratio = found.ratio
    if ratio < 1e-300 or ratio > 1e300:
        exponent = math.floor(found.decades)
        return f"{10 ** (found.decades - exponent):.1f}×10{superscript(exponent)}"
    if ratio < 0.095:
        return f"1/{count(round(1 / ratio))}" if ratio > 1e-4 else number(ratio)
    if ratio < 1:
        return f"{100 * ratio:.{0 if ratio < 0.995 else 1}f} %".replace(".0 %", " %")
    return count(round(ratio)) if 999 < ratio < 1e5 else number(ratio)


def finding(rows: Sequence[Row], names: Sequence[str], room: float) -> str:
    """Return the title: of one cell what becomes of its gradient, of several their factors.

    `names` tell the rows apart; of the ways to say it the longest that fits in `room` is chosen.
    """
    ways = _of_one(rows[0]) if len(rows) == 1 else _of_many(rows, names)
    fitting = (way for way in ways if width(way, TITLE_SIZE, bold=True) <= room)
    return next(fitting, ways[-1])


def _of_one(row: Row) -> list[str]:
    """Return ways to say what becomes of the gradient of one cell, the longest first."""
    track = main_track(row)
    found = fate(track)
    entered = [i for i, names in enumerate(row.sources) if names]
    if found.start is None:
        zero = track.zero(range(len(track.norms)))
        return [f"No gradient reaches any state: {'all are ' if '0' in zero else ''}{zero}",
                f"The gradient is {zero}", "The gradient is 0"]  # fmt: skip
    if found.verb == "is not finite":
        return _not_finite(row, track, found)
    if len(entered) > 1:
        return _of_many_losses(row, track, found, entered)
    if found.start == 0:
        return ["One step: the gradient does not travel through time",
                "One step: no travel through time"]  # fmt: skip
    last = "last loss" if found.start == len(row.run.times) - 1 else "loss"
    by = f" by {track.name}" if len(row.tracks) > 1 else ""
    return _of_one_loss(row, track, found, f"{last}’s gradient{by}")


def _of_one_loss(row: Row, track: Track, found: Fate, what: str) -> list[str]:
    if found.verb == "dies":
        assert found.at is not None
        t, zero = row.run.times[found.at], track.zero(range(found.at + 1))
        return [
            f"The {what} dies at t = {t}: {zero} from there back",
            f"The gradient is {zero} from t = {t} back",
            f"The gradient dies at t = {t}",
        ]
    step = f"×{factor(found.factor)} a step"
    whole = found.verb == "holds" and size(found) == "1"  # or a bit of rounding above it
    if found.ratio >= 1 and not whole:
        return [
            f"The {what} {found.verb}, {step}: {size(found)} times as large at the first state",
            f"The {what} {found.verb}, {step}: ×{size(found)} at the first state",
            f"The gradient {found.verb}, {step}",
        ]
    left, brief = "100 %" if whole else size(found), f"The gradient {found.verb}, {step}"
    if found.verb == "holds":
        return [f"The {what} holds: {left} reaches the first state, {step}", brief]
    return [f"{left} of the {what} reaches the first state: {step}", brief]


def _not_finite(row: Row, track: Track, found: Fate) -> list[str]:
    assert found.at is not None
    t, what = row.run.times[found.at], _broken(track.norms[found.at])
    head = f"{what} at t = {t}"
    ways = [f"The gradient is not finite: {head}", f"The gradient is {head}"]
    if not _all_before(track, found):
        return ways
    kinds = list(dict.fromkeys(_broken(n) for n in track.norms[: found.at]))
    then = "and" if kinds == [what] else " or ".join(kinds)
    tail = f"{then} at every state before it"
    return [f"{ways[0]}, {tail}", f"The gradient: {head}, {tail}", *ways]


def _broken(norm: float) -> str:
    return "NaN" if math.isnan(norm) else "infinite"


def _all_before(track: Track, found: Fate) -> bool:
    """Return whether there are states before the first broken one, all of them broken too."""
    return bool(found.at) and not any(map(math.isfinite, track.norms[: found.at]))


def _of_many_losses(row: Row, track: Track, found: Fate, entered: list[int]) -> list[str]:
    n = len(row.run.times)
    where = "every step" if len(entered) == n else f"{count(len(entered))} of {count(n)} steps"
    head = f"The loss feeds in at {where}"
    if found.verb == "dies":
        assert found.at is not None
        d, t = f"‖dL/d{track.name}‖", row.run.times[found.at]
        zero = track.zero(range(found.at + 1))
        return [f"{head}: {d} is {zero} from t = {t} back", f"{d} is {zero} from t = {t} back"]
    assert found.start is not None
    if found.start == 0:
        return [f"{head}: only the first state has a gradient"]
    left = f"{size(found)} {'of' if found.ratio < 1 else 'times'}"
    first, last = (state_name(track.name, row.run.times[i]) for i in (0, found.start))
    return [f"{head}: ‖dL/d{first}‖ is {left} ‖dL/d{last}‖", head]


def _of_many(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """Return the factors a step of several cells, or what else becomes of their gradients."""
    told = [_briefly(row) for row in rows]
    pairs = [f"{what} {'' if name == 'forward' else 'in '}{name}"
             for what, name in zip(told, names, strict=True)]  # fmt: skip
    listed = ", ".join(pairs)
    ways = [f"A step back in time: {listed}", f"A step back: {listed}"]
    known = [(fate(main_track(r)).factor, name) for r, name in zip(rows, names, strict=True)]
    known = [pair for pair in known if pair[0] > 0]
    if len(known) == len(rows) > 2:
        (low, a), (high, b) = min(known), max(known)
        ways.append(f"A step back in time: from ×{factor(low)} in {a} to ×{factor(high)} in {b}")
        ways.append(f"A step back in time: from ×{factor(low)} to ×{factor(high)}")
    brief = f"The gradients of {len(rows)} cells"
    return [*ways, f"{brief}, on their way back in time", brief]


def _briefly(row: Row) -> str:
    track = main_track(row)
    found = fate(track)
    zero = f"to 0 ({track.dtype})"
    words = {"is zero": "no gradient", "is not finite": "not finite", "dies": zero}
    if found.verb in words:
        return words[found.verb]
    return "one step" if math.isnan(found.factor) else f"×{factor(found.factor)}"


def heading(row: Row) -> str:
    """Return what is said over the chain of a cell that is not alone in its picture."""
    track = main_track(row)
    found = fate(track)
    by = f"{track.name} " if len(row.tracks) > 1 else ""
    if found.start is None:
        zero = track.zero(range(len(track.norms)))
        return f"its gradient is {zero}" if "0" in zero else "no gradient reaches it"
    if found.verb == "is not finite":
        assert found.at is not None
        t = f"t\u00a0=\u00a0{row.run.times[found.at]}"
        back = _all_before(track, found)
        return f"{by}is not finite {f'from {t} back' if back else f'at {t}'}"
    if found.verb == "dies":
        assert found.at is not None
        zero = track.zero(range(found.at + 1)).replace(" in ", "\u00a0in\u00a0")
        return f"{by}is {zero} from t\u00a0=\u00a0{row.run.times[found.at]} back"
    if found.start == 0:
        return ""
    left = f"{'' if found.ratio < 1 else '×'}{size(found)}"
    if sum(map(bool, row.sources)) > 1:  # what enters on the way is no growth
        head = f"{track.name}: " if by else ""
        return f"{head}{left} at t\u00a0=\u00a0{row.run.times[0]}, with what enters on the way"
    link = ":" if found.verb == "holds" else " to"
    return f"{by}{found.verb}{link} {left} at t\u00a0=\u00a0{row.run.times[0]}"


def explained(rows: Sequence[Row], scale: Scale) -> list[str]:
    """Return what the words and numbers of a picture mean, for the lines under it."""
    states = list(dict.fromkeys(track.name for row in rows for track in row.tracks))
    of = states[0] if len(states) == 1 else "s"
    batch = max(row.batch for row in rows)
    whole = f", over all {count(batch)} rows of the batch" if batch > 1 else ""
    notes = [
        f"Ribbon (log scale) and line: ‖dL/d{of}ₜ‖, the Euclidean norm of the total derivative of "
        f"the loss by the state after step t{whole}."
    ]
    norms = [n for row in rows for track in row.tracks for n in track.norms]
    if any(n > 0 and scale.dash(n) for n in norms if math.isfinite(n)):
        notes.append("Dotted: too small for the scale.")
    notes += _zeros(rows)
    if any(fate(main_track(row)).factor > 0 for row in rows):
        several = any(sum(map(bool, row.sources)) > 1 for row in rows)
        more = ", with what enters between" if several else ""
        notes.append(
            "A step: the geometric mean from the last state that a gradient reaches to the first"
            f"{more}."
        )
    return notes


def _zeros(rows: Sequence[Row]) -> list[str]:
    """Return what the crosses stand for."""
    found = [track.zero(range(i, i + 1)) for row in rows for track in row.tracks
             for i, norm in enumerate(track.norms) if norm == 0]  # fmt: skip
    kinds = [f"{kind}: zero, or too small for it" if kind[0] == "0" else kind
             for kind in dict.fromkeys(found)]  # fmt: skip
    return [f"×: {'; or '.join(kinds)}."] if kinds else []


def state_name(name: str, t: object) -> str:
    """Return what the state after a step is called: h₃."""
    text = str(t)
    number = text.lstrip("-").isdigit()
    return name + (text.translate(SUBSCRIPTS) if number else f"({short(text, 8)})")


def power_of(value: float) -> str:
    """Return a power of ten as it stands at a scale: 1, 0.1, 10⁻³.

    >>> [power_of(v) for v in (1.0, 0.01, 0.001, 1e4)]
    ['1', '0.01', '10⁻³', '10⁴']
    """
    exponent = round(math.log10(value))
    return f"{value:g}" if -3 < exponent < 3 else f"10{superscript(exponent)}"
