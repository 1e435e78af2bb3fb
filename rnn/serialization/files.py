"""Write files whole or not at all, each with a digest of every byte of it.

Below all that saves: `saving.py`, vocabularies, checkpoints of runs, weights for PyTorch.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BLANK = "0" * 64  # what stands in the place of the digest while the digest is taken


def sealed(content: bytes) -> bytes:
    """Return a content with its SHA-256 in the place of the first `BLANK` that is in it."""
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(BLANK.encode(), digest.encode(), 1)


def check_seal(content: bytes, digest: Any) -> None:
    """Raise ValueError for a content that is not as `sealed` returned it, with this digest."""
    given = digest.encode() if isinstance(digest, str) and len(digest) == len(BLANK) else b""
    before, found, after = content.partition(given or b"\0none")
    seen = hashlib.sha256(before)
    seen.update(BLANK.encode())
    seen.update(after)
    if not found or seen.hexdigest().encode() != given:
        raise ValueError("its digest is another; a byte has changed since it was written")


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Write files so that they are there whole or not at all, and only once all are written.

    They take their places in the order given, each at once, and are on the disk, names and all,
    before this returns. A link stays one: the file that it leads to is replaced. Raises OSError,
    with the name of the file, where they cannot be written; then the old ones are as they were.
    """
    targets = {Path(os.path.realpath(path)): content for path, content in contents.items()}
    partial = {path: path.with_name(path.name + ".part") for path in targets}
    try:
        for path, content in targets.items():
            _write(partial[path], content, path)
        for path, written in partial.items():
            written.replace(path)
    except BaseException:
        for written in partial.values():
            written.unlink(missing_ok=True)
        raise
    for folder in dict.fromkeys(path.parent for path in targets):
        _sync_folder(folder)


def _write(partial: Path, content: bytes, path: Path) -> None:
    """Write a content that will be the file `path`, to the disk. Raises OSError with its name."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory; give the name of a file in it")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError as error:
        told = "No such file or directory; make the folder first"
        raise FileNotFoundError(error.errno, told, str(path)) from error
    except OSError as error:
        raise named(error, path) from error


def named(error: OSError, path: Path) -> OSError:
    """Return the error of a file with its name, which errors of writing lack."""
    return error if error.errno is None else OSError(error.errno, error.strerror, str(path))


def _sync_folder(folder: Path) -> None:
    """Have new names in a folder on the disk, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
