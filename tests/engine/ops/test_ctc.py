"""Compare CTC with all alignments one by one and with PyTorch if installed; test its edges."""

import gc
import itertools
import math
import weakref
from typing import Any

import numpy as np
import pytest

import engine
from engine.apply import apply
from engine.ops.ctc import LATTICE
from tests.draws import leaf, normal, slow_beside


def log_probs(*shape: int, salt: int = 0, scale: float = 1.0) -> np.ndarray:
    """Draw logarithms of probabilities over the last axis."""
    x = scale * normal(*shape, salt=salt)
    x = x - x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


def spelled(path: tuple[int, ...], blank: int) -> list[int]:
    """Return the labels of a path: repeats are merged, blanks left out."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


def brute(frames: np.ndarray, labels: list[int], blank: int = 0) -> tuple[float, np.ndarray]:
    """Return -log of the sum over all paths (T, V) that spell the labels, and its gradient."""
    T, V = frames.shape
    total, used = 0.0, np.zeros((T, V))
    for path in itertools.product(range(V), repeat=T):
        if spelled(path, blank) == labels:
            probability = math.exp(sum(frames[t, label] for t, label in enumerate(path)))
            total += probability
            used[range(T), path] += probability
    return (-math.log(total), -used / total) if total else (math.inf, used)


# Labels of rows that 4 frames over the classes 0, 1, 2 can spell, cannot, or do in one way only.
ROWS = [[1], [2, 1], [1, 1], [], [1, 2, 1], [2, 2, 2], [1, 2, 1, 2], [1, 1, 2]]
FRAMES = [4, 3, 4, 2, 4, 4, 4, 3]
SPELLED = np.array([bool(len(r) + sum(a == b for a, b in itertools.pairwise(r)) <= f)
                    for r, f in zip(ROWS, FRAMES, strict=True)])  # fmt: skip
X = log_probs(4, len(ROWS), 3)


def padded(rows: list[list[int]], fill: int = 0) -> np.ndarray:
    wide = max(map(len, rows))
    return np.array([row + [fill] * (wide - len(row)) for row in rows], dtype=int)


COUNTS = [len(row) for row in ROWS]


def loss_and_slope(x: Any, *rest: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    x = x if isinstance(x, engine.Tensor) else leaf(x)
    out = engine.ctc_loss(x, *rest, **options)
    return out.numpy(), engine.gradients(engine.sum(out), [x])[0].numpy()


@pytest.mark.parametrize("fill", [0, 1, -1, 99])
def test_every_alignment_is_counted(fill, device):
    x = engine.asarray(X, device=device, requires_grad=True)
    out, slope = loss_and_slope(x, padded(ROWS, fill), FRAMES, COUNTS, reduction="none")
    assert out.dtype == np.float64
    for b, (row, frames) in enumerate(zip(ROWS, FRAMES, strict=True)):
        expected, used = brute(X[:frames, b], row)
        assert out[b] == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(slope[:frames, b], used, rtol=1e-12, atol=1e-15)
        assert not slope[frames:, b].any()
    np.testing.assert_array_equal(np.isfinite(out), SPELLED)


@pytest.mark.parametrize("blank", [1, 3])
def test_the_blank_may_be_any_class(blank):
    frames = log_probs(4, 1, 4)
    others = [c for c in range(4) if c != blank]
    for labels in ([others[0], others[0], others[2]], [others[2], others[1]], [others[1]]):
        out, slope = loss_and_slope(
            frames, [labels], [4], [len(labels)], blank=blank, reduction="sum"
        )
        expected, used = brute(frames[:, 0], labels, blank)
        assert out == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(slope[:, 0], used, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_reductions_and_infinity(reduction, zero_infinity):
    out, slope = loss_and_slope(X, padded(ROWS), FRAMES, COUNTS, reduction=reduction,
                                zero_infinity=zero_infinity)  # fmt: skip
    each = np.array(
        [brute(X[:f, b], r)[0] for b, (r, f) in enumerate(zip(ROWS, FRAMES, strict=True))]
    )
    if zero_infinity:
        each[~SPELLED] = 0
    per_label = each / np.maximum(COUNTS, 1)
    expected = {"none": each, "sum": each.sum(), "mean": per_label.mean()}[reduction]
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    assert np.isfinite(slope).all()
    assert not slope[:, ~SPELLED].any()
    assert slope[:, SPELLED].any(axis=(0, 2)).all()


@slow_beside("test_derivatives_from_logits")
def test_derivatives_of_both_orders(device):
    rows = [row for row, fits in zip(ROWS, SPELLED, strict=True) if fits]
    frames = [f for f, fits in zip(FRAMES, SPELLED, strict=True) if fits]
    counts = [len(row) for row in rows]
    x = engine.asarray(X[:, SPELLED], device=device)
    for reduction in ("none", "mean"):
        assert engine.gradcheck(
            lambda x, r=reduction: engine.ctc_loss(x, padded(rows), frames, counts, reduction=r),
            [x],
            order=2,
        )


def test_derivatives_from_logits():
    assert engine.gradcheck(
        lambda x: engine.ctc_loss(engine.log_softmax(x), [[1, 2, 2], [1, 0, 0]], [5, 4], [3, 1]),
        [normal(5, 2, 3)],
        order=2,
    )


def test_the_lattice_alone_has_right_derivatives():
    # A gradient may come to any state at any frame, not only to the ends of the paths.
    skip = np.array([[False, False, False, True, False], [False, False, False, False, False]])

    def finite(x: Any) -> Any:
        arrived = apply(LATTICE, (x, engine.asarray(skip)), {})
        return engine.where(arrived == -math.inf, 0.0, arrived)

    assert engine.gradcheck(finite, [normal(4, 2, 5)], order=2)


def test_rows_that_cannot_be_spelled_have_no_derivative_of_any_order():
    x = leaf(X)
    out = engine.ctc_loss(x, padded(ROWS), FRAMES, COUNTS, reduction="none", zero_infinity=True)
    g = engine.gradients(engine.sum(out), [x], create_graph=True)[0]
    second = engine.gradients(engine.sum(g * g), [x])[0].numpy()
    assert np.isfinite(second).all()
    assert not second[:, ~SPELLED].any()


def test_nan_in_the_padding_changes_nothing():
    dirty = X.copy()
    for b, frames in enumerate(FRAMES):
        dirty[frames:, b] = np.nan
    clean = loss_and_slope(X, padded(ROWS), FRAMES, COUNTS, reduction="none")
    found = loss_and_slope(dirty, padded(ROWS), FRAMES, COUNTS, reduction="none")
    for one, other in zip(found, clean, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_frames_spell_no_labels():
    out, slope = loss_and_slope(X[:, :2], [[1], [1]], [0, 0], [0, 1], reduction="none")
    np.testing.assert_array_equal(out, [0, math.inf])
    assert not slope.any()
    out, slope = loss_and_slope(X[:, :2], np.zeros((2, 0), int), [4, 1], [0, 0], reduction="none")
    np.testing.assert_allclose(out, [-X[:, 0, 0].sum(), -X[0, 1, 0]], rtol=1e-13)
    np.testing.assert_allclose(slope[:, :, 0], [[-1, -1], [-1, 0], [-1, 0], [-1, 0]], rtol=1e-13)


def test_classes_without_probability():
    x = log_probs(5, 1, 4)
    x[:, :, 3] = -math.inf
    x[2, :, :2] = -math.inf  # only a 2 can stand in the middle
    out, slope = loss_and_slope(x, [[1, 2]], [5], [2])
    expected, used = brute(x[:, 0], [1, 2])
    assert out == pytest.approx(expected / 2, rel=1e-13)
    np.testing.assert_allclose(slope[:, 0], used / 2, rtol=1e-12, atol=1e-15)
    impossible, slope = loss_and_slope(x, [[1, 3]], [5], [2])
    assert impossible == math.inf
    assert not slope.any()
    x[3] = -math.inf
    nothing, slope = loss_and_slope(x, [[1, 2]], [5], [2], zero_infinity=True)
    assert nothing == 0
    assert not slope.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-3, 300.0, 1e4, 1e30])
def test_extreme_log_probabilities(scale, dtype):
    # A path of the largest weight takes all: the loss is its sum, the gradient its classes.
    T, V, labels = 6, 4, [2, 2, 1]
    x = np.round(np.abs(normal(T, V, salt=3)) * 1000) / 1000 * -scale
    x = x.astype(dtype)
    best = -np.inf
    for path in itertools.product(range(V), repeat=T):
        if spelled(path, 0) == labels:
            best = max(best, sum(float(x[t, label]) for t, label in enumerate(path)))
    given = engine.asarray(x.reshape(T, 1, V), requires_grad=True)
    out, slope = loss_and_slope(given, [labels], [T], [3], reduction="sum")
    assert out.dtype == dtype
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(slope.sum(-1), -1, rtol=1e-6)  # a class a frame
    if scale > 1:
        assert out == pytest.approx(-best, rel=1e-6)


def test_long_rows_in_single_precision_keep_their_gradients():
    T, V = 2000, 30
    x = log_probs(T, 1, V, scale=3.0)
    labels = np.random.default_rng(0).integers(1, V, (1, 200))
    double = loss_and_slope(x, labels, [T], [200])
    single = loss_and_slope(
        engine.asarray(x.astype("float32"), requires_grad=True), labels, [T], [200]
    )
    assert single[0] == pytest.approx(double[0], rel=1e-6)
    np.testing.assert_allclose(single[1], double[1], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(double[1].sum(-1) * 200, -1, rtol=1e-9)


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_ctc_is_pytorchs(reduction, zero_infinity):
    torch = pytest.importorskip("torch")
    T, B, V, S = 12, 5, 6, 5
    logits = normal(T, B, V)
    targets = np.random.default_rng(1).integers(1, V, (B, S))
    frames, counts = [12, 9, 11, 12, 4], [5, 2, 0, 4, 5 if zero_infinity else 1]
    x, theirs = leaf(logits), torch.tensor(logits, requires_grad=True)
    out = engine.ctc_loss(engine.log_softmax(x), targets, frames, counts, reduction=reduction,
                          zero_infinity=zero_infinity)  # fmt: skip
    expected = torch.nn.functional.ctc_loss(
        theirs.log_softmax(-1), torch.tensor(targets), torch.tensor(frames), torch.tensor(counts),
        reduction=reduction, zero_infinity=zero_infinity,
    )  # fmt: skip
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-12)
    expected.sum().backward()
    g = engine.gradients(engine.sum(out), [x])[0]
    np.testing.assert_allclose(g.numpy(), theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_the_graph_does_not_grow_with_time():
    sizes = []
    for T in (5, 50):
        out = engine.ctc_loss(leaf(log_probs(T, 2, 3)), [[1], [2]], [T, T], [1, 1])
        sizes.append(len(engine.Graph.of(out)))
    assert sizes[0] == sizes[1]


def test_a_dropped_loss_frees_its_graph():
    x = leaf(X)
    out = engine.ctc_loss(x, padded(ROWS), FRAMES, COUNTS)
    out.backward()
    graph = engine.Graph.of(out)
    freed = [weakref.ref(graph.tensor(node)) for node in graph.nodes if node.inputs]
    gc.disable()
    try:
        del graph, out
        assert [one for one in freed if one() is not None] == []
    finally:
        gc.enable()


def test_training_on_it_spells_the_labels():
    x, labels = leaf(np.zeros((8, 1, 4))), [1, 1, 3]
    for _ in range(60):
        loss = engine.ctc_loss(engine.log_softmax(x), [labels], [8], [3])
        x = leaf(x.numpy() - 5 * engine.gradients(loss, [x])[0].numpy())
    assert spelled(tuple(x.numpy()[:, 0].argmax(-1)), 0) == labels
    assert loss.item() < 0.1


# ---- mistakes

P = engine.zeros((4, 2, 3))
T22 = [[1, 2], [2, 1]]
MISTAKES = [
    (lambda: engine.ctc_loss(engine.zeros((4, 3)), T22, [4, 4], [2, 2]), ValueError,
     "log_probs (4, 3); expected (T, B, V)"),
    (lambda: engine.ctc_loss(engine.zeros((0, 2, 3)), T22, [0, 0], [2, 2]), ValueError,
     "log_probs (0, 2, 3); expected (T, B, V), none of them 0"),
    (lambda: engine.ctc_loss(np.zeros((4, 2, 3), int), T22, [4, 4], [2, 2]), TypeError,
     "log_probs of dtype int64; expected floats"),
    (lambda: engine.ctc_loss(P, [1, 2], [4, 4], [2, 2]), ValueError,
     "targets (2,) for log_probs (4, 2, 3); expected (2, S)"),
    (lambda: engine.ctc_loss(P, [[1, 2]], [4, 4], [2, 2]), ValueError, "targets (1, 2)"),
    (lambda: engine.ctc_loss(P, [[1.0, 2.0], [2.0, 1.0]], [4, 4], [2, 2]), TypeError,
     "targets of dtype float32; expected integers"),
    (lambda: engine.ctc_loss(P, T22, [4.0, 4.0], [2, 2]), TypeError,
     "input_lengths of dtype float32; expected integers"),
    (lambda: engine.ctc_loss(P, T22, [4, 4], [True, True]), TypeError,
     "target_lengths of dtype bool; expected integers"),
    (lambda: engine.ctc_loss(P, T22, [4], [2, 2]), ValueError,
     "input_lengths (1,); expected (2,), one for each row"),
    (lambda: engine.ctc_loss(P, T22, [4, 4], 2), ValueError, "target_lengths (); expected (2,)"),
    (lambda: engine.ctc_loss(P, T22, [4, 5], [2, 2]), ValueError,
     "input_lengths has 5 for 4 frames; expected 0 to 4"),
    (lambda: engine.ctc_loss(P, T22, [-1, 4], [2, 2]), ValueError, "input_lengths has -1"),
    (lambda: engine.ctc_loss(P, T22, [4, 4], [2, 3]), ValueError,
     "target_lengths has 3 for 2 labels; expected 0 to 2"),
    (lambda: engine.ctc_loss(P, [[1, 3], [2, 1]], [4, 4], [2, 2]), IndexError,
     "target 3 for 3 classes; expected 0 to 2"),
    (lambda: engine.ctc_loss(P, [[1, -1], [2, 1]], [4, 4], [2, 2]), IndexError, "target -1 for 3"),
    (lambda: engine.ctc_loss(P, [[1, 0], [2, 1]], [4, 4], [2, 2]), ValueError,
     "the targets hold the blank, 0; leave blanks out"),
    (lambda: engine.ctc_loss(P, T22, [4, 4], [2, 2], blank=3), IndexError,
     "blank 3 for 3 classes; expected 0 to 2"),
    (lambda: engine.ctc_loss(P, T22, [4, 4], [2, 2], blank=True), IndexError, "blank True"),
    (lambda: engine.ctc_loss(P, T22, [4, 4], [2, 2], reduction="all"), ValueError,
     "unknown reduction 'all'; use ['mean', 'sum', 'none']"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "told"), MISTAKES)
def test_mistakes_are_reported_in_one_line(mistake, kind, told):
    with pytest.raises(kind) as caught:
        mistake()
    message = str(caught.value)
    assert message.startswith("ctc_loss: ")
    assert told in message
    assert "\n" not in message
