"""Cells by name, each made of the sizes of its input and its output. Below `stacks.py`.

A matrix memory has heads of 32 numbers where its output divides into such, else one.
"""

from collections.abc import Callable
from typing import Any

from rnn.cells import (
    ALIFCell,
    Cell,
    CfCCell,
    DeltaNetCell,
    ElmanCell,
    GRUCell,
    LIFCell,
    LinearAttentionCell,
    LMUCell,
    LRUCell,
    LSTMCell,
    LTCCell,
    MambaCell,
    MinGRUCell,
    MinLSTMCell,
    MLSTMCell,
    QRNNCell,
    RGLRUCell,
    RWKV4Cell,
    S4DCell,
    SLSTMCell,
    SRUCell,
)

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
    return LRUCell(width, width)


_lru.__name__ = LRUCell.__name__

CELLS: dict[str, Make] = {
    "rnn": ElmanCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "mingru": MinGRUCell,
    "minlstm": MinLSTMCell,
    "sru": SRUCell,
    "qrnn": QRNNCell,
    "rglru": RGLRUCell,
    "lru": _channels(_lru),
    "s4d": _channels(S4DCell),
    "mamba": _channels(MambaCell),
    "rwkv4": RWKV4Cell,
    "linear_attention": _memory(LinearAttentionCell),
    "retnet": _memory(LinearAttentionCell, decay="fixed"),
    "mamba2": _memory(LinearAttentionCell, decay="scalar"),
    "gla": _memory(LinearAttentionCell, decay="key"),
    "hgrn2": _memory(LinearAttentionCell, decay="key", tied=True, temperature=1.0),
    "deltanet": _memory(DeltaNetCell),
    "deltanet_negative": _memory(DeltaNetCell, negative=True),
    "gated_deltanet": _memory(DeltaNetCell, gated=True),
    "slstm": SLSTMCell,
    "mlstm": _memory(MLSTMCell),
    "cfc": CfCCell,
    "ltc": LTCCell,
    "lmu": LMUCell,
    "lif": LIFCell,
    "alif": ALIFCell,
}
