"""Carry gradients forward in time: RTRL against BPTT, e-prop and SnAp-1 by definition."""

import gc
import math
import tracemalloc

import numpy as np
import pytest

import engine
import rnn
from examples import online
from rnn.online.estimating import by_step
from rnn.online.influence import Linearizer
from tests.draws import crossed, first, normal

T, B, I, H = 6, 2, 3, 4
EXACT = {"rtol": 1e-12, "atol": 1e-13}


class Matrix(rnn.Cell):
    """Keep a matrix state beside a vector, and give an output with weights of its own."""

    input_size, state_size = I, {"S": (2, 3), "h": 2}

    def __init__(self):
        self.A = rnn.parameter((3, 3), 0.5, dtype="float64")
        self.b = rnn.parameter((2,), 0.5, dtype="float64")
        self.V = rnn.parameter((4, 2), 0.5, dtype="float64")

    def step(self, x, state):
        S, h = state
        S = engine.tanh(S @ self.A + h[:, :, None] * x[:, None, :])
        h = engine.tanh(engine.sum(S, axis=-1) * h + self.b)
        return h @ self.V.T + S[:, 0, :1], (S, h)


class Late(rnn.Cell):
    """Give out the state before the step, through weights, and take the time."""

    input_size, state_size = I, {"h": 3}

    def __init__(self):
        self.W = rnn.parameter((3, 3), 0.5, dtype="float64")
        self.V = rnn.parameter((3, 3), 0.5, dtype="float64")

    def step(self, x, h, t):
        new = engine.tanh(h @ self.W + x + engine.astype(t, "float64") / 10)
        return h @ self.V + new, new


class Constant(rnn.Cell):
    """Keep two states that no gradient reaches: zeros, and the input."""

    input_size, state_size = I, {"h": 3, "z": 3, "d": 3}

    def __init__(self):
        self.w = rnn.parameter((3,), 0.5, dtype="float64")

    def step(self, x, state):
        h, z, d = state
        h = engine.tanh(self.w * h + x + 0.1 * d)
        return h, (h, engine.zeros_like(z), 1.0 * x)


class Tied(rnn.Module):
    """Read out by the recurrent weights of a cell."""

    def __init__(self, cell):
        self.weight = cell.weight_hh

    def forward(self, y):
        return y @ self.weight


class Mixed(rnn.Cell):
    """Take the mean over the rows of the batch."""

    input_size, state_size = I, {"h": 3}

    def __init__(self):
        self.w = rnn.parameter((3,), 0.5, dtype="float64")

    def step(self, x, h):
        h = engine.tanh(self.w * h + x - engine.mean(x, axis=0))
        return h, h


class Bare(rnn.Cell):
    """Step without weights."""

    input_size, state_size = I, {"h": 3}

    def step(self, x, h):
        return (h := 0.5 * h + x), h


CELLS = {
    "Elman": lambda: rnn.ElmanCell(I, H, dtype="float64"),
    "GRU": lambda: rnn.GRUCell(I, H, dtype="float64"),
    "LSTM": lambda: rnn.LSTMCell(I, H, dtype="float64"),
    "IndRNN": lambda: rnn.IndRNNCell(I, H, dtype="float64"),
    "Jordan": lambda: rnn.JordanCell(I, H, 2, dtype="float64"),
    "layer norm": lambda: rnn.LayerNormLSTMCell(I, H, dtype="float64"),
    "matrix": Matrix,
    "late": Late,
    "constant": Constant,
}


def problem(name, steps=T, salt=0):
    """Return a cell, inputs, targets of its outputs, and a state to start from."""
    engine.seed(salt)
    cell = CELLS[name]()
    x = engine.asarray(normal(steps, B, I, salt=salt))
    y, state = rnn.Recurrent(cell)(x)
    start = [engine.asarray(0.3 * normal(*s.shape, salt=7)) for s in parts(state)]
    targets = engine.asarray(normal(*y.shape, salt=salt + 1))
    return cell, x, targets, start[0] if len(start) == 1 else tuple(start)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def same(found, expected, **tolerance):
    assert list(found) == list(expected)
    for name, g in expected.items():
        scale = np.abs(g.numpy()).max(initial=1e-3)
        np.testing.assert_allclose(found[name].numpy() / scale, g.numpy() / scale,
                                   **(tolerance or EXACT), err_msg=name)  # fmt: skip


# --- real-time recurrent learning ---


# First the cells that no other test of RTRL has: several states, the time, states without gradient.
ODD_FIRST = ["matrix", "late", "constant", "Jordan", "Elman", "GRU", "LSTM", "IndRNN",
             "layer norm"]  # fmt: skip


@pytest.mark.parametrize("name", first(3, ODD_FIRST))
def test_rtrl_is_the_gradient_of_bptt(name):
    cell, x, targets, state = problem(name)
    found, expected = (rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method,
                                           state=state) for method in ("rtrl", "bptt"))  # fmt: skip
    same(found, expected)
    assert any(np.abs(g.numpy()).max() > 1e-3 for g in expected.values())


@pytest.mark.parametrize("name", first(1, ["matrix", "GRU"]))
def test_every_step_has_the_gradient_of_its_own_loss(name):
    cell, x, targets, state = problem(name)
    steps = list(rnn.online.steps(cell, x, targets, engine.mse_loss, state=state))
    assert [step.t for step in steps] == list(range(T))
    y = rnn.Recurrent(cell)(x, state)[0]
    for t, step in enumerate(steps):
        np.testing.assert_allclose(step.output.numpy(), y[t].numpy(), **EXACT)
        loss = engine.mse_loss(y[t], targets[t])
        assert step.loss == pytest.approx(loss.item(), rel=1e-12)
        weights = dict(cell.named_parameters())
        grads = engine.gradients(loss, list(weights.values()))
        pairs = zip(weights.items(), grads, strict=True)
        same(step.gradients, {n: engine.zeros_like(w) if g is None else g for (n, w), g in pairs})


@pytest.mark.parametrize("method", first(3, ["rtrl", "eprop", "tbptt:2", "snap1", "bptt"]))
def test_a_readout_has_gradients_too(method):
    cell, x, _, state = problem("LSTM")
    readout = rnn.Linear(H, 5, dtype="float64")
    classes = engine.asarray(np.random.default_rng(0).integers(0, 5, (T, B)))
    found = rnn.online.estimate(cell, x, classes, engine.cross_entropy, method=method,
                                readout=readout, state=state)  # fmt: skip
    y = rnn.Recurrent(cell)(x, state)[0]
    loss = sum(engine.cross_entropy(readout(y[t]), classes[t]) for t in range(T))
    expected = engine.gradients(loss, readout.parameters())
    for name, g in zip(("readout.weight", "readout.bias"), expected, strict=True):
        np.testing.assert_allclose(found[name].numpy(), g.numpy(), **EXACT)
    exact = engine.gradients(loss, [cell.weight_hh])[0].numpy()
    close = np.allclose(found["weight_hh"].numpy(), exact, rtol=1e-10)
    assert close == (method in ("rtrl", "bptt"))


def test_a_weight_of_both_cell_and_readout_counts_once():
    cell, x, targets, _ = problem("Elman")
    given = (cell, x, targets, engine.mse_loss)
    found, expected = (rnn.online.estimate(*given, method=method, readout=Tied(cell))
                       for method in ("rtrl", "bptt"))  # fmt: skip
    same(found, expected)
    assert list(found) == [name for name, _ in cell.named_parameters()]


def test_frozen_parameters_and_recurrent_layers_around_a_cell():
    cell, x, targets, _ = problem("Elman")
    cell.weight_ih.requires_grad = False
    found = rnn.online.estimate(rnn.Recurrent(cell), x, targets, engine.mse_loss)
    same(found, rnn.online.estimate(cell, x, targets, engine.mse_loss, method="bptt"))
    assert "weight_ih" not in found


def test_no_steps_and_no_weights():
    cell, x, targets, _ = problem("GRU")
    for method in ("rtrl", "bptt", "tbptt:3"):
        found = rnn.online.estimate(cell, x[:0], targets[:0], engine.mse_loss, method=method)
        assert all(not g.numpy().any() for g in found.values())
        assert found["weight_hh"].shape == cell.weight_hh.shape
    (step, *_) = rnn.online.steps(Bare(), x, x, engine.mse_loss)
    assert step.gradients == {}


def test_float32_stays_so():
    cell, x = rnn.GRUCell(I, H), engine.ones((T, B, I))
    found = rnn.online.estimate(cell, x, engine.zeros((T, B, H)), engine.mse_loss)
    assert {str(g.dtype) for g in found.values()} == {"float32"}
    expected = rnn.online.estimate(cell, x, engine.zeros((T, B, H)), engine.mse_loss, method="bptt")
    same(found, expected, rtol=1e-4, atol=1e-5)


# --- against the words, row by row and by whole Jacobians ---


def jacobians(cell, x, states):
    """Return dz'/dz and dz'/dtheta of one row, of one number after another: (S, S) and (S, N)."""
    names = [name for name, _ in cell.named_parameters()]
    flat = [w.numpy() for w in cell.parameters()]

    def step(z, theta):
        own, start, given = CELLS_OF[type(cell)](), 0, []
        for name, w in zip(names, flat, strict=True):
            setattr(own, name, engine.reshape(theta[start : start + w.size], w.shape))
            start += w.size
        start = 0
        for s in states:
            given.append(engine.reshape(z[start : start + s[0].size], (1, *s.shape[1:])))
            start += s[0].size
        _, after = own.step(x[None], given[0] if len(given) == 1 else tuple(given))
        return engine.concat([engine.reshape(s, (-1,)) for s in parts(after)])

    z = engine.asarray(np.concatenate([s.numpy().reshape(-1) for s in states]))
    theta = engine.asarray(np.concatenate([w.reshape(-1) for w in flat]))
    return [j.numpy() for j in engine.jacobian(step, argnums=(0, 1))(z, theta)]


CELLS_OF = {type(make()): make for make in CELLS.values()}


def by_words(cell, x, targets, state, method, rate=0.0):
    """Return the sum of gradients by loops over rows, with the influence as its definition has it.

    The output is the first state. With a `rate` the weights are updated after every step.
    """
    states = [s.numpy() for s in parts(state)]
    influence = [np.zeros((sum(s[0].size for s in states), sum(w.size for w in cell.parameters())))
                 for _ in range(B)]  # fmt: skip
    places = [(s.shape[1:], i) for s in states for i in range(s[0].size)]
    reached = np.zeros(influence[0].shape, bool)
    total = np.zeros(influence[0].shape[1])
    for t in range(len(x)):
        own = [engine.asarray(s) for s in states]
        _, after = cell.step(x[t], own[0] if len(own) == 1 else tuple(own))
        after = [engine.asarray(s.numpy()) for s in parts(after)]
        signal = 2 * (after[0].numpy() - targets[t].numpy()) / targets[t].numpy().size
        found = []
        for b in range(B):
            J, F = jacobians(cell, x[t][b], [s[b : b + 1] for s in own])
            if method == "eprop":
                J = J * [[p == q for q in places] for p in places]
            found.append((J, F))
            reached |= F != 0
        gradient = np.zeros(len(total))
        for b, (J, F) in enumerate(found):
            influence[b] = J @ influence[b] + F
            if method == "snap1":
                influence[b] *= reached
            gradient += signal[b] @ influence[b][: len(signal[b])]
        states, start = [s.numpy() for s in after], 0
        for w in cell.parameters():
            w.data -= rate * gradient[start : start + w.size].reshape(w.shape)
            start += w.size
        total += gradient
    return total


WORDS = ["Elman", "GRU", "IndRNN", "LSTM", "layer norm"]


@pytest.mark.parametrize(
    ("name", "method"), first(len(WORDS), crossed(WORDS, ["rtrl", "eprop", "snap1"]))
)
def test_methods_are_what_their_words_say(name, method):
    cell, x, targets, state = problem(name)
    found = rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method, state=state)
    flat = np.concatenate([g.numpy().reshape(-1) for g in found.values()])
    expected = by_words(cell, x, targets, state, method)
    np.testing.assert_allclose(flat, expected, rtol=1e-10, atol=1e-12)


def test_eprop_is_exact_where_units_see_only_themselves():
    cell, x, targets, state = problem("IndRNN")
    found = [rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method, state=state)
             for method in ("bptt", "eprop", "snap1")]  # fmt: skip
    same(found[1], found[0])
    same(found[2], found[0])


@pytest.mark.parametrize("name", ["Elman", "LSTM", "matrix"])
def test_eprop_is_not_exact_elsewhere(name):
    cell, x, targets, state = problem(name)
    exact, found = (rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method,
                                        state=state) for method in ("bptt", "eprop"))  # fmt: skip
    assert any(not np.allclose(found[n].numpy(), exact[n].numpy(), rtol=1e-3) for n in exact)


# --- online ---


@pytest.mark.parametrize("method", ["rtrl", "eprop"])
def test_weights_may_be_updated_after_every_step(method):
    cell, x, targets, state = problem("GRU")
    before = [w.numpy().copy() for w in cell.parameters()]
    expected = by_words(cell, x, targets, state, method, rate=0.3)
    after = [w.numpy().copy() for w in cell.parameters()]
    for w, values in zip(cell.parameters(), before, strict=True):
        w.data[:] = values
    optimizer = rnn.optim.SGD(cell.parameters(), lr=0.3)
    total = np.zeros(len(expected))
    for step in rnn.online.steps(cell, x, targets, engine.mse_loss, method=method, state=state):
        for name, w in cell.named_parameters():
            w.grad = step.gradients[name]
        optimizer.step()
        total += np.concatenate([g.numpy().reshape(-1) for g in step.gradients.values()])
    np.testing.assert_allclose(total, expected, rtol=1e-10, atol=1e-12)
    for w, values in zip(cell.parameters(), after, strict=True):
        np.testing.assert_allclose(w.numpy(), values, rtol=1e-10, atol=1e-12)


def test_nothing_is_kept_of_earlier_steps(frozen):
    cell, x, targets, _ = problem("LSTM", steps=60)
    counts, sizes = [], []
    tracemalloc.start()
    try:
        for step in rnn.online.steps(cell, x, targets, engine.mse_loss):
            if step.t in (9, 19, 59):
                gc.collect()
                counts.append(sum(type(one) is engine.Tensor for one in gc.get_objects()))
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert counts[0] == counts[1] == counts[2]
    assert sizes[2] - sizes[1] < 20_000  # a step's states and gradients alone are 4,000 bytes


def test_the_work_is_linear_in_time(monkeypatch):
    calls = []
    at = Linearizer.at
    monkeypatch.setattr(Linearizer, "at", lambda *given: calls.append(0) or at(*given))
    for steps in (5, 10):
        cell, x, targets, _ = problem("Elman", steps=steps)
        rnn.online.estimate(cell, x, targets, engine.mse_loss)
    assert len(calls) == 15


# --- truncations, and all beside each other ---


@pytest.mark.parametrize(
    ("method", "options"),
    [("tbptt:2", {"kind": "chunk", "k": 2}), ("window:2,3", {"kind": "window", "k1": 2, "k2": 3}),
     ("per-loss:3", {"kind": "per-loss", "k": 3}), ("tail:2", {"kind": "tail", "k": 2})],
)  # fmt: skip
def test_truncations_have_their_names(method, options):
    cell, x, targets, state = problem("GRU")
    found = rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method, state=state)
    y = rnn.truncated(rnn.Recurrent(cell), x, state, **options).outputs
    loss = sum(engine.mse_loss(y[t], targets[t]) for t in range(T))
    weights = dict(cell.named_parameters())
    expected = engine.gradients(loss, list(weights.values()))
    same(found, dict(zip(weights, expected, strict=True)))
    parts = [step.gradients for step in by_step(cell, x, targets, engine.mse_loss, method=method,
                                                state=state)]  # fmt: skip
    same({n: engine.asarray(sum(one[n].numpy() for one in parts)) for n in weights}, found)


def test_a_truncation_at_the_length_is_none():
    cell, x, targets, state = problem("LSTM")
    same(*(rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method, state=state)
           for method in ("bptt", f"tbptt:{T}")))  # fmt: skip


def test_methods_are_compared_with_the_true_gradient():
    cell, x, targets, _ = problem("Elman", steps=12)
    methods = ["bptt", "rtrl", "eprop", "tbptt:2", "tail:3"]
    found = rnn.online.compare(cell, x, targets, engine.mse_loss, methods=methods)
    assert [list(one) for one in (found.cosines, found.errors, found.milliseconds)] == [methods] * 3
    assert all(len(one) == 12 for one in found.cosines.values())
    for method in ("bptt", "rtrl"):
        assert min(found.cosines[method]) > 1 - 1e-12
        assert max(found.errors[method]) < 1e-12
    assert found.cosines["eprop"][0] == pytest.approx(1)
    assert min(found.cosines["eprop"]) < 1 - 1e-6
    assert all(math.isnan(one) for one in found.cosines["tail:3"][:9])
    assert found.errors["tail:3"][0] == pytest.approx(1)
    assert all(cost > 0 for cost in found.milliseconds.values())


# --- errors ---


@pytest.mark.parametrize("method", ["bppt", "tbptt", "tbptt:x", "window:3", "tail:1,2", "rtrl:2"])
def test_unknown_methods_are_refused(method):
    cell, x, targets, _ = problem("Elman")
    with pytest.raises(ValueError, match=f"unknown method '{method}'; expected one of bptt, rtrl"):
        rnn.online.estimate(cell, x, targets, engine.mse_loss, method=method)


def test_methods_with_a_history_are_no_steps():
    cell, x, targets, _ = problem("Elman")
    with pytest.raises(ValueError, match="unknown method 'bptt'; expected one of rtrl, eprop"):
        next(rnn.online.steps(cell, x, targets, engine.mse_loss, method="bptt"))


def test_rows_that_mix_and_chance_are_refused():
    x = engine.asarray(normal(T, B, I))
    dropping = rnn.VariationalDropout(rnn.GRUCell(I, 3, dtype="float64"), inputs=0.5, states=0.5)
    for cell in (Mixed(), dropping):
        with pytest.raises(ValueError, match="mixes rows, or draws random numbers"):
            rnn.online.estimate(cell, x, x, engine.mse_loss)
    dropping.eval()
    same(*(rnn.online.estimate(dropping, x, x, engine.mse_loss, method=method)
           for method in ("bptt", "rtrl")))  # fmt: skip


def test_other_networks_and_losses_are_refused():
    cell, x, targets, _ = problem("Elman")
    for net in (rnn.LSTM(I, H), rnn.Recurrent(cell, reverse=True), 3):
        with pytest.raises(TypeError, match="expected a cell, or a Recurrent that runs forward"):
            rnn.online.estimate(net, x, targets, engine.mse_loss)
    with pytest.raises(ValueError, match="the loss of a step must be one number"):
        rnn.online.estimate(cell, x, targets, lambda y, target: y - target)


@pytest.mark.cupy
def test_a_device_has_the_same_gradients():
    cell, x, targets, _ = problem("GRU")
    found = []
    for device in ("numpy", "cupy"):
        own = cell.to(device)
        given = [engine.to(one, device) for one in (x, targets)]
        grads = rnn.online.estimate(own, *given, engine.mse_loss)
        assert all(g.device.startswith(device) for g in grads.values())
        found.append({name: engine.to(g, "numpy") for name, g in grads.items()})
    same(found[1], found[0], rtol=1e-10, atol=1e-12)


def test_the_example_compares_and_learns(tmp_path, capsys):
    assert online.main(["--fast", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "cosine to the true one" in told
    names = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert names == [f"estimators_{name}.svg" for name in ("elman", "indrnn", "lstm")]
    found = online.run(online.parse(["--fast", "--out", str(tmp_path)]))["compared"]
    assert found["Elman"].cosines["rtrl"][-1] == pytest.approx(1)
    assert found["IndRNN"].cosines["eprop"][-1] == pytest.approx(1)
    assert found["Elman"].cosines["eprop"][-1] < 1 - 1e-4
