"""Compare the losses with their formulas and with PyTorch if installed; test their edges."""

import math
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import ahead, covering, crossed, first, leaf, normal

N, V = 6, 5
LOGITS = normal(N, V)
TARGETS = np.array([0, 4, 2, 2, 1, 3])
IGNORED = np.array([0, -100, 2, 2, -100, 3])
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25, 3.0])
SOFT = np.exp(normal(N, V, salt=1)) / np.exp(normal(N, V, salt=1)).sum(-1, keepdims=True)
REDUCTIONS = ("none", "sum", "mean")

# What integer targets may come with.
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "ignore": {"ignore_index": -100},
    "smooth": {"label_smoothing": 0.1},
    "weight ignore": {"weight": WEIGHT, "ignore_index": -100},
    "weight smooth": {"weight": WEIGHT, "label_smoothing": 0.3},
    "all": {"weight": WEIGHT, "ignore_index": -100, "label_smoothing": 0.2},
    "ignore a class": {"ignore_index": 2, "label_smoothing": 0.2},
}
MOST = ("all", "ignore a class", "weight smooth")
MOST_FIRST = ahead(MOST, SETTINGS)
CASES = pytest.mark.parametrize("name", SETTINGS)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def targets_of(name: str) -> np.ndarray:
    return IGNORED if SETTINGS[name].get("ignore_index") == -100 else TARGETS


def by_hand(
    log_probs: np.ndarray,
    targets: np.ndarray,
    reduction: str,
    *,
    weight: Any = None,
    ignore_index: Any = None,
    label_smoothing: float = 0.0,
) -> Any:
    """Compute the loss position by position, as PyTorch documents it."""
    weight = np.ones(V) if weight is None else weight
    terms, shares = [], []
    for row, target in zip(log_probs, targets, strict=True):
        if target == ignore_index:
            terms.append(0.0)
            shares.append(0.0)
            continue
        hit = -weight[target] * row[target]
        even = -(weight * row).sum() / V
        terms.append((1 - label_smoothing) * hit + label_smoothing * even)
        shares.append(weight[target])
    return {"none": terms, "sum": sum(terms), "mean": sum(terms) / sum(shares)}[reduction]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@CASES
def test_cross_entropy_by_hand(name, reduction, device):
    options = SETTINGS[name]
    targets = targets_of(name)
    x = engine.asarray(LOGITS, device=device)
    out = engine.cross_entropy(x, targets, reduction=reduction, **options)
    assert (out.dtype, out.device) == (engine.float64, device)
    expected = by_hand(log_softmax(LOGITS), targets, reduction, **options)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-13)


HARD = [name for name in SETTINGS if "label_smoothing" not in SETTINGS[name]]


@pytest.mark.parametrize(("name", "reduction"), covering(HARD, REDUCTIONS))
def test_nll_loss_by_hand(name, reduction):
    options, targets = SETTINGS[name], targets_of(name)
    out = engine.nll_loss(log_softmax(LOGITS), targets, reduction=reduction, **options)
    expected = by_hand(log_softmax(LOGITS), targets, reduction, **options)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-13)
    assert engine.gradcheck(
        lambda x: engine.nll_loss(x, targets, reduction=reduction, **options),
        [log_softmax(LOGITS)],
        order=2,
    )


@pytest.mark.parametrize(("name", "reduction"), first(1, crossed(MOST_FIRST, REDUCTIONS)))
def test_derivatives_of_cross_entropy(name, reduction, device):
    x = engine.asarray(LOGITS, device=device)
    assert engine.gradcheck(
        lambda x: engine.cross_entropy(x, targets_of(name), reduction=reduction, **SETTINGS[name]),
        [x],
        order=2,
    )


def test_class_weights_have_gradients_too():
    def loss(x: Any, weight: Any) -> Any:
        return engine.cross_entropy(x, IGNORED, weight=weight, ignore_index=-100,
                                    label_smoothing=0.1)  # fmt: skip

    assert engine.gradcheck(loss, [LOGITS, WEIGHT], order=2)


@pytest.mark.parametrize(
    ("weight", "smoothing", "reduction"), covering([None, WEIGHT], [0.0, 0.25], REDUCTIONS)
)
def test_soft_targets(weight, smoothing, reduction):
    options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
    out = engine.cross_entropy(leaf(LOGITS), SOFT, **options)
    p = SOFT * (1 - smoothing) + smoothing / V
    terms = -(p * (1.0 if weight is None else weight) * log_softmax(LOGITS)).sum(-1)
    expected = {"none": terms, "sum": terms.sum(), "mean": terms.mean()}[reduction]
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-13)
    assert engine.gradcheck(lambda x, p: engine.cross_entropy(x, p, **options), [LOGITS, SOFT], 2)


def test_soft_targets_of_one_class_are_that_class():
    hard = engine.cross_entropy(leaf(LOGITS), TARGETS, weight=WEIGHT, reduction="sum")
    soft = engine.cross_entropy(leaf(LOGITS), np.eye(V)[TARGETS], weight=WEIGHT, reduction="sum")
    assert soft.item() == pytest.approx(hard.item(), rel=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_the_classes_may_be_on_any_axis(axis):
    logits = normal(2, 3, 4)
    moved = np.moveaxis(logits, axis, -1)
    targets = np.arange(moved[..., 0].size).reshape(moved.shape[:-1]) % moved.shape[-1]
    weight = np.linspace(0.5, 2.0, moved.shape[-1])
    for options in ({}, {"weight": weight, "label_smoothing": 0.1, "ignore_index": 1}):
        for reduction in ("none", "mean"):
            found = engine.cross_entropy(
                leaf(logits), targets, axis=axis, reduction=reduction, **options
            )
            expected = engine.cross_entropy(leaf(moved), targets, reduction=reduction, **options)
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-13)
    soft = np.abs(normal(2, 3, 4, salt=4))
    found = engine.cross_entropy(leaf(logits), soft, axis=axis, weight=weight, reduction="none")
    expected = engine.cross_entropy(leaf(moved), np.moveaxis(soft, axis, -1), weight=weight,
                                    reduction="none")  # fmt: skip
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-13)


def test_one_position_and_none():
    assert engine.cross_entropy(engine.zeros(4), 2).item() == pytest.approx(math.log(4), rel=1e-6)
    assert engine.cross_entropy(engine.zeros((0, 4)), [], reduction="sum").item() == 0
    assert math.isnan(engine.cross_entropy(engine.zeros((0, 4)), []).item())


def slopes(f: Any, x: Any) -> list[np.ndarray]:
    """Return the value of a loss, its gradient, and the gradient of the sum of squares of that."""
    x = leaf(x)
    out = f(x)
    g = engine.gradients(engine.sum(out), [x], create_graph=True)[0]
    second = engine.gradients(engine.sum(g * g), [x])[0]
    return [out.numpy(), g.numpy(), np.zeros(x.shape) if second is None else second.numpy()]


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_all_ignored(weight):
    options = {"ignore_index": -100, "weight": weight, "label_smoothing": 0.1}
    targets = np.full(N, -100)
    for reduction, expected in (("sum", 0.0), ("none", np.zeros(N)), ("mean", math.nan)):
        out, g, second = slopes(
            lambda x, r=reduction: engine.cross_entropy(x, targets, reduction=r, **options), LOGITS
        )
        np.testing.assert_array_equal(out, expected)
        assert not g.any()
        assert not second.any()


def test_what_is_ignored_may_be_anything():
    logits = LOGITS.copy()
    logits[IGNORED == -100] = -1e30
    out, g, second = slopes(lambda x: engine.cross_entropy(x, IGNORED, ignore_index=-100), logits)
    clean = slopes(lambda x: engine.cross_entropy(x, IGNORED, ignore_index=-100), LOGITS)
    assert out == clean[0]
    np.testing.assert_array_equal(g, clean[1])
    np.testing.assert_array_equal(second, clean[2])
    assert not g[IGNORED == -100].any()


@pytest.mark.parametrize(
    ("logits", "target", "expected", "slope"),
    [
        ([1e4, -1e4], 1, 2e4, [1, -1]),
        ([1e4, -1e4], 0, 0, [0, 0]),
        ([1e30, 1e30], 0, math.log(2), [-0.5, 0.5]),
        ([-math.inf, 0.0, 0.0], 1, math.log(2), [0, -0.5, 0.5]),
        ([-math.inf, 0.0], 0, math.inf, [-1, 1]),
        ([6e-8, -6e-8], 0, math.log(2) - 6e-8, [-0.5 + 3e-8, 0.5 - 3e-8]),
        ([-math.inf, 0.0, 0.0], [0.0, 0.25, 0.75], math.log(2), [0, 0.25, -0.25]),
    ],
)
def test_cross_entropy_at_extremes(logits, target, expected, slope):
    out, g, second = slopes(lambda x: engine.cross_entropy(x, target), logits)
    assert out == pytest.approx(expected, rel=1e-15)
    np.testing.assert_allclose(g, slope, rtol=1e-7, atol=1e-300)
    assert np.isfinite(second).all()


def test_an_impossible_class_of_no_weight_costs_nothing():
    weight = np.array([0.0, 1.0, 1.0])
    out, g, _ = slopes(
        lambda x: engine.cross_entropy(x, 1, weight=weight, label_smoothing=0.3),
        [-math.inf, 0.0, 0.0],
    )
    assert out == pytest.approx((0.7 + 0.2) * math.log(2))
    assert np.isfinite(g).all()
    certain = engine.cross_entropy(leaf([-math.inf, 0.0]), 1, label_smoothing=0.5)
    assert certain.item() == math.inf


def test_half_precision_keeps_its_dtype():
    x = engine.asarray(np.array([[6e-8, -6e-8, 60000.0]], "float16"), requires_grad=True)
    out = engine.cross_entropy(x, [2], label_smoothing=0.0)
    assert out.dtype == engine.float16
    assert out.item() == 0
    assert np.isfinite(engine.gradients(out, [x])[0].numpy()).all()


# ---- pairs

X, Y = normal(3, 4), normal(3, 4, salt=1)
DEGREES = np.abs(np.tanh(Y))
PAIRS = {
    "mse": (engine.mse_loss, lambda x, y: (x - y) ** 2, Y),
    "l1": (engine.l1_loss, lambda x, y: np.abs(x - y), Y),
    "huber": (
        engine.huber_loss,
        lambda x, y: np.where(abs(x - y) < 1, (x - y) ** 2 / 2, abs(x - y) - 0.5),
        Y,
    ),
    "huber wide": (
        lambda x, y, **rest: engine.huber_loss(x, y, delta=1.75, **rest),
        lambda x, y: np.where(abs(x - y) < 1.75, (x - y) ** 2 / 2, 1.75 * (abs(x - y) - 0.875)),
        Y,
    ),
    "bce": (
        engine.binary_cross_entropy_with_logits,
        lambda x, y: -y * np.log(1 / (1 + np.exp(-x))) - (1 - y) * np.log(1 / (1 + np.exp(x))),
        DEGREES,
    ),
    "bce weights": (
        lambda x, y, **rest: engine.binary_cross_entropy_with_logits(
            x, y, weight=np.array([[2.0], [0.5], [1.0]]), pos_weight=WEIGHT[:4], **rest
        ),
        lambda x, y: np.array([[2.0], [0.5], [1.0]]) * (
            WEIGHT[:4] * y * np.log(1 + np.exp(-x)) + (1 - y) * np.log(1 + np.exp(x))
        ),
        DEGREES,
    ),
}  # fmt: skip


WEIGHTED = ("bce weights", "huber wide", "l1", "mse")
WEIGHTED_FIRST = ahead(WEIGHTED, PAIRS)


@pytest.mark.parametrize(("name", "reduction"), first(4, crossed(WEIGHTED_FIRST, REDUCTIONS)))
def test_losses_of_pairs(name, reduction, device):
    loss, formula, y = PAIRS[name]
    out = loss(engine.asarray(X, device=device), y, reduction=reduction)
    terms = formula(X, y)
    expected = {"none": terms, "sum": terms.sum(), "mean": terms.mean()}[reduction]
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    x, y = engine.asarray(X, device=device), engine.asarray(y, device=device)
    assert engine.gradcheck(lambda x, y: loss(x, y, reduction=reduction), [x, y], order=2)


def test_targets_take_the_dtype_of_the_input_where_they_have_none():
    for target in ([0.1, 1.0], [True, False], np.array([0, 1]), engine.asarray([0, 1])):
        out = engine.mse_loss(engine.ones(2), target)
        assert out.dtype == engine.float32
    assert engine.mse_loss(leaf(0.1, 0.2), [0.1, 0.2]).item() == 0


def test_derivatives_at_the_corners():
    # At a gap of 0, at the bounds of the Huber loss, and at a logit of 0.
    _, g, second = slopes(lambda x: engine.huber_loss(x, [0.0] * 4), [0.0, 1.0, -1.0, 1e200])
    np.testing.assert_array_equal(g, np.array([0, 1, -1, 1]) / 4)
    np.testing.assert_array_equal(second[[0, 3]], [0, 0])
    _, g, _ = slopes(lambda x: engine.l1_loss(x, [1.0, 1.0]), [1.0, 3.0])
    np.testing.assert_array_equal(g, [0, 0.5])

    def curvature(f: Any, x: float) -> float:
        x = leaf(x)
        g = engine.gradients(f(x), [x], create_graph=True)[0]
        return float(engine.gradients(g, [x])[0].item())

    assert curvature(lambda x: engine.huber_loss(x, 0.0), 0.0) == 1
    for y in (0.0, 0.3, 1.0):
        assert curvature(lambda x, y=y: engine.binary_cross_entropy_with_logits(x, y), 0.0) == 0.25


@pytest.mark.parametrize(
    ("x", "y", "expected", "slope"),
    [
        (1e4, 1.0, 0.0, 0.0),
        (1e4, 0.0, 1e4, 1.0),
        (-1e4, 1.0, 1e4, -1.0),
        (-40.0, 0.0, math.exp(-40), math.exp(-40)),
        (40.0, 1.0, math.exp(-40), -math.exp(-40)),
        (0.0, 1.0, math.log(2), -0.5),
        (0.0, 0.0, math.log(2), 0.5),
    ],
)
def test_binary_cross_entropy_at_extremes(x, y, expected, slope):
    out, g, second = slopes(lambda x: engine.binary_cross_entropy_with_logits(x, y), x)
    assert out == pytest.approx(expected, rel=1e-14, abs=0)
    assert g == pytest.approx(slope, rel=1e-14, abs=0)
    assert np.isfinite(second).all()


# ---- PyTorch


@pytest.mark.parametrize("reduction", REDUCTIONS)
@CASES
def test_cross_entropy_is_pytorchs(name, reduction):
    torch = pytest.importorskip("torch")
    options, targets = dict(SETTINGS[name]), targets_of(name)
    x, y = leaf(LOGITS), torch.tensor(LOGITS, requires_grad=True)
    out = engine.cross_entropy(x, targets, reduction=reduction, **options)
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"])
    theirs = torch.nn.functional.cross_entropy(
        y, torch.tensor(targets), reduction=reduction, **options
    )
    np.testing.assert_allclose(out.numpy(), theirs.detach().numpy(), rtol=1e-12)
    theirs.sum().backward()
    g = engine.gradients(engine.sum(out), [x])[0]
    np.testing.assert_allclose(g.numpy(), y.grad.numpy(), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_other_losses_are_pytorchs(reduction):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    y, degrees, weight = (torch.tensor(a) for a in (Y, DEGREES, WEIGHT[:4]))
    pairs = [
        (engine.mse_loss, F.mse_loss, Y, y, {}),
        (engine.l1_loss, F.l1_loss, Y, y, {}),
        (engine.huber_loss, F.huber_loss, Y, y, {"delta": 0.7}),
        (engine.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, DEGREES,
         degrees, {"weight": weight, "pos_weight": weight}),
        (engine.cross_entropy, F.cross_entropy, DEGREES, degrees,
         {"weight": weight, "label_smoothing": 0.2}),
    ]  # fmt: skip
    for ours, theirs, target, their_target, options in pairs:
        x, their_x = leaf(X), torch.tensor(X, requires_grad=True)
        own = {k: v.numpy() if hasattr(v, "numpy") else v for k, v in options.items()}
        out = ours(x, target, reduction=reduction, **own)
        expected = theirs(their_x, their_target, reduction=reduction, **options)
        np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-12)
        expected.sum().backward()
        g = engine.gradients(engine.sum(out), [x])[0]
        np.testing.assert_allclose(g.numpy(), their_x.grad.numpy(), rtol=1e-11, atol=1e-14)


# ---- mistakes

ZEROS = engine.zeros((3, 4))
BCE = engine.binary_cross_entropy_with_logits
MISTAKES = [
    (lambda: engine.cross_entropy(ZEROS, [0, 1]), ValueError,
     "cross_entropy: targets (2,) do not match logits (3, 4); expected targets (3,), or floats ("),
    (lambda: engine.nll_loss(ZEROS, [0, 1]), ValueError,
     "nll_loss: targets (2,) do not match log_probs (3, 4); expected targets (3,)"),
    (lambda: engine.cross_entropy(ZEROS, [[0, 1, 2]], axis=0), ValueError, "expected targets (4,)"),
    (lambda: engine.cross_entropy(engine.zeros((2, 3, 4)), engine.zeros((2, 4), dtype="int64")),
     ValueError, "for classes on axis 1, as PyTorch has them, write axis=1"),
    (lambda: engine.cross_entropy(ZEROS, [0.0, 1.0, 2.0]), TypeError,
     "cross_entropy: targets of dtype float32; expected integers"),
    (lambda: engine.cross_entropy(ZEROS, [True, False, True]), TypeError,
     "targets of dtype bool; expected integers"),
    (lambda: engine.cross_entropy([[1, 2]], [0]), TypeError,
     "cross_entropy: logits of dtype int64; expected floats"),
    (lambda: engine.cross_entropy(engine.asarray(0.5), 0), ValueError,
     "cross_entropy: a single number has no axis of classes"),
    (lambda: engine.cross_entropy(ZEROS, [0, 1, 2], axis=2), IndexError,
     "cross_entropy: axis 2 is out of bounds for 2 dimensions"),
    (lambda: engine.cross_entropy(ZEROS, [0, 4, 9]), IndexError,
     "cross_entropy: target 4 for 4 classes; expected 0 to 3"),
    (lambda: engine.nll_loss(ZEROS, [0, -100, 1]), IndexError,
     "nll_loss: target -100 for 4 classes; expected 0 to 3; ignore_index=-100 leaves such"),
    (lambda: engine.cross_entropy(ZEROS, [0, -1, 1], ignore_index=1), IndexError, "target -1"),
    (lambda: engine.cross_entropy(ZEROS, [0, 1, 2], weight=[1.0, 2.0]), ValueError,
     "cross_entropy: weight (2,) for 4 classes; expected (4,)"),
    (lambda: engine.cross_entropy(ZEROS, [0, 1, 2], label_smoothing=1.5), ValueError,
     "cross_entropy: label_smoothing must lie in [0, 1], got 1.5"),
    (lambda: engine.cross_entropy(ZEROS, [0, 1, 2], ignore_index=1.0), TypeError,
     "cross_entropy: ignore_index must be an integer, got 1.0"),
    (lambda: engine.cross_entropy(ZEROS, ZEROS, ignore_index=1), ValueError,
     "cross_entropy: ignore_index goes with integer targets, these are floats"),
    (lambda: engine.cross_entropy(ZEROS, [0, 1, 2], reduction="median"), ValueError,
     "cross_entropy: unknown reduction 'median'; use ['mean', 'sum', 'none']"),
    (lambda: engine.nll_loss(ZEROS, [0, 1, 2], reduction=["mean"]), ValueError,
     "nll_loss: unknown reduction ['mean']"),
    (lambda: engine.mse_loss(ZEROS, ZEROS, reduction=None), ValueError,
     "mse_loss: unknown reduction None"),
    (lambda: engine.mse_loss(ZEROS, engine.zeros((3, 1))), ValueError,
     "mse_loss: input (3, 4) and target (3, 1) differ in shape"),
    (lambda: engine.l1_loss(ZEROS, 0.0), ValueError,
     "l1_loss: input (3, 4) and target () differ in shape"),
    (lambda: engine.l1_loss(engine.asarray([1]), [1]), TypeError,
     "l1_loss: input of dtype int64; expected floats"),
    (lambda: engine.huber_loss(ZEROS, ZEROS, delta=0), ValueError,
     "huber_loss: delta must be positive, got 0"),
    (lambda: BCE(ZEROS, ZEROS, weight=engine.ones(3)), ValueError,
     "binary_cross_entropy_with_logits: weight (3,) does not broadcast to input (3, 4)"),
    (lambda: BCE(ZEROS, ZEROS, pos_weight=engine.ones((2, 3, 4))), ValueError,
     "pos_weight (2, 3, 4) does not broadcast to input (3, 4)"),
    (lambda: BCE(ZEROS, engine.ones(4)), ValueError, "target (4,) differ in shape"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "told"), MISTAKES)
def test_mistakes_are_reported_in_one_line(mistake, kind, told):
    with pytest.raises(kind) as caught:
        mistake()
    message = str(caught.value)
    assert told in message
    assert "\n" not in message
