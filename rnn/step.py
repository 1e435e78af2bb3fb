"""Turns the step of a cell into what `engine.scan` asks for. Above cells, below `recurrent.py`."""

from typing import Any

import engine
from rnn.cells.base import Cell


class Step:
    """``(state, inputs) -> (state, y)`` of a cell.

    `inputs` is x; with `resets` (x, marks), where rows that are marked begin with zeros; for a cell
    that takes the time (inputs, t). `memo` is what scan remembers of it, None for nothing;
    ``__wrapped__`` has its equations, and `state_names` the names of what it returns.
    """

    __slots__ = ("__wrapped__", "cell", "memo", "resets", "state_names", "timed")

    def __init__(self, cell: Cell, *, resets: bool = False, kind: str = "") -> None:
        self.cell = cell
        self.resets, self.timed = resets, cell.takes_time
        self.memo = cell.memo((kind, resets))
        self.__wrapped__ = cell.step
        self.state_names = tuple(cell.state_size)

    def __call__(self, state: Any, inputs: Any) -> tuple[Any, Any]:
        x, t = inputs if self.timed else (inputs, None)
        if self.resets:
            x, marks = x
            parts = state if isinstance(state, tuple) else (state,)
            fresh = tuple(_zeroed(marks, part) for part in parts)
            state = fresh if isinstance(state, tuple) else fresh[0]
        y, state = self.cell.stepped(x, state, t)
        return state, y


def _zeroed(marks: Any, state: Any) -> Any:
    """Return a state that is zero in the rows that are marked (B, 1)."""
    if state.ndim != 2:
        marks = engine.reshape(marks, (-1, *(1,) * (state.ndim - 1)))
    return engine.where(marks, 0.0, state)
