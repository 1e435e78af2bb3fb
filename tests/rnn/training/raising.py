"""Catch the error that a job of several processes has to raise.

As `pytest.raises` does, but pytest takes each of the processes a quarter of its start to import.
"""

from collections.abc import Callable
from typing import Any


def raised(kind: type[BaseException], call: Callable[[], Any]) -> BaseException:
    """Return the error of a kind that a call raises. Raises AssertionError where it raises none."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")
