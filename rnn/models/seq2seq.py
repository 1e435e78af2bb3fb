"""Many to many, not aligned: read one sequence, write another. Above `free_running.py`."""

from math import prod
from typing import Any

from engine import Tensor
from rnn.cells.sizes import units
from rnn.models.decoder import Decoded, Decoder, DecoderState
from rnn.models.encoder import Encoder
from rnn.models.free_running import Writer, shifted
from rnn.models.stacks import masked_loss
from rnn.models.state_projection import Bridge, joined
from rnn.modules.modes import evaluating


class Seq2Seq(Writer):
    """An encoder and a decoder: ``(x, lengths, y, ratio=1.0, feedback="argmax") -> logits``.

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
