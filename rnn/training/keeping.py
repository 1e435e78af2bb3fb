"""When checkpoints are written: at their times, before a validation, and where something raises.

Above `resuming.py`, below the loop.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.random import random_state
from rnn.distributed.agreement import by_first, together
from rnn.distributed.faults import is_shared
from rnn.training.carrying import collected
from rnn.training.checkpoints import Checkpoint, Checkpoints
from rnn.training.over_ranks import check_weights
from rnn.training.resuming import resumed
from rnn.training.run import Run, Settings
from rnn.training.snapshot import gathered

Mark = tuple[int, int, int, tuple[str, ...]]


class Keeper:
    """Writes the checkpoints of a run, where it has a folder for them, and reads them again."""

    def __init__(self, own: Settings) -> None:
        self._folder = Checkpoints(own.checkpoint, own.keep) if own.checkpoint else None
        self._resumes = own.resume
        self._saved: Mark | None = None  # of which moment the newest one is
        self._guards = self._folder is not None

    def resume(self, run: Run) -> Any:
        """Go on from a checkpoint where that is asked for; returns how far the log was."""
        if self._folder is None:
            return None
        ranks = run.settings.distributed
        found = by_first(ranks, self._newest)  # of the others the folder may be another one
        if found is None:
            return None
        with warnings.catch_warnings():
            if run.rank:
                warnings.simplefilter("ignore")  # the first one warns
            mark = together(ranks, lambda: resumed(run, found))
        self._saved = _mark(run)
        return mark

    def _newest(self) -> Checkpoint | None:
        """Return the checkpoint to go on from. Raises ValueError for a folder that is in use."""
        assert self._folder is not None
        if self._resumes:
            return self._folder.newest()
        if self._folder.numbers():
            raise ValueError(
                f"fit: there are checkpoints in {self._folder.folder} already; "
                "go on from them with resume=True, or give another folder"
            )
        return None

    def _write(self, run: Run, random: Any = None, data: Any = None) -> None:
        """Write a checkpoint: the first rank does, and the others wait for it."""
        folder, ranks = self._folder, run.settings.distributed
        assert folder is not None
        if ranks is not None:
            check_weights(run)
        parts = collected(run)
        by_first(ranks, lambda: folder.write(*gathered(run, parts, random, data)))

    def save(self, run: Run, *, last: bool = False) -> None:
        """Write a checkpoint, unless there is one of this step, or with `last` of this moment."""
        if self._folder is None:
            return
        saved, now = self._saved, _mark(run)
        if saved is None or (saved != now if last else saved[0] != run.step):
            self._write(run)
            self._saved = now

    @contextmanager
    def guard(self, run: Run, *, redone: bool = False, reading: bool = False) -> Iterator[None]:
        """Write a checkpoint of the last step where what is inside raises, before it goes on.

        What is `redone` when the run is resumed begins with the randomness of now; what is
        `reading` begins with the batches that it has read.
        """
        if self._folder is None or not self._guards:
            yield
            return
        random = random_state() if redone else None
        try:
            yield
        except BaseException as error:
            if run.settings.distributed is not None and not is_shared(error):
                raise  # the other ranks are not here
            try:
                if self._saved != _mark(run):
                    self._write(run, random, run.reader.start if reading else None)
                    self._saved = _mark(run)
            except Exception as other:  # the first one says more
                error.add_note(f"fit: no checkpoint of step {run.step} could be written: {other}")
            raise

    def end(self, run: Run) -> Any:
        """Return what a run that is resumed goes on from, before the validation at its end. It is
        in the last checkpoint, so no other is written from here on but by `save_end`.
        """
        self._guards = False
        if self._folder is None:
            return None
        parts = collected(run)
        return None if run.rank else gathered(run, parts)

    def save_end(self, run: Run, before: Any, final: dict[str, Any]) -> None:
        """Write that with what the last validation gave, which a longer run would not have."""
        folder = self._folder
        if folder is not None:
            by_first(run.settings.distributed,
                     lambda: folder.write(before[0], before[1] | {"final": final}))  # fmt: skip


def _mark(run: Run) -> Mark:
    return run.step, run.epoch, len(run.history.validations), tuple(run.due)
