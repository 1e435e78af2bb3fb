"""Read pretrained word vectors in the text formats of GloVe and word2vec. Above `files.py`."""

import reprlib
from array import array
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import engine
from engine.backends import HOST, Array
from rnn.data.files import BLANKS, numbered_lines
from rnn.data.vocabulary import Vocabulary
from rnn.modules.values import whole

LARGEST = float(HOST.xp.finfo("float32").max)


class Matrix(NamedTuple):
    """Hold vectors for a vocabulary: `values` (V, I) for `Embedding.weight`, and what was found.

    `coverage` is the share of the tokens, special ones apart, that have a vector; `missing` are
    those that have none, in the order of the vocabulary.

    >>> import engine, rnn
    >>> vectors = rnn.data.WordVectors(("the", "cat"), engine.eye(2).numpy())
    >>> found = vectors.matrix(rnn.data.Vocabulary(["the", "dog"]))
    >>> found.values.shape, found.coverage, found.missing
    ((6, 2), 0.5, ('dog',))
    """

    values: Array
    coverage: float
    missing: tuple[str, ...]


@dataclass(frozen=True)
class WordVectors:
    """Hold tokens and their vectors: ``vectors["the"]`` (I,), of `values` (N, I) of float32.

    `duplicates` are tokens that the file has more than once, of which the first vector counts.

    >>> import engine, rnn
    >>> vectors = rnn.data.WordVectors(("the", "cat"), engine.eye(2).numpy())
    >>> vectors["cat"].tolist(), "dog" in vectors
    ([0.0, 1.0], False)
    """

    tokens: tuple[str, ...]
    values: Array
    duplicates: tuple[str, ...] = ()
    _rows: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rows", {token: i for i, token in enumerate(self.tokens)})

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._rows

    def __getitem__(self, token: str) -> Array:
        if token not in self._rows:
            raise KeyError(token)
        return self.values[self._rows[token]]

    def matrix(
        self, vocabulary: Vocabulary, *, scale: float | None = None, lower: bool = False
    ) -> Matrix:
        """Return the vectors of a vocabulary's tokens in its order, float32, and the number found.

        Tokens without one get normal numbers of standard deviation `scale`, by default that of the
        vectors that were found, drawn by `engine.seed`; the row of the padding is 0. With `lower`
        a token that is not there is looked up in lower case. Raises ValueError for a scale below 0.
        """
        xp = HOST.xp
        if scale is not None and not scale >= 0:
            raise ValueError(f"WordVectors.matrix: scale must be at least 0, got {scale!r}")
        rows = [self._row(token, lower) for token in vocabulary]
        known = xp.asarray([row is not None for row in rows])
        found = self.values[[row for row in rows if row is not None]]
        if scale is None:
            scale = float(found.std()) if len(found) else 1.0
        shape = len(vocabulary), self.values.shape[1]
        values = engine.random.normal(shape, scale, "word vectors").numpy().copy()
        values[known] = found
        if vocabulary.pad is not None:
            values[vocabulary.pad] = 0.0
        special = frozenset(vocabulary.specials.values())
        own = [(t, row) for t, row in zip(vocabulary, rows, strict=True) if t not in special]
        missing = tuple(token for token, row in own if row is None)
        return Matrix(values, 1 - len(missing) / len(own) if own else 0.0, missing)

    def _row(self, token: str, lower: bool) -> int | None:
        row = self._rows.get(token)
        return self._rows.get(token.lower()) if row is None and lower else row


def read_vectors(
    path: str | Path,
    *,
    only: Container[str] | None = None,
    size: int | None = None,
    header: bool | None = None,
) -> WordVectors:
    """Return the vectors of a text file, plain or ``.gz``: a token and its I numbers a line.

    A first line of two whole numbers is taken for word2vec's header, N and I, unless `header` says
    what it is; GloVe has none. Columns are parted by spaces or tabs, any number of them. Tokens may
    hold spaces, as a few of GloVe's do: the last I columns are the numbers, I being that of the
    header, `size`, or that of the first line. With `only`, a
    vocabulary, the vectors of other tokens are read over and take no memory. Raises
    FileNotFoundError, and ValueError, with the line, for widths that differ, for what is no finite
    number, for what is not UTF-8, and for a number of vectors that is not the header's.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     size = file.write("the 0.5 1\\ncat 0 2\\n"); file.flush()
    ...     rnn.data.read_vectors(file.name)["cat"].tolist()
    [0.0, 2.0]
    """
    if size is not None:
        size = whole("read_vectors", "size", size)
    if isinstance(only, str):
        raise TypeError(f"read_vectors: only={reprlib.repr(only)}; expected tokens, such as a list")
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path}: no vectors, the file is empty")
    promised, headed = None, header
    columns = BLANKS.split(first[1].strip(" \t"))
    if headed is None:
        headed = len(columns) == 2 and all(c.isascii() and c.isdigit() for c in columns)
    if headed:
        promised, width = _header(path, columns)
        if size is not None and size != width:
            raise ValueError(f"{path}, line 1: vectors of {width} numbers, expected size={size}")
    else:
        lines, width = chain([first], lines), size or len(_cut(first[1])) - 1
    if width < 1:
        raise ValueError(f"{path}, line 1: no numbers after the token {first[1]!r}")
    return _collected(path, lines, width, only, promised)


def _header(path: str | Path, columns: list[str]) -> tuple[int, int]:
    try:
        count, width = map(int, columns)
    except ValueError:
        raise ValueError(f"{path}, line 1: expected a header of two whole numbers") from None
    return count, width


def _collected(
    path: str | Path,
    lines: Iterator[tuple[int, str]],
    width: int,
    only: Container[str] | None,
    promised: int | None,
) -> WordVectors:
    """Return the vectors of all lines, or of those tokens."""
    numbers = array("f")
    rows: dict[str, None] = {}
    doubled: dict[str, None] = {}
    count = 0
    for number, line in lines:
        if not line.strip():
            continue
        count += 1
        token, values = _parsed(f"{path}, line {number}", line, width)
        if only is not None and token not in only:
            continue
        if token in rows:
            doubled[token] = None
            continue
        rows[token] = None
        numbers.extend(values)
    if promised is not None and count != promised:
        raise ValueError(f"{path}: {count} vectors, and the header says {promised}; is it whole?")
    matrix = HOST.xp.asarray(numbers, dtype=HOST.xp.float32).reshape(-1, width)  # a view of them
    return WordVectors(tuple(rows), matrix, tuple(doubled))


def _parsed(where: str, line: str, width: int) -> tuple[str, list[float]]:
    """Return the token of a line and its numbers."""
    parts = _cut(line, width)
    inner = BLANKS.split(parts[0])
    if len(parts) <= width or _number(inner[-1], len(inner) > 1):
        found = len(_cut(line)) - 1
        raise ValueError(f"{where}: {found} numbers after the token, expected {width}")
    try:
        values = [float(part) for part in parts[1:]]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not all(abs(value) <= LARGEST for value in values):
        raise ValueError(f"{where}: a number that is not finite in float32")
    return parts[0], values


def _cut(line: str, width: int | None = None) -> list[str]:
    """Return a token and its `width` numbers, or all that there are: columns from the right."""
    line = line.rstrip(" \t")
    if "\t" not in line and "  " not in line:
        return line.rsplit(" ", -1 if width is None else width)
    gaps = [gap.span() for gap in BLANKS.finditer(line)]
    start, stop = gaps[-len(gaps) if width is None else -min(width, len(gaps))]
    return [line[:start], *BLANKS.split(line[stop:])]


def _number(word: str, asked: bool) -> bool:
    """Return whether the last word of a token with spaces is a number, so one too many."""
    if not asked:
        return False
    try:
        float(word)
    except ValueError:
        return False
    return True
