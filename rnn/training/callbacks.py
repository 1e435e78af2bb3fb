"""What a user hangs into the loop. Below the loop, which calls it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rnn.training.history import Step, Validation

if TYPE_CHECKING:
    from rnn.training.loop import Run


# What Keras calls the moments, of which none would be called here.
MOMENTS = {
    "on_train_begin": "begin(run)", "on_train_end": "end(run)", "on_epoch_end": "epoch(run)",
    "on_epoch_begin": "epoch(run), after the one before", "on_batch_end": "step(run, record)",
    "on_train_batch_end": "step(run, record)", "on_train_batch_begin": "step(run, record)",
    "on_test_end": "validation(run, record)",
}  # fmt: skip


class Callback:
    """Base class. Write the moments that matter; each is handed the run.

    The run has `model`, `optimizer`, `schedule`, `history`, `step`, `epoch` and ``stop(reason)``,
    which ends it after this step. Of several processes each calls it; `rank` is 0 in the one that
    writes. A callback that remembers something says so in ``state()``,
    JSON-able, and takes it back in ``restore(state)``, so that a resumed run goes on with it.
    A class with a method of Keras's name, such as `on_epoch_end`, is refused by a TypeError.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in vars(cls):
            if name in MOMENTS:
                raise TypeError(f"{cls.__name__}: {name} is not called here; write {MOMENTS[name]}")

    def begin(self, run: "Run") -> None:
        """Act before the first step, after everything was resumed."""

    def step(self, run: "Run", record: Step) -> None:
        """Act after every step of the optimiser."""

    def validation(self, run: "Run", record: Validation) -> None:
        """Act after every validation."""

    def epoch(self, run: "Run") -> None:
        """Act after every epoch; `run.epoch` is the number of epochs done."""

    def end(self, run: "Run") -> None:
        """Act when the run is over, also where it was interrupted; not after an error."""

    def close(self) -> None:
        """Let go of files after all else, also after an error. It may never have begun."""

    def state(self) -> dict[str, Any]:
        """Return what to keep in checkpoints."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""


class EachStep(Callback):
    """A function of the run and the record, called after every step."""

    def __init__(self, function: Callable[["Run", Step], Any]) -> None:
        self._function = function

    def step(self, run: "Run", record: Step) -> None:
        self._function(run, record)


def as_callback(given: Any) -> Callback:
    """Return a callback, or a function of the run and the record. Raises TypeError for what is
    neither.
    """
    if isinstance(given, Callback):
        return given
    if isinstance(given, type) or not callable(given):
        told = given.__name__ if isinstance(given, type) else type(given).__name__
        raise TypeError(f"fit: a callback is a Callback or a function(run, record), got {told}")
    return EachStep(given)
