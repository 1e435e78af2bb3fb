"""A warm-up before any schedule. Above `base.py`."""

from collections.abc import Mapping
from typing import Any

from rnn.modules.values import whole
from rnn.schedules.base import Schedule, between, number


class WarmUp(Schedule):
    """From `start_factor` times the first rate straight up to it in `warm_up` steps, then `after`.

    `after` is another schedule, which begins when the warm-up is over; make it first and step only
    this one, which hands metrics on to it. As PyTorch's SequentialLR of LinearLR and `after`. In
    `fit` the warm-up counts steps of the optimiser, what comes after it steps as it does by itself.
    Raises TypeError for no schedule, ValueError for settings out of range.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> after = rnn.schedules.ExponentialLR(optimizer, 0.9)
    >>> rnn.schedules.WarmUp(after, 10, start_factor=0.5).lr
    0.25
    """

    def __init__(self, after: Schedule, warm_up: int, *, start_factor: float = 1 / 3) -> None:
        if not isinstance(after, Schedule):
            told = type(after).__name__
            raise TypeError(f"WarmUp: expected the schedule that comes after, got {told}")
        if after.steps:
            raise ValueError(f"WarmUp: the schedule after it has taken {after.steps} steps already")
        self.after = after
        self.warm_up = whole("WarmUp", "warm_up", warm_up)
        self.start_factor = number("WarmUp", "start_factor", start_factor)
        self.takes_metric = after.takes_metric
        self.length = None if after.length is None else self.warm_up + after.length
        self.begin_at_first()
        super().__init__(after.optimizer, after.base_lrs)

    def begin_at_first(self) -> None:
        self.after.begin_at_first()
        self.base_lrs = list(self.after.base_lrs)

    @property
    def moment(self) -> str:
        """Return that of the schedule after the warm-up, once it is over."""
        return "step" if self.steps < self.warm_up else self.after.moment

    def follow(self, mode: str) -> None:
        self.after.follow(mode)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * between(self.start_factor, 1.0, t / self.warm_up)

    def rates(self) -> list[float]:
        return super().rates() if self.steps < self.warm_up else self.after.rates()

    def step(self, *metrics: Any) -> None:
        """Go one step on; metrics are for the schedule after the warm-up."""
        if self.steps >= self.warm_up:
            self.after.step(*metrics)
        super().step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"after": self.after.state_dict()}

    def _load(self, state: Mapping[str, Any]) -> None:
        self.after.load_state_dict(state["after"])
        super()._load(state)
