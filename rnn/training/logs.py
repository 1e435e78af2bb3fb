"""The log: a line for every step and validation, JSON or CSV; and how it goes on when resumed.

Above `rnn/serialization` and `history.py`, below the loop.
"""

import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from rnn.serialization import documents
from rnn.serialization.files import named
from rnn.training.history import Step, Validation

COLUMNS = ("step", "epoch", "seconds", "loss", "lr", "grad_norm", "figure", "value")


class Log:
    """Write a JSONL file, or CSV where its name ends so.

    ``mark()`` says how far it is; ``open(mark)`` goes on from there, exactly.

    Lines of steps: step, epoch, loss, lr, grad_norm, seconds. Lines of validations: step, epoch,
    validation (metrics by name), seconds. Numbers that are not finite are ``{"$float": "nan"}``.
    CSV has one header for both, `COLUMNS`: a validation has a line for each metric, with its name
    and its value; what a line does not have is empty, and NaN is ``nan``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._csv = self.path.suffix.lower() == ".csv"
        self._file: IO[bytes] | None = None
        self._length, self._digest = 0, hashlib.sha256()

    def check(self, mark: Mapping[str, Any] | None) -> None:
        """Raise ValueError where the file does not begin with what was written up to a mark."""
        if mark is not None:
            self._prefix(mark)

    def open(self, mark: Mapping[str, Any] | None = None) -> None:
        """Begin a new file, or cut an old one at a mark. Raises as `check`, and OSError."""
        kept = b"" if mark is None else self._prefix(mark)
        self._length, self._digest = len(kept), hashlib.sha256(kept)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("r+b" if kept else "wb")
        self._file.truncate(len(kept))
        self._file.seek(len(kept))
        if self._csv and not kept:
            self._append(_csv([COLUMNS]))

    def write(self, record: Step | Validation) -> None:
        """Write one record, handed to the system at once. Raises OSError that names the file."""
        if self._file is None:
            raise ValueError(f"log: {self.path} is not open")
        if self._csv:
            self._append(_csv(_rows(record)))
            return
        fields = record._asdict()
        if "metrics" in fields:
            fields["validation"] = fields.pop("metrics")
        self._append(documents.written(fields) + b"\n")

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise named(error, self.path) from error
        self._length += len(line)
        self._digest.update(line)

    def mark(self) -> dict[str, Any]:
        """Return the length and digest of all that is written, which is on the disk now."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        return {"bytes": self._length, "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        """Close the file; nothing can be written any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _prefix(self, mark: Mapping[str, Any]) -> bytes:
        """Return what was written up to a mark, nothing where the file is gone."""
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


def _rows(record: Step | Validation) -> list[list[Any]]:
    """Return the lines of a record, in the order of the columns."""
    if isinstance(record, Step):
        fields: list[dict[str, Any]] = [record._asdict()]
    else:
        own = {"step": record.step, "epoch": record.epoch, "seconds": record.seconds}
        fields = [{**own, "figure": name, "value": value}
                  for name, value in record.metrics.items()]  # fmt: skip
    return [[one.get(column, "") for column in COLUMNS] for one in fields]


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return lines of CSV; floats have all their digits."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def check_mark(mark: Any) -> None:
    """Raise ValueError for what is neither a mark nor None."""
    if mark is not None and (
        not isinstance(mark, Mapping)
        or set(mark) != {"bytes", "sha256"}
        or type(mark["bytes"]) is not int
        or mark["bytes"] < 0
    ):
        raise ValueError(f"log: {mark!r} is no mark of a log")
