"""Checks of numbers on a device, whose answers are read when the host next reads anything.

A check that waits for its answer stops the host: at every index of an embedding, at every clipped
gradient. No result reaches the host before the checks that came before it. Below the backends.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.backends.base import Array

Judge = Callable[[Sequence[int]], Exception | None]


class Check(NamedTuple):
    """Whole numbers on a device, each an array without axes, and what they are judged by."""

    numbers: tuple[Array, ...]
    judge: Judge


class Checks:
    """The checks of a backend that wait for an answer; `read` brings numbers to the host."""

    LIMIT = 1000  # what is never read must not fill the memory

    def __init__(self, read: Callable[[list[Array]], list[int]]) -> None:
        self._read = read
        self._waiting: list[Check] = []

    def add(self, numbers: tuple[Array, ...], judge: Judge) -> None:
        """Remember a check. `judge` returns an error, or None, once the numbers are known."""
        self._waiting.append(Check(numbers, judge))
        if len(self._waiting) >= self.LIMIT:
            self.settle()

    def settle(self) -> None:
        """Raise the error of the first check that failed; all of them are forgotten."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        found = iter(self._read([number for check in waiting for number in check.numbers]))
        for check in waiting:
            error = check.judge([next(found) for _ in check.numbers])
            if error is not None:
                raise error
