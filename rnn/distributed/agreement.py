"""Have ranks decide together: on errors, on what only one does, on what has to be the same.

Above `communicator.py`.
"""

from collections.abc import Callable
from typing import Any

from rnn.distributed.communicator import Communicator, is_shared, marked


def raised(own: Communicator, error: BaseException | None) -> None:
    """Raise the error of the first rank that has one, on all ranks; every rank has to call this."""
    there = own.gather(None if error is None else _sent(own, error))
    first = next((rank for rank, one in enumerate(there) if one is not None), None)
    if first is not None:
        found = error if first == own.rank and error is not None else there[first]
        if own.size > 1 and not is_shared(found):
            found.add_note(f"on rank {first} of {own.size}")
        raise marked(found, first)


def together(own: Communicator | None, do: Callable[[], Any]) -> Any:
    """Return what a function gives that every rank calls; an error of one is raised on all."""
    if own is None:
        return do()
    result, error = None, None
    try:
        result = do()
    except Exception as fault:
        error = fault
    raised(own, error)
    return result


def by_first(own: Communicator | None, do: Callable[[], Any]) -> Any:
    """Return the result of a function that rank 0 alone calls; its error is that of all ranks."""
    if own is None:
        return do()
    result, error = None, None
    if not own.rank:
        try:
            result = do()
        except Exception as fault:
            error = fault
    told = own.broadcast(None if error is None else _sent(own, error))
    if told is not None:
        raise marked(error or told)
    return own.broadcast(result)


def check_same(own: Communicator, what: str, value: Any, remedy: str) -> None:
    """Raise ValueError, on all ranks, where a value is not the same on all; it names the ranks."""
    there = own.gather(value)
    odd = [str(rank) for rank, one in enumerate(there) if one != there[0]]
    if odd:
        ranks = f"rank{'s' * (len(odd) > 1)} {', '.join(odd)}"
        error = ValueError(f"fit: {what} of {ranks} differs from that of rank 0; {remedy}")
        raise marked(error)


def _sent(own: Communicator, error: BaseException) -> BaseException:
    """Return what the other ranks are told of an error: itself, where it can be sent."""
    if own.can_send(error):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
