"""Test grad, value_and_grad and vjp: any nesting of arguments, any nesting of themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import leaf, normal


def test_grad_and_value_and_grad():
    value, g = engine.value_and_grad(lambda x, y: x * y * y)(2.0, 3.0)
    assert (value.item(), g.item()) == (18, 9)
    assert engine.grad(lambda x, y: x * y * y, argnums=1)(2.0, 3.0).item() == 12
    both = engine.grad(lambda x, y: x * y * y, argnums=(1, 0))(2.0, 3.0)
    assert [g.item() for g in both] == [12, 9]


def test_grad_counts_arguments_from_the_end():
    x, y = engine.asarray(2.0), engine.asarray(3.0)
    assert engine.grad(lambda x, y: x * y * y, argnums=-1)(x, y).item() == 12


def test_grad_of_grad_of_grad():
    f = engine.grad(engine.grad(engine.grad(lambda x: x**4 + engine.exp(x))))
    assert f(2.0).item() == pytest.approx(48 + np.exp(2), rel=1e-6)
    x = np.float64(0.3)
    third = engine.grad(engine.grad(engine.grad(engine.tanh)))
    t = np.tanh(x)
    expected = -2 * (1 - t**2) * (1 - 3 * t**2)
    assert third(np.asarray(x)).item() == pytest.approx(expected, rel=1e-13)


def test_grad_inside_a_function_sees_the_outer_variable():
    def inner(x: Any) -> Any:
        return engine.grad(lambda y: x * y * y)(engine.asarray(2.0))  # 2 x y = 4 x

    assert engine.grad(inner)(engine.asarray(3.0)).item() == 4


def test_a_gradient_penalty_reaches_the_weights():
    w = leaf(3.0)
    slope = engine.grad(lambda x: w * x * x)(engine.asarray(2.0))  # 2 w x = 12
    (slope**2).backward()  # d(4 w^2 x^2)/dw = 8 w x^2
    assert w.grad.item() == 96


def test_grad_by_pytrees_of_parameters():
    parameters = {"w": engine.ones((2, 3)), "rest": [engine.zeros(3), (engine.ones(1),)]}

    def loss(p: Any, x: Any) -> Any:
        return engine.sum(engine.tanh(x @ p["w"] + p["rest"][0]) * p["rest"][1][0])

    x = engine.asarray(normal(4, 2))
    value, found = engine.value_and_grad(loss)(parameters, x)
    assert found["w"].shape == (2, 3)
    assert isinstance(found["rest"][1], tuple)
    np.testing.assert_allclose(found["rest"][1][0].numpy(), [value.item()], rtol=1e-6)
    t = np.tanh(x.numpy() @ np.ones((2, 3)))
    np.testing.assert_allclose(found["rest"][0].numpy(), (1 - t * t).sum(0), rtol=1e-6)


def test_unused_parameters_have_a_gradient_of_zero():
    found = engine.grad(lambda p: p["a"] * 2)({"a": 1.0, "b": engine.ones((2, 2))})
    assert found["a"].item() == 2
    assert found["b"].numpy().tolist() == [[0, 0], [0, 0]]


def test_grad_is_by_its_argument_only():
    x = leaf(3.0)
    assert engine.grad(lambda y: y * y * x)(x).item() == 18  # and not 3 x^2 = 27


def test_vjp_pulls_back_more_than_once():
    out, pullback = engine.vjp(lambda x, y: x * y, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert out.numpy().tolist() == [3, 8]
    first, second = pullback(np.array([1.0, 10.0]))
    assert (first.numpy().tolist(), second.numpy().tolist()) == ([3, 40], [1, 20])
    assert pullback(np.array([0.0, 1.0]))[0].numpy().tolist() == [0, 4]


def test_vjp_leaves_the_arguments_alone():
    x = leaf(2.0)
    assert engine.grad(lambda x: x * x)(x).item() == 4
    assert x.grad is None


def test_differentiating_through_vjp():
    x = leaf(3.0)
    g = engine.grad(lambda x: x**3)(x)
    assert engine.gradients(g, [x])[0].item() == 18


def test_a_hessian_is_symmetric_and_right():
    a = normal(3, 3)

    def row(i: int) -> Callable[..., Any]:
        return lambda x: engine.grad(lambda x: engine.sum(engine.tanh(a @ x) ** 2))(x)[i]

    x = normal(3, salt=2)
    hessian = np.array([engine.grad(row(i))(x).numpy() for i in range(3)])
    t = np.tanh(a @ x)
    second = 2 * (1 - t**2) * (1 - 3 * t**2)
    np.testing.assert_allclose(hessian, a.T @ np.diag(second) @ a, rtol=1e-12, atol=1e-14)


def test_to_differentiate_is_what_was_asked_for_also_where_nothing_is_recorded():
    x = engine.asarray(3.0, requires_grad=True)
    with engine.no_grad():
        assert engine.grad(lambda q: q * q)(x).item() == 6.0
        assert engine.grad(engine.grad(lambda q: q**3))(x).item() == 18.0
        assert not engine.grad(lambda q: q * q)(x).requires_grad
