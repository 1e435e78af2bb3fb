"""Training on several processes, which MPI starts and connects: ``fit(..., distributed=True)``.

Read `communicator.py` (the processes, called ranks, and what they send), `faults.py` (an error on
one ends all), `sharing.py` (the rows of a batch that a rank takes), `sums.py` (gradients added over
ranks), `agreement.py` (what ranks decide together). Below `rnn/training`. The library, mpi4py, is
imported when a `Communicator` is made.
"""

from rnn.distributed.communicator import Communicator, found
from rnn.distributed.sharing import Share, bounds

__all__ = ["Communicator", "Share", "bounds", "found"]
