"""The loss of a batch as `fit` asks for it, and the mean of it that a validation measures.

Above `settings.py`, below the loop.
"""

import math
from typing import Any

import engine
from engine import Tensor
from rnn.training.settings import Settings


def loss_of(settings: Settings, batch: Any, carried: Any) -> tuple[Tensor, Any]:
    """The loss of a batch and the state after it, None where none is carried.

    Raises TypeError or ValueError for what is no scalar in a tensor.
    """
    found = settings.loss(settings.model, batch, *((carried,) if settings.carry else ()))
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


def figures_of(settings: Settings) -> dict[str, float]:
    """What a validation of the model as it is now gives, by name, in evaluation mode."""
    figures = {}
    settings.model.eval()
    try:
        with engine.no_grad():
            if settings.validation is not None:
                loss = figures["loss"] = _validated(settings)
                figures |= {name: float(f(loss)) for name, f in settings.metrics.items()}
            if settings.evaluate is not None:
                found = settings.evaluate(settings.model)
                figures |= {name: float(value) for name, value in found.items()}
    finally:
        settings.model.train()
    return figures


def _validated(settings: Settings) -> float:
    """The mean loss of a validation that begins where all others do and leaves no trace."""
    if settings.validation_start is None:
        return _mean_loss(settings)
    before = settings.validation.state()
    settings.validation.restore(settings.validation_start)
    try:
        return _mean_loss(settings)
    finally:
        settings.validation.restore(before)  # it may be the data that is trained on


def _mean_loss(settings: Settings) -> float:
    """The mean loss over the batches of the validation, its state carried through."""
    losses, carried = [], None
    for batch in settings.validation:
        loss, carried = loss_of(settings, batch, carried)
        losses.append(float(loss.item()))
    if not losses:
        raise ValueError("fit: validation gave no batch")
    return math.fsum(losses) / len(losses)
