"""The functions beyond the array API standard, for recurrent work: activations, losses, indexing.

`engine` offers every name here as its own.
"""

from engine.backends.numpy import float16
from engine.ops.activations import elu, erf, gelu, leaky_relu, relu, sigmoid, silu, softplus
from engine.ops.contractions import einsum, outer
from engine.ops.convolution import conv1d
from engine.ops.ctc import ctc_loss
from engine.ops.cumulative import cumprod, cumsum
from engine.ops.dropout import dropout
from engine.ops.indexing import add_at, embedding, put_along_axis, scatter_add
from engine.ops.loss_pairs import binary_cross_entropy_with_logits, huber_loss, l1_loss, mse_loss
from engine.ops.losses import cross_entropy, nll_loss
from engine.ops.normalization import layer_norm
from engine.ops.products import linear
from engine.ops.rearranging import diag, diagonal, pad, swapaxes, trace
from engine.ops.reductions import log_softmax, logsumexp, softmax
from engine.ops.searching import topk
from engine.ops.shaping import split
from engine.ops.statistics import norm
from engine.ops.stopping import stop_gradient

__all__ = [
    "add_at",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "cross_entropy",
    "ctc_loss",
    "cumprod",
    "cumsum",
    "diag",
    "diagonal",
    "dropout",
    "einsum",
    "elu",
    "embedding",
    "erf",
    "float16",
    "gelu",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsumexp",
    "mse_loss",
    "nll_loss",
    "norm",
    "outer",
    "pad",
    "put_along_axis",
    "relu",
    "scatter_add",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "split",
    "stop_gradient",
    "swapaxes",
    "topk",
    "trace",
]
