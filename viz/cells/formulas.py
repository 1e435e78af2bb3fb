"""Set the equations of a cell: LaTeX, as `rnn.latex` writes it, as plain letters in columns.

Of LaTeX it reads what cells are written in: symbols, small letters above and below, brackets,
functions, fractions and roots, which stand on one line. Marks in the text (see `rnn.cells.terms`)
say which node, or which use of one, each letter belongs to. Long lines are cut before a sign of an
operation. Below `drawing.py`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum

from viz.cells.signs import BELOW, GREEK
from viz.labels import width
from viz.scene import Run, Words
from viz.writers.primitives import size_of

BEGIN, NAMED, END = "\ue000", "\ue001", "\ue002"
TOKEN = re.compile(
    rf"{BEGIN}[^{NAMED}]*{NAMED}|{END}|\\mathrm\{{[^{{}}]*\}}|\\[a-zA-Z]+|\\.|\d+\.?\d*|\s+|."
)
SIGNS = {
    r"\odot": "⊙", r"\sigma": "σ", r"\cdot": "·", r"\le": "≤", r"\ge": "≥", r"\ne": "≠",
    r"\infty": "∞", r"\top": "⊤", r"\ast": "∗", r"\ldots": "…", "-": "−", r"\,": " ", **GREEK,
}  # fmt: skip
DROPPED = frozenset({r"\left", r"\right", "&"})
THIN = "\u2009"  # a thin space
SPACED = frozenset("+−⊙=<>≤≥≠·")
SIZE, LEAD, CONTINUED = 14.0, 24.0, 19.0  # pixels: of letters, from line to line, to a cut line
INDENT, GAP, STEP = 18.0, 28.0, 8.0
CUTS = (("+−", 0), ("+−⊙·", 0), ("+−", 99), ("+−⊙·", 99), ("", 99))  # signs, and how deep


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold letters of one kind, and the names of the marks that they stand in, outermost first."""

    text: str
    italic: bool = False
    level: int = 0
    marks: tuple[str, ...] = ()


def pieces(line: str) -> list[Piece]:
    """Return a line of LaTeX as pieces, its sign of equality among them.

    >>> from viz.cells.formulas import pieces, text
    >>> text(pieces(r"h_t &= \\frac{a_t}{2} \\odot x_{t-1}"))
    'hₜ = aₜ/2 ⊙ xₜ₋₁'
    """
    return list(_joined(_Reader(line).read()))


def text(own: Iterable[Piece]) -> str:
    """Return pieces as plain text: small letters are those of Unicode, or stand behind a line."""
    out = ""
    for level, group in groupby(own, key=lambda piece: piece.level):
        letters = "".join(piece.text for piece in group)
        if level < 0 and all(c in BELOW for c in letters.replace("−", "-")):
            out += "".join(BELOW[c] for c in letters.replace("−", "-"))
        else:
            out += ("", "^", "_")[level] + letters
    return out.replace(THIN, " ")


class _Reader:
    """Read one line from left to right."""

    def __init__(self, line: str) -> None:
        self.tokens = TOKEN.findall(line)
        self.at = 0
        self.marks: list[str] = []
        self.below = -1  # the token behind the last one that stood below the line

    def read(self, *, until: str = "", level: int = 0) -> Iterator[Piece]:
        """Yield pieces until the end, or past a token; between braces they are of one level."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if until and token == until:
                return
            yield from self._piece(token, level)

    def _piece(self, token: str, level: int) -> Iterator[Piece]:
        if token.startswith(BEGIN):
            self.marks.append(token[1:-1])
        elif token == END:
            self.marks.pop()
        elif token == "_" and level < 0:
            yield self._smaller(list(self._argument(-1)))
        elif token == "_":
            if self._goes_on():
                yield self._made(",", -1)
            yield from self._argument(-1)
            self.below = self.at
        elif token == "^":
            yield from self._argument(1)
        elif token == "{":
            yield from self.read(until="}", level=level)
        elif token == r"\frac":
            yield from self._fraction(level)
        elif token == r"\sqrt":
            yield self._made("√", level)
            yield from _bracketed(list(self._argument(level)), level)
        elif token.isspace():
            yield self._made(THIN, level)
        elif token not in DROPPED:
            yield self._letters(token, level)

    def _smaller(self, own: list[Piece]) -> Piece:
        """Return what stands below what is below already: as the small letters of Unicode."""
        letters = "".join(piece.text for piece in own)
        small = all(c in BELOW for c in letters.replace("−", "-"))
        below = "".join(BELOW[c] for c in letters.replace("−", "-")) if small else f"_{letters}"
        return self._made(below, -1)

    def _goes_on(self) -> bool:
        """Tell whether nothing but ends stands between this and what was last below the line."""
        between = self.tokens[self.below : self.at - 1] if self.below >= 0 else ["x"]
        return all(token in ("}", END) for token in between)

    def _letters(self, token: str, level: int) -> Piece:
        if token.startswith(r"\mathrm"):
            return self._made(token[8:-1], level)
        if token in SIGNS:
            return self._made(SIGNS[token], level)
        if token.startswith("\\"):
            return self._made(token[1:], level)
        return self._made(token, level, italic=token.isalpha())

    def _made(self, letters: str, level: int, *, italic: bool = False) -> Piece:
        return Piece(letters, italic, level, tuple(self.marks))

    def _argument(self, level: int) -> Iterator[Piece]:
        """Yield what a command takes: the next token, or all between braces."""
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token == "{":
                yield from self.read(until="}", level=level)
            else:
                yield from self._piece(token, level)

    def _fraction(self, level: int) -> Iterator[Piece]:
        yield from _bracketed(list(self._argument(level)), level)
        yield self._made("/", level)
        yield from _bracketed(list(self._argument(level)), level)


def _bracketed(own: list[Piece], level: int) -> Iterator[Piece]:
    """Yield pieces in brackets where they are more than one symbol."""
    several = any(piece.text in SPACED or piece.text == THIN for piece in own)
    if several:
        yield Piece("(", level=level, marks=own[0].marks)
    yield from own
    if several:
        yield Piece(")", level=level, marks=own[-1].marks)


def _joined(own: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces with neighbours of one kind as one; spaces stay alone, to break lines at."""
    waiting: Piece | None = None
    for piece in own:
        kind = (piece.italic, piece.level, piece.marks)
        alike = waiting and kind == (waiting.italic, waiting.level, waiting.marks)
        if waiting and alike and THIN not in (piece.text, waiting.text):
            waiting = Piece(waiting.text + piece.text, *kind)
            continue
        if waiting:
            yield waiting
        waiting = piece
    if waiting:
        yield waiting


def by_mark(lines: Iterable[list[Piece]]) -> dict[str, list[Piece]]:
    """Return for each mark the pieces in it, where it stands first."""
    found: dict[str, list[Piece]] = {}
    for line in lines:
        own: dict[str, list[Piece]] = {}
        for piece in line:
            for mark in piece.marks:
                own.setdefault(mark, []).append(piece)
        for mark, parts in own.items():
            found.setdefault(mark, parts)
    return found


def left_side(line: list[Piece]) -> tuple[str, list[Piece]]:
    """Return the mark of the node that a line defines, empty for none, and its symbol."""
    end = next((i for i, piece in enumerate(line) if "=" in piece.text), 0)
    own = [piece for piece in line[:end] if piece.text != THIN]
    marks = own[0].marks if own else ()
    return (marks[0] if marks else ""), own


def run_width(runs: Sequence[Run], size: float = SIZE) -> float:
    """Return how wide runs are in pixels, a little on the wide side."""
    return fsum(width(run.text, size_of(run, size)) for run in runs)


def beside(
    formulas: Sequence[Sequence[Run]], x: float, top: float, room: float
) -> tuple[list[Words], float]:
    """Set formulas in one column of this width: the words, and the foot of the lowest."""
    words: list[Words] = []
    y = top
    for formula in formulas:
        for i, line in enumerate(cut(formula, room)):
            y += (CONTINUED if i else LEAD) if words else 0.0
            plain = "".join(run.text for run in line)
            words.append(Words(x + (INDENT if i else 0.0), y, plain, SIZE, anchor="start",
                               runs=tuple(line)))  # fmt: skip
    return words, y + 6


def below(
    formulas: Sequence[Sequence[Run]], x: float, top: float, room: float
) -> tuple[list[Words], float]:
    """Set formulas in as many columns as there is room for, column by column."""
    widest = max((run_width(formula) for formula in formulas), default=0.0)
    columns = max(1, min(len(formulas), int((room + GAP) // (widest + GAP)), 3))
    each = -(-len(formulas) // columns)
    words: list[Words] = []
    bottom = top
    for column in range(columns):
        own = formulas[column * each : (column + 1) * each]
        found, foot = beside(own, x + column * (room + GAP) / columns, top,
                             (room + GAP) / columns - GAP)  # fmt: skip
        words += found
        bottom = max(bottom, foot)
    return words, bottom


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
