"""Take smaller steps once a metric stops getting better. Above `base.py`."""

import math
from collections.abc import Mapping
from typing import Any

from engine.checks import is_real
from rnn.modules.values import nonnegative, whole
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule, for_each


class ReduceLROnPlateau(Schedule):
    """Multiply the rate by `factor`, down to `min_lr`, after over `patience` steps without a best.

    `step(metric)` takes a number, or a tensor of one. `mode` is "min" or "max"; None is that of the
    metric which `fit` watches, and "min" elsewhere. Better means by `threshold`, a share of the
    best ("rel") or a difference ("abs") as `threshold_mode` says. For `cooldown` steps after a
    change bad ones do not count; changes of less than `eps` are left. Raises ValueError for
    settings out of range.

    >>> import rnn
    >>> optimizer = rnn.optim.SGD(rnn.Linear(3, 2).parameters(), lr=0.5)
    >>> schedule = rnn.schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    >>> schedule.step(1.0); schedule.step(2.0); schedule.lr
    0.25
    """

    takes_metric = True

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str | None = None,
        factor: float = 0.1,
        patience: int = 10,
        *,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0.0,
        eps: float = 1e-8,
    ) -> None:
        kind = "ReduceLROnPlateau"
        if mode not in (None, "min", "max"):
            raise ValueError(f"{kind}: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{kind}: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}"
            )
        if nonnegative(kind, "factor", factor) >= 1:
            raise ValueError(f"{kind}: factor must lie in [0, 1), got {factor!r}")
        self.asked_mode, self.mode = mode, mode or "min"
        self.factor, self.threshold_mode = float(factor), threshold_mode
        self.patience = whole(kind, "patience", patience, 0)
        self.cooldown = whole(kind, "cooldown", cooldown, 0)
        self.threshold = nonnegative(kind, "threshold", threshold)
        self.eps = nonnegative(kind, "eps", eps)
        self.min_lrs = [nonnegative(kind, "min_lr", lr)
                        for lr in for_each(optimizer, kind, "min_lr", min_lr)]  # fmt: skip
        self.best = self._worst()
        self.bad = self.resting = (
            0  # steps that were no better; steps of the cooldown that are left
        )
        self._lrs = [float(group["lr"]) for group in optimizer.param_groups]
        super().__init__(optimizer, self._lrs)

    def follow(self, mode: str) -> None:
        """Take the mode of the metric. Raises ValueError where another was asked for or used."""
        if mode == self.mode:
            return
        if self.asked_mode is not None or self.steps:
            raise ValueError(
                f"ReduceLROnPlateau: its mode is {self.mode!r}, that of the metric it follows is "
                f"{mode!r}; give mode={mode!r}"
            )
        self.mode = mode
        self.best = self._worst()

    def _worst(self) -> float:
        """Return the metric that any other is better than."""
        return math.inf if self.mode == "min" else -math.inf

    def rates(self) -> list[float]:
        return list(self._lrs)

    def step(self, *metrics: Any) -> None:
        """Take the metric of this step. Raises TypeError for what is no number."""
        if len(metrics) != 1:
            raise TypeError(f"ReduceLROnPlateau: step(metric) takes 1 metric, got {len(metrics)}")
        metric = metrics[0].item() if hasattr(metrics[0], "item") else metrics[0]
        if not is_real(metric):
            raise TypeError(f"ReduceLROnPlateau: the metric must be a number, got {metric!r}")
        metric = float(metric)
        self._lrs = self._applied = self.lrs  # also where others set them since
        if self._better(metric):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.resting:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > self.patience:
            self._reduce()
            self.resting, self.bad = self.cooldown, 0
        super().step()

    def _better(self, metric: float) -> bool:
        """Return whether the metric is better than the best; NaN never is."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * metric > sign * self.best * (1 + sign * self.threshold)
        return sign * metric > sign * self.best + self.threshold

    def _reduce(self) -> None:
        for group, (lr, least) in enumerate(zip(self._lrs, self.min_lrs, strict=True)):
            new = max(lr * self.factor, least)
            if lr - new > self.eps:
                self._lrs[group] = new

    def state_dict(self) -> dict[str, Any]:
        own = {"best": self.best, "bad": self.bad, "resting": self.resting}
        return super().state_dict() | own | {"lrs": list(self._lrs)}

    def _load(self, state: Mapping[str, Any]) -> None:
        best, own_lrs = float(state["best"]), [float(lr) for lr in state["lrs"]]
        bad, resting = int(state["bad"]), int(state["resting"])
        super()._load(state)
        self.best, self._lrs, self.bad, self.resting = best, own_lrs, bad, resting
