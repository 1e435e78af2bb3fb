"""Compare associative scans, tree and kernels, with loops; test the analysis of their functions."""

import math
import random
from collections import namedtuple

import numpy as np
import pytest

import engine
from engine.pytree import flatten
from engine.scan import associative, combining
from engine.scan.combining import Combination, recorded_once
from tests.draws import first, normal


def pair(earlier, later):
    (a1, b1), (a2, b2) = earlier, later
    return a1 * a2, a2 * b1 + b2


def outer(earlier, later):
    (a1, b1), (a2, b2) = earlier, later
    return a1 * a2, b1 + a1 * b2


def matrices(earlier, later):
    return engine.matmul(later, earlier)


def last(earlier, later):
    return engine.where(later != 0, later, earlier)  # the last that is not zero


def matrix_pair(earlier, later):
    return {"A": later["A"] @ earlier["A"], "b": later["A"] @ earlier["b"] + later["b"]}


def loop(fn, xs, axis=0, reverse=False):
    """Combine one element after another, and return the running combinations."""
    flat, rebuild = flatten(xs)
    parts = [engine.split(x, x.shape[axis], axis=axis) if x.shape[axis] else [] for x in flat]
    elements = [list(one) for one in zip(*parts, strict=True)]
    if reverse:
        elements = elements[::-1]
    found = elements[:1]
    for one in elements[1:]:
        found.append(flatten(fn(rebuild(found[-1]), rebuild(one)))[0])
    if reverse:
        found = found[::-1]
    return rebuild([engine.concat([one[i] for one in found], axis=axis) for i in range(len(flat))])


FUNCTIONS = {
    "last": last, "matrices": matrices, "matrix pair": matrix_pair, "pair": pair,
    "maximum": engine.maximum, "logaddexp": engine.logaddexp, "outer": outer, "add": engine.add,
    "multiply": engine.multiply, "minimum": engine.minimum,
}  # fmt: skip
COUNTS = {"pair": 2, "outer": 2}
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 13, 64, 65, 100]


def drawn(name, T, axis, rng, dtype="float64"):
    """Draw elements of a kind with the axis in its place, as tensors that need gradients."""
    shape = [rng.randint(1, 3) for _ in range(2)]

    def tensor(*own, scale=0.7):
        sizes = list(shape) + list(own)
        sizes.insert(axis, T)
        return engine.asarray(scale * normal(*sizes, salt=rng.randrange(10**6)).astype(dtype),
                              requires_grad=True)  # fmt: skip

    if name == "matrices":
        return tensor(2, 2)
    if name == "matrix pair":
        return {"b": tensor(2, 1), "A": tensor(2, 2)}
    if name in COUNTS:
        return tensor(), tensor()
    return tensor(scale=1.0)


def close(found, expected, tolerance):
    for a, b in zip(flatten(found)[0], flatten(expected)[0], strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert np.allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance)


@pytest.fixture(params=["tree", "kernels"])
def way(request, monkeypatch):
    """Choose one of the two ways: `tree` uses no structure, `kernels` run the smallest."""
    if request.param == "tree":
        monkeypatch.setattr(associative, "known", lambda body: None)
    else:
        monkeypatch.setattr(combining, "LARGE", 0)
    return request.param


@pytest.mark.parametrize("name", first(5, FUNCTIONS))
def test_values_are_those_of_the_loop(name, way):
    rng = random.Random(f"{name} {way}")
    for T in LENGTHS if way == "tree" else LENGTHS[::3]:
        for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
            axis, reverse = rng.randint(0, 2), rng.random() < 0.5
            xs = drawn(name, T, axis, rng, dtype)
            found = engine.associative_scan(FUNCTIONS[name], xs, axis=axis, reverse=reverse)
            close(found, loop(FUNCTIONS[name], xs, axis, reverse), tolerance)


def weighed(xs):
    return sum(engine.sum(engine.sin(x) * (1 + i)) for i, x in enumerate(flatten(xs)[0]))


@pytest.mark.parametrize("name", first(5, FUNCTIONS))
def test_derivatives_of_three_orders_are_those_of_the_loop(name, way):
    rng = random.Random(f"{name} {way}")
    T, axis, reverse = 5, rng.randint(0, 2), rng.random() < 0.5
    flat, rebuild = flatten(drawn(name, T, axis, rng))

    def orders(scan):
        out = weighed(scan(FUNCTIONS[name], rebuild(flat), axis=axis, reverse=reverse))
        for _ in range(3):
            found = engine.gradients(out, flat, create_graph=True)
            found = [engine.zeros_like(x) if g is None else g
                     for g, x in zip(found, flat, strict=True)]  # fmt: skip
            yield found
            out = sum(engine.sum(g * normal(*g.shape, salt=9)) for g in found)
            if not out.requires_grad:
                return

    for found, expected in zip(orders(engine.associative_scan), orders(loop), strict=True):
        close(found, expected, 1e-9)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float16"])
def test_dtypes_are_kept(dtype):
    values = np.arange(1, 8).astype(dtype)
    for fn, expected in ((engine.add, np.cumsum), (engine.multiply, np.cumprod)):
        found = engine.associative_scan(fn, engine.asarray(values))
        assert found.dtype == values.dtype
        assert np.array_equal(found.numpy(), expected(values, dtype=dtype))


def test_booleans_are_combined():
    x = engine.asarray([False, True, False])
    found = engine.associative_scan(engine.logical_or, x)
    assert found.numpy().tolist() == [False, True, True]


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (4, 0), (1, 0, 2)])
def test_nothing_and_one_element_are_handed_back(shape):
    x = engine.ones(shape, requires_grad=True)
    for fn in (engine.add, lambda a, b: a + b * a):
        found = engine.associative_scan(fn, {"x": x})["x"]
        assert found.shape == shape
        engine.sum(found).backward()


def test_a_pytree_keeps_its_form_and_axis_counts_in_the_first_tensor():
    Point = namedtuple("Point", "x y")
    xs = [Point(engine.ones((2, 5)), {"z": engine.ones((3, 5, 2))}), None]

    def fn(a, b):
        return [Point(a[0].x + b[0].x, {"z": a[0].y["z"] * b[0].y["z"]}), None]

    found = engine.associative_scan(fn, xs, axis=-1)
    assert type(found[0]) is Point
    assert found[1] is None
    assert np.array_equal(found[0].x.numpy(), np.cumsum(np.ones((2, 5)), 1))
    assert engine.associative_scan(engine.add, ()) == ()


# --- what is known of a function ---


def of(fn, *shapes, dtype="float64", form=tuple):
    """Return the structure of a function of elements of these shapes, with the axis in front."""
    flat = [engine.zeros((3, *shape), dtype=dtype, requires_grad=True) for shape in shapes]
    combination = Combination(fn, lambda xs: form(xs) if len(flat) > 1 else xs[0], flat)
    body = recorded_once(combination)
    return None if body is None else combining.known(body)


def named(found):
    return None if found is None else [(one.op.name, one.factor, one.inner) for one in found]


@pytest.mark.parametrize("fn", [lambda a, b: a + b, lambda a, b: b + a, engine.add])
def test_sums_are_known_in_either_order(fn):
    assert named(of(fn, (2,))) == [("add", None, True)]


@pytest.mark.parametrize(
    ("fn", "inner"),
    [(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), True),
     (lambda p, q: (q[0] * p[0], q[1] + p[1] * q[0]), True),
     (lambda p, q: (q[0] * p[0], p[1] + p[0] * q[1]), False),
     (lambda q, p: (p[0] * q[0], q[0] * p[1] + q[1]), False)],
)  # fmt: skip
def test_affine_pairs_are_known_in_any_writing(fn, inner):
    assert named(of(fn, (2,), (2,))) == [("multiply", None, True), ("add", 0, inner)]


def test_the_decay_may_come_second():
    def fn(p, q):
        return q[1] * p[0] + q[0], p[1] * q[1]

    assert named(of(fn, (2,), (2,))) == [("add", 1, True), ("multiply", None, True)]


def test_each_tensor_of_a_pytree_is_combined_in_its_own_way():
    def fn(p, q):
        return p[0] * q[0], engine.maximum(p[1], q[1]), q[0] * p[2] + q[2]

    kinds = [("multiply", None, True), ("maximum", None, True), ("add", 0, True)]
    assert named(of(fn, (2,), (2,), (2,))) == kinds


def no_gradient(a, b):
    with engine.no_grad():
        return a + b


UNKNOWN = {
    "a number more": lambda a, b: a + b + 1,
    "a factor": lambda a, b: a + 2 * b,
    "one of them": lambda a, b: a,
    "one twice": lambda a, b: b + b,
    "another op": lambda a, b: a - b,
    "detached": lambda a, b: a.detach() + b,
    "without gradients": no_gradient,
    "of a constant": lambda a, b: a + engine.ones((3, 2)),
    "along the axis": lambda a, b: a + engine.flip(b, axis=0),
    "reads numbers": lambda a, b: a + b if a.numpy().any() else b + a,
}
UNKNOWN_PAIRS = {
    "the wrong decay": lambda p, q: (p[0] * q[0], p[0] * p[1] + q[1]),
    "a sum of decays": lambda p, q: (p[0] + q[0], q[0] * p[1] + q[1]),
    "a decay that is kept": lambda p, q: (q[0], q[0] * p[1] + q[1]),
    "both from one side": lambda p, q: (p[0] * q[0], q[0] * q[1] + p[1]),
    "a third factor": lambda p, q: (p[0] * q[0], 0.5 * q[0] * p[1] + q[1]),
    "crossed": lambda p, q: (p[1] * q[0], q[0] * p[1] + q[1]),
    "minus": lambda p, q: (p[0] * q[0], q[0] * p[1] - q[1]),
    "a detached decay": lambda p, q: (p[0] * q[0], q[0].detach() * p[1] + q[1]),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_functions_that_are_not_the_known_ones_are_not_taken_for_them(name):
    assert of(UNKNOWN[name], (2,)) is None


@pytest.mark.parametrize("name", UNKNOWN_PAIRS)
def test_pairs_that_are_not_the_affine_one_are_not_taken_for_it(name):
    assert of(UNKNOWN_PAIRS[name], (2,), (2,)) is None


def test_broadcasting_inside_of_a_function_is_not_known():
    assert of(pair, (1,), (2,)) is None
    assert of(pair, (2,), (2,), dtype="float16") is None


def test_a_hook_inside_of_a_function_is_not_known():
    def fn(a, b):
        out = a + b
        out.register_hook(lambda g: 2 * g)
        return out

    assert of(fn, (2,)) is None


@pytest.mark.parametrize("seed", range(10))
def test_what_is_known_of_random_functions_is_so(seed):
    # Sums and products of the four leaves, drawn: what is known has the values of the tree.
    rng = random.Random(seed)
    ops = [engine.add, engine.multiply, engine.maximum]

    def draw(depth, leaves):
        if not depth or rng.random() < 0.2:
            number = rng.randrange(4)
            return lambda p, q: (*p, *q)[number]
        f, left, right = rng.choice(ops), draw(depth - 1, leaves), draw(depth - 1, leaves)
        return lambda p, q: f(left(p, q), right(p, q))

    claims = 0
    for _ in range(200):
        first = (lambda p, q: p[0] * q[0]) if rng.random() < 0.7 else draw(1, 4)
        second = draw(2, 4)

        def fn(p, q, first=first, second=second):
            return first(p, q), second(p, q)

        found = of(fn, (2,), (2,))
        if found is None:
            continue
        claims += 1
        xs = tuple(engine.asarray(normal(6, 2, salt=seed + i)) for i in range(2))
        expected = loop(fn, xs)
        close(engine.associative_scan(fn, xs), expected, 1e-12)
        body = recorded_once(Combination(fn, tuple, list(xs)))
        large, combining.LARGE = combining.LARGE, 0
        try:
            close(tuple(combining.run(combining.known(body), list(xs), 0, reverse=False)),
                  expected, 1e-12)  # fmt: skip
        finally:
            combining.LARGE = large
    assert claims or seed  # some are known in the first run at least


@pytest.mark.parametrize("name", ["pair", "outer", "maximum", "minimum", "logaddexp", "add"])
@pytest.mark.parametrize("reverse", [False, True])
def test_any_first_element_is_handed_on(name, reverse, way):
    first = -1 if reverse else 0
    values = normal(4, 3, salt=1)
    values[first] = math.inf, -math.inf, math.nan
    flat = [engine.asarray(values, requires_grad=True) for _ in range(COUNTS.get(name, 1))]
    given = tuple(flat) if name in COUNTS else flat[0]
    with np.errstate(invalid="ignore"):
        found = flatten(engine.associative_scan(FUNCTIONS[name], given, reverse=reverse))[0]
        for x, out in zip(flat, found, strict=True):
            assert np.array_equal(out[first].numpy(), values[first], equal_nan=True)
            (g,) = engine.gradients(engine.sum(out[first]), [x])
            assert np.array_equal(g[first].numpy()[:2], np.ones(2))  # a NaN may have any


def test_a_large_scan_of_an_affine_pair_is_two_recurrences(monkeypatch):
    ran = []
    run = combining.EXECUTORS[0].run
    monkeypatch.setattr(type(combining.EXECUTORS[0]), "run",
                        lambda self, call: ran.append(call.length) or run(call))  # fmt: skip
    a, b = (engine.asarray(normal(300, 128, salt=i) * 0.5) for i in range(2))
    _, h = engine.associative_scan(pair, (a, b))
    assert ran == [300, 300]
    state = b[0]
    for t in range(1, 300):
        state = a[t] * state + b[t]
    assert np.allclose(h[-1].numpy(), state.numpy(), atol=1e-12)


# --- errors ---


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"lengths of axis 0 differ: \[3, 4\], in tensors"):
        engine.associative_scan(engine.add, (engine.ones(3), engine.ones(4)))


@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize(
    ("fn", "words"),
    [(lambda a, b: (a, b), r"returned an element of form \(\*, \*\), expected \*"),
     (lambda a, b: engine.sum(a + b), r"changed tensor 0 of an element from float32"),
     (lambda a, b: engine.astype(a, "float64"), r"to float64\[\d, 2\]; it must return"),
     (lambda a, b: 1.0, r"changed tensor 0 .* to float32\[\]")],
)  # fmt: skip
def test_functions_that_change_an_element_are_refused(fn, words, T):
    with pytest.raises(ValueError, match=words):
        engine.associative_scan(fn, engine.ones((T, 2)))


def test_a_function_that_reads_numbers_runs_and_is_checked_too():
    def fn(a, b):
        assert math.isfinite(a.numpy().sum())
        return a + b

    assert engine.associative_scan(fn, engine.ones(5)).numpy().tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="changed tensor 0"):
        engine.associative_scan(lambda a, b: engine.asarray(a.numpy().sum()), engine.ones(5))


def test_what_the_function_raises_is_raised():
    def fn(a, b):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        engine.associative_scan(fn, engine.ones(4))


def test_axes_and_functions_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="associative_scan: axis 2 is out of bounds for 1"):
        engine.associative_scan(engine.add, engine.ones(3), axis=2)
    with pytest.raises(ValueError, match="out of bounds for 0 dimensions"):
        engine.associative_scan(engine.add, engine.asarray(1.0))
    with pytest.raises(TypeError, match="fn must be a function of two elements, got 3"):
        engine.associative_scan(3, engine.ones(3))


# --- elsewhere ---


@pytest.mark.cupy
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_device_has_the_same_values_and_gradients(name):
    rng = random.Random(name)
    flat, rebuild = flatten(drawn(name, 6, 1, rng))
    there = [engine.asarray(x.numpy(), device="cupy", requires_grad=True) for x in flat]
    out = [engine.associative_scan(FUNCTIONS[name], rebuild(own), axis=1) for own in (flat, there)]
    close([engine.to(x, "numpy") for x in flatten(out[1])[0]], out[0], 1e-12)
    found, expected = (engine.gradients(weighed(o), x) for o, x in zip(out[::-1], (there, flat),
                                                                     strict=True))  # fmt: skip
    assert all(g.device != "numpy" for g in found)
    close([engine.to(g, "numpy") for g in found], expected, 1e-10)


def test_it_runs_inside_of_a_scan_and_under_explicit():
    x = engine.asarray(normal(4, 6, salt=1), requires_grad=True)

    def step(h, x):
        a, b = engine.associative_scan(pair, (x, h), axis=0)
        return b, a

    init = engine.asarray(normal(6, salt=2))
    final, ys = engine.scan(step, init, x)
    with engine.explicit():
        other, others = engine.scan(step, init, x)
    close([final, ys], [other, others], 1e-12)


def test_jax_has_the_same_values():
    jax = pytest.importorskip("jax")
    rng = random.Random(3)
    with jax.enable_x64(True):
        for T in (0, 1, 2, 5, 12):
            a, b = (normal(2, T, salt=rng.randrange(99)) for _ in range(2))
            for fn in (pair, outer):
                for reverse in (False, True):
                    expected = jax.lax.associative_scan(fn, (a, b), reverse=reverse, axis=1)
                    xs = engine.asarray(a), engine.asarray(b)
                    found = engine.associative_scan(fn, xs, reverse=reverse, axis=-1)
                    for one, other in zip(found, expected, strict=True):
                        assert np.allclose(one.numpy(), np.asarray(other), atol=1e-12)
