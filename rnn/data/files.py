"""Text files, plain or packed: whole, or by lines with numbers for errors. Below the readers."""

import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

BLOCK = 1 << 16  # bytes that are looked at together
END, ALONE = re.compile(rb"\r*\n|\r"), re.compile(rb"\r[^\r\n]")
BLANKS = re.compile(r"[ \t]+")  # other white space, such as no-break spaces, stands in tokens


def read_text(path: str | Path) -> str:
    """A whole UTF-8 text; ``.gz`` files are unpacked, in memory. A byte order mark is left out.

    Line ends stay as they are. Raises FileNotFoundError, and ValueError for what is empty, not
    UTF-8 or a damaged gzip file.
    """
    path = Path(path)
    content = path.read_bytes()
    packed = path.suffix == ".gz"
    try:
        content = gzip.decompress(content) if packed else content
        text = content.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        place = error.start + len(content) - len(content.removeprefix(BOM_UTF8))
        where = f"byte {place}{' of what is in it' if packed else ''}"
        raise ValueError(f"{path}, {where}: not UTF-8: {error.reason}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file, or none: {error}") from error
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def numbered_lines(path: str | Path, errors: str = "strict") -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file without their ends, from 1; ``.gz`` files are unpacked.

    Lines end in LF or CR LF; in a file whose first line ends in CR alone, in CR too. What else
    Unicode calls a line end may stand in a token. A byte order mark is left out, and a file of
    nothing else is empty. `errors` is that of `bytes.decode`. Raises ValueError for what is not
    UTF-8 and for a damaged gzip file, with the line.
    """
    path, number = Path(path), 0
    packed = path.suffix == ".gz"
    with gzip.open(path) if packed else path.open("rb") as file:
        try:
            for number, line in enumerate(_lines(file), 1):
                if number == 1 and line == BOM_UTF8:
                    return
                text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors)
                yield number, text.removesuffix("\n").rstrip("\r")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}, line {number}: not UTF-8: {error.reason}") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file after line {number}: {error}") from error


def _lines(file: IO[bytes] | Any) -> Iterator[bytes]:
    """The lines of a file with their ends; see `numbered_lines`."""
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
