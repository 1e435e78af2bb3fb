"""The loss of a batch as `fit` asks for it, and how much the batch counts.

Above `settings.py`, below `validating.py` and the loop.
"""

import math
from numbers import Real
from typing import Any

import engine
from engine import Tensor
from engine.checks import is_real
from rnn.data.batching import Batch
from rnn.data.streams import Chunk
from rnn.training.settings import Settings


def loss_of(settings: Settings, batch: Any, carried: Any, step: int) -> tuple[Tensor, Any]:
    """Return the loss of a batch and the state after it, None where none is carried.

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


def check_loss(where: str, loss: Any) -> None:
    """Raise TypeError for a loss that is no function of the model and a batch."""
    name = getattr(loss, "__name__", "cross_entropy")
    if not callable(loss) or getattr(engine, name, None) is loss:
        told = f"a function of targets, engine.{name}" if callable(loss) else type(loss).__name__
        name = name if callable(loss) else "cross_entropy"
        raise TypeError(
            f"{where}: loss must be a function, got {told}; it is called with the model and a "
            f"batch: lambda model, batch: engine.{name}(model(batch.x), batch.y)"
        )


def refuse_pair(where: str, data: Any) -> None:
    """Raise TypeError for all examples as a pair of arrays, which would be read as two batches."""
    pair = isinstance(data, tuple) and len(data) == 2
    if pair and all(getattr(one, "shape", ()) for one in data) and len(data[0]) == len(data[1]):
        raise TypeError(
            f"{where} are batches, got a pair of arrays; write rnn.data.ArrayBatches(x, y, "
            "batch_size=32), with steps=False for a model that is batch first"
        )


def count_of(settings: Settings, batch: Any) -> float:
    """Return how many targets the loss of a batch is the mean of, as `count` says or as it looks.

    Raises TypeError or ValueError where `count` gives no number of at least 0.
    """
    if settings.count is None:
        return float(_targets(batch))
    found = settings.count(batch)
    number = found.item() if hasattr(found, "item") else found
    if not is_real(number):
        raise TypeError(f"fit: count must give a number, got {type(found).__name__}")
    if not 0 <= float(number) < math.inf:
        raise ValueError(f"fit: count must give a finite number of at least 0, got {number!r}")
    return float(number)


def mean_of(losses: list[float], counts: list[float]) -> float:
    """Return the mean over all that was counted; NaN where nothing was."""
    parts = [loss * count for loss, count in zip(losses, counts, strict=True) if count]
    return math.fsum(parts) / math.fsum(counts) if parts else math.nan


def _targets(batch: Any) -> int:
    """Return the number of targets in a batch, padding left out where the batch knows it."""
    if isinstance(batch, Batch):
        if batch.y is None:
            return len(batch.x) if batch.lengths is None else int(batch.lengths.sum())
        return int(batch.y.size) if batch.y_lengths is None else int(batch.y_lengths.sum())
    if isinstance(batch, Chunk):
        return int(batch.y.size)
    found = _size(tuple(batch) if isinstance(batch, list) else batch)
    return 1 if found is None else found


def _size(part: Any) -> int | None:
    """Return the number of elements of an array or a list of numbers, and of the last one in a
    tuple or a dict; None where there is none.
    """
    if hasattr(part, "shape"):
        return math.prod(part.shape) if tuple(part.shape) else None
    if isinstance(part, dict):
        part = tuple(part.values())
    if isinstance(part, tuple):
        return next((size for one in reversed(part) if (size := _size(one)) is not None), None)
    if isinstance(part, list) and part:
        sizes = [1 if isinstance(one, Real) else _size(one) for one in part]
        return None if None in sizes else sum(size for size in sizes if size is not None)
    return None
