"""Record each step and each validation of a run, in memory and in a log, JSON or CSV.

Plain data, above nothing but `rnn/serialization`, below the loop. A log goes on exactly where a run
is resumed.
"""

import csv
import hashlib
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from engine.suggestions import Advised
from rnn.keywords import HISTORIES
from rnn.serialization import documents
from rnn.serialization.files import named


class Step(NamedTuple):
    """Hold one step: its number from 1, the epoch from 0, and what it measured.

    `lr` is the rate it used, `grad_norm` the norm before clipping, `seconds` what it took.

    >>> import rnn
    >>> rnn.training.Step(1, 0, loss=2.5, lr=0.1, grad_norm=0.7, seconds=0.01).loss
    2.5
    """

    step: int
    epoch: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float


class Validation(NamedTuple):
    """Hold the metrics of a validation by name, after `step` steps.

    `epoch` counts the epochs that were over by then, `seconds` is what the validation took.

    >>> import rnn
    >>> rnn.training.Validation(10, 1, {"loss": 0.5, "bits": 0.7}, seconds=0.2).metrics["bits"]
    0.7
    """

    step: int
    epoch: int
    metrics: dict[str, float]
    seconds: float

    @property
    def figures(self) -> dict[str, float]:
        """Return `metrics`, under its former name."""
        warnings.warn("Validation.figures is called metrics now", DeprecationWarning, stacklevel=2)
        return self.metrics


@dataclass(repr=False)
class History(Advised):
    """Hold the steps and validations of a run, those before it was resumed among them.

    It prints as a few lines: how long it was, the last and the best metrics.

    Of what was before only the last 10,000 steps are known, as checkpoints hold no more. `best` is
    the best validation, `stopped` why the run ended: ``"epochs"``, ``"steps"``, ``"patience"``,
    ``"interrupted"``, ``"data"`` (an iterator came to its end) or what a callback said.

    >>> import rnn
    >>> rnn.History([rnn.training.Step(1, 0, 2.5, 0.1, 0.7, 0.01)], stopped="steps")
    History of 1 step in 1 epoch, stopped: steps
      last loss 2.5, gradient norm 0.7, lr 0.1
    """

    _advice = HISTORIES
    steps: list[Step] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: Validation | None = None
    stopped: str = ""

    def __repr__(self) -> str:
        if not self.steps:
            return "History of no steps"
        last = self.steps[-1]
        lines = [
            f"History of {_many(last.step, 'step')} in {_many(last.epoch + 1, 'epoch')}, stopped: "
            f"{self.stopped or 'not yet'}",
            f"  last loss {last.loss:.4g}, gradient norm {last.grad_norm:.3g}, lr {last.lr:.3g}",
        ]
        told = {"last": self.validations[-1] if self.validations else None, "best": self.best}
        lines += [
            f"  {name} validation, after {_many(one.step, 'step')}: {shown(one.metrics)}"
            for name, one in told.items()
            if one is not None
        ]
        return "\n".join(lines)

    @property
    def losses(self) -> list[float]:
        """Return the training loss of every step."""
        return [record.loss for record in self.steps]

    @property
    def interrupted(self) -> bool:
        """Return whether a signal ended the run before its time."""
        return self.stopped == "interrupted"


def shown(metrics: Mapping[str, float]) -> str:
    """Return metrics as a line of text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


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

    def open(self, mark: Mapping[str, Any] | None = None) -> None:
        """Begin a new file, or cut an old one at a mark. Raises as `check`, and OSError."""
        kept = self.check(mark)
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

    def check(self, mark: Mapping[str, Any] | None) -> bytes:
        """Return what was written up to a mark, nothing where the file is gone. Raises ValueError
        where the file does not begin with that.
        """
        if mark is None or not self.path.exists() or not self.path.stat().st_size:
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
