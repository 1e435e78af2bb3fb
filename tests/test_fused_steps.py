"""Optimisers and clipping on a device: the bits of the host, in launches that are few.

Numbers of parameters, of dtypes and of frozen ones between them change none of that.
"""

import math

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal
from tests.launches import counted, on_fake

pytestmark = pytest.mark.cupy

O = rnn.optim
RULES = [
    (O.SGD, {}),
    (O.SGD, {"momentum": 0.9}),
    (O.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (O.SGD, {"momentum": 0.9, "dampening": 0.2, "maximize": True}),
    (O.Adam, {}),
    (O.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (O.AdamW, {}),
    (O.Adagrad, {"lr_decay": 0.1, "weight_decay": 0.1}),
    (O.Adadelta, {"weight_decay": 0.1}),
    (O.RMSprop, {}),
    (O.RMSprop, {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
]
SHAPES = [(3, 4), (), (5,), (0,), (2, 3, 2), (7,), (1,), (40, 30), (2, 2), (4,), (3,)]
DTYPES = ["float32", "float64", "float16", "bfloat16"]


@pytest.fixture
def gpu():
    try:
        found = engine.device("cupy")
    except RuntimeError as reason:
        pytest.skip(str(reason))
    one = engine.zeros(1, device=found)
    engine.take(one, engine.asarray([0], device=found)).numpy()  # makes the slots of checks, once
    return found


def dtype_of(name):
    return getattr(engine, name)


def parameters(device, dtype="float32", shapes=SHAPES):
    return [
        engine.asarray(normal(*shape, salt=i), dtype=dtype_of(dtype), device=device,
                       requires_grad=True)
        for i, shape in enumerate(shapes)
    ]  # fmt: skip


def give_gradients(own, step=0, size=1.0):
    for i, x in enumerate(own):
        g = size * normal(*x.shape, salt=100 * step + i)
        x.grad = engine.asarray(g, dtype=x.dtype, device=x.device)


def values(own):
    return [np.asarray(x.numpy(), "float64") for x in own]


def state_of(optimizer):
    found = optimizer.state_dict()
    return {name: np.asarray(value, "float64") for name, value in found.items() if "state" in name}


# ---- optimisers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "settings"), RULES, ids=str)
def test_a_step_has_the_bits_of_the_host_in_one_launch(gpu, kind, settings, dtype):
    found = []
    for device in ("numpy", gpu):
        own = parameters(device, dtype)
        optimizer = kind(own, lr=0.05, **settings)
        for step in range(4):
            give_gradients(own, step)
            if step == 2:
                optimizer.lr = 0.01  # a number, so the kernel is the same
            with counted() as count:
                optimizer.step()
            if device == gpu and step > 1:
                assert (count.launches, count.to_device, count.to_host) == ({"step": 1}, [], [])
        found.append((values(own), state_of(optimizer)))
    (own, state), (on_device, state_on_device) = found
    for a, b in zip(own, on_device, strict=True):
        np.testing.assert_array_equal(b, a) if on_fake() else np.testing.assert_allclose(b, a, 1e-6)
    assert state.keys() == state_on_device.keys()
    for name, value in state.items():
        np.testing.assert_allclose(state_on_device[name], value, rtol=0 if on_fake() else 1e-6)


def test_frozen_parameters_between_others_cost_no_launches(gpu):
    found = []
    for device in ("numpy", gpu):
        own = parameters(device)
        optimizer = O.Adam(own, lr=0.1)
        for step in range(3):
            give_gradients(own, step)
            for x in own[1::2]:
                x.grad = None
            with counted() as count:
                optimizer.step()
        found.append(values(own))
    assert count.launches == {"step": 1}
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_parameters_that_are_steps_apart_are_stepped_each_by_its_count(gpu):
    found = []
    for device in ("numpy", gpu):
        own = parameters(device)
        optimizer = O.Adam(own, lr=0.1)
        for step in range(3):
            give_gradients(own, step)
            if step == 1:
                own[2].grad = own[7].grad = None
            with counted() as count:
                optimizer.step()
        found.append((values(own), state_of(optimizer)))
    assert count.launches == {"step": 2}
    (a, state), (b, on_device) = found
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)
    assert {n: v for n, v in state.items() if n.endswith("step")} == {
        n: v for n, v in on_device.items() if n.endswith("step")
    }


def test_more_parameters_than_a_launch_has_pointers_for(gpu):
    found = []
    for device in ("numpy", gpu):
        own = parameters(device, shapes=[(1 + i % 3,) for i in range(200)])
        optimizer = O.SGD(own, lr=0.1, momentum=0.5)
        for step in range(2):
            give_gradients(own, step)
            with counted() as count:
                norm = float(rnn.clip_grad_norm(own, 0.5))
                optimizer.step()
        found.append((norm, *values(own)))
    assert count.launches["step"] == 3  # of 96 each
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_parameters_and_gradients_that_are_transposed(gpu):
    found = []
    for device in ("numpy", gpu):
        moved = engine.asarray(normal(3, 4, salt=1), dtype=engine.float32, device=device).data.T
        y = engine.asarray(moved, requires_grad=True)
        y.grad = engine.asarray(moved)
        optimizer = O.SGD([y], lr=0.1)
        rnn.clip_grad_norm([y], 0.1)
        optimizer.step()
        found.append(y.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


class Signs(O.SGD):
    """Steps by the signs of gradients sorted by size: a rule that is not element by element."""

    def rule(self, group, xp, x, g, state, steps):
        x -= group["lr"] * xp.sort(g)


class Branching(O.SGD):
    """A rule that reads numbers of an array."""

    def rule(self, group, xp, x, g, state, steps):
        if (g > 0).all():
            x -= group["lr"] * g
        else:
            x += group["lr"] * g


@pytest.mark.parametrize("kind", [Signs, Branching])
def test_a_rule_that_no_kernel_can_have_runs_on_arrays(gpu, kind):
    found = []
    for device in ("numpy", gpu):
        own = parameters(device)
        optimizer = kind(own, lr=0.1)
        give_gradients(own)
        with counted() as count:
            optimizer.step()
        found.append(values(own))
    assert "step" not in count.launches
    assert count.to_device == []
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_a_step_leaves_the_arrays_of_a_graph_as_they_are(gpu):
    own = parameters(gpu)
    before = [x.data for x in own]
    kept = [x.numpy().copy() for x in own]
    optimizer = O.Adam(own)
    give_gradients(own)
    optimizer.step()
    for array, value, x in zip(before, kept, own, strict=True):
        np.testing.assert_array_equal(engine.asarray(array).numpy(), value)
        assert not x.size or x.data is not array


def test_a_parameter_of_half_precision_that_is_set_is_taken_over(gpu):
    found = []
    for device in ("numpy", gpu):
        own = parameters(device, "float16")
        optimizer = O.SGD(own, lr=1e-4)
        for step in range(3):
            give_gradients(own, step)
            if step == 2:
                own[0].data = (own[0].data + 1).astype("float16")
            optimizer.step()
        found.append(values(own))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(b, a)


# ---- clipping


def clipped(device, dtype, bound, p, size=1.0):
    own = parameters(device, dtype)
    give_gradients(own, size=size)
    with counted() as count:
        norm = rnn.clip_grad_norm(own, bound, p)
    return float(norm), [np.asarray(x.grad.numpy(), "float64") for x in own], count


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 300, math.inf])
@pytest.mark.parametrize("bound", [0.5, 1e4])
@pytest.mark.parametrize("dtype", DTYPES)
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
def test_a_norm_that_is_not_finite_is_told_when_numbers_are_read(gpu, bad):
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
