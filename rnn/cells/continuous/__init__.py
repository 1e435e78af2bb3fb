"""Cells of continuous time: discretised differential equations.

Read `liquid.py` (liquid time constants, by a solver and in closed form), then `legendre.py`, which
remembers a window of the past as coefficients of polynomials.
"""

from rnn.cells.continuous.legendre import LMUCell, hippo
from rnn.cells.continuous.liquid import CfCCell, LTCCell

__all__ = ["CfCCell", "LMUCell", "LTCCell", "hippo"]
