"""Make cells by name, from the sizes of their input and their output. Below `stacks.py`.

A matrix memory has heads of 32 numbers where its output divides into such, else one.
"""

from collections.abc import Callable
from typing import Any

from rnn import cells
from rnn.cells import Cell

Make = Callable[[int, int], Cell]
HEAD = 32  # numbers of a head


def _memory(kind: Callable[..., Cell], **settings: Any) -> Make:
    """Return what makes a matrix memory that puts out H numbers, in heads."""

    def make(width: int, hidden: int) -> Cell:
        heads = hidden // HEAD if hidden % HEAD == 0 else 1
        return kind(width, hidden // heads, heads=heads, **settings)

    return make


def _channels(kind: Callable[[int], Cell]) -> Make:
    """Return what makes a cell of channels, as many in as out. Raises ValueError for others."""

    def make(width: int, hidden: int) -> Cell:
        if width != hidden:
            raise ValueError(
                f"{kind.__name__} puts out as many numbers as it reads, {width}; "
                f"expected {hidden} inputs, as hidden is"
            )
        return kind(width)

    return make


def _lru(width: int) -> Cell:
    return cells.LRUCell(width, width)


_lru.__name__ = cells.LRUCell.__name__

CELLS: dict[str, Make] = {
    "rnn": cells.ElmanCell,
    "lstm": cells.LSTMCell,
    "gru": cells.GRUCell,
    "mingru": cells.MinGRUCell,
    "minlstm": cells.MinLSTMCell,
    "sru": cells.SRUCell,
    "qrnn": cells.QRNNCell,
    "rglru": cells.RGLRUCell,
    "lru": _channels(_lru),
    "s4d": _channels(cells.S4DCell),
    "mamba": _channels(cells.MambaCell),
    "rwkv4": cells.RWKV4Cell,
    "linear_attention": _memory(cells.LinearAttentionCell),
    "retnet": _memory(cells.LinearAttentionCell, decay="fixed"),
    "mamba2": _memory(cells.LinearAttentionCell, decay="scalar"),
    "gla": _memory(cells.LinearAttentionCell, decay="key"),
    "hgrn2": _memory(cells.LinearAttentionCell, decay="key", tied=True, temperature=1.0),
    "deltanet": _memory(cells.DeltaNetCell),
    "deltanet_negative": _memory(cells.DeltaNetCell, negative=True),
    "gated_deltanet": _memory(cells.DeltaNetCell, gated=True),
    "slstm": cells.SLSTMCell,
    "mlstm": _memory(cells.MLSTMCell),
    "cfc": cells.CfCCell,
    "ltc": cells.LTCCell,
    "lmu": cells.LMUCell,
    "lif": cells.LIFCell,
    "alif": cells.ALIFCell,
}
