"""Recurrent networks: cells as equations, layers over time, training, sampling, checkpoints."""

from rnn import initializers, interop, optim, schedules
from rnn.cells import (
    Cell,
    CoupledLSTMCell,
    ElmanCell,
    ElmanJordanCell,
    GRUCell,
    IndRNNCell,
    JordanCell,
    LayerNormLSTMCell,
    LSTMCell,
    MinimalGatedCell,
    OneGateGRUCell,
    PeepholeLSTMCell,
    ResetBeforeGRUCell,
    TeachingCell,
    latex,
)
from rnn.clipping import clip_grad_norm, clip_grad_value, grad_norm
from rnn.feedforward import Embedding, Linear
from rnn.initializers import forget_bias, initialize
from rnn.layers import GRU, LSTM, RNN
from rnn.module import Module, parameter
from rnn.observing import observe
from rnn.packing import PackedSequence, pack_padded, pad_packed
from rnn.probes import Probe
from rnn.recurrent import Recurrent
from rnn.regularizers import RecurrentDropout, VariationalDropout, WeightDropout, Zoneout
from rnn.sampling import generate, sample
from rnn.saving import load, save
from rnn.stacking import Bidirectional, Stacked
from rnn.truncation import Cut, Truncated, cut_edges, truncated
from rnn.wrapping import Wrapper, wrapped

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Cell",
    "CoupledLSTMCell",
    "Cut",
    "ElmanCell",
    "ElmanJordanCell",
    "Embedding",
    "GRUCell",
    "IndRNNCell",
    "JordanCell",
    "LSTMCell",
    "LayerNormLSTMCell",
    "Linear",
    "MinimalGatedCell",
    "Module",
    "OneGateGRUCell",
    "PackedSequence",
    "PeepholeLSTMCell",
    "Probe",
    "Recurrent",
    "RecurrentDropout",
    "ResetBeforeGRUCell",
    "Stacked",
    "TeachingCell",
    "Truncated",
    "VariationalDropout",
    "WeightDropout",
    "Wrapper",
    "Zoneout",
    "clip_grad_norm",
    "clip_grad_value",
    "cut_edges",
    "forget_bias",
    "generate",
    "grad_norm",
    "initialize",
    "initializers",
    "interop",
    "latex",
    "load",
    "observe",
    "optim",
    "pack_padded",
    "pad_packed",
    "parameter",
    "sample",
    "save",
    "schedules",
    "truncated",
    "wrapped",
]
