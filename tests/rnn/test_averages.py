"""Test the exponential moving average of weights: its values, and its use by `fit`."""

import numpy as np
import pytest

import engine
import rnn
from rnn.training import EMA
from tests.draws import normal
from tests.rnn.training.small_training import (
    Net,
    assert_same_run,
    assert_same_state,
    batches,
    loss,
    run,
)


def moved(net, count, dtype="float64"):
    """Return weights as they might be after so many steps."""
    for n in range(count):
        for number, x in enumerate(net.parameters()):
            x.data = normal(*x.shape, salt=10 * n + number).astype(dtype)
        yield


def test_averages_are_the_closed_sum():
    net = rnn.Linear(3, 2, dtype="float64")
    seen = [net.state_dict()]
    ema = EMA(net, decay=0.75)
    for _ in moved(net, 5):
        ema.update()
        seen.append(net.state_dict())
    for name, value in ema.state_dict().items():
        weights = [0.75**5] + [0.25 * 0.75 ** (5 - n) for n in range(1, 6)]
        expected = sum(w * one[name] for w, one in zip(weights, seen, strict=True))
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_averages_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    net, theirs = rnn.Linear(3, 2, dtype="float64"), torch.nn.Linear(3, 2, dtype=torch.float64)

    def copy():
        theirs.load_state_dict({k: torch.tensor(x) for k, x in net.state_dict().items()})

    copy()
    make = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    model = torch.optim.swa_utils.AveragedModel(theirs, multi_avg_fn=make)
    model.update_parameters(theirs)  # the first time it copies
    ema = EMA(net, decay=0.9)
    for _ in moved(net, 6):
        copy()
        model.update_parameters(theirs)
        ema.update()
    for name, value in ema.state_dict().items():
        expected = model.module.state_dict()[name].numpy()
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_averages_of_half_are_kept_in_single():
    net = rnn.Linear(1, 1, bias=False)
    net.weight.data = np.ones((1, 1), "float16")
    ema = EMA(net, decay=0.9999)
    net.weight.data = np.full((1, 1), 2, "float16")
    for _ in range(100):
        ema.update()  # in half, 1 + 1e-4 is 1
    (value,) = ema.state_dict().values()
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, 2 - 0.9999**100, rtol=1e-5)
    with ema.swapped():
        assert net.weight.dtype == np.float16
        assert net.weight.numpy() == np.float16(value)


def test_swapped_weights_come_back():
    net = Net()
    ema = EMA(net, decay=0.5)
    for x in net.parameters():
        x.data = x.data + 1
    ema.update()
    before, averages = net.state_dict(), ema.state_dict()

    def broken():
        with ema.swapped():
            assert_same_state(net.state_dict(), averages)
            for name, value in averages.items():
                np.testing.assert_allclose(value, before[name] - 0.5, atol=1e-6)
            raise LookupError

    with pytest.raises(LookupError):
        broken()
    assert_same_state(net.state_dict(), before)


def test_shared_weights_are_averaged_once():
    net = rnn.LanguageModel(5, 3, 3, tie_weights=True)
    ema = EMA(net, decay=0.5)
    before = net.state_dict()
    for x in net.parameters():
        x.data = x.data + 2
    ema.update()
    now = net.state_dict()
    with ema.swapped():
        for name, value in net.state_dict().items():
            np.testing.assert_allclose(value, before[name] + 1, rtol=1e-6)
    assert_same_state(net.state_dict(), now)
    assert set(ema.state_dict()) == set(now)


def test_a_state_comes_back_and_others_are_refused():
    one, other = EMA(rnn.Linear(2, 2), 0.5), EMA(rnn.Linear(2, 2), 0.5)
    other.load_state_dict(one.state_dict())
    assert_same_state(one.state_dict(), other.state_dict())
    kept = other.state_dict()
    for odd in ({}, kept | {"more": np.ones(2)}, kept | {"bias": np.ones(3, "float32")}):
        with pytest.raises(ValueError, match=r"^EMA: "):
            other.load_state_dict(odd)
    assert_same_state(kept, other.state_dict())


@pytest.mark.parametrize("decay", [1, -0.1, True, "0.9", float("nan"), None])
def test_decays_that_are_none_are_refused(decay):
    with pytest.raises(ValueError, match=r"EMA: decay must lie in \[0, 1\), got "):
        EMA(rnn.Linear(1, 1), decay)


def test_other_parameters_than_before_are_refused():
    net = rnn.Linear(1, 1)
    ema = EMA(net, np.float32(0.5))
    net.more = rnn.parameter((2,))
    with pytest.raises(ValueError, match="EMA: the model has other parameters than before"):
        ema.update()
    with pytest.raises(TypeError, match="EMA: expected a Module, got list"):
        EMA([net.weight])


# ---- in fit


def averaged(folder=None, **options):
    """Return the results of `run` and the averages."""
    engine.seed(1)
    net = Net()
    made = EMA(net, decay=0.5)
    optimizer = rnn.optim.Adam(net.parameters(), lr=0.02)
    if folder is not None:
        options |= {"checkpoint": folder}
    history = rnn.fit(net, options.pop("data", batches()), loss, optimizer=optimizer, ema=made,
                      progress=False, **options)  # fmt: skip
    return net, optimizer, history, made


def by_hand(steps):
    """Compute weights and their averages after each step."""
    engine.seed(1)
    net, found = Net(), []
    ema = EMA(net, decay=0.5)

    def keep(run, record):
        ema.update()
        found.append((net.state_dict(), ema.state_dict()))

    rnn.fit(net, batches(), loss, optimizer=rnn.optim.Adam(net.parameters(), lr=0.02), steps=steps,
            callbacks=[keep], progress=False)  # fmt: skip
    return found


def test_validations_measure_the_averages_and_training_goes_on_without():
    seen = []
    net, _, _, ema = averaged(steps=4, evaluate=lambda net: seen.append(net.state_dict()) or {},
                              validate_every=1)  # fmt: skip
    expected = by_hand(4)
    for one, (_, averages) in zip(seen, expected, strict=True):
        assert_same_state(one, averages)
    assert_same_state(net.state_dict(), expected[-1][0])
    assert_same_state(ema.state_dict(), expected[-1][1])


def test_the_best_weights_are_averages():
    losses = iter([3, 1, 2])
    net = averaged(steps=3, evaluate=lambda net: {"loss": next(losses)}, validate_every=1,
                   monitor="loss", restore_best=True)[0]  # fmt: skip
    assert_same_state(net.state_dict(), by_hand(2)[-1][1])


def test_averages_are_resumed_to_the_bit(tmp_path):
    options = {"validation": batches(1), "validate_every": 2, "restore_best": True}
    whole = averaged(tmp_path / "a", steps=9, **options)
    averaged(tmp_path / "b", steps=5, **options)
    again = averaged(tmp_path / "b", steps=9, resume=True, **options)
    assert_same_run(whole[:3], again[:3])
    assert_same_state(whole[3].state_dict(), again[3].state_dict())
    with pytest.raises(ValueError, match="it was written with ema, this run has none"):
        run(steps=9, checkpoint=tmp_path / "b", resume=True, **options)


def test_averages_are_a_state_of_a_model_with_buffers():
    class Scaled(rnn.Module):
        def __init__(self):
            self.layer = rnn.Linear(2, 1)
            self.register_buffer("scale", np.float32([3.0]))

        def forward(self, x):
            return self.layer(x) * self.scale

    model = Scaled()
    ema = EMA(model, decay=0.5)
    state = ema.state_dict()
    assert set(state) == {"layer.weight", "layer.bias", "scale"}
    model.load_state_dict(state)
    ema.load_state_dict(state)
    ema.load_state_dict({name: x for name, x in state.items() if name != "scale"})
