"""Read sequences to their end: encoders. Above `stacks.py`."""

from typing import Any

import engine
from engine import Tensor
from engine.scan.padding import read_lengths
from rnn.layers.recurrent import Checkpoint
from rnn.models.blocks import Make
from rnn.models.stacks import dropped, embedded, made_layer, optional_embedding
from rnn.modules.module import Module, positive, probability


class Encoder(Module):
    """Embed, and run a recurrent layer: ``(x, lengths=None) -> (outputs, states)``.

    x (T, B) indices, or (T, B, embedding) features where `vocabulary_size` is None; outputs
    (T, B, M). `states` is a list with the final state of each layer, of the width M = `width` each:
    hidden, or both directions side by side. `cell` is ``"gru"``, ``"lstm"``, ``"rnn"`` or a
    function of the sizes (I, H) that makes a `Cell`. `checkpoint` is that of `engine.scan`.
    Raises ValueError for settings and shapes that do not fit, IndexError for indices outside of the
    vocabulary.

    >>> from rnn.models import Encoder
    >>> outputs, states = Encoder(9, 4, 5, bidirectional=True)([[1, 2], [3, 4], [5, 6]])
    >>> outputs.shape, states[0].shape
    ((3, 2, 10), (2, 10))
    """

    def __init__(
        self,
        vocabulary_size: int | None,
        embedding: int,
        hidden: int,
        layers: int = 1,
        *,
        cell: str | Make = "gru",
        bidirectional: bool = False,
        dropout: float = 0.0,
        checkpoint: Checkpoint = False,
    ) -> None:
        positive(embedding=embedding, hidden=hidden)
        self.dropout = probability("Encoder: dropout", dropout)
        self.embedding = optional_embedding(vocabulary_size, embedding)
        kind: Any = {"bidirectional": bidirectional, "checkpoint": checkpoint}
        self.recurrent = made_layer(
            "Encoder", cell, embedding, hidden, layers, dropout=dropout, **kind
        )
        self.cell, self.hidden, self.layers = cell, hidden, layers
        self.width = hidden * (2 if bidirectional else 1)

    def forward(self, x: Any, lengths: Any = None) -> tuple[Tensor, list[Any]]:
        with engine.scope(block="encoder"):
            x = embedded(self, x)
            if lengths is not None:
                read_lengths("Encoder", lengths, *x.shape[:2])
            outputs, final = self.recurrent(dropped(self, x), lengths=lengths)
            return outputs, self._by_layer(final)

    def _by_layer(self, final: Any) -> list[Any]:
        """Return PyTorch's states (layers * directions, B, H) as one for each layer."""
        if isinstance(final, tuple):
            return list(zip(*map(self._by_layer, final), strict=True))
        count = final.shape[0] // self.layers
        return [
            final[count * n]
            if count == 1
            else engine.concat([final[count * n], final[count * n + 1]], axis=-1)
            for n in range(self.layers)
        ]
