"""Early stopping: the best validation so far, its weights, and how long ago that was.

Below the loop, which asks it after every validation.
"""

import math
from typing import Any

from rnn.modules.module import Module
from rnn.training.history import Validation


class Stopping:
    """Remembers the best of a figure and says when `patience` validations brought no better one.

    `mode` is ``"min"`` or ``"max"``, or None where neither is known: then no validation is the
    best. Better means by more than `min_delta`; nan never is. The weights of the best are kept
    where `keep` is true.
    """

    def __init__(
        self,
        monitor: str | None,
        mode: str | None,
        patience: int | None,
        min_delta: float,
        keep: bool,
    ) -> None:
        self.monitor, self.mode, self.patience = monitor, mode, patience
        self.min_delta, self.keep = min_delta, keep
        self.best: Validation | None = None
        self.bad = 0  # validations since the best
        self.weights: dict[str, Any] = {}

    @property
    def over(self) -> bool:
        """Return whether patience has run out."""
        return self.patience is not None and self.bad >= self.patience

    def figure(self, record: Validation) -> float:
        """Return the figure that is watched. Raises ValueError where the validation has none."""
        name = self.monitor or next(iter(record.metrics), "")
        if name not in record.metrics:
            there = ", ".join(record.metrics) or "no figures at all"
            raise ValueError(f"fit: monitor {name!r} is not in the validation, which has {there}")
        return record.metrics[name]

    def take(self, record: Validation, model: Module) -> bool:
        """Take a validation of the model in; returns whether it is the best so far."""
        if self.mode is None:
            return False
        sign = 1 if self.mode == "max" else -1
        value = sign * self.figure(record)
        bar = -math.inf if self.best is None else sign * self.figure(self.best) + self.min_delta
        if not value > bar:
            self.bad += 1
            return False
        self.best, self.bad = record, 0
        if self.keep:
            self.weights = model.state_dict()
        return True

    def restore(self, model: Module) -> None:
        """Put the weights of the best validation back, if there are any."""
        if self.weights:
            model.load_state_dict(self.weights)
