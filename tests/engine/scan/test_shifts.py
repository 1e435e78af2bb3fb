"""Test states that are shifts of inputs: there before the steps, with the numbers of the steps."""

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def leaf(x):
    return engine.asarray(x, requires_grad=True)


W, V, U = (leaf(0.5 * numbers(4, 3, seed=n)) for n in range(3))


def window(state, x):
    """Take a step of a QRNN with a window of three: two shifts, one of them of the other."""
    c, before, earlier = state
    a = engine.linear(x, W) + engine.linear(before, V) + engine.linear(earlier, U)
    f = engine.sigmoid(a)
    c = f * c + (1.0 - f) * engine.tanh(a)
    return (c, x, before), c * f


def results(x, init, method, **options):
    states, y = engine.scan(window, init, x, method=method, **options)
    loss = engine.sum(y**3) + sum(engine.sum(s**2) for s in states)
    return [z.numpy() for z in (*states, y, *engine.gradients(loss, [x, *init, W, V, U]))]


def inputs(T):
    init = tuple(leaf(numbers(*shape)) for shape in ((2, 4), (2, 3), (2, 3)))
    return leaf(numbers(T, 2, 3, seed=5)), init


@pytest.mark.parametrize(("T", "reverse"), covering([8, 9, 50], [False, True]))
def test_shifts_are_those_of_the_steps(T, reverse):
    x, init = inputs(T)
    assert "method shifts" in engine.explain_scan(window, init, x, reverse=reverse)
    one, other = (results(x, init, method, reverse=reverse) for method in ("steps", None))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12)


def test_the_product_with_the_input_before_is_hoisted():
    x, init = inputs(20)
    step = engine.explain_scan(window, init, x, method="steps")
    shifted = engine.explain_scan(window, init, x)
    assert "core in 2 levels" in step
    assert "method shifts" not in step
    assert "method shifts" in shifted


def test_second_order():
    x, init = inputs(12)

    def product(method):
        def loss(x):
            return engine.sum(engine.scan(window, init, x, method=method)[1] ** 3)

        return engine.grad(lambda x: engine.sum(engine.sin(engine.grad(loss)(x))))(x).numpy()

    np.testing.assert_allclose(product(None), product("steps"), rtol=1e-11, atol=1e-11)


def test_padding_keeps_away():
    x, init = inputs(12)
    bad = x.numpy().copy()
    bad[7:, 1] = np.nan
    y = engine.scan(window, init, leaf(bad), lengths=[12, 7])[1]
    assert np.isfinite(y.numpy()).all()


@pytest.mark.parametrize("pieces", [(30,), (8, 22), (1, 29), (15, 15)])
def test_pieces_of_a_quasi_recurrent_network_equal_the_whole(pieces):
    engine.seed(0)
    layer = rnn.Recurrent(rnn.QRNNCell(3, 4, dtype="float64"))
    x = engine.asarray(numbers(30, 2, 3))
    whole = layer(x)[0].numpy()
    state, parts, start = None, [], 0
    for length in pieces:
        y, state = layer(x[start : start + length], state)
        parts.append(y.numpy())
        start += length
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-13)


def test_a_state_that_follows_another_is_no_shift_beforehand():
    def step(state, x):
        h, before = state
        h = engine.tanh(engine.linear(x, W) + engine.linear(before, M) + h)
        return (h, h), h

    M = leaf(numbers(4, 4))
    init = (leaf(numbers(2, 4)), leaf(numbers(2, 4, seed=1)))
    assert "method shifts" not in engine.explain_scan(step, init, leaf(numbers(20, 2, 3)))
