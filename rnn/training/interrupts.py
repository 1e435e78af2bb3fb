"""A stop from outside that comes at a good moment: Ctrl-C and SIGTERM are noted, not obeyed.

Below the loop, which looks after every step; a validation, which changes nothing, ends at once.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal came where nothing is lost by stopping at once."""


class Interrupts:
    """Context manager. Inside, the first signal sets `asked`, a second one raises
    KeyboardInterrupt. Inside of `at_once` the first one raises Interrupted, too.

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
