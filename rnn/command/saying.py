"""Print what the command line says: results, why it failed, and that something is compiled.

Below the verbs.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str = "", end: str = "\n") -> None:
    """Print at once. Raises OSError that names the output where it is full."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def explained(error: BaseException, options: argparse.Namespace) -> str:
    """Return why a verb failed, with the file or the options that it is about."""
    if isinstance(error, OSError) and error.strerror:
        file = (
            error.filename or getattr(options, "out", None) or getattr(options, "folder", "output")
        )
        return f"{file}: {error.strerror}"
    reason = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return f"out of memory: {reason}; lower --hidden, --batch or --length"
    if isinstance(error, ArithmeticError):
        return f"{reason}; the run has diverged: begin again with a lower --lr"
    if isinstance(error.__cause__, UnicodeError):
        return f"{reason}; give its --encoding, such as latin-1"
    return reason


@contextmanager
def told_of_compiling(name: str) -> Iterator[None]:
    """Say once that a kernel is compiled, where somebody waits at a terminal."""
    log, own = logging.getLogger("engine.scan.c.compiler"), _Once(name)
    level = log.level
    if sys.stderr is not None and sys.stderr.isatty():
        log.addHandler(own)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(own)
        log.setLevel(level)


class _Once(logging.Handler):
    """Print the first record and no other."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.own, self.told = name, False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.told:
            self.told = True
            print(f"{self.own}: {record.getMessage()}; a first run of a model waits some seconds",
                  file=sys.stderr, flush=True)  # fmt: skip
