"""A loss or a gradient that is no number: which op made it first, at which time step, from what.

The step is run once more under `engine.detect_anomaly`, with the same randomness, where every
recurrence runs step by step. Below the loop, above `engine/random.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import engine
from engine.backends import HOST, on_device_of
from engine.pytree import flatten
from engine.random import set_random_state
from rnn.modules.module import Module

NO_CAUSE = (
    "computed again op by op, every number is finite; the overflow is in a sum over many, "
    "such as the norm, or the loss is not a function of the batch and the model alone"
)


def explained(
    what: str,
    model: Module,
    batch: Any,
    carried: Any,
    compute: Callable[[], engine.Tensor],
    before: Mapping[str, Any],
) -> engine.AnomalyError:
    """Return the error to raise where a step failed: `what` happened, and the first cause of it.

    ``compute()`` gives the loss of the step again, from the random state `before`.
    """
    for name, x in model.named_parameters():
        if not _finite(x.data):
            return engine.AnomalyError(
                f"{what}: parameter {name} was not finite before this step: an update before it "
                "made it so (lower the learning rate, or clip gradients), or it was from the start"
            )
    for name, part in (("the batch", batch), ("the carried state", carried)):
        for number, leaf in enumerate(flatten(part)[0]):
            if not _finite(leaf.data if isinstance(leaf, engine.Tensor) else leaf):
                return engine.AnomalyError(f"{what}: array {number} of {name} is not finite")
    return engine.AnomalyError(f"{what}: {_cause(compute, before)}")


def _cause(compute: Callable[[], engine.Tensor], before: Mapping[str, Any]) -> str:
    """Return the first op whose result or derivative is not finite."""
    set_random_state(before)
    try:
        with engine.detect_anomaly():
            compute().backward()
    except engine.AnomalyError as error:
        return f"first in {error}"
    return NO_CAUSE


def _finite(array: Any) -> bool:
    """Return whether all numbers are; true of what holds no floats."""
    if isinstance(array, float):
        array = HOST.asarray(array, None, None)
    if getattr(getattr(array, "dtype", None), "kind", "") not in ("f", "V"):
        return True
    with on_device_of(array):
        return bool((abs(array) < HOST.xp.inf).all())
