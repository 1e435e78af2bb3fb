"""What a training run leaves behind: a record for every step and every validation.

Plain data; above nothing, below the loop.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Step(NamedTuple):
    """One step: its number from 1, the epoch from 0, and what it measured.

    `lr` is the rate it used, `grad_norm` the norm before clipping, `seconds` what it took.
    """

    step: int
    epoch: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float


class Validation(NamedTuple):
    """The figures of a validation by name, after `step` steps.

    `epoch` counts the epochs that were over by then, `seconds` is what the validation took.
    """

    step: int
    epoch: int
    figures: dict[str, float]
    seconds: float


@dataclass
class History:
    """The steps and validations of a run, those before it was resumed among them.

    Of what was before only the last 10,000 steps are known, as checkpoints hold no more. `best` is
    the best validation, `stopped` why the run ended: ``"epochs"``, ``"steps"``, ``"patience"``,
    ``"interrupted"``, ``"data"`` (an iterator came to its end) or what a callback said.
    """

    steps: list[Step] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: Validation | None = None
    stopped: str = ""

    @property
    def losses(self) -> list[float]:
        """The training loss of every step."""
        return [record.loss for record in self.steps]

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run before its time."""
        return self.stopped == "interrupted"
