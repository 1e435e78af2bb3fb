"""Run one function for many settings, on processes, threads or machines.

`sweep.py` is the door; `space.py` makes the settings, `running.py` runs trials,
`records.py` is their file, `trials.py` the results with their picture. Above `training`.
"""

from rnn.sweeps.records import read_sweep
from rnn.sweeps.space import Distribution, choice, integers, log_uniform, uniform
from rnn.sweeps.sweep import sweep
from rnn.sweeps.trials import Sweep, Trial

__all__ = ["Distribution", "Sweep", "Trial", "choice", "integers", "log_uniform",
           "read_sweep", "sweep", "uniform"]  # fmt: skip
