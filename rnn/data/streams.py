"""Cut a long text into parallel streams in chunks, for language models. Above `loader.py`."""

import reprlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import engine
from engine.backends import HOST, Array
from engine.checks import flag, is_whole
from rnn.data.loader import PlannedLoader
from rnn.modules.values import whole


class Chunk(NamedTuple):
    """Hold one stretch of all streams: x (T, B), and y (T, B), the token after each, as int64.

    `carry` says whether the state after the chunk before is the state before this one; it is false
    where the streams begin. `resets` (T, B), where asked for, are true where a document begins:
    `rnn.Recurrent` takes them.

    >>> import rnn
    >>> chunk = next(iter(rnn.data.Streams(range(9), batch_size=2, steps=3)))
    >>> chunk.x.shape, chunk.carry
    ((3, 2), False)
    """

    x: Array
    y: Array
    carry: bool
    resets: Array = None


class Streams(PlannedLoader[Chunk]):
    """Cut a text of N indices into `batch_size` parallel streams, in chunks of `steps` steps.

    Stream b is the b-th stretch of (N - 1) // B tokens, read from its start to its end, so every
    chunk goes on where the one before ended; up to B - 1 tokens at the end of the text are left.
    `ids` are an array (N,) of integers, or what has a length and slices that are, such as
    `MappedText`. The last chunk is shorter where `steps` does not divide the streams, and left out
    with `drop_last`. With ``reset_after=vocabulary.eos`` the chunks say where a token after an EOS
    stands. Raises ValueError for a text that is too short, TypeError for one that is not encoded.

    >>> import rnn.data
    >>> for x, y, carry, _ in rnn.data.Streams(range(9), batch_size=2, steps=3):
    ...     print(x.T.tolist(), y.T.tolist(), carry)
    [[0, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]] False
    [[3], [7]] [[4], [8]] True
    """

    def __init__(
        self,
        ids: Any,
        *,
        batch_size: int,
        steps: int,
        drop_last: bool = False,
        reset_after: int | None = None,
    ) -> None:
        self._size = whole("Streams", "batch_size", batch_size)
        self._steps = whole("Streams", "steps", steps)
        drop_last = flag("Streams: drop_last", drop_last)
        if reset_after is not None and not is_whole(reset_after, 0):
            raise TypeError(
                f"Streams: reset_after must be the index of a token, got {reset_after!r}"
            )
        self._ids = _sliced(ids)
        self._width = (len(self._ids) - 1) // self._size
        self._used = self._width - self._width % self._steps if drop_last else self._width
        self._reset_after = reset_after
        if self._used < 1:
            needed = self._size * (self._steps if drop_last else 1) + 1
            raise ValueError(
                f"Streams: a text of {len(self._ids)} tokens for {batch_size} streams"
                f"{f' of {steps} steps' if drop_last else ''}; it needs {needed}"
            )

    def __len__(self) -> int:
        return -(-self._used // self._steps)

    def _plans(self, epoch: int, start: int) -> Iterator[tuple[int, int]]:
        for step in range(start * self._steps, self._used, self._steps):
            yield step, self._size

    def _made(self, plan: int, first: int, stop: int) -> Chunk:
        """Return the streams `first` to `stop` from step `plan` on."""
        xp = HOST.xp
        starts = [b * self._width + plan for b in range(first, stop)]
        steps = min(self._steps, self._used - plan)
        read = [self._ids[start : start + steps + 1] for start in starts]
        both = xp.stack(read, axis=1).astype(xp.int64)
        x, y = both[:-1], both[1:]
        resets = None if self._reset_after is None else self._resets(x, starts, begins=not plan)
        return Chunk(x, y, plan > 0, resets)

    def _resets(self, x: Array, starts: list[int], *, begins: bool) -> Array:
        """Return where the token before is the end of a document; where the streams begin too."""
        xp = HOST.xp
        resets = xp.ones(x.shape, dtype=bool)
        resets[1:] = x[:-1] == self._reset_after
        if not begins:
            before = [self._ids[start - 1 : start] for start in starts]
            resets[0] = xp.concatenate(before) == self._reset_after
        return resets


def _sliced(ids: Any) -> Any:
    """Return a text with slices of integers. Raises TypeError and ValueError for another one."""
    listed = isinstance(ids, list | tuple | range)
    words = listed and any(isinstance(one, str) for one in ids[:1])
    if isinstance(ids, str | bytes) or words or not (listed or hasattr(ids, "__getitem__")):
        raise TypeError(f"Streams: expected a text as integers (N,), got {reprlib.repr(ids)}; "
                        "encode it first: vocabulary.encode(text)")  # fmt: skip
    held = engine.asarray(ids).numpy() if listed or hasattr(ids, "shape") else ids
    flat = getattr(held, "ndim", 1) == 1
    if not flat or getattr(getattr(held[:1], "dtype", None), "kind", "") not in ("i", "u"):
        raise ValueError("Streams: expected a text as integers (N,); encode it first")
    return held
