"""Run a sequence on several ranks of MPI, each with its stretch of time.

In reading order: `sequences.py` cuts and checks, `links.py` moves tensors between ranks with a
derivative, `exchange.py` scans affine maps over ranks, `affine.py` runs affine recurrences,
`layers.py` layers of affine cells.
"""

from rnn.distributed.affine import affine_scan
from rnn.distributed.layers import run_stretch
from rnn.distributed.sequences import stretch

__all__ = ["affine_scan", "run_stretch", "stretch"]
