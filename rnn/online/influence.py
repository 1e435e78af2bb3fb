"""Carry the influence of the parameters on the states forward: RTRL and its approximations.

One step of a cell is differentiated for each row of the batch by itself: run once for every number
of every row's state, each run with parameters of its own, in one recurrence that carries nothing.
Its steps are computed side by side, and one backward pass gives all derivatives.
Sources: Williams and Zipser, A learning algorithm for continually running fully recurrent neural
networks, 1989 (RTRL); Bellec et al., A solution to the learning dilemma for recurrent networks of
spiking neurons, 2020 (e-prop); Menick et al., Practical real time recurrent learning with a sparse
approximation, 2020 (SnAp-1). Below `steps.py`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST
from engine.pytree import flatten
from rnn.cells import Cell
from rnn.cells.sizes import width
from rnn.modules.values import or_zeros
from rnn.wrappers.wrapper import joined, parts, with_parameters


class Linearized(NamedTuple):
    """Hold derivatives of the states after a step, S a row, by those before and N parameters.

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
        found = or_zeros(given, [*before, *weights])
        count = len(before)
        return Linearized(
            engine.reshape(side_by_side(found[:count], B * S, nothing), (B, S, S)),
            engine.reshape(side_by_side(found[count:], B * S, nothing), (B, S, self.size)),
            tuple(
                engine.reshape(one, (B, S, *one.shape[2:]))[:, 0] for one in after
            ),  # all S alike
        )


class _OneRow:
    """Step one row with parameters of its own, in the form that `engine.scan` asks for."""

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


METHODS = ("rtrl", "eprop", "snap1")


class Influence:
    """Hold dz/dtheta (B, S, N), or what a method keeps of it: zeros before the first step.

    ``"rtrl"`` is exact: P' = J P + F, with J = dz'/dz and F = dz'/dtheta at fixed z. ``"eprop"``
    takes of J what a unit hands to itself: of states of one shape the entries at one place.
    ``"snap1"`` takes all of J, and keeps of P' the entries that a parameter reaches in one step: in
    which F was not zero so far, at any step or row.
    """

    def __init__(self, method: str, states: Sequence[Tensor], numbers: int) -> None:
        first = states[0]
        size = sum(width(x.shape[1:]) for x in states)
        self.method = method
        self.value = engine.zeros((first.shape[0], size, numbers), dtype=first.dtype,
                                  device=first.device)  # fmt: skip
        self._local = _local(states)
        self._reached: Tensor | None = None

    def step(self, found: Linearized) -> None:
        """Carry the influence over one step."""
        jacobian = found.jacobian * self._local if self.method == "eprop" else found.jacobian
        self.value = _product(jacobian, self.value) + found.direct
        if self.method == "snap1":
            reached = engine.any(found.direct != 0, axis=0)
            self._reached = reached if self._reached is None else self._reached | reached
            self.value = engine.where(self._reached, self.value, 0.0)

    def pulled(self, signal: Tensor) -> Tensor:
        """Return the gradient (N,) by the parameters of one (B, S) by the states."""
        return engine.einsum("bs,bsn->n", signal, self.value)


def _local(states: Sequence[Tensor]) -> Tensor:
    """Return 1 where two of the S numbers belong to one unit, else 0: (S, S)."""
    xp = HOST.xp
    shapes = [x.shape[1:] for x in states]
    units = [(shape, i) for shape in shapes for i in range(width(shape))]
    number = {one: k for k, one in enumerate(dict.fromkeys(units))}
    own = xp.asarray([number[one] for one in units])
    local = (own[:, None] == own[None, :]).astype(states[0].dtype)
    return engine.asarray(local, device=states[0].device)


def _product(jacobian: Tensor, influence: Tensor) -> Tensor:
    """Return J P; where J has nothing off its diagonal, each row of P times one number."""
    diagonal = engine.linalg.diagonal(jacobian)
    if int(engine.count_nonzero(jacobian)) == int(engine.count_nonzero(diagonal)):
        return diagonal[:, :, None] * influence
    return engine.matmul(jacobian, influence)


def split(gradient: Tensor, names: Sequence[str], like: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return a flat gradient (N,) as one for each parameter."""
    found, start = {}, 0
    for name, x in zip(names, like, strict=True):
        found[name] = engine.reshape(gradient[start : start + x.size], x.shape)
        start += x.size
    return found


def flat(
    gradients: Sequence[Tensor | None], parameters: Sequence[Tensor], like: Tensor
) -> Tensor:  # fmt: skip
    """Return gradients of parameters side by side (N,), zeros where there is none."""
    return side_by_side([g[None] for g in or_zeros(gradients, parameters)], 1, like)[0]
