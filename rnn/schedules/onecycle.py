"""Schedule by the one-cycle policy: up and down once, the momentum the other way. Above `base.py`.

Source: Smith and Topin, Super-convergence: very fast training of neural networks using large
learning rates, 2018.
"""

from typing import Any

from rnn.modules.values import nonnegative, probability, whole
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule, between, cosine, for_each

ANNEALED = {"cos": cosine, "linear": between}


class OneCycleLR(Schedule):
    """Rise from max_lr / div_factor to `max_lr`, then fall to the former / final_div_factor.

    The way up takes `pct_start` of `total_steps`, or of `epochs` times `steps_per_epoch`; with
    `three_phase` the way back to the first rate as much again. `anneal_strategy` is "cos" or
    "linear". With `cycle_momentum` the momentum, or Adam's first beta, goes from `max_momentum` to
    `base_momentum` and back. `max_lr` and both momenta can be lists of one for each group.
    Raises ValueError for settings out of range, and at a step after the last.

    >>> import rnn
    >>> optimizer = rnn.optim.Adam(rnn.Linear(3, 2).parameters())
    >>> rnn.schedules.OneCycleLR(optimizer, max_lr=0.5, total_steps=10).lr
    0.02
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        *,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        kind = "OneCycleLR"
        self.total_steps = self.length = _total(total_steps, epochs, steps_per_epoch)
        if anneal_strategy not in ANNEALED:
            raise ValueError(
                f"{kind}: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if not nonnegative(kind, name, value):
                raise ValueError(f"{kind}: {name} must be above 0, got {value!r}")
        pct_start = probability(f"{kind}: pct_start", pct_start)
        self.max_lrs = [nonnegative(kind, "max_lr", lr)
                        for lr in for_each(optimizer, kind, "max_lr", max_lr)]  # fmt: skip
        self.anneal, self.final_div_factor = ANNEALED[anneal_strategy], float(final_div_factor)
        self.momenta: list[tuple[float, float]] = []
        if cycle_momentum:
            self.momenta = _momenta(optimizer, base_momentum, max_momentum)
        # Where the phases end, and which of the rates (first, largest, last) are there.
        peak, last = pct_start * self.total_steps - 1, self.total_steps - 1
        self.phases = [(peak, 0, 1), (last, 1, 2)]
        if three_phase:
            self.phases = [(peak, 0, 1), (2 * peak, 1, 0), (last, 0, 2)]
        first = [lr / float(div_factor) for lr in self.max_lrs]
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["initial_lr"] = lr
        super().__init__(optimizer, first)

    def rate(self, t: int, base: float, group: int) -> float:
        return self._at(t, (base, self.max_lrs[group], base / self.final_div_factor))

    def apply(self) -> None:
        if self.steps > self.total_steps:
            raise ValueError(
                f"OneCycleLR: all {self.total_steps} steps of the cycle are taken; make a new one "
                "with more total_steps"
            )
        super().apply()
        if not self.momenta:
            return
        groups = self.optimizer.param_groups
        for group, (low, high) in zip(groups, self.momenta, strict=True):
            momentum = self._at(self.steps, (high, low, high))
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum

    def _at(self, t: int, values: tuple[float, float, float]) -> float:
        """Return the value after t steps, on the way through first, middle and last value."""
        start = 0.0
        for end, here, there in self.phases:
            if t <= end:
                share = (t - start) / (end - start) if t > start else 0.0
                return self.anneal(values[here], values[there], share)
            start = end
        return values[self.phases[-1][2]]  # the step after the last one stays


def _total(total: int | None, epochs: int | None, each: int | None) -> int:
    """Return the number of steps in a cycle."""
    if total is not None:
        return whole("OneCycleLR", "total_steps", total)
    if epochs is None or each is None:
        raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
    return (whole("OneCycleLR", "epochs", epochs)
            * whole("OneCycleLR", "steps_per_epoch", each))  # fmt: skip


def _momenta(optimizer: Optimizer, base: Any, top: Any) -> list[tuple[float, float]]:
    """Return the least and the largest momentum of each group."""
    settings = optimizer.param_groups[0]
    if "momentum" not in settings and "betas" not in settings:
        raise ValueError(
            f"OneCycleLR: {type(optimizer).__name__} has no momentum; give cycle_momentum=False"
        )
    lows = for_each(optimizer, "OneCycleLR", "base_momentum", base)
    highs = for_each(optimizer, "OneCycleLR", "max_momentum", top)
    for name, values in (("base_momentum", lows), ("max_momentum", highs)):
        for value in values:
            if nonnegative("OneCycleLR", name, value) >= 1:
                raise ValueError(f"OneCycleLR: {name} must lie in [0, 1), got {value!r}")
    return [(float(low), float(high)) for low, high in zip(lows, highs, strict=True)]
