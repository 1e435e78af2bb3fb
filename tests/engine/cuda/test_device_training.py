"""Train a step on a device: launches are few, and only printed numbers make the host wait."""

import argparse

import numpy as np
import pytest

import engine
import rnn
from examples import char_rnn
from tests.draws import crossed, first
from tests.engine.cuda.launches import counted, on_fake

pytestmark = pytest.mark.cupy


def training(device, kind):
    engine.seed(0)
    options = argparse.Namespace(device=device, clip=0.2, lr=1e-2)
    return char_rnn.Training(char_rnn.CharRNN(kind, 11, 6).to(device), None, options)


def steps(own, count):
    rng, state, found = np.random.default_rng(0), None, []
    for _ in range(count):
        x, y = rng.integers(0, 11, (2, 5, 3))
        loss, norm, state = own.update(x, y, state)
        found.append((loss, norm))
    return found, (*rng.integers(0, 11, (2, 5, 3)), state)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_step_of_the_example_launches_little_and_waits_for_what_it_prints(gpu, kind):
    own = training(gpu, kind)
    found, given = steps(own, 3)  # what is compiled and made once is made
    with counted() as count:
        own.update(*given)
    assert count.total < 85
    assert count.to_device == [(5, 3), (5, 3)]  # x and y
    assert count.to_host == [(), ()]  # the loss and the norm
    assert count.launches["step"] == 1
    assert [count.launches[name] for name in ("measure", "combine", "scale")] == [1, 1, 1]
    expected, _ = steps(training("numpy", kind), 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_step_that_prints_nothing_waits_for_nothing(gpu):
    model = training(gpu, "lstm").model
    optimizer = rnn.optim.AdamW(model.parameters())
    ids = engine.asarray(np.random.default_rng(0).integers(0, 11, (5, 3)), device=gpu)

    def step():
        optimizer.zero_grad()
        engine.cross_entropy(model(ids)[0], ids).backward()
        rnn.clip_grad_norm(optimizer.parameters, 1.0)
        optimizer.step()

    step()
    step()
    with counted() as count:
        step()
    assert (count.to_host, count.to_device) == ([], [])


def test_leaves_that_share_a_gradient_have_copies_of_it(gpu):
    x, y = (engine.ones(3, device=gpu, requires_grad=True) for _ in range(2))
    z = engine.ones((2, 2), dtype=engine.float64, device=gpu, requires_grad=True)
    (engine.sum(x + y) + engine.sum(z)).backward()
    x.grad.data[...] = 5.0
    np.testing.assert_array_equal(y.grad.numpy(), np.ones(3))
    np.testing.assert_array_equal(z.grad.numpy(), np.ones((2, 2)))
    engine.sum(x * 2 + y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 7.0))
    np.testing.assert_array_equal(y.grad.numpy(), np.full(3, 2.0))


# ---- checks of numbers that the host sees later


KINDS = ["int64", "uint8", "int32", "uint64", "int8", "int16", "uint16", "uint32"]


@pytest.mark.parametrize(("kind", "place"), first(4, crossed(KINDS, [0, 17, 4999])))
def test_a_wrong_index_of_every_kind_is_reported(gpu, kind, place):
    x = engine.zeros(100, device=gpu)
    ids = np.full(5000, 99, kind)
    engine.take(x, engine.asarray(ids, device=gpu)).numpy()
    ids[place] = 101
    with counted() as count:
        found = engine.take(x, engine.asarray(ids, device=gpu))
    assert count.launches == {"check_range": 1, "take": 1} or kind != "int64" or not on_fake()
    with pytest.raises(IndexError, match="index 101 is out of bounds for axis 0 with size 100"):
        found.numpy()
    assert engine.sum(x).item() == 0  # told once, and the slot is clean


@pytest.mark.parametrize("wrong", [-101, -(2**63), 100, 2**63 - 1])
def test_an_index_as_far_out_as_can_be_is_reported(gpu, wrong):
    x = engine.zeros(100, device=gpu)
    found = engine.take(x, engine.asarray(np.array([3, wrong, -100]), device=gpu))
    with pytest.raises(IndexError, match=f"index {wrong} is out of bounds"):
        found.numpy()
    good = engine.take(x, engine.asarray(np.array([0, 99, -100]), device=gpu))
    np.testing.assert_array_equal(good.numpy(), np.zeros(3))


def test_the_first_of_several_wrong_checks_is_reported(gpu):
    x = engine.zeros(4, device=gpu)
    for index in (1, 7, 9):
        engine.take(x, engine.asarray([index], device=gpu))
    with pytest.raises(IndexError, match="index 7 is"):
        engine.synchronize()
    engine.synchronize()


def test_more_checks_than_slots(gpu):
    x = engine.zeros(4, device=gpu)
    right, wrong = engine.asarray([1], device=gpu), engine.asarray([4], device=gpu)

    def look(times):
        for _ in range(times):
            engine.take(x, right)

    engine.take(x, wrong)
    with pytest.raises(IndexError, match="index 4 is"):
        look(1001)
    engine.synchronize()


def test_a_check_on_another_device_comes_with_what_is_read(gpu):
    if len(engine.backends.by_device(gpu).devices()) < 2:
        pytest.skip("one device")
    there = engine.zeros(4, device="cupy:1")
    here = engine.ones(4, device="cupy:0")
    engine.take(there, engine.asarray([4], device="cupy:1"))
    with pytest.raises(IndexError, match="index 4 is"):
        here.numpy()
