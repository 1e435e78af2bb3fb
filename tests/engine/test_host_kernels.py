"""Test compiled updates, clipping and products on the host: NumPy's bits, or float64 rounded."""

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c.compiler import CannotCompileError, compiler
from engine.scan.c.products import products
from rnn import optim
from rnn.clipping import on_host as clipping_on_host
from rnn.optim import on_host
from tests.draws import crossed, first


def there_is_a_compiler():
    try:
        return bool(compiler())
    except CannotCompileError:
        return False


pytestmark = pytest.mark.skipif(not there_is_a_compiler(), reason="there is no compiler")

SHAPES = [(70_001,), (30, 20), (5,), (3, 3), (1,), (0,)]


@pytest.fixture
def counted(monkeypatch):
    """Count the kernels that run; `use(True)` lets small arrays have them, `use(False)` none."""
    ran, run = [], on_host.run

    def watched(kernel, *given):
        ran.append(found := run(kernel, *given))
        return found

    monkeypatch.setattr(on_host, "run", watched)

    def use(kernels):
        ran.clear()
        monkeypatch.setattr(on_host, "LARGE", 1 if kernels else 1 << 60)
        return ran

    return use


def gradients_of(parameters, rng, size=1.0):
    """Return gradients in several layouts, as the rules of a backward pass give them."""
    for number, x in enumerate(parameters):
        if number == 1:
            g = rng.normal(size=x.shape[::-1]).T
        elif number == 3:
            g = rng.normal(size=(6, 3))[::2]
        else:
            g = rng.normal(size=x.shape)
        x.grad = engine.asarray((g * size).astype(x.dtype))


def trained(make, dtype):
    rng = np.random.default_rng(0)
    own = [engine.asarray(rng.normal(size=shape).astype(dtype), requires_grad=True)
           for shape in SHAPES]  # fmt: skip
    before = [x.data for x in own]
    copies = [array.copy() for array in before]
    updates = make(own)
    for step in range(4):
        gradients_of(own, rng)
        if step == 1:
            own[2].grad = None  # another number of steps from here on
        updates.step()
    for array, copy in zip(before, copies, strict=True):
        np.testing.assert_array_equal(array, copy)  # a graph may hold it
    state = updates.state_dict()
    return [x.data.tobytes() for x in own] + [state[name].tobytes() for name in sorted(state)]


RULES = {
    "SGD, Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam, all": lambda p: optim.Adam(p, amsgrad=True, weight_decay=0.1, maximize=True),
    "AdamW": lambda p: optim.AdamW(p, weight_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, momentum=0.5, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p),
    "Adadelta": lambda p: optim.Adadelta(p),
    # From here on slow.
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, uphill": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, maximize=True),
    "Adam": lambda p: optim.Adam(p),
}


@pytest.mark.parametrize(("name", "dtype"), first(6, crossed(RULES, ["float32", "float64"])))
def test_an_update_has_the_bits_of_numpy(name, dtype, counted):
    ran = counted(True)
    found = trained(RULES[name], dtype)
    assert ran
    assert all(ran)
    ran = counted(False)
    assert found == trained(RULES[name], dtype)
    assert not ran


def test_an_update_has_the_same_bits_for_any_number_of_threads(counted, monkeypatch):
    counted(True)
    monkeypatch.setattr(on_host, "EACH", 1000)  # so that it is worth several threads
    before, found = engine.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            engine.set_num_threads(threads)
            found.add(tuple(trained(RULES["Adam"], "float32")))
    finally:
        engine.set_num_threads(before)
    assert len(found) == 1


def test_a_wrong_kernel_would_be_seen(counted, monkeypatch):
    counted(False)
    plain = trained(RULES["SGD"], "float32")
    counted(True)
    source = on_host.Kernel.source
    monkeypatch.setattr(on_host.Kernel, "source", lambda own: source(own).replace("= x;", "= g;"))
    on_host._library.cache_clear()
    try:
        assert trained(RULES["SGD"], "float32") != plain
    finally:
        on_host._library.cache_clear()


class Mixing(optim.SGD):
    """Apply a rule that no kernel can have."""

    def rule(self, group, xp, x, g, state, steps):
        x -= g[::-1]


def test_other_rules_half_precision_and_no_compiler_take_the_plain_way(counted, monkeypatch):
    x = engine.ones(4, requires_grad=True)
    x.grad = engine.asarray(np.array([0, 1, 2, 3], "float32"))
    ran = counted(True)
    Mixing([x], lr=1.0).step()
    np.testing.assert_array_equal(x.numpy(), [-2, -1, 0, 1])
    half = engine.asarray(np.ones(4, "float16"), requires_grad=True)
    half.grad = half.detach()
    optim.SGD([half], lr=0.5).step()
    np.testing.assert_array_equal(half.numpy(), [0.5] * 4)
    assert ran == []
    monkeypatch.setattr(on_host, "_library", lambda *_: None)
    optim.SGD([x], lr=1.0).step()
    np.testing.assert_array_equal(x.numpy(), [-2, -2, -2, -2])
    x.grad = engine.asarray(np.array([3, 0, 4, 0], "float32"))
    assert rnn.clip_grad_norm([x], 1.0) == 5
    np.testing.assert_allclose(x.grad.numpy(), [0.6, 0, 0.8, 0], rtol=1e-6)
    assert ran == [False, False]


def clipped(bound, size):
    own = [engine.asarray(np.zeros(shape, "float32"), requires_grad=True) for shape in SHAPES]
    gradients_of(own, np.random.default_rng(0), size)
    before = [x.grad.data for x in own]
    copies = [array.copy() for array in before]
    norm = rnn.clip_grad_norm(own, bound)
    for array, copy in zip(before, copies, strict=True):
        np.testing.assert_array_equal(array, copy)  # it may be another parameter's too
    return norm, rnn.grad_norm(own), [x.grad.numpy() for x in own], copies


@pytest.mark.parametrize("bound", [0.5, 1e35])
@pytest.mark.parametrize("size", [1, 1e-30, 1e30, 1e-40, 1e35])
def test_clipping_on_the_host_is_exact_at_any_size(size, bound, counted):
    ran = counted(True)
    norm, after, grads, given = clipped(bound, size)
    assert ran
    assert all(ran)
    exact = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in given))
    assert norm == pytest.approx(exact, rel=1e-12)
    assert after == pytest.approx(min(exact, bound), rel=1e-5)
    for g, before in zip(grads, given, strict=True):
        assert g.dtype == before.dtype
        np.testing.assert_allclose(g, before * min(1.0, bound / exact), rtol=2e-7, atol=1e-45)


def test_a_factor_that_loses_its_digits_takes_the_plain_way(counted):
    counted(True)
    norm, after, _, _ = clipped(1e-41, 1.0)
    assert after == pytest.approx(1e-41, rel=0.01)
    assert norm > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_as_before(bad, counted):
    counted(True)
    own = [engine.asarray(np.ones(3, "float32"), requires_grad=True) for _ in range(2)]
    for x in own:
        x.grad = x.detach()
    own[1].grad = engine.asarray(np.array([0, bad, 1], "float32"))
    kept = [x.grad.data for x in own]
    with pytest.raises(FloatingPointError, match="parameter 1"):
        rnn.clip_grad_norm(own, 1.0)
    assert not np.isfinite(rnn.clip_grad_norm(own, 1.0, error_if_nonfinite=False))
    assert all(x.grad.data is array for x, array in zip(own, kept, strict=True))


def test_the_norm_does_not_depend_on_threads(counted, monkeypatch):
    counted(True)
    monkeypatch.setattr(on_host, "EACH", 1000)
    g = np.random.default_rng(0).normal(size=200_000).astype("float32")
    before, found = engine.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            engine.set_num_threads(threads)
            found.add(clipping_on_host.norm([g[:7], g[7:100_000], g[100_000:]]))
    finally:
        engine.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "depth"),
    [(33, 1000, 30), (100, 250, 600), (97, 2000, 257), (130, 40, 700), (13, 700, 1), (40, 900, 0)],
)
def test_products_by_rows_and_by_columns_are_right_in_any_layout(rows, columns, depth, across):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(depth, rows) if across else (rows, depth)).astype("float32")
    a = a.T if across else a
    b, bias = rng.normal(size=(columns, depth)).astype("float32").T, np.ones(columns, "float32")
    exact = a.astype("float64") @ b.astype("float64") + 1
    before, found = engine.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            engine.set_num_threads(threads)
            one = products("f").product(a, b, bias)
            np.testing.assert_allclose(one, exact, rtol=1e-4, atol=1e-4)
            found |= {one.tobytes(), products("f").product(a, b.copy(), bias).tobytes()}
    finally:
        engine.set_num_threads(before)
    assert len(found) == 1


def test_a_large_affine_map_and_its_gradients_are_those_of_float64():
    rng = np.random.default_rng(0)
    given = [rng.normal(size=shape) for shape in ((7, 10, 40), (2000, 40), (2000,))]
    seed = rng.normal(size=(7, 10, 2000))
    narrow, wide = (
        [engine.asarray(x.astype(dtype), requires_grad=True) for x in given]
        for dtype in ("float32", "float64")
    )
    found = [engine.linear(*own) for own in (narrow, wide)]
    np.testing.assert_allclose(found[0].numpy(), found[1].numpy(), rtol=1e-4, atol=1e-4)
    slopes = [
        engine.gradients(y, own, seed.astype(y.dtype))
        for y, own in zip(found, (narrow, wide), strict=True)
    ]
    for one, exact in zip(*slopes, strict=True):
        np.testing.assert_allclose(one.numpy(), exact.numpy(), rtol=1e-3, atol=1e-3)


BATCHES = {
    "of pairs": ((6, 5, 40, 33), (6, 5, 33, 50)),
    "broadcast": ((1, 40, 40, 33), (3, 1, 33, 50)),
    "of ranks": ((9, 40, 33), (2, 9, 33, 50)),
    "of squares": ((70, 64, 64), (70, 64, 64)),
}


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", [False, True])
def test_many_products_are_right_in_any_layout_with_the_same_bits(name, dtype, turned):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype(dtype) for shape in BATCHES[name])
    if turned:
        a, b = (np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2)[::-1] for x in (a, b))
    exact = np.matmul(a.astype("float64"), b.astype("float64"))
    before, found = engine.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            engine.set_num_threads(threads)
            found.append(engine.matmul(engine.asarray(a), engine.asarray(b)).numpy())
    finally:
        engine.set_num_threads(before)
    close = {"float32": 1e-5, "float64": 1e-13}[dtype] * np.abs(exact).max()
    np.testing.assert_allclose(found[0], exact, rtol=0, atol=close)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_many_products_of_other_shapes_are_refused_as_before():
    with pytest.raises(ValueError, match="matmul"):
        engine.matmul(engine.zeros((70, 64, 64)), engine.zeros((70, 63, 64)))
    with pytest.raises(ValueError, match="matmul"):
        engine.matmul(engine.zeros((70, 64, 64)), engine.zeros((71, 64, 64)))
