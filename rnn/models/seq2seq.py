"""Write sequences from what was read: of a vector, as captions are, or of another sequence.

Above `decoder.py` and `encoder.py`.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import engine
from engine import Tensor
from engine.checks import is_whole
from rnn.cells import Cell
from rnn.cells.sizes import units
from rnn.decoding import Hypothesis, Stream, beam_search, decode
from rnn.models.decoder import Decoded, Decoder, DecoderState
from rnn.models.encoder import Encoder
from rnn.models.stacks import integers, masked_loss
from rnn.modules.feedforward import Linear
from rnn.modules.module import Module, evaluating


class Bridge(Module):
    """Compute tanh(W v + b) of a vector v (B, F), cut into the states of each layer of cells.

    A list of one state a cell, of the shapes that it declares. Raises ValueError for another shape
    than (B, F). Source: Bahdanau et al., Neural machine translation by jointly learning to align
    and translate, 2015, appendix A.2.2.

    >>> import engine, rnn
    >>> from rnn.models import Bridge
    >>> [h.shape for h in Bridge(3, [rnn.GRUCell(2, 4), rnn.GRUCell(4, 4)])(engine.ones((2, 3)))]
    [(2, 4), (2, 4)]
    """

    def __init__(self, features: int, cells: Sequence[Cell]) -> None:
        self._sizes = [list(map(units, cell.state_size.values())) for cell in cells]
        self.linear = Linear(features, sum(prod(size) for own in self._sizes for size in own))

    def forward(self, v: Any) -> list[Any]:
        x = engine.asarray(v, device=self.linear.weight.device)
        if x.ndim != 2 or x.shape[-1] != self.linear.weight.shape[1]:
            raise ValueError(
                f"Bridge: expected (B, F) with F = {self.linear.weight.shape[1]}, got {x.shape}"
            )
        all_states = engine.tanh(self.linear(x))
        states, first = [], 0
        for sizes in self._sizes:
            parts = []
            for size in sizes:
                part = all_states[:, first : first + prod(size)]
                parts.append(part if len(size) == 1 else part.reshape((x.shape[0], *size)))
                first += prod(size)
            states.append(parts[0] if len(parts) == 1 else tuple(parts))
        return states


def joined(states: Sequence[Any]) -> Tensor:
    """Return all states of all layers side by side (B, F)."""
    parts = [x if x.ndim == 2 else x.reshape((x.shape[0], -1))
             for one in states for x in (one if isinstance(one, tuple) else (one,))]  # fmt: skip
    return parts[0] if len(parts) == 1 else engine.concat(parts, axis=-1)


class Writer(Module):
    """Hold a decoder with the indices to start and to end with: a base class. Write `begin`."""

    def __init__(self, decoder: Decoder, start: int, end: int, pad: int | None) -> None:
        V = decoder.head.weight.shape[0]
        for name, index in (("start", start), ("end", end), ("pad", 0 if pad is None else pad)):
            if not is_whole(index, 0) or index >= V:
                raise ValueError(
                    f"{type(self).__name__}: expected {name} in 0 to {V - 1}, got {index!r}"
                )
        self.decoder = decoder
        self.start, self.end, self.pad = start, end, pad

    def begin(self, *given: Any) -> DecoderState:
        """Return the state that writing begins with, from what the model reads."""
        raise NotImplementedError(f"{type(self).__name__} has no begin(...); write one")

    def advance(self, indices: Any, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Return one step: indices (B,) -> logits (B, V), and the state."""
        return self.decoder.advance(indices, state)

    def decode(self, *given: Any, limit: int, **settings: Any) -> list[list[int]]:
        """Return the indices of each row, written greedily; the settings are those of `decode`."""
        state = self.begin(*given)
        start = self._start(state.cells)
        return decode(self.advance, start, state, end=self.end, limit=limit, **settings)

    def beam_search(self, *given: Any, limit: int, **settings: Any) -> list[list[Hypothesis]]:
        """Return the best indices for each row, with the settings of `beam_search`."""
        state = self.begin(*given)
        start = self._start(state.cells)
        return beam_search(self.advance, start, state, end=self.end, limit=limit, **settings)

    def stream(self, *given: Any, **settings: Any) -> Stream:
        """Return the same one step at a time: a `Stream` that has been fed the start."""
        state = self.begin(*given)
        return Stream(self.advance, state, end=self.end, **settings).feed(self._start(state.cells))

    def _start(self, cells: list[Any]) -> Tensor:
        return engine.full((_rows(cells).shape[0],), self.start, dtype=engine.int64)


def shifted(y: Any, start: int, cells: list[Any], where: str) -> Tensor:
    """Return the inputs of a decoder: `start`, then all of y (U, B) but the last."""
    like = _rows(cells)
    target = integers(where, "y", engine.asarray(y, device=like.device), "(U, B)", 2)
    if target.shape[1] != like.shape[0] or not target.shape[0]:
        raise ValueError(f"{where}: expected y (U, B) with B = {like.shape[0]}, got {target.shape}")
    return engine.concat([engine.full_like(target[:1], start), target[:-1]], axis=0)


def _rows(cells: list[Any]) -> Tensor:
    """Return a tensor of which axis 0 has the rows."""
    return cells[0][0] if isinstance(cells[0], tuple) else cells[0]  # type: ignore[no-any-return]


class Captioner(Writer):
    """Run a decoder with a first state from features (B, F): ``(features, y) -> logits``.

    y (U, B) are the indices to write, each row with its `end`, then `pad`; logits (U, B, V). The
    first step is fed `start`; `ratio` and `feedback` are those of `Decoder`. Raises ValueError for
    shapes that do not fit and a decoder with attention, IndexError for indices outside of V.
    Source: Vinyals et al., Show and tell, 2015, with the state from the features as in Xu et al.,
    Show, attend and tell, 2015, section 3.1.2.

    >>> import engine
    >>> from rnn.models import Captioner, Decoder
    >>> model = Captioner(3, Decoder(9, 4, 5), start=1, end=1, pad=0)
    >>> model(engine.ones((2, 3)), [[2, 3], [1, 1]]).shape
    (2, 2, 9)
    """

    def __init__(
        self, features: int, decoder: Decoder, *, start: int, end: int, pad: int | None = None
    ) -> None:
        super().__init__(decoder, start, end, pad)
        if decoder.attention is not None:
            raise ValueError("Captioner: one vector is nothing to attend over; give no attention")
        self.bridge = Bridge(features, decoder.cells)

    def forward(
        self, features: Any, y: Any, *, ratio: float = 1.0, feedback: str = "argmax"
    ) -> Tensor:
        state = self.decoder.start(self.bridge(features))
        given = shifted(y, self.start, state.cells, "Captioner")
        return self.decoder(given, state, ratio=ratio, feedback=feedback).logits

    def loss(
        self, features: Any, y: Any, *, ratio: float = 1.0, feedback: str = "argmax"
    ) -> Tensor:
        """Return the mean loss per index of y (U, B), in nats, without the padding."""
        logits = self(features, y, ratio=ratio, feedback=feedback)
        return masked_loss("Captioner", logits, y, pad=self.pad)

    def begin(self, features: Any) -> DecoderState:
        """Return the state that writing begins with, in evaluation mode."""
        with evaluating(self):
            return self.decoder.start(self.bridge(engine.asarray(features)))


class Seq2Seq(Writer):
    """Run an encoder and a decoder: ``(x, lengths, y, ratio=1.0, feedback="argmax") -> logits``.

    x (T, B) of `lengths` (B,), or None where all are whole; y (U, B) are the indices to write, each
    row with its `end`, then `pad`; logits (U, B, V). The first step is fed `start`. Where the
    decoder has as many layers, of the same states, as the encoder, it starts from the encoder's
    final states; else from a `Bridge` of them. `ratio` and `feedback` are those of `Decoder`.
    Sources: Sutskever et al., Sequence to sequence learning with neural networks, 2014; Cho et al.,
    Learning phrase representations using RNN encoder-decoder, 2014. Raises ValueError for parts
    that do not fit.

    >>> from rnn.models import Attention, Decoder, Encoder, Seq2Seq
    >>> decoder = Decoder(9, 4, 5, attention=Attention(5, 5, "dot"))
    >>> model = Seq2Seq(Encoder(8, 4, 5), decoder, start=1, end=1, pad=0)
    >>> model([[2, 3], [4, 0]], [2, 1], [[5, 6], [7, 1], [1, 0]]).shape
    (3, 2, 9)
    """

    def __init__(
        self, encoder: Encoder, decoder: Decoder, *, start: int, end: int, pad: int | None = None
    ) -> None:
        self.encoder = encoder
        super().__init__(decoder, start, end, pad)
        if decoder.attention is not None and decoder.attention.memory != encoder.width:
            raise ValueError(
                f"Seq2Seq: attention is over outputs of {decoder.attention.memory}, the encoder's "
                f"are of {encoder.width}"
            )
        first: Any = encoder.recurrent
        sides = encoder.width // encoder.hidden  # of which the states lie side by side
        sizes = [(*size[:-1], size[-1] * sides)
                 for size in map(units, first.cell.state_size.values())]  # fmt: skip
        own = [sizes] * encoder.layers
        same = own == [list(map(units, cell.state_size.values())) for cell in decoder.cells]
        features = sum(map(prod, sizes)) * encoder.layers
        self.bridge = None if same else Bridge(features, decoder.cells)

    def forward(
        self, x: Any, lengths: Any, y: Any, *, ratio: float = 1.0, feedback: str = "argmax"
    ) -> Tensor:
        return self.decoded(x, lengths, y, ratio=ratio, feedback=feedback).logits

    def decoded(
        self, x: Any, lengths: Any, y: Any, *, ratio: float = 1.0, feedback: str = "argmax"
    ) -> Decoded:
        """Return the logits with the state after them and attention's weights (U, B, T)."""
        state = self.encoded(x, lengths)
        given = shifted(y, self.start, state.cells, "Seq2Seq")
        return self.decoder(given, state, ratio=ratio, feedback=feedback)

    def encoded(self, x: Any, lengths: Any = None) -> DecoderState:
        """Return the state of the decoder after x (T, B) was read."""
        outputs, states = self.encoder(x, lengths)
        if self.bridge is not None:
            states = self.bridge(joined(states))
        return self.decoder.start(states, outputs, lengths)

    def begin(self, x: Any, lengths: Any = None) -> DecoderState:
        """Return the state that writing begins with, in evaluation mode."""
        with evaluating(self):
            return self.encoded(x, lengths)

    def loss(
        self, x: Any, lengths: Any, y: Any, *, ratio: float = 1.0, feedback: str = "argmax"
    ) -> Tensor:
        """Return the mean loss per index of y (U, B), in nats, without the padding."""
        logits = self(x, lengths, y, ratio=ratio, feedback=feedback)
        return masked_loss("Seq2Seq", logits, y, pad=self.pad)
