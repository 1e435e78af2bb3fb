"""Compare conv1d and conv2d with sums written out and with PyTorch if installed; test edges."""

from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import ahead, first, leaf, normal

# B, C_in, T, C_out, K and what is set.
CASES: dict[str, tuple[tuple[int, int, int, int, int], dict[str, Any]]] = {
    "plain": ((2, 3, 7, 4, 3), {}),
    "one tap": ((2, 3, 5, 4, 1), {}),
    "one step": ((2, 3, 3, 4, 3), {}),
    "padding": ((2, 3, 5, 2, 3), {"padding": 2}),
    "wider than the input": ((1, 2, 2, 2, 5), {"padding": 2}),
    "stride": ((2, 2, 8, 3, 3), {"stride": 2}),
    "stride and padding": ((2, 2, 9, 3, 2), {"stride": 3, "padding": 1}),
    "stride beyond the kernel": ((1, 2, 9, 3, 2), {"stride": 4}),
    "dilation": ((2, 2, 9, 3, 3), {"dilation": 3}),
    "groups": ((2, 4, 6, 6, 3), {"groups": 2}),
    "depthwise": ((2, 3, 6, 3, 2), {"groups": 3, "padding": 1}),
    "same": ((2, 2, 6, 3, 3), {"padding": "same"}),
    "same, even": ((2, 2, 6, 3, 4), {"padding": "same", "dilation": 3}),
    "valid": ((2, 2, 6, 3, 4), {"padding": "valid"}),
    "all": ((2, 4, 11, 6, 3), {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
    "no rows": ((0, 2, 6, 3, 4), {}),
}
ALL = pytest.mark.parametrize("name", CASES)


def drawn(name: str) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return x, weight and bias of a case."""
    (B, C, T, O, K), options = CASES[name]
    groups = options.get("groups", 1)
    return [normal(B, C, T), normal(O, C // groups, K, salt=1), normal(O, salt=2)], options


def by_hand(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *,
    stride: int = 1, padding: Any = 0, dilation: int = 1, groups: int = 1,
) -> np.ndarray:  # fmt: skip
    """Return the sum over channels and taps, output by output."""
    (B, _, T), (O, inputs, K) = x.shape, weight.shape
    total = dilation * (K - 1)
    front, behind = {"valid": (0, 0), "same": (total // 2, total - total // 2)}.get(
        padding, (padding, padding)
    )
    steps = (T + front + behind - total - 1) // stride + 1
    out = np.zeros((B, O, steps))
    for o in range(O):
        for t in range(steps):
            out[:, o, t] = bias[o]
            for c in range(inputs):
                for k in range(K):
                    at = stride * t + dilation * k - front
                    if 0 <= at < T:
                        channel = o // (O // groups) * inputs + c
                        out[:, o, t] += weight[o, c, k] * x[:, channel, at]
    return out


@ALL
def test_the_sum_by_hand(name, device):
    arrays, options = drawn(name)
    out = engine.conv1d(*(engine.asarray(a, device=device) for a in arrays), **options)
    expected = by_hand(*arrays, **options)
    assert (out.shape, out.dtype, out.device) == (expected.shape, engine.float64, device)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-13)
    without = engine.conv1d(*(engine.asarray(a, device=device) for a in arrays[:2]), **options)
    expected = by_hand(*arrays[:2], np.zeros_like(arrays[2]), **options)
    np.testing.assert_allclose(without.numpy(), expected, rtol=1e-12, atol=1e-13)


FEW = ("no rows", "depthwise")  # a group of its own for each channel, and zeros around


@pytest.mark.parametrize("name", first(2, ahead(FEW, CASES)))
def test_all_derivatives(name, device):
    arrays, options = drawn(name)
    given = [engine.asarray(a, device=device) for a in arrays]
    assert engine.gradcheck(lambda *xs: engine.conv1d(*xs, **options), given, order=2)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@ALL
def test_a_convolution_is_pytorchs(name):
    torch = pytest.importorskip("torch")
    arrays, options = drawn(name)
    ours = [leaf(a) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = engine.conv1d(*ours, **options)
    expected = torch.nn.functional.conv1d(*theirs, **options)
    seed = normal(*out.shape, salt=7)
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    expected.backward(torch.tensor(seed))
    for g, x in zip(engine.gradients(out, ours, grads=seed), theirs, strict=True):
        np.testing.assert_allclose(g.numpy(), x.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_single_precision_stays_single():
    x, weight, bias = (a.astype("float32") for a in drawn("plain")[0])
    leaves = [engine.asarray(a, requires_grad=True) for a in (x, weight, bias)]
    out = engine.conv1d(*leaves)
    assert out.dtype == engine.float32
    for g, x in zip(engine.gradients(engine.sum(out), leaves), leaves, strict=True):
        assert (g.dtype, g.shape) == (x.dtype, x.shape)


def test_a_causal_network_does_not_see_ahead():
    x, weight = leaf(normal(1, 2, 9)), normal(3, 2, 3)
    front = engine.concat([engine.zeros((1, 2, 4), dtype="float64"), x], axis=2)
    out = engine.conv1d(front, weight, dilation=2)
    assert out.shape == (1, 3, 9)
    slope = engine.gradients(engine.sum(out[:, :, 4]), [x])[0].numpy()
    assert not slope[:, :, 5:].any()
    assert slope[:, :, [0, 2, 4]].all()


def test_the_graph_does_not_grow_with_time():
    sizes = []
    for T in (10, 1000):
        x, weight, bias = leaf(normal(2, 3, T)), leaf(normal(4, 3, 5)), leaf(normal(4))
        out = engine.conv1d(x, weight, bias, padding="same")
        g = engine.gradients(engine.sum(out), [x, weight, bias], create_graph=True)
        sizes.append((len(engine.Graph.of(out)), len(engine.Graph.of(*g))))
        assert [n.op.name for n in engine.Graph.of(out).nodes].count("matmul") == 1
    assert sizes[0] == sizes[1]


# ---- over the plane

# B, C_in, (Y, X), C_out, (K_y, K_x) and what is set.
PLANES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "plain": ((2, 3, (4, 5), 4, (2, 3)), {}),
    "one tap": ((2, 3, (2, 3), 4, (1, 1)), {}),
    "one row": ((1, 2, (1, 5), 3, (1, 3)), {}),
    "whole": ((2, 1, (3, 2), 2, (3, 2)), {}),
    "padding": ((2, 2, (3, 4), 3, (3, 2)), {"padding": 1}),
    "paddings": ((2, 2, (3, 4), 3, (3, 2)), {"padding": (2, 0)}),
    "stride": ((2, 2, (6, 7), 3, (2, 3)), {"stride": 2}),
    "strides": ((2, 2, (6, 7), 3, (2, 3)), {"stride": (3, 1)}),
    "dilation": ((1, 2, (6, 7), 2, (2, 3)), {"dilation": (4, 2)}),
    "groups": ((2, 4, (3, 3), 6, (2, 2)), {"groups": 2}),
    "depthwise": ((2, 3, (4, 3), 3, (3, 3)), {"groups": 3, "padding": 1}),
    "same": ((2, 2, (4, 5), 3, (3, 2)), {"padding": "same", "dilation": (1, 2)}),
    "valid": ((2, 2, (4, 5), 3, (3, 2)), {"padding": "valid"}),
    "all": ((2, 4, (7, 8), 6, (3, 2)),
            {"stride": (2, 3), "padding": (3, 1), "dilation": (2, 3), "groups": 2}),
    "no rows": ((0, 2, (4, 4), 3, (2, 2)), {}),
}  # fmt: skip
OVER_PLANES = pytest.mark.parametrize("name", PLANES)


def plane(name: str) -> tuple[list[np.ndarray], dict[str, Any]]:
    (B, C, sizes, O, taps), options = PLANES[name]
    groups = options.get("groups", 1)
    return [normal(B, C, *sizes), normal(O, C // groups, *taps, salt=1), normal(O, salt=2)], options


def row_by_row(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, **options: Any) -> np.ndarray:
    """Return the convolution of a plane as the sum of those of its rows, one a kernel row."""

    def one(what: str, default: Any, axis: int) -> Any:
        value = options.get(what, default)
        return value[axis] if isinstance(value, tuple) else value

    Y, K = x.shape[2], weight.shape[2]
    stride, dilation, padding = one("stride", 1, 0), one("dilation", 1, 0), one("padding", 0, 0)
    total = dilation * (K - 1)
    front, behind = {"valid": (0, 0), "same": (total // 2, total - total // 2)}.get(
        padding, (padding, padding)
    )
    tall = np.pad(x, ((0, 0), (0, 0), (front, behind), (0, 0)))
    own = {"stride": one("stride", 1, 1), "padding": one("padding", 0, 1),
           "dilation": one("dilation", 1, 1), "groups": options.get("groups", 1)}  # fmt: skip
    rows = []
    for y in range(0, Y + front + behind - total, stride):
        parts = [by_hand(tall[:, :, y + dilation * k], weight[:, :, k], 0 * bias, **own)
                 for k in range(K)]  # fmt: skip
        rows.append(np.sum(parts, axis=0))
    return np.stack(rows, axis=2) + bias[:, None, None]


@OVER_PLANES
def test_a_plane_row_by_row(name, device):
    arrays, options = plane(name)
    out = engine.conv2d(*(engine.asarray(a, device=device) for a in arrays), **options)
    expected = row_by_row(*arrays, **options)
    assert (out.shape, out.dtype, out.device) == (expected.shape, engine.float64, device)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-13)
    without = engine.conv2d(*arrays[:2], **options)
    np.testing.assert_allclose(
        without.numpy(), row_by_row(*arrays[:2], 0 * arrays[2], **options), atol=1e-13
    )


SMALL = ("no rows", "one row", "paddings")
SMALL_FIRST = ahead(SMALL, reversed(PLANES))


@pytest.mark.parametrize("name", first(3, SMALL_FIRST))
def test_all_derivatives_over_a_plane(name):
    arrays, options = plane(name)
    assert engine.gradcheck(lambda *xs: engine.conv2d(*xs, **options), arrays, order=2)


@pytest.mark.cupy
@pytest.mark.parametrize("name", first(2, SMALL_FIRST))
def test_all_derivatives_over_a_plane_on_a_device(name, gpu):
    arrays, options = plane(name)
    given = [engine.asarray(a, device=gpu) for a in arrays]
    assert engine.gradcheck(lambda *xs: engine.conv2d(*xs, **options), given, order=2)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@OVER_PLANES
def test_a_convolution_over_a_plane_is_pytorchs(name, dtype):
    torch = pytest.importorskip("torch")
    arrays, options = plane(name)
    ours = [engine.asarray(a.astype(dtype), requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    out, expected = engine.conv2d(*ours, **options), torch.nn.functional.conv2d(*theirs, **options)
    seed = normal(*out.shape, salt=7).astype(dtype)
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), tolerance, tolerance)
    expected.backward(torch.tensor(seed))
    for g, x in zip(engine.gradients(out, ours, grads=seed), theirs, strict=True):
        assert g.dtype == dtype
        np.testing.assert_allclose(g.numpy(), x.grad.numpy(), tolerance, tolerance)


X, W = engine.zeros((2, 3, 8)), engine.zeros((4, 3, 5))
MISTAKES = [
    (lambda: engine.conv1d(X[0], W), "x (3, 8), weight (4, 3, 5); expected x (B, C_in, T)"),
    (lambda: engine.conv1d(X, W[0]), "weight (3, 5); expected x (B, C_in, T), weight (C_out,"),
    (lambda: engine.conv1d(engine.zeros((2, 4, 8)), W),
     "x (2, 4, 8) has 4 channels and weight (4, 3, 5) with 1 groups expects 3"),
    (lambda: engine.conv1d(engine.zeros((2, 8, 3)), W), "expects 3; transpose x to (B, C_in, T)?"),
    (lambda: engine.conv1d(X, W, groups=2), "with 2 groups expects 6"),
    (lambda: engine.conv1d(X, W, groups=3), "outputs that 3 groups share equally"),
    (lambda: engine.conv1d(X, engine.zeros((4, 3, 0))), "expected at least one tap"),
    (lambda: engine.conv1d(X, W, engine.zeros(3)), "bias (3,); expected (4,)"),
    (lambda: engine.conv1d(X, W, dilation=2), "8 steps, padding included, are fewer than the 9"),
    (lambda: engine.conv1d(X, W, stride=0), "stride must be a positive integer, got 0"),
    (lambda: engine.conv1d(X, W, dilation=1.0), "dilation must be a positive integer, got 1.0"),
    (lambda: engine.conv1d(X, W, groups=True), "groups must be a positive integer, got True"),
    (lambda: engine.conv1d(X, W, padding=-1), "or an integer of at least 0, got -1"),
    (lambda: engine.conv1d(X, W, padding="full"), "padding must be 'same', 'valid' or an integer"),
    (lambda: engine.conv1d(X, W, padding="same", stride=2), "'same' goes with stride 1, got str"),
]  # fmt: skip


PLANE, SQUARE = engine.zeros((2, 3, 4, 5)), engine.zeros((4, 3, 2, 2))
MISTAKES += [
    (lambda: engine.conv2d(X, SQUARE), "x (2, 3, 8), weight (4, 3, 2, 2); expected x (B, C_in, Y"),
    (lambda: engine.conv2d(PLANE, W), "weight (C_out, C_in / groups, K_y, K_x)"),
    (lambda: engine.conv2d(PLANE, engine.zeros((4, 3, 2, 0))), "expected at least one tap"),
    (lambda: engine.conv2d(PLANE, SQUARE, dilation=(4, 1)), "4 steps, padding included, are fewer"),
    (lambda: engine.conv2d(PLANE, SQUARE, stride=(1, 2, 3)), "must be one integer or 2, got (1, 2"),
    (lambda: engine.conv2d(PLANE, SQUARE, stride=(1, 0)), "must be a positive integer, got (1, 0)"),
    (lambda: engine.conv2d(PLANE, SQUARE, padding=(1,)), "or an integer of at least 0, got (1,)"),
    (lambda: engine.conv2d(PLANE, SQUARE, padding=(1, -1)), "of at least 0, got (1, -1)"),
    (lambda: engine.conv2d(PLANE, SQUARE, engine.zeros((4, 1))), "bias (4, 1); expected (4,)"),
    (lambda: engine.conv2d(PLANE, SQUARE, padding="same", stride=(1, 2)), "goes with stride 1"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "told"), MISTAKES)
def test_mistakes_are_reported_in_one_line(mistake, told):
    with pytest.raises(ValueError, match=r"^conv[12]d: ") as caught:
        mistake()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
