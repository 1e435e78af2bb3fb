"""Test that a backward pass keeps arrays that its rules made, and copies those of others."""

import numpy as np
import pytest

import engine
from engine.backends import HOST
from engine.derivatives.accumulation import unshared
from engine.tensor import Tensor


def leaf(*shape):
    return engine.asarray(np.ones(shape, "float32"), requires_grad=True)


def test_an_array_is_unshared_where_nothing_else_reaches_its_memory():
    x = Tensor(np.zeros((2, 3)))
    assert unshared(x)
    for hold in (
        lambda: x._data, lambda: x._data[1:], lambda: memoryview(x._data), lambda: Tensor(x._data),
        lambda: [x._data], lambda: x._data.reshape(-1), lambda: np.from_dlpack(x._data),
    ):  # fmt: skip
        held = hold()
        assert not unshared(x)
        del held
        assert unshared(x)
    assert not unshared(Tensor(np.zeros((2, 3)).T))
    assert not unshared(Tensor(np.zeros((2, 3), order="F")))
    assert not unshared(Tensor(np.zeros(6)[:3]))


def test_one_array_for_two_inputs_becomes_two_gradients():
    x, y = leaf(4), leaf(4)
    seed = engine.asarray(np.arange(4.0, dtype="float32"))
    (x + y).backward(seed)
    arrays = [x.grad.data, y.grad.data, seed.data]
    for i, one in enumerate(arrays):
        assert not any(np.shares_memory(one, other) for other in arrays[i + 1 :])
    x.grad.data[...] = 7
    np.testing.assert_array_equal(y.grad.numpy(), np.arange(4))


def test_the_gradient_of_a_leaf_itself_is_not_the_seed_of_the_caller():
    x, seed = leaf(3), engine.ones(3)
    x.backward(seed)
    assert not np.shares_memory(x.grad.data, seed.data)


def test_what_a_hook_keeps_is_copied():
    kept, x = [], leaf(3)
    x.register_hook(kept.append)
    engine.sum(x * 2.0).backward()
    assert not np.shares_memory(x.grad.data, kept[0].data)


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_add_up_over_passes(create_graph):
    x, w = leaf(3, 4), leaf(4, 2)
    for times in (1.0, 2.0):
        engine.sum(x @ w).backward(create_graph=create_graph)
        np.testing.assert_array_equal(x.grad.numpy(), np.full((3, 4), 2 * times))
        np.testing.assert_array_equal(w.grad.numpy(), np.full((4, 2), 3 * times))
    first = x.grad
    x.grad = None
    engine.sum(x @ w).backward()
    np.testing.assert_array_equal(first.numpy(), np.full((3, 4), 4))


def test_what_a_product_made_is_not_copied(monkeypatch):
    copied = []

    def copies(arrays):
        copied.extend(array.shape for array in arrays)
        return [array.copy() for array in arrays]

    monkeypatch.setattr(HOST.xp, "copies", copies)
    x, w, b = leaf(300, 200), leaf(400, 200), leaf(400)
    engine.sum(engine.linear(x, w, b)).backward()
    assert copied == []
    engine.sum(x).backward()  # it has a gradient: the two are added
    y = leaf(3)
    engine.sum(y).backward()  # a view of one number
    assert copied == [(3,)]
