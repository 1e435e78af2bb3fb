"""Hold back full collections of cycles while a large graph grows or is walked.

A full collection looks at every living object, so a graph of a million nodes is walked again and
again while it grows: half of the time at 10,000 steps. A graph has no cycles, and what is young is
still collected. Below the backward pass and `scan`.
"""

import gc
import sys
from contextlib import AbstractContextManager, nullcontext
from threading import Lock

NEVER = 1 << 30
LARGE = 5_000  # nodes
# From 3.14 on the old generation is looked through bit by bit, the more the smaller this is.
OLD = (1, 2) if sys.version_info >= (3, 14) else (2,)


class _FullCollections:
    """Hold back full collections inside; it counts, as passes are nested and threads have some."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before = self._held = (0, 0, 0)

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = gc.get_threshold()
                self._held = tuple(  # type: ignore[assignment]
                    NEVER if place in OLD else own for place, own in enumerate(self._before)
                )
                gc.set_threshold(*self._held)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and gc.get_threshold() == self._held:  # else it was set inside
                gc.set_threshold(*self._before)


no_full_collections = _FullCollections()


def while_walking(nodes: int) -> AbstractContextManager[None]:
    """Return the context for a walk over so many nodes: a small one is over before it pays."""
    return no_full_collections if nodes > LARGE else nullcontext()
