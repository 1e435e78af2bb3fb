"""The setting `checkpoint` of a recurrence, and how many steps a segment has by it.

Below `call.py`.
"""

import math
from typing import Any

from engine.checks import byte_count, is_whole


def checked(checkpoint: Any) -> bool | int | str:
    """Return a setting of `checkpoint` as it was given; an empty one as False.

    Raises ValueError for what is neither True, a positive integer, nor a number of bytes.
    """
    if checkpoint is None or checkpoint is False:
        return False
    if checkpoint is True or (isinstance(checkpoint, str) and byte_count(checkpoint)):
        return checkpoint
    if not is_whole(checkpoint, 1):
        raise ValueError(
            "scan: checkpoint must be True, a positive number of steps or of bytes such as "
            f"'200MB', got {checkpoint!r}"
        )
    return int(checkpoint)


def segment_length(checkpoint: bool | int | str, steps: int, step: int = 0, state: int = 0) -> int:
    """Return how many steps a segment has: as many as asked for, or the square root of all.

    For a number of bytes it is the largest length within it, where each step of a segment takes
    `step` bytes and the states between two `state`. Raises ValueError where none is.
    """
    root = max(1, math.isqrt(steps - 1) + 1)
    if checkpoint is True:
        return root
    if isinstance(checkpoint, str):
        limit = byte_count(checkpoint) or 0
        for length in range(steps, 0, -1):
            if length * step + -(-steps // length) * state <= limit:
                return length
        least = min(n * step + -(-steps // n) * state for n in range(1, steps + 1))
        raise ValueError(
            f"scan: checkpoint={checkpoint!r} is too little for {steps} steps; the least is "
            f"{least:,} bytes"
        )
    return checkpoint
