"""Cells: the equations of one step, a family a file."""

from rnn.cells.base import Cell
from rnn.cells.elman import ElmanCell
from rnn.cells.equations import latex
from rnn.cells.gated import MinimalGatedCell, OneGateGRUCell, ResetBeforeGRUCell
from rnn.cells.gru import GRUCell
from rnn.cells.independent import IndRNNCell
from rnn.cells.jordan import ElmanJordanCell, JordanCell
from rnn.cells.lstm import LSTMCell
from rnn.cells.lstm_variants import CoupledLSTMCell, LayerNormLSTMCell, PeepholeLSTMCell
from rnn.cells.teaching import TeachingCell

__all__ = [
    "Cell",
    "CoupledLSTMCell",
    "ElmanCell",
    "ElmanJordanCell",
    "GRUCell",
    "IndRNNCell",
    "JordanCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "MinimalGatedCell",
    "OneGateGRUCell",
    "PeepholeLSTMCell",
    "ResetBeforeGRUCell",
    "TeachingCell",
    "latex",
]
