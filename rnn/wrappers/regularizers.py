"""Regularise recurrences by wrappers of any cell. Above `wrapper.py`.

What is drawn follows from the key of the call and, where it changes from step to step, from t, so
it is the same fused, explicit and checkpointed. What is drawn once per call is a function of that
key alone: the fused executors compute it once, before the recurrence runs. In evaluation mode
nothing is drawn.
"""

from collections.abc import Mapping
from typing import Any

import engine
from engine import Tensor
from engine.ops.chance import chance
from engine.pytree import flatten
from engine.random import draws, windowed
from engine.state import current
from rnn.cells import Cell
from rnn.modules.module import probability
from rnn.wrappers.wrapper import Wrapper, joined, parts, with_parameters

Rates = float | Mapping[str, float]


def drawn(like: Tensor, probability: float, *, constant: bool, rows: bool = True) -> Tensor:
    """Return a mask shaped as `like`, true with a probability; `constant`: one for all steps.
    `rows` says whether `like` has the rows of a batch, as weights have not.
    """
    state = current()
    source = state.draws or draws(state.scope.path, like.device)
    t = engine.asarray(0, device=like.device) if constant else source.t
    number = next(source.count)
    return chance(source.key(), t, shape=like.shape, probability=probability, number=number,
                  **(windowed(like.shape) if rows else {}))  # fmt: skip


def dropped(x: Tensor, p: float, *, constant: bool, rows: bool = True) -> Tensor:
    """Return x with elements zero with probability `p`, the others times 1 / (1 - p)."""
    scale = 1.0 if p == 1 else 1 / (1 - p)
    return engine.where(drawn(x, 1 - p, constant=constant, rows=rows), x * scale, 0.0)


def rates(name: str, given: Rates, states: Mapping[str, Any], own: str = "") -> dict[str, float]:
    """Return the probability for each state that has one above zero.

    A number is for the state called `own`, for the first where there is none of that name, and
    for all where `own` is empty. Raises ValueError for unknown states and bad probabilities.
    """
    if not isinstance(given, Mapping):
        single = own if own in states else next(iter(states))
        given = dict.fromkeys((single,) if own else states, given)
    if unknown := [state for state in given if state not in states]:
        raise ValueError(f"{name}: no state {unknown[0]!r}; the cell has {', '.join(states)}")
    found = {state: probability(f"{name} of {state}", p) for state, p in given.items()}
    return {state: p for state, p in found.items() if p}


class _OnStates(Wrapper):
    """Change states by name in a wrapper."""

    def _each(self, rate: Mapping[str, float], change: Any, *states: Any) -> Any:
        """Return the last of `states`, by ``change(p, *same state of each)`` at a rate."""
        changed = []
        for name, *own in zip(self.state_size, *map(parts, states), strict=True):
            with engine.scope(state=name):
                changed.append(change(rate[name], *own) if name in rate else own[-1])
        return joined(tuple(changed))


def _output(y: Tensor, before: Any, after: Any) -> Tensor:
    """Return the output again: where it is one of the states, that state as it has become."""
    pairs = zip(parts(before), parts(after), strict=True)
    return next((new for old, new in pairs if old is y), y)


class VariationalDropout(_OnStates):
    """Apply dropout with one mask over all time on inputs, states and outputs, drawn once per call.

    `states` is a probability for h, the state that is fed back (the first one, where none is
    called so), or one each for states by name: ``{"h": 0.3}``. The mask falls on the state that
    the step reads. A cell that adds its old state to the new one, as the GRU does, forgets the
    dropped units at every step; there `WeightDropout` and `Zoneout` are the better choice.
    Raises ValueError for bad probabilities and unknown states. Source: Gal and Ghahramani, A
    theoretically grounded application of dropout in recurrent neural networks, 2016.

    >>> import engine, rnn
    >>> cell = rnn.VariationalDropout(rnn.LSTMCell(3, 5), inputs=0.2, states=0.3)
    >>> rnn.Recurrent(cell)(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 5)
    """

    def __init__(
        self, cell: Cell, *, inputs: float = 0.0, states: Rates = 0.0, outputs: float = 0.0
    ) -> None:
        super().__init__(cell)
        name = type(self).__name__
        self.inputs = probability(f"{name}: inputs", inputs)
        self.states = rates(f"{name}: states", states, self.state_size, "h")
        self.outputs = probability(f"{name}: outputs", outputs)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Map x (B, I) and the state before it to y and the state after it."""
        if not self.training:
            return self.inner(x, state)
        leaves, rebuild = flatten(x)  # numbers, not indices and masks
        x = rebuild([self._dropped(self.inputs, one) if one.dtype.kind == "f" else one
                  for one in leaves])  # fmt: skip
        state = self._each(self.states, self._dropped, state)
        y, after = self.inner(x, state)
        return self._dropped(self.outputs, y), after

    def _dropped(self, p: float, x: Tensor) -> Tensor:
        return dropped(x, p, constant=True) if p else x


class RecurrentDropout(_OnStates):
    """Apply dropout inside the recurrence with a mask for every step.

    With ``on="update"`` it falls on what a step adds to the memory, s' = s + d(step(s) - s), so
    that nothing is forgotten by it; with ``on="state"`` on the state that the step reads. `p` is a
    probability for the memory c, or for h where it is on the state (the first state, where none is
    called so), or one each for states by name. An output that is a state is that state as it
    becomes. Raises ValueError for bad probabilities, unknown states and another `on`. Source of the
    first: Semeniuta, Severyn and Barth, Recurrent dropout without memory loss, 2016, there on the
    gated candidate; of the second: Moon et al., RnnDrop, 2015.

    >>> import engine, rnn
    >>> cell = rnn.RecurrentDropout(rnn.GRUCell(3, 5), 0.25)
    >>> rnn.Recurrent(cell)(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 5)
    """

    def __init__(self, cell: Cell, p: Rates, *, on: str = "update") -> None:
        super().__init__(cell)
        if on not in ("update", "state"):
            raise ValueError(f"{type(self).__name__}: on must be 'update' or 'state', got {on!r}")
        self.on = on
        own = "c" if on == "update" else "h"
        self.p = rates(f"{type(self).__name__}: p", p, self.state_size, own)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Map x (B, I) and the state before it to y and the state after it."""
        if not self.training:
            return self.inner(x, state)
        if self.on == "state":
            return self.inner(x, self._each(self.p, self._forgotten, state))
        y, after = self.inner(x, state)
        changed = self._each(self.p, self._updated, state, after)
        return _output(y, after, changed), changed

    def _forgotten(self, p: float, s: Tensor) -> Tensor:
        return dropped(s, p, constant=False)

    def _updated(self, p: float, before: Tensor, after: Tensor) -> Tensor:
        return before + dropped(after - before, p, constant=False)


class Zoneout(_OnStates):
    """Keep the old state of each unit with probability `p`, drawn at every step.

    `p` is for all states, or one each by name: ``{"h": 0.05, "c": 0.5}``. In evaluation mode the
    expectation is taken: s' = p s + (1 - p) step(s). An output that is a state is that state as it
    becomes. Raises ValueError for bad probabilities or states. Source: Krueger et al., Zoneout,
    2017.

    >>> import engine, rnn
    >>> cell = rnn.Zoneout(rnn.LSTMCell(3, 5), {"h": 0.05, "c": 0.5})
    >>> rnn.Recurrent(cell)(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 5)
    """

    def __init__(self, cell: Cell, p: Rates) -> None:
        super().__init__(cell)
        self.p = rates(f"{type(self).__name__}: p", p, self.state_size)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Map x (B, I) and the state before it to y and the state after it."""
        y, after = self.inner(x, state)
        mixed = self._each(self.p, self._kept if self.training else self._expected, state, after)
        return _output(y, after, mixed), mixed

    def _kept(self, p: float, before: Tensor, after: Tensor) -> Tensor:
        return engine.where(drawn(after, p, constant=False), before, after)

    def _expected(self, p: float, before: Tensor, after: Tensor) -> Tensor:
        return p * before + (1 - p) * after


class WeightDropout(Wrapper):
    """Zero weights of the recurrence with probability `p`, drawn once per call: DropConnect.

    `names` are the parameters that it falls on, in the cell or in cells inside it; `weight_hh` by
    default. Raises ValueError for a bad probability and for names that no parameter has. Source:
    Merity, Keskar and Socher, Regularizing and optimizing LSTM language models, 2018.

    >>> import engine, rnn
    >>> cell = rnn.WeightDropout(rnn.LSTMCell(3, 5), 0.5)
    >>> rnn.Recurrent(cell)(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 5)
    """

    def __init__(self, cell: Cell, p: float, *, names: tuple[str, ...] = ("weight_hh",)) -> None:
        super().__init__(cell)
        self.p = probability(f"{type(self).__name__}: p", p)
        paths = [path for path, _ in cell.named_parameters()]
        known = {path.rpartition(".")[2] for path in paths}
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"{type(self).__name__}: no parameter {unknown[0]!r}; "
                f"the cell has {', '.join(sorted(known))}"
            )
        self.names = tuple(names)

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Map x (B, I) and the state before it to y and the state after it."""
        if not (self.training and self.p):
            return self.inner(x, state)
        return self.inner(x, state, with_parameters(self.cell, self._weights()))

    def _weights(self) -> dict[str, Tensor]:
        """Return the weights of this call, by path."""
        named = {path: x for path, x in self.cell.named_parameters()
                 if path.rpartition(".")[2] in self.names}  # fmt: skip
        return {path: dropped(x, self.p, constant=True, rows=False) for path, x in named.items()}
