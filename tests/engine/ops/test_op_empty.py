"""Test ops and gradients on tensors without elements: rows of width 0, no rows, no classes."""

import math
from typing import Any

import numpy as np
import pytest

import engine

SHAPES = [(3, 0), (0, 3), (0, 0), (2, 0, 3)]


def leaf(*shape: int) -> Any:
    return engine.asarray(np.zeros(shape), requires_grad=True)


def positions(count: int) -> np.ndarray:
    """Return two positions on an axis, none where it has none."""
    return np.zeros(2 if count else 0, int)


USES: dict[str, Any] = {
    "take": lambda x: engine.take(x, positions(len(x)), axis=0),
    "take the last": lambda x: engine.take(x, positions(x.shape[-1]), axis=-1),
    "embedding": lambda x: engine.embedding(x, positions(len(x))),
    "no rows of it": lambda x: x[np.zeros(0, int)],
    "repeat": lambda x: engine.repeat(x, 2, axis=0),
    "repeat columns": lambda x: engine.repeat(x, 2, axis=1),
    "tile": lambda x: engine.tile(x, (2, 1)),
    "scatter_add": lambda x: engine.scatter_add(
        x, positions(len(x)), engine.ones((len(positions(len(x))), *x.shape[1:]), dtype="float64")
    ),
    "linear": lambda x: engine.linear(x, leaf(4, x.shape[-1]), leaf(4)),
    "linear to nothing": lambda x: engine.linear(x, leaf(0, x.shape[-1]), leaf(0)),
    "matmul": lambda x: x @ engine.matrix_transpose(x),
    "softmax": lambda x: engine.softmax(x, axis=-1),
    "softmax of columns": lambda x: engine.softmax(x, axis=0),
    "log_softmax": lambda x: engine.log_softmax(x, axis=-1),
    "logsumexp": lambda x: engine.logsumexp(x, axis=1),
    "cumulative_sum": lambda x: engine.cumulative_sum(x, axis=1),
    "cumulative_prod": lambda x: engine.cumulative_prod(x, axis=1),
    "cummax": lambda x: engine.cummax(x, axis=0),
    "prod": lambda x: engine.prod(x, axis=1),
    "norm": lambda x: engine.norm(x, axis=1),
    "norm 3": lambda x: engine.norm(x, ord=3),
    "sort": lambda x: engine.sort(x, axis=1),
    "concat": lambda x: engine.concat([x, x], axis=1),
    "stack": lambda x: engine.stack([x, x]),
    "layer_norm": engine.layer_norm,
    "einsum": lambda x: engine.einsum("i...j->i", x),
    "vecdot": lambda x: engine.vecdot(x, x),
    "pad": lambda x: engine.pad(x, 1),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", USES)
def test_gradients_of_nothing_have_its_shape(name, shape):
    x = leaf(*shape)
    out = USES[name](x)
    (g,) = engine.gradients(engine.sum(out), [x], create_graph=True)
    assert g.shape == shape
    assert g.numpy().size == 0
    (second,) = engine.gradients(engine.sum(g * g) + engine.sum(x), [x])
    assert second.shape == shape


def test_weights_of_empty_rows_have_a_gradient():
    x, weight, bias = leaf(0, 3), leaf(4, 3), leaf(4)
    for g, like in zip(
        engine.gradients(engine.sum(engine.linear(x, weight, bias)), [weight, bias]),
        (weight, bias), strict=True,
    ):  # fmt: skip
        assert g.shape == like.shape
        assert not g.numpy().any()


def test_norms_of_nothing():
    for order, expected in (
        (-1, math.inf),
        (0, 0),
        (0.5, 0),
        (1, 0),
        (2, 0),
        (3, 0),
        (math.inf, 0),
    ):
        with np.errstate(divide="ignore"):
            assert engine.norm(engine.zeros(0), ord=order).item() == expected
            found = engine.norm(engine.zeros((2, 0)), ord=order, axis=1)
        assert found.numpy().tolist() == [expected] * 2


def test_sums_over_nothing():
    assert engine.softmax(engine.zeros((2, 0)), axis=1).shape == (2, 0)
    assert engine.log_softmax(engine.zeros((2, 0)), axis=1).shape == (2, 0)
    assert engine.logsumexp(engine.zeros((2, 0)), axis=1).numpy().tolist() == [-math.inf] * 2
    for order in (1, 2, math.inf, "nuc", "fro"):
        for shape in ((0, 2), (2, 0), (3, 0, 2)):
            found = engine.linalg.matrix_norm(engine.ones(shape), ord=order)
            assert found.shape == shape[:-2]
            assert not found.numpy().any()
