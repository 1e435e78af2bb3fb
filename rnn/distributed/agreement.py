"""Have ranks decide together: on errors, on what only one does, on what has to be the same.

Above `communicator.py` and `faults.py`.
"""

import pickle
from collections.abc import Callable
from typing import Any

from rnn.distributed.communicator import Communicator
from rnn.distributed.faults import marked


def raised(own: Communicator, error: BaseException | None) -> None:
    """Raise the error of the first rank that has one, on all ranks; every rank has to call this."""
    there = own.gather(None if error is None else _packed(error))
    first = next((rank for rank, one in enumerate(there) if one is not None), None)
    if first is not None:
        found = error if first == own.rank and error is not None else pickle.loads(there[first])
        raise marked(found, first, own.size)


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
    """Return what a function gives that rank 0 alone calls; its error is that of all ranks.

    Without a communicator it is called.
    """
    if own is None:
        return do()
    result, error = None, None
    if not own.rank:
        try:
            result = do()
        except Exception as fault:
            error = fault
    packed = own.broadcast(None if error is None else _packed(error))
    if packed is not None:
        raise marked(error or pickle.loads(packed), 0, own.size)
    return own.broadcast(result)


def check_same(own: Communicator, what: str, value: Any, remedy: str) -> None:
    """Raise ValueError, on all ranks, where a value is not the same on all; it names the ranks."""
    there = own.gather(value)
    odd = [str(rank) for rank, one in enumerate(there) if one != there[0]]
    if odd:
        ranks = f"rank{'s' * (len(odd) > 1)} {', '.join(odd)}"
        error = ValueError(f"fit: {what} of {ranks} differs from that of rank 0; {remedy}")
        raise marked(error, 0, own.size)


def _packed(error: BaseException) -> bytes:
    """Return an error as bytes; one that does not survive this as a RuntimeError that tells it."""
    try:
        packed = pickle.dumps(error)
        if type(pickle.loads(packed)) is type(error):
            return packed
    except Exception:  # whatever an exception of the user's does there
        pass
    return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
