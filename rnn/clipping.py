"""Gradient clipping. Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent
neural networks, 2013.
"""

import math
from collections.abc import Iterable

from engine import Tensor, norm


def grad_norm(parameters: Iterable[Tensor]) -> float:
    """The Euclidean norm of all gradients taken as one vector; right from 1e-200 to 1e200."""
    norms = [norm(x.grad) for x in parameters if x.grad is not None]
    return math.hypot(*norms) if norms else 0.0


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients so that their common norm is at most `max_norm`; returns the norm before.

    A norm that is not finite is returned and nothing is scaled, so that no NaN spreads.
    Raises ValueError for a `max_norm` that is not positive.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: max_norm must be positive, got {max_norm!r}")
    own = [x for x in parameters if x.grad is not None]
    total = grad_norm(own)
    if math.isfinite(total) and total > max_norm:
        for x in own:
            assert x.grad is not None
            x.grad = x.grad.detach() * (max_norm / total)
    return total
