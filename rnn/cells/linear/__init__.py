"""Cells with a state that is linear in the one before it: gates see the input, not the state.

Read `minimal.py` first, where gates are the only idea; then `sru.py`, `qrnn.py` and `griffin.py`,
which gate a diagonal; `lru.py` and `s4d.py` with a complex, fixed diagonal; `mamba.py`, which
makes that of the input; `rwkv.py`, which keeps the logarithm of a scale beside a sum. What all
steps have in common, and products with the inputs, leave the scan: they are computed at once.
"""

from rnn.cells.linear.griffin import RGLRUCell
from rnn.cells.linear.lru import LRUCell
from rnn.cells.linear.mamba import MambaCell
from rnn.cells.linear.minimal import MinGRUCell, MinLSTMCell
from rnn.cells.linear.qrnn import QRNNCell
from rnn.cells.linear.rwkv import RWKV4Cell
from rnn.cells.linear.s4d import S4DCell
from rnn.cells.linear.sru import SRUCell

__all__ = [
    "LRUCell",
    "MambaCell",
    "MinGRUCell",
    "MinLSTMCell",
    "QRNNCell",
    "RGLRUCell",
    "RWKV4Cell",
    "S4DCell",
    "SRUCell",
]
