"""Count the work of a function in calls, which the load of the machine does not change."""

import sys
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
