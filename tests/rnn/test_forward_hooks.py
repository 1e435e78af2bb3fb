"""Test hooks on the calls of modules: `register_forward_hook`."""

import copy

import numpy as np
import pytest

import engine
import rnn

X = engine.asarray(np.random.default_rng(0).normal(size=(4, 3, 2)), dtype=engine.float32)


def test_a_hook_sees_what_torch_hands_to_it():
    torch = pytest.importorskip("torch")
    seen = []
    for lib, net, x in ((rnn, rnn.Linear(2, 3), X), (torch, torch.nn.Linear(2, 3),
                                                      torch.zeros(4, 3, 2))):  # fmt: skip
        notes = []
        net.register_forward_hook(lambda *given, notes=notes: notes.append(given))
        y = net(x)
        ((module, inputs, output),) = notes
        assert module is net
        assert output is y
        assert inputs[0] is x
        seen.append((type(inputs), len(inputs), tuple(output.shape)))
        assert lib
    assert seen[0] == seen[1]


def test_what_a_hook_returns_replaces_the_output():
    net = rnn.Linear(2, 3)
    plain = net(X).numpy()
    first = net.register_forward_hook(lambda module, inputs, y: y * 2)
    second = net.register_forward_hook(lambda module, inputs, y: y + 1)
    silent = net.register_forward_hook(lambda module, inputs, y: None)
    np.testing.assert_allclose(net(X).numpy(), plain * 2 + 1, rtol=1e-6)
    first.remove()
    first.remove()
    np.testing.assert_allclose(net(X).numpy(), plain + 1, rtol=1e-6)
    second.remove()
    silent.remove()
    np.testing.assert_array_equal(net(X).numpy(), plain)
    assert "_hooks" not in vars(net)
    with pytest.raises(TypeError, match="register_forward_hook: expected a function"):
        net.register_forward_hook(3)


def test_a_copy_has_the_hooks_of_its_own():
    net = rnn.Linear(2, 3)
    handle = net.register_forward_hook(lambda module, inputs, y: y * 0)
    twin = copy.deepcopy(net)
    handle.remove()
    assert (net(X).numpy() != 0).any()
    assert (twin(X).numpy() == 0).all()


@pytest.mark.parametrize("layer", [rnn.LSTM, rnn.GRU])
def test_hooks_on_layers_and_inside_of_models(layer):
    net = rnn.Sequential(layer(2, 5), rnn.Linear(5, 1))
    shapes = {}
    for name, module in net.named_modules():
        module.register_forward_hook(
            lambda module, inputs, y, name=name: shapes.update(
                {name: (y[0] if isinstance(y, tuple) else y).shape}
            )
        )
    net(X)
    assert shapes == {"steps.0": (4, 3, 5), "steps.1": (4, 3, 1), "": (4, 3, 1)}


@pytest.mark.parametrize("wrap", [lambda cell: cell, lambda cell: rnn.Zoneout(cell, 0.0)])
def test_the_hook_of_a_cell_changes_its_step(wrap):
    cell = rnn.GRUCell(2, 3)
    run = rnn.Recurrent(wrap(cell))
    plain = run(X)[0].numpy()
    handle = cell.register_forward_hook(lambda cell, inputs, output: (output[0] * 3, output[1]))
    fused = run(X)[0].numpy()
    np.testing.assert_allclose(fused, plain * 3, rtol=1e-6)
    with engine.explicit():
        np.testing.assert_allclose(run(X)[0].numpy(), fused, rtol=1e-5)
    np.testing.assert_allclose(cell(X[0])[0].numpy(), fused[0], rtol=1e-5)
    handle.remove()
    np.testing.assert_array_equal(run(X)[0].numpy(), plain)


def test_a_hook_inside_of_a_cell_is_not_forgotten():
    class Own(rnn.Cell):
        input_size, state_size, pure = 2, {"h": 2}, True

        def __init__(self):
            self.inner = rnn.Linear(2, 2)

        def step(self, x, h):
            h = engine.tanh(self.inner(x) + h)
            return h, h

    run = rnn.Recurrent(Own())
    plain = run(X)[0].numpy()
    run(X)
    handle = run.cell.inner.register_forward_hook(lambda module, inputs, y: y * 0)
    assert (run(X)[0].numpy() == 0).all()
    assert (run(X)[0].numpy() == 0).all()
    handle.remove()
    np.testing.assert_array_equal(run(X)[0].numpy(), plain)
