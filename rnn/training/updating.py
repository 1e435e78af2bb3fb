"""Compute the loss of a batch, how much the batch counts, and the gradients of one update.

Where a loss or a gradient is no number, the step is run once more under `engine.detect_anomaly`,
with the same randomness and step by step, to name the first op at fault. Above `run.py`, below
`validating.py`, `over_ranks.py` and the loop.
"""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST, on_device_of
from engine.checks import is_real
from engine.pytree import flatten
from engine.random import random_state, set_random_state
from engine.suggestions import kind_of
from rnn.clipping.clip import clip_grad_norm, grad_norm
from rnn.data.batching import Batch
from rnn.data.streams import Chunk
from rnn.models.stacks import detached
from rnn.training.run import Run, Settings

NO_CAUSE = (
    "computed again op by op, every number is finite; the overflow is in a sum over many, "
    "such as the norm, or the loss is not a function of the batch and the model alone"
)


class Update(NamedTuple):
    """Hold the mean loss of an update, its count, the norm before clipping, the state after."""

    loss: float
    counted: float
    norm: float
    carried: Any


def computed(run: Run, batches: list[Any]) -> Update:
    """Give the parameters the gradient of the mean loss over all batches, clipped.

    Batches weigh as much as they count, so the gradient is that of one batch of all of them.
    Raises AnomalyError where the loss or the gradient is not finite.
    """
    own, before, carried = run.settings, random_state(), run.carried
    counts = [count_of(own, batch) for batch in batches]
    shares, losses = _shares(counts), []
    for number, batch in enumerate(batches):
        loss, carried = loss_of(own, batch, carried, run.step)
        losses.append(float(loss.item()))
        if not math.isfinite(losses[-1]):
            raise explained_step(run, batches[: number + 1], before, f"loss is {losses[-1]}")
        if not number:
            run.optimizer.zero_grad()
        (loss if len(batches) == 1 else loss * shares[number]).backward()
        carried = detached(carried)
    if all(x.grad is None for x in run.optimizer.parameters):
        raise ValueError(
            "fit: the loss depends on no parameter that is trained; is it computed from another "
            "model than the one it is given?"
        )
    norm = clipped(run)
    if not math.isfinite(norm):
        raise explained_step(run, batches, before, f"gradient norm is {norm}")
    mean = losses[0] if len(batches) == 1 else mean_of(losses, counts)
    return Update(mean, math.fsum(counts), norm, carried)


def _shares(counts: list[float]) -> list[float]:
    """Return the weight of each batch; equal ones where none counts."""
    total = math.fsum(counts)
    return [count / total if total else 1 / len(counts) for count in counts]


def clipped(run: Run) -> float:
    """Return the norm of the gradients before they are clipped."""
    bound = run.settings.clip_norm
    if bound is None:
        return grad_norm(run.optimizer.parameters)
    return float(clip_grad_norm(run.optimizer.parameters, bound, error_if_nonfinite=False))


def explained_step(
    run: Run, batches: list[Any], before: Mapping[str, Any], found: str
) -> engine.AnomalyError:
    """Return the error for a step with a loss or gradient that is not finite, and its first cause.
    The step is computed again from the random state `before`.
    """
    what = f"fit: the {found} at step {run.step + 1}, epoch {run.epoch}"
    for name, x in run.model.named_parameters():
        if not _finite(x.data):
            return engine.AnomalyError(
                f"{what}: parameter {name} was not finite before this step: an update before it "
                "made it so (lower the learning rate, or clip gradients), or it was from the start"
            )
    batch = batches[0] if len(batches) == 1 else batches
    for name, part in (("the batch", batch), ("the carried state", run.carried)):
        for number, leaf in enumerate(flatten(part)[0]):
            if not _finite(leaf.data if isinstance(leaf, Tensor) else leaf):
                return engine.AnomalyError(f"{what}: array {number} of {name} is not finite")
    set_random_state(before)
    try:
        with engine.detect_anomaly():
            _again(run, batches).backward()
    except engine.AnomalyError as error:
        return engine.AnomalyError(f"{what}: first in {error}")
    return engine.AnomalyError(f"{what}: {NO_CAUSE}")


def _again(run: Run, batches: list[Any]) -> Tensor:
    """Return the loss of the step in one graph."""
    own, carried = run.settings, run.carried
    shares = _shares([count_of(own, batch) for batch in batches])
    total, carried = loss_of(own, batches[0], carried, run.step)
    if len(batches) > 1:
        total = total * shares[0]
    for batch, share in zip(batches[1:], shares[1:], strict=True):
        loss, carried = loss_of(own, batch, detached(carried), run.step)
        total = total + loss * share
    return total


def loss_of(settings: Settings, batch: Any, carried: Any, step: int) -> tuple[Tensor, Any]:
    """Return the loss of a batch and the state after it, None where none is carried. Raises
    TypeError or ValueError for what is no scalar in a tensor.
    """
    told = {"step": step} if settings.told else {}
    found = settings.loss(settings.model, batch, *((carried,) if settings.carry else ()), **told)
    if settings.carry and (not isinstance(found, tuple) or len(found) != 2):
        raise TypeError(f"fit: with carry the loss must give (loss, state), got {kind_of(found)}")
    loss, after = found if settings.carry else (found, None)
    if not isinstance(loss, Tensor):
        raise TypeError(f"fit: the loss must give a tensor, got {kind_of(loss)}")
    if loss.size != 1:
        raise ValueError(
            f"fit: the loss must give one number, got shape {loss.shape}; take its mean"
        )
    return loss, after


def count_of(settings: Settings, batch: Any) -> float:
    """Return how many targets the loss of a batch is the mean of, as `count` says or as it looks.
    Raises TypeError or ValueError where `count` gives no number of at least 0.
    """
    if settings.count is None:
        return float(_targets(batch))
    found = settings.count(batch)
    number = found.item() if hasattr(found, "item") else found
    if not is_real(number):
        raise TypeError(f"fit: count must give a number, got {kind_of(found)}")
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
    """Return the size of an array or list of numbers, of the last in a tuple or dict, or None."""
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


def _finite(array: Any) -> bool:
    """Return whether all numbers are; true of what holds no floats."""
    if isinstance(array, float):
        array = HOST.asarray(array, None, None)
    if getattr(getattr(array, "dtype", None), "kind", "") not in ("f", "V"):
        return True
    with on_device_of(array):
        return bool((abs(array) < HOST.xp.inf).all())
