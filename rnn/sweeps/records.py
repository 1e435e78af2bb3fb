"""Keep the file of a sweep: a line that says which one it is, and one for each trial that ended.

JSON, a document a line, each appended at once and on the disk before the next. Above `trials.py`.
"""

import errno
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnn.serialization import documents
from rnn.serialization.files import named
from rnn.sweeps.trials import Sweep, Trial

FORMAT, VERSION = "bptt sweep", 1
FIELDS = {"trial": int, "config": dict, "seed": int, "metrics": dict, "seconds": float,
          "error": (str, type(None))}  # fmt: skip


class Records:
    """Append trials to a file, and read those that are there; without a path, do nothing.

    `done` holds the trials that were there. Raises ValueError for a file that is there without
    `resume`, that is of another sweep, or damaged before its last line; a last line that was torn
    is dropped with a warning.
    """

    def __init__(
        self, path: str | Path | None, resume: bool, seed: int, space: Mapping[str, str]
    ) -> None:
        self.path = None if path is None else Path(path)
        self.done: dict[int, Trial] = {}
        if self.path is None:
            return
        head = {"format": FORMAT, "version": VERSION, "seed": seed, "space": dict(space)}
        there = self.path.exists() and self.path.stat().st_size > 0
        if there and not resume:
            raise ValueError(
                f"sweep: there are results in {self.path} already; go on from them with "
                "resume=True, or give another file"
            )
        kept = 0
        if there:
            found, self.done, kept = _read(self.path)
            if found is not None:
                _check_same(self.path, found, head)
            os.truncate(self.path, kept)  # what comes after the whole lines
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if not kept:
            _append(self.path, head)

    def write(self, trial: Trial) -> None:
        """Append a trial. Raises OSError that names the file."""
        if self.path is not None:
            _append(self.path, {
                "trial": trial.number, "config": trial.config, "seed": trial.seed,
                "metrics": trial.metrics, "seconds": trial.seconds, "error": trial.error,
            })  # fmt: skip

    def told(self, count: int) -> str:
        """Return what to do where a sweep stopped after so many trials."""
        if self.path is None:
            return "give path=, which keeps the trials that are done, or fewer workers"
        return f"{self.path} has {count} trials: go on with resume=True, perhaps with fewer workers"


def read_sweep(path: str | Path, *, monitor: str | None = None, mode: str | None = None) -> Sweep:
    """Read the trials of a file that `rnn.sweep` wrote, also while it is written.

    `monitor` and `mode` are those of `Sweep`. Raises OSError, and ValueError for another file.

    >>> import rnn
    >>> found = rnn.sweeps.read_sweep("sweep.jsonl")  # doctest: +SKIP
    """
    head, done, _ = _read(Path(path))
    space = {} if head is None else head["space"]
    return Sweep([done[number] for number in sorted(done)], space, monitor, mode)


def _read(path: Path) -> tuple[dict[str, Any] | None, dict[int, Trial], int]:
    """Return the head, the trials by number, and how many bytes of the file are whole lines."""
    content = path.read_bytes()
    whole, end, torn = content.rpartition(b"\n")
    if torn:
        warnings.warn(f"sweep: the last line of {path} was cut off and is dropped", stacklevel=4)
    lines = (whole + end).splitlines()
    if not lines:
        return None, {}, 0
    head = _document(path, 1, lines[0])
    if head.get("format") != FORMAT or not isinstance(head.get("space"), dict):
        raise ValueError(f"sweep: {path} is not the file of a sweep; give another file")
    if head.get("version") != VERSION:
        raise ValueError(
            f"sweep: {path} is of version {head.get('version')!r}, this one reads {VERSION}"
        )
    done: dict[int, Trial] = {}
    for place, line in enumerate(lines[1:], 2):
        trial = _trial(path, place, line)
        if trial.number in done:
            raise ValueError(
                f"sweep: {path}:{place}: trial {trial.number} is there twice; do two sweeps write "
                "this file?"
            )
        done[trial.number] = trial
    return head, done, len(whole + end)


def _document(path: Path, place: int, line: bytes) -> dict[str, Any]:
    try:
        found = documents.read(line)
    except ValueError as error:
        raise ValueError(
            f"sweep: {path}:{place} is damaged: {error}; remove the line, its trial runs again"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"sweep: {path}:{place} is no line of a sweep")
    return found


def _trial(path: Path, place: int, line: bytes) -> Trial:
    found = _document(path, place, line)
    good = set(found) == set(FIELDS)
    if not good or not all(isinstance(found[x], kind) for x, kind in FIELDS.items()):  # type: ignore[arg-type]
        raise ValueError(f"sweep: {path}:{place} is no trial of a sweep")
    return Trial(found["trial"], found["config"], found["seed"], found["metrics"],
                 found["error"], found["seconds"])  # fmt: skip


def _check_same(path: Path, found: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    """Raise ValueError where a file is of a sweep with another seed or space."""
    before = {"seed": found.get("seed"), **found["space"]}
    now = {"seed": head["seed"], **head["space"]}
    told = [
        f"{name} was {before.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if not told and list(before) != list(now):
        told = [f"the order was {', '.join(before)}"]
    if told:
        raise ValueError(
            f"sweep: {path} is of another sweep: {'; '.join(told)}; give the same space and seed, "
            "or another file"
        )


def _append(path: Path, document: Mapping[str, Any]) -> None:
    """Append a line with one call of the system, and have it on the disk."""
    line = documents.written(document) + b"\n"
    try:
        with path.open("ab", buffering=0) as file:
            if file.write(line) != len(line):  # the rest would come behind the next line
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise named(error, path) from error
