"""Chain modules one after another. Above the layers; of the models the simplest."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from engine import Tensor
from engine.checks import is_whole
from engine.suggestions import kind_of
from rnn.cells import Cell
from rnn.instead import told
from rnn.layers.recurrent import Recurrent
from rnn.modules.module import Module

FOREIGN = ("torch.", "keras.", "tensorflow.")

Step = Module | Callable[[Any], Any]


class Sequential(Module):
    """Pass the output of one as the input of the next: ``(x, lengths=None) -> y``.

    `steps` are modules, cells, or functions such as `engine.tanh`, or one list of them. Where one
    returns (y, state), as recurrences do, y goes on and the state is dropped; `lengths` goes to
    those that take it. Raises TypeError for what cannot be called, ValueError for none at all.

    >>> import engine, rnn
    >>> from rnn.models import Sequential
    >>> Sequential(rnn.Embedding(9, 4), rnn.GRU(4, 5), rnn.Linear(5, 2))([[1], [2], [3]]).shape
    (3, 1, 2)
    """

    def __init__(self, *steps: Step | Sequence[Step]) -> None:
        if len(steps) == 1 and isinstance(steps[0], list | tuple):
            steps = tuple(steps[0])
        if not steps:
            raise ValueError("Sequential: expected at least one module or function, got none")
        if wrong := [one for one in steps if not callable(one)]:
            raise TypeError(f"Sequential: {wrong[0]!r} cannot be called; give modules or functions")
        foreign = [one for one in steps if type(one).__module__.startswith(FOREIGN)]
        if foreign:
            instead = told(type(foreign[0]).__name__) or "; write the layer of rnn of that name"
            raise TypeError(
                f"Sequential: {kind_of(foreign[0])} takes no tensors of engine{instead}"
            )
        self.steps = [Recurrent(one) if isinstance(one, Cell) else one for one in steps]

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.steps)

    def __getitem__(self, place: int) -> Any:
        """Return one step. Raises TypeError for a slice: write ``Sequential(*net.steps[1:])``."""
        if not is_whole(place):
            raise TypeError(
                f"Sequential: expected the place of one step, got {place!r}; of several make "
                "another, as rnn.Sequential(*net.steps[1:])"
            )
        return self.steps[place]

    def forward(self, x: Any, lengths: Any = None) -> Tensor:
        step: Any
        for step in self.steps:
            ragged = lengths is not None and isinstance(step, Module)
            if ragged and "lengths" in inspect.signature(step.forward).parameters:
                x = step(x, lengths=lengths)
            else:
                x = step(x)
            x = x[0] if isinstance(x, tuple) else x
        return x  # type: ignore[no-any-return]
