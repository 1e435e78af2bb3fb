"""Dropout, by the draws of the step or the scope that it is in. Above `chance`."""

from engine.arguments import public
from engine.checks import probability
from engine.ops.chance import chance
from engine.ops.choices import where
from engine.random import draws, windowed
from engine.state import current
from engine.tensor import Tensor

__all__ = ["dropout"]


@public
def dropout(x: Tensor, p: float = 0.5, *, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return x with each element zero with probability `p`, the others times 1 / (1 - p).

    `shape` is the shape of the mask where it is to be smaller and broadcast. In a recurrence the
    masks of the steps differ and follow from the key of the call and from t, so they are the same
    fused, explicit and checkpointed. Raises ValueError for p outside of [0, 1]. Source: Srivastava
    et al., Dropout, 2014.

    >>> engine.dropout(engine.ones(3), 0.0)
    tensor([1., 1., 1.], dtype=float32)
    """
    p = probability("dropout: p", p)
    if p == 0:
        return x
    scale = 1.0 if p == 1 else 1 / (1 - p)
    return where(kept(x, 1 - p, shape), x * scale, 0.0)


def kept(x: Tensor, probability: float, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return a mask of the shape of x, or of `shape`: true with a probability."""
    state = current()
    source = state.draws or draws(state.scope.path, x.device)
    number = next(source.count)
    shape = shape or x.shape
    return chance(source.key(), source.t, shape=shape, probability=probability, number=number,
                  **windowed(shape))  # fmt: skip
