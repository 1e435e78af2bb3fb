"""Run schedules one after another, such as a warm-up before any other. Above `base.py`."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rnn.modules.values import nonnegative, whole
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule, between


class SequentialLR(Schedule):
    """Run each of `schedulers` in turn: the next one begins after a milestone's steps.

    All are made before, of the same optimiser, and begin at the same first rates; step only this
    one. `milestones` increase, and are one fewer than the schedules. A ReduceLROnPlateau is
    refused, as its rates go on from those that it finds: `WarmUp` takes one.
    Raises ValueError for schedules of another optimiser and such that have taken steps, and where
    milestones and schedules do not fit each other.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> parts = [rnn.schedules.LinearLR(optimizer), rnn.schedules.ExponentialLR(optimizer, 0.9)]
    >>> schedule = rnn.schedules.SequentialLR(optimizer, parts, milestones=[5])
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = [whole("SequentialLR", "milestones", t) for t in milestones]
        _check(self.schedulers, self.milestones, optimizer)
        for one in self.schedulers:
            one._is_part = True
        self.length = _length(self.schedulers, self.milestones)
        self.begin_at_first()
        self.schedulers[0].apply()  # the others have set rates and momenta since
        super().__init__(optimizer, self.schedulers[0].base_lrs)

    def begin_at_first(self) -> None:
        for one in self.schedulers:
            one.begin_at_first()
        self.base_lrs = list(self.schedulers[0].base_lrs)

    @property
    def active(self) -> Schedule:
        """Return the schedule that gives the rates now."""
        return self.schedulers[bisect_right(self.milestones, self.steps)]

    def rates(self) -> list[float]:
        return self.active.rates()

    def step(self, *metrics: Any) -> None:
        """Go one step on; the first rates of a schedule are those at its milestone."""
        self._check_others()
        if self.steps + 1 in self.milestones:
            self.schedulers[self.milestones.index(self.steps + 1) + 1].apply()
        else:
            self.active.step(*metrics)
        super().step()

    def state_dict(self) -> dict[str, Any]:
        parts = {str(n): one.state_dict() for n, one in enumerate(self.schedulers)}
        return super().state_dict() | {"schedulers": parts}

    def _load(self, state: Mapping[str, Any]) -> None:
        given, own = state["schedulers"], self.state_dict()["schedulers"]
        if not isinstance(given, Mapping) or set(given) != set(own):
            raise ValueError(
                f"SequentialLR: load_state_dict: expected the states of schedulers {list(own)}, "
                f"got {list(given) if isinstance(given, Mapping) else given!r}"
            )
        try:
            for n, one in enumerate(self.schedulers):
                one.load_state_dict(given[str(n)])
        except ValueError:
            for n, one in enumerate(self.schedulers):
                one.load_state_dict(own[str(n)])
            self.active.apply()
            raise
        super()._load(state)
        self.active.apply()  # momenta too, which the later ones have set


def _check(schedulers: list[Any], milestones: list[int], optimizer: Any) -> None:
    """Raise for what is no sequence of new schedules of one optimiser."""
    if not schedulers or len(milestones) != len(schedulers) - 1:
        raise ValueError(
            f"SequentialLR: expected one milestone fewer than schedulers, got {len(milestones)} "
            f"milestones for {len(schedulers)} schedulers"
        )
    if any(a >= b for a, b in pairwise(milestones)):
        raise ValueError(f"SequentialLR: milestones must increase, got {milestones}")
    for n, one in enumerate(schedulers):
        if not isinstance(one, Schedule):
            raise TypeError(f"SequentialLR: scheduler {n} is {type(one).__name__}, not a Schedule")
        if one.takes_metric:
            raise ValueError(
                f"SequentialLR: scheduler {n}, {type(one).__name__}, follows a metric; write "
                "rnn.schedules.WarmUp(plateau, steps), or step it by itself"
            )
        if one.optimizer is not optimizer:
            raise ValueError(
                f"SequentialLR: scheduler {n} is of another optimizer; make all of one"
            )
        if one.steps:
            raise ValueError(f"SequentialLR: scheduler {n} has taken {one.steps} steps already")


def _length(schedulers: list[Schedule], milestones: list[int]) -> int | None:
    """Return after how many steps the first schedule is over that does not last to its end."""
    begins, ends = [0, *milestones], [*milestones, None]
    for one, begin, end in zip(schedulers, begins, ends, strict=True):
        if one.length is not None and (end is None or begin + one.length < end - 1):
            return begin + one.length
    return None


class WarmUp(Schedule):
    """Rise from `start_factor` of the first rate straight to it in `warm_up` steps, then `after`.

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
        self.after, after._is_part = after, True
        self.warm_up = whole("WarmUp", "warm_up", warm_up)
        self.start_factor = nonnegative("WarmUp", "start_factor", start_factor)
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
        self._check_others()
        if self.steps >= self.warm_up:
            self.after.step(*metrics)
        super().step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"after": self.after.state_dict()}

    def _load(self, state: Mapping[str, Any]) -> None:
        self.after.load_state_dict(state["after"])
        super()._load(state)
