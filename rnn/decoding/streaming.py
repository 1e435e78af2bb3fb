"""Decode step by step: a model that is fed and draws, with its state carried along, row by row.

Every model that decodes has ``advance(indices (B,), state) -> (logits (B, V), state)``; greedy
search, sampling, beams and streams need nothing else of it. Above `sampling.py`.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from rnn.decoding.sampling import own_key, sample_rows
from rnn.modules.module import positive

Advance = Callable[[Any, Any], tuple[Tensor, Any]]


class Stream:
    """Draw one index a row after another, and can be fed between them.

    `advance` is the model's, `state` what it starts from. `end` is the index after which a row is
    over: it goes on with `end`, and the iteration stops when all rows are. Temperature, `top_k` and
    `top_p` are those of `sample`, temperature 0 is greedy; what is drawn follows from the seed,
    `key`, by default one that no other stream has, and the number of the draw. Nothing is looked at
    before the first draw, which raises ValueError for settings out of range.

    >>> import engine, rnn
    >>> from rnn.decoding import Stream
    >>> stream = Stream(lambda i, state: (engine.asarray([[0.0, 9.0]]), state), temperature=0)
    >>> stream.feed([0]).draw().tolist()
    [1]
    """

    def __init__(
        self,
        advance: Advance,
        state: Any = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        end: int | None = None,
        key: tuple[Any, ...] | None = None,
    ) -> None:
        self.advance, self.state, self.end, self.key = advance, state, end, own_key(key)
        self.settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self.logits: Tensor | None = None
        self.ended: Array | None = None  # which rows (B,) are over
        self.drawn = 0

    def feed(self, indices: Any) -> "Stream":
        """Let the model read indices (B,), or (T, B) one step after another. Returns itself.

        Raises ValueError for what is no integers of such a shape, or none at all.
        """
        given = indices.numpy() if isinstance(indices, Tensor) else HOST.xp.asarray(indices)
        if given.ndim not in (1, 2) or given.dtype.kind not in "iu" or not given.size:
            raise ValueError(
                f"Stream.feed: expected integers (B,) or (T, B), "
                f"got {given.dtype} of shape {given.shape}"
            )
        for row in given if given.ndim == 2 else given[None]:
            with engine.no_grad():
                self.logits, self.state = self.advance(row, self.state)
        return self

    def draw(self) -> Array:
        """Return the next index of each row (B,), which the model reads before the next draw.

        Raises ValueError where nothing was fed, for an end that is no index, and as `sample`.
        """
        if self.logits is None:
            raise ValueError("Stream.draw: nothing was fed; feed the prompt or the start index")
        V = self.logits.shape[-1]
        if self.end is not None and not 0 <= self.end < V:
            raise ValueError(f"Stream: end = {self.end} for {V} classes; expected 0 to {V - 1}")
        found = sample_rows(self.logits, key=(*self.key, self.drawn), **self.settings)  # type: ignore[arg-type]
        self.drawn += 1
        if self.end is not None:
            if self.ended is not None:
                found = HOST.xp.where(self.ended, self.end, found)
            self.ended = found == self.end
        if not self.over:
            self.feed(found)
        return found

    @property
    def over(self) -> bool:
        """Return whether all rows have drawn their end."""
        return self.ended is not None and bool(self.ended.all())

    def __iter__(self) -> Iterator[Array]:
        while not self.over:
            yield self.draw()


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
