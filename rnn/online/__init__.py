"""Compute gradients of recurrent cells without going back through all of time, beside BPTT.

In reading order: `influence.py` differentiates one step for each row of a batch and
carries the influence of the parameters on the states forward (RTRL, e-prop, SnAp-1), `steps.py`
yields a gradient after every step, `estimating.py` has every method under one name, the truncations
of BPTT too, and holds them against the true gradient. Above `layers/truncation.py`.
"""

from rnn.online.estimating import Comparison, compare, estimate, trained
from rnn.online.influence import METHODS
from rnn.online.steps import OnlineStep, steps

__all__ = ["METHODS", "Comparison", "OnlineStep", "compare", "estimate", "steps", "trained"]
