"""An array namespace that differentiates: tensors, explicit graphs, derivatives, recurrences.

Every rule of an op is written once against a namespace `xp`; called with NumPy or CuPy it
computes, called with this package it records. Start at `tensor.py`, `registry.py`, `apply.py`.
"""

import math

from engine import operators, random
from engine.apply import asarray, name_leaf
from engine.backends.numpy import bool_ as bool
from engine.backends.numpy import (
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from engine.backward import gradients
from engine.checking import GradientError, gradcheck
from engine.devices import device, synchronize, to
from engine.dtypes import astype
from engine.graph import Graph
from engine.measure import gradient_norms, norm
from engine.node import Node
from engine.op import Op
from engine.ops.creation import arange, full, ones, ones_like, zeros, zeros_like
from engine.ops.elementwise import abs_ as abs
from engine.ops.elementwise import (
    add,
    clip,
    cos,
    divide,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sign,
    sin,
    sqrt,
    subtract,
    tanh,
    where,
)
from engine.ops.indexing import embedding, scatter_add, take, take_along_axis
from engine.ops.logic import (
    bitwise_and,
    bitwise_invert,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    isfinite,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from engine.ops.losses import cross_entropy
from engine.ops.products import linear, matmul
from engine.ops.reductions import argmax, log_softmax, logsumexp, mean, softmax
from engine.ops.reductions import max_ as max
from engine.ops.reductions import min_ as min
from engine.ops.reductions import sum_ as sum
from engine.ops.shaping import (
    broadcast_to,
    concat,
    expand_dims,
    matrix_transpose,
    permute_dims,
    reshape,
    split,
    squeeze,
    stack,
)
from engine.random import seed
from engine.registry import REGISTRY
from engine.scan import Body, explain_scan, scan, scan_body
from engine.scan.expansion import expanded
from engine.scan.products import get_num_threads, set_num_threads
from engine.scope import Scope
from engine.state import equations, explicit, no_grad, scope
from engine.tensor import Tensor
from engine.transforms import grad, value_and_grad, vjp

pow = power
inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None

operators.install()

__all__ = [
    "REGISTRY",
    "Body",
    "GradientError",
    "Graph",
    "Node",
    "Op",
    "Scope",
    "Tensor",
    "abs",
    "add",
    "arange",
    "argmax",
    "asarray",
    "astype",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_or",
    "bitwise_xor",
    "bool",
    "broadcast_to",
    "clip",
    "concat",
    "cos",
    "cross_entropy",
    "device",
    "divide",
    "e",
    "embedding",
    "equal",
    "equations",
    "exp",
    "expand_dims",
    "expanded",
    "explain_scan",
    "explicit",
    "expm1",
    "float16",
    "float32",
    "float64",
    "full",
    "get_num_threads",
    "grad",
    "gradcheck",
    "gradient_norms",
    "gradients",
    "greater",
    "greater_equal",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isfinite",
    "less",
    "less_equal",
    "linear",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "name_leaf",
    "nan",
    "negative",
    "newaxis",
    "no_grad",
    "norm",
    "not_equal",
    "ones",
    "ones_like",
    "permute_dims",
    "pi",
    "pow",
    "power",
    "random",
    "relu",
    "reshape",
    "scan",
    "scan_body",
    "scatter_add",
    "scope",
    "seed",
    "set_num_threads",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "synchronize",
    "take",
    "take_along_axis",
    "tanh",
    "to",
    "uint8",
    "value_and_grad",
    "vjp",
    "where",
    "zeros",
    "zeros_like",
]
