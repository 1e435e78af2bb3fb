"""The command lines of the examples: options that are checked, complaints of one line, status 2."""

import argparse
import math
import sys
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(prog=f"python -m examples.{name}", **options)
        self.name = name

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.name}: {message}\n")


def fail(name: str, error: Exception) -> int:
    """Say in one line what is wrong with the input; returns the exit status."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.filename}: {error.strerror}"
    print(f"{name}: {reason}", file=sys.stderr)
    return 2


def whole(text: str) -> int:
    """A positive integer, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return value


def positive(text: str) -> float:
    """A positive finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value
