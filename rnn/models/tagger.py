"""Tag each word: many to many, aligned. Above `stacks.py` and `crf.py`."""

from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.scan.padding import read_lengths
from rnn.layers.recurrent import Checkpoint
from rnn.models.blocks import Make
from rnn.models.classifier import last_outputs
from rnn.models.crf import CRF
from rnn.models.stacks import dropped, embedded, integers, made_layer, masked_loss, sequence_mask
from rnn.modules.feedforward import Embedding, Linear
from rnn.modules.module import Module, evaluating, positive, probability


class CharacterEncoder(Module):
    """Encode a word as a vector of its spelling: ``(characters, lengths) -> (T, B, 2 hidden)``.

    `characters` (L, T, B) are the indices of the characters of each word, `lengths` (T, B) how many
    there are; words that are padding have 0. Both last states of a bidirectional layer are taken.
    Source: Lample et al., Neural architectures for named entity recognition, 2016.

    >>> from rnn.models import CharacterEncoder
    >>> CharacterEncoder(9, embedding=3, hidden=4)([[[1, 2]], [[3, 0]]], [[2, 1]]).shape
    (1, 2, 8)
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        embedding: int,
        hidden: int,
        cell: str | Make = "lstm",
        checkpoint: Checkpoint = False,
    ) -> None:
        positive(vocabulary_size=vocabulary_size, embedding=embedding, hidden=hidden)
        self.embedding = Embedding(vocabulary_size, embedding)
        kind: Any = {"bidirectional": True, "dropout": 0.0, "checkpoint": checkpoint}
        self.recurrent = made_layer("CharacterEncoder", cell, embedding, hidden, 1, **kind)
        self.width = 2 * hidden

    def forward(self, characters: Any, lengths: Any) -> Tensor:
        V = self.embedding.weight.shape[0]
        given = integers("CharacterEncoder", "characters", characters, "(L, T, B)", 3, vocabulary=V)
        counts = integers("CharacterEncoder", "lengths", lengths, "(T, B)", 2)
        L, T, B = given.shape
        if counts.shape != (T, B):
            raise ValueError(
                f"CharacterEncoder: lengths {counts.shape} for characters {given.shape}; "
                f"expected {(T, B)}, one for each word"
            )
        x = self.embedding(given.reshape((L, T * B)))
        rows = counts.reshape((T * B,))
        y, state = self.recurrent(x, lengths=rows)
        return last_outputs(self.recurrent, y, state, rows).reshape((T, B, self.width))


class Tagger(Module):
    """Embed, run a recurrent layer, make logits of K tags: ``(x, lengths=None, ...) -> (T, B, K)``.

    x (T, B) word indices. With a `characters` encoder, ``(characters, character_lengths)`` are
    given as `spelling`, and each word is its embedding and its spelling side by side. `cell` is
    ``"lstm"``, ``"gru"``, ``"rnn"`` or a function of the sizes (I, H) that makes a `Cell`. With a
    `crf` the loss and the tags are those of whole sequences. Targets past `lengths` and those that
    are `pad` do not count; with a `crf` padding may only end a row, which is then as long as what
    is before it. Raises ValueError for settings and shapes that do not fit, IndexError for indices
    outside of the vocabulary.

    >>> from rnn.models import Tagger
    >>> Tagger(9, 3, embedding=4, hidden=5)([[1, 2], [3, 4]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        vocabulary_size: int,
        tags: int,
        *,
        embedding: int,
        hidden: int,
        layers: int = 1,
        cell: str | Make = "lstm",
        bidirectional: bool = True,
        dropout: float = 0.0,
        characters: CharacterEncoder | None = None,
        crf: CRF | None = None,
        pad: int | None = None,
        checkpoint: Checkpoint = False,
    ) -> None:
        name = type(self).__name__
        positive(vocabulary_size=vocabulary_size, tags=tags, embedding=embedding, hidden=hidden)
        if crf is not None and crf.tags != tags:
            raise ValueError(f"{name}: expected a CRF of {tags} tags, got one of {crf.tags}")
        self.dropout, self.pad = probability(f"{name}: dropout", dropout), pad
        self.embedding = Embedding(vocabulary_size, embedding)
        self.characters = characters
        width = embedding + (characters.width if characters else 0)
        kind: Any = {"bidirectional": bidirectional, "checkpoint": checkpoint}
        self.recurrent = made_layer(name, cell, width, hidden, layers, dropout=dropout, **kind)
        self.head = Linear(hidden * (2 if bidirectional else 1), tags)
        self.crf = crf

    def forward(self, x: Any, lengths: Any = None, spelling: Any = None) -> Tensor:
        name = type(self).__name__
        words = embedded(self, x)
        if lengths is not None:
            read_lengths(name, lengths, *words.shape[:2])
        if self.characters is not None:
            if spelling is None:
                raise ValueError(
                    f"{name}: has a character encoder; give spelling=(characters, lengths)"
                )
            words = engine.concat([words, self.characters(*spelling)], axis=-1)
        elif spelling is not None:
            raise ValueError(
                f"{name}: spelling is given, and no character encoder to read it; make the model "
                "with characters=CharacterEncoder(...)"
            )
        y, _ = self.recurrent(dropped(self, words), lengths=lengths)
        return self.head(dropped(self, y))

    def loss(self, x: Any, lengths: Any, y: Any, spelling: Any = None) -> Tensor:
        """Return the mean loss per tag of y (T, B), in nats; with a CRF the mean per sequence.

        Raises ValueError for padding alone; with a CRF for a row of it, or between tags.
        """
        name = type(self).__name__
        if self.crf is None:
            return masked_loss(name, self(x, lengths, spelling), y, lengths, self.pad)
        if self.pad is not None:
            lengths = _ends(name, y, lengths, self.pad)
        return engine.mean(-self.crf.log_likelihood(self(x, lengths, spelling), y, lengths))

    def predict(self, x: Any, lengths: Any = None, spelling: Any = None) -> Array:
        """Return the best tags (T, B) in evaluation mode, 0 past the end of a row."""
        with evaluating(self):
            emissions = self(x, lengths, spelling)
            if self.crf is not None:
                return self.crf.viterbi(emissions, lengths)[0].numpy()
            best = engine.argmax(emissions, axis=-1)
            if lengths is None:
                return best.numpy()
            return engine.where(sequence_mask(lengths, best.shape[0], best.device), best, 0).numpy()


def _ends(where: str, y: Any, lengths: Any, pad: int) -> Array:
    """Return the lengths (B,) of rows of y (T, B), of which padding may only be the end."""
    tags = integers(where, "y", y, "(T, B)", 2).numpy()
    steps = HOST.xp.arange(len(tags))[:, None]
    kept = tags != pad
    if lengths is not None:
        read_lengths(where, lengths, *tags.shape)
        kept = kept & (steps < engine.asarray(lengths).numpy())
    ends: Array = kept.sum(axis=0)
    if (between := (kept != (steps < ends)).any(axis=0)).any():
        raise ValueError(
            f"{where}: pad = {pad} stands between the tags of row {int(between.argmax())}; with a "
            "CRF it may only end a row: take a pad that is no tag"
        )
    if not ends.all():
        raise ValueError(
            f"{where}: no tag is left in row {int(ends.argmin())}: all are padding (pad = {pad}); "
            "leave such a row out"
        )
    return ends
