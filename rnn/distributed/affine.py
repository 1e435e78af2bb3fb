"""Run h_t = a_t h_(t-1) + b_t over time with each rank holding its stretch of it.

A rank runs its stretch from zero, the ranks scan the pairs of decay and end state (`exchange.py`),
and it runs the stretch again from what comes in. That is two passes for one, but needs no product
of decays over time and gives after the first step what one process gives. The derivative of the
states before every step is the same scan the other way over time and ranks, so any order follows.
Source: Martin and Cundy, Parallelizing linear recurrent neural nets over sequence length, 2018.
Above `exchange.py`.
"""

from typing import Any

import engine
from engine import Tensor
from rnn.distributed.communicator import Communicator
from rnn.distributed.exchange import incoming, is_safe, place_of
from rnn.distributed.links import copy_of, tied
from rnn.distributed.sequences import agreed, numbered, shared


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
    """
    own = shared(communicator)
    a, b = engine.asarray(a), engine.asarray(b)
    init = engine.zeros((), dtype=b.dtype, device=b.device) if init is None else init
    init = engine.asarray(init)
    shape = agreed("affine_scan", own, {"a": a, "b": b}, init)
    a, b = engine.broadcast_to(a, shape), engine.broadcast_to(b, shape)
    init = engine.broadcast_to(init, shape[1:])
    before = states_before(a, b, init, communicator=own, reverse=reverse)
    states = a * before + b
    last = states[0] if reverse else states[-1]
    root = 0 if reverse else own.Get_size() - 1
    return copy_of(last, communicator=own, root=root), states


def states_before(
    a: Tensor, b: Tensor, first: Tensor, *, communicator: Any, reverse: bool, of: int = 0
) -> Tensor:
    """Return the states (steps, ...) before every step of this rank's stretch."""
    number = numbered(f"affine_scan, reverse={reverse}", communicator, of)
    found: Tensor = _before(a, b, first, communicator=communicator, reverse=reverse, number=number)
    return found


def _states(a: Any, b: Any, first: Any, *, communicator: Any, reverse: bool, number: int) -> Tensor:
    """Return the states (steps, ...) before every step, on tensors without a graph."""
    zero, one = engine.zeros_like(first), engine.ones_like(first)
    (s, P), _ = engine.scan(_map_step, (zero, one), (a, b), reverse=reverse)
    P_, s_ = P.numpy(), s.numpy()
    if not is_safe(P_, s_, communicator):
        return _in_turn(a, b, first, communicator=communicator, reverse=reverse)
    found = incoming(P_[None, None], s_[None], first.numpy()[None], communicator, reverse=reverse)
    start = engine.asarray(found[0], device=first.device)
    states: Tensor = engine.scan(_state_step, start, (a, b), reverse=reverse)[1]
    return states


def _in_turn(a: Any, b: Any, first: Any, *, communicator: Any, reverse: bool) -> Tensor:
    """Return the same from rank to rank, as one process goes on: for numbers that overflow."""
    place, rank = place_of(communicator, reverse=reverse), communicator.Get_rank()
    sign = -1 if reverse else 1
    if place:
        found = first.numpy().copy()
        communicator.Recv(found, source=rank - sign)
        first = engine.asarray(found, device=first.device)
    final, states = engine.scan(_state_step, first, (a, b), reverse=reverse)
    if place < communicator.Get_size() - 1:
        communicator.Send(final.numpy().copy(), dest=rank + sign)
    found_states: Tensor = states
    return found_states


def _pulled(
    g: Any, out: Any, a: Any, b: Any, first: Any, *, communicator: Any, reverse: bool, number: int
) -> list[Any]:
    """Return the gradients: what comes back to each new state is a scan the other way."""
    g = tied(g, out, a, b, first)
    back = states_before(a, g, engine.zeros_like(first), communicator=communicator,
                         reverse=not reverse, of=number)  # fmt: skip
    t = -1 if reverse else 0
    own = place_of(communicator, reverse=reverse) == 0
    d_first = a[t] * back[t] + g[t] if own else engine.zeros_like(first)
    return [back * out, back, d_first]


def _map_step(state: Any, x: Any) -> tuple[Any, Any]:
    s, P = state
    a, b = x
    return (a * s + b, a * P), None


def _state_step(h: Any, x: Any) -> tuple[Any, Any]:
    a, b = x
    return a * h + b, h


STEPS: tuple[Any, ...] = (_map_step, _state_step)
for _step in STEPS:
    _step.memo = {}  # they compute the same at every call

_before: Any = engine.custom_vjp(_states, _pulled)
