"""Bring the arrays that a picture reads from a device to the host, together.

A read of its own for each value waits for the device each time. Below all that measures.
"""

from typing import Any

from engine.backends import fetched


def bring(*held: dict[Any, Any]) -> None:
    """Put arrays of the host in the place of those of a device: one transfer for each dtype.

    Values that are tuples of arrays, with None in the place of some, have theirs replaced.
    """
    given = [array for own in held for value in own.values() for array in _whole(value)
             if array is not None]  # fmt: skip
    read = iter(fetched(given))
    for own in held:
        for key, value in own.items():
            parts = tuple(None if part is None else next(read) for part in _whole(value))
            own[key] = parts if isinstance(value, tuple) else parts[0]


def _whole(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
