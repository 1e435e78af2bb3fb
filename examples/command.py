"""Read the command lines of the examples: checked options, errors of one line, status 2."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Parse arguments; a complaint is one line."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(prog=f"python -m examples.{name}", **options)
        self.name = name

    def number(self, *flags: str, default: float, help: str) -> None:
        """Add a positive number, a whole one where its default is whole, which the help tells."""
        kind = whole if isinstance(default, int) else positive
        self.add_argument(*flags, type=kind, default=default, help=f"{help} ({default:g})")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.name}: {message}\n")


def fail(name: str, error: Exception) -> int:
    """Say in one line what is wrong with the input; returns the exit status."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"{name}: {reason}", file=sys.stderr)
    return 2


def whole(text: str) -> int:
    """Parse a positive integer, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return value


def seed(text: str) -> int:
    """Parse an integer that is not negative, for argparse."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def positive(text: str) -> float:
    """Parse a positive finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def folder(path: str | Path) -> Path:
    """Return a folder to write into, made if there is none. Raises OSError if that cannot be."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / ".writable").touch()
    (path / ".writable").unlink()
    return path
