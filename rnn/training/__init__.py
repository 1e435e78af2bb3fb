"""Training: `fit`, what can be hung into it, and checkpoints to go on from.

`fit.py` is the door, `loop.py` the loop; every other file is one thing that the loop does. Above
modules, optimisers and schedules.
"""

from engine.random import random_state, set_random_state
from rnn.training.averaging import EMA
from rnn.training.callbacks import GradientPictures, TensorBoard
from rnn.training.checkpoints import Checkpoint, Checkpoints, read_checkpoint
from rnn.training.fit import fit
from rnn.training.history import History, Step, Validation
from rnn.training.measuring import evaluate, predict
from rnn.training.metrics import (
    BLEU,
    NLL,
    Accuracy,
    BitsPerCharacter,
    Metric,
    Perplexity,
    SpanF1,
    bits,
    perplexity,
)
from rnn.training.plots import plot_history
from rnn.training.run import Callback
from rnn.training.translations import bleu

__all__ = [
    "BLEU",
    "EMA",
    "NLL",
    "Accuracy",
    "BitsPerCharacter",
    "Callback",
    "Checkpoint",
    "Checkpoints",
    "GradientPictures",
    "History",
    "Metric",
    "Perplexity",
    "SpanF1",
    "Step",
    "TensorBoard",
    "Validation",
    "bits",
    "bleu",
    "evaluate",
    "fit",
    "perplexity",
    "plot_history",
    "predict",
    "random_state",
    "read_checkpoint",
    "set_random_state",
]
