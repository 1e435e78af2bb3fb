"""Where the examples find real data: in `shared/data/` beside the repository. Below every example.

The data belong to others and are not part of the repository, so an example has to do without them.
"""

import gzip
import zlib
from pathlib import Path

HOME = Path(__file__).parent.parent.parent / "shared" / "data"


def found(name: str) -> Path | None:
    """The path of a file or folder such as ``"tinyshakespeare/input.txt.gz"``, None without it."""
    path = HOME / name
    return path if path.exists() else None


def text_of(path: str | Path) -> str:
    """A UTF-8 text, unpacked where its name ends in ``.gz``.

    Raises OSError where it cannot be read, ValueError for one that is damaged, empty or not UTF-8.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except gzip.BadGzipFile as error:
        raise ValueError(f"{path} is no gzip file: {error}") from error
    except zlib.error as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    except EOFError as error:
        raise ValueError(f"{path} is cut off: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    if not text:
        raise ValueError(f"{path} is empty")
    return text
