"""Classify whole sequences, many to one. Above `stacks.py`."""

from typing import Any

import engine
from engine import Tensor
from engine.backends import Array
from engine.scan.padding import read_lengths
from rnn.layers.recurrent import Checkpoint
from rnn.models.blocks import Make
from rnn.models.stacks import (
    OwnLayers,
    dropped,
    embedded,
    made_layer,
    optional_embedding,
    sequence_mask,
)
from rnn.modules.feedforward import Linear
from rnn.modules.module import Module, evaluating, positive, probability

POOLINGS = ("last", "mean", "max")


class Classifier(Module):
    """Embed, run a recurrent layer, pool over time, make logits: ``(x, lengths=None) -> (B, C)``.

    x (T, B) indices, or (T, B, embedding) features where `vocabulary_size` is None. `pooling` is
    ``"last"`` for the state at the end of each row (of each direction, if `bidirectional`), or the
    ``"mean"`` or ``"max"`` of the outputs within `lengths` (B,). `cell` is ``"lstm"``, ``"gru"``,
    ``"rnn"`` or a function of the sizes (I, H) that makes a `Cell`. `checkpoint` is that of
    `engine.scan`. Raises ValueError for settings and shapes that do not fit, IndexError for indices
    outside of the vocabulary.

    >>> import engine, rnn
    >>> from rnn.models import Classifier
    >>> Classifier(9, 3, embedding=4, hidden=5)([[1, 2], [3, 4]], [2, 1]).shape
    (2, 3)
    """

    def __init__(
        self,
        vocabulary_size: int | None,
        classes: int,
        *,
        embedding: int,
        hidden: int,
        layers: int = 1,
        cell: str | Make = "lstm",
        bidirectional: bool = False,
        pooling: str = "last",
        dropout: float = 0.0,
        checkpoint: Checkpoint = False,
    ) -> None:
        positive(classes=classes, embedding=embedding, hidden=hidden)
        name = type(self).__name__
        if pooling not in POOLINGS:
            raise ValueError(f"{name}: unknown pooling {pooling!r}; there are {POOLINGS}")
        self.pooling, self.dropout = pooling, probability(f"{name}: dropout", dropout)
        self.embedding = optional_embedding(vocabulary_size, embedding)
        kind: Any = {"bidirectional": bidirectional, "checkpoint": checkpoint}
        self.recurrent = made_layer(name, cell, embedding, hidden, layers, dropout=dropout, **kind)
        self.head = Linear(hidden * (2 if bidirectional else 1), classes)

    def forward(self, x: Any, lengths: Any = None) -> Tensor:
        name = type(self).__name__
        x = embedded(self, x)
        if lengths is not None:
            ends = read_lengths(name, lengths, *x.shape[:2])
            known = not isinstance(ends, Tensor)  # of a model that is recorded there are no numbers
            if known and self.pooling != "last" and not ends.all():
                raise ValueError(
                    f"{name}: row {int(ends.argmin())} has length 0, and the {self.pooling} of no "
                    "outputs is undefined; leave such a row out, or take pooling='last'"
                )
        y, state = self.recurrent(x, lengths=lengths)
        return self.head(dropped(self, self._pooled(y, state, lengths)))

    def _pooled(self, y: Tensor, state: Any, lengths: Any) -> Tensor:
        """Return the outputs (T, B, H) and the final states as one vector a row (B, H)."""
        if self.pooling == "last":
            return last_outputs(self.recurrent, y, state, lengths)
        if lengths is None:
            return engine.mean(y, axis=0) if self.pooling == "mean" else engine.max(y, axis=0)
        kept = engine.expand_dims(sequence_mask(lengths, y.shape[0], y.device), axis=-1)
        if self.pooling == "max":
            return engine.max(engine.where(kept, y, -float("inf")), axis=0)
        count = engine.asarray(lengths, dtype=y.dtype, device=y.device).reshape((-1, 1))
        return engine.sum(engine.where(kept, y, 0.0), axis=0) / count

    def loss(self, x: Any, lengths: Any, y: Any) -> Tensor:
        """Return the mean cross entropy against the classes y (B,), in nats."""
        logits = self(x, lengths)
        return engine.cross_entropy(logits, engine.asarray(y, device=logits.device))

    def predict(self, x: Any, lengths: Any = None) -> Array:
        """Return the most probable class of each row (B,), in evaluation mode."""
        with evaluating(self):
            return engine.argmax(self(x, lengths), axis=-1).numpy()


def last_outputs(layer: Any, y: Tensor, state: Any, lengths: Any) -> Tensor:
    """Return the outputs at the end of each row (B, H), both directions side by side."""
    if isinstance(layer, OwnLayers):
        return layer.last(y, lengths)
    h = state[0] if isinstance(state, tuple) else state
    return engine.concat([h[-2], h[-1]], axis=-1) if layer.bidirectional else h[-1]
