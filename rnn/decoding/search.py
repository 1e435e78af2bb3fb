"""One sequence for each row: greedy, or sampled. Above `streaming.py`."""

from itertools import islice
from typing import Any

from rnn.decoding.streaming import Advance, Stream
from rnn.modules.module import positive


def decode(
    advance: Advance,
    start: Any,
    state: Any = None,
    *,
    end: int,
    limit: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    key: tuple[Any, ...] | None = None,
) -> list[list[int]]:
    """Return the indices of each row after `start` (B,), up to `end`, which is left out.

    At most `limit` of them. Greedy by default; the settings are those of `Stream`. Raises
    ValueError for a limit under 1, a start that is no integers (B,), an end that is no index of
    the model, and where `sample` does.

    >>> import engine
    >>> from rnn.decoding import decode
    >>> flat = engine.asarray([[0.0, 9.0]])
    >>> decode(lambda i, state: (flat, state), [0], end=0, limit=3)
    [[1, 1, 1]]
    """
    positive(limit=limit)
    stream = Stream(
        advance, state, temperature=temperature, top_k=top_k, top_p=top_p, end=end, key=key
    )
    drawn = [found.tolist() for found in islice(stream.feed(start), limit)]
    return [list(row[: row.index(end)] if end in row else row) for row in zip(*drawn, strict=True)]
