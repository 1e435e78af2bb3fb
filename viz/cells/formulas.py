"""Sets the equations of a cell: LaTeX, as `rnn.latex` writes it, to runs of plain letters.

Of LaTeX it reads what cells are written in: symbols, small letters above and below, brackets,
functions, fractions and roots, which stand on one line. Marks in the text (see `rnn.cells.terms`)
say which node, or which use of one, each letter belongs to. Below `drawing.py`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from viz.cells.signs import BELOW, GREEK

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


@dataclass(frozen=True, slots=True)
class Piece:
    """Letters of one kind, and the names of the marks that they stand in, outermost first."""

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
    """Reads one line from left to right."""

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
