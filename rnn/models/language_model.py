"""Predict what comes next, given all that came before. Above `stacks.py` and decoding."""

from collections.abc import Iterator
from typing import Any

import engine
from engine import Tensor
from engine.checks import flag
from rnn.decoding import Stream
from rnn.layers.recurrent import Checkpoint
from rnn.layers.stacked import Stacked
from rnn.models.blocks import Make
from rnn.models.stacks import (
    advanced,
    checked_states,
    detached,
    dropped,
    embedded,
    integers,
    made_cells,
    masked_loss,
    tie,
)
from rnn.modules.feedforward import Embedding, Linear
from rnn.modules.module import Module, positive, probability


class LanguageModel(Module):
    """Embed, run layers of cells, make logits: ``(x, state=None) -> (logits, state)``.

    x (T, B) indices, logits (T, B, V); the state is a list with that of each layer, every tensor
    (B, H). `cell` is ``"lstm"``, ``"gru"``, ``"rnn"`` or a function of the sizes (I, H) that makes
    a `Cell`. `dropout` falls on what goes into and out of the layers and between them (Zaremba et
    al., Recurrent neural network regularization, 2014). `tie_weights` reads with the weights that
    it writes with, which asks for embedding = hidden (Press and Wolf, Using the output embedding to
    improve language models, 2017). `resets` (T, B) or (B,), such as those of `data.Streams`, are
    true where a row starts over. Targets that are `pad` do not count. Raises ValueError for sizes
    and settings that do not fit, IndexError for indices outside of the vocabulary.

    >>> import engine, rnn
    >>> from rnn.models import LanguageModel
    >>> logits, state = LanguageModel(9, 4, 5)([[1, 2], [3, 4], [5, 6]])
    >>> logits.shape, state[0][0].shape
    ((3, 2, 9), (2, 5))
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding: int,
        hidden: int,
        layers: int = 1,
        *,
        cell: str | Make = "lstm",
        dropout: float = 0.0,
        tie_weights: bool = False,
        pad: int | None = None,
        checkpoint: Checkpoint = False,
    ) -> None:
        positive(vocabulary_size=vocabulary_size, embedding=embedding)
        name = type(self).__name__
        cells = made_cells(name, cell, embedding, hidden, layers)
        self.dropout, self.pad = probability(f"{name}: dropout", dropout), pad
        self.embedding = Embedding(vocabulary_size, embedding)
        self.recurrent = Stacked(cells, dropout=dropout, checkpoint=checkpoint)
        self.head = Linear(hidden, vocabulary_size)
        if flag("tie_weights", tie_weights):
            tie(name, self.embedding, self.head)

    def forward(self, x: Any, state: Any = None, *, resets: Any = None) -> tuple[Tensor, Any]:
        y, state = self.recurrent(dropped(self, embedded(self, x)), state, resets=resets)
        return self.head(dropped(self, y)), state

    def loss(self, x: Any, y: Any, state: Any = None, *, resets: Any = None) -> tuple[Tensor, Any]:
        """Return the mean loss of x (T, B) against y (T, B), in nats, and the state after them.

        The state comes back as a constant, so that the gradient ends at the border of a chunk.
        """
        logits, state = self(x, state, resets=resets)
        return masked_loss(type(self).__name__, logits, y, pad=self.pad), detached(state)

    def advance(self, indices: Any, state: Any = None) -> tuple[Tensor, Any]:
        """Return one step: indices (B,) -> logits (B, V), and the state. Nothing is dropped.

        Raises ValueError for a state of other layers or another number of rows.
        """
        V = self.embedding.weight.shape[0]
        given = integers(type(self).__name__, "indices", indices, "(B,)", 1, vocabulary=V)
        x = self.embedding(given)
        layers: Any = self.recurrent.layers
        cells = [layer.cell for layer in layers]
        if state is None:
            state = [cell.zero_state(x.shape[0], like=x) for cell in cells]
        state = checked_states(f"{type(self).__name__}.advance", cells, state, x.shape[0])
        with engine.scope("recurrent"):
            y, state = advanced(cells, x, state)
        return self.head(y), state

    def generate(
        self,
        prompt: Any,
        state: Any = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        end: int | None = None,
        key: tuple[Any, ...] | None = None,
    ) -> Iterator[int]:
        """Yield indices drawn one after another from what follows a prompt (T,): see `Stream`.

        Without end, or until `end` is drawn. Raises ValueError for a prompt without an index.
        """
        where = f"{type(self).__name__}.generate"
        tokens = prompt if isinstance(prompt, Tensor) else engine.asarray(prompt)
        if not tokens.size:
            raise ValueError(f"{where}: the prompt needs at least one index")
        stream = Stream(
            self.advance, state, temperature=temperature, top_k=top_k, top_p=top_p, end=end, key=key
        )
        stream.feed(integers(where, "prompt", tokens, "(T,)", 1).reshape((-1, 1)))
        return (int(row[0]) for row in stream)
