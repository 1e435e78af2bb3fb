"""The loss of a batch as `fit` asks for it.

Above `settings.py`, below `validating.py` and the loop.
"""

from typing import Any

from engine import Tensor
from rnn.training.settings import Settings


def loss_of(settings: Settings, batch: Any, carried: Any, step: int) -> tuple[Tensor, Any]:
    """The loss of a batch and the state after it, None where none is carried.

    Raises TypeError or ValueError for what is no scalar in a tensor.
    """
    told = {"step": step} if settings.told else {}
    found = settings.loss(settings.model, batch, *((carried,) if settings.carry else ()), **told)
    if settings.carry and (not isinstance(found, tuple) or len(found) != 2):
        raise TypeError(
            f"fit: with carry the loss must give (loss, state), got {type(found).__name__}"
        )
    loss, after = found if settings.carry else (found, None)
    if not isinstance(loss, Tensor):
        raise TypeError(f"fit: the loss must give a tensor, got {type(loss).__name__}")
    if loss.size != 1:
        raise ValueError(
            f"fit: the loss must give one number, got shape {loss.shape}; take its mean"
        )
    return loss, after
