"""End a run before its time: no better validation for a while, or a signal from outside.

Below `run.py`. Ctrl-C and SIGTERM are noted, not obeyed: the loop looks after every step, and a
validation, which changes nothing, ends at once.
"""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rnn.modules.module import Module
from rnn.training.history import Validation

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Remember the best of a metric and say when `patience` validations brought no better one.

    `mode` is ``"min"`` or ``"max"``, or None where neither is known: then no validation is the
    best. Better means by more than `min_delta`; nan never is. `keep` keeps its weights.
    """

    def __init__(
        self,
        monitor: str | None,
        mode: str | None,
        patience: int | None,
        min_delta: float,
        keep: bool,
    ) -> None:
        self.monitor, self.mode, self.patience = monitor, mode, patience
        self.min_delta, self.keep = min_delta, keep
        self.best: Validation | None = None
        self.bad = 0  # validations since the best
        self.weights: dict[str, Any] = {}

    @property
    def over(self) -> bool:
        """Return whether patience has run out."""
        return self.patience is not None and self.bad >= self.patience

    def metric(self, record: Validation) -> float:
        """Return the metric that is watched. Raises ValueError where the validation has none."""
        name = self.monitor or next(iter(record.metrics), "")
        if name not in record.metrics:
            there = ", ".join(record.metrics) or "no metrics at all"
            raise ValueError(f"fit: monitor {name!r} is not in the validation, which has {there}")
        return record.metrics[name]

    def take(self, record: Validation, model: Module) -> bool:
        """Take a validation of the model in; returns whether it is the best so far."""
        if self.mode is None:
            return False
        sign = 1 if self.mode == "max" else -1
        value = sign * self.metric(record)
        bar = -math.inf if self.best is None else sign * self.metric(self.best) + self.min_delta
        if not value > bar:
            self.bad += 1
            return False
        self.best, self.bad = record, 0
        if self.keep:
            self.weights = model.state_dict()
        return True

    def restore(self, model: Module) -> None:
        """Put the weights of the best validation back, if there are any."""
        if self.weights:
            model.load_state_dict(self.weights)


class Interrupted(KeyboardInterrupt):
    """Report that a signal came where nothing is lost by stopping at once."""


class Interrupts:
    """Note signals inside of a context: the first sets `asked`, a second raises KeyboardInterrupt.
    Inside of `at_once` the first one raises Interrupted, too.

    Outside of the main thread, where Python has no signals, it does nothing. `noted` counts the
    signals of this process, so that others see that what they called ended before its time.
    """

    noted = 0

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False
        self._before: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = [(one, signal.signal(one, self._note)) for one in SIGNALS]
        return self

    def __exit__(self, *error: object) -> None:
        while self._before:
            number, handler = self._before.pop()
            # None stands for a handler that was not set by Python and cannot be put back by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise Interrupted inside for a signal, also for one that came before."""
        if self.asked:
            raise Interrupted
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        Interrupts.noted += 1
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._at_once:
            self._at_once = False
            raise Interrupted
