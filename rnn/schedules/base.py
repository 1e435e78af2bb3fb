"""Give all schedules the optimiser, the number of steps taken, and state to resume.

Above the optimisers, below the schedules.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from engine.suggestions import Advised, kind_of
from rnn.keywords import SCHEDULES
from rnn.optim import Optimizer

_numbers = count()


class Schedule(Advised):
    """Serve as base class: write `rate`, from the number of steps taken and a group's first rate.

    `lr` is the rate now, `lrs` that of every group, `base_lrs` the ones it began with. Those when
    the first schedule of an optimiser was made stay in its groups as ``"initial_lr"``, as in
    PyTorch; a second schedule begins with the rates that the first one left, or, where
    `from_first` is True, with these.

    `takes_metric` says whether its steps take the metric of a validation, `moment` when `fit` is to
    take the next one: after a "step" of the optimiser or after a "validation". `length` is the
    number of steps after which there is no rate, or none that is meant; None without such an end.
    A schedule around others returns what theirs are.

    >>> import rnn
    >>> class Harmonic(rnn.schedules.Schedule):
    ...     def rate(self, t, base, group): return base / (1 + t)
    >>> schedule = Harmonic(rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5))
    >>> schedule.step(); schedule.lr
    0.25
    """

    _advice = SCHEDULES
    takes_metric = False
    from_first = False
    _is_part = False  # of a schedule around it, which alone sets rates then
    length: int | None = None

    def __init__(self, optimizer: Optimizer, base_lrs: Sequence[float] | None = None) -> None:
        _check_optimizer(type(self).__name__, optimizer)
        self.optimizer = optimizer
        if base_lrs is None:
            self.base_lrs = self.lrs
            self._first_lrs = [float(group.setdefault("initial_lr", group["lr"]))
                               for group in optimizer.param_groups]  # fmt: skip
        else:
            self.base_lrs = self._first_lrs = list(base_lrs)
        if self.from_first:
            self.begin_at_first()
        self.steps = 0
        self._number = next(_numbers)
        self.apply()

    @property
    def moment(self) -> str:
        """Return after what the next step comes: "step" or "validation"."""
        return "validation" if self.takes_metric else "step"

    def follow(self, mode: str) -> None:
        """Take note that the metric is better when smaller ("min") or larger ("max").

        Schedules that follow no metric ignore it. Raises ValueError for another mode than set.
        """

    def begin_at_first(self) -> None:
        """Count from the rates before the first schedule of the optimiser, not from those now."""
        self.base_lrs = list(self._first_lrs)

    def rate(self, t: int, base: float, group: int) -> float:
        """Return the learning rate of a group after t steps."""
        raise NotImplementedError(f"{type(self).__name__} has no rate(t, base, group); write one")

    def rates(self) -> list[float]:
        """Return the learning rate of every group after the steps taken."""
        return [self.rate(self.steps, base, group) for group, base in enumerate(self.base_lrs)]

    def apply(self) -> None:
        """Give the optimiser the rates of this moment."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__}: the optimiser has {len(groups)} groups, it had "
                f"{len(self.base_lrs)} when the schedule was made; make a new one"
            )
        for group, lr in zip(groups, self.rates(), strict=True):
            group["lr"] = float(lr)
        self._applied = self.lrs
        if not self._is_part:
            self.optimizer.rated = (type(self).__name__, self._number, self._applied)

    @property
    def lr(self) -> float:
        return self.lrs[0]

    @property
    def lrs(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, *metrics: Any) -> None:
        """Go one step on, after the optimiser's. Schedules that follow no metric ignore it.

        Raises ValueError where another schedule of the optimiser has set other rates since.
        """
        self._check_others()
        self.steps += 1
        try:
            self.apply()
        except BaseException:
            self.steps -= 1
            raise

    def _check_others(self) -> None:
        """Raise ValueError where another schedule has set rates that this one would undo."""
        name, number, rates = self.optimizer.rated
        undone = number != self._number and self.lrs == rates != self._applied
        if undone and not self._is_part:
            raise ValueError(
                f"{type(self).__name__}.step: {name} has set the rates to {rates} since the step "
                "before, which this one would undo; step one schedule of an optimiser, such as "
                "SequentialLR or WarmUp of two, or LambdaLR with the product of the factors"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and lists of numbers by name: what the config of `rnn.save` can hold."""
        return {"steps": self.steps, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another schedule's `state_dict` was taken; sets the optimiser's rates too.

        Raises ValueError for other names and numbers of groups, and changes nothing.
        """
        own, kind = self.state_dict(), type(self).__name__
        if set(state) != set(own):
            raise ValueError(f"{kind}: load_state_dict: expected {list(own)}, got {list(state)}")
        for name, value in own.items():
            if not isinstance(value, list):
                continue
            if not isinstance(state[name], list | tuple):
                raise ValueError(
                    f"{kind}: load_state_dict: {name} must be a list, got {state[name]!r}"
                )
            if len(state[name]) != len(value):
                raise ValueError(
                    f"{kind}: load_state_dict: {name} has {len(state[name])} entries for "
                    f"{len(value)} groups of parameters"
                )
        self._load(state)
        self.apply()

    def _load(self, state: Mapping[str, Any]) -> None:
        self.steps, self.base_lrs = int(state["steps"]), [float(x) for x in state["base_lrs"]]


def _check_optimizer(kind: str, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{kind}: expected an optimiser, got {kind_of(optimizer)}")


def for_each(optimizer: Optimizer, kind: str, name: str, given: Any) -> list[Any]:
    """Return one setting for each group: a list of as many, or the same for all."""
    _check_optimizer(kind, optimizer)
    groups = len(optimizer.param_groups)
    if not isinstance(given, list | tuple):
        return [given] * groups
    if len(given) != groups:
        raise ValueError(f"{kind}: {name} has {len(given)} entries for {groups} groups")
    return list(given)


def between(start: float, end: float, share: float) -> float:
    """Interpolate from `start` at 0 to `end` at 1 in a straight line."""
    return start + (end - start) * share


def cosine(start: float, end: float, share: float) -> float:
    """Interpolate from `start` at 0 to `end` at 1 along half a cosine."""
    turned = math.cos(math.pi * share)
    return start * ((1 + turned) / 2) + end * ((1 - turned) / 2)  # exact at both ends
