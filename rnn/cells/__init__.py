"""Cells: the equations of one step, a family a file or a room.

`declaration.py`, `step.py` and `base.py` have the class of all of them, `pytorch.py` makes
parameters as PyTorch's layers have them.
Rooms: `memories/` (states that are matrices), `continuous/` (differential equations), `spiking/`.
"""

from rnn.cells.base import Cell
from rnn.cells.continuous import CfCCell, LMUCell, LTCCell, hippo
from rnn.cells.elman import ElmanCell
from rnn.cells.equations import latex
from rnn.cells.gated import MinimalGatedCell, OneGateGRUCell, ResetBeforeGRUCell
from rnn.cells.gru import GRUCell
from rnn.cells.independent import IndRNNCell
from rnn.cells.jordan import ElmanJordanCell, JordanCell
from rnn.cells.linear import (
    LRUCell,
    MambaCell,
    MinGRUCell,
    MinLSTMCell,
    QRNNCell,
    RGLRUCell,
    RWKV4Cell,
    S4DCell,
    SRUCell,
)
from rnn.cells.lstm import LSTMCell
from rnn.cells.lstm_variants import CoupledLSTMCell, LayerNormLSTMCell, PeepholeLSTMCell
from rnn.cells.memories import DeltaNetCell, LinearAttentionCell, MLSTMCell
from rnn.cells.reservoir import EchoStateCell
from rnn.cells.slstm import SLSTMCell
from rnn.cells.spiking import ALIFCell, LIFCell, spike
from rnn.cells.textbook import TextbookCell

__all__ = [
    "ALIFCell",
    "Cell",
    "CfCCell",
    "CoupledLSTMCell",
    "DeltaNetCell",
    "EchoStateCell",
    "ElmanCell",
    "ElmanJordanCell",
    "GRUCell",
    "IndRNNCell",
    "JordanCell",
    "LIFCell",
    "LMUCell",
    "LRUCell",
    "LSTMCell",
    "LTCCell",
    "LayerNormLSTMCell",
    "LinearAttentionCell",
    "MLSTMCell",
    "MambaCell",
    "MinGRUCell",
    "MinLSTMCell",
    "MinimalGatedCell",
    "OneGateGRUCell",
    "PeepholeLSTMCell",
    "QRNNCell",
    "RGLRUCell",
    "RWKV4Cell",
    "ResetBeforeGRUCell",
    "S4DCell",
    "SLSTMCell",
    "SRUCell",
    "TextbookCell",
    "hippo",
    "latex",
    "spike",
]
