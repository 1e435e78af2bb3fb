"""Train on several processes, which MPI starts and connects: ``fit(..., distributed=True)``.

Read `communicator.py` (the processes, called ranks, what they send, and that an error on one ends
all), `sharing.py` (the rows of a batch that a rank takes), `sums.py` (gradients added over ranks,
on devices or on the host), `agreement.py` (what ranks decide together). Below `rnn/training`. The
library, mpi4py, is imported when a `Communicator` is made.

One sequence on several ranks, each with its stretch of time: `sequences.py` cuts it, checks that
ranks call alike and moves tensors between ranks, `affine.py` scans affine maps over time and ranks,
and `layers.py` runs layers of affine cells.
"""

from rnn.distributed.affine import affine_scan
from rnn.distributed.communicator import Communicator, found
from rnn.distributed.layers import run_stretch
from rnn.distributed.sequences import stretch
from rnn.distributed.sharing import Share, bounds

__all__ = ["Communicator", "Share", "affine_scan", "bounds", "found", "run_stretch", "stretch"]
