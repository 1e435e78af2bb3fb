"""Count work by what the load of the machine does not change: calls, and CPU time of a process."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def calls(function: Callable[[], T]) -> tuple[T, int]:
    """Return the result of `function` and how many functions of Python and of C it called."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = function()
    finally:
        sys.setprofile(before)
    return result, count


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of another process in seconds; 0 for one that is over, or off Linux.

    Its clock is made of its number as clock_gettime(2) of Linux's C library makes it.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
