"""Read text files, plain or packed: whole, or lines with numbers for errors. Below the readers."""

import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

BLOCK = 1 << 16  # bytes that are looked at together
END, ALONE = re.compile(rb"\r*\n|\r"), re.compile(rb"\r[^\r\n]")
BLANKS = re.compile(r"[ \t]+")  # other white space, such as no-break spaces, stands in tokens


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """Return a whole text; ``.gz`` files are unpacked, in memory. A byte order mark is left out.

    Line ends stay as they are. Raises FileNotFoundError, and ValueError for what is empty, not of
    this encoding or a damaged gzip file.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     size = file.write(b"to be"); file.flush()
    ...     rnn.data.read_text(file.name)
    'to be'
    """
    path = Path(path)
    content = path.read_bytes()
    packed = path.suffix == ".gz"
    try:
        content = gzip.decompress(content) if packed else content
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        where = f"byte {error.start}{' of what is in it' if packed else ''}"
        raise ValueError(f"{path}, {where}: not {encoding.upper()}: {error.reason}") from error
    except UnicodeError as error:
        raise ValueError(f"{path}: not {encoding.upper()}: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file, or none: {error}") from error
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def numbered_lines(path: str | Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Yield the lines of a file without their ends, from 1; ``.gz`` files are unpacked.

    Lines end in LF or CR LF; and in CR, if the first line ends in CR alone. What else
    Unicode calls a line end may stand in a token. A byte order mark is left out, and a file of
    nothing else is empty. What is not UTF-8 is read into memory. Raises ValueError for what is not
    of this encoding and for a damaged gzip file, with the line.
    """
    path, number = Path(path), 0
    with _opened(path, encoding) as file:
        try:
            for number, line in enumerate(_lines(file), 1):
                if number == 1 and line == BOM_UTF8:
                    return
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, text.removesuffix("\n").rstrip("\r")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}, line {number}: not UTF-8: {error.reason}") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file after line {number}: {error}") from error


def _opened(path: Path, encoding: str) -> IO[bytes] | Any:
    """Return a file as UTF-8, unpacked."""
    if encoding != "utf-8":
        return BytesIO(read_text(path, encoding).encode())
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(file: IO[bytes] | Any) -> Iterator[bytes]:
    """Yield the lines of a file with their ends; see `numbered_lines`."""
    head = b""
    while part := file.readline(BLOCK):
        head += part
        if b"\n" in part or ALONE.search(head):
            break
    end = END.search(head)
    if end is None or end[0] != b"\r" or end.end() == len(head):
        yield from [head + (b"" if head.endswith(b"\n") else file.readline())] if head else []
        yield from file
        return
    while block := file.read(BLOCK):
        *whole, head = (head + block).splitlines(keepends=True)  # the last may go on
        yield from whole
    yield from head.splitlines(keepends=True)
