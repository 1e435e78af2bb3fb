"""Cosine annealing, with and without restarts. Above `base.py`.

Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
"""

from rnn.modules.values import whole
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule, cosine, number


class CosineAnnealingLR(Schedule):
    """eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2: down in `T_max` steps, then up again.

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
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        return cosine(base, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine down to `eta_min` in T_0 steps, then again in T_0 T_mult, T_0 T_mult^2 ...

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
        self.eta_min = number(kind, "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, t: int, base: float, group: int) -> float:
        period = self.T_0
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t -= period
            period *= self.T_mult
        return cosine(base, self.eta_min, t / period)
