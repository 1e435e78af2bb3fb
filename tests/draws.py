"""Draw fixed random arrays and leaves for tests, the same in every run; mark slow tests."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import engine


def first(count: int, cases: Iterable[Any]) -> list[Any]:
    """Return the cases of a long draw, of which all after the first `count` are marked as slow."""
    return [
        case
        if place < count
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for place, case in enumerate(cases)
    ]


def ahead(few: Iterable[Any], cases: Iterable[Any]) -> list[Any]:
    """Return all cases, a few of them at the front: for `first`, which leaves those fast."""
    front, known = list(few), list(cases)
    assert not (unknown := [one for one in front if one not in known]), unknown
    return [*front, *(one for one in known if one not in front)]


def crossed(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Return all combinations of values; the first ones have every value of each axis."""
    rows: list[tuple[Any, ...]] = [()]
    for axis in map(list, axes):
        if len(axis) > len(rows):
            rows = [(*rows[(i + k) % len(rows)], x) for k in range(len(rows))
                    for i, x in enumerate(axis)]  # fmt: skip
        else:
            rows = [(*row, axis[(i + k) % len(axis)]) for k in range(len(axis))
                    for i, row in enumerate(rows)]  # fmt: skip
    return rows


def covering(*axes: Iterable[Any], parts: int = 1) -> list[Any]:
    """Return all combinations, the first of which have every value of each; the rest is slow.

    There are `parts` times as many of the first ones as the longest axis has values.
    """
    lists = [list(axis) for axis in axes]
    return first(parts * max(map(len, lists)), crossed(*lists))


def slow_beside(fast: str) -> pytest.MarkDecorator:
    """Mark a test as slow as a whole: the test `fast` of `make test` finds the same kind of fault.

    It stands in the same file, or in another as "engine/test_fuzz.py::test_name".
    """
    return pytest.mark.slow(beside=fast)


def normal(*shape: int, salt: int = 0) -> np.ndarray:
    """Draw normal numbers, which depend on shape and salt."""
    return np.asarray(np.random.default_rng([salt, *shape]).normal(size=shape))


def leaf(*values: Any, **options: Any) -> engine.Tensor:
    """Return a float64 leaf of these values that requires a gradient."""
    x = values[0] if len(values) == 1 else values
    return engine.asarray(np.asarray(x, "float64"), requires_grad=True, **options)


def normal_leaf(*shape: int, salt: int = 0, **options: Any) -> engine.Tensor:
    """Return a float64 leaf of normal numbers that requires a gradient."""
    return leaf(normal(*shape, salt=salt), **options)
