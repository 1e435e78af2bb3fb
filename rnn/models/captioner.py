"""One to many: a sequence from a vector, as captions are written. Above `free_running.py`."""

from typing import Any

import engine
from engine import Tensor
from rnn.models.decoder import Decoder, DecoderState
from rnn.models.free_running import Writer, shifted
from rnn.models.stacks import masked_loss
from rnn.models.state_projection import Bridge
from rnn.modules.modes import evaluating


class Captioner(Writer):
    """A decoder with a first state from features (B, F): ``(features, y) -> logits``.

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
