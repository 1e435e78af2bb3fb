"""Compare states that go on entry by entry, in stretches of time, with the steps; test refusals."""

import numpy as np
import pytest

import engine
from tests.draws import crossed, first

D = 3


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def leaf(x):
    return engine.asarray(x, requires_grad=True)


def both(step, init, xs, **options):
    """Return values and gradients of a loss that depends on all, by steps and in stretches."""
    found = []
    for method in ("steps", "stretches"):
        state, ys = engine.scan(step, init, xs, method=method, **options)
        states = state if isinstance(state, tuple) else (state,)
        ys = ys if isinstance(ys, tuple) else (ys,)
        loss = sum(engine.sum(x**3) for x in (*states, *ys))
        inputs = [*(init if isinstance(init, tuple) else (init,)), *xs]
        found.append([x.numpy() for x in (*states, *ys, *engine.gradients(loss, inputs))])
    return found


def close(pair, tolerance=1e-13):
    for one, other in zip(*pair, strict=True):
        scale = np.abs(one).max(initial=1e-300)
        np.testing.assert_allclose(other / scale, one / scale, rtol=0, atol=tolerance)


def decay(h, x):
    a, b = x
    y = engine.tanh(h) + a  # of the state before
    h = engine.sigmoid(a) * h + b
    return h, (y, engine.sin(h))


@pytest.mark.parametrize(
    ("T", "reverse"), first(3, crossed([257, 1000, 1, 2, 255, 256], [False, True]))
)
def test_stretches_equal_steps(T, reverse):
    xs = (leaf(numbers(T, 2, D)), leaf(numbers(T, 2, D, seed=1)))
    close(both(decay, leaf(numbers(2, D)), xs, reverse=reverse))


def test_a_state_that_reads_another_and_a_shift():
    def step(s, x):
        g, h, before = s
        a, b = x
        g = 0.9 * g + b
        h = engine.sigmoid(a) * h + engine.tanh(g) + before
        return (g, h, a), h

    xs = (leaf(numbers(600, D)), leaf(numbers(600, D, seed=1)))
    close(both(step, tuple(leaf(numbers(D, seed=n)) for n in range(3)), xs))


@pytest.mark.parametrize("value", [0.0, -0.95, 1.02, 1e-38])
def test_decays_of_any_number(value):
    def step(h, x):
        a, b = x
        h = a * h + b
        return h, h

    a = np.where(np.arange(600)[:, None] % 5 == 3, value, 0.9) + np.zeros(D)
    close(both(step, leaf(numbers(D)), (leaf(a), leaf(numbers(600, D)))), 1e-12)


def test_powers_have_the_derivatives_of_powers():
    # d^k a^n = n! / (n - k)! a^(n - k), through the recurrence h' = a h.
    T, a = 400, 0.97

    def power(x):
        def step(h, one):
            return x * h * one, None

        start, ones = engine.ones((), dtype="float64"), engine.ones(T, dtype="float64")
        return engine.scan(step, start, ones, method="stretches")[0]

    f, expected = power, a**T
    for k in range(4):
        np.testing.assert_allclose(f(leaf(np.float64(a))).item(), expected, rtol=1e-10)
        f, expected = engine.grad(f), expected * (T - k) / a


def test_a_nan_reaches_no_earlier_step():
    xs = [numbers(600, D), numbers(600, D, seed=1)]
    xs[1][300, 0] = np.nan
    y = engine.scan(decay, leaf(numbers(D)), tuple(map(leaf, xs)), method="stretches")[1][1].numpy()
    assert np.isfinite(y[:300]).all()
    assert np.isfinite(y[:, 1:]).all()
    assert np.isnan(y[300:, 0]).all()


def test_bits_do_not_depend_on_threads():
    xs = (leaf(numbers(1000, D)), leaf(numbers(1000, D, seed=1)))
    found = []
    before = engine.get_num_threads()
    try:
        for threads in (1, 2, 4):
            engine.set_num_threads(threads)
            y = engine.scan(decay, leaf(numbers(D)), xs, method="stretches")[1][1]
            found.append((y.numpy(), engine.gradients(engine.sum(y), xs)[0].numpy()))
    finally:
        engine.set_num_threads(before)
    for y, g in found[1:]:
        np.testing.assert_array_equal(y, found[0][0])
        np.testing.assert_array_equal(g, found[0][1])


REFUSED = {
    "a non-linear state": (lambda h, x: (engine.tanh(h) + x[0], h), "non-linear"),
    "mixed entries": (lambda h, x: (h[::-1] + x[0], h), "affine"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_stretches_cannot_do_is_refused_with_the_reason(name):
    step, reason = REFUSED[name]
    with pytest.raises(ValueError, match=f"method='stretches' does not apply: .*{reason}"):
        engine.scan(step, engine.zeros(D), (engine.ones((9, D)),), method="stretches")


def test_stretches_run_where_they_are_asked_for():
    def explained(**options):
        xs = (engine.ones((5000, 4)), engine.ones((5000, 4)))
        return engine.explain_scan(decay, engine.zeros(4), xs, **options)

    assert "method stretches" in explained(method="stretches")
    assert "method stretches" not in explained()


def test_a_million_steps():
    T = 1_000_000

    def count(h, x):
        h = h + x
        return h, h

    x = leaf(np.ones((T, 1)))
    state, y = engine.scan(count, engine.zeros(1, dtype="float64"), x, method="stretches")
    assert state.item() == T
    np.testing.assert_array_equal(y.numpy()[:, 0], np.arange(1, T + 1))
    (g,) = engine.gradients(engine.sum(y), [x])
    np.testing.assert_array_equal(g.numpy()[:, 0], np.arange(T, 0, -1))


@pytest.mark.parametrize("method", ["steps", "stretches"])
def test_no_steps_give_the_first_state(method):
    state, y = engine.scan(decay, engine.ones(D), (engine.ones((0, D)),) * 2, method=method)
    assert state.numpy().tolist() == [1.0] * D
    assert y[0].shape == (0, D)
