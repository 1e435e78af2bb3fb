"""Move tensors between ranks with a derivative: a copy of one rank's, and the sum on one rank.

Each is the derivative of the other. Below `affine.py` and `layers.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from rnn.distributed.sequences import numbered


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
