"""Read the batches to train on: several for an update, from any position in an epoch.

A checkpoint remembers the last one, so that other data are noticed. Below `run.py`.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from engine import Tensor
from engine.backends import HOST
from engine.pytree import flatten
from engine.random import random_state
from rnn.data.loader import unread

END = object()


class Read(NamedTuple):
    """Hold a batch, and the state of the data before it, None where it has none."""

    batch: Any
    before: Any


class Reader:
    """Hand out the batches of an epoch.

    `over` says whether the data have come to its end, `start` is the state of the data before the
    batches that were handed out last, where a checkpoint `keeps` it, `seen` the last batch that was
    trained on, `remembered` what a checkpoint knows of one before.
    """

    def __init__(self, data: Any, accumulate: int, *, keeps: bool, in_parts: bool) -> None:
        self._data, self._accumulate, self._length = data, accumulate, length_of(data)
        self._stateful, self._keeps, self._in_parts = has_state(data), keeps, in_parts
        self._batches: Iterator[Any] = iter(())
        self.start: Any = None
        self.seen: Read | None = None
        self.remembered: dict[str, Any] | None = None
        self.over = False  # whether the data have come to the end of the epoch
        self._last: Read | None = None

    def begin(self, position: int) -> None:
        """Go on behind so many batches; data that does not know where it is, is read again."""
        data = self._data
        self._batches, self.over = unread(data) if self._in_parts else iter(data), False
        if not position or self._stateful:
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
        found: list[Any] = []
        self.start = self._state()
        for number in range(self._accumulate):
            before = self.start if not number else self._state()
            if found and position + number == self._length:
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
        return self._data.state() if self._stateful and self._keeps else None


def has_state(data: Any) -> bool:
    """Return whether data says where it is, and goes back there."""
    return hasattr(data, "state") and hasattr(data, "restore")


def length_of(data: Any) -> int | None:
    """Return the number of batches in data, where it knows it."""
    return len(data) if hasattr(data, "__len__") else None


def digest(batch: Any) -> str:
    """Return a digest: of numbers on the host, of shapes on a device, of other things' repr."""
    found = hashlib.sha256()
    try:
        leaves = flatten(batch)[0]
    except TypeError:  # no pytree of tuples, lists and dicts
        leaves = []
    for leaf in leaves:
        array: Any = leaf.data if isinstance(leaf, Tensor) else _on_host(leaf)
        if hasattr(array, "shape"):
            found.update(f"{array.dtype} {tuple(array.shape)}".encode())
        on_host = type(array) is HOST.array_type
        if on_host and array.dtype != object:
            found.update(array.tobytes())
        elif isinstance(array, bool | int | float | str):
            found.update(repr(array).encode())
    return found.hexdigest()


def say_where_data_differ(batch: Any, remembered: Mapping[str, Any] | None) -> None:
    """Warn where the last batch that was trained on is another one than the checkpoint saw."""
    if remembered is not None and digest(batch) != remembered["digest"]:
        warnings.warn(
            "fit: the last batch before the checkpoint is another one in these data, so they are "
            "others or come in another order, and batches may be trained on twice or never; resume "
            "with the same data",
            stacklevel=2,
        )


def _on_host(leaf: Any) -> Any:
    """Return an array of another library on the host as one of ours; others as they are."""
    if type(leaf) is HOST.array_type or str(getattr(leaf, "device", "")) != "cpu":
        return leaf
    try:
        return HOST.asarray(leaf, None, None)
    except (TypeError, RuntimeError):  # a dtype that NumPy lacks, or one that requires a gradient
        return leaf
