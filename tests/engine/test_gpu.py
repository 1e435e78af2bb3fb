"""Test what only a GPU can show: no hidden transfers, bytes of the pool, checked indices."""

import numpy as np
import pytest

import engine
import rnn
from engine.backends import by_device

pytestmark = pytest.mark.cupy


@pytest.fixture
def transfers(gpu, monkeypatch):
    """Return a list that grows by an entry for every array that crosses between host and device."""
    import cupy

    backend, seen = by_device(gpu), []
    to_numpy, asarray = type(backend).to_numpy, type(backend).asarray

    def counted_to_numpy(self, x):
        seen.append(("to host", x.shape))
        return to_numpy(self, x)

    def counted_asarray(self, x, dtype, device):
        if not isinstance(x, cupy.ndarray):
            seen.append(("to device", np.shape(x)))
        return asarray(self, x, dtype, device)

    monkeypatch.setattr(type(backend), "to_numpy", counted_to_numpy)
    monkeypatch.setattr(type(backend), "asarray", counted_asarray)
    return seen


def test_a_training_step_moves_nothing(gpu, transfers):
    engine.seed(0)
    net = rnn.LSTM(3, 5).to(gpu)
    optimizer = rnn.optim.Adam(net.parameters())
    x = engine.ones((4, 2, 3), device=gpu)
    for step in range(3):
        if step == 1:
            transfers.clear()  # what was made once is made
        net.zero_grad()
        engine.sum(net(x, unroll=True)[0] ** 2).backward()
        optimizer.step()
    assert [one for one in transfers if one[1] != ()] == []


def test_reading_a_value_is_one_transfer(gpu, transfers):
    x = engine.ones((2, 3), device=gpu)
    transfers.clear()
    assert engine.sum(x).numpy() == 6
    assert transfers == [("to host", ())]


def test_the_pool_says_what_arrays_use(gpu):
    before = engine.memory(gpu)
    x = engine.zeros((1000, 1000), device=gpu)
    after = engine.memory(gpu)
    assert after.in_use - before.in_use >= x.size * 4
    assert after.kept >= 0
    del x
    engine.release_memory()
    assert engine.memory(gpu).in_use <= before.in_use


def test_the_pool_has_a_bound(gpu):
    before = engine.memory(gpu).bound
    engine.set_memory_bound("500MB", gpu)
    assert engine.memory(gpu).bound == 500_000_000
    engine.set_memory_bound(before, gpu)


@pytest.mark.parametrize("wrong", [5, -6, 10**6])
def test_indices_out_of_bounds_are_refused(gpu, wrong):
    told = f"index {wrong} is out of bounds for axis 1 with size 5"
    x = engine.ones((2, 5), device=gpu)
    with pytest.raises(IndexError, match=told):
        x[:, [0, wrong]]
    with engine.scope("words"):
        y = x[:, engine.asarray([0, wrong], device=gpu)] + 1  # nothing waits for the device here
    with pytest.raises(IndexError, match=f"getitem at words: {told}"):
        y.numpy()
    assert engine.sum(x).item() == 10  # told once


def test_dtypes_of_half_the_width(gpu):
    x = engine.asarray(np.ones(3, "float16"), device=gpu, requires_grad=True)
    (g,) = engine.gradients(engine.sum(engine.tanh(x)), [x])
    assert g.dtype == x.dtype
