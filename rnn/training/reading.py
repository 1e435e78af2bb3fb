"""The batches that are trained on: several for an update, from any position in an epoch.

Above `settings.py` and `sameness.py`, below the loop.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.random import random_state
from rnn.data.loader import unread
from rnn.training.sameness import say_where_data_differ
from rnn.training.settings import Settings

END = object()


class Read(NamedTuple):
    """A batch, and the state of the data before it, None where it has none."""

    batch: Any
    before: Any


class Reader:
    """Hands out the batches of an epoch.

    `over` says whether the data have come to its end, `start` is the state of the data before the
    batches that were handed out last, `seen` the last batch that was trained on, `remembered` what
    a checkpoint knows of one before.
    """

    def __init__(self, own: Settings) -> None:
        self._own = own
        self._batches: Iterator[Any] = iter(())
        self.start: Any = None
        self.seen: Read | None = None
        self.remembered: dict[str, Any] | None = None
        self.over = False  # whether the data have come to the end of the epoch
        self._last: Read | None = None

    def begin(self, position: int) -> None:
        """Go on behind so many batches; data that does not know where it is, is read again."""
        own = self._own
        self._batches, self.over = unread(own.data) if own.in_parts else iter(own.data), False
        if not position or self._own.stateful:
            return
        before, batch = random_state(), None
        for number in range(position):
            batch = next(self._batches, END)
            if batch is END:
                raise ValueError(
                    f"fit: the data has {number} batches, and {position} of the epoch "
                    "were done when the checkpoint was written; give the same data"
                )
        if random_state() != before:
            raise ValueError(
                "fit: the data draws from the engine while it is read, so it has to have "
                "state() and restore(state) for a run to be resumed"
            )
        say_where_data_differ(batch, self.remembered)

    def group(self, position: int) -> list[Any]:
        """Return the batches of the next update, fewer at the end of the epoch, none after it."""
        own = self._own
        found: list[Any] = []
        self.start = self._state()
        for number in range(own.accumulate):
            before = self.start if not number else self._state()
            if found and position + number == own.per_epoch:
                break
            batch = next(self._batches, END)
            if batch is END:
                self.over = True
                break
            found.append(batch)
            self._last = Read(batch, before)
        return found

    def trained(self) -> None:
        """Take note that the batches that were handed out last have been trained on."""
        self.seen = self._last

    def check_end(self, position: int) -> None:
        """Let the data see its own end. Raises ValueError where it has more than it says."""
        if next(self._batches, END) is not END:
            raise ValueError(
                f"fit: the data says that it has len() = {position} batches, and has more"
                "; make its __len__ count what __iter__ gives"
            )

    def _state(self) -> Any:
        """Return the state of the data, where a checkpoint may need it."""
        own = self._own
        return own.data.state() if own.stateful and own.checkpoint is not None else None
