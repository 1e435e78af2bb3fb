"""Every op of the engine, a family a file. Importing this fills the registry."""

from engine.ops import (
    convolution,
    creation,
    ctc,
    elementwise,
    indexing,
    logic,
    loss_pairs,
    loss_reduction,
    losses,
    normalization,
    products,
    reductions,
    shaping,
)

__all__ = [
    "convolution",
    "creation",
    "ctc",
    "elementwise",
    "indexing",
    "logic",
    "loss_pairs",
    "loss_reduction",
    "losses",
    "normalization",
    "products",
    "reductions",
    "shaping",
]
