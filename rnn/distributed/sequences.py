"""Check that all ranks call a scan over stretches of time alike; move tensors between ranks.

A sequence is cut into stretches here. A copy of one rank's tensor and the sum on one rank have
derivatives, each the other. Above `communicator.py`, below `affine.py` and `layers.py`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST
from engine.state import current
from rnn.distributed.communicator import Communicator, marked


def shared(communicator: Communicator | None) -> Any:
    """Return what mpi4py calls a communicator, of one of ours or, for None, of all ranks. Raises
    ImportError where mpi4py is not installed, TypeError for anything else.
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

    >>> import rnn
    >>> own = x[rnn.distributed.stretch(len(x))]  # doctest: +SKIP
    """
    own = shared(communicator)
    rank, size = own.Get_rank(), own.Get_size()
    if size > T:
        fault = f"stretch: {size} ranks for {T} steps; use at most {T} ranks"
        raise marked(ValueError(fault))
    return slice(rank * T // size, (rank + 1) * T // size)


def agreed(
    name: str, communicator: Any, sequences: Mapping[str, Tensor], init: Tensor
) -> tuple[int, ...]:
    """Return this rank's shape (steps, ...) where the ranks agree on all but the steps. Raises
    ValueError on all ranks where one does not fit.
    """
    own = alike(name, communicator, _told(name, sequences, init))
    return (own.steps, *own.sizes)


class Told(NamedTuple):
    """Tell the other ranks of the arguments of this one."""

    steps: int
    sizes: Any  # besides the steps
    dtype: str
    wanted: tuple[str, ...]  # what requires a gradient
    weights: tuple[tuple[str, float], ...] = ()  # a sum over each


def alike(name: str, communicator: Any, own: Told | str) -> Told:
    """Return what this rank tells where the ranks agree on all but the steps; a str is a fault.
    Raises ValueError on all ranks where one has a fault or differs.
    """
    every: list[Any] = _met(f"{name} with its arguments", communicator, own)
    for rank, one in enumerate(every):
        if isinstance(one, str):
            raise marked(ValueError(f"{one} (rank {rank})"))
    for what, field in (("shapes after the steps", "sizes"), ("dtypes", "dtype")):
        there = [str(getattr(one, field)) for one in every]
        if len(set(there)) > 1:
            raise marked(ValueError(
                f"{name}: ranks differ in {what}: {_each(there)}; all need the same"
            ))  # fmt: skip
    there = [", ".join(one.wanted) or "none" for one in every]
    if len(set(there)) > 1:
        raise marked(ValueError(
            f"{name}: ranks differ in what requires a gradient: {_each(there)}; some would wait "
            "for others in the backward pass without end, so set requires_grad alike on all"
        ))  # fmt: skip
    pairs = [pair for one in every for pair in zip(one.weights, every[0].weights, strict=True)]
    odd = {name for (name, x), (_, y) in pairs if str(x) != str(y)}
    if odd:
        raise marked(ValueError(
            f"{name}: ranks differ in the weights {', '.join(sorted(odd))}; give all the same, by "
            "engine.seed before the layer is made, or by a broadcast"
        ))  # fmt: skip
    assert isinstance(own, Told)
    return own


def numbered(name: str, communicator: Any, of: int) -> int:
    """Return the number of a call that all ranks make together; the same on all.

    `of` is the number of the call that it is the derivative of, 0 for none. Raises RuntimeError on
    all ranks where they come to different calls.
    """
    call = f"{name} (derivative of call {of})" if of else name
    _calls[0] = max(_met(call, communicator, _calls[0])) + 1
    return _calls[0]


_calls = [0]


def _met(call: str, communicator: Any, what: Any) -> list[Any]:
    """Return what each rank gives in the same call.

    Ranks with different graphs come to different calls, and what one sends would be taken for
    something else. Raises RuntimeError on all ranks where they do.
    """
    told = communicator.allgather((call, what))
    if len({called for called, _ in told}) > 1:
        raise marked(RuntimeError(
            f"ranks call different things: {_each([called for called, _ in told])}; all must "
            "compute the same expression, so multiply by 0 what does not count on a rank and do "
            "not leave it out"
        ))  # fmt: skip
    return [given for _, given in told]


def _each(there: list[str]) -> str:
    return ", ".join(f"{what} on rank {rank}" for rank, what in enumerate(there))


def wanted_of(named: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Return the names of what a gradient will be asked for."""
    return tuple(key for key, x in named.items() if x.requires_grad and current().recording)


def _told(name: str, sequences: Mapping[str, Tensor], init: Tensor) -> Told | str:
    """Return what to tell of the arguments, or their fault."""
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
    return Told(shape[0], shape[1:], str(init.dtype), wanted_of(named))


def copy_of(x: Any, *, communicator: Any, root: int, of: int = 0) -> Tensor:
    """Return x of one rank, on all."""
    number = numbered("copy_of", communicator, of)
    found: Tensor = _copied(x, communicator=communicator, root=root, number=number)
    return found


def sum_on(x: Any, *, communicator: Any, root: int, of: int = 0) -> Tensor:
    """Return the sum of the ranks' x on one rank, zeros on the others."""
    number = numbered("sum_on", communicator, of)
    found: Tensor = _added(x, communicator=communicator, root=root, number=number)
    return found


def _copy(x: Any, *, communicator: Any, root: int, number: int) -> Tensor:
    found = x.numpy().copy()
    communicator.Bcast(found, root=root)
    return engine.asarray(found, device=x.device)


def _sum(x: Any, *, communicator: Any, root: int, number: int) -> Tensor:
    found = HOST.xp.zeros_like(x.numpy())
    communicator.Reduce(x.numpy().copy(), found, root=root)
    return engine.asarray(found, device=x.device)


def _copy_back(g: Any, out: Any, x: Any, *, communicator: Any, root: int, number: int) -> Any:
    return sum_on(tied(g, out, x), communicator=communicator, root=root, of=number)


def _sum_back(g: Any, out: Any, x: Any, *, communicator: Any, root: int, number: int) -> Any:
    return copy_of(tied(g, out, x), communicator=communicator, root=root, of=number)


def tied(g: Tensor, *others: Tensor) -> Tensor:
    """Return a gradient as one that depends on some tensors, with a derivative of zero.

    Where the loss of one rank is linear its gradient is a constant, and that rank would leave out
    the second derivative that others wait for.
    """
    found: Tensor = _tied(g, *others) if any(x.requires_grad for x in others) else g
    return found


def _same(g: Tensor, *others: Tensor) -> Tensor:
    return g * 1.0


def _to_first(g: Tensor, out: Tensor, first: Tensor, *others: Tensor) -> list[Tensor]:
    return [g, *(engine.zeros_like(x) for x in others)]


_tied: Any = engine.custom_vjp(_same, _to_first)

_copied: Any = engine.custom_vjp(_copy, _copy_back)
_added: Any = engine.custom_vjp(_sum, _sum_back)
