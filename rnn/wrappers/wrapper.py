"""Wrap cells in cells, as regularisers and probes do. Above the cells, below both.

A wrapper is a cell with the states of the one inside it, so layers, kernels and pictures take it
as they take any cell.
"""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, TypeVar, cast

from engine import Tensor
from engine.suggestions import kind_of
from rnn.cells import Cell
from rnn.modules.module import Module
from rnn.modules.tree import rebuilt

M = TypeVar("M", bound=Module)


class Wrapper(Cell):
    """Wrap a cell in a cell: a base class; write `step` by `inner`. What it lacks the cell has.

    Raises TypeError for what is no cell.

    >>> import engine, rnn
    >>> class Doubled(rnn.Wrapper):
    ...     def step(self, x, state): return self.inner(2 * x, state)
    >>> y, h = rnn.Recurrent(Doubled(rnn.GRUCell(3, 5)))(engine.ones((7, 2, 3)))
    >>> y.shape
    (7, 2, 5)
    """

    def __init__(self, cell: Cell) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"{type(self).__name__}: expected a Cell, got {kind_of(cell)}")
        self.cell = cell
        self.training = cell.training
        self.input_size, self.state_size = cell.input_size, dict(cell.state_size)
        self.pure = type(self).pure and cell.remembers()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the cell that the wrapper has not."""
        cell = vars(self).get("cell")
        if cell is None or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(cell, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a weight of the cell to the cell, which computes with it."""
        cell = vars(self).get("cell")
        public = not name.startswith("_") and hasattr(cell, name)
        if public and (isinstance(value, Tensor) or isinstance(getattr(cell, name), Tensor)):
            setattr(cell, name, value)
        else:
            super().__setattr__(name, value)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Return the step of the cell."""
        return self.inner(x, state)

    def inner(self, x: Any, state: Any, cell: Cell | None = None) -> tuple[Any, Any]:
        """Return the step of the cell, or of a copy; its own equations name its nodes."""
        return (self.cell if cell is None else cell).stepped(x, state)

    @property
    def starts_at_zero(self) -> bool:
        """Tell whether the cell starts at zeros."""
        return type(self).zero_state is Wrapper.zero_state and self.cell.starts_at_zero

    def zero_state(self, batch: int, *, like: Tensor) -> Any:
        """Return the cell's."""
        return self.cell.zero_state(batch, like=like)


def parts(state: Any) -> tuple[Tensor, ...]:
    """Return the states of a cell one by one."""
    return state if isinstance(state, tuple) else (state,)


def joined(states: tuple[Tensor, ...]) -> Any:
    """Return states in the form in which a cell takes them."""
    return states[0] if len(states) == 1 else states


def wrapped(net: M, make: Callable[[Cell], Cell]) -> M:
    """Return a copy of a network, ``make(cell)`` for every cell, on the same parameters.

    `net` is a layer, a `Recurrent`, or any module with such inside. Layers keep the names of their
    weights. Raises TypeError where `make` returns no cell, ValueError where there is none.

    >>> import engine, rnn
    >>> net = rnn.wrapped(rnn.LSTM(3, 5), lambda cell: rnn.Zoneout(cell, 0.1))
    >>> type(net.cell).__name__, net.named_parameters()[0][0]
    ('Zoneout', 'weight_ih_l0')
    """
    found: list[Cell] = []

    def made(cell: Cell) -> Cell:
        new = make(cell)
        if not isinstance(new, Cell):
            raise TypeError(f"wrapped: make must return a Cell, got {kind_of(new)}")
        found.append(new)
        return new

    copied = _copied(net, made)
    if not found:
        raise ValueError(f"wrapped: there is no cell in {type(net).__name__}")
    return cast(M, copied)


def _copied(part: Any, made: Callable[[Cell], Cell]) -> Any:
    """Return a module with other cells; anything else as it is."""
    if isinstance(part, Cell):
        return made(copy(part))  # with a mode of its own
    if not isinstance(part, Module):
        return part
    own = copy(part)
    vars(own).update({name: rebuilt(name, value, lambda _, one: _copied(one, made))
                      for name, value in vars(part).items()})  # fmt: skip
    return own


def with_parameters(cell: Cell, values: Mapping[str, Tensor]) -> Cell:
    """Return a copy of a cell that computes with other tensors, given by path."""

    def swapped(path: str, part: Any) -> Any:
        if path in values:
            return values[path]
        front = f"{path}." if path else ""
        if not isinstance(part, Module) or not any(one.startswith(front) for one in values):
            return part
        own = copy(part)
        vars(own).update({name: rebuilt(f"{front}{name}", one, swapped)
                          for name, one in vars(part).items()
                          if not name.startswith("_")})  # fmt: skip
        return own

    return cast(Cell, swapped("", cell))
