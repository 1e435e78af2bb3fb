"""Hold the state of a run: the settings of `fit`, its progress, and the callbacks that are told.

Above `reading.py`, `stopping.py` and `history.py`; everything that takes part in a run reads it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.state import Rows
from rnn.distributed import Communicator
from rnn.metrics import Metric
from rnn.modules.module import Module
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule
from rnn.training.averaging import EMA
from rnn.training.history import History, Log, Step, Validation
from rnn.training.reading import Reader, has_state, length_of
from rnn.training.stopping import Stopping

MetricOfLoss = Callable[[float], float]


@dataclass(frozen=True)
class Settings:
    """Hold the arguments of `fit`; see there."""

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
    metrics: Mapping[str, MetricOfLoss | Metric]
    outputs: Callable[..., Any] | None
    validate_every: int | None
    monitor: str | None
    mode: str | None  # None where nothing compares metrics
    patience: int | None
    min_delta: float
    restore_best: bool
    clip_norm: float | None
    schedule: Schedule | None
    schedule_every: str | None  # None: as the schedule says itself
    carry: bool
    callbacks: tuple["Callback", ...]
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
        return length_of(self.data)

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

    @property
    def watched(self) -> list[str | None]:
        """Return the name of the metric that says what is best, and its mode."""
        name = "loss" if self.monitor is None and self.validation is not None else self.monitor
        return [name, self.mode]

    def made(self) -> dict[str, Any]:
        """Return the settings that a resumed run takes from its checkpoint, as plain data."""
        groups = [
            {name: value for name, value in group.items()
             if name not in ("params", "initial_lr") and _plain(value)}
            for group in self.optimizer.param_groups
        ]  # fmt: skip
        return {"optimizer": groups, "watched": self.watched}


class Run:
    """Hold one run of `fit`. Callbacks read its attributes; `step`, `epoch` count what is done."""

    def __init__(self, settings: Settings) -> None:
        own = self.settings = settings
        self.model, self.optimizer, self.schedule = own.model, own.optimizer, own.schedule
        self.history = History()
        self.step = self.epoch = 0
        self.position = 0  # batches of this epoch that are done
        self.carried: Any = None
        self.epoch_loss = self.epoch_count = 0.0  # sums over the batches of this epoch
        self.due: list[str] = []  # what follows the last step and is not done yet
        self.made = own.made()
        keeps = own.checkpoint is not None
        self.reader = Reader(own.data, own.accumulate, keeps=keeps, in_parts=own.in_parts)
        self.stopping = Stopping(
            own.monitor, own.mode, own.patience, own.min_delta, own.restore_best
        )
        self.rank = 0 if own.distributed is None else own.distributed.rank
        self.compared = False  # whether all ranks have been found to have the same first batch
        self.rows: Rows | None = None  # those of the last batch that are this rank's
        # The axes of the rows in `carried`, alone in a tuple, where it has those of all ranks.
        self.uncut: tuple[dict[str, Any] | None] | None = None
        self.log = None if own.log is None or self.rank else Log(own.log)

    def stop(self, reason: str) -> None:
        """End the run after this step; `reason` becomes `history.stopped`, if it is the first.
        Raises ValueError for an empty reason.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"Run.stop: expected a reason in words, got {reason!r}")
        self.history.stopped = self.history.stopped or reason


# What Keras calls the moments, of which none would be called here.
MOMENTS = {
    "on_train_begin": "begin(run)", "on_train_end": "end(run)", "on_epoch_end": "epoch(run)",
    "on_epoch_begin": "epoch(run), after the one before", "on_batch_end": "step(run, record)",
    "on_train_batch_end": "step(run, record)", "on_train_batch_begin": "step(run, record)",
    "on_test_end": "validation(run, record)",
}  # fmt: skip


class Callback:
    """Serve as base class: write the moments that matter; each is handed the run.

    The run has `model`, `optimizer`, `schedule`, `history`, `step`, `epoch` and ``stop(reason)``,
    which ends it after this step. Of several processes each calls it; `rank` is 0 in the one that
    writes. A callback that remembers something says so in ``state()``,
    JSON-able, and takes it back in ``restore(state)``, so that a resumed run goes on with it.
    A class with a method of Keras's name, such as `on_epoch_end`, is refused by a TypeError.

    >>> import engine, rnn
    >>> class Halve(rnn.Callback):
    ...     def epoch(self, run): run.optimizer.lr /= 2
    >>> net, x = rnn.Linear(2, 1), engine.ones((4, 2))
    >>> loss = lambda net, x: engine.mean(net(x) ** 2)
    >>> found = rnn.fit(net, [x], loss, epochs=3, callbacks=[Halve()])
    >>> [round(one.lr / found.steps[0].lr, 3) for one in found.steps]
    [1.0, 0.5, 0.25]
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in vars(cls):
            if name in MOMENTS:
                raise TypeError(f"{cls.__name__}: {name} is not called here; write {MOMENTS[name]}")

    def begin(self, run: Run) -> None:
        """Act before the first step, after everything was resumed."""

    def step(self, run: Run, record: Step) -> None:
        """Act after every step of the optimiser."""

    def validation(self, run: Run, record: Validation) -> None:
        """Act after every validation."""

    def epoch(self, run: Run) -> None:
        """Act after every epoch; `run.epoch` is the number of epochs done."""

    def end(self, run: Run) -> None:
        """Act when the run is over, also where it was interrupted; not after an error."""

    def close(self) -> None:
        """Let go of files after all else, also after an error. It may never have begun."""

    def state(self) -> dict[str, Any]:
        """Return what to keep in checkpoints."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""


def _plain(value: Any) -> bool:
    """Return whether a value is a number, a word or a list of such."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
