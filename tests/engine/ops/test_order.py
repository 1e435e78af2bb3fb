"""Compare fmax, fmin, kthvalue, median with NumPy and PyTorch: values, ties, NaN, derivatives."""

import math
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import leaf, normal

NAN, INF = math.nan, math.inf
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


# ---- extremes that pass over NaN

LEFT = np.array([1.0, NAN, 2.0, NAN, 3.0, -INF, 0.0, 5.0])
RIGHT = np.array([4.0, 5.0, NAN, NAN, 3.0, NAN, -0.0, -INF])


@DTYPES
@pytest.mark.parametrize("name", ["fmax", "fmin"])
def test_extremes_are_numpys(name, dtype):
    x, y = LEFT.astype(dtype), RIGHT.astype(dtype)
    ours, theirs = getattr(engine, name), getattr(np, name)
    for left, right in ((x, y), (y, x), (x[:, None], y), (x, 1.5), (1.5, x), (x, np.nan)):
        expected = theirs(left, right).astype(dtype)
        found = ours(*(engine.asarray(a) if isinstance(a, np.ndarray) else a
                       for a in (left, right)))  # fmt: skip
        np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    np.testing.assert_array_equal(theirs(engine.asarray(x), y).numpy(), theirs(x, y))


@pytest.mark.parametrize("name", ["fmax", "fmin"])
def test_extremes_of_integers(name):
    x, y = np.array([1, 5, -2]), np.array([3, 5, -7], "int32")
    found = getattr(engine, name)(engine.asarray(x), engine.asarray(y))
    np.testing.assert_array_equal(found.numpy(), getattr(np, name)(x, y), strict=True)


def test_the_gradient_goes_where_the_value_came_from():
    x, y = leaf(LEFT), leaf(RIGHT)
    for f, first in ((engine.fmax, [0, 0, 1, 0, 0.5, 1, 0.5, 1]),
                     (engine.fmin, [1, 0, 1, 0, 0.5, 1, 0.5, 0])):  # fmt: skip
        found = [g.numpy() for g in engine.gradients(engine.sum(f(x, y)), [x, y])]
        assert found[0].tolist() == first
        assert (found[0] + found[1]).tolist() == [1.0] * 8


@pytest.mark.parametrize("name", ["fmax", "fmin"])
def test_gradients_of_extremes_are_pytorchs_off_ties(name):
    torch = pytest.importorskip("torch")
    apart = [0, 1, 2, 5, 7]
    ours = [leaf(a[apart]) for a in (LEFT, RIGHT)]
    theirs = [torch.tensor(a[apart], requires_grad=True) for a in (LEFT, RIGHT)]
    getattr(torch, name)(*theirs).sum().backward()
    found = engine.gradients(engine.sum(getattr(engine, name)(*ours)), ours)
    for g, x in zip(found, theirs, strict=True):
        np.testing.assert_array_equal(g.numpy(), x.grad.numpy())
    assert engine.gradcheck(getattr(engine, name), [normal(3, 4), normal(4, salt=1)], 2)


# ---- the k-th smallest

ROWS = np.array([[3.0, 1.0, 2.0, 1.0], [5.0, 5.0, 5.0, 5.0], [NAN, 0.0, -1.0, INF]])


@DTYPES
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_the_kth_smallest(axis, keepdims, dtype):
    x = ROWS.astype(dtype)
    for k in range(1, x.shape[axis] + 1):
        value, place = engine.kthvalue(engine.asarray(x), k, axis=axis, keepdims=keepdims)
        expected = np.take(np.sort(x, axis), [k - 1], axis)
        expected = expected if keepdims else np.squeeze(expected, axis)
        np.testing.assert_array_equal(value.numpy(), expected, strict=True)
        at = place.numpy() if keepdims else np.expand_dims(place.numpy(), axis)
        again = np.take_along_axis(x, at, axis)
        np.testing.assert_array_equal(again if keepdims else np.squeeze(again, axis), expected)
        torch = pytest.importorskip("torch")
        theirs = torch.kthvalue(torch.tensor(x), k, dim=axis, keepdim=keepdims).values
        np.testing.assert_array_equal(value.numpy(), theirs.numpy())


def test_the_gradient_of_the_kth_smallest():
    x = leaf(ROWS[:2])
    value, place = engine.kthvalue(x, 2)
    (g,) = engine.gradients(engine.sum(value * np.array([1.0, 10.0])), [x])
    assert g.numpy().tolist() == [[0, 0, 0, 1], [0, 10, 0, 0]]  # of equal ones the second
    assert not place.requires_grad
    assert engine.gradcheck(lambda x: engine.kthvalue(x, 2, axis=0)[0], [normal(3, 4)], 2)
    assert engine.kthvalue(engine.asarray([7.0]), 1)[0].item() == 7


@pytest.mark.parametrize(("k", "kind"), [(0, ValueError), (5, ValueError), (1.0, TypeError),
                                         (True, TypeError), (-1, ValueError)])  # fmt: skip
def test_a_k_that_is_none_is_refused(k, kind):
    with pytest.raises(kind, match="kthvalue: k must"):
        engine.kthvalue(engine.asarray(ROWS), k)
    with pytest.raises(ValueError, match="lie in 1 to 0"):
        engine.kthvalue(engine.zeros((2, 0)), 1)
    with pytest.raises(IndexError, match="axis 2 is out of bounds"):
        engine.kthvalue(engine.asarray(ROWS), 1, axis=2)


# ---- the median

TABLES: dict[str, np.ndarray] = {
    "odd": normal(3, 5), "even": normal(4, 6, salt=1), "ties": ROWS[:2], "one": normal(1, 1),
    "nan": ROWS, "infinite": np.array([[-INF, INF], [INF, INF], [-INF, 1.0]]),
    "three axes": normal(2, 3, 4), "integers": np.array([[3, 1, 2, 2], [9, 7, 8, 1]]),
    "booleans": np.array([[True, False], [True, True]]), "large": np.full((2, 2), 3e38),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TABLES)
def test_medians_are_numpys(name):
    x = TABLES[name]
    axes: list[Any] = [None, 0, 1, -1, (0, 1), (1, 0)] + ([(0, 2), 2] if x.ndim == 3 else [])
    for dtype in {x.dtype.name, "float32" if x.dtype.kind == "f" and name != "large" else "int64"}:
        own = x.astype(dtype) if name != "nan" or dtype[0] == "f" else x
        for axis in axes:
            for keepdims in (False, True):
                found = engine.median(engine.asarray(own), axis=axis, keepdims=keepdims)
                expected = np.median(own, axis=axis, keepdims=keepdims)
                np.testing.assert_allclose(found.numpy(), expected, rtol=1e-7)
                assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


def test_a_median_does_not_overflow():
    assert engine.median(engine.full((4,), 3e38)).item() == pytest.approx(3e38)


def test_medians_of_nothing_are_nan():
    assert math.isnan(engine.median(engine.zeros((0,))).item())
    found = engine.median(engine.zeros((0, 3)), axis=0)
    assert found.shape == (3,)
    assert np.isnan(found.numpy()).all()
    assert engine.median(engine.zeros((0, 3)), axis=1).shape == (0,)
    assert engine.median(engine.asarray(4.0)).item() == 4


def test_the_gradient_of_medians():
    x = leaf([3.0, 1.0, 2.0, 9.0])
    (g,) = engine.gradients(engine.median(x), [x])
    assert g.numpy().tolist() == [0.5, 0, 0.5, 0]
    x = leaf([[2.0, 2.0, 2.0], [5.0, 1.0, 4.0]])
    (g,) = engine.gradients(engine.sum(engine.median(x, axis=1)), [x])
    assert g.numpy().tolist() == [[0, 1, 0], [0, 0, 1]]
    x = leaf([1.0, NAN, 2.0])
    (g,) = engine.gradients(engine.median(x), [x])
    assert g.numpy().tolist() == [0, 1, 0]
    for axis in (None, 0, 1, (0, 1)):
        assert engine.gradcheck(lambda x, axis=axis: engine.median(x, axis=axis), [normal(3, 4)], 2)


def test_medians_of_odd_rows_are_pytorchs():
    torch = pytest.importorskip("torch")
    x = normal(4, 5)
    ours, theirs = leaf(x), torch.tensor(x, requires_grad=True)
    found, expected = engine.median(ours, axis=1), torch.median(theirs, dim=1).values
    np.testing.assert_array_equal(found.numpy(), expected.detach().numpy())
    expected.sum().backward()
    (g,) = engine.gradients(engine.sum(found), [ours])
    np.testing.assert_array_equal(g.numpy(), theirs.grad.numpy())
    even = torch.quantile(torch.tensor(x[:, :4]), 0.5, dim=1)
    np.testing.assert_allclose(engine.median(x[:, :4], axis=1).numpy(), even.numpy(), rtol=1e-14)


def test_medians_in_a_step(explicit):
    w, xs = normal(4, 4), leaf(normal(6, 3, 4))

    def step(h: Any, x: Any) -> Any:
        h = engine.tanh(h @ w + x - engine.median(h, axis=-1, keepdims=True))
        return h, engine.fmax(h, engine.kthvalue(h, 2, keepdims=True)[0])

    with engine.explicit():
        plain = engine.scan(step, engine.zeros((3, 4), dtype="float64"), xs)[1]
    found = engine.scan(step, engine.zeros((3, 4), dtype="float64"), xs)[1]
    np.testing.assert_allclose(found.numpy(), plain.numpy(), rtol=1e-12)
    for one, other in zip(*(engine.gradients(engine.sum(y * y), [xs]) for y in (found, plain)),
                          strict=True):  # fmt: skip
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)
