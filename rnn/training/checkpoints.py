"""Keep a folder of checkpoints: each a safetensors and a JSON file, committed whole or not at all.

The JSON is written last and carries the digest of the tensors and of itself, so a pair that is
torn, mixed or damaged is known as such; the one before it is kept to fall back to. No pickle
anywhere. Above `rnn/serialization`, below the loop.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.numpy import save as encode

from engine.backends import Array
from rnn.modules.values import whole
from rnn.serialization import documents
from rnn.serialization.files import BLANK, check_seal, replace_files, sealed
from rnn.serialization.saving import decoded

FORMAT, VERSION = "bptt checkpoint", 1
LARGEST = 1 << 28  # bytes of a JSON file; what a run writes is far smaller
NAME = re.compile(r"checkpoint-(\d{6,18})\.(json|safetensors)(\.part)?")


class Checkpoint(NamedTuple):
    """Hold a checkpoint that was read: its file, arrays by name, and plain data.

    >>> import engine, rnn, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rnn.Checkpoints(folder).write({"x": engine.ones(2).numpy()}, {"step": 3}).name
    ...     rnn.Checkpoints(folder).newest().tensors
    'checkpoint-000001.json'
    {'x': array([1., 1.], dtype=float32)}
    """

    path: Path
    tensors: dict[str, Array]
    state: dict[str, Any]


class Checkpoints:
    """Keep the last `keep` checkpoints of a folder.

    The folder is made when the first is written. Files of other names in it are left alone. Raises
    ValueError for `keep` below 1.

    >>> import engine, rnn, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = rnn.Checkpoints(folder, keep=2)
    ...     for step in range(3): path = kept.write({"x": engine.ones(2).numpy()}, {"step": step})
    ...     print(kept.numbers(), kept.newest().state)
    [2, 3] {'step': 2}
    """

    def __init__(self, folder: str | Path, keep: int = 2) -> None:
        self.folder, self.keep = Path(folder), whole("Checkpoints", "keep", keep)
        self._good: list[int] = []  # numbers of those that were written or read here

    def numbers(self) -> list[int]:
        """Return the numbers of all checkpoints, damaged ones too, the oldest first."""
        found = [number for number, kind, _ in self._files() if kind == "json"]
        return sorted(found)

    def write(self, tensors: Mapping[str, Array], state: Mapping[str, Any]) -> Path:
        """Write one more, then remove those that are no longer needed.

        Returns its JSON file. Raises OSError where that fails; then the old ones are as before.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max((number for number, *_ in self._files()), default=0) + 1
        path = self._path(number)
        content = encode({name: x.copy(order="C") for name, x in tensors.items()})
        digest = hashlib.sha256(content).hexdigest()
        body = {
            "format": FORMAT,
            "version": VERSION,
            "sha256": BLANK,
            "tensors": {"bytes": len(content), "sha256": digest},
            "state": state,
        }
        text = sealed(documents.written(body, indent=1) + b"\n")
        replace_files({path.with_suffix(".safetensors"): content, path: text})
        self._good.append(number)
        self._prune()
        return path

    def newest(self) -> Checkpoint | None:
        """Return the newest good checkpoint; None where there is none at all.

        Warns of newer ones that are damaged. Raises ValueError where all are.
        """
        faults = []
        for number in reversed(self.numbers()):
            try:
                found = read_checkpoint(self._path(number))
            except (ValueError, OSError) as error:
                faults.append(str(error))
                continue
            self._good = [number]
            if faults:
                warnings.warn(f"{'; '.join(faults)}; going on from {found.path.name}", stacklevel=2)
            return found
        if faults:
            raise ValueError(
                f"checkpoint: none in {self.folder} is good: {'; '.join(faults)}; "
                "begin in another folder"
            )
        return None

    def _path(self, number: int) -> Path:
        return self.folder / f"checkpoint-{number:06d}.json"

    def _files(self) -> list[tuple[int, str, Path]]:
        """Return number, kind and path of every file; ``.part`` is in the kind of unfinished."""
        found = []
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if match := NAME.fullmatch(path.name):
                found.append((int(match[1]), match[2] + (match[3] or ""), path))
        return found

    def _prune(self) -> None:
        """Remove all but the last good ones; the JSON goes first, as what is without is none."""
        self._good = self._good[-self.keep :]
        for number, _, path in self._files():
            if number not in self._good:
                path.unlink(missing_ok=True)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Return the checkpoint of the JSON file `path`.

    Raises FileNotFoundError where a file is missing, ValueError for one that is damaged, is not
    of this format, or does not belong to the other.

    >>> import engine, rnn, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = rnn.Checkpoints(folder).write({"x": engine.ones(2).numpy()}, {"step": 3})
    ...     rnn.training.read_checkpoint(path).state
    {'step': 3}
    """
    path = Path(path)
    try:
        text = _content(path)
        body = documents.read(text)
        tensors = _checked(body, text)
        content = _content(path.with_suffix(".safetensors"), tensors["bytes"])
        if hashlib.sha256(content).hexdigest() != tensors["sha256"]:
            raise ValueError("its tensors are not those that it was written with")
        return Checkpoint(path, decoded(content), body["state"])
    except (ValueError, KeyError, RecursionError, SafetensorError) as error:
        raise ValueError(f"checkpoint: {path} is damaged or none: {error}") from error


def _content(path: Path, size: int | None = None) -> bytes:
    """Return the bytes of a file, which is no larger than it may be. Raises ValueError if it is."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no file")
    found = path.stat().st_size
    if size is not None and found != size:
        raise ValueError(f"{path.name} has {found} bytes, expected {size}")
    if size is None and found > LARGEST:
        raise ValueError(f"{path.name} has {found} bytes, more than {LARGEST}")
    return path.read_bytes()


def _checked(body: Any, text: bytes) -> dict[str, Any]:
    """Return what the JSON says of the tensors. Raises ValueError for no whole checkpoint."""
    names = {"format", "version", "tensors", "state", "sha256"}
    if not isinstance(body, dict) or set(body) != names or body["format"] != FORMAT:
        raise ValueError("it is not of this format")
    if body["version"] != VERSION:
        raise ValueError(f"version {body['version']!r} is not {VERSION}, the one that is read here")
    check_seal(text, body["sha256"])
    tensors = body["tensors"]
    if (
        not isinstance(tensors, dict)
        or set(tensors) != {"bytes", "sha256"}
        or type(tensors["bytes"]) is not int
        or not isinstance(body["state"], dict)
    ):
        raise ValueError("it is not of this format")
    return tensors
