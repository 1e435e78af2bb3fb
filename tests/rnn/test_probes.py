"""Probe gradients through time: finite differences, sums, closed forms, and an example."""

import gc
import weakref

import numpy as np
import pytest

import engine
import rnn
import viz
from examples import vanishing
from tests.draws import crossed, first, normal, normal_leaf

T, B, I, H = 5, 2, 3, 4
CELLS = {
    "elman": lambda: rnn.ElmanCell(I, H, dtype="float64"),
    "lstm": lambda: rnn.LSTMCell(I, H, dtype="float64"),
    "projected": lambda: rnn.LSTMCell(I, H, proj_size=2, dtype="float64"),
    "peephole": lambda: rnn.PeepholeLSTMCell(I, H, dtype="float64"),
    "gru": lambda: rnn.GRUCell(I, H, dtype="float64"),
    "reset before": lambda: rnn.ResetBeforeGRUCell(I, H, dtype="float64"),
    "independent": lambda: rnn.IndRNNCell(I, H, nonlinearity="tanh", dtype="float64"),
    "both": lambda: rnn.ElmanJordanCell(I, H, 3, dtype="float64"),
}
EPS = 1e-6


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def joined(states):
    return states[0] if len(states) == 1 else tuple(states)


def states_from(cell, x, states, start, stop):
    """Return the states side by side after the steps in [start, stop), as NumPy arrays."""
    with engine.no_grad():
        for t in range(start, stop):
            _, states = cell.step(engine.asarray(x[t]), joined(states))
            states = parts(states)
    return np.concatenate([s.numpy() for s in states], axis=-1)


def differences(f, x):
    """Return the Jacobian of a function of arrays by central differences: out.shape + x.shape."""
    columns = []
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = EPS
        columns.append((f(x + step) - f(x - step)) / (2 * EPS))
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *x.shape)


def split(z, cell):
    cuts = np.cumsum(list(cell.state_size.values()))[:-1]
    return [engine.asarray(part) for part in np.split(z, cuts, axis=-1)]


@pytest.mark.parametrize("name", CELLS)
def test_jacobians_against_finite_differences(name):
    engine.seed(2)
    cell = CELLS[name]()
    initial = [normal_leaf(B, size, salt=i) for i, size in enumerate(cell.state_size.values())]
    x = normal(T, B, I)
    probe = rnn.Probe(rnn.Recurrent(cell), x, joined(initial))
    widths = dict(cell.state_size)
    starts = dict(zip(widths, np.cumsum([0, *widths.values()]), strict=False))
    for later, earlier in ((T, 0), (3, 1), (2, 2), (4, 3)):
        z = np.concatenate([probe.states[s][earlier].numpy() for s in widths], axis=-1)

        def f(z, later=later, earlier=earlier):
            return states_from(cell, x, split(z, cell), earlier, later)

        full = differences(f, z)
        own = np.stack([full[b, :, b] for b in range(B)])  # rows of a batch are independent
        for of, wide in widths.items():
            for by, high in widths.items():
                expected = own[:, starts[of] : starts[of] + wide, starts[by] : starts[by] + high]
                found = probe.jacobian(of, later, earlier, by).numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
        if later == earlier + 1:
            one = probe.step_jacobians().numpy()
            assert one.shape == (T, B, sum(widths.values()), sum(widths.values()))
            np.testing.assert_allclose(one[earlier], own, rtol=1e-6, atol=1e-8)


def test_tables_of_norms_are_the_norms_of_the_whole_batch():
    probe = rnn.Probe(rnn.Recurrent(CELLS["lstm"]()), normal(T, B, I))
    for of, by in (("h", None), ("c", "h")):
        spectral = probe.jacobian_norms(of, by).numpy()
        frobenius = probe.jacobian_norms(of, by, kind="frobenius").numpy()
        assert spectral.shape == frobenius.shape == (T + 1, T + 1)
        for later in range(T + 1):
            for earlier in range(T + 1):
                whole = np.zeros((B * H, B * H))
                if later >= earlier:
                    for b, block in enumerate(probe.jacobian(of, later, earlier, by).numpy()):
                        whole[b * H : (b + 1) * H, b * H : (b + 1) * H] = block
                expected = np.linalg.norm(whole, 2), np.linalg.norm(whole)
                found = spectral[later, earlier], frobenius[later, earlier]
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
        some = probe.jacobian_norms(of, by, rows=[T, 2]).numpy()
        np.testing.assert_array_equal(some, spectral[[T, 2]])


@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_gradient_norms_against_finite_differences(name):
    # Every h is moved by itself, where it is an output and where the next step reads it.
    cell = CELLS[name]()
    x, weights = normal(T, B, I), normal(T, B, H, salt=3)
    probe = rnn.Probe(rnn.Recurrent(cell), x)
    loss = engine.sum(probe.outputs * engine.asarray(weights))
    found = probe.gradient_norms(loss)
    assert set(found) == set(cell.state_size)
    for i in range(T + 1):

        def f(h, i=i):
            states = [probe.states[s][i].detach() for s in cell.state_size]
            states[0] = engine.asarray(h)
            total = np.sum(h * weights[i - 1]) if i else 0.0
            with engine.no_grad():
                for t in range(i, T):
                    y, states = cell.step(engine.asarray(x[t]), joined(states))
                    states = parts(states)
                    total += np.sum(y.numpy() * weights[t])
            return np.asarray(total)

        expected = np.linalg.norm(differences(f, probe.states["h"][i].numpy()))
        np.testing.assert_allclose(found["h"].numpy()[i], expected, rtol=1e-6)


def test_gradients_come_from_jacobians():
    # dL/ds_0 is dL/ds_T times the Jacobian between, for a loss of the last state alone.
    probe = rnn.Probe(rnn.Recurrent(CELLS["lstm"]()), normal(T, B, I))
    v = normal(B, H)
    loss = engine.sum(probe.states["c"][-1] * engine.asarray(v))
    for by in ("h", "c"):
        expected = np.einsum("bi,bij->bj", v, probe.jacobian("c", T, 0, by).numpy())
        norm = probe.gradient_norms(loss)[by].numpy()[0]
        np.testing.assert_allclose(norm, np.linalg.norm(expected), rtol=1e-6)
    assert probe.gradient_norms(loss)["h"].numpy()[-1] == 0.0


NETS = {
    "stack": lambda: rnn.LSTM(I, H, num_layers=2, bidirectional=True, dtype="float64"),
    "one": lambda: rnn.GRU(I, H, dtype="float64"),
    "turned": lambda: rnn.RNN(I, H, batch_first=True, dtype="float64"),
    "any cells": lambda: rnn.Stacked([CELLS["gru"](), rnn.ElmanCell(H, 2, dtype="float64")]),
    "regularised": lambda: rnn.Recurrent(rnn.WeightDropout(CELLS["lstm"](), 0.4)),
    "backward": lambda: rnn.Recurrent(CELLS["peephole"](), reverse=True),
}


@pytest.mark.parametrize("name", NETS)
def test_contributions_sum_to_the_whole_gradient(name):
    net = NETS[name]()
    x = normal(T, B, I)
    engine.seed(3)
    probe = rnn.Probe(net, x)
    engine.seed(3)
    with engine.explicit():
        y, _ = net(x)
    np.testing.assert_allclose(probe.outputs.numpy(), y.numpy(), rtol=1e-13)
    seed = engine.asarray(normal(*y.shape, salt=5))
    found = probe.contributions(lambda y: engine.sum(y * seed))
    norms = probe.contribution_norms(engine.sum(probe.outputs * seed))
    named = dict(net.named_parameters())
    assert set(found) == set(norms) == set(named)
    steps = x.shape[1] if name == "turned" else T
    for key, whole in zip(named, engine.gradients(y, list(named.values()), seed), strict=True):
        assert found[key].shape == (steps, *named[key].shape)
        np.testing.assert_allclose(found[key].numpy().sum(0), whole.numpy(), rtol=1e-9, atol=1e-12)
        each = np.linalg.norm(found[key].numpy().reshape(steps, -1), axis=1)
        np.testing.assert_allclose(norms[key].numpy(), each, rtol=1e-6)


@pytest.mark.parametrize("reverse", first(1, [True, False]))
def test_each_contribution_is_that_of_its_step(reverse):
    # The weight of one step alone is moved.
    cell = CELLS["gru"]()
    x, weights = normal(T, B, I), normal(T, B, H, salt=3)
    probe = rnn.Probe(rnn.Recurrent(cell, reverse=reverse), x)
    found = probe.contributions(engine.sum(probe.outputs * engine.asarray(weights)))
    own = cell.weight_hh
    for moved in range(T):

        def f(w, moved=moved):
            h, total = engine.zeros((B, H), dtype="float64"), 0.0
            with engine.no_grad():
                for t in reversed(range(T)) if reverse else range(T):
                    cell.weight_hh = engine.asarray(w) if t == moved else own
                    _, h = cell.step(engine.asarray(x[t]), h)
                    total += np.sum(h.numpy() * weights[t])
            cell.weight_hh = own
            return np.asarray(total)

        np.testing.assert_allclose(
            found["cell.weight_hh"].numpy()[moved],
            differences(f, own.numpy()),
            rtol=1e-6,
            atol=1e-8,
        )


def test_cells_that_share_a_weight_add_what_they_contribute():
    below, above = rnn.ElmanCell(H, H, dtype="float64"), rnn.ElmanCell(H, H, dtype="float64")
    above.weight_hh = below.weight_hh
    net = rnn.Stacked([below, above])
    probe = rnn.Probe(net, normal(T, B, H))
    total = engine.sum(probe.outputs)
    (whole,) = engine.gradients(engine.sum(net(normal(T, B, H))[0]), [below.weight_hh])
    found = probe.contributions(total)
    (name,) = [name for name in found if name.endswith("weight_hh")]
    np.testing.assert_allclose(found[name].numpy().sum(0), whole.numpy(), rtol=1e-9)


def test_a_linear_recurrence_fades_by_its_radius():
    class Turning(rnn.Cell):
        input_size, state_size = H, {"h": H}

        def step(self, x, h):
            h = x + h @ engine.asarray(0.9 * Q)
            return h, h

    Q = np.linalg.qr(normal(H, H))[0]
    steps = 40
    probe = rnn.Probe(rnn.Recurrent(Turning()), normal(steps, B, H))
    table = probe.jacobian_norms("h", rows=[steps]).numpy()[0]
    np.testing.assert_allclose(table, 0.9 ** np.arange(steps, -1, -1), rtol=1e-10)
    norms = probe.gradient_norms(lambda y: engine.sum(y[-1]))["h"].numpy()
    expected = np.sqrt(B * H) * 0.9 ** np.arange(steps, -1, -1)
    np.testing.assert_allclose(norms, expected, rtol=1e-10)
    assert probe.contributions(lambda y: engine.sum(y)) == {}


@pytest.mark.parametrize("bias", first(1, [1.0, 0.0, 4.0]))
def test_the_cell_state_keeps_what_its_forget_gate_lets_through(bias):
    cell = rnn.LSTMCell(I, H, dtype="float64")
    for weight in cell.parameters():
        weight.data[...] = 0.0
    cell.bias_ih.data[H : 2 * H] = bias
    probe = rnn.Probe(rnn.Recurrent(cell), normal(30, B, I))
    gate = 1 / (1 + np.exp(-bias))
    found = probe.jacobian("c", 30, 0).numpy()
    np.testing.assert_allclose(
        found, np.broadcast_to(gate**30 * np.eye(H), found.shape), rtol=1e-10
    )
    table = probe.jacobian_norms("c").numpy()
    times = np.arange(31)
    expected = np.tril(gate ** np.maximum(times[:, None] - times, 0).astype(float))
    np.testing.assert_allclose(table, expected, rtol=1e-10)


def test_jacobians_see_what_is_dropped():
    engine.seed(6)
    cell = rnn.RecurrentDropout(rnn.GRUCell(I, H, dtype="float64"), 0.5)
    probe = rnn.Probe(rnn.Recurrent(cell), normal(T, B, I))
    (g,) = engine.gradients(engine.sum(probe.outputs[-1]), [probe.states["h"][0]])
    expected = probe.jacobian("h", T, 0).numpy().sum(axis=1)
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-10, atol=1e-14)


def test_states_are_named_and_in_the_order_of_the_steps():
    net = rnn.LSTM(I, H, num_layers=2, bidirectional=True, dtype="float64")
    probe = rnn.Probe(net, normal(T, B, I))
    assert list(probe.states) == [f"{s}_l{n}{d}" for n in (0, 1) for d in ("", "_reverse")
                                  for s in "hc"]  # fmt: skip
    y = probe.outputs.numpy()
    for i in range(T):
        np.testing.assert_array_equal(probe.states["h_l1"][i + 1].numpy(), y[i, :, :H])
        back = probe.states["h_l1_reverse"][i + 1].numpy()
        np.testing.assert_array_equal(back, y[T - 1 - i, :, H:])
    h, _ = probe.state
    np.testing.assert_array_equal(probe.states["h_l0"][-1].numpy(), h.numpy()[0])
    assert probe.jacobian("h_l1", T, 0).shape == (B, H, H)
    assert probe.step_jacobians("_l1_reverse").shape == (T, B, 2 * H, 2 * H)


def test_probes_measure_where_nothing_is_recorded_and_leave_no_cycles():
    net = rnn.Recurrent(CELLS["elman"]())
    with engine.no_grad():
        probe = rnn.Probe(net, normal(T, B, I))
        assert probe.gradient_norms(lambda y: engine.sum(y))["h"].numpy().all()
    probe.step_jacobians()
    watched = weakref.ref(probe.states["h"][2])
    gc.disable()
    try:
        del probe
        assert watched() is None
    finally:
        gc.enable()


def test_mistakes():
    probe = rnn.Probe(rnn.GRU(I, H, num_layers=2), normal(T, B, I))
    with pytest.raises(ValueError, match="no state 'h'; there are h_l0, h_l1"):
        probe.jacobian("h", 2, 1)
    with pytest.raises(ValueError, match="h_l1 and h_l0 are states of two cells"):
        probe.jacobian("h_l1", 2, 1, "h_l0")
    for later, earlier in ((1, 2), (T + 1, 0), (2, -1)):
        with pytest.raises(ValueError, match=f"0 <= earlier <= later <= {T}"):
            probe.jacobian("h_l0", later, earlier)
    with pytest.raises(ValueError, match="unknown kind 'nuclear'; expected one of spectral, frob"):
        probe.jacobian_norms("h_l0", kind="nuclear")
    with pytest.raises(ValueError, match=f"rows must lie in 0 to T = {T}, got 9"):
        probe.jacobian_norms("h_l0", rows=[1, 9])
    with pytest.raises(ValueError, match=r"no run ''; there are \['_l0', '_l1'\]"):
        probe.step_jacobians()
    with pytest.raises(ValueError, match="there are no steps"):
        rnn.Probe(rnn.GRU(I, H), np.zeros((0, B, I)))
    with pytest.raises(ValueError, match="there is no cell in Linear"):
        rnn.Probe(rnn.Linear(I, H), normal(T, B, I))
    runs = [rnn.Recurrent(rnn.GRUCell(I, I)), rnn.Recurrent(rnn.GRUCell(I, I))]
    with pytest.raises(ValueError, match="2 cells in 1 layers; give each its layer="):
        rnn.Probe(rnn.Stacked(runs), normal(T, B, I))


SMALL = ["--steps", "12", "--hidden", "6", "--inputs", "3", "--batch", "2"]


def test_the_example_writes_its_plot(tmp_path, capsys):
    assert vanishing.main([*SMALL, "--out", str(tmp_path / "a")]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["story.svg", "vanishing.png"]
    assert (tmp_path / "a" / "vanishing.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "what is left of a gradient 12 steps back" in printed
    assert vanishing.main([*SMALL, "--out", str(tmp_path / "b")]) == 0
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_example_measures_what_it_says():
    runs = vanishing.runs(vanishing.parse(SMALL))
    curves = vanishing.measured(runs)
    small, unit, large, lstm, irnn = curves.values()
    assert list(curves)[3:] == ["LSTM, forget bias 1: c", "IRNN: h"]
    assert all(curve.shape == (13,) and curve[0] == 1 for curve in curves.values())
    assert small[-1] <= 0.8**12 * 1.001
    assert small[-1] < lstm[-1] < unit[-1] <= 1.001
    assert large[-1] > 1
    cells = viz.draw_story({name: run.loss for name, run in runs.items()}).graph.graph["cells"]
    for curve, cell in zip(curves.values(), cells, strict=True):
        assert cell["ratio"] == pytest.approx(curve[-2])  # the first state; -1 is the initial one
    assert 0 < irnn[-1] <= 1.001


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--steps", "0"], "'0' is not a positive integer"), (["--seed", "-1"], "-1 is negative"),
     (["--scale", "x"], "'x' is not a positive number")],
)  # fmt: skip
def test_bad_options_of_the_example_are_refused(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        vanishing.main(arguments)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_an_unwritable_folder_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert vanishing.main([*SMALL, "--out", str(tmp_path / "file" / "out")]) == 2
    assert capsys.readouterr().err.startswith("vanishing: ")


# ---- scales and lengths


class Scaling(rnn.Cell):
    """Compute h' = v h + x."""

    input_size, state_size = 2, {"h": 2}

    def __init__(self, v, dtype="float32"):
        self.W = engine.asarray(np.eye(2) * v, dtype=dtype, requires_grad=True)

    def step(self, x, h):
        h = engine.linear(h, self.W) + x
        return h, h


FAR = [(0, 3), (10.0, 200), (0.1, 60), (0.1, 300), (10.0, 45)]


@pytest.mark.parametrize(
    ("far", "kind"), first(3, crossed(FAR, ["spectral", "frobenius"])), ids=str
)
def test_norms_far_beyond_float32_are_powers_of_the_factor(far, kind):
    v, steps = far
    probe = rnn.Probe(rnn.Recurrent(Scaling(v)), engine.zeros((steps, 1, 2)))
    rows = (0, 1, steps // 2, steps)
    found = probe.jacobian_norms("h", kind=kind, rows=rows).numpy()
    whole = 1 if kind == "spectral" else np.sqrt(2)
    for later, norms in zip(rows, found, strict=True):
        for earlier in (0, later // 2, later):
            expected = whole * float(v) ** (later - earlier)
            np.testing.assert_allclose(norms[earlier], expected, rtol=1e-4)
    exact = np.eye(2) * float(v) ** steps
    np.testing.assert_allclose(probe.jacobian("h", steps, 0).numpy()[0], exact, rtol=1e-4)


def test_what_grows_and_shrinks_back_is_not_lost():
    class Turning(Scaling):
        def step(self, x, h):
            h = h * x
            return h, h

    x = np.ones((80, 2, 2))
    x[:40, 0], x[40:, 0] = 1e-20, 1e20  # float64 alone would end in 0 or inf on the way
    x[:40, 1], x[40:, 1] = 1e20, 1e-20
    with engine.no_grad():
        probe = rnn.Probe(rnn.Recurrent(Turning(1, "float64")), x)
    np.testing.assert_allclose(probe.jacobian("h", 80, 0).numpy(), np.tile(np.eye(2), (2, 1, 1)))
    np.testing.assert_allclose(probe.jacobian_norms("h", rows=[80]).numpy()[0, 0], 1)


def test_a_step_that_is_not_finite_is_no_crash():
    with np.errstate(all="ignore"):
        probe = rnn.Probe(rnn.Recurrent(Scaling(np.nan)), engine.ones((3, 1, 2)))
    assert not np.isfinite(probe.jacobian_norms("h").numpy()[3, 0])


RAGGED = [
    lambda: rnn.GRU(I, H, 2, bidirectional=True, dtype="float64"),
    lambda: rnn.LSTM(I, H, batch_first=True, dtype="float64"),
    lambda: rnn.Recurrent(CELLS["lstm"]()),
    lambda: rnn.Recurrent(CELLS["gru"](), reverse=True),
]


@pytest.mark.parametrize("make", first(2, RAGGED))
def test_a_probe_with_lengths_is_that_of_each_row_alone(make):
    net, lengths = make(), [3, 5]
    x = normal(T, B, I)
    x[3:, 0] = np.nan
    first = getattr(net, "batch_first", False)
    turn = (lambda a: np.swapaxes(a, 0, 1)) if first else (lambda a: a)
    probe = rnn.Probe(net, turn(x), lengths=np.array(lengths, "uint8"))
    y, _ = net(turn(x), None, lengths)
    np.testing.assert_allclose(probe.outputs.numpy(), y.numpy(), rtol=1e-12)
    norms = {name: probe.jacobian_norms(name).numpy() for name in probe.states}
    losses = [lambda y: engine.sum(turn_back(y, first)[:, 0] ** 2)]
    parts = probe.contributions(losses[0])
    for row, end in enumerate(lengths):
        alone = rnn.Probe(net, turn(x[:end, row : row + 1]))
        for name, states in probe.states.items():
            own = alone.states[name]
            backward = name.endswith("_reverse") or getattr(net, "reverse", False)
            start = T - end if backward else 0
            for i, one in enumerate(own):
                np.testing.assert_allclose(states[start + i].numpy()[row], one.numpy()[0],
                                           rtol=1e-10, atol=1e-12)  # fmt: skip
            found = probe.jacobian(name, start + end, start).numpy()[row]
            np.testing.assert_allclose(found, alone.jacobian(name, end, 0).numpy()[0], rtol=1e-8)
            kept = probe.jacobian(name, T, 0).numpy()[row]
            np.testing.assert_allclose(kept, found, rtol=1e-8)
        if row == 0:
            for name, x_alone in alone.contributions(losses[0]).items():
                np.testing.assert_allclose(parts[name].numpy().sum(0), x_alone.numpy().sum(0),
                                           rtol=1e-8, atol=1e-12)  # fmt: skip
    assert all(np.isfinite(one).all() for one in norms.values())
    grads = probe.gradient_norms(losses[0])
    assert all(np.isfinite(one.numpy()).all() for one in grads.values())
    with pytest.raises(ValueError, match="Probe: lengths must lie in 0 to T = 5"):
        rnn.Probe(net, turn(normal(T, B, I)), lengths=[6, 1])
    with pytest.raises(ValueError, match="Probe: 3 lengths for a batch of 2"):
        rnn.Probe(net, turn(normal(T, B, I)), lengths=[5, 5, 5])


def turn_back(y, first):
    return engine.permute_dims(y, (1, 0, 2)) if first else y


def test_a_loss_of_another_run_is_refused():
    net, x = rnn.GRU(I, H), normal(4, B, I)
    probe = rnn.Probe(net, x)
    loss = engine.sum(net(engine.asarray(x))[0])
    for ask in (probe.gradient_norms, probe.contributions, probe.contribution_norms):
        with pytest.raises(ValueError, match="does not depend on this run"):
            ask(loss)
