"""Clip by norm and by value: at any size, for any p, and never by a number that is not finite."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal

P = [1, 1.5, 2, 3, 7.25, math.inf]


def with_grad(grad: Any, dtype: str = "float64", **options: Any) -> engine.Tensor:
    """Return a parameter of zeros with this gradient."""
    values = np.array(grad, dtype)
    x = engine.asarray(np.zeros_like(values), requires_grad=True, **options)
    x.grad = engine.asarray(values)
    return x


def clipped(grads: Any, max_norm: float, *options: Any, **more: Any) -> tuple[float, list[Any]]:
    parameters = [with_grad(g) for g in grads]
    norm = rnn.clip_grad_norm(parameters, max_norm, *options, **more)
    assert type(norm) is float
    return norm, [x.grad.numpy() for x in parameters]


def exact_norm(values: Any, p: int) -> float:
    """Compute the p-norm of numbers by whole-number arithmetic, for any size of theirs."""
    total = sum(abs(Fraction(float(v))) ** p for v in values)
    if not total:
        return 0.0
    # root = r 10^shift with r near 1: the float in between neither overflows nor underflows.
    shift = (len(str(total.numerator)) - len(str(total.denominator))) // p
    return float(Fraction(float(total / Fraction(10) ** (shift * p)) ** (1 / p))
                 * Fraction(10) ** shift)  # fmt: skip


# ---- by norm


@pytest.mark.parametrize("p", P)
def test_the_norm_is_that_of_all_gradients_as_one_vector(p):
    grads = [normal(3, 2), normal(4), normal(), np.zeros((0, 2))]
    whole = np.concatenate([g.reshape(-1) for g in grads])
    norm, found = clipped(grads, 0.5, p)
    assert norm == pytest.approx(np.linalg.norm(whole, p), rel=1e-14)
    assert rnn.grad_norm([with_grad(g) for g in grads], p) == norm
    for g, one in zip(grads, found, strict=True):
        np.testing.assert_allclose(one, g * (0.5 / norm), rtol=1e-14)
    after = np.concatenate([g.reshape(-1) for g in found])
    assert np.linalg.norm(after, p) == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize("p", P)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_norms_agree_with_pytorch(p, dtype):
    torch = pytest.importorskip("torch")
    grads = [normal(3, 2).astype(dtype), normal(40).astype(dtype)]
    theirs = [torch.zeros(g.shape, requires_grad=True) for g in grads]
    theirs = [torch.tensor(g * 0, requires_grad=True) for g in grads]
    own = [with_grad(g, dtype) for g in grads]
    for x, g in zip(theirs, grads, strict=True):
        x.grad = torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 0.7, p).item()
    rtol = 1e-5 if dtype == "float32" else 1e-6  # PyTorch adds 1e-6 to the norm
    assert rnn.clip_grad_norm(own, 0.7, p) == pytest.approx(expected, rel=rtol)
    for x, y in zip(own, theirs, strict=True):
        assert x.grad.dtype == x.dtype
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=rtol)


def test_small_gradients_are_left_alone():
    parameters = [with_grad([3.0, 4.0])]
    before = parameters[0].grad
    assert rnn.clip_grad_norm(parameters, 5.0) == 5
    assert parameters[0].grad is before


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e-320, 1e307, 1e-30, 1e30])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_no_size_overflows_or_underflows(size, p):
    values = [3 * (size / 4), size, -size / 2]
    norm, found = clipped([values[:1], values[1:]], 1.0, p)
    assert norm == pytest.approx(exact_norm(values, p), rel=1e-14, abs=1e-323)
    if size > 1:
        assert exact_norm(np.concatenate(found), p) == pytest.approx(1, rel=1e-14)
        np.testing.assert_allclose(found[1], [found[0][0] / 0.75, -found[0][0] / 1.5], rtol=1e-14)
    else:
        assert [x for one in found for x in one] == values


@pytest.mark.parametrize("bound", [1e-200, 1e-305])
def test_tiny_bounds_keep_every_digit(bound):
    # max_norm / norm has lost its last digits, or all of them: the result has not.
    _, found = clipped([[3e150, 4e150]], bound)
    np.testing.assert_allclose(found[0] / bound, [0.6, 0.8], rtol=1e-14)


def test_single_precision_keeps_every_digit():
    x = with_grad([3e37, 4e37], "float32")
    assert rnn.clip_grad_norm([x], 1e-3) == pytest.approx(5e37, rel=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [6e-4, 8e-4], rtol=1e-6)
    many = with_grad(np.full(10**6, 0.1), "float32")
    assert rnn.grad_norm([many], 1) == pytest.approx(1e5, rel=1e-7)
    assert rnn.grad_norm([with_grad(np.ones(70_000), "float16")], 1) == 70_000


def test_dtypes_are_clipped_together():
    x, y = with_grad([3.0], "float32"), with_grad([[4.0]])
    assert rnn.clip_grad_norm([x, y], 1.0) == pytest.approx(5)
    assert (x.grad.dtype, y.grad.dtype) == ("float32", "float64")
    np.testing.assert_allclose([x.grad.item(), y.grad.item()], [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize(("bad", "told"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")])
@pytest.mark.parametrize("p", P)
def test_what_is_not_finite_is_refused(bad, told, p):
    parameters = [
        with_grad([3.0, 4.0]),
        with_grad([[1.0, bad]], name="weight_hh"),
        with_grad([bad], name="later"),
    ]
    kept = [x.grad for x in parameters]
    text = rf"gradient of parameter 1 \(weight_hh, \(1, 2\)\) has {told}; nothing was clipped"
    with pytest.raises(FloatingPointError, match=f"clip_grad_norm: the {text}"):
        rnn.clip_grad_norm(parameters, 1.0, p)
    assert all(x.grad is g for x, g in zip(parameters, kept, strict=True))
    norm = rnn.clip_grad_norm(parameters, 1.0, p, error_if_nonfinite=False)
    assert math.isnan(norm) if told == "NaN" else norm == math.inf
    assert all(x.grad is g for x, g in zip(parameters, kept, strict=True))


def test_nan_and_inf_together_are_nan():
    for grads in ([[np.inf], [np.nan]], [[np.nan, np.inf]], [[np.nan], [np.inf]]):
        assert math.isnan(clipped(grads, 1.0, error_if_nonfinite=False)[0])
    for one, other in ((np.inf, np.nan), (np.nan, np.inf)):
        both = [with_grad([one]), with_grad([other], "float32")]
        assert math.isnan(rnn.grad_norm(both))


def test_the_number_of_a_parameter_counts_those_without_a_gradient():
    x, still = with_grad([np.nan]), engine.zeros(3, requires_grad=True)
    with pytest.raises(FloatingPointError, match="parameter 2 "):
        rnn.clip_grad_norm([still, still, x], 1.0)


def test_finite_gradients_with_a_norm_that_overflows():
    with pytest.raises(FloatingPointError, match="which are all finite, overflows to inf"):
        clipped([[1.7e308] * 2], 1.0)
    assert clipped([[1.7e308] * 2], 1.0, error_if_nonfinite=False)[0] == math.inf


def test_gradients_of_zero():
    norm, found = clipped([[0.0, 0.0], []], 1.0)
    assert (norm, found[0].tolist()) == (0, [0, 0])


def test_a_single_number_and_a_single_tensor():
    x = with_grad(8.0)
    assert rnn.clip_grad_norm(x, 2.0) == 8
    assert x.grad.numpy().tolist() == 2


def test_iterators_and_what_has_no_gradient():
    x, still = with_grad([8.0]), engine.zeros(1, requires_grad=True)
    assert rnn.clip_grad_norm(iter([x, still]), 4.0) == 8
    assert x.grad.numpy().tolist() == [4]
    assert still.grad is None
    assert rnn.clip_grad_norm([], 4.0) == rnn.grad_norm([still]) == 0


def test_an_infinite_bound_only_measures():
    assert clipped([[3.0, 4.0]], math.inf) == (5, [pytest.approx([3, 4])])


# ---- by value


def test_clipping_by_value():
    x, y = with_grad([[3.0, -0.25, -4.0]]), with_grad([0.5], "float32")
    kept = y.grad
    assert rnn.clip_grad_value(iter([x, engine.zeros(1, requires_grad=True), y]), 0.5) is None
    assert x.grad.numpy().tolist() == [[0.5, -0.25, -0.5]]
    assert y.grad is kept
    z = with_grad([1e200, -1e-200, np.inf, -np.inf])
    rnn.clip_grad_value(z, 1e-3)
    assert z.grad.numpy().tolist() == [1e-3, -1e-200, 1e-3, -1e-3]


def test_values_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    own, theirs = with_grad(normal(20)), torch.zeros(20, dtype=torch.float64, requires_grad=True)
    theirs.grad = torch.tensor(normal(20))
    torch.nn.utils.clip_grad_value_([theirs], 0.3)
    rnn.clip_grad_value([own], 0.3)
    np.testing.assert_array_equal(own.grad.numpy(), theirs.grad.numpy())


def test_nan_is_refused_by_value_too():
    x, y = with_grad([9.0]), with_grad([1.0, np.nan], "float32", name="bias")
    with pytest.raises(FloatingPointError, match=r"clip_grad_value: .* 1 \(bias, .* has NaN"):
        rnn.clip_grad_value([x, y], 1.0)
    assert x.grad.item() == 9


# ---- both


CLIPS: list[Callable[..., Any]] = [rnn.clip_grad_norm, rnn.clip_grad_value]


@pytest.mark.parametrize("clip", CLIPS)
def test_gradients_are_replaced_and_not_overwritten(clip):
    x, y = with_grad([8.0, 1.0]), with_grad([2.0])
    kept = [x.grad, y.grad]
    clip([x, y], 1.0)
    assert [g.numpy().tolist() for g in kept] == [[8, 1], [2]]
    assert x.grad is not kept[0]


@pytest.mark.parametrize("clip", CLIPS)
def test_a_recorded_gradient_is_clipped_off_its_graph(clip):
    x = engine.asarray([8.0], requires_grad=True)
    (x**2).backward(create_graph=True)
    assert x.grad.requires_grad
    clip([x], 1.0)
    assert x.grad.item() == 1
    assert not x.grad.requires_grad


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("bound", [0, -1.0, math.nan, True, "1", None])
def test_bounds_that_are_none_are_refused(clip, bound):
    with pytest.raises(ValueError, match=rf"{clip.__name__}: \w+ must be positive, got"):
        clip([], bound)


@pytest.mark.parametrize("p", [0, 0.5, -1, -math.inf, math.nan, True, "inf", None])
def test_norms_that_are_none_are_refused(p):
    with pytest.raises(ValueError, match="norm_type must be a number of at least 1 or inf, got"):
        rnn.clip_grad_norm([], 1.0, p)
    with pytest.raises(ValueError, match="grad_norm: norm_type must be"):
        rnn.grad_norm([], p)


@pytest.mark.parametrize("clip", CLIPS)
def test_what_are_no_parameters_is_refused(clip):
    with pytest.raises(TypeError, match="parameter 0 is str, expected a Tensor; give module"):
        clip({"weight": with_grad([1.0])}, 1.0)
    x = with_grad([1.0])
    x.grad = np.ones(1)
    with pytest.raises(TypeError, match=r"the .grad of parameter 0 \(.*\) is ndarray"):
        clip([x], 1.0)


def test_clipping_on_every_device(device):
    x = engine.asarray(np.array([3.0, 4.0]), device=device, requires_grad=True)
    x.grad = engine.asarray(np.array([3.0, 4.0]), device=device)
    assert float(rnn.clip_grad_norm([x], 1.0, 3)) == pytest.approx(91 ** (1 / 3), rel=1e-14)
    rnn.clip_grad_value([x], 0.7)
    expected = np.minimum(np.array([3, 4]) / 91 ** (1 / 3), 0.7)
    np.testing.assert_allclose(engine.to(x.grad, "numpy").numpy(), expected, rtol=1e-14)
