"""Sets formulas in columns: below each other, long ones cut before a sign of an operation.

Knows runs alone; below `drawing.py`.
"""

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from viz.labels import width
from viz.scene import Run, Words
from viz.writers.primitives import size_of

SIZE, LEAD, CONTINUED = 14.0, 24.0, 19.0  # pixels: of letters, from line to line, to a cut line
INDENT, GAP, STEP = 18.0, 28.0, 8.0
CUTS = (("+−", 0), ("+−⊙·", 0), ("+−", 99), ("+−⊙·", 99), ("", 99))  # signs, and how deep
THIN = "\u2009"


class Set(NamedTuple):
    """Formulas where they stand, and the foot of the lowest."""

    words: tuple[Words, ...]
    bottom: float


def run_width(runs: Sequence[Run], size: float = SIZE) -> float:
    """Return how wide runs are in pixels, a little on the wide side."""
    return fsum(width(run.text, size_of(run, size)) for run in runs)


def beside(formulas: Sequence[Sequence[Run]], x: float, top: float, room: float) -> Set:
    """Set formulas in one column of this width."""
    words: list[Words] = []
    y = top
    for formula in formulas:
        for i, line in enumerate(cut(formula, room)):
            y += (CONTINUED if i else LEAD) if words else 0.0
            plain = "".join(run.text for run in line)
            words.append(Words(x + (INDENT if i else 0.0), y, plain, SIZE, anchor="start",
                               runs=tuple(line)))  # fmt: skip
    return Set(tuple(words), y + 6)


def below(formulas: Sequence[Sequence[Run]], x: float, top: float, room: float) -> Set:
    """Set formulas in as many columns as there is room for, column by column."""
    widest = max((run_width(formula) for formula in formulas), default=0.0)
    columns = max(1, min(len(formulas), int((room + GAP) // (widest + GAP)), 3))
    each = -(-len(formulas) // columns)
    words: list[Words] = []
    bottom = top
    for column in range(columns):
        own = formulas[column * each : (column + 1) * each]
        found = beside(own, x + column * (room + GAP) / columns, top, (room + GAP) / columns - GAP)
        words += found.words
        bottom = max(bottom, found.bottom)
    return Set(tuple(words), bottom)


def cut(formula: Sequence[Run], room: float) -> list[list[Run]]:
    """Return a formula in lines no wider than `room`, those after the first a little narrower.

    It is cut before + and − outside of brackets, then before other signs, then inside of brackets,
    then at any space, as far as is needed: what has no space stays whole.
    """
    for signs, depth in CUTS:
        parts = _unbreakable(formula, signs, depth)
        lines = _filled(parts, room)
        if all(run_width(line) <= room for line in lines):
            break
    return _balanced(parts, room, len(lines))


def _balanced(parts: list[list[Run]], room: float, count: int) -> list[list[Run]]:
    """Return the lines as even as they can be without being more."""
    while count > 1 and room > STEP and len(_filled(parts, room - STEP)) == count:
        room -= STEP
    return _filled(parts, room)


def _filled(parts: list[list[Run]], room: float) -> list[list[Run]]:
    """Return as many parts on each line as there is room for."""
    lines: list[list[Run]] = [[]]
    for part in parts:
        have = room if len(lines) == 1 else room - INDENT
        if lines[-1] and run_width([*lines[-1], *part]) > have:
            lines.append([])
            part = part[1:] if part[0].text == THIN else part
        lines[-1] += part
    return lines


def _unbreakable(formula: Sequence[Run], signs: str, most: int) -> list[list[Run]]:
    """Return the stretches between which a line may end: before these signs, "" being all."""
    parts: list[list[Run]] = [[]]
    depth = 0
    for i, run in enumerate(formula):
        depth += sum(c in "([" for c in run.text) - sum(c in ")]" for c in run.text)
        following = formula[i + 1].text if i + 1 < len(formula) else ""
        free = (not signs or following in signs) and depth <= most and not run.level
        if run.text == THIN and free and following and parts[-1]:
            parts.append([])
        parts[-1].append(run)
    return parts
