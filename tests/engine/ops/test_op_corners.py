"""Test ops beyond their examples: extremes, ties, repeated indices, operators."""

import math
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import leaf, normal

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


# ---- stability


def values_and_slope(f: Any, values: Any, dtype: str = "float64") -> tuple[Any, Any]:
    """Return f at `values`, and the gradient of its sum."""
    x = engine.asarray(np.asarray(values, dtype), requires_grad=True)
    out = f(x)
    return out.numpy(), engine.gradients(engine.sum(out), [x])[0].numpy()


@DTYPES
def test_sigmoid_at_extremes(dtype):
    out, slope = values_and_slope(engine.sigmoid, [-np.inf, -1e4, 0, 1e4, np.inf], dtype)
    np.testing.assert_array_equal(out, np.array([0, 0, 0.5, 1, 1], dtype))
    np.testing.assert_array_equal(slope, np.array([0, 0, 0.25, 0, 0], dtype))


def test_sigmoid_is_precise_in_the_left_tail():
    out, slope = values_and_slope(engine.sigmoid, [-40.0, -700.0])
    np.testing.assert_allclose(out, [math.exp(-40), math.exp(-700)], rtol=1e-13)
    np.testing.assert_allclose(slope, out, rtol=1e-13)


def test_tanh_at_extremes():
    out, slope = values_and_slope(engine.tanh, [-np.inf, -1e4, 1e4, np.inf])
    np.testing.assert_array_equal(out, [-1, -1, 1, 1])
    np.testing.assert_array_equal(slope, [0, 0, 0, 0])


@DTYPES
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1e4, -1e4, 1e4], [0.5, 0, 0.5]),
        ([-1e4, -1e4], [0.5, 0.5]),
        ([-np.inf, 0.0], [0, 1]),
        ([-np.inf, 3.0, 3.0], [0, 0.5, 0.5]),
    ],
)
def test_softmax_at_extremes(logits, expected, dtype):
    out, slope = values_and_slope(engine.softmax, logits, dtype)
    np.testing.assert_array_equal(out, np.array(expected, dtype))
    np.testing.assert_allclose(slope, 0, atol=1e-15)


@DTYPES
def test_log_softmax_at_extremes(dtype):
    out, slope = values_and_slope(engine.log_softmax, [1e4, -1e4], dtype)
    np.testing.assert_array_equal(out, [0, -2e4])
    np.testing.assert_array_equal(slope, [-1, 1])
    out, _ = values_and_slope(engine.log_softmax, [-np.inf, 0.0], dtype)
    np.testing.assert_array_equal(out, [-np.inf, 0])


@DTYPES
@pytest.mark.parametrize(
    ("values", "expected", "slope"),
    [
        ([1e4, 1e4], 1e4 + math.log(2), [0.5, 0.5]),
        ([-1e4, -1e4], -1e4 + math.log(2), [0.5, 0.5]),
        ([1e4, -1e4], 1e4, [1, 0]),
        ([-np.inf, 2.0], 2, [0, 1]),
        ([-np.inf, -np.inf], -np.inf, [0, 0]),
    ],
)
def test_logsumexp_at_extremes(values, expected, slope, dtype):
    out, found = values_and_slope(engine.logsumexp, values, dtype)
    np.testing.assert_allclose(out, np.asarray(expected, dtype), rtol=1e-7)
    # One unit in the last place of 1e4 is 1e-3 in single precision.
    np.testing.assert_allclose(found, slope, atol=1e-3 if dtype == "float32" else 1e-12)


def test_logsumexp_of_infinity_is_infinite():
    out, _ = values_and_slope(engine.logsumexp, [np.inf, 0.0])
    assert out == np.inf


def test_expm1_and_log1p_are_precise_near_zero():
    out, _ = values_and_slope(engine.expm1, [1e-12])
    np.testing.assert_allclose(out, 1e-12 + 0.5e-24, rtol=1e-15)
    out, _ = values_and_slope(engine.log1p, [1e-12])
    np.testing.assert_allclose(out, 1e-12 - 0.5e-24, rtol=1e-15)


# ---- ties, kinks and zeros


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_share_the_gradient_of_extremes(name):
    sign = 1 if name == "max" else -1
    fold = getattr(engine, name)
    _, slope = values_and_slope(fold, [sign * 3.0, sign * 3.0, 0.0, sign * 3.0])
    np.testing.assert_array_equal(slope, [1 / 3, 1 / 3, 0, 1 / 3])
    rows = sign * np.array([[1.0, 2.0, 2.0], [5.0, 4.0, 3.0]])
    _, slope = values_and_slope(lambda x: fold(x, axis=1), rows)
    np.testing.assert_array_equal(slope, [[0, 0.5, 0.5], [1, 0, 0]])


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_share_the_gradient_of_pairs(name):
    x = engine.asarray([1.0, 2.0, 3.0], requires_grad=True)
    y = engine.asarray([3.0, 2.0, 1.0], requires_grad=True)
    found = engine.gradients(engine.sum(getattr(engine, name)(x, y)), [x, y])
    first = [0, 0.5, 1] if name == "maximum" else [1, 0.5, 0]
    np.testing.assert_array_equal(found[0].numpy(), first)
    np.testing.assert_array_equal(found[1].numpy(), first[::-1])


def test_kinks():
    np.testing.assert_array_equal(values_and_slope(engine.relu, [-1.0, 0, 2])[1], [0, 0, 1])
    np.testing.assert_array_equal(values_and_slope(engine.abs, [-1.0, 0, 2])[1], [-1, 0, 1])
    _, slope = values_and_slope(lambda x: engine.clip(x, -1, 1), [-2.0, -1, 0, 1, 2])
    np.testing.assert_array_equal(slope, [0, 1, 1, 1, 0])


@pytest.mark.parametrize(
    ("exponent", "value", "slope"), [(0, 1, 0), (1, 0, 1), (2, 0, 0), (3.0, 0, 0), (0.5, 0, np.inf)]
)
def test_power_of_zero(exponent, value, slope):
    assert values_and_slope(lambda x: x**exponent, 0.0) == (value, slope)
    as_tensor = engine.asarray(np.float64(exponent), dtype="float64")
    assert values_and_slope(lambda x: x**as_tensor, 0.0) == (value, slope)


def test_power_of_zero_has_a_second_derivative():
    assert engine.grad(engine.grad(lambda x: x**2))(0.0).item() == 2
    assert engine.grad(engine.grad(lambda x: x**1))(0.0).item() == 0


def test_power_by_its_exponent_at_base_zero():
    _, slope = values_and_slope(lambda y: 0.0**y, [1.0, 2.0])
    np.testing.assert_array_equal(slope, [0, 0])
    base = engine.zeros(2, dtype="float64")
    _, slope = values_and_slope(lambda y: base**y, [1.0, 2.0])
    np.testing.assert_array_equal(slope, [0, 0])


def test_where_lets_no_nan_through():
    x = engine.asarray([0.0, 4.0], requires_grad=True)
    safe = engine.where(x > 0, x, 1.0)
    out = engine.where(x > 0, engine.sqrt(safe), 0.0)
    np.testing.assert_array_equal(engine.gradients(engine.sum(out), [x])[0].numpy(), [0, 0.25])


# ---- losses


def test_cross_entropy_by_hand():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 3, 5)), rng.integers(0, 5, (2, 3))
    odds = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    each = -np.log(odds[np.arange(2)[:, None], np.arange(3), targets])
    for reduction, expected in {"none": each, "sum": each.sum(), "mean": each.mean()}.items():
        out = engine.cross_entropy(engine.asarray(logits), targets, reduction=reduction)
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-13)
    x = engine.asarray(logits, requires_grad=True)
    slope = engine.gradients(engine.cross_entropy(x, targets), [x])[0]
    np.testing.assert_allclose(slope.numpy(), (odds - np.eye(5)[targets]) / 6, atol=1e-15)


def test_cross_entropy_at_extremes():
    out, slope = values_and_slope(
        lambda x: engine.cross_entropy(x, [1], reduction="none"), [[1e4, -1e4]]
    )
    assert out == [2e4]
    np.testing.assert_array_equal(slope, [[1, -1]])


def test_cross_entropy_refuses_what_does_not_match():
    logits = engine.zeros((3, 4))
    with pytest.raises(ValueError, match=r"cross_entropy: targets \(2,\).*\(3, 4\).*\(3,\)"):
        engine.cross_entropy(logits, [0, 1])
    with pytest.raises(ValueError, match="reduction 'median'"):
        engine.cross_entropy(logits, [0, 1, 2], reduction="median")


@pytest.mark.parametrize("target", [4, -1])
def test_cross_entropy_refuses_targets_outside_the_vocabulary(target):
    with pytest.raises(IndexError):
        engine.cross_entropy(engine.zeros((3, 4)), [0, 1, target])


# ---- indexing

ROWS = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    "key",
    [
        2,
        -1,
        np.int64(1),
        slice(None, None, -1),
        (slice(1, 3), 0),
        (..., None, 1),
        [0, 0, 3],
        [-1, 3],
        [],
        (slice(None), [2, 2]),
        ([0, 1, 1], [2, 0, 0]),
        np.array([True, False, True, True]),
        ROWS > 4,
        np.array([[0, -1], [0, 2]], np.int8),
        np.array([[0, 1], [0, 2]], np.uint8),
    ],
    ids=repr,
)
def test_indexing_is_numpy_indexing(key):
    x = engine.asarray(ROWS, requires_grad=True)
    out = x[key]
    np.testing.assert_array_equal(out.numpy(), ROWS[key])
    seed = np.random.default_rng(5).normal(size=out.shape)
    expected = np.zeros_like(ROWS)
    np.add.at(expected, key, seed)
    found = engine.gradients(out, [x], grads=seed)[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)


def test_take_adds_up_repeated_and_negative_positions(device):
    x = engine.asarray(ROWS, device=device, requires_grad=True)
    out = engine.take(x, [0, 2, -1, 0], axis=1)
    np.testing.assert_array_equal(out.numpy(), np.take(ROWS, [0, 2, -1, 0], axis=1))
    g = engine.gradients(out, [x], grads=np.tile([1.0, 10, 100, 1000], (4, 1)))[0]
    np.testing.assert_array_equal(g.numpy(), np.tile([1001.0, 0, 110], (4, 1)))


def test_embedding_adds_up_repeated_and_negative_ids(device):
    weight = engine.asarray(ROWS, device=device, requires_grad=True)
    ids = np.array([[1, -3, 1], [3, -1, 0]])
    out = engine.embedding(weight, ids)
    np.testing.assert_array_equal(out.numpy(), ROWS[ids])
    seed = np.random.default_rng(6).normal(size=out.shape)
    expected = np.zeros_like(ROWS)
    np.add.at(expected, ids, seed)
    g = engine.gradients(out, [weight], grads=seed)[0]
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_embedding_takes_ids_of_any_integer_dtype(dtype):
    weight = engine.ones((300, 2), requires_grad=True)
    ids = np.array([5, 100, 5], dtype)
    g = engine.gradients(engine.sum(engine.embedding(weight, ids)), [weight])[0].numpy()
    assert (g[5].tolist(), g[100].tolist(), g.sum()) == ([2, 2], [1, 1], 6)


def test_scatter_add_adds_up_repeated_positions(device):
    x = engine.asarray(ROWS, device=device, requires_grad=True)
    updates = engine.asarray(np.ones((3, 3)), device=device, requires_grad=True)
    out = engine.scatter_add(x, [1, 1, -1], updates)
    expected = ROWS + np.array([[0.0], [2], [0], [1]])
    np.testing.assert_array_equal(out.numpy(), expected)
    first, second = engine.gradients(out, [x, updates], grads=ROWS)
    np.testing.assert_array_equal(first.numpy(), ROWS)
    np.testing.assert_array_equal(second.numpy(), ROWS[[1, 1, -1]])


def test_scatter_add_on_another_axis():
    out = engine.scatter_add(engine.zeros((2, 3)), [2, 2], engine.ones((2, 2)), axis=1)
    np.testing.assert_array_equal(out.numpy(), [[0, 0, 2], [0, 0, 2]])


def test_scatter_add_refuses_updates_of_another_shape():
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        engine.scatter_add(engine.zeros((3, 2)), [0, 1], engine.ones((3, 2)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis_is_numpys(axis):
    ids = np.argsort(np.random.default_rng(1).normal(size=ROWS.shape), axis=axis)
    x = engine.asarray(ROWS, requires_grad=True)
    out = engine.take_along_axis(x, ids, axis=axis)
    np.testing.assert_array_equal(out.numpy(), np.take_along_axis(ROWS, ids, axis))
    assert engine.gradcheck(lambda x: engine.take_along_axis(x, ids, axis=axis), [x], 2)


def test_take_along_axis_broadcasts_as_numpy_does():
    ids = np.array([[0, 2]])
    out = engine.take_along_axis(engine.asarray(ROWS), ids, axis=1)
    np.testing.assert_array_equal(out.numpy(), np.take_along_axis(ROWS, ids, 1))


# ---- joining and cutting


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_split_and_stack_are_numpys(axis):
    x, y = ROWS, ROWS[::-1] * 2
    joined = engine.concat([engine.asarray(x), engine.asarray(y)], axis=axis)
    np.testing.assert_array_equal(joined.numpy(), np.concatenate([x, y], axis))
    parts = [part.numpy() for part in engine.split(joined, 2, axis=axis)]
    np.testing.assert_array_equal(parts, [x, y])
    piled = engine.stack([engine.asarray(x), engine.asarray(y)], axis=axis)
    np.testing.assert_array_equal(piled.numpy(), np.stack([x, y], axis))


def test_split_at_positions():
    parts = engine.split(engine.asarray(ROWS), [1, 3])
    for part, expected in zip(parts, np.split(ROWS, [1, 3]), strict=True):
        np.testing.assert_array_equal(part.numpy(), expected)


def test_one_tensor_joined_with_itself():
    x = engine.asarray([1.0, 2.0], requires_grad=True)
    g = engine.gradients(engine.concat([x, x]), [x], grads=np.array([1.0, 2, 30, 40]))
    assert g[0].numpy().tolist() == [31, 42]
    g = engine.gradients(engine.stack([x, x]), [x], grads=np.array([[1.0, 2], [30, 40]]))
    assert g[0].numpy().tolist() == [31, 42]


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: engine.expand_dims(x, axis=1), lambda x: x[:, None]),
        (lambda x: engine.squeeze(engine.expand_dims(x, axis=-1), -1), lambda x: x),
        (engine.matrix_transpose, lambda x: x.T),
        (lambda x: x.T, lambda x: x.T),
        (lambda x: x.mT, lambda x: x.T),
        (lambda x: engine.mean(x, axis=0), lambda x: x.mean(0)),
        (lambda x: x.mean(), lambda x: x.mean()),
        (lambda x: engine.mean(x, axis=(0, 1), keepdims=True), lambda x: x.mean(keepdims=True)),
        (lambda x: x.sum(axis=1), lambda x: x.sum(1)),
        (lambda x: x.reshape((2, -1)), lambda x: x.reshape(2, -1)),
    ],
)
def test_compositions_are_numpys(f, expected):
    np.testing.assert_allclose(f(engine.asarray(ROWS)).numpy(), expected(ROWS), rtol=1e-15)
    assert engine.gradcheck(f, [ROWS], 2)


def test_mean_of_nothing_is_nan():
    assert math.isnan(engine.mean(engine.zeros((0, 3))).item())


OPERATORS: dict[str, Any] = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "x * y": lambda x, y: x * y,
    "x / y": lambda x, y: x / y,
    "x ** y": lambda x, y: x**y,
    "x @ y.T": lambda x, y: x @ y.T,
    "x < y": lambda x, y: x < y,
    "x <= y": lambda x, y: x <= y,
    "x > y": lambda x, y: x > y,
    "x >= y": lambda x, y: x >= y,
    "x == y": lambda x, y: x == y,
    "x != y": lambda x, y: x != y,
    "bits": lambda x, y: (x > 2) & (y > 2) | ~(x > y),
    "left literal": lambda x, y: (2 - x, 2 / x, 2**x, 2 + x, 2 * x)[1] + (3 - y),
    "signs": lambda x, y: -x + +y - abs(x),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_numpys(name):
    rng = np.random.default_rng(2)
    x, y = rng.uniform(1, 3, (2, 4, 3))
    expected, f = OPERATORS[name](x, y), OPERATORS[name]
    for given in ((engine.asarray(x), engine.asarray(y)), (engine.asarray(x), y)):
        np.testing.assert_allclose(f(*given).numpy(), expected, rtol=1e-15)
    mixed = f(x, engine.asarray(y))  # the array on the left gives way
    assert isinstance(mixed, engine.Tensor)
    np.testing.assert_allclose(mixed.numpy(), expected, rtol=1e-15)


def test_operators_on_integers_are_bitwise_or_refused():
    x, y = engine.asarray([6, 3]), engine.asarray([3, 5])
    for f in (lambda x, y: x & y, lambda x, y: x | y, lambda x, y: ~x):
        try:
            out = f(x, y)
        except TypeError:
            continue
        np.testing.assert_array_equal(out.numpy(), f(x.numpy(), y.numpy()))


def test_literals_do_not_widen(device):
    x = engine.ones(3, device=device)
    for out in (x * 2.5, 1 / x, x**2, 2.0**x, engine.maximum(x, 0.5), engine.where(x > 0, x, 0.0)):
        assert out.dtype == engine.float32


def test_tensors_tell_their_namespace():
    assert engine.ones(2).__array_namespace__() is engine


def test_astype_ends_the_gradient_at_integers():
    x = engine.ones(2, requires_grad=True)
    assert engine.astype(x, engine.float32, copy=False) is x
    assert engine.astype(x, engine.float32).data is not x.data
    assert not engine.astype(x, engine.int32).requires_grad
    g = engine.gradients(engine.sum(engine.astype(x, engine.float64)), [x])[0]
    assert g.dtype == engine.float32


def test_creation_is_numpys(device):
    made = {
        "zeros": engine.zeros((2, 3), device=device),
        "ones": engine.ones(3, dtype="int32", device=device),
        "full": engine.full((2,), 7.5, device=device),
        "arange": engine.arange(1, 10, 4, device=device),
        "steps": engine.arange(1.5, device=device),
    }
    expected = {
        "zeros": np.zeros((2, 3), np.float32),
        "ones": np.ones(3, np.int32),
        "full": np.full(2, 7.5, np.float32),
        "arange": np.array([1, 5, 9]),
        "steps": np.array([0, 1], np.float32),
    }
    for name, x in made.items():
        np.testing.assert_array_equal(x.numpy(), expected[name], strict=True)
        assert x.device == device


def test_adding_at_positions_adds_up_and_pulls_back(device):
    x = engine.asarray(normal(4, 3), device=device)
    key = (np.array([0, 2, 0]), slice(None))
    values = normal(3, 3, salt=1)
    expected = x.numpy().copy()
    np.add.at(expected, key, values)
    values = engine.asarray(values, device=device)
    np.testing.assert_allclose(engine.add_at(x, key, values).numpy(), expected)
    assert engine.gradcheck(lambda x, v: engine.add_at(x, key, v), [x, values], order=2)
    with pytest.raises(IndexError):
        engine.add_at(x, [7], 1.0)
    with pytest.raises(ValueError, match="broadcast"):
        engine.add_at(x, [0, 1], normal(5, 3))


@pytest.mark.parametrize("kind", [">f4", ">f8", "packed"])
def test_numbers_of_files_and_records_are_read_right(kind):
    # Other byte orders and numbers at odd places, where a large product goes to compiled code.
    a, b = normal(300, 200), normal(200, 300)
    if kind == "packed":
        record = np.zeros((300, 200), [("tag", "u1"), ("value", "f8")])
        record["value"] = a
        x, y = record["value"], b
    else:
        x, y = a.astype(kind), b.astype(kind)
    found = engine.asarray(x) @ engine.asarray(y)
    assert found.dtype.isnative
    np.testing.assert_allclose(found.numpy(), a @ b, atol=1e-3 if kind == ">f4" else 1e-10)


def test_bounds_of_clip_in_another_dtype_keep_their_gradient():
    x = engine.asarray(np.array([0.0, 5.0], "float32"), requires_grad=True)
    high = engine.asarray(np.array([1.0, 2.0]), requires_grad=True)
    out = engine.clip(x, max=high)
    assert out.dtype == engine.float32
    gx, gh = engine.gradients(engine.sum(out), [x, high])
    assert (gx.numpy().tolist(), gh.numpy().tolist()) == ([1, 0], [0, 1])
    assert gh.dtype == engine.float64


# ---- 2^x, 1 / sqrt(x), softplus with its settings


@DTYPES
def test_powers_of_two_are_exact(dtype):
    whole = np.arange(-30.0, 31).astype(dtype)
    np.testing.assert_array_equal(engine.exp2(engine.asarray(whole)).numpy(), 2.0**whole)
    out, slope = values_and_slope(engine.exp2, [-np.inf, 0.5, 3.0, np.inf, np.nan], dtype)
    np.testing.assert_allclose(out, np.exp2(np.array([-np.inf, 0.5, 3, np.inf, np.nan], dtype)))
    np.testing.assert_allclose(slope, out * math.log(2), rtol=1e-6)
    assert engine.gradcheck(engine.exp2, [normal(3, 4)], 2)


@DTYPES
def test_inverse_roots(dtype):
    out, slope = values_and_slope(engine.rsqrt, [4.0, 0.25, np.inf, 1e-30], dtype)
    np.testing.assert_allclose(out, [0.5, 2, 0, 1e15], rtol=1e-6)
    np.testing.assert_allclose(slope[:3], [-1 / 16, -4, 0], rtol=1e-6)
    with np.errstate(all="ignore"):
        assert engine.rsqrt(engine.asarray(0.0)).item() == math.inf
        assert math.isnan(engine.rsqrt(engine.asarray(-1.0)).item())
    assert engine.gradcheck(engine.rsqrt, [1.0 + normal(3, 4) ** 2], 2)
    torch = pytest.importorskip("torch")
    x = 0.1 + normal(9) ** 2
    np.testing.assert_allclose(engine.rsqrt(x).numpy(), torch.rsqrt(torch.tensor(x)), rtol=1e-14)


@DTYPES
@pytest.mark.parametrize("beta", [1, 1.0, 2.5, 0.1, -1.5])
@pytest.mark.parametrize("threshold", [20.0, 0.5, -1.0, math.inf])
def test_softplus_with_its_settings_is_pytorchs(beta, threshold, dtype):
    torch = pytest.importorskip("torch")
    x = np.array([-300.0, -3.0, -0.5, 0.0, 0.2, 0.3, 8.0, 19.0, 21.0, 300.0], dtype)
    ours, theirs = engine.asarray(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out = engine.softplus(ours, beta, threshold)
    # Without a threshold PyTorch overflows: its own at 20 is exact to what is compared here.
    expected = torch.nn.functional.softplus(theirs, beta, min(threshold, 40.0))
    expected.sum().backward()
    (g,) = engine.gradients(engine.sum(out), [ours])
    tolerance = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), tolerance, tolerance)
    np.testing.assert_allclose(g.numpy(), theirs.grad.numpy(), tolerance, tolerance)
    off = np.array([-3.0, -0.3, 0.7, 2.0])
    assert engine.gradcheck(lambda x: engine.softplus(x, beta, threshold), [off], 2)


@pytest.mark.parametrize(("beta", "threshold"), [(0, 20.0), ("1", 20.0), (1.0, math.nan)])
def test_softplus_refuses_settings_that_are_none(beta, threshold):
    with pytest.raises(ValueError, match=r"^softplus: beta must be a number other than 0"):
        engine.softplus(engine.ones(2), beta, threshold)


# ---- rows to search in


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (0,)])
def test_rows_are_searched_each_in_its_own(side, shape):
    rng = np.random.default_rng(4)
    rows = np.sort(rng.integers(0, 6, (*shape, 5)).astype("float64"), -1)  # with ties
    numbers = rng.integers(-1, 8, (*shape, 4)).astype("float64")
    found = engine.searchsorted(engine.asarray(rows), engine.asarray(numbers), side=side)
    expected = np.zeros(numbers.shape, "int64")
    for place in np.ndindex(*shape):
        expected[place] = np.searchsorted(rows[place], numbers[place], side)
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    back = np.broadcast_to(np.arange(5)[::-1], rows.shape).copy()
    turned = engine.searchsorted(rows[..., ::-1].copy(), numbers, side=side, sorter=back)
    np.testing.assert_array_equal(turned.numpy(), expected)
    torch = pytest.importorskip("torch")
    theirs = torch.searchsorted(torch.tensor(rows), torch.tensor(numbers), side=side)
    np.testing.assert_array_equal(found.numpy(), theirs.numpy())


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"^searchsorted: \(2, 5\), \(3, 4\): rows to search in"):
        engine.searchsorted(engine.zeros((2, 5)), engine.zeros((3, 4)))
    with pytest.raises(ValueError, match="as many rows"):
        engine.searchsorted(engine.zeros((2, 5)), 1.0)


# ---- negative widths, rows without a gradient


@pytest.mark.parametrize("value", [0.0, 7.5])
@pytest.mark.parametrize(
    "widths", [-1, (-1, 2), (1, -2), ((0, 0), (-2, -1)), ((-3, 4), (2, -4)), ((-1, -2), (0, 1))]
)
def test_negative_widths_take_away(widths, value):
    x = leaf(normal(3, 4))
    pairs = np.broadcast_to(np.array(widths), (2, 2))
    expected = x.numpy()[tuple(slice(max(-b, 0), n - max(-a, 0))
                               for (b, a), n in zip(pairs, (3, 4), strict=True))]  # fmt: skip
    expected = np.pad(expected, np.maximum(pairs, 0), constant_values=value)
    found = engine.pad(x, widths, constant_values=value)
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)
    assert engine.gradcheck(lambda x: engine.pad(x, widths, constant_values=value), [x], 2)
    torch = pytest.importorskip("torch")
    flat = [int(n) for pair in pairs[::-1] for n in pair]
    if all(min(b, 0) + min(a, 0) > -n for (b, a), n in zip(pairs, (3, 4), strict=True)):
        theirs = torch.nn.functional.pad(torch.tensor(x.numpy()), flat, value=value)
        np.testing.assert_array_equal(found.numpy(), theirs.numpy())


def test_widths_that_take_too_much_or_are_none_are_refused():
    with pytest.raises(ValueError, match="take away more than there is"):
        engine.pad(engine.zeros((3, 4)), ((-2, -2), (0, 0)))
    with pytest.raises(ValueError, match="a negative width goes with mode 'constant', got 'edge'"):
        engine.pad(engine.zeros((3, 4)), (-1, 1), mode="edge")
    for widths in (1.5, (1.5, 1), True, ((1, 1), (0.5, 0))):
        with pytest.raises(TypeError, match="pad: a width must be an integer"):
            engine.pad(engine.zeros((3, 4)), widths)
    np.testing.assert_array_equal(engine.pad(engine.ones(2), np.int64(1)).numpy(), [0, 1, 1, 0])


@pytest.mark.parametrize("row", [0, 3, -1, np.int64(2)])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "int8"])
def test_the_row_of_the_padding_has_no_gradient(row, dtype):
    weight, ids = leaf(normal(4, 3)), np.array([[0, 3, 2], [3, 0, 1]], dtype)
    out = engine.embedding(weight, ids, padding_idx=row)
    np.testing.assert_array_equal(out.numpy(), weight.numpy()[ids])
    seed = normal(2, 3, 3, salt=1)
    (g,) = engine.gradients(out, [weight], grads=seed)
    expected = np.zeros((4, 3))
    np.add.at(expected, ids.astype("int64"), seed)
    expected[row] = 0.0
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-14)
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(weight.numpy(), requires_grad=True)
    torch.nn.functional.embedding(
        torch.tensor(ids.astype("int64")), theirs, padding_idx=int(row)
    ).backward(torch.tensor(seed))
    np.testing.assert_allclose(g.numpy(), theirs.grad.numpy(), rtol=1e-14)


def test_the_row_of_the_padding_counted_from_the_end():
    weight = leaf(normal(3, 2))
    out = engine.embedding(weight, [-1, 2, 0], padding_idx=2)
    (g,) = engine.gradients(engine.sum(out), [weight])
    assert g.numpy().tolist() == [[1, 1], [0, 0], [0, 0]]
    for row, kind in ((3, ValueError), (-4, ValueError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(kind, match="embedding: padding_idx must"):
            engine.embedding(weight, [0], padding_idx=row)


@pytest.mark.parametrize("beta", [2, 2.0, np.float32(2), np.int64(2)])
def test_softplus_takes_any_number_for_beta_and_keeps_its_dtype(beta):
    found = engine.softplus(engine.ones(2), beta, np.float64(1.5))
    assert found.dtype == engine.float32
    assert found.numpy().tolist() == [1, 1]  # beyond the threshold it is x
    for wrong in (0, True, "2", math.nan):
        with pytest.raises(ValueError, match="softplus: beta must be"):
            engine.softplus(engine.ones(2), wrong)
