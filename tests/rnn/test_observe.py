"""Observe every gate and state of networks over time: `observe` on layers, stacks and models."""

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal

T, B, I, H = 5, 2, 3, 4
LSTM = ["a", "i", "f", "g", "o", "c", "h"]
GRU = ["u", "v", "r", "z", "n", "h"]


def test_every_gate_of_every_layer_and_direction():
    net = rnn.LSTM(I, H, num_layers=2, bidirectional=True, dtype="float64")
    x, lengths = normal(T, B, I), [5, 3]
    y, (h, c), found = rnn.observe(net, x, None, lengths)
    paths = ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert list(found) == [f"{path}.{name}" for path in paths for name in LSTM]
    plain, (own_h, own_c) = net(x, None, lengths)
    for one, other in ((y, plain), (h, own_h), (c, own_c)):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
    below = np.concatenate([found["l0.h"].numpy(), found["l0_reverse.h"].numpy()], axis=-1)
    top = np.concatenate([found["l1.h"].numpy(), found["l1_reverse.h"].numpy()], axis=-1)
    np.testing.assert_allclose(top, y.numpy(), rtol=1e-12)
    weights = net.state_dict()
    t, row = 2, 1  # the last step of the row: the state before it is that of t = 1
    a = weights["weight_ih_l1"] @ below[t, row] + weights["weight_hh_l1"] @ found["l1.h"].numpy()[
        t - 1, row] + weights["bias_ih_l1"] + weights["bias_hh_l1"]  # fmt: skip
    np.testing.assert_allclose(found["l1.a"].numpy()[t, row], a, rtol=1e-10)
    np.testing.assert_allclose(found["l1.f"].numpy()[t, row], 1 / (1 + np.exp(-a[H : 2 * H])))
    np.testing.assert_allclose(found["l0_reverse.c"].numpy()[0], c.numpy()[1], rtol=1e-12)
    assert not found["l1_reverse.i"].numpy()[3:, 1].any()


def test_one_recurrence_has_plain_names():
    for net, names in ((rnn.GRU(I, H), GRU), (rnn.Recurrent(rnn.LSTMCell(I, H)), LSTM)):
        assert list(rnn.observe(net, engine.ones((T, B, I)))[2]) == names


def test_stacks_and_models_are_observed_by_path():
    net = rnn.Stacked([rnn.Bidirectional(rnn.GRUCell(I, H), rnn.GRUCell(I, H)),
                       rnn.LSTMCell(2 * H, H)])  # fmt: skip
    y, _, found = rnn.observe(net, engine.ones((T, B, I)))
    expected = [("layers.0.onward", GRU), ("layers.0.backward", GRU), ("layers.1", LSTM)]
    assert list(found) == [f"{path}.{name}" for path, names in expected for name in names]
    np.testing.assert_allclose(found["layers.1.h"].numpy(), y.numpy(), rtol=1e-6)
    model = rnn.LanguageModel(9, I, H, 2)
    _, state, found = rnn.observe(model, np.ones((T, B), int))
    assert set(found) == {f"recurrent.layers.{n}.{name}" for n in (0, 1) for name in LSTM}
    np.testing.assert_allclose(found["recurrent.layers.1.c"].numpy()[-1], state[1][1].numpy())


def test_batch_first_is_that_of_the_module():
    cell = rnn.GRUCell(I, H)
    x = normal(T, B, I).astype("f")
    found = rnn.observe(rnn.Recurrent(cell), x)[2]
    turned = rnn.observe(rnn.Recurrent(cell, batch_first=True), x.swapaxes(0, 1))[2]
    for name, one in found.items():
        np.testing.assert_allclose(turned[name].numpy(), one.numpy().swapaxes(0, 1), rtol=1e-6)
    layer = rnn.GRU(I, H, 2, batch_first=True)
    y, _, found = rnn.observe(layer, x.swapaxes(0, 1))
    np.testing.assert_allclose(found["l1.h"].numpy(), y.numpy(), rtol=1e-6)
    y, _, found = rnn.observe(layer, x[:, 0])
    np.testing.assert_allclose(found["l1.h"].numpy()[:, 0], y.numpy(), rtol=1e-6)


def test_what_is_observed_of_a_layer_is_differentiable_and_the_same_explicit():
    net = rnn.GRU(I, H, 2, dtype="float64")
    x = engine.asarray(normal(T, B, I), requires_grad=True)
    grads = []
    for explicit in (False, True):
        with engine.explicit() if explicit else engine.scope(""):
            _, _, found = rnn.observe(net, x)
        loss = engine.sum(found["l0.z"] * found["l1.n"])
        grads.append(engine.gradients(loss, [x, *net.parameters()]))
    for one, other in zip(*grads, strict=True):
        if one is not None:
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


def test_two_calls_of_a_module_are_distinguished():
    class Twice(rnn.Module):
        def __init__(self):
            self.run = rnn.Recurrent(rnn.GRUCell(I, I))

        def forward(self, x, state=None):
            return self.run(self.run(x)[0])

    found = rnn.observe(Twice(), engine.ones((T, B, I)))[2]
    assert list(found) == [*(f"run.{n}" for n in GRU), *(f"run#1.{n}" for n in GRU)]


def test_a_network_without_a_recurrence_has_nothing_to_observe():
    class Plain(rnn.Module):
        def forward(self, x, state=None):
            return x, state

    with pytest.raises(ValueError, match="observe: no recurrence has run in Plain"):
        rnn.observe(Plain(), engine.ones(2))
    assert len(rnn.GRU(I, H)(engine.ones((T, B, I)))) == 2  # nothing is left watching


def test_the_hooks_of_the_network_itself_are_in_force():
    net = rnn.GRU(3, 4)
    net.register_forward_hook(lambda module, inputs, found: (found[0] * 2, found[1]))
    x = engine.ones((5, 2, 3))
    np.testing.assert_array_equal(rnn.observe(net, x)[0].numpy(), net(x)[0].numpy())


def test_a_network_without_a_state_is_refused():
    class Mine(rnn.Module):
        def __init__(self):
            self.layer = rnn.GRU(3, 4)

        def forward(self, x, state=None):
            return self.layer(x)[0]

    with pytest.raises(ValueError, match=r"returns no \(y, state\) as recurrences do"):
        rnn.observe(Mine(), engine.ones((5, 2, 3)))
