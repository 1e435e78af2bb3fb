"""Losses, composed of the ops. Above `ops/`'s other files."""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.ops.indexing import index, open_ranges
from engine.ops.reductions import log_softmax, mean, sum_
from engine.tensor import Tensor

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"mean": mean, "sum": sum_, "none": lambda x: x}


def cross_entropy(logits: Tensor, targets: Any, /, *, reduction: str = "mean") -> Tensor:
    """-log softmax(logits)[target], in nats, over the last axis.

    `logits` (..., V), `targets` integers of shape (...); `reduction` is ``"mean"``, ``"sum"`` or
    ``"none"``. Raises ValueError for shapes that do not match, IndexError for a target outside V.

    >>> import engine
    >>> engine.cross_entropy(engine.zeros((3, 4)), [0, 1, 3]).item() == engine.log(4.0).item()
    True
    """
    targets = asarray(targets, device=logits.device)
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: targets {targets.shape} do not match logits {logits.shape}; "
            f"expected targets {logits.shape[:-1]}"
        )
    classes = logits.shape[-1]
    if targets.size and not (targets.data.min() >= 0 and targets.data.max() < classes):
        raise IndexError(
            f"cross_entropy: targets from {targets.data.min()} to {targets.data.max()} "
            f"for {classes} classes; expected 0 to {classes - 1}"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"cross_entropy: unknown reduction {reduction!r}; use {list(REDUCTIONS)}")
    ranges = open_ranges(targets.shape, logits.device)
    return REDUCTIONS[reduction](-index(log_softmax(logits), (*ranges, targets)))
