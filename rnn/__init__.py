"""Build recurrent networks: cells as equations, layers over time, training, sampling, checkpoints.

Read `modules/`, `cells/`, `layers/` and `wrappers/`, `models/` of these; `initializers.py` and
`initialization.py` (first values); `optim/`, `schedules/`, `clipping/`, `metrics/`, `training/`;
`data/`, `decoding/`, `online/` (other gradients than BPTT's), `inspection/`, `serialization/`,
`interop/` (PyTorch, Keras, ONNX) and `command/` (the command line).
"""

from typing import TYPE_CHECKING

import rnn.shadowed  # noqa: F401  # it checks what all others import

# isort: split
from engine import __version__ as __version__
from rnn import (
    cells,
    data,
    decoding,
    distributed,
    initializers,
    interop,
    metrics,
    models,
    online,
    optim,
    schedules,
    sweeps,
    training,
)
from rnn.cells import *
from rnn.clipping.clip import clip_grad_norm, clip_grad_value, grad_norm
from rnn.data import Vocabulary
from rnn.decoding import beam_search, generate, sample
from rnn.initialization import forget_bias, initialize
from rnn.inspection.observe import observe
from rnn.inspection.probes import Probe
from rnn.inspection.summary import Summary, summary
from rnn.layers.packing import PackedSequence, pack_padded, pad_packed
from rnn.layers.pytorch import GRU, LSTM, RNN
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.layers.truncation import Cut, Truncated, cut_edges, truncated
from rnn.models import (
    CRF,
    Attention,
    Captioner,
    Classifier,
    Decoder,
    EchoStateNetwork,
    Encoder,
    LanguageModel,
    OutputRecurrent,
    Seq2Seq,
    Sequential,
    Tagger,
    ridge,
)
from rnn.modules.feedforward import Dropout, Embedding, LayerNorm, Linear
from rnn.modules.module import Module, parameter
from rnn.serialization.saving import load, save
from rnn.sweeps import sweep
from rnn.training import Callback, Checkpoints, History, evaluate, fit, predict
from rnn.wrappers.regularizers import RecurrentDropout, VariationalDropout, WeightDropout, Zoneout
from rnn.wrappers.wrapper import Wrapper, wrapped

if not TYPE_CHECKING:  # to which every name would then be one

    def __getattr__(name: str) -> object:
        """Return what has a new name; raise AttributeError for others, with what to write here."""
        import warnings

        from rnn.instead import RENAMED, told

        if new := RENAMED.get(name):
            warnings.warn(f"rnn.{name} is called rnn.{new} now", DeprecationWarning, stacklevel=2)
            return globals()[new]
        raise AttributeError(f"module 'rnn' has no attribute {name!r}{told(name, __all__)}")


__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "Bidirectional",
    "Callback",
    "Captioner",
    "Checkpoints",
    "Classifier",
    "Cut",
    "Decoder",
    "Dropout",
    "EchoStateNetwork",
    "Embedding",
    "Encoder",
    "History",
    "LanguageModel",
    "LayerNorm",
    "Linear",
    "Module",
    "OutputRecurrent",
    "PackedSequence",
    "Probe",
    "Recurrent",
    "RecurrentDropout",
    "Seq2Seq",
    "Sequential",
    "Stacked",
    "Summary",
    "Tagger",
    "Truncated",
    "VariationalDropout",
    "Vocabulary",
    "WeightDropout",
    "Wrapper",
    "Zoneout",
    "__version__",
    "beam_search",
    "clip_grad_norm",
    "clip_grad_value",
    "cut_edges",
    "data",
    "decoding",
    "distributed",
    "evaluate",
    "fit",
    "forget_bias",
    "generate",
    "grad_norm",
    "initialize",
    "initializers",
    "interop",
    "load",
    "metrics",
    "models",
    "observe",
    "online",
    "optim",
    "pack_padded",
    "pad_packed",
    "parameter",
    "predict",
    "ridge",
    "sample",
    "save",
    "schedules",
    "summary",
    "sweep",
    "sweeps",
    "training",
    "truncated",
    "wrapped",
]
__all__ += cells.__all__


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
