"""Recurrent networks: cells as equations, layers over time, training, sampling, checkpoints."""

from rnn import optim
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
from rnn.clipping import clip_grad_norm, grad_norm
from rnn.feedforward import Embedding, Linear
from rnn.layers import GRU, LSTM, RNN
from rnn.module import Module, parameter
from rnn.recurrent import Recurrent
from rnn.sampling import generate, sample
from rnn.saving import load, save

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "CoupledLSTMCell",
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
    "PeepholeLSTMCell",
    "Recurrent",
    "ResetBeforeGRUCell",
    "TeachingCell",
    "clip_grad_norm",
    "generate",
    "grad_norm",
    "latex",
    "load",
    "optim",
    "parameter",
    "sample",
    "save",
]
