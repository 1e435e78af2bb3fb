"""Recurrent networks: cells as equations, layers over time, training, sampling, checkpoints."""

from typing import TYPE_CHECKING, NoReturn

from rnn import (
    data,
    decoding,
    initializers,
    interop,
    models,
    online,
    optim,
    schedules,
    training,
)
from rnn.cells import (
    ALIFCell,
    Cell,
    CfCCell,
    CoupledLSTMCell,
    DeltaNetCell,
    EchoStateCell,
    ElmanCell,
    ElmanJordanCell,
    GRUCell,
    IndRNNCell,
    JordanCell,
    LayerNormLSTMCell,
    LIFCell,
    LinearAttentionCell,
    LMUCell,
    LRUCell,
    LSTMCell,
    LTCCell,
    MambaCell,
    MinGRUCell,
    MinimalGatedCell,
    MinLSTMCell,
    MLSTMCell,
    OneGateGRUCell,
    PeepholeLSTMCell,
    QRNNCell,
    ResetBeforeGRUCell,
    RGLRUCell,
    RWKV4Cell,
    S4DCell,
    SLSTMCell,
    SRUCell,
    TeachingCell,
    hippo,
    latex,
    spike,
)
from rnn.clipping import clip_grad_norm, clip_grad_value, grad_norm
from rnn.data import Vocabulary
from rnn.decoding import beam_search, generate, sample
from rnn.feedforward import Dropout, Embedding, LayerNorm, Linear
from rnn.initialization import forget_bias, initialize
from rnn.layers import GRU, LSTM, RNN
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
from rnn.module import Module, parameter
from rnn.observing import observe
from rnn.packing import PackedSequence, pack_padded, pad_packed
from rnn.probes import Probe
from rnn.recurrent import Recurrent
from rnn.regularizers import RecurrentDropout, VariationalDropout, WeightDropout, Zoneout
from rnn.saving import load, save
from rnn.stacking import Bidirectional, Stacked
from rnn.summarizing import Summary, summary
from rnn.training import Callback, Checkpoints, History, evaluate, fit, predict
from rnn.truncation import Cut, Truncated, cut_edges, truncated
from rnn.wrapping import Wrapper, wrapped

CONTAINERS = {"ModuleList": "a list", "ModuleDict": "a dict", "ParameterList": "a list",
              "ParameterDict": "a dict"}  # fmt: skip
INSTEAD = {
    "Parameter": "rnn.parameter(shape, bound) or engine.asarray(x, requires_grad=True)",
    "pack_padded_sequence": "rnn.pack_padded", "pad_packed_sequence": "rnn.pad_packed",
    "pad_sequence": "rnn.data.pad_sequences", "clip_grad_norm_": "rnn.clip_grad_norm",
    "clip_grad_value_": "rnn.clip_grad_value", "CrossEntropyLoss": "engine.cross_entropy",
    "MSELoss": "engine.mse_loss", "BCEWithLogitsLoss": "engine.binary_cross_entropy_with_logits",
    "Tanh": "engine.tanh", "ReLU": "engine.relu", "Sigmoid": "engine.sigmoid", "init":
    "rnn.initializers", "no_grad": "engine.no_grad", "lr_scheduler": "rnn.schedules",
}  # fmt: skip


if not TYPE_CHECKING:  # to which every name would then be one

    def __getattr__(name: str) -> NoReturn:
        """Raise AttributeError for a name that there is not, with the way to write it here."""
        told = f"module 'rnn' has no attribute {name!r}"
        if name in CONTAINERS:
            told += (
                f": assign {CONTAINERS[name]} to an attribute of your module; modules and "
                "parameters in it are found"
            )
        if name in INSTEAD:
            told += f"; write {INSTEAD[name]}"
        raise AttributeError(told)


__all__ = [
    "CRF",
    "GRU",
    "LSTM",
    "RNN",
    "ALIFCell",
    "Attention",
    "Bidirectional",
    "Callback",
    "Captioner",
    "Cell",
    "CfCCell",
    "Checkpoints",
    "Classifier",
    "CoupledLSTMCell",
    "Cut",
    "Decoder",
    "DeltaNetCell",
    "Dropout",
    "EchoStateCell",
    "EchoStateNetwork",
    "ElmanCell",
    "ElmanJordanCell",
    "Embedding",
    "Encoder",
    "GRUCell",
    "History",
    "IndRNNCell",
    "JordanCell",
    "LIFCell",
    "LMUCell",
    "LRUCell",
    "LSTMCell",
    "LTCCell",
    "LanguageModel",
    "LayerNorm",
    "LayerNormLSTMCell",
    "Linear",
    "LinearAttentionCell",
    "MLSTMCell",
    "MambaCell",
    "MinGRUCell",
    "MinLSTMCell",
    "MinimalGatedCell",
    "Module",
    "OneGateGRUCell",
    "OutputRecurrent",
    "PackedSequence",
    "PeepholeLSTMCell",
    "Probe",
    "QRNNCell",
    "RGLRUCell",
    "RWKV4Cell",
    "Recurrent",
    "RecurrentDropout",
    "ResetBeforeGRUCell",
    "S4DCell",
    "SLSTMCell",
    "SRUCell",
    "Seq2Seq",
    "Sequential",
    "Stacked",
    "Summary",
    "Tagger",
    "TeachingCell",
    "Truncated",
    "VariationalDropout",
    "Vocabulary",
    "WeightDropout",
    "Wrapper",
    "Zoneout",
    "beam_search",
    "clip_grad_norm",
    "clip_grad_value",
    "cut_edges",
    "data",
    "decoding",
    "evaluate",
    "fit",
    "forget_bias",
    "generate",
    "grad_norm",
    "hippo",
    "initialize",
    "initializers",
    "interop",
    "latex",
    "load",
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
    "spike",
    "summary",
    "training",
    "truncated",
    "wrapped",
]
