"""Test the second device: ops, gradients and optimisers work there, while another is current.

CuPy computes on the current device and puts results there, for arrays of any device.
"""

import copy
import pickle

import numpy as np
import pytest

import engine
import rnn
from engine.apply import apply
from engine.backends import placement
from tests.draws import first, normal
from tests.engine.ops.test_ops import CASES, drawn, on_device

pytestmark = pytest.mark.cupy


@pytest.fixture
def second():
    try:
        return engine.device("cuda:1")
    except RuntimeError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(("op", "example"), CASES)
def test_ops_and_gradients_stay_there(op, example, second):
    values = drawn(op, example, "float64")
    found = []
    for device in ("numpy", second):
        xs = on_device(values, device)
        out = apply(op, tuple(xs), example.attrs)
        assert out.device == device
        found.append([out.numpy()])
        if out.requires_grad:
            given = engine.asarray(normal(*out.shape), dtype=out.dtype, device=device)
            leaves = [x for x in xs if isinstance(x, engine.Tensor) and x.requires_grad]
            for g in engine.gradients(out, leaves, [given]):
                assert g is None or g.device == device
                found[-1].append(0.0 if g is None else g.numpy())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", first(1, ["Adam", "SGD", "RMSprop", "Adagrad", "Adadelta"]))
def test_training_stays_there(kind, second):
    def trained(device):
        engine.seed(0)
        net = rnn.LSTM(3, 4, num_layers=2, dropout=0.25).to(device)
        optimizer = getattr(rnn.optim, kind)(net.parameters(), lr=0.01)
        average = rnn.training.EMA(net, 0.5)
        x = engine.asarray(normal(5, 2, 3).astype("float32"), device=device)
        for _ in range(3):
            net.zero_grad()
            engine.sum(net(x, lengths=[5, 3])[0] ** 2).backward()
            rnn.clip_grad_norm(net.parameters(), 0.5)
            rnn.clip_grad_value(net.parameters(), 0.25)
            optimizer.step()
            average.update()
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.step()
        assert {x.device for x in net.parameters()} == {device}
        with average.swapped():
            assert {x.device for x in net.parameters()} == {device}
        return [x.numpy() for x in net.parameters()], list(average.state_dict().values())

    for ours, theirs in zip(trained(second), trained("numpy"), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)


def test_what_is_made_is_made_there(second):
    made = [
        engine.zeros(2, device=second), engine.full(2, 1.5, device=second),
        engine.arange(3, device=second), engine.linspace(0, 1, 3, device=second),
        engine.eye(2, device=second), engine.random.normal((2,), 1.0, device=second),
        engine.asarray([1.0], device=second), engine.asarray(engine.ones(2), device=second),
    ]  # fmt: skip
    x = made[0]
    made += [
        engine.zeros_like(x), engine.asarray(x, copy=True), copy.copy(x), copy.deepcopy(x),
        pickle.loads(pickle.dumps(x)), engine.nonzero(x + 1)[0], engine.unique_values(x),
        engine.isin(x, [0.0]), engine.dropout(x, 0.5), engine.imag(x), x[[0, 1]],
        engine.tril(engine.eye(2, device=second)), engine.pad(x, 1, constant_values=2),
    ]  # fmt: skip
    assert {one.device for one in made} == {second}
    assert engine.to(x, "cuda:1") is x
    assert engine.to(x, "cuda:0").device == "cupy:0"
    assert engine.to(x, "cpu").device == "numpy"


def test_two_devices_do_not_meet_in_one_op(second):
    a, b = engine.ones(2, device="cuda:0"), engine.ones(2, device=second)
    with pytest.raises(TypeError, match=r"add: inputs on cupy:0 and cupy:1; move them with"):
        a + b


def test_outputs_on_several_devices_have_gradients_on_each(second):
    xs = [engine.asarray([2.0], device=name, requires_grad=True)
          for name in ("cpu", "cuda:0", second)]  # fmt: skip
    found = engine.gradients([engine.sum(x * x) for x in xs], xs)
    assert [(g.device, g.tolist()) for g in found] == [(x.device, [4]) for x in xs]


def test_with_one_device_none_is_selected(monkeypatch):
    monkeypatch.setattr(placement, "several", False)
    x = engine.ones(2, device="cuda", requires_grad=True)
    engine.sum(x * 3).backward()
    assert (x.grad.device, x.grad.tolist()) == ("cupy:0", [3, 3])


def test_a_device_that_is_not_there_is_refused(second):
    for call in (engine.device, lambda name: engine.zeros(2, device=name)):
        with pytest.raises(RuntimeError, match=r"device 'cuda:9' needs 10 CUDA devices; there are"):
            call("cuda:9")
