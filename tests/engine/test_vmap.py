"""Compare `vmap` with a loop over the examples; test its derivatives and its refusals."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import engine
from engine.errors import RecurrenceWarning
from tests.draws import leaf, normal

W, X = engine.asarray(normal(3, 2)), engine.asarray(normal(5, 3, salt=1))


def looped(f: Any, xs: Any) -> np.ndarray:
    return np.stack([f(x).numpy() for x in xs])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: engine.tanh(x @ W),
        lambda x: engine.softmax(x) * x.sum(),
        lambda x: engine.grad(lambda w: engine.tanh(x @ w).sum())(W),
        lambda x: engine.hessian(lambda x: (engine.tanh(x @ W) ** 2).sum())(x),
        lambda x: engine.jacobian(lambda x: engine.exp(x @ W))(x),
        lambda x: engine.scan(lambda h, x: (0.5 * h + x, h), 0.0 * x[0], x)[1],
        lambda x: engine.vmap(lambda y: x * y)(x),
        lambda x: W,
    ],
)
def test_vmap_is_a_loop_over_the_examples(f):
    np.testing.assert_allclose(engine.vmap(f)(X).numpy(), looped(f, X), rtol=1e-6, atol=1e-7)


def test_axes_and_pytrees_in_and_out():
    def f(pair: Any, w: Any, b: Any) -> Any:
        return {"y": pair[0] @ w + b, "z": (pair[1],)}

    found = engine.vmap(f, in_axes=(1, None, -1))((X.T, X.T), W, engine.ones((2, 5)))
    np.testing.assert_allclose(found["y"].numpy(), X.numpy() @ W.numpy() + 1, rtol=1e-6)
    np.testing.assert_array_equal(found["z"][0].numpy(), X.numpy())
    np.testing.assert_array_equal(engine.vmap(lambda x: x, in_axes=1)(X).numpy(), X.numpy().T)


def test_the_gradient_goes_through():
    w = leaf(W.numpy())
    engine.sum(engine.vmap(lambda x: engine.tanh(x @ w) ** 2)(X)).backward()
    expected = engine.grad(lambda w: engine.sum(engine.tanh(X @ w) ** 2))(W)
    np.testing.assert_allclose(w.grad.numpy(), expected.numpy(), rtol=1e-5)


def test_gradients_of_each_example_sum_to_that_of_all():
    def loss(w: Any, x: Any) -> Any:
        return engine.sum(engine.tanh(x @ w) ** 2)

    each = engine.vmap(engine.grad(loss), in_axes=(None, 0))(W, X)
    assert each.shape == (5, 3, 2)
    whole = engine.grad(loss)(W, X)
    np.testing.assert_allclose(each.numpy().sum(axis=0), whole.numpy(), rtol=1e-5, atol=1e-6)


def test_what_cannot_be_recorded_runs_in_a_loop_and_says_so():
    def f(x: Any) -> Any:
        return x if float(x.sum()) > 0 else -x

    def g(x: Any) -> Any:
        return -x if float(x.sum()) > 0 else x

    with pytest.warns(RecurrenceWarning, match=r"says_so.<locals>.f runs in a loop"):
        found = engine.vmap(f)(X)
    with pytest.warns(RecurrenceWarning, match=r"says_so.<locals>.g runs in a loop"):
        engine.vmap(g)(X)  # each function is told of once
    np.testing.assert_array_equal(found.numpy(), looped(f, X))


class WithoutHash:
    def __eq__(self, other: object) -> bool:
        return True

    def __call__(self, x: Any) -> Any:
        return x if float(x.sum()) > 0 else -x


def test_an_object_that_has_no_hash_is_warned_of_by_its_class():
    with pytest.warns(RecurrenceWarning, match="WithoutHash runs in a loop"):
        found = engine.vmap(WithoutHash())(X)
    np.testing.assert_array_equal(found.numpy(), looped(WithoutHash(), X))


@pytest.mark.parametrize(
    ("axes", "args", "told"),
    [
        ((0,), (X, X), "an axis or None for each of 2 arguments"), ("0", (X,), "in_axes must be"),
        ((0, 1), (X, X), r"one length to map over, got lengths \[3, 5\]"),
        (None, (X,), "got no argument"), (2, (X,), r"argument 0 of shape \(5, 3\) has no axis 2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(axes, args, told):
    with pytest.raises(ValueError, match=f"^vmap: .*{told}"):
        engine.vmap(lambda *xs: xs[0], in_axes=axes)(*args)


# ---- value_and_grad with more, hessian, dataclasses


def test_what_is_returned_besides_the_value():
    def f(x: Any) -> Any:
        return x * x, {"twice": [2 * x]}

    (value, aux), g = engine.value_and_grad(f, has_aux=True)(3.0)
    assert (value.item(), aux["twice"][0].item(), g.item()) == (9.0, 6.0, 6.0)
    g, aux = engine.grad(f, has_aux=True)(3.0)
    assert (g.item(), aux["twice"][0].item()) == (6.0, 6.0)
    for wrong, told in ((lambda x: x, "got Tensor"), (lambda x: (x, 1, 2), "got 3 values")):
        with pytest.raises(TypeError, match=rf"has_aux: f must return \(value, aux\), {told}"):
            engine.grad(wrong, has_aux=True)(1.0)


def test_a_hessian_by_the_named_argument():
    def f(a: Any, b: Any) -> Any:
        return engine.sum(a * b**3)

    a, b = engine.asarray([1.0, 2.0]), engine.asarray([3.0, 4.0])
    np.testing.assert_allclose(
        engine.hessian(f, 1)(a, b).numpy(), np.diag(6 * a.numpy() * b.numpy())
    )
    np.testing.assert_array_equal(engine.hessian(f)(a, b).numpy(), np.zeros((2, 2)))
    third = engine.grad(lambda b: engine.sum(engine.hessian(f, 1)(a, b)))(b)
    np.testing.assert_allclose(third.numpy(), 6 * a.numpy())
    with pytest.raises(TypeError, match="hessian: argnums must be the number of one argument"):
        engine.hessian(f, (0, 1))
    with pytest.raises(TypeError, match="hessian: f must return one tensor, got dict"):
        engine.hessian(lambda p: (p["a"] ** 2).sum())({"a": a})


@dataclasses.dataclass(frozen=True, repr=False)
class State:
    """Count how often a state is checked."""

    h: Any
    rate: float = dataclasses.field(default=0.5, metadata={"static": True})

    def __post_init__(self) -> None:
        assert self.rate < 1


def test_dataclasses_are_pytrees():
    def step(s: State, x: Any) -> Any:
        return State(s.rate * s.h + x, s.rate), s

    final, ys = engine.scan(step, State(0.0 * X[0]), X)
    plain, states = engine.scan(lambda h, x: (0.5 * h + x, h), 0.0 * X[0], X)
    assert (type(final), final.rate, ys.rate) == (State, 0.5, 0.5)
    np.testing.assert_array_equal(final.h.numpy(), plain.numpy())
    np.testing.assert_array_equal(ys.h.numpy(), states.numpy())
    g = engine.grad(lambda s: engine.sum(s.h**2))(State(X))
    np.testing.assert_array_equal(g.h.numpy(), 2 * X.numpy())
    with pytest.raises(
        ValueError, match=r"form State\(h=\*, rate=0.25\), expected State\(h=\*, ra"
    ):
        engine.scan(lambda s, x: (State(s.h, 0.25), x), State(0.0 * X[0]), X)
