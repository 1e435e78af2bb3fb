"""Layers of any cell in the place of `RNN`, `LSTM` and `GRU`. Below `stacks.py`."""

from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from rnn.cells import Cell
from rnn.layers.recurrent import Checkpoint, Recurrent
from rnn.layers.row_axes import with_row_axis
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.modules.module import Module


class OwnLayers(Module):
    """Layers of one cell each, or of two for both directions: ``(x, lengths=None) -> (y, states)``.

    x (T, B, I), y (T, B, H), both directions side by side; the states are as PyTorch has them,
    (layers * directions, B, ...) each, in a tuple where a cell has several.
    """

    def __init__(
        self, cells: Sequence[tuple[Cell, ...]], *, dropout: float, checkpoint: Checkpoint = False
    ) -> None:
        self.bidirectional = len(cells[0]) == 2
        kind: Any = Bidirectional if self.bidirectional else Recurrent
        self.stack = Stacked(
            [kind(*own, layer=number, checkpoint=checkpoint) for number, own in enumerate(cells)],
            dropout=dropout,
        )

    @property
    def cell(self) -> Cell:
        """Return the first cell; the states of all have its sizes."""
        first: Any = self.stack.layers[0]
        cell: Cell = (first.onward if self.bidirectional else first).cell
        return cell

    def forward(self, x: Tensor, *, lengths: Any = None) -> tuple[Tensor, Any]:
        y, finals = self.stack(x, None, lengths)
        runs = [run for pair in finals for run in pair] if self.bidirectional else finals
        if not isinstance(runs[0], tuple):
            return y, with_row_axis(engine.stack(runs), 1)
        joined = tuple(engine.stack(list(parts)) for parts in zip(*runs, strict=True))
        return y, with_row_axis(joined, 1)

    def last(self, y: Tensor, lengths: Any = None) -> Tensor:
        """Return the outputs (B, H) at the end of each row of y (T, B, H), zeros for rows of 0.

        The backward direction ends at the first step. The first state of a cell may be another
        thing than what it puts out.
        """
        T, B, H = y.shape
        if not T:
            return engine.zeros((B, H), dtype=y.dtype, device=y.device)
        if lengths is None:
            ends = y[-1]
        else:
            place = engine.maximum(engine.asarray(lengths, device=y.device) - 1, 0)
            index = engine.broadcast_to(place[None, :, None], (1, B, H))
            ends = engine.squeeze(engine.take_along_axis(y, index, axis=0), axis=0)
        half = H // 2
        return (
            engine.concat([ends[:, :half], y[0, :, half:]], axis=-1) if self.bidirectional else ends
        )
