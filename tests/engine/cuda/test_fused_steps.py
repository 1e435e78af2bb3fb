"""Test optimisers on a device: the bits of the host, in few launches.

Numbers of parameters, of dtypes and of frozen ones between them change none of that.
"""

import numpy as np
import pytest

import engine
import rnn
from tests.draws import crossed, first, normal
from tests.engine.cuda.device_parameters import DTYPES, give_gradients, parameters, values
from tests.engine.cuda.launches import counted, on_fake

pytestmark = pytest.mark.cupy

O = rnn.optim
RULES = [
    (O.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (O.SGD, {"momentum": 0.9, "dampening": 0.2, "maximize": True}),
    (O.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (O.AdamW, {}),
    (O.Adagrad, {"lr_decay": 0.1, "weight_decay": 0.1}),
    (O.Adadelta, {"weight_decay": 0.1}),
    (O.RMSprop, {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    # From here on slow: rules with less in them.
    (O.SGD, {}),
    (O.SGD, {"momentum": 0.9}),
    (O.Adam, {}),
    (O.RMSprop, {}),
]


def state_of(optimizer):
    found = optimizer.state_dict()
    return {name: np.asarray(value, "float64") for name, value in found.items() if "state" in name}


@pytest.mark.parametrize(
    ("kind", "settings", "dtype"),
    first(7, [(*rule, dtype) for rule, dtype in crossed(RULES, DTYPES)]), ids=str,
)  # fmt: skip
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
    """Step by the signs of gradients sorted by size: a rule that is not element by element."""

    def rule(self, group, xp, x, g, state, steps):
        x -= group["lr"] * xp.sort(g)


class Branching(O.SGD):
    """Branch on numbers of an array."""

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
