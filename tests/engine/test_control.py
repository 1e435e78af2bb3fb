"""Test control flow by functions: what runs, its gradients, and what cannot be recorded."""

from dataclasses import dataclass

import numpy as np
import pytest

import engine
import rnn

X = engine.asarray([1.0, -2.0, 0.5])


def test_only_the_side_that_the_condition_selects_runs():
    def never(x):
        raise AssertionError

    assert engine.cond(True, engine.negative, never, 3.0).item() == -3
    assert engine.cond(X[0] < 0, never, engine.negative, 3.0).item() == -3
    for pred, want in ((1, 2), (0, 3), (0.5, 2), (np.bool_(False), 3), (engine.asarray(0), 3)):
        assert engine.cond(pred, lambda: 2, lambda: 3).item() == want


def test_operands_and_results_are_pytrees():
    found = engine.cond(
        X.sum() < 0, lambda p, q: {"a": p["b"] * q, "c": [q]}, lambda p, q: p, {"b": X}, 2.0
    )
    np.testing.assert_array_equal(found["a"].numpy(), 2 * X.numpy())
    assert found["c"][0].item() == 2
    assert all(isinstance(x, engine.Tensor) for x in (found["a"], found["c"][0]))


def test_gradients_are_those_of_what_ran():
    def f(x):
        return engine.cond(x.sum() > 0, lambda x: (x**3).sum(), lambda x: (5 * x).sum(), x)

    np.testing.assert_allclose(engine.grad(f)(abs(X)).numpy(), 3 * X.numpy() ** 2)
    np.testing.assert_allclose(engine.grad(f)(-abs(X)).numpy(), [5.0] * 3)
    engine.gradcheck(f, (X.astype(engine.float64),), order=2)

    # x <- x^2 / 2 while below 100, thrice from 6: the slope is that of x^8 / 2^7
    def loop(x):
        return engine.while_loop(lambda h: h < 100, lambda h: h * h / 2, x)

    x = 6.0
    assert loop(x).item() == x**4 / 2**3
    assert engine.grad(loop)(x).item() == 4 * x**3 / 2**3
    assert engine.grad(engine.grad(loop))(x).item() == 12 * x**2 / 2**3
    assert engine.grad(lambda a: engine.fori_loop(1, 4, lambda i, h: h * a**i, 1.0))(
        2.0
    ).item() == (6 * 2**5)


@dataclass(frozen=True)
class State:
    n: engine.Tensor
    h: engine.Tensor


def test_loops_carry_pytrees():
    def body(s):
        return State(s.n + 1, s.h / 2)

    s = engine.while_loop(lambda s: s.n < 5, body, State(0, X))
    assert s.n.item() == 5
    np.testing.assert_array_equal(s.h.numpy(), X.numpy() / 32)
    assert engine.while_loop(lambda s: s.n < 0, body, State(0, X)).h is X
    assert engine.fori_loop(3, 1, lambda i, x: x + 1, X) is X
    n = engine.asarray(3)
    seen = []
    engine.fori_loop(np.int64(1), n, lambda i, x: seen.append(i) or x, X)
    assert seen == [1, 2]


def test_conditions_with_axes_are_refused():
    for call in (
        lambda: engine.cond(X > 0, engine.exp, engine.negative, X),
        lambda: engine.cond([True], engine.exp, engine.negative, X),
        lambda: engine.while_loop(lambda h: h < 3, lambda h: h + 1, X),
    ):
        with pytest.raises(ValueError, match=r"must be one number, of shape \(\), got shape \(\d,\)"
                                             r"; to choose .*engine.where"):  # fmt: skip
            call()


def test_values_that_change_their_kind_are_refused():
    for body, text in (
        (lambda s: (s[0], s[1].sum()), r"was given float32\[3\] and returned float32\[\]"),
        (lambda s: (s[0] * 1.5, s[1]), r"was given int64\[\] and returned float64\[\]|float32\[\]"),
        (lambda s: s[0], r"body_fun was given \(\*, \*\) and returned \*; it must return the same"),
    ):
        for run in (
            lambda body=body: engine.while_loop(lambda s: True, body, (1, X)),
            lambda body=body: engine.fori_loop(0, 2, lambda i, s: body(s), (1, X)),
        ):
            with pytest.raises(ValueError, match=text):
                run()


def test_what_is_no_function_or_bound_is_refused():
    for call, text in (
        (
            lambda: engine.cond(True, 1.0, engine.exp, X),
            "cond: true_fun must be a function, got fl",
        ),
        (
            lambda: engine.cond(True, engine.exp, X, X),
            "cond: false_fun must be a function, got Tens",
        ),
        (lambda: engine.while_loop(X, engine.exp, X), "while_loop: cond_fun must be a function"),
        (
            lambda: engine.fori_loop(0, 3, X, X),
            "fori_loop: body_fun must be a function, got Tensor",
        ),
    ):
        with pytest.raises(TypeError, match=text):
            call()
    for bound in (1.5, engine.asarray(2.0), "3", X):
        with pytest.raises(ValueError, match="fori_loop: upper must be a whole number, got"):
            engine.fori_loop(0, bound, lambda i, x: x, X)


def test_a_step_that_decides_by_its_numbers_runs_in_a_loop_with_the_same_numbers():
    xs = engine.asarray([[1.0], [-1.0], [2.0], [-3.0]])

    def step(h, x):
        h = engine.cond(x.sum() > 0, lambda h: h * 2 + x, lambda h: engine.tanh(h), h)
        return h, h

    def loss(h, xs):
        return engine.scan(step, h, xs)[1].sum()

    h = engine.asarray([0.5])
    with pytest.warns(
        engine.RecurrenceWarning, match="engine.cond in the step decides by a number"
    ):
        found = engine.grad(loss, argnums=(0, 1))(h, xs)
    with engine.explicit():
        want = engine.grad(loss, argnums=(0, 1))(h, xs)
    for one, other in zip(found, want, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert "engine.where computes both" in str(engine.explain_scan(step, h, xs))


def test_a_side_that_is_not_selected_reaches_no_gradient():
    xs = engine.asarray([4.0, 0.0])  # where both sides are computed, sqrt'(0) times 0 is no number

    def step(h, x):
        return h + engine.cond(x > 0, engine.sqrt, engine.zeros_like, x), None

    with pytest.warns(engine.RecurrenceWarning, match="engine.cond"):
        g = engine.grad(lambda xs: engine.scan(step, 0.0, xs)[0])(xs)
    assert g.tolist() == [0.25, 0.0]


def test_control_by_what_is_known_is_recorded():
    cell = rnn.GRUCell(1, 2)

    def step(h, x):
        h = engine.cond(cell.training, lambda h: h * 0.5, engine.tanh, h)
        return engine.fori_loop(0, 2, lambda i, h: h + x * i, h), None

    xs = engine.ones((4, 1))
    assert "loop" not in str(engine.explain_scan(step, engine.ones(1), xs)).lower()
    found = engine.scan(step, engine.ones(1), xs)[0]
    with engine.explicit():
        np.testing.assert_allclose(found.numpy(), engine.scan(step, engine.ones(1), xs)[0].numpy())


def test_vmap_of_a_cond():
    with pytest.warns(engine.RecurrenceWarning, match="engine.cond"):
        found = engine.vmap(lambda x: engine.cond(x > 0, engine.exp, engine.negative, x))(X)
    np.testing.assert_allclose(
        found.numpy(), np.where(X.numpy() > 0, np.exp(X.numpy()), -X.numpy())
    )
