"""Share layers among the models of several examples. Below the examples, above `rnn`."""

from collections.abc import Callable
from typing import Any

import engine
import rnn
from engine import Tensor
from rnn.models.blocks import CELLS


def _layer(name: str) -> Callable[[int, int], Any]:
    """Return what makes a layer of the cell of that name."""
    return lambda width, hidden: rnn.Recurrent(CELLS[name](width, hidden))


# The recurrent layers, as --cell calls them.
LAYERS: dict[str, Callable[[int, int], Any]] = {name: _layer(name) for name in CELLS} | {
    "rnn": rnn.RNN, "lstm": rnn.LSTM, "gru": rnn.GRU
}  # fmt: skip
NAMES = ", ".join(LAYERS)
NAMED: dict[str, Any] = {"choices": sorted(LAYERS), "metavar": "NAME"}  # what --cell takes


def hide(ids: Tensor, share: float, unk: int) -> Tensor:
    """Drop words: return the indices with a share of them, drawn at every call, made unknown."""
    if not share:
        return ids
    kept = engine.dropout(engine.ones(ids.shape, device=ids.device), share) > 0
    return engine.where(kept, ids, unk)
