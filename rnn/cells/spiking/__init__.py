"""Spiking cells: neurons that integrate, fire and start over.

Read `surrogates.py` (a step with the derivative of something smooth), then `integrate.py`.
"""

from rnn.cells.spiking.integrate import ALIFCell, LIFCell
from rnn.cells.spiking.surrogates import spike

__all__ = ["ALIFCell", "LIFCell", "spike"]
