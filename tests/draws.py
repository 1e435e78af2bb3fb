"""Fixed random arrays and leaves for the tests: the same in every run."""

from typing import Any

import numpy as np

import engine


def normal(*shape: int, salt: int = 0) -> np.ndarray:
    """Normal numbers, others for each shape and salt."""
    return np.asarray(np.random.default_rng([salt, *shape]).normal(size=shape))


def leaf(*values: Any, **options: Any) -> engine.Tensor:
    """A float64 leaf of these values that requires a gradient."""
    x = values[0] if len(values) == 1 else values
    return engine.asarray(np.asarray(x, "float64"), requires_grad=True, **options)


def normal_leaf(*shape: int, salt: int = 0, **options: Any) -> engine.Tensor:
    """A float64 leaf of normal numbers that requires a gradient."""
    return leaf(normal(*shape, salt=salt), **options)
