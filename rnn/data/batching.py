"""Make batches of whole sequences of similar lengths. Above `padding.py` and `loader.py`."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import engine
from engine.backends import HOST, Array
from engine.checks import flag
from rnn.data.loader import PlannedLoader, cut_at
from rnn.data.padding import Ragged, fitting, too_large
from rnn.modules.values import whole


class Batch(NamedTuple):
    """Hold examples side by side, as arrays of the host.

    x (T, B) or (T, B, ...), padded; lengths (B,) of int64; y (B,) where each example has one
    number, (S, B) or (S, B, ...), padded, with `y_lengths` (B,), where it has a sequence, None
    where there is none; rows (B,) say which examples these are.

    >>> import rnn
    >>> batch = next(iter(rnn.data.Batches([[1, 2], [3]], batch_size=2, shuffle=False)))
    >>> batch.x.tolist(), batch.lengths.tolist(), batch.y
    ([[1, 3], [2, 0]], [2, 1], None)
    """

    x: Array
    lengths: Array
    y: Array = None
    y_lengths: Array = None
    rows: Array = None


class Batches(PlannedLoader[Batch]):
    """Batch sequences x of similar lengths, and for each a number or a sequence y.

    x and y are iterables of equal length, read once: sequences (T_b,) or (T_b, ...) as
    `pad_sequences` takes them. A batch has `batch_size` examples, or as many as make at most
    `max_tokens` steps with their padding, of x or of y, the larger number. Examples are sorted
    by length in steps of `bucket`, None for not at all; with `shuffle` examples of a bucket, and
    the batches, come in another order each epoch, by (engine.seed, seed, epoch). `drop_last`
    leaves out the examples that fill no batch. `pad` and `y_pad` (the same by default) stand after
    the ends. Raises ValueError for settings out of range, for lengths that do not fit, and for
    integers beyond int64 and a padding that the numbers do not hold, such as 0.5 among integers.

    >>> import rnn.data
    >>> for x, lengths, y, *_ in rnn.data.Batches([[1, 2], [3]], [0, 1], batch_size=2, bucket=None,
    ...                                           shuffle=False):
    ...     print(x.tolist(), lengths.tolist(), y.tolist())
    [[1, 3], [2, 0]] [2, 1] [0, 1]
    """

    def __init__(
        self,
        x: Iterable[Any],
        y: Iterable[Any] | None = None,
        *,
        batch_size: int | None = None,
        max_tokens: int | None = None,
        pad: Any = 0,
        y_pad: Any = None,
        bucket: int | None = 8,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        shuffle = flag("Batches: shuffle", shuffle)
        drop_last = flag("Batches: drop_last", drop_last)
        if (batch_size is None) == (max_tokens is None):
            raise ValueError("Batches: give either batch_size or max_tokens")
        if bucket is not None:
            bucket = whole("Batches", "bucket", bucket)
        elif max_tokens is not None and shuffle:
            raise ValueError("Batches: max_tokens with shuffle needs a bucket, got None")
        if drop_last and batch_size is None:
            raise ValueError("Batches: drop_last goes with batch_size, not with max_tokens")
        self._x = Ragged.of("Batches: x", _listed(x))
        self._y = None if y is None else _targets(_listed(y), len(self._x.lengths))
        self._drop = drop_last
        self._options: dict[str, Any] = {
            "batch_size": batch_size, "max_tokens": max_tokens, "pad": pad, "y_pad": y_pad,
            "bucket": bucket, "seed": seed,
        }  # fmt: skip
        self._bucket, self._shuffle, self._seed = bucket, shuffle, seed
        self._pads = (
            fitting("Batches: pad", pad, self._x.flat.dtype),
            pad if y_pad is None else y_pad,
        )
        if isinstance(self._y, Ragged):
            fitting("Batches: y_pad", self._pads[1], self._y.flat.dtype)
        count = len(self._x.lengths)
        if batch_size is not None:
            batch_size = whole("Batches", "batch_size", batch_size)
            stop = count - count % batch_size if drop_last else count
            self._cuts = [*range(0, stop, batch_size), stop]
        else:
            self._cuts = self._token_cuts(whole("Batches", "max_tokens", max_tokens))
        if len(self._cuts) < 2:
            raise ValueError(
                f"Batches: {count} examples make no batch of {batch_size or 1}; give more, or a "
                "smaller batch_size"
            )

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def split(self, share: float) -> "tuple[Batches, Batches]":
        """Return loaders of the first examples, and of the last `share` of them, not shuffled.

        Raises ValueError where one of them would have no batch.
        """
        place = cut_at("Batches.split", len(self._x.lengths), share)
        x, y = self._x.listed(), self._y
        y = y.listed() if isinstance(y, Ragged) else y

        def part(rows: slice, **more: Any) -> Batches:
            return Batches(x[rows], None if y is None else y[rows], **self._options, **more)

        return (part(slice(place), shuffle=self._shuffle, drop_last=self._drop),
                part(slice(place, None), shuffle=False))  # fmt: skip

    def _plans(self, epoch: int, start: int) -> Iterator[tuple[Array, int]]:
        order, numbers = self._order(epoch)
        for number in numbers[start:]:
            rows = order[self._cuts[number] : self._cuts[number + 1]]
            yield rows, len(rows)

    def _order(self, epoch: int) -> tuple[Array, list[int]]:
        """Return the examples in the order of an epoch, and the order of the batches cut from it.
        Buckets stand in the same order in every epoch, so the cuts are those of every epoch.
        """
        xp, numbers = HOST.xp, list(range(len(self)))
        order = xp.arange(len(self._x.lengths))
        if self._shuffle:
            generator = engine.random.generator("batches", self._seed, epoch)
            order, numbers = generator.permutation(order), generator.permutation(numbers).tolist()
        if self._drop:
            order = order[: self._cuts[-1]]
        if self._bucket is not None:
            order = order[xp.lexsort(tuple(key[order] for key in self._sizes()[::-1]))]
        return order, numbers

    def _sizes(self) -> list[Array]:
        """Return the longest length in the bucket of each x and, for sequences, of each y."""
        lengths = [self._x.lengths]
        if isinstance(self._y, Ragged):
            lengths.append(self._y.lengths)
        return [_longest(one, self._bucket or 1) for one in lengths]

    def _token_cuts(self, most: int) -> list[int]:
        """Return where batches of at most `most` steps end, with any order in a bucket."""
        xp, sizes = HOST.xp, self._sizes()
        widths = xp.max(xp.stack(sizes), axis=0)
        if widths.max(initial=0) > most:
            raise ValueError(
                f"Batches: an example has {widths.max()} steps, more than max_tokens={most}"
            )
        if self._bucket is not None:
            widths = widths[xp.lexsort(tuple(sizes[::-1]))]
        cuts, widest = [0], 0
        for place, width in enumerate(widths.tolist()):
            widest = max(widest, width)
            if place > cuts[-1] and widest * (place + 1 - cuts[-1]) > most:
                cuts.append(place)
                widest = width
        return [*cuts, len(widths)] if len(widths) else cuts

    def _made(self, plan: Array, first: int, stop: int) -> Batch:
        rows = plan[first:stop]
        x = self._x.padded(rows, self._pads[0], self._x.longest(plan))
        lengths = self._x.lengths[rows]
        if self._y is None:
            return Batch(x, lengths, rows=rows)
        if isinstance(self._y, Ragged):
            y = self._y.padded(rows, self._pads[1], self._y.longest(plan))
            return Batch(x, lengths, y, self._y.lengths[rows], rows)
        return Batch(x, lengths, self._y[rows], rows=rows)


def _longest(lengths: Array, bucket: int) -> Array:
    """Return the longest length in the bucket of each one."""
    numbers = -(-lengths // bucket)
    tops = HOST.xp.zeros(int(numbers.max(initial=0)) + 1, dtype=lengths.dtype)
    HOST.xp.maximum.at(tops, numbers, lengths)
    return tops[numbers]


def _listed(y: Iterable[Any]) -> list[Any]:
    """Return the examples of a list, an array or a tensor."""
    return list(engine.asarray(y).numpy() if hasattr(y, "shape") else y)


def _targets(y: list[Any], count: int) -> Any:
    """Return a number for each example as an array, or a sequence for each."""
    if len(y) != count:
        raise ValueError(f"Batches: {count} sequences x and {len(y)} targets y")
    xp = HOST.xp
    if any(isinstance(one, str) or xp.ndim(one) for one in y):
        return Ragged.of("Batches: y", y)
    array = xp.asarray(y)
    if too_large(array, y):
        raise ValueError("Batches: y holds an integer beyond int64, which ends at 2**63 - 1")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"Batches: y must be numbers or sequences of them, got {y[0]!r}")
    return array.astype(xp.float32 if array.dtype.kind == "f" else xp.int64)
