"""Scan the maps h -> P h + s of the ranks' stretches as an op with a derivative.

Above `exchange.py`, below `layers.py`.
"""

from typing import Any

import engine
from engine import Tensor
from rnn.distributed.exchange import chained, place_of
from rnn.distributed.links import tied
from rnn.distributed.sequences import numbered


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
