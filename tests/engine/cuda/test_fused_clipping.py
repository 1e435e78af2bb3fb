"""Clip on a device in three launches, and compare with the host."""

import math

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering, normal
from tests.engine.cuda.device_parameters import DTYPES, give_gradients, parameters
from tests.engine.cuda.launches import counted, on_fake

pytestmark = pytest.mark.cupy


def clipped(device, dtype, bound, p, size=1.0):
    own = parameters(device, dtype)
    give_gradients(own, size=size)
    with counted() as count:
        norm = rnn.clip_grad_norm(own, bound, p)
    return float(norm), [np.asarray(x.grad.numpy(), "float64") for x in own], count


@pytest.fixture(autouse=True)
def _begun(gpu):
    """Make what a device makes once, which the first test would count."""
    clipped(gpu, "float32", 1.0, 2)


@pytest.mark.parametrize(
    ("p", "dtype", "bound"),
    covering([1, 1.5, 2, 3, 300, math.inf], DTYPES, [0.5, 1e4]),
)
def test_gradients_are_clipped_as_on_the_host_in_three_launches(gpu, dtype, bound, p):
    norm, grads, _ = clipped("numpy", dtype, bound, p)
    other, on_device, count = clipped(gpu, dtype, bound, p)
    tolerance = {"float64": 1e-14, "float32": 1e-6}.get(dtype, 2e-3)
    assert other == pytest.approx(norm, rel=tolerance)
    for a, b in zip(grads, on_device, strict=True):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=0 if "6" not in dtype[-2:] else 1e-7)
    assert count.launches == {"measure": 1, "combine": 1, "scale": 1}
    assert (count.to_host, count.to_device) == ([], [])


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e-320, 1e303])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_no_size_overflows_on_a_device(gpu, size, p):
    norm, grads, _ = clipped("numpy", "float64", 1.0, p, size)
    other, on_device, _ = clipped(gpu, "float64", 1.0, p, size)
    assert other == pytest.approx(norm, rel=1e-14, abs=1e-322)
    for a, b in zip(grads, on_device, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-13)


def test_dtypes_are_clipped_together_on_a_device(gpu):
    x = engine.asarray([0.0], dtype=engine.float32, device=gpu, requires_grad=True)
    y = engine.asarray([[0.0]], dtype=engine.float64, device=gpu, requires_grad=True)
    x.grad = engine.asarray([3e-30], dtype=engine.float32, device=gpu)
    y.grad = engine.asarray([[4e300]], dtype=engine.float64, device=gpu)
    assert float(rnn.clip_grad_norm([x, y], 1.0)) == pytest.approx(4e300)
    x.grad = engine.asarray([3.0], dtype=engine.float32, device=gpu)
    y.grad = engine.asarray([[4.0]], dtype=engine.float64, device=gpu)
    assert float(rnn.clip_grad_norm([x, y], 1.0)) == pytest.approx(5)
    np.testing.assert_allclose([x.grad.item(), y.grad.item()], [0.6, 0.8], rtol=1e-6)


def test_the_norm_has_the_same_bits_in_every_order_of_threads(gpu):
    if not on_fake():
        pytest.skip("orders of threads are chosen on the fake alone")
    from cupy._emulator import ORDERS, settings

    found = set()
    for order in ORDERS:
        with settings.use(order=order, seed=3):
            norm, grads, _ = clipped(gpu, "float32", 0.5, 2)
            found.add((norm, *(g.tobytes() for g in grads)))
    assert len(found) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_reported_when_numbers_are_read(gpu, bad):
    own = parameters(gpu)
    give_gradients(own)
    own[4].grad = engine.full_like(own[4], bad)
    before = [x.grad.numpy() for x in own]
    norm = rnn.clip_grad_norm(own, 0.5, error_if_nonfinite=False)
    assert str(float(norm)) == str(bad)
    rnn.clip_grad_norm(own, 0.5)
    with pytest.raises(FloatingPointError, match="the norm of the gradients was not finite"):
        own[0].numpy()
    for x, g in zip(own, before, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), g)


def test_values_are_clipped_as_on_the_host_in_three_launches(gpu):
    found = []
    for device in ("numpy", gpu):
        own = [*parameters(device), *parameters(device, "float16")]
        give_gradients(own)
        own[7].grad = engine.asarray(
            np.where(normal(40, 30) > 0, np.inf, -0.1), dtype=engine.float32, device=device
        )
        with counted() as count:
            rnn.clip_grad_value(own, 0.3)
        found.append([np.asarray(x.grad.numpy(), "float64") for x in own])
    assert count.launches == {"measure": 2, "combine": 1, "bound": 2}  # of two dtypes
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(b, a)


def test_values_with_nan_are_left_as_they_are(gpu):
    own = parameters(gpu)
    give_gradients(own)
    own[4].grad = engine.full_like(own[4], math.nan)
    before = [x.grad.numpy() for x in own]
    rnn.clip_grad_value(own, 1e-3)
    with pytest.raises(FloatingPointError, match="a gradient had NaN, and none was clipped"):
        own[0].numpy()
    for x, g in zip(own, before, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), g)


def test_gradients_of_nothing_have_no_norm(gpu):
    own = parameters(gpu, shapes=[(0,), (3, 0)])
    give_gradients(own)
    assert float(rnn.clip_grad_norm(own, 1.0)) == 0
    rnn.clip_grad_value(own, 1.0)
    assert [x.grad.shape for x in own] == [(0,), (3, 0)]
