"""Test ops where a formula says 0 / 0 or 0 times infinity: limits, conventions, NaN.

A limit is the value; what is 0 by convention is 0 under any gradient; what has no limit is NaN.
"""

import math
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import normal

INF, NAN = math.inf, math.nan

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what is not finite


def slope(f: Any, x: Any) -> np.ndarray:
    """Return the gradient of the sum of f at x, which is the same recorded and not."""
    leaf = engine.asarray(np.asarray(x, float), requires_grad=True)
    found = [
        engine.gradients(engine.sum(f(leaf)), [leaf], create_graph=recorded)[0].numpy()
        for recorded in (False, True)
    ]
    np.testing.assert_array_equal(*found)
    return found[0]


def hessian(f: Any, x: Any) -> np.ndarray:
    """Return the matrix of second derivatives of f at x (n,)."""
    x = np.asarray(x, float)
    columns = [engine.hessian_vector_product(f, (x,), (one,))[0].numpy() for one in np.eye(x.size)]
    return np.stack(columns)


# ---- second derivatives


@pytest.mark.parametrize("x", [0.0, 1.0, -2.0])
def test_softplus_and_logaddexp_of_equal_arguments(x):
    np.testing.assert_allclose(
        hessian(lambda x: engine.logaddexp(x[0], x[1]), [x, x]), [[0.25, -0.25], [-0.25, 0.25]]
    )
    s = 1 / (1 + math.exp(-x))
    found = hessian(lambda x: engine.sum(engine.softplus(x)), [x])
    np.testing.assert_allclose(found, [[s * (1 - s)]])
    assert slope(lambda x: engine.logaddexp(x, engine.asarray(INF)), [INF]) == 0.5


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (2.0, 0.0, [[0, 0.5], [0.5, math.log(2) ** 2]]),
        (1.0, 0.0, [[0, 1], [1, 0]]),
        (0.0, 2.0, [[2, 0], [0, 0]]),
        (0.0, 3.0, [[0, 0], [0, 0]]),
        (1.0, 1.0, [[0, 1], [1, 0]]),
    ],
)
def test_power_by_both_of_its_arguments(x, y, expected):
    np.testing.assert_allclose(hessian(lambda v: v[0] ** v[1], [x, y]), expected)


def test_power_of_0_by_an_exponent_that_is_not_positive():
    assert slope(lambda y: 0.0**y, -1.0) == -INF
    assert slope(lambda y: 0**y, [0.0, 1.0]).tolist() == [0, 0]
    assert slope(lambda y: engine.zeros(2, dtype="float64") ** y, [-1.0, 2.0]).tolist() == [-INF, 0]


SQUARES: dict[str, Any] = {
    "a power": lambda n: n**2,
    "a square": engine.square,
    "a product": lambda n: n * n,
    "a product with more": lambda n: 0.5 * (n * (n * 2.0)),
    "a sum of both": lambda n: 0.5 * n * n + 0.5 * n**2,
}


@pytest.mark.parametrize("name", SQUARES)
@pytest.mark.parametrize("x", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [3.0, 0.0, -4.0]])
def test_the_square_of_a_norm_has_the_hessian_of_a_sum_of_squares(name, x):
    square = SQUARES[name]
    np.testing.assert_allclose(hessian(lambda x: square(engine.norm(x)), x), 2 * np.eye(3))
    of_rows = hessian(lambda x: engine.sum(square(engine.norm(x.reshape((3, 1)), axis=1))), x)
    np.testing.assert_allclose(of_rows, 2 * np.eye(3))
    flat = hessian(lambda x: square(engine.hypot(x[0], x[2])), x)
    np.testing.assert_allclose(flat, 2 * np.diag([1, 0, 1]), atol=1e-14)
    variance = hessian(lambda x: square(engine.std(x)), x)
    np.testing.assert_allclose(variance, (np.eye(3) - 1 / 3) * 2 / 3, atol=1e-14)
    np.testing.assert_allclose(
        hessian(lambda x: engine.sum(square(engine.abs(x))), x), 2 * np.eye(3)
    )


def test_a_norm_at_0_has_the_gradient_0_and_no_hessian():
    for f in (
        engine.norm, engine.std, lambda x: engine.norm(x) ** 1.5, lambda x: 3 * engine.std(x),
        lambda x: engine.hypot(x[0], x[1]),
    ):  # fmt: skip
        assert slope(f, [0.0, 0.0]).tolist() == [0, 0]
        assert np.isnan(hessian(f, [0.0, 0.0])).all()
    assert not hessian(lambda x: engine.norm(x) ** 3, [0.0, 0.0]).any()


# ---- a derivative that is 0 by convention

STEPS: dict[str, Any] = {
    "floor": engine.floor,
    "ceil": engine.ceil,
    "trunc": engine.trunc,
    "round": engine.round,
    "sign": lambda x: engine.sign(x) - 1,
    "floor_divide": lambda x: x // 1.0,
    "floor_divide by": lambda x: 0.25 // x,
    "power 0": lambda x: x**0 - 1,
    "copysign": lambda x: engine.copysign(engine.asarray(0.0), x),
    "abs": lambda x: engine.abs(x - 0.5),
    "relu": lambda x: engine.relu(x - 0.5),
    "clip": lambda x: engine.clip(x, -1.0, 0.0),
    "norm": lambda x: engine.norm(x - 0.5),
    "hypot": lambda x: engine.hypot(x - 0.5, 0.0),
    "where": lambda x: engine.where(x > 1, x, 0.0),
}


@pytest.mark.parametrize("name", STEPS)
def test_it_is_0_under_an_infinite_gradient(name):
    x = engine.asarray(0.5, dtype="float64", requires_grad=True)
    steps = STEPS[name](x)
    (g,) = engine.gradients(steps, [x], grads=np.float64(INF))
    assert g.item() == 0
    (g,) = engine.gradients(steps * 1.0 + x, [x], grads=np.float64(1.0))
    assert g.item() == 1


@pytest.mark.parametrize("order", [0.5, 0.9, 2, 3, INF, -1, -2, -INF])
def test_norms_with_zeros_among_the_elements(order):
    found = slope(lambda x: engine.norm(x, ord=order), [0.0, 3.0, 4.0])
    assert found[0] == 0
    if order > 0:
        x = np.array([3.0, 4.0])
        step = 1e-6 * np.eye(2)
        expected = [
            (np.linalg.norm(x + h, order) - np.linalg.norm(x - h, order)) / 2e-6 for h in step
        ]
        np.testing.assert_allclose(found[1:], expected, atol=1e-7)
    assert not slope(lambda x: engine.norm(x, ord=order), [0.0, 0.0]).any()


def test_a_norm_of_order_0_counts():
    assert engine.norm(engine.asarray([0.0, INF, 2.0]), ord=0).item() == 2
    assert not slope(lambda x: engine.norm(x, ord=0), [0.0, INF, 2.0]).any()


def test_copysign_at_0_is_flat_as_the_size_is():
    assert slope(lambda x: engine.copysign(x, 3.0), [0.0, -0.0, 2.0, -2.0]).tolist() == [
        0,
        0,
        1,
        -1,
    ]


@pytest.mark.parametrize("scale", [1e-200, 1e-20, 1.0, 1e20, 1e200])
def test_angles_at_any_distance_from_the_origin(scale):
    y, x = 3 * scale, 4 * scale
    np.testing.assert_allclose(slope(lambda y: engine.atan2(y, x), y), 4 / 25 / scale)
    np.testing.assert_allclose(slope(lambda x: engine.atan2(y, x), x), -3 / 25 / scale)
    assert slope(lambda y: engine.atan2(y, 0.0), 0.0) == 0


# ---- NaN


NAN_KEEPERS: dict[str, Any] = {
    "relu": engine.relu,
    "maximum": lambda x: engine.maximum(x, 0.0),
    "minimum": lambda x: engine.minimum(x, 0.0),
    "clip": lambda x: engine.clip(x, -1.0, 1.0),
    "max": lambda x: engine.max(x, axis=-1, keepdims=True),
    "min": lambda x: engine.min(x, axis=-1, keepdims=True),
    "abs": engine.abs,
    "silu": engine.silu,
    "gelu": engine.gelu,
    "gelu by tanh": lambda x: engine.gelu(x, approximate="tanh"),
    "elu": engine.elu,
    "leaky_relu": engine.leaky_relu,
    "softplus": engine.softplus,
    "logsumexp": lambda x: engine.logsumexp(x, axis=-1),
    "softmax": engine.softmax,
    "norm": lambda x: engine.norm(x, axis=-1),
    "std": lambda x: engine.std(x, axis=-1),
}


@pytest.mark.parametrize("name", NAN_KEEPERS)
def test_nan_is_handed_on_and_its_gradient_is_not_0(name):
    x = engine.asarray([[NAN], [0.5]], dtype="float64", requires_grad=True)
    out = NAN_KEEPERS[name](x)
    assert np.isnan(out.numpy()[0]).all()
    assert np.isfinite(out.numpy()[1]).all()
    (g,) = engine.gradients(engine.sum(out), [x])
    assert g.numpy()[0, 0] != 0
    assert np.isfinite(g.numpy()[1, 0])


@pytest.mark.parametrize("fold", [engine.max, engine.min])
def test_the_gradient_of_an_extreme_goes_to_its_nans(fold):
    assert slope(fold, [1.0, NAN, 3.0, NAN]).tolist() == [0, 0.5, 0, 0.5]


@pytest.mark.parametrize("name", ["relu", "maximum", "max"])
def test_a_kernel_hands_nan_on_too(name):
    f = {"max": lambda x: engine.max(x, axis=-1, keepdims=True) + 0 * x}.get(
        name, NAN_KEEPERS.get(name)
    )
    values = normal(4, 2, 3)
    values[1, 0, 1] = NAN
    found = []
    for unroll in (None, True):
        x = engine.asarray(values, requires_grad=True)
        _, ys = engine.scan(
            lambda h, x: ((n := engine.tanh(h + f(x))), n), engine.zeros((2, 3), dtype="float64"),
            x, unroll=unroll,
        )  # fmt: skip
        (g,) = engine.gradients(engine.sum(ys), [x])
        found.append((ys.numpy(), g.numpy()))
    for fused, explicit in zip(*found, strict=True):
        np.testing.assert_allclose(fused, explicit, rtol=1e-12)
    assert np.isnan(found[0][1][1, 0]).any()


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([INF, 1.0], [NAN, 0]),
        ([-INF, 1.0], [0, 1]),
        ([-INF, -INF], [0, 0]),
        ([NAN, 1.0], [NAN, NAN]),
        ([INF, -INF], [NAN, 0]),
    ],
)
def test_the_shares_in_a_logsumexp_of_what_is_not_finite(x, expected):
    np.testing.assert_array_equal(slope(engine.logsumexp, x), expected)


# ---- numbers that NumPy has


@pytest.mark.parametrize("correction", [2, 3, 2.5])
def test_a_variance_over_no_degrees_of_freedom(correction):
    for x in ([0.0, 1.0], [1.0, 1.0]):
        found = engine.var(engine.asarray(x), correction=correction).item()
        np.testing.assert_array_equal(found, np.var(x, ddof=correction))


def test_elu_keeps_its_slope_far_to_the_left():
    x = engine.asarray(np.float32([-15, -30, -80]), requires_grad=True)
    for f in (engine.elu, engine.expm1):
        (g,) = engine.gradients(engine.sum(f(x)), [x])
        np.testing.assert_allclose(g.numpy(), np.exp(np.float32([-15, -30, -80])), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint64", "int16", "bool"])
def test_integers_are_made_floats_before_they_are_subtracted(dtype):
    x = np.array([5, 1, 6, 2]).astype(dtype)
    wide, own = engine.asarray(x.astype(float)), engine.asarray(x)
    for f in (engine.sigmoid, engine.softmax, engine.log_softmax, engine.logsumexp):
        np.testing.assert_allclose(f(own).numpy(), f(wide).numpy(), rtol=1e-6)


def test_integers_are_divided_and_clipped_as_numbers():
    assert engine.reciprocal(engine.asarray([4, 5])).numpy().tolist() == [0.25, 0.2]
    small = engine.asarray(np.array([6, 200], "uint8"))
    assert engine.clip(small, engine.asarray([-7]), engine.asarray([300])).numpy().tolist() == [
        6,
        200,
    ]
    single = engine.clip(engine.ones(2), engine.asarray(np.zeros(2)))
    assert single.dtype == engine.float32


def test_a_number_has_axis_0_for_what_folds_it_away():
    ones = ("sum", "max", "min", "mean", "prod", "logsumexp", "norm")
    for name in (*ones, "std", "var", "softmax", "log_softmax"):
        fold, expected = getattr(engine, name), float(name in ones)
        for axis in (0, -1):
            assert slope(lambda x, f=fold, a=axis: f(x, axis=a), 2.0) == expected
    for name in ("cumulative_sum", "cumulative_prod"):
        with pytest.raises(ValueError, match=f"{name}: there is no axis"):
            getattr(engine, name)(engine.asarray(2.0), axis=0)


def test_one_letter_of_einsum_has_one_size_in_a_tensor():
    with pytest.raises(ValueError, match="i stands for two axes of one tensor, of sizes 3 and 1"):
        engine.einsum("ii->", engine.ones((3, 1)))


def test_a_root_may_be_pulled_back_along_itself():
    x = engine.asarray(normal(3), requires_grad=True)
    s = engine.std(x)
    recorded, plain = (
        engine.gradients(s, [x], grads=s, create_graph=one)[0].numpy() for one in (True, False)
    )
    np.testing.assert_allclose(recorded, plain, rtol=1e-12)


def test_hypot_where_squares_under_and_overflow():
    x = np.float32([1e-25, 1e-25])
    found = engine.hessian_vector_product(
        lambda v: engine.hypot(v[0], v[1]), (x,), (np.float32([1, 0]),)
    )
    np.testing.assert_allclose(found[0].numpy(), np.float32([3.5355e24, -3.5355e24]), rtol=1e-4)
    big = engine.asarray(np.float32([3e30, 4e30]), requires_grad=True)
    (g,) = engine.gradients(engine.hypot(big[0], big[1]) * 1e7, [big])
    np.testing.assert_allclose(g.numpy(), [6e6, 8e6], rtol=1e-6)


def test_clip_hands_nan_on_under_any_bounds():
    for bounds in ({"min": -1.0}, {"max": 1.0}, {"min": -1.0, "max": 1.0}):
        assert slope(lambda x, b=bounds: engine.clip(x, **b), [NAN, 0.5, 3.0])[0] == 1
