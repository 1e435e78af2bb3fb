"""Check that all ranks call a scan over stretches of time alike, and cut a sequence into stretches.

Above `communicator.py`, below `affine.py` and `layers.py`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from engine import Tensor
from engine.backends import HOST
from rnn.distributed.communicator import Communicator


def shared(communicator: Communicator | None) -> Any:
    """Return what mpi4py calls a communicator, of one of ours or, for None, of all ranks.

    Raises ImportError where mpi4py is not installed, TypeError for anything else.
    """
    if communicator is not None and not isinstance(communicator, Communicator):
        raise TypeError(
            "expected an rnn.distributed.Communicator or None for all ranks, got "
            f"{type(communicator).__name__}; Communicator(comm) is made of one of mpi4py's"
        )
    return (communicator or _every_rank())._comm


@cache
def _every_rank() -> Communicator:
    return Communicator()


def stretch(T: int, communicator: Communicator | None = None) -> slice:
    """Return this rank's steps of T: contiguous, in the order of ranks, of lengths alike to 1.

    Raises ValueError where there are fewer steps than ranks.
    """
    own = shared(communicator)
    rank, size = own.Get_rank(), own.Get_size()
    if size > T:
        raise ValueError(f"stretch: {size} ranks for {T} steps; use at most {T} ranks")
    return slice(rank * T // size, (rank + 1) * T // size)


def agreed(
    name: str, communicator: Any, sequences: Mapping[str, Tensor], init: Tensor
) -> tuple[int, ...]:
    """Return this rank's shape (steps, ...) where the ranks agree on all but the steps.

    Raises ValueError on all ranks where one does not fit.
    """
    steps, sizes = alike(name, communicator, _told(name, sequences, init))
    return (steps, *sizes)


def alike(name: str, communicator: Any, own: Any) -> tuple[Any, Any]:
    """Return this rank's steps and other sizes where the ranks agree on all but the steps.

    `own` is (steps, sizes, dtype, names of what requires a gradient), or a fault of this rank's.
    Raises ValueError on all ranks where one has a fault or differs.
    """
    told = communicator.allgather(own)
    for rank, one in enumerate(told):
        if isinstance(one, str):
            raise ValueError(f"{one} (rank {rank})")
    for what, at in (("shapes after the steps", 1), ("dtypes", 2)):
        if len({str(one[at]) for one in told}) > 1:
            each = ", ".join(f"{one[at]} on rank {rank}" for rank, one in enumerate(told))
            raise ValueError(f"{name}: ranks differ in {what}: {each}; all need the same")
    if len({one[3] for one in told}) > 1:
        each = ", ".join(f"{', '.join(one[3]) or 'none'} on rank {rank}"
                         for rank, one in enumerate(told))  # fmt: skip
        raise ValueError(
            f"{name}: ranks differ in what requires a gradient: {each}; some would wait for others "
            "in the backward pass without end, so set requires_grad alike on all"
        )
    return own[0], own[1]


def numbered(name: str, communicator: Any, of: int) -> int:
    """Return the number of a call that all ranks make together; the same on all.

    `of` is the number of the call that it is the derivative of, 0 for none. Ranks whose graphs
    differ come to different calls, and what one sends would be taken for something else.
    Raises RuntimeError on all ranks where they do.
    """
    told = communicator.allgather((name, of, _calls[0]))
    _calls[0] = max(count for *_, count in told) + 1
    if len({one[:2] for one in told}) > 1:
        each = ", ".join(f"{called} (of call {of}) on rank {rank}"
                         for rank, (called, of, _) in enumerate(told))  # fmt: skip
        raise RuntimeError(
            f"ranks call different things: {each}; all must compute the same expression, so "
            "multiply by 0 what does not count on a rank and do not leave it out"
        )
    return _calls[0]


_calls = [0]


def _told(name: str, sequences: Mapping[str, Tensor], init: Tensor) -> Any:
    """Return the steps, the other sizes, the dtype and what requires a gradient; or a fault."""

    given = ", ".join(f"{key} {x.dtype}{list(x.shape)}" for key, x in sequences.items())
    given = f"{given}, init {init.dtype}{list(init.shape)}"
    named = {**sequences, "init": init}
    try:
        shape = HOST.xp.broadcast_shapes(*(x.shape for x in sequences.values()))
        fits = HOST.xp.broadcast_shapes(shape[1:], init.shape) == shape[1:]
    except ValueError:
        shape, fits = (), False
    if not shape or not fits:
        return (f"{name}: expected sequences that broadcast to (steps, ...) and init to (...), "
                f"got {given}")  # fmt: skip
    if shape[0] == 0:
        return f"{name}: expected at least one step on every rank, got {given}; use fewer ranks"
    kinds = {str(x.dtype) for x in named.values()}
    if len(kinds) > 1 or not kinds <= {"float32", "float64"}:
        return f"{name}: expected one dtype, float32 or float64, got {given}"
    return (
        shape[0],
        shape[1:],
        init.dtype,
        tuple(key for key, x in named.items() if x.requires_grad),
    )
