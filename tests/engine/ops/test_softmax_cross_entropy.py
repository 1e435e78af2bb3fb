"""Compare the compiled loss over many classes with NumPy's passes and with float64."""

import numpy as np
import pytest

import engine
from engine.backends import HOST
from engine.scan.c import losses as compiled_loss
from engine.scan.c.compiler import CannotCompileError, compiler
from tests.draws import normal


def there_is_a_compiler():
    try:
        return bool(compiler())
    except CannotCompileError:
        return False


pytestmark = [
    pytest.mark.skipif(not there_is_a_compiler(), reason="there is no compiler"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # NumPy's, of what is not finite
]

KERNEL = compiled_loss.softmax_cross_entropy


@pytest.fixture
def large(monkeypatch):
    """Let small logits have the kernel too, and count its calls."""
    calls = []

    def counted(*given):
        calls.append(found := KERNEL(*given))
        return found

    monkeypatch.setattr(compiled_loss, "LARGE", 1)
    monkeypatch.setattr(HOST.xp, "cross_entropy_kernel", counted)
    return calls


def both(x, target, **options):
    """Return the terms and the gradient under a seed with no symmetry."""
    leaf = engine.asarray(x, requires_grad=True)
    terms = engine.cross_entropy(leaf, target, reduction="none", **options)
    seed = np.linspace(0.5, 1.5, terms.size).reshape(terms.shape).astype(x.dtype)
    return terms.numpy(), engine.gradients(terms, [leaf], grads=seed)[0].numpy()


def compared(calls, x, target, monkeypatch, **options):
    """Compare the kernel with NumPy in float32 and in float64, where those are finite."""
    found = both(x, target, **options)
    assert [one is not None for one in calls] == [True, True]
    monkeypatch.setattr(HOST.xp, "cross_entropy_kernel", None)
    plain_ones, exact_ones = both(x, target, **options), both(x.astype("d"), target, **options)
    for one, plain, exact in zip(found, plain_ones, exact_ones, strict=True):
        np.testing.assert_allclose(one, plain, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(one, exact, rtol=2e-6, atol=5e-7)


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 1), (1, 7), (5, 16), (4, 3, 1025), (17, 2500), (33,), (0, 4)]
)
def test_the_kernel_computes_what_numpy_does(shape, large, monkeypatch):
    x = normal(*shape).astype("float32") * 4
    target = np.random.default_rng(0).integers(0, shape[-1], shape[:-1])
    if 0 in shape:
        assert [one.size for one in both(x, target)] == [0, 0]
        return
    compared(large, x, target, monkeypatch)


@pytest.mark.parametrize("name", ["ignore_index", "weight"])
def test_masked_and_weighted_targets(name, large, monkeypatch):
    x, target = normal(6, 40).astype("float32"), np.array([0, 3, -1, 39, -1, 7])
    if name == "weight":
        target = abs(target)
    given = {"ignore_index": -1, "weight": np.linspace(0, 2, 40).astype("float32")}
    compared(large, x, target, monkeypatch, **{name: given[name]})


def test_nothing_comes_from_what_does_not_count(large):
    x = normal(3, 5).astype("float32")
    x[1] = np.nan
    terms, slopes = both(x, np.array([1, -1, 4]), ignore_index=-1)
    assert terms[1] == 0
    assert not slopes[1].any()
    assert np.isfinite(slopes).all()


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    "row",
    [
        [1e4, -1e4, 0, 1], [0, 0, 0, 0], [3, 3, 1, 3], [-INF, 0, 1, 2], [0, -INF, -INF, -INF],
        [-INF] * 4, [INF, 0, 1, 2], [0, INF, 100, 2], [INF, INF, 0, 1], [INF] * 4,
        [NAN, 0, 1, 2], [0, NAN, INF, -INF], [NAN] * 4, [-3e38, 3e38, 0, 0], [88, 89, 90, 200],
        [INF, 1, 1, 200], [-104, -90, 0, -88],
    ],
)  # fmt: skip
def test_ties_and_what_is_not_finite_are_as_before(row, large, monkeypatch):
    x = np.array([row] * 4, "float32")
    found = both(x, np.arange(4))
    monkeypatch.setattr(HOST.xp, "cross_entropy_kernel", None)
    for one, plain in zip(found, both(x, np.arange(4)), strict=True):
        np.testing.assert_allclose(one, plain, rtol=2e-6, atol=1e-37)


def test_any_number_of_threads_gives_the_same_bits(large, monkeypatch):
    x = normal(50, 1300).astype("float32")
    target = np.arange(50)
    monkeypatch.setattr(compiled_loss, "EACH", 1000)  # so that it is worth several threads
    before, found = engine.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            engine.set_num_threads(threads)
            found.append(both(x, target))
    finally:
        engine.set_num_threads(before)
    for one, other in zip(found[0] * 2, found[1] + found[2], strict=True):
        assert one.tobytes() == other.tobytes()


def test_derivatives_agree_with_differences_and_with_what_is_recorded(large):
    target = np.array([0, 3, 2])
    x = engine.asarray(normal(3, 4).astype("float32"), requires_grad=True)
    loss = engine.cross_entropy(x, target)
    plain = engine.gradients(loss, [x])[0]
    recorded = engine.gradients(loss, [x], create_graph=True)[0]
    np.testing.assert_allclose(plain.numpy(), recorded.numpy(), atol=1e-7)
    assert [one is not None for one in large] == [True, True]
    second = engine.gradients(engine.sum(recorded * recorded), [x])[0].numpy()
    wide = engine.asarray(x.numpy().astype("float64"), requires_grad=True)
    slope = engine.gradients(engine.cross_entropy(wide, target), [wide], create_graph=True)[0]
    exact = engine.gradients(engine.sum(slope * slope), [wide])[0].numpy()
    np.testing.assert_allclose(second, exact, rtol=1e-5, atol=1e-7)
    assert engine.gradcheck(lambda x: engine.cross_entropy(x, target), [wide.detach()], 2)
    ignored = np.array([0, -1, 2])
    assert engine.gradcheck(
        lambda x: engine.cross_entropy(x, ignored, ignore_index=-1), [wide.detach()], 2
    )


def test_strided_and_misaligned_logits_and_other_dtypes(large):
    x, target = normal(6, 8).astype("float32"), np.arange(3)
    raw = np.zeros(3 * 8 * 4 + 1, "u1")
    shifted = raw[1:].view("float32").reshape(3, 8)
    shifted[...] = x[:3]
    plain = both(x[:3].copy(), target)
    for given in (shifted, x[:3].copy(order="F"), np.repeat(x[:3], 2, 0)[::2]):
        for one, other in zip(both(given, target), plain, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    large.clear()
    assert both(x[:3].astype("float64"), target)[0].dtype == "float64"
    assert large == [None, None]


def test_the_plain_way_without_a_compiler(monkeypatch, large):
    monkeypatch.setattr(compiled_loss, "_library", lambda: None)
    x, target = normal(3, 8).astype("float32"), np.arange(3)
    terms, _ = both(x, target)
    assert large == [None, None]
    wide = x.astype("float64")
    exact = np.log(np.exp(wide).sum(-1)) - wide[np.arange(3), target]
    np.testing.assert_allclose(terms, exact, rtol=1e-6)
