"""Training on several processes, which MPI starts and connects: ``fit(..., distributed=True)``.

Read `communicator.py` (the processes, called ranks, and what they send), `faults.py` (an error on
one ends all), `sharing.py` (the rows of a batch that a rank takes), `sums.py` (gradients added over
ranks), `devices.py` (where: on their devices or on the host), `agreement.py` (what ranks decide
together). Below `rnn/training`. The library, mpi4py, is imported when a `Communicator` is made.

One sequence on several ranks, each with its stretch of time: `sequences.py` cuts it and checks that
ranks call alike, `links.py` moves tensors between ranks with a derivative, `exchange.py` scans
affine maps over ranks, `maps.py` puts that on the graph, `affine.py` runs affine recurrences and
`layers.py` layers of affine cells, by `staged.py` where states go on entry by entry.
"""

from rnn.distributed.affine import affine_scan
from rnn.distributed.communicator import Communicator, found
from rnn.distributed.layers import run_stretch
from rnn.distributed.sequences import stretch
from rnn.distributed.sharing import Share, bounds

__all__ = ["Communicator", "Share", "affine_scan", "bounds", "found", "run_stretch", "stretch"]
