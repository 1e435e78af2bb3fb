"""Make batches of arrays with examples of one shape, and windows of series. Above `padding.py`."""

from collections.abc import Iterator
from copy import copy
from typing import Any, Self

import engine
from engine.backends import HOST, Array
from engine.checks import flag
from engine.suggestions import advised
from rnn.data.batching import Batch
from rnn.data.loader import PlannedLoader, cut_at
from rnn.data.padding import sizes
from rnn.keywords import ARGUMENTS
from rnn.modules.values import whole


class ArrayBatches(PlannedLoader[Batch]):
    """Cut arrays of N examples into batches: x (N, T, ...) into (T, B, ...), x (N,) into (B,).

    y (N,) comes out as (B,), y (N, S, ...) as (S, B, ...); with ``steps=False`` x, and with
    ``y_steps=False`` y, keeps its order of axes: features (N, I) come out as (B, I). `lengths`
    (N,) are T for all by default, and None in the batches where x has no steps. The arrays may be
    memory maps: only the rows of a batch are read. `shuffle` draws another order each epoch, by
    (engine.seed, seed, epoch); `drop_last` leaves out the examples that fill no batch.
    Raises ValueError for numbers of examples that differ, lengths that do not fit, bad settings.

    >>> import engine, rnn
    >>> data = rnn.data.ArrayBatches(engine.ones((5, 7, 3)), engine.arange(5), batch_size=2)
    >>> [(batch.x.shape, batch.y.shape) for batch in data]
    [((7, 2, 3), (2,)), ((7, 2, 3), (2,)), ((7, 1, 3), (1,))]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        lengths: Any = None,
        *,
        batch_size: int,
        steps: bool = True,
        y_steps: bool = True,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        given = {"x": x, "y": y, "lengths": lengths}
        held = {name: engine.asarray(one).numpy() for name, one in given.items() if one is not None}
        if not all(one.ndim for one in held.values()):
            raise ValueError("ArrayBatches: expected arrays with an axis of examples, got a number")
        counts = {name: len(one) for name, one in held.items()}
        if len(dict.fromkeys(counts.values())) > 1:
            raise ValueError(f"ArrayBatches: numbers of examples differ: {counts}")
        self._x, self._y = held["x"], held.get("y")
        self._steps = flag("ArrayBatches: steps", steps) and self._x.ndim > 1
        self._y_steps = (
            flag("ArrayBatches: y_steps", y_steps) and self._y is not None and self._y.ndim > 1
        )
        self._lengths = None
        if lengths is not None:
            most = self._x.shape[1] if self._steps else None
            self._lengths = sizes("ArrayBatches", held["lengths"], most)
        self._size = whole("ArrayBatches", "batch_size", batch_size)
        self._shuffle, self._seed = flag("ArrayBatches: shuffle", shuffle), seed
        count = len(self._x)
        self._drop = flag("ArrayBatches: drop_last", drop_last)
        self._used = count - count % self._size if self._drop else count
        if not self._used:
            raise ValueError(
                f"ArrayBatches: {count} examples make no batch of {batch_size}; give more, or a "
                "smaller batch_size"
            )

    def __len__(self) -> int:
        return -(-self._used // self._size)

    @property
    def axes(self) -> tuple[int, ...]:
        """Return the axis of the examples in each field of a batch, as `Batch` orders them."""
        return int(self._steps), 0, int(self._y_steps), 0, 0

    def split(self, share: float) -> tuple[Self, Self]:
        """Return loaders of the first examples, and of the last `share` of them, not shuffled.

        Raises ValueError where one of them would have no batch.
        """
        place = cut_at("ArrayBatches.split", len(self._x), share)
        first, last = copy(self), copy(self)
        for own, part in ((first, slice(place)), (last, slice(place, None))):
            own._x = self._x[part]
            own._y = None if self._y is None else self._y[part]
            own._lengths = None if self._lengths is None else self._lengths[part]
            own._used = len(own._x)
        if self._drop:
            first._used -= place % self._size
        if not first._used:
            raise ValueError(
                f"ArrayBatches.split: {place} examples make no batch of {self._size}; split off a "
                "smaller share"
            )
        last._shuffle = last._drop = False
        return first, last

    def _plans(self, epoch: int, start: int) -> Iterator[tuple[Array, int]]:
        order = HOST.xp.arange(len(self._x))
        if self._shuffle:
            order = engine.random.generator("batches", self._seed, epoch).permutation(order)
        for first in range(start * self._size, self._used, self._size):
            rows = order[first : min(first + self._size, self._used)]
            yield rows, len(rows)

    def _made(self, plan: Array, first: int, stop: int) -> Batch:
        xp, rows = HOST.xp, plan[first:stop]
        x = _turned(self._x[rows]) if self._steps else self._x[rows]
        y = None if self._y is None else self._y[rows]
        lengths = None
        if self._lengths is not None:
            lengths = self._lengths[rows]
        elif self._steps:
            lengths = xp.full(len(rows), len(x), dtype=xp.int64)
        return Batch(x, lengths, _turned(y) if self._y_steps else y, rows=rows)


def _turned(x: Array) -> Array:
    """Return (B, T, ...) as (T, B, ...)."""
    return HOST.xp.ascontiguousarray(x.swapaxes(0, 1))


@advised(ARGUMENTS)
def windows(series: Any, size: int, *, horizon: int = 1, stride: int = 1) -> tuple[Array, Array]:
    """Return windows x (N, size, I) of a time series, and y (N, horizon, I) after each.

    The series is (T, I), or (T,) for I = 1; windows begin `stride` steps apart. Both are read-only
    views of the series, of any size at no cost; `ArrayBatches` copies the rows that it takes.
    Raises ValueError for a series too short for one window.

    >>> import rnn.data
    >>> x, y = rnn.data.windows([1.0, 2.0, 3.0, 4.0], 2)
    >>> x[..., 0].tolist(), y[..., 0].tolist()
    ([[1.0, 2.0], [2.0, 3.0]], [[3.0], [4.0]])
    """
    size, horizon, stride = (
        whole("windows", name, value)
        for name, value in (("size", size), ("horizon", horizon), ("stride", stride))
    )
    values = engine.asarray(series).numpy()
    values = values.reshape(-1, 1) if values.ndim == 1 else values
    if values.ndim != 2 or len(values) < size + horizon:
        raise ValueError(
            f"windows: a series {values.shape} for size={size} and horizon={horizon}; expected "
            f"(T, I) with T of at least {size + horizon}"
        )
    views = HOST.xp.lib.stride_tricks.sliding_window_view(values, size + horizon, axis=0)
    views = views[::stride].swapaxes(1, 2)
    return views[:, :size], views[:, size:]
