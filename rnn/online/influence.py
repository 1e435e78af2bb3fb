"""The influence of the parameters on the states, carried forward: RTRL and its approximations.

Sources: Williams and Zipser, A learning algorithm for continually running fully recurrent neural
networks, 1989 (RTRL); Bellec et al., A solution to the learning dilemma for recurrent networks of
spiking neurons, 2020 (e-prop); Menick et al., Practical real time recurrent learning with a sparse
approximation, 2020 (SnAp-1). Above `linearized.py`, below `steps.py`.
"""

from collections.abc import Sequence

import engine
from engine import Tensor
from engine.backends import HOST
from rnn.cells.sizes import width
from rnn.online.linearized import Linearized, side_by_side

METHODS = ("rtrl", "eprop", "snap1")


class Influence:
    """dz/dtheta (B, S, N), or what a method keeps of it: zeros before the first step.

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
    given = [engine.zeros_like(x) if g is None else g
             for g, x in zip(gradients, parameters, strict=True)]  # fmt: skip
    return side_by_side([g[None] for g in given], 1, like)[0]
