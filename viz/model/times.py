"""The order of time steps: numbers by size, anything else as it came. Below `levels.py`."""

from collections.abc import Iterable
from typing import Any


def in_order(times: Iterable[Any]) -> list[Any]:
    """Return the steps in the order in which a picture has them.

    >>> in_order([2, 0, 1]), in_order(["noon", "night"])
    ([0, 1, 2], ['noon', 'night'])
    """
    given = list(dict.fromkeys(times))
    return sorted(given) if all(isinstance(t, int | float) for t in given) else given
