"""Attend to the encoder's outputs: which ones a query looks at, and how much. Above the modules."""

from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.scan.padding import read_lengths
from rnn.models.stacks import sequence_mask
from rnn.modules.module import Module, parameter, positive

SCORES = ("dot", "general", "additive")


class Memory(NamedTuple):
    """Hold attended outputs: `keys` (B, T, A), `values` (B, T, M), and `mask` (B, T), None for all.

    The rows are first, as in every state that is decoded with.

    >>> import engine, rnn
    >>> memory = rnn.Attention(5, 4).prepare(engine.ones((7, 2, 4)), lengths=[7, 3])
    >>> memory.keys.shape, memory.mask.shape
    ((2, 7, 5), (2, 7))
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None


class Attention(Module):
    """Attend by a score of each query q and output m: ``(query, memory) -> (context, weights)``.

    ``"dot"``: q m, of one size; ``"general"``: q W m with `weight` (Q, M); ``"additive"``:
    v tanh(W q + U m) with `weight_query` (A, Q), `weight_memory` (A, M) and `v` (A,), A = `size` or
    Q. Queries are (B, Q), or (U, B, Q) for many steps at once; contexts (..., B, M); weights
    (..., B, T), which sum to 1 and are 0 past the lengths that `prepare` was given. Raises
    ValueError for sizes and shapes that do not fit. Sources: Luong et al., Effective approaches to
    attention-based neural machine translation, 2015; Bahdanau et al., Neural machine translation by
    jointly learning to align and translate, 2015.

    >>> import engine
    >>> from rnn.models import Attention
    >>> attention = Attention(5, 4, "general")
    >>> context, w = attention(engine.ones((2, 5)), attention.prepare(engine.ones((7, 2, 4))))
    >>> context.shape, w.shape
    ((2, 4), (2, 7))
    """

    def __init__(
        self, query: int, memory: int, score: str = "general", *, size: int | None = None
    ) -> None:
        positive(query=query, memory=memory)
        if score not in SCORES:
            raise ValueError(f"Attention: unknown score {score!r}; there are {', '.join(SCORES)}")
        if score == "dot" and query != memory:
            raise ValueError(
                f"Attention: dot needs queries and outputs of one size, got {query} and {memory}; "
                "take 'general'"
            )
        if size is not None and score != "additive":
            raise ValueError(f"Attention: size is that of 'additive', and score is {score!r}")
        self.query, self.memory, self.score = query, memory, score
        if score == "general":
            self.weight = parameter((query, memory), memory**-0.5)
        elif score == "additive":
            A = query if size is None else size
            positive(size=A)
            self.weight_query = parameter((A, query), query**-0.5)
            self.weight_memory = parameter((A, memory), memory**-0.5)
            self.v = parameter((A,), A**-0.5)

    def prepare(self, outputs: Any, lengths: Any = None) -> Memory:
        """Return the outputs (T, B, M) of an encoder as memory: once for all queries.

        `lengths` (B,) say where each row ends, 1 to T. Raises ValueError for others, and shapes.
        """
        x = outputs if isinstance(outputs, Tensor) else engine.asarray(outputs)
        if x.ndim != 3 or x.shape[-1] != self.memory:
            raise ValueError(
                f"Attention: expected outputs (T, B, M) with M = {self.memory}, got {x.shape}"
            )
        mask = None
        if lengths is not None:
            read_lengths("Attention", lengths, x.shape[0], x.shape[1], least=1)
            kept = sequence_mask(lengths, x.shape[0], x.device)
            x = engine.where(engine.expand_dims(kept, axis=-1), x, 0.0)  # 0 times NaN is NaN
            mask = engine.permute_dims(kept, (1, 0))
        values = engine.permute_dims(x, (1, 0, 2))
        if self.score == "dot":
            return Memory(values, values, mask)
        # From rows of their own: a step that reads both finds neither computed from the other.
        weight = self.weight if self.score == "general" else self.weight_memory
        return Memory(engine.linear(engine.permute_dims(x, (1, 0, 2)), weight), values, mask)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        B = memory.values.shape[0]
        if query.ndim not in (2, 3) or query.shape[-2:] != (B, self.query):
            raise ValueError(
                f"Attention: expected queries (B, Q) or (U, B, Q) with B = {B} and "
                f"Q = {self.query}, got {query.shape}"
            )
        one = query.ndim == 2
        q = engine.expand_dims(query, axis=1) if one else engine.permute_dims(query, (1, 0, 2))
        scores = self._scores(q, memory.keys)
        if memory.mask is not None:
            scores = engine.where(engine.expand_dims(memory.mask, axis=1), scores, -float("inf"))
        weights = engine.softmax(scores, axis=-1)  # (B, U, T)
        context = engine.matmul(weights, memory.values)
        if one:
            return engine.squeeze(context, axis=1), engine.squeeze(weights, axis=1)
        return engine.permute_dims(context, (1, 0, 2)), engine.permute_dims(weights, (1, 0, 2))

    def _scores(self, q: Tensor, keys: Tensor) -> Tensor:
        """Return the scores (B, U, T) of queries (B, U, Q) and keys (B, T, A)."""
        if self.score != "additive":
            return engine.matmul(q, engine.permute_dims(keys, (0, 2, 1)))
        both = engine.expand_dims(engine.linear(q, self.weight_query), axis=2)
        a = engine.tanh(both + engine.expand_dims(keys, axis=1))  # (B, U, T, A)
        return engine.sum(a * self.v, axis=-1)
