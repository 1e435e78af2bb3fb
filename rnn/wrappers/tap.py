"""Note every step that a cell makes, so that it can be differentiated there.

Above `wrapper.py`, below `inspection/probes.py`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.ops.elementwise import identity
from engine.pytree import flatten
from engine.state import Draws, current, using
from rnn.cells import Cell
from rnn.wrappers.wrapper import Wrapper, joined, parts, with_parameters


class Step(NamedTuple):
    """Hold one step as it was run, and once more by itself, from states that are leaves."""

    t: int
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    alone_before: tuple[Tensor, ...]
    alone_after: tuple[Tensor, ...]
    weights: dict[str, Tensor]


class Tap(Wrapper):
    """Keep a `Step` for every step that a cell makes."""

    pure = False  # it keeps what it notes

    def __init__(self, cell: Cell, notes: "list[Tap]", lengths: Any) -> None:
        super().__init__(cell)
        self._lengths = lengths
        self._steps: list[Step] = []  # private, as its leaves are no parameters
        self.suffix = ""
        notes.append(self)

    @property
    def steps(self) -> list[Step]:
        """Return the steps made so far, in order."""
        return self._steps

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        now = current()
        labels = now.scope.labels
        self.suffix = f"_l{labels['layer']}"
        if labels["direction"] == "reverse":
            self.suffix += "_reverse"
        before = parts(state)
        if not self._steps:  # what is left of a state that needs no gradient is one to begin with
            before = tuple(s if s.requires_grad else leaf(s) for s in before)
        alone = tuple(map(leaf, before))
        batch = before[0].shape[0]
        rows = self._rows(labels["t"], batch)
        leaves, rebuild = flatten(x)
        given = rebuild(list(_taken(rows, leaves, batch)))
        again = None if now.draws is None else Draws(now.draws.key, now.draws.t)
        with using(draws=again):  # the same is dropped
            leaves, rebuild = flatten(given)
            own = rebuild([one.detach() for one in leaves])
            _, new = self.inner(own, joined(_taken(rows, alone, batch)))
            alone_after = _merged(rows, parts(new), alone)
        weights = {path: identity(w) for path, w in self.cell.named_parameters()}
        cell = with_parameters(self.cell, weights)
        y, after = self.inner(given, joined(_taken(rows, before, batch)), cell)
        states = _merged(rows, parts(after), before)
        self._steps.append(Step(labels["t"], before, states, alone, alone_after, weights))
        outputs, rebuild = flatten(y)
        zeros = [engine.zeros((batch, *one.shape[1:]), dtype=one.dtype, device=one.device)
                 for one in outputs]  # fmt: skip
        return rebuild([*_merged(rows, outputs, zeros)]), joined(states)

    def _rows(self, t: int, batch: int) -> Array | None:
        """Return the rows that have the step t, None for all."""
        if self._lengths is None:
            return None
        if len(self._lengths) != batch:
            raise ValueError(f"Probe: {len(self._lengths)} lengths for a batch of {batch}")
        if (self._lengths > t).all():
            return None
        return HOST.xp.flatnonzero(self._lengths > t)


def leaf(x: Tensor) -> Tensor:
    """Return the same values as a leaf, to differentiate at."""
    return engine.asarray(x.data, requires_grad=True)


def _taken(rows: Array | None, xs: Sequence[Tensor], batch: int) -> tuple[Tensor, ...]:
    """Return tensors in these rows alone; as they are where all rows share them."""
    if rows is None:
        return tuple(xs)
    return tuple(engine.take(x, rows, axis=0) if x.shape[:1] == (batch,) else x for x in xs)


def _merged(rows: Array | None, new: Sequence[Tensor], old: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the new tensors in these rows, the old ones in the others, which compute nothing."""
    if rows is None:
        return tuple(new)
    places = HOST.xp.arange(len(rows), len(rows) + old[0].shape[0])
    places[rows] = HOST.xp.arange(len(rows))
    return tuple(engine.take(engine.concat(pair, axis=0), places, axis=0)
                 for pair in zip(new, old, strict=True))  # fmt: skip
