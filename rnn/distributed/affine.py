"""Scan affine maps over time and ranks, h_t = a_t h_(t-1) + b_t, with a stretch on each rank.

A map of rank r takes the state before its stretch to that after it, h -> P h + s. `P` is
(n, n, ...) for n states of an entry that go on together, `s` (n, ...); n is 1 where each entry goes
on by itself. Maps are combined by doubling distances, as in Hillis and Steele, Data parallel
algorithms, 1986, so a rank sends ceil(log2(N - 1)) + 1 messages.

A rank runs its stretch from zero, the ranks scan the pairs of decay and end state, and it runs the
stretch again from what comes in. That is two passes for one, but needs no product of decays at
every step, and from what comes in a rank computes what one process does. The derivative is the same
scan the other way over time and ranks, so any order follows. Source: Martin and Cundy,
Parallelizing linear recurrent neural nets over sequence length, 2018. Below `layers.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from rnn.distributed.communicator import Communicator
from rnn.distributed.sequences import agreed, copy_of, numbered, shared, tied

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


def _maps_pulled(
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


_before: Any = engine.custom_vjp(_maps, _maps_pulled)


# ---- over time and ranks


def affine_scan(
    a: Any,
    b: Any,
    init: Any = None,
    *,
    communicator: Communicator | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the final state, and the states after every step of this rank's stretch.

    Ranks hold stretches of time in their order: of T steps, `a` and `b` have this rank's, and
    broadcast to (steps, ...), such as (steps, B, H); stretches may differ in length. `init` (...)
    is the state before the first step of all, zeros by default; it is read, and has its gradient,
    on rank 0 (with `reverse` on the last rank), elsewhere its gradient is zero. The states are
    (steps, ...), the final one (...) is that after all steps, the same on all ranks.

    The loss is the sum of the ranks' losses, so a gradient that reaches the final state on several
    ranks counts several times. All ranks call it, and the backward pass through it, and compute the
    same expression of what it returns: what does not count on a rank is multiplied by 0 and not
    left out, as the others would wait for it. `communicator` is by default that of all ranks.

    Raises ValueError, on all ranks, where a stretch is empty, shapes or dtypes differ, a dtype is
    neither float32 nor float64, or ranks differ in what requires a gradient; RuntimeError where
    they come to different calls; ImportError without mpi4py.

    >>> import rnn
    >>> last, states = rnn.distributed.affine_scan([0.5, 0.5], [1.0, 1.0])  # doctest: +SKIP
    """
    own = shared(communicator)
    a, b = engine.asarray(a), engine.asarray(b)
    init = engine.zeros((), dtype=b.dtype, device=b.device) if init is None else init
    init = engine.asarray(init)
    shape = agreed("affine_scan", own, {"a": a, "b": b}, init)
    a, b = engine.broadcast_to(a, shape), engine.broadcast_to(b, shape)
    init = engine.broadcast_to(init, shape[1:])
    own_first = place_of(own, reverse=reverse) == 0
    start = init if own_first else tied(engine.zeros_like(init), init)
    states = borders(a, b, start, communicator=own, reverse=reverse)
    root = 0 if reverse else own.Get_size() - 1
    last = copy_of(states[0] if reverse else states[-1], communicator=own, root=root)
    return last, states[:-1] if reverse else states[1:]


def borders(
    a: Tensor, b: Tensor, start: Tensor, *, communicator: Any, reverse: bool, of: int = 0
) -> Tensor:
    """Return the states (steps + 1, ...) before and after every step of this rank's stretch.
    `start` (...) is added to what comes into the stretch from the ranks before.
    """
    number = numbered(f"affine_scan, reverse={reverse}", communicator, of)
    found: Tensor = _borders(a, b, start, communicator=communicator, reverse=reverse, number=number)
    return found


def _states(a: Any, b: Any, start: Any, *, communicator: Any, reverse: bool, number: int) -> Tensor:
    """Return the states (steps + 1, ...), on tensors without a graph."""
    P = engine.prod(a, axis=0)
    s = engine.scan(_map_step, start, (a, b), reverse=reverse)[0]
    P_, s_ = P.numpy()[None, None], s.numpy()[None]
    if not is_safe(P_, s_, communicator):
        return _in_turn(a, b, start, communicator=communicator, reverse=reverse)
    found = incoming(P_, s_, xp.zeros_like(s_), communicator, reverse=reverse)
    return _run(a, b, start + engine.asarray(found[0], device=start.device), reverse=reverse)


def _run(a: Tensor, b: Tensor, first: Tensor, *, reverse: bool) -> Tensor:
    states = engine.scan(_state_step, first, (a, b), reverse=reverse)[1]
    both = [states, first[None]] if reverse else [first[None], states]
    return engine.concat(both, axis=0)


def _in_turn(a: Any, b: Any, start: Any, *, communicator: Any, reverse: bool) -> Tensor:
    """Return the same from rank to rank, as one process goes on: for numbers that overflow."""
    place, rank = place_of(communicator, reverse=reverse), communicator.Get_rank()
    sign = -1 if reverse else 1
    if place:
        found = start.numpy().copy()
        communicator.Recv(found, source=rank - sign)
        start = start + engine.asarray(found, device=start.device)
    states = _run(a, b, start, reverse=reverse)
    if place < communicator.Get_size() - 1:
        communicator.Send(states[0 if reverse else -1].numpy().copy(), dest=rank + sign)
    return states


def _pulled(
    g: Any, out: Any, a: Any, b: Any, start: Any, *, communicator: Any, reverse: bool, number: int
) -> list[Any]:
    """Return the gradients: what comes back to each state is a scan the other way."""
    g = tied(g, out, a, b, start)
    each, last, before = (g[1:], g[0], out[1:]) if reverse else (g[:-1], g[-1], out[:-1])
    back = borders(a, each, last, communicator=communicator, reverse=not reverse, of=number)
    after, first = (back[:-1], back[-1]) if reverse else (back[1:], back[0])
    return [after * before, after, first]


def _map_step(h: Any, x: Any) -> tuple[Any, Any]:
    a, b = x
    return a * h + b, None


def _state_step(h: Any, x: Any) -> tuple[Any, Any]:
    a, b = x
    h = a * h + b
    return h, h


STEPS: tuple[Any, ...] = (_map_step, _state_step)
for _step in STEPS:
    _step.memo = {}  # they compute the same at every call

_borders: Any = engine.custom_vjp(_states, _pulled)
