"""Give all loaders epochs, a position to go on from, and batches that are read in part.

Below the batches and streams.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Generic, NamedTuple, Self, TypeVar

from engine.checks import is_real, is_whole
from engine.suggestions import Advised
from rnn.keywords import LOADERS
from rnn.modules.values import whole

Item = TypeVar("Item")


class Loader(Advised, Generic[Item]):
    """Serve as base class: write `batches(epoch, start)` and `__len__`, the batches of an epoch.

    A loop over a loader reads one epoch, from its start; the next loop reads the next epoch if
    this one was read to its end, else the same once more. What an epoch holds follows from
    `engine.seed`, the loader's own `seed` and the number of the epoch. `state()` says at any time
    which batch comes next, and the loop after `restore(state)` goes on there. `forget_loop()` has a
    loop that was broken off leave no trace in the state.

    >>> import rnn
    >>> class Pairs(rnn.data.Loader):
    ...     def __len__(self): return 2
    ...     def batches(self, epoch, start): return iter([(epoch, i) for i in range(start, 2)])
    >>> data = Pairs()
    >>> list(data), list(data)
    ([(0, 0), (0, 1)], [(1, 0), (1, 1)])
    """

    _advice = LOADERS
    epoch = 0
    _position = 0
    _resumed = False  # whether the next loop begins at the position, not at the start

    def batches(self, epoch: int, start: int) -> Iterator[Item]:
        """Return the batches of an epoch from number `start` on."""
        raise NotImplementedError(f"{type(self).__name__} has no batches(epoch, start); write one")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__; write one")

    def __iter__(self) -> Iterator[Item]:
        return self._handed_out(self.batches)

    def _handed_out(self, batches: Callable[[int, int], Iterator[Any]]) -> Iterator[Any]:
        """Yield the batches of the next epoch, and note before each how far it is."""
        epoch, start = self.epoch, self._position if self._resumed else 0
        self._position, self._resumed = start, False
        for number, batch in enumerate(batches(epoch, start), start + 1):
            # Said before the batch is handed out: while the loop works on it, the next one is next.
            self.epoch, self._position = epoch, number
            yield batch
        self.epoch, self._position = epoch + 1, 0

    def forget_loop(self) -> None:
        """Have `state` say where the next loop begins, after one that was broken off."""
        if not self._resumed:
            self._position = 0

    def split(self, share: float) -> tuple[Self, Self]:
        """Return two loaders, the second with the last `share` of the examples, not shuffled."""
        raise TypeError(
            f"{type(self).__name__} cannot be cut in two; make a loader of each part of the data"
        )

    def state(self) -> dict[str, int]:
        """Return the epoch and the position in it, as plain data: what `restore` takes.

        The position is the number of batches handed out; the number of batches in an epoch is
        there as well, to know other data by.
        """
        return {"epoch": self.epoch, "position": self._position, "batches": len(self)}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where a state was taken, in the next loop.

        Raises ValueError for what is no state, or one of other data; then nothing has changed.
        """
        name, size = type(self).__name__, len(self)
        epoch, position = (self._count(state, key) for key in ("epoch", "position"))
        if state.get("batches", size) != size:
            raise ValueError(
                f"{name}.restore: the state is of {state['batches']} batches an epoch, here are "
                f"{size}; are the data or the sizes others?"
            )
        if position > size:
            raise ValueError(f"{name}.restore: position {position} of {size} batches")
        self.epoch, self._position, self._resumed = epoch, position, True

    def _count(self, state: Mapping[str, int], key: str) -> int:
        if not isinstance(state, Mapping) or not is_whole(state.get(key), 0):
            raise ValueError(
                f"{type(self).__name__}.restore: expected a state with {key} from 0, got {state!r}"
            )
        return int(state[key])


class Unread(NamedTuple):
    """Stand for a batch of `rows` examples that its loader has not read yet."""

    loader: "PlannedLoader[Any]"
    plan: Any
    rows: int

    def read(self, first: int = 0, stop: int | None = None) -> Any:
        """Return the batch, or the examples `first` to `stop` of it; nothing else is read."""
        return self.loader._made(self.plan, first, self.rows if stop is None else stop)


class PlannedLoader(Loader[Item]):
    """Plan what a batch holds before it is read: a base class of loaders.

    Write `_plans` and `_made` in the place of `batches`.
    """

    def _plans(self, epoch: int, start: int) -> Iterator[tuple[Any, int]]:
        """Yield what `_made` takes for each batch from number `start` on, and its examples."""
        raise NotImplementedError(f"{type(self).__name__} has no _plans(epoch, start); write one")

    def _made(self, plan: Any, first: int, stop: int) -> Item:
        """Return the examples `first` to `stop` of a batch, padded as the whole batch is."""
        raise NotImplementedError(
            f"{type(self).__name__} has no _made(plan, first, stop); write one"
        )

    def batches(self, epoch: int, start: int) -> Iterator[Item]:
        return (self._made(plan, 0, rows) for plan, rows in self._plans(epoch, start))

    def _unread(self, epoch: int, start: int) -> Iterator[Unread]:
        return (Unread(self, plan, rows) for plan, rows in self._plans(epoch, start))


@contextmanager
def begun_at(data: Any, start: Any) -> Iterator[None]:
    """Have a loop inside begin at a state of data; afterwards the next one begins as it would."""
    # A state does not say whether the next loop begins there, and restore has it do so.
    before, resumed = data.state(), isinstance(data, Loader) and data._resumed
    data.restore(start)
    try:
        yield
    finally:
        data.restore(before)
        if isinstance(data, Loader):
            data._resumed = resumed


def unread(data: Iterable[Any]) -> Iterator[Any]:
    """Return the batches of an epoch: `Unread` ones where the data allows it.

    A subclass that says itself what its batches are is read as it is.
    """
    kind: Any = type(data)
    if (
        isinstance(data, PlannedLoader)
        and kind.batches is PlannedLoader.batches
        and kind.__iter__ is Loader.__iter__
    ):
        return data._handed_out(data._unread)
    return iter(data)


def whole_batch(batch: Any) -> Any:
    """Return a batch, read if it was not yet."""
    return batch.read() if isinstance(batch, Unread) else batch


def cut_at(name: str, count: int, share: float) -> int:
    """Return where the last `share` of `count` examples begins. Raises ValueError for a share that
    is not in (0, 1), or leaves one part without an example.
    """
    if not is_real(share) or not 0 < share < 1:
        raise ValueError(f"{name}: the share must lie between 0 and 1, got {share!r}")
    place = int(count * (1 - float(share)))
    if not 0 < place < count:
        raise ValueError(f"{name}: {share} of {count} leaves one part empty")
    return place


class Generated(Loader[Item]):
    """Load batches that a function makes: ``make(epoch)`` returns an iterable, such as a generator.

    The first `batches` of it are an epoch; it may be endless, but not end before. To go on in
    the middle of an epoch the batches before are made and dropped. Raises TypeError for what is no
    function, as a generator can be read only once, and RuntimeError where there are too few.

    >>> import rnn.data
    >>> data = rnn.data.Generated(lambda epoch: (epoch * 10 + i for i in range(9)), 3)
    >>> list(data), list(data)
    ([0, 1, 2], [10, 11, 12])
    """

    def __init__(self, make: Callable[[int], Iterable[Item]], batches: int) -> None:
        if not callable(make):
            raise TypeError(
                f"Generated: expected a function of the epoch that returns an iterable, got "
                f"{type(make).__name__}; write lambda epoch: ..."
            )
        self._make, self._batches = make, whole("Generated", "batches", batches)

    def __len__(self) -> int:
        return self._batches

    def batches(self, epoch: int, start: int) -> Iterator[Item]:
        number = start
        for batch in islice(self._make(epoch), start, self._batches):
            number += 1
            yield batch
        if number < self._batches:
            raise RuntimeError(
                f"Generated: epoch {epoch} ended before batch {number} of {self._batches}"
            )
