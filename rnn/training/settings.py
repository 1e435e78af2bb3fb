"""The arguments of `fit` in their final form. Below `arguments.py`, which makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn.distributed import Communicator
from rnn.modules.module import Module
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule
from rnn.training.averaging import EMA
from rnn.training.callbacks import Callback
from rnn.training.figures import Figure
from rnn.training.metrics import Metric


@dataclass(frozen=True)
class Settings:
    """What `fit` was asked for; see there."""

    model: Module
    data: Any
    loss: Callable[..., Any]
    told: bool  # whether the loss is told how many steps are done
    count: Callable[[Any], Any] | None
    accumulate: int  # batches for a step
    ema: EMA | None
    optimizer: Optimizer
    epochs: int | None
    steps: int | None
    validation: Any
    validation_steps: int | None  # batches of it that are read, None for all
    validation_start: Any  # its state before the run, where it has one: each validation is the same
    evaluate: Callable[[Module], Mapping[str, float]] | None
    metrics: Mapping[str, Figure | Metric]
    outputs: Callable[..., Any] | None
    validate_every: int | None
    monitor: str | None
    mode: str | None  # None where nothing compares figures
    patience: int | None
    min_delta: float
    restore_best: bool
    clip_norm: float | None
    schedule: Schedule | None
    schedule_every: str | None  # None: as the schedule says itself
    carry: bool
    callbacks: tuple[Callback, ...]
    progress: bool
    log: Path | None
    plot: Path | None
    checkpoint: Path | None
    every: int | None
    keep: int
    resume: bool
    config: Any
    distributed: Communicator | None  # the processes that train together, None for this one alone

    @property
    def first(self) -> bool:
        """Return whether this process is the one that writes and shows."""
        return self.distributed is None or not self.distributed.rank

    @property
    def in_parts(self) -> bool:
        """Return whether each process may read its own rows of a batch alone."""
        return self.distributed is not None and self.distributed.share is None

    @property
    def validates(self) -> bool:
        return self.validation is not None or self.evaluate is not None

    @property
    def stateful(self) -> bool:
        """Return whether the data says where it is."""
        return has_state(self.data)

    @property
    def per_epoch(self) -> int | None:
        """Return the number of batches in an epoch, where the data knows it."""
        return len(self.data) if hasattr(self.data, "__len__") else None

    @property
    def per_validation(self) -> int | None:
        """Return the number of batches in a validation, where it is known."""
        sizes = [self.validation_steps] if self.validation_steps is not None else []
        sizes += [len(self.validation)] if hasattr(self.validation, "__len__") else []
        return min(sizes, default=None)

    @property
    def steps_per_epoch(self) -> int | None:
        """Return the number of steps in an epoch, where it is known."""
        return None if self.per_epoch is None else -(-self.per_epoch // self.accumulate)

    @property
    def total(self) -> int | None:
        """Return the number of steps of the whole run, where it is known."""
        if self.steps is not None:
            return self.steps
        if self.epochs is None or self.steps_per_epoch is None:
            return None
        return self.epochs * self.steps_per_epoch


def has_state(data: Any) -> bool:
    """Return whether data says where it is, and goes back there."""
    return hasattr(data, "state") and hasattr(data, "restore")
