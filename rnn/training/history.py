"""What a training run leaves behind: a record for every step and every validation.

Plain data; above nothing, below the loop.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.suggestions import Advised
from rnn.keywords import HISTORIES


class Step(NamedTuple):
    """One step: its number from 1, the epoch from 0, and what it measured.

    `lr` is the rate it used, `grad_norm` the norm before clipping, `seconds` what it took.

    >>> import rnn
    >>> rnn.training.Step(1, 0, loss=2.5, lr=0.1, grad_norm=0.7, seconds=0.01).loss
    2.5
    """

    step: int
    epoch: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float


class Validation(NamedTuple):
    """The metrics of a validation by name, after `step` steps.

    `epoch` counts the epochs that were over by then, `seconds` is what the validation took.

    >>> import rnn
    >>> rnn.training.Validation(10, 1, {"loss": 0.5, "bits": 0.7}, seconds=0.2).metrics["bits"]
    0.7
    """

    step: int
    epoch: int
    metrics: dict[str, float]
    seconds: float

    @property
    def figures(self) -> dict[str, float]:
        """Return `metrics`, under its former name."""
        warnings.warn("Validation.figures is called metrics now", DeprecationWarning, stacklevel=2)
        return self.metrics


@dataclass(repr=False)
class History(Advised):
    """The steps and validations of a run, those before it was resumed among them.

    It prints as a few lines: how long it was, the last and the best metrics.

    Of what was before only the last 10,000 steps are known, as checkpoints hold no more. `best` is
    the best validation, `stopped` why the run ended: ``"epochs"``, ``"steps"``, ``"patience"``,
    ``"interrupted"``, ``"data"`` (an iterator came to its end) or what a callback said.

    >>> import rnn
    >>> rnn.History([rnn.training.Step(1, 0, 2.5, 0.1, 0.7, 0.01)], stopped="steps")
    History of 1 step in 1 epoch, stopped: steps
      last loss 2.5, gradient norm 0.7, lr 0.1
    """

    _advice = HISTORIES
    steps: list[Step] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: Validation | None = None
    stopped: str = ""

    def __repr__(self) -> str:
        if not self.steps:
            return "History of no steps"
        last = self.steps[-1]
        lines = [
            f"History of {_many(last.step, 'step')} in {_many(last.epoch + 1, 'epoch')}, stopped: "
            f"{self.stopped or 'not yet'}",
            f"  last loss {last.loss:.4g}, gradient norm {last.grad_norm:.3g}, lr {last.lr:.3g}",
        ]
        told = {"last": self.validations[-1] if self.validations else None, "best": self.best}
        lines += [
            f"  {name} validation, after {_many(one.step, 'step')}: {shown(one.metrics)}"
            for name, one in told.items()
            if one is not None
        ]
        return "\n".join(lines)

    @property
    def losses(self) -> list[float]:
        """Return the training loss of every step."""
        return [record.loss for record in self.steps]

    @property
    def interrupted(self) -> bool:
        """Return whether a signal ended the run before its time."""
        return self.stopped == "interrupted"


def shown(metrics: Mapping[str, float]) -> str:
    """Return metrics as a line of text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
