"""Turns the step of a cell into what `engine.scan` asks for. Below the base class of cells."""

from typing import Any

import engine
from engine.backends import HOST
from rnn.cells.declaration import BaseCell


class Step:
    """``(state, inputs) -> (state, y)`` of a cell.

    `inputs` is x; with `resets` (x, marks), where rows that are marked start over; for a cell that
    takes the time (inputs, t). `memo` is what scan remembers of it, None for nothing;
    ``__wrapped__`` has its equations, and `state_names` the names of what it returns.
    """

    __slots__ = ("__wrapped__", "cell", "memo", "resets", "state_names", "timed")

    def __init__(self, cell: BaseCell, *, resets: bool = False, kind: str = "") -> None:
        self.cell, self.resets = cell, resets
        self.memo = memo = cell.memo((kind, resets))
        if memo is None:
            self.timed = cell.takes_time
        else:  # which is empty again when anything of the cell has changed
            if "timed" not in memo:
                memo["timed"] = cell.takes_time
            self.timed = memo["timed"]
        self.__wrapped__ = cell.step
        self.state_names = tuple(cell.state_size)

    def __call__(self, state: Any, inputs: Any) -> tuple[Any, Any]:
        x, t = inputs if self.timed else (inputs, None)
        if self.resets:
            x, marks = x
            state = reset(self.cell, marks, state)
        y, state = self.cell.stepped(x, state, t)
        return state, y


def reset(cell: BaseCell, marks: Any, state: Any) -> Any:
    """Return a state that is the cell's initial one in the rows that are marked (B, 1)."""
    states = state if isinstance(state, tuple) else (state,)
    initial = (0.0,) * len(states)  # no more to compute where it is zeros
    if not cell.starts_at_zero:
        own = cell.zero_state(states[0].shape[0], like=states[0])
        initial = own if isinstance(own, tuple) else (own,)
    found = []
    for x, new in zip(states, initial, strict=True):
        own = marks if x.ndim == 2 else engine.reshape(marks, (-1, *(1,) * (x.ndim - 1)))
        found.append(engine.where(own, new, x))
    return tuple(found) if isinstance(state, tuple) else found[0]


def borders(marks: Any, within: Any, present: Any, *, reverse: bool) -> Any:
    """Return before which steps (T, B) a state is the initial one again, of arrays of booleans.

    A border lies before the step that is marked; backward in time it is the step before it that
    starts over. One at a step that a row lacks comes into force at the next step that it has, one
    beyond its end nowhere.
    """
    xp = HOST.xp
    marks = marks & within
    if reverse:
        marks = xp.concatenate([marks[1:], xp.zeros_like(marks[:1])])
    found, waiting = xp.zeros_like(marks), xp.zeros(marks.shape[1:], dtype=bool)
    for t in reversed(range(len(marks))) if reverse else range(len(marks)):
        waiting = waiting | marks[t]
        found[t] = waiting & present[t]
        waiting &= ~present[t]
    return found
