"""Matrix memories: cells with a matrix as state, which keys write to and queries read from.

Read `heads.py` first, the shapes that they share; then `linear_attention.py`, which adds outer
products or corrects what is stored; `mlstm.py`, with exponential gates.
"""

from rnn.cells.memories.linear_attention import DeltaNetCell, LinearAttentionCell
from rnn.cells.memories.mlstm import MLSTMCell

__all__ = ["DeltaNetCell", "LinearAttentionCell", "MLSTMCell"]
