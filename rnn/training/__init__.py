"""Train by `fit`, with callbacks, and with checkpoints to go on from.

Read `run.py` (what was asked for, the state of a run, callbacks), `updating.py` (the loss and the
gradients of a step), `loop.py` (the loop) and `fit.py`, the door, with `arguments.py` and
`monitoring.py` (its arguments, checked). Then what the loop does, each in a file: `reading.py`
(batches), `validating.py`, `stopping.py`, `history.py` (with the log), `progress.py` (and the
picture); `checkpoints.py` (files), `snapshot.py` (what is in them), `resuming.py` (when they are
written, and read); `carrying.py` (carried states) and `over_ranks.py` (several processes).
`measuring.py` has `evaluate` and `predict`. Above modules, optimisers, schedules and metrics.
"""

from typing import TYPE_CHECKING

from engine.random import random_state, set_random_state
from engine.suggestions import teller
from rnn.instead import NAMES
from rnn.metrics import (
    BLEU,
    NLL,
    Accuracy,
    BitsPerCharacter,
    Metric,
    Perplexity,
    SpanF1,
    bits,
    bleu,
    perplexity,
)
from rnn.training.averaging import EMA
from rnn.training.callbacks import GradientPictures, TensorBoard
from rnn.training.checkpoints import Checkpoint, Checkpoints, read_checkpoint
from rnn.training.fit import fit
from rnn.training.history import History, Step, Validation
from rnn.training.measuring import evaluate, predict
from rnn.training.progress import plot_history
from rnn.training.run import Callback

__all__ = ["BLEU", "EMA", "NLL", "Accuracy", "BitsPerCharacter", "Callback",
           "Checkpoint", "Checkpoints", "GradientPictures", "History", "Metric",
           "Perplexity", "SpanF1", "Step", "TensorBoard", "Validation", "bits",
           "bleu", "evaluate", "fit", "perplexity", "plot_history", "predict",
           "random_state", "read_checkpoint", "set_random_state"]  # fmt: skip

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, NAMES)
