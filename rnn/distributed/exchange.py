"""Scan affine maps over ranks: what comes into each rank's stretch of time from those before it.

A map of rank r takes the state before its stretch to that after it, h -> P h + s. `P` is
(n, n, ...) for n states of an entry that go on together, `s` (n, ...); n is 1 where each entry goes
on by itself. Maps are combined by doubling distances, as in Hillis and Steele, Data parallel
algorithms, 1986, so a rank sends ceil(log2(N - 1)) + 1 messages. Works on arrays of the host, and
as an op with a derivative. Below `affine.py` and `layers.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from rnn.distributed.sequences import numbered, tied

xp = HOST.xp


def incoming(P: Any, s: Any, first: Any, communicator: Any, *, reverse: bool) -> Any:
    """Return the state (n, ...) before this rank's stretch. `first` (n, ...) is read on the first
    rank, with `reverse` on the last one. All ranks call it.
    """
    size = communicator.Get_size()
    place = place_of(communicator, reverse=reverse)
    if place == 0:
        P, s = xp.zeros_like(P), applied(P, first) + s  # what comes after it is known
    before = shifted(xp.stack([*P, s]), communicator, 1, reverse=reverse)
    P, s = before[:-1], before[-1]
    distance = 1
    while distance < size - 1:
        before = shifted(xp.stack([*P, s]), communicator, distance, reverse=reverse)
        if place > distance:
            P, s = composed(P, before[:-1]), applied(P, before[-1]) + s
        distance *= 2
    return first if place == 0 else s


def chained(P: Any, s: Any, first: Any, communicator: Any, *, reverse: bool) -> Any:
    """Return the same, in turn where products of the maps may overflow."""
    way = incoming if is_safe(P, s, communicator) else in_turn
    return way(P, s, first, communicator, reverse=reverse)


def in_turn(P: Any, s: Any, first: Any, communicator: Any, *, reverse: bool) -> Any:
    """Return the same, from rank to rank, without a product of maps."""
    state = first
    for place in range(communicator.Get_size() - 1):
        own = place_of(communicator, reverse=reverse) - place
        after = applied(P, state) + s if own == 0 else state
        found = shifted(after, communicator, 1, reverse=reverse)
        state = found if own == 1 else state
    return state


def place_of(communicator: Any, *, reverse: bool) -> int:
    """Return how many ranks' stretches come before this one's."""
    rank: int = communicator.Get_rank()
    return communicator.Get_size() - 1 - rank if reverse else rank


def shifted(x: Any, communicator: Any, distance: int, *, reverse: bool) -> Any:
    """Return the array of the rank so many places before, zeros where there is none."""
    size, place = communicator.Get_size(), place_of(communicator, reverse=reverse)
    sign = -1 if reverse else 1
    rank = communicator.Get_rank()
    after = rank + sign * distance if place + distance < size else _no_rank()
    before = rank - sign * distance if place >= distance else _no_rank()
    found = xp.zeros_like(x)
    communicator.Sendrecv(xp.ascontiguousarray(x), after, recvbuf=found, source=before)
    return found


def applied(P: Any, x: Any) -> Any:
    """Return P x of (n, n, ...) and (n, ...)."""
    return xp.einsum("ij...,j...->i...", P, x)


def composed(later: Any, earlier: Any) -> Any:
    """Return the product of two maps (n, n, ...)."""
    return xp.einsum("ij...,jk...->ik...", later, earlier)


def is_safe(P: Any, s: Any, communicator: Any) -> bool:
    """Return whether no product of the ranks' maps can overflow, the same on all ranks. An infinite
    product times a state of 0 is NaN where one process has 0.
    """
    from mpi4py import MPI

    most = xp.max(xp.abs(P), initial=1.0)  # NaN where there is one
    own = xp.log(most) if xp.isfinite(most) and xp.isfinite(s).all() else xp.inf
    most = communicator.allreduce(float(own), op=MPI.MAX)
    return bool(most * communicator.Get_size() < 0.9 * xp.log(xp.finfo(P.dtype).max))


def _no_rank() -> int:
    from mpi4py import MPI

    return MPI.PROC_NULL


def maps_before(
    P: Tensor, s: Tensor, first: Tensor, *, communicator: Any, reverse: bool, of: int = 0
) -> Tensor:
    """Return the states (n, ...) before this rank's map h -> P h + s: P (n, n, ...), s (n, ...)."""
    number = numbered(f"run_stretch, reverse={reverse}", communicator, of)
    found: Tensor = _before(P, s, first, communicator=communicator, reverse=reverse, number=number)
    return found


def _maps(P: Any, s: Any, first: Any, *, communicator: Any, reverse: bool, number: int) -> Tensor:
    found = chained(P.numpy(), s.numpy(), first.numpy(), communicator, reverse=reverse)
    return engine.asarray(found, device=first.device)


def _pulled(
    g: Any, out: Any, P: Any, s: Any, first: Any, *, communicator: Any, reverse: bool, number: int
) -> list[Any]:
    """Return the gradients: what comes back to each end state is the transposed maps' scan."""
    g = tied(g, out, P, s, first)
    turned = engine.permute_dims(P, (1, 0, *range(2, P.ndim)))
    back = maps_before(turned, g, engine.zeros_like(first), communicator=communicator,
                       reverse=not reverse, of=number)  # fmt: skip
    own = place_of(communicator, reverse=reverse) == 0
    d_first = engine.sum(turned * back[None], axis=1) + g if own else engine.zeros_like(first)
    return [back[:, None] * out[None], back, d_first]


_before: Any = engine.custom_vjp(_maps, _pulled)
