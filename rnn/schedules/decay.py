"""Schedule by a formula of the first rate and the steps taken. Above `base.py`.

Source of the cosines: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts,
2017.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from rnn.modules.values import nonnegative, whole
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule, between, cosine, for_each


class LambdaLR(Schedule):
    """Set the rate to base lr_lambda(t); one function, or a list of one for each group.

    Raises TypeError for no function.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> rnn.schedules.LambdaLR(optimizer, lambda t: 1 / (1 + t)).lr
    0.5
    """

    from_first = True

    def __init__(self, optimizer: Optimizer, lr_lambda: Any) -> None:
        self.lr_lambdas = for_each(optimizer, "LambdaLR", "lr_lambda", lr_lambda)
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError(f"LambdaLR: lr_lambda must be a function of t, got {f!r}")
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * float(self.lr_lambdas[group](t))


class StepLR(Schedule):
    """Set the rate to base gamma^floor(t / step_size). Raises ValueError for a `step_size` below 1.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.StepLR(optimizer, step_size=2)
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(4)]
    [1.0, 1.0, 0.1, 0.1]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = whole("StepLR", "step_size", step_size)
        self.gamma = nonnegative("StepLR", "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * math.pow(self.gamma, t // self.step_size)


class MultiStepLR(Schedule):
    """Set the rate to base gamma^n with n `milestones` not above t; equal ones all count.

    Raises ValueError for settings out of range.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.MultiStepLR(optimizer, milestones=[1, 3])
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(4)]
    [1.0, 0.1, 0.1, 0.01]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(whole("MultiStepLR", "milestones", t, 0) for t in milestones)
        self.gamma = nonnegative("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * math.pow(self.gamma, bisect_right(self.milestones, t))


class ExponentialLR(Schedule):
    """Set the rate to base gamma^t. Raises ValueError for no number.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.ExponentialLR(optimizer, gamma=0.9)
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(3)]
    [1.0, 0.9, 0.81]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = nonnegative("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * math.pow(self.gamma, t)


class ConstantLR(Schedule):
    """Set the rate to base times `factor` for the first `total_iters` steps, then base.

    Raises ValueError for no numbers.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.ConstantLR(optimizer, 0.5, total_iters=2)
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(3)]
    [0.5, 0.5, 1.0]
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        self.factor = nonnegative("ConstantLR", "factor", factor)
        self.total_iters = whole("ConstantLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * (self.factor if t < self.total_iters else 1.0)


class PolynomialLR(Schedule):
    """Set the rate to base (1 - t / total_iters)^power, and 0 from `total_iters` steps on.

    Raises ValueError for no numbers.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.PolynomialLR(optimizer, total_iters=4, power=2)
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(5)]
    [1.0, 0.562, 0.25, 0.062, 0.0]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        self.total_iters = whole("PolynomialLR", "total_iters", total_iters)
        self.power = nonnegative("PolynomialLR", "power", power)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * math.pow(1 - min(t / self.total_iters, 1), self.power)


class LinearLR(Schedule):
    """Scale base by a factor from `start_factor` straight to `end_factor` in `total_iters` steps.

    Raises ValueError for no numbers.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.LinearLR(optimizer, 0.25, total_iters=3)
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(4)]
    [0.25, 0.5, 0.75, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = nonnegative("LinearLR", "start_factor", start_factor)
        self.end_factor = nonnegative("LinearLR", "end_factor", end_factor)
        self.total_iters = whole("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return base * between(self.start_factor, self.end_factor, min(t / self.total_iters, 1))


class CosineAnnealingLR(Schedule):
    """Follow eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2: down `T_max` steps, then up.

    `fit` refuses a run of more than `T_max` steps, as the rate would rise at its end. Raises
    ValueError for settings out of range.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.CosineAnnealingLR(optimizer, 2)
    >>> schedule.step(); schedule.lr
    0.25
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = self.length = whole("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = nonnegative("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return cosine(base, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """Follow half a cosine down to `eta_min` in T_0 steps, again in T_0 T_mult, T_0 T_mult^2 ...

    Raises ValueError for settings out of range.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> [round(schedule.rate(t, 1.0, 0), 3) for t in range(6)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146]
    """

    from_first = True

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0
    ) -> None:
        kind = "CosineAnnealingWarmRestarts"
        self.T_0, self.T_mult = whole(kind, "T_0", T_0), whole(kind, "T_mult", T_mult)
        self.eta_min = nonnegative(kind, "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        period = self.T_0
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t -= period
            period *= self.T_mult
        return cosine(base, self.eta_min, t / period)
