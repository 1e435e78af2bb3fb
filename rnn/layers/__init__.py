"""Run cells over time. Above the cells.

Read `packing.py` (batches without padding), `recurrent.py` (one cell over time), `stacked.py` (both
directions, several layers), `pytorch.py` (RNN, LSTM and GRU under PyTorch's names) and
`truncation.py` (losses that reach back only so far).
"""

from typing import TYPE_CHECKING

from engine.suggestions import teller
from rnn.instead import NAMES

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, NAMES)
