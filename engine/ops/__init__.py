"""Every op of the engine, a family a file. Importing this fills the registry."""

from engine.ops import (
    creation,
    elementwise,
    indexing,
    logic,
    losses,
    products,
    reductions,
    shaping,
)

__all__ = [
    "creation",
    "elementwise",
    "indexing",
    "logic",
    "losses",
    "products",
    "reductions",
    "shaping",
]
