"""One step of a cell, differentiated for each row of the batch by itself. Below `influence.py`.

The step is run once for every number of every row's state, each run with parameters of its own, in
one recurrence that carries nothing: its steps are computed side by side, and one backward pass
gives all derivatives.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.pytree import flatten
from rnn.cells import Cell
from rnn.cells.sizes import width
from rnn.wrappers.wrapper import joined, parts, with_parameters


class Linearized(NamedTuple):
    """Derivatives of the states after a step, S numbers a row, by those before and N parameters.

    `jacobian` (B, S, S) and `direct` (B, S, N), the latter with the states before held fixed;
    `after` are the states, computed for each row alone.
    """

    jacobian: Tensor
    direct: Tensor
    after: tuple[Tensor, ...]


class Linearizer:
    """Differentiate the steps of a cell by its states and by its trained parameters."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.names = [name for name, x in cell.named_parameters() if x.requires_grad]

    @property
    def parameters(self) -> list[Tensor]:
        """Return the parameters as they are now, in the order of `names`."""
        found = dict(self.cell.named_parameters())
        return [found[name] for name in self.names]

    @property
    def size(self) -> int:
        """Return how many numbers the parameters have."""
        return sum(x.size for x in self.parameters)

    def at(self, x: Any, states: Sequence[Tensor], t: int) -> Linearized:
        """Return the derivatives of the step from x (B, I) and these states at time t."""
        S, B = _numbers(states), states[0].shape[0]
        leaves, rebuild = flatten(x)
        own = [_repeated(one, S) for one in leaves]
        before = [_repeated(one, S) for one in states]
        weights = [_leaf(engine.broadcast_to(w, (B * S, *w.shape))) for w in self.parameters]
        nothing = engine.zeros((1, 1), dtype=states[0].dtype, device=states[0].device)
        times = engine.full((B * S,), t, dtype=engine.int64, device=states[0].device)
        with engine.no_grad():
            own = [one.detach() for one in own]
        rows = (rebuild(own), tuple(before), tuple(weights), times)
        after = engine.scan(_OneRow(self), nothing, rows)[1]
        given = engine.gradients(list(after), [*before, *weights], _units(states, after))
        found = [engine.zeros_like(one) if g is None else g
                 for g, one in zip(given, (*before, *weights), strict=True)]  # fmt: skip
        count = len(before)
        return Linearized(
            engine.reshape(side_by_side(found[:count], B * S, nothing), (B, S, S)),
            engine.reshape(side_by_side(found[count:], B * S, nothing), (B, S, self.size)),
            tuple(
                engine.reshape(one, (B, S, *one.shape[2:]))[:, 0] for one in after
            ),  # all S alike
        )


class _OneRow:
    """The step of one row with parameters of its own, in the form that `engine.scan` asks for."""

    def __init__(self, linearizer: Linearizer) -> None:
        self.cell, self.names = linearizer.cell, linearizer.names
        self.memo = self.cell.memo(("linearized", tuple(self.names)))
        self.__wrapped__ = self.cell.step

    def __call__(self, nothing: Any, row: Any) -> Any:
        x, before, weights, t = row
        own = with_parameters(self.cell, dict(zip(self.names, weights, strict=True)))
        _, after = own.stepped(x, joined(before), t)
        return nothing, parts(after)


def _numbers(states: Sequence[Tensor]) -> int:
    """Return how many numbers the states of a row have."""
    return sum(width(x.shape[1:]) for x in states)


def side_by_side(xs: Sequence[Tensor], rows: int, like: Tensor) -> Tensor:
    """Return tensors (rows, ...) flat, side by side: (rows, N); of none (rows, 0) as `like`."""
    if not xs:
        return engine.zeros((rows, 0), dtype=like.dtype, device=like.device)
    return engine.concat([engine.reshape(x, (rows, -1)) for x in xs], axis=1)


def _leaf(x: Tensor) -> Tensor:
    return engine.asarray(x.data, requires_grad=True)


def _repeated(x: Tensor, times: int) -> Tensor:
    """Return every row `times` over, each a batch of one: (B times, 1, ...)."""
    over = engine.broadcast_to(x[:, None], (x.shape[0], times, *x.shape[1:]))
    flat = engine.reshape(over, (x.shape[0] * times, 1, *x.shape[1:]))
    return _leaf(flat) if x.dtype.kind == "f" else flat.detach()


def _units(states: Sequence[Tensor], after: Sequence[Tensor]) -> list[Tensor]:
    """Return for each state a one at the number that is differentiated: run s of a row has s."""
    S, B = _numbers(states), states[0].shape[0]
    eye = engine.eye(S, dtype=states[0].dtype, device=states[0].device)
    found, start = [], 0
    for x, own in zip(states, after, strict=True):
        size = width(x.shape[1:])
        unit = engine.broadcast_to(eye[None, :, start : start + size], (B, S, size))
        found.append(engine.reshape(unit, own.shape))
        start += size
    return found
