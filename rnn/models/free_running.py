"""What models that write sequences share: `decode`, `beam_search` and `stream` from a beginning.

Above `decoder.py`, below `seq2seq.py` and `captioner.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.checks import is_whole
from rnn.decoding import Hypothesis, Stream, beam_search, decode
from rnn.models.decoder import Decoder, DecoderState
from rnn.models.stacks import integers
from rnn.modules.module import Module


class Writer(Module):
    """Base class: a decoder with the indices to start and to end with. Write `begin`."""

    def __init__(self, decoder: Decoder, start: int, end: int, pad: int | None) -> None:
        V = decoder.head.weight.shape[0]
        for name, index in (("start", start), ("end", end), ("pad", 0 if pad is None else pad)):
            if not is_whole(index, 0) or index >= V:
                raise ValueError(f"{type(self).__name__}: {name} = {index!r} for {V} indices")
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
