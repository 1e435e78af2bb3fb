"""What models of several examples are made of. Below the examples, above `rnn`."""

import engine
import rnn
from engine import Tensor

# The recurrent layers, as --cell calls them.
LAYERS: dict[str, type[rnn.RNN | rnn.LSTM | rnn.GRU]] = {
    "rnn": rnn.RNN, "lstm": rnn.LSTM, "gru": rnn.GRU
}  # fmt: skip


def hide(ids: Tensor, share: float, unk: int) -> Tensor:
    """Word dropout: the same indices with a share of them, drawn at every call, made unknown."""
    if not share:
        return ids
    kept = engine.dropout(engine.ones(ids.shape, device=ids.device), share) > 0
    return engine.where(kept, ids, unk)
