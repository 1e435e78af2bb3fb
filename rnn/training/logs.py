"""The log: one JSON object a line, for every step and validation; and how it goes on when resumed.

Above `rnn/documents.py` and `history.py`, below the loop.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from rnn import documents
from rnn.files import named
from rnn.training.history import Step, Validation


class Log:
    """A JSONL file. ``mark()`` says how far it is; ``open(mark)`` goes on from there, exactly.

    Lines of steps: step, epoch, loss, lr, grad_norm, seconds. Lines of validations: step, epoch,
    validation (figures by name), seconds. Numbers that are not finite are ``{"$float": "nan"}``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: IO[bytes] | None = None
        self._length, self._digest = 0, hashlib.sha256()

    def check(self, mark: Mapping[str, Any] | None) -> None:
        """Raise ValueError where the file does not begin with what was written up to a mark."""
        if mark is not None:
            self._prefix(mark)

    def open(self, mark: Mapping[str, Any] | None = None) -> None:
        """Begin a new file, or cut the old one at a mark to go on there.

        A file that is missing or empty is begun anew either way. Raises as `check`, and OSError.
        """
        kept = b"" if mark is None else self._prefix(mark)
        self._length, self._digest = len(kept), hashlib.sha256(kept)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("r+b" if kept else "wb")
        self._file.truncate(len(kept))
        self._file.seek(len(kept))

    def write(self, record: Step | Validation) -> None:
        """Write one line, handed to the system at once. Raises OSError that names the file."""
        if self._file is None:
            raise ValueError(f"log: {self.path} is not open")
        fields = record._asdict()
        if "figures" in fields:
            fields["validation"] = fields.pop("figures")
        line = documents.written(fields) + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise named(error, self.path) from error
        self._length += len(line)
        self._digest.update(line)

    def mark(self) -> dict[str, Any]:
        """The length and digest of what has been written, all of which is on the disk now."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        return {"bytes": self._length, "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        """Done; nothing can be written any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _prefix(self, mark: Mapping[str, Any]) -> bytes:
        """What was written up to a mark, nothing where the file is gone."""
        if not self.path.exists() or not self.path.stat().st_size:
            return b""
        with self.path.open("rb") as file:
            found = file.read(mark["bytes"])
        if hashlib.sha256(found).hexdigest() != mark["sha256"]:
            raise ValueError(
                f"fit: {self.path} is not the log of the run that is resumed; "
                "move it away, or give another file"
            )
        return found


def check_mark(mark: Any) -> None:
    """Raise ValueError for what is neither a mark nor None."""
    if mark is not None and (
        not isinstance(mark, Mapping)
        or set(mark) != {"bytes", "sha256"}
        or type(mark["bytes"]) is not int
        or mark["bytes"] < 0
    ):
        raise ValueError(f"log: {mark!r} is no mark of a log")
