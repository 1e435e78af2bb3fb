"""Read text files: lines, tables of columns, and CoNLL's sentences. Above `files.py`.

All return iterators that read as they go, so files may be larger than memory, and unpack ``.gz``.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from operator import index
from pathlib import Path
from typing import Any

from engine.checks import flag
from rnn.data.files import BLANKS, numbered_lines

DOCUMENT = "-DOCSTART-"


def read_lines(path: str | Path, *, blank: bool = True) -> Iterator[str]:
    """Return the lines of a UTF-8 text without their ends, without blank ones if `blank` is false.

    Raises FileNotFoundError where there is no file; on the way ValueError, with the line, for
    what is not UTF-8 and for a damaged ``.gz``.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     size = file.write("to be\\n\\nor not\\n"); file.flush()
    ...     list(rnn.data.read_lines(file.name, blank=False))
    ['to be', 'or not']
    """
    os.stat(path)  # fail here, not at the first line
    return (line for _, line in numbered_lines(path) if blank or line.strip())


def read_table(
    path: str | Path,
    *,
    columns: Sequence[int] | None = None,
    delimiter: str | None = None,
    quotes: bool | None = None,
    header: bool = False,
) -> Iterator[tuple[str, ...]]:
    """Return the rows of a table as tuples, of these `columns` or of all.

    Negative columns count from the end. The delimiter is a comma for ``.csv`` and ``.csv.gz``, else
    a tab; tables of spreadsheets with decimal commas have ``delimiter=";"``. Quotes are obeyed, as
    in spreadsheets, in ``.csv`` files and where the delimiter is a comma, and are ordinary
    characters elsewhere, unless `quotes` says otherwise. Blank lines are skipped, and the first row
    if it is a `header`. Cells are text: a decimal comma stays one. Raises FileNotFoundError;
    TypeError for columns that are no whole numbers; on the way ValueError, with the line, for rows
    of another width than the first, header or not, for columns that there are not, where no
    delimiter is given and another one parts the first row, and where quotes are obeyed for a cell
    of more than 131,072 characters: call ``csv.field_size_limit(characters)`` first to allow more.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     size = file.write('text,label\\n"good, very",1\\n'); file.flush()
    ...     list(rnn.data.read_table(file.name, header=True))
    [('good, very', '1')]
    """
    os.stat(path)
    columns, header = _checked("read_table", columns), flag("read_table: header", header)
    quotes = None if quotes is None else flag("read_table: quotes", quotes)
    spreadsheet = Path(path).name.removesuffix(".gz").endswith(".csv")
    guessed = delimiter is None
    if delimiter is None:
        delimiter = "," if spreadsheet else "\t"
    if not isinstance(delimiter, str) or len(delimiter) != 1:
        raise ValueError(f"read_table: the delimiter must be one character, got {delimiter!r}")
    quoted = spreadsheet or delimiter == "," if quotes is None else quotes
    cells = _quoted_cells(path, delimiter) if quoted else _cells(path, delimiter)
    others = ";\t" if guessed and spreadsheet else ""
    return _picked_rows(path, cells, columns, header=header, others=others)


def read_pairs(
    path: str | Path,
    *,
    columns: tuple[int, int] = (0, 1),
    delimiter: str | None = None,
    quotes: bool | None = None,
    header: bool = False,
) -> Iterator[tuple[str, str]]:
    """Return two columns of a table, such as sentences and translations: `read_table` with these.

    Raises ValueError for other than two columns; all else as `read_table` does.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     size = file.write("Go.\\tVa !\\nHi.\\tSalut !\\n"); file.flush()
    ...     list(rnn.data.read_pairs(file.name))
    [('Go.', 'Va !'), ('Hi.', 'Salut !')]
    """
    if len(_checked("read_pairs", columns) or ()) != 2:
        raise ValueError(f"read_pairs: expected two columns, got {columns!r}")
    rows = read_table(path, columns=columns, delimiter=delimiter, quotes=quotes, header=header)
    return ((first, second) for first, second in rows)


def _cells(path: str | Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows, each a line, with its number."""
    for number, line in numbered_lines(path):
        if line.strip():
            yield number, line.split(delimiter)


def _quoted_cells(path: str | Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows with the number of their last line; quoted cells may hold line ends."""
    lines = (line + "\n" for _, line in numbered_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {_explained(error)}") from error


def _explained(error: csv.Error) -> str:
    """Return what is wrong, where the csv module gives advice on how a file is opened, or none."""
    said = str(error)
    if said.startswith("new-line character"):
        return (
            "a carriage return in a cell without quotes; lines end in LF or CR LF: convert the "
            "line ends of the file, or put the cell in quotes"
        )
    if said.startswith("field larger"):
        return (
            f"a cell of more than {csv.field_size_limit():,} characters; is a quote left open? "
            "else allow more with csv.field_size_limit(characters)"
        )
    return said


def _checked(where: str, columns: Any) -> tuple[int, ...] | None:
    """Return columns as integers. Raises TypeError for what is none."""
    if columns is None:
        return None
    try:
        if isinstance(columns, str | bytes):
            raise TypeError("text")
        return tuple(map(index, columns))
    except TypeError:
        raise TypeError(
            f"{where}: columns={columns!r}; expected whole numbers such as (0, -1)"
        ) from None


def _picked_rows(
    path: str | Path,
    rows: Iterator[tuple[int, list[str]]],
    columns: Sequence[int] | None,
    *,
    header: bool,
    others: str,
) -> Iterator[tuple[str, ...]]:
    """Yield the columns that are asked for, of every row after the header."""
    width = None
    for place, (number, cells) in enumerate(rows):
        width = len(cells) if width is None else width
        if not place and width == 1 and (found := [mark for mark in others if mark in cells[0]]):
            raise ValueError(
                f"{path}, line {number}: one column, with {found[0]!r} in it; pass "
                f"delimiter={found[0]!r} if it parts columns, else delimiter=','"
            )
        if len(cells) != width:
            raise ValueError(f"{path}, line {number}: {len(cells)} columns, expected {width}")
        if place or not header:
            yield tuple(cells) if columns is None else _picked(path, number, cells, columns)


def _picked(
    path: str | Path, number: int, cells: list[str], columns: Sequence[int]
) -> tuple[str, ...]:
    """Return these columns of a row."""
    for column in columns:
        if not -len(cells) <= column < len(cells):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} columns, there is no column {column}"
            )
    return tuple(cells[column] for column in columns)


def read_conll(
    path: str | Path,
    *,
    columns: Sequence[int] | None = None,
    delimiter: str | None = None,
    comment: str | None = None,
) -> Iterator[tuple[tuple[str, ...], ...]]:
    """Return the sentences of a CoNLL file, each a tuple of its columns, each a tuple of strings.

    ``for words, tags in read_conll(path, columns=(0, -1))`` reads the first and the last. A token
    a line, its columns parted by spaces or tabs, or by `delimiter` alone; blank lines end
    sentences, and so do lines of -DOCSTART-. Quotes are ordinary characters. Lines that begin with
    `comment` are skipped: by default none, as "#" is also a token; CoNLL-U wants ``comment="#"``
    and ``delimiter="\\t"``. Raises FileNotFoundError; on the way ValueError, with the line, for a
    token with more or fewer columns than the first one. Raises TypeError at once for bad columns.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     size = file.write("EU B-ORG\\nrejects O\\n\\nPeter B-PER\\n"); file.flush()
    ...     list(rnn.data.read_conll(file.name))
    [(('EU', 'rejects'), ('B-ORG', 'O')), (('Peter',), ('B-PER',))]
    """
    os.stat(path)
    columns = _checked("read_conll", columns)
    if delimiter == "" or comment == "":
        raise ValueError("read_conll: an empty delimiter or comment; leave it out for None")
    return _sentences(path, columns, delimiter, comment)


def _sentences(
    path: str | Path, columns: Sequence[int] | None, delimiter: str | None, comment: str | None
) -> Iterator[tuple[tuple[str, ...], ...]]:
    rows: list[tuple[str, ...]] = []
    width = None
    for number, line in numbered_lines(path):
        if comment is not None and line.startswith(comment):
            continue
        inner = line.strip(" \t")
        if not inner or BLANKS.split(inner, maxsplit=1)[0] == DOCUMENT:
            if rows:
                yield tuple(zip(*rows, strict=True))
                rows = []
            continue
        cells = BLANKS.split(inner) if delimiter is None else line.split(delimiter)
        width = len(cells) if width is None else width
        if len(cells) != width:
            hint = '; is it a comment? pass comment="#"' if line.startswith("#") else ""
            raise ValueError(f"{path}, line {number}: {len(cells)} columns, expected {width}{hint}")
        rows.append(tuple(cells) if columns is None else _picked(path, number, cells, columns))
    if rows:
        yield tuple(zip(*rows, strict=True))
