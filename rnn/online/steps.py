"""Yield a gradient after every step, and keep nothing of the steps before. Above `influence.py`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.pytree import flatten
from engine.state import using
from rnn.cells import Cell
from rnn.layers.recurrent import Recurrent
from rnn.modules.module import Module
from rnn.modules.values import or_zeros
from rnn.online.influence import METHODS, Influence, Linearizer, flat, side_by_side, split
from rnn.wrappers.wrapper import joined, parts

Loss = Callable[[Any, Any], Tensor]


class OnlineStep(NamedTuple):
    """Hold one step: its time, its loss, and the gradient of it by every parameter's name.

    >>> import engine, rnn
    >>> rnn.online.OnlineStep(0, 0.5, engine.ones(2), {"bias": engine.zeros(2)}).loss
    0.5
    """

    t: int
    loss: float
    output: Any
    gradients: dict[str, Tensor]


def steps(
    cell: Cell | Recurrent,
    x: Any,
    targets: Any,
    loss: Loss,
    *,
    method: str = "rtrl",
    readout: Module | None = None,
    state: Any = None,
) -> Iterator[OnlineStep]:
    """Run a cell over x (T, B, I) and yield the gradient of each step's loss when it is there.

    ``loss(y, targets[t])`` is one number, of the output y (B, ...) of the step, or of
    ``readout(y)``. The gradients are by the names of ``cell.named_parameters()``, those of the
    readout as ``"readout.weight"``. Parameters may be updated between two steps: the next one uses
    the new ones, and what was carried stays as it is. `method` is ``"rtrl"``, exact where nothing
    is updated; ``"eprop"``, which drops what units hand to each other; or ``"snap1"``, see
    `rnn.online.influence`. The memory is B S N numbers for S numbers of state and N parameters,
    for any T, and the work of a step S times as much. Raises ValueError for another method, and
    for a step that mixes the rows of the batch or draws random numbers.

    >>> import engine, rnn
    >>> cell, x = rnn.GRUCell(3, 5), engine.ones((7, 2, 3))
    >>> for step in rnn.online.steps(cell, x, engine.zeros((7, 2, 5)), engine.mse_loss):
    ...     cell.weight_hh.data -= 0.1 * step.gradients["weight_hh"].data
    """
    if method not in METHODS:
        raise ValueError(
            f"steps: unknown method {method!r}; expected one of {', '.join(METHODS)}, which need "
            "nothing of the steps before; rnn.online.estimate has the others"
        )
    cell = cell_of(cell)
    leaves, rebuild = flatten(x)
    xs = [one if isinstance(one, Tensor) else engine.asarray(one) for one in leaves]
    states = parts(first_state(cell, rebuild(xs), state))
    run = _Run(cell, readout, loss, method, states)
    for t in range(xs[0].shape[0]):
        yield run.step(rebuild([one[t].detach() for one in xs]), targets[t], t)


def cell_of(net: Any) -> Cell:
    """Return the cell of what may be a `Recurrent` around one. Raises TypeError for others."""
    found = net.cell if isinstance(net, Recurrent) and not (net.reverse or net.batch_first) else net
    if not isinstance(found, Cell):
        raise TypeError(
            f"online: expected a cell, or a Recurrent that runs forward over (T, B, I), got "
            f"{type(net).__name__}"
        )
    return found


def first_state(cell: Cell, x: Any, state: Any) -> Any:
    """Return the state to start from, zeros by default, detached."""
    own = Recurrent(cell)
    inputs = own._inputs(x)[0]
    found = own._checked(state, inputs, inputs[0].shape[1])
    return joined(tuple(one.detach() for one in parts(found)))


def readout_parameters(
    readout: Module | None, shared: Sequence[Tensor]
) -> dict[str, Tensor]:  # fmt: skip
    """Return the trained parameters of a readout by the names of estimates. One that it shares with
    the cell goes by the name that it has there.
    """
    if readout is None:
        return {}
    return {f"readout.{name}": w for name, w in readout.named_parameters()
            if w.requires_grad and not any(w is one for one in shared)}  # fmt: skip


class _Run:
    """Carry the states, and their influences, from one step to the next."""

    def __init__(
        self, cell: Cell, readout: Module | None, loss: Loss, method: str,
        states: Sequence[Tensor],
    ) -> None:  # fmt: skip
        self.cell, self.readout, self.loss = cell, readout, loss
        self.linearizer = Linearizer(cell)
        if wrong := [x.dtype for x in states if x.dtype.kind != "f"]:
            raise ValueError(f"online: a state is {wrong[0]}, and has no derivative")
        self.states = tuple(states)
        self.influence = Influence(method, states, self.linearizer.size)

    def step(self, x: Any, target: Any, t: int) -> OnlineStep:
        """Make one step, and return its gradient."""
        before = [engine.asarray(s.data, requires_grad=True) for s in self.states]
        weights = self.linearizer.parameters
        read = readout_parameters(self.readout, weights)
        with using(recording=True):
            now = engine.asarray(t, device=before[0].device)
            y, state = self.cell.stepped(x, joined(tuple(before)), now)
            out = y if self.readout is None else self.readout(y)
            loss = self.loss(out, target)
        if not isinstance(loss, Tensor) or loss.size != 1:
            told = loss.shape if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"online: the loss of a step must be one number, got {told}; take its mean"
            )
        after = parts(state)
        inputs = [*before, *weights, *read.values()]
        found: list[Tensor | None] = [None] * (len(after) + len(inputs))
        if loss.requires_grad:
            found = engine.gradients(loss, [*after, *inputs])
        signals = _partial(after, found[: len(after)])
        # What reaches the loss by the new states is taken from the influence on them.
        rest = _besides(found[len(after) :], after, signals, inputs)
        count, rows = len(before), after[0].shape[0]
        gradient = flat(rest[count : count + len(weights)], weights, after[0])
        if any(g is not None for g in rest[:count]):  # an output of the states before
            gradient = gradient + self.influence.pulled(_rows(rest[:count], before, rows))
        found_at = self.linearizer.at(x, before, t)
        _check_alone(found_at.after, after)
        self.influence.step(found_at)
        gradient = gradient + self.influence.pulled(_rows(signals, after, rows))
        self.states = tuple(s.detach() for s in after)
        named = split(gradient, self.linearizer.names, weights)
        own = or_zeros(rest[count + len(weights) :], read.values())
        named |= zip(read, own, strict=True)
        return OnlineStep(t, loss.item(), out.detach() if isinstance(out, Tensor) else out, named)


def _partial(after: Sequence[Tensor], total: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the gradients by new states of which each is held fixed while another moves. They are
    taken from the last one on: paths through later ones are no part of an earlier.
    """
    found: list[Tensor | None] = [None] * len(after)
    for i in sorted(range(len(after)), key=lambda i: after[i].node.id, reverse=True):
        found[i] = _besides([total[i]], after, found, [after[i]])[0]
    return found


def _besides(
    total: Sequence[Tensor | None],
    by: Sequence[Tensor],
    signals: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
) -> list[Tensor | None]:
    """Return gradients without what reaches the inputs by some tensors; None for nothing."""
    pairs = [(x, g) for x, g in zip(by, signals, strict=True)
             if g is not None and x.requires_grad]  # fmt: skip
    if not pairs:
        return list(total)
    parts = engine.gradients([x for x, _ in pairs], list(inputs), [g for _, g in pairs])
    rest = [g if g is None or part is None else g - part
            for g, part in zip(total, parts, strict=True)]  # fmt: skip
    return [None if g is None or not bool(engine.any(g != 0)) else g for g in rest]


def _rows(gradients: Sequence[Tensor | None], like: Sequence[Tensor], rows: int) -> Tensor:
    """Return the gradients of the states side by side: (B, S)."""
    given = or_zeros(gradients, like)
    return side_by_side(given, rows, given[0])


def _check_alone(alone: Sequence[Tensor], together: Sequence[Tensor]) -> None:
    """Raise ValueError where the rows of a batch have other states than each by itself."""
    for one, other in zip(alone, together, strict=True):
        close = 1e3 * engine.finfo(other.dtype).eps
        gap = engine.abs(one - other)
        fits = (gap <= close * (1 + engine.abs(other))) | (one == other) | (other != other)
        if not bool(engine.all(fits)):
            raise ValueError(
                "online: a row by itself has another state than in the batch: the step mixes rows, "
                "or draws random numbers, which cell.eval() ends"
            )
