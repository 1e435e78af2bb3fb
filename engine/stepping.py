"""Keep what a thread has in force for recurrences: set by `scan`, read where a step is different.

Beside `state.py`, which has what concerns every op. Every change is undone.
"""

import threading
from typing import Any

from engine.state import Settings


class Stepping:
    """Hold one thread's settings of recurrences."""

    __slots__ = ("arguments", "explained", "explicit", "first_recorded", "since", "whole")

    def __init__(self) -> None:
        self.explicit = False  # recurrences put every step on the graph
        self.explained: list[str] | None = None  # what is told of the recurrences that run
        self.arguments: tuple[Any, ...] = ()  # of the step that runs: not to be changed in place
        self.first_recorded: int | None = None  # the id of the first node of a step under recording
        self.since = 0  # the time of the first step of a recurrence, of a part of a longer sequence
        self.whole = False  # a recurrence is one node without numbers, for other formats


class _Threads(threading.local):
    def __init__(self) -> None:
        self.state = Stepping()


threads = _Threads()


def stepping() -> Stepping:
    """Return the settings of recurrences in this thread."""
    return threads.state


class while_stepping(Settings):
    """Set the given settings of recurrences inside a context and put them back after."""

    __slots__ = ()

    def _state(self) -> Any:
        return threads.state


def explicit() -> while_stepping:
    """Put every step of recurrences inside on the graph, which diagrams and debugging read.

    >>> x = engine.ones((3, 1), requires_grad=True)
    >>> with engine.explicit():
    ...     h, _ = engine.scan(lambda h, x: (h + x, None), engine.zeros(1), x)
    >>> [node.op.name for node in engine.Graph.of(h).nodes].count("add")
    3
    """
    return while_stepping(explicit=True)
