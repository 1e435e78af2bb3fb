"""End all ranks where one has raised what was not caught, and say which. Below `communicator.py`.

An error that all ranks know of bears the number of the rank that it came from, which prints it.
"""

import sys
import time
import traceback
from types import TracebackType
from typing import Protocol

RANK = "rank_of_bptt"  # the attribute of an error that all ranks raise
PATIENCE = 5.0  # seconds in which the rank of the error can print it


class Ranks(Protocol):
    """The processes of a job, as far as errors need to know them: a `Communicator`."""

    rank: int
    size: int

    def abort(self, status: int) -> None:
        """End all ranks."""


_watched: list[Ranks] = []


def watch(own: Ranks) -> None:
    """Have exceptions that nothing catches end all ranks of the newest communicator."""
    if not _watched:
        sys.excepthook = _ended
    _watched[:] = [own]


def marked(error: BaseException, rank: int = 0) -> BaseException:
    """Return an error that all ranks raise, and `rank` prints."""
    if not hasattr(error, RANK):
        setattr(error, RANK, rank)
    return error


def is_shared(error: BaseException) -> bool:
    """Return whether all ranks raise this error."""
    return hasattr(error, RANK)


def is_told(error: BaseException) -> bool:
    """Return whether an error is to be printed on this rank, if there are several."""
    return not _watched or getattr(error, RANK, _watched[0].rank) == _watched[0].rank


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception that nothing has caught, and end all ranks."""
    if _watched[0].size > 1:
        end(_watched[0], error)
    else:
        sys.__excepthook__(kind, error, trace)


def end(own: Ranks, error: BaseException) -> None:
    """Print an exception on the rank that it came from, and end all ranks."""
    if is_told(error):
        text = "".join(traceback.format_exception(error))
        print(f"rank {own.rank} of {own.size}:\n{text}", end="", file=sys.stderr, flush=True)
        sys.stdout.flush()
    end_others(130 if isinstance(error, KeyboardInterrupt) else 1, wait=not is_told(error))


def end_others(status: int, *, wait: bool = False) -> None:
    """End all other ranks; `wait` until the rank of the error has printed it."""
    if _watched and _watched[0].size > 1:
        if wait:
            time.sleep(PATIENCE)
        _watched[0].abort(status)
