"""Define cells: the equations of one step, a family a file or a room.

`declaration.py` and `base.py` have the class of all, and of those with PyTorch's parameters.
A room: `linear/`, of states that are linear in the one before.
"""

from rnn.cells.base import Cell
from rnn.cells.continuous import CfCCell, LMUCell, LTCCell, hippo
from rnn.cells.elman import ElmanCell, ElmanJordanCell, IndRNNCell, JordanCell, TextbookCell
from rnn.cells.equations import latex
from rnn.cells.gru import GRUCell, MinimalGatedCell, OneGateGRUCell, ResetBeforeGRUCell
from rnn.cells.linear.gated import MinGRUCell, MinLSTMCell, QRNNCell, RGLRUCell, SRUCell
from rnn.cells.linear.spaces import LRUCell, MambaCell, RWKV4Cell, S4DCell
from rnn.cells.lstm import CoupledLSTMCell, LayerNormLSTMCell, LSTMCell, PeepholeLSTMCell
from rnn.cells.memories import DeltaNetCell, LinearAttentionCell
from rnn.cells.reservoir import EchoStateCell
from rnn.cells.spiking import ALIFCell, LIFCell, spike
from rnn.cells.xlstm import MLSTMCell, SLSTMCell

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
