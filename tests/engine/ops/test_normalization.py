"""Compare layer_norm with its formula and with PyTorch where installed; run it in a recurrence."""

from itertools import product

import numpy as np
import pytest

import engine
from tests.draws import first, leaf, normal

AXES = [-1, 2, 1, 0, (1, 2), (0, 2), (2, 1), (0, 1, 2), (-1,)]


def by_hand(x, weight=None, bias=None, *, axis=-1, eps=1e-5):
    """Compute the formula; weight and bias have the sizes on the axes, in the order of x."""
    out = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)
    axes = {one % x.ndim for one in (axis if isinstance(axis, tuple) else (axis,))}
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    out = out if weight is None else out * weight.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def drawn(axis):
    x = normal(3, 4, 5)
    axes = sorted({one % 3 for one in (axis if isinstance(axis, tuple) else (axis,))})
    shape = [x.shape[one] for one in axes]
    return x, normal(*shape, salt=1), normal(*shape, salt=2)


@pytest.mark.parametrize("axis", AXES)
def test_the_formula(axis, device):
    arrays = drawn(axis)
    for count in (1, 2, 3):
        given = [engine.asarray(a, device=device) for a in arrays[:count]]
        out = engine.layer_norm(*given, axis=axis, eps=1e-3)
        assert (out.dtype, out.device) == (engine.float64, device)
        expected = by_hand(*arrays[:count], axis=axis, eps=1e-3)
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-14)
    alone = engine.layer_norm(arrays[0], bias=arrays[2], axis=axis)
    expected = by_hand(arrays[0], None, arrays[2], axis=axis)
    np.testing.assert_allclose(alone.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", first(1, ["1", "0 2", "1 2", "-1"]))
def test_all_derivatives(axis, device):
    axis = tuple(map(int, axis.split()))
    given = [engine.asarray(a, device=device) for a in drawn(axis)]
    assert engine.gradcheck(lambda *xs: engine.layer_norm(*xs, axis=axis), given, order=2)


@pytest.mark.parametrize("count", [1, 2])
def test_a_layer_norm_is_pytorchs(count):
    torch = pytest.importorskip("torch")
    arrays = drawn(-1) if count == 1 else drawn((1, 2))
    ours, theirs = [leaf(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    out = engine.layer_norm(*ours, axis=-1 if count == 1 else (1, 2))
    expected = torch.nn.functional.layer_norm(theirs[0], arrays[1].shape, *theirs[1:])
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-13)
    seed = normal(*out.shape, salt=7)
    expected.backward(torch.tensor(seed))
    for g, x in zip(engine.gradients(out, ours, grads=seed), theirs, strict=True):
        np.testing.assert_allclose(g.numpy(), x.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e3, 1e5, 1e9, -3e30])
def test_a_row_of_equal_values_comes_out_as_zeros(value, dtype):
    for width in (1, 3, 7, 100):
        x = engine.asarray(np.full((2, width), value, dtype), requires_grad=True)
        out = engine.layer_norm(x)
        assert out.dtype == dtype
        assert not out.numpy().any()
        g = engine.gradients(engine.sum(out * out + out), [x], create_graph=True)[0]
        second = engine.gradients(engine.sum(g * g), [x])[0]
        assert np.isfinite(g.numpy()).all()
        assert np.isfinite(second.numpy()).all()


def test_small_differences_next_to_a_large_mean():
    x = np.array([[1e4, 1e4 + 0.5, 1e4 - 0.5, 1e4 + 0.25, 1e4 - 0.25]], "float32")
    out = engine.layer_norm(engine.asarray(x))
    np.testing.assert_allclose(out.numpy(), by_hand(x.astype("float64")), rtol=1e-6)


# ---- inside a recurrence

T, B, H = 5, 3, 6


def cell(weights):
    """Take one step with a layer norm between its product and its tanh."""
    W, gain, bias = weights

    def step(h, x):
        h = engine.tanh(engine.layer_norm(engine.linear(h, W) + x, gain, bias))
        return h, h

    return step


def parameters(dtype):
    arrays = normal(H, H), 1 + 0.1 * normal(H, salt=1), 0.1 * normal(H, salt=2)
    return [engine.asarray(a.astype(dtype), requires_grad=True) for a in arrays]


def run(dtype, **options):
    weights = parameters(dtype)
    h, xs = (engine.asarray(a.astype(dtype), requires_grad=True)
             for a in (normal(B, H, salt=3), normal(T, B, H)))  # fmt: skip
    final, ys = engine.scan(cell(weights), h, xs, **options)
    total = engine.sum(ys * ys) + engine.sum(final)
    return [ys.numpy(), *(g.numpy() for g in engine.gradients(total, [h, xs, *weights]))]


@pytest.mark.parametrize(("affine", "axis"), first(4, product([True, False], [-1, 1, (-1,), (1,)])))
def test_a_cell_with_a_layer_norm_runs_in_c(affine, axis):
    W, *rest = parameters("float32")

    def step(h, x):
        norm = engine.layer_norm(engine.linear(h, W) + x, *(rest if affine else ()), axis=axis)
        return engine.tanh(norm), norm

    told = engine.explain_scan(step, engine.zeros((B, H)), engine.zeros((T, B, H)))
    assert told.startswith("c: runs it")


@pytest.mark.parametrize(("dtype", "tolerance"), first(1, [("float64", 1e-11), ("float32", 2e-4)]))
def test_the_kernel_and_the_loop_agree(dtype, tolerance):
    for one, other in zip(run(dtype), run(dtype, unroll=True), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_rows_of_different_lengths():
    for one, other in zip(run("float64", lengths=[5, 0, 2]),
                          run("float64", lengths=[5, 0, 2], unroll=True), strict=True):  # fmt: skip
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


# ---- mistakes

X = engine.zeros((2, 3, 4))
MISTAKES = [
    (lambda: engine.layer_norm(X, axis=3), IndexError, "axis 3 is out of bounds for 3 dimensions"),
    (lambda: engine.layer_norm(X, axis=(0, -4)), IndexError, "axis -4 is out of bounds"),
    (lambda: engine.layer_norm(engine.asarray(1.0)), IndexError, "axis -1 is out of bounds for 0"),
    (lambda: engine.layer_norm(X, axis=()), ValueError, "axis (): expected one axis or several"),
    (lambda: engine.layer_norm(X, axis=(2, -1)), ValueError, "(2, -1) of 3 dimensions name one"),
    (lambda: engine.layer_norm(X, engine.ones(3)), ValueError,
     "weight (3,) for x (2, 3, 4); expected (4,)"),
    (lambda: engine.layer_norm(X, engine.ones((4, 3)), axis=(1, 2)), ValueError,
     "weight (4, 3) for x (2, 3, 4); expected (3, 4)"),
    (lambda: engine.layer_norm(X, bias=engine.ones(())), ValueError,
     "bias () for x (2, 3, 4); expected (4,)"),
    (lambda: engine.layer_norm(X, eps=-1e-5), ValueError, "eps must be at least 0, got -1e-05"),
    (lambda: engine.layer_norm(engine.asarray([1, 2])), TypeError,
     "x of dtype int64; expected floats"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "told"), MISTAKES)
def test_mistakes_are_reported_in_one_line(mistake, kind, told):
    with pytest.raises(kind) as caught:
        mistake()
    message = str(caught.value)
    assert message.startswith("layer_norm: ")
    assert told in message
    assert "\n" not in message
