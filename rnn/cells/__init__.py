"""Cells: the equations of one step, a cell a file."""

from rnn.cells.base import Cell
from rnn.cells.elman import ElmanCell
from rnn.cells.gru import GRUCell
from rnn.cells.lstm import LSTMCell

__all__ = ["Cell", "ElmanCell", "GRUCell", "LSTMCell"]
