"""What a user hangs into the loop. Below the loop, which calls it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rnn.training.history import Step, Validation

if TYPE_CHECKING:
    from rnn.training.loop import Run


class Callback:
    """Base class. Write the moments that matter; each is handed the run.

    The run has `model`, `optimizer`, `schedule`, `history`, `step`, `epoch` and ``stop(reason)``,
    which ends it after this step. Of several processes each calls it; `rank` is 0 in the one that
    writes. A callback that remembers something says so in ``state()``,
    JSON-able, and takes it back in ``restore(state)``, so that a resumed run goes on with it.
    """

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
