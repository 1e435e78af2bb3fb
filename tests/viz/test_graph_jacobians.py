"""Find states on recorded graphs and Jacobians along them: probes, differences, closed forms."""

import numpy as np
import pytest

import engine
import rnn
from engine.reading.jacobians import (
    gradients_along,
    jacobian_along,
    spectral_norm,
    step_jacobians,
)
from engine.reading.variables import state_runs
from tests.counting import calls
from tests.draws import covering, first, leaf, normal, normal_leaf
from tests.viz.pictures import per_step, total

T, B, I, H = 4, 2, 3, 4
CELLS = {
    "elman": lambda: rnn.ElmanCell(I, H, dtype="float64"),
    "lstm": lambda: rnn.LSTMCell(I, H, dtype="float64"),
    "projected": lambda: rnn.LSTMCell(I, H, proj_size=2, dtype="float64"),
    "normalised": lambda: rnn.LayerNormLSTMCell(I, H, dtype="float64"),
    "coupled": lambda: rnn.CoupledLSTMCell(I, H, dtype="float64"),
    "gru": lambda: rnn.GRUCell(I, H, dtype="float64"),
    "reset before": lambda: rnn.ResetBeforeGRUCell(I, H, dtype="float64"),
    "independent": lambda: rnn.IndRNNCell(I, H, dtype="float64"),
    "both": lambda: rnn.ElmanJordanCell(I, H, 3, dtype="float64"),
    "jordan": lambda: rnn.JordanCell(I, H, 3, dtype="float64"),
    "zoneout": lambda: rnn.Zoneout(rnn.LSTMCell(I, H, dtype="float64"), {"h": 0.3, "c": 0.4}),
    "dropped": lambda: rnn.RecurrentDropout(rnn.GRUCell(I, H, dtype="float64"), 0.3),
}


def differences(f, x, eps=1e-6):
    """Return the Jacobian of a function of arrays by central differences: out.shape + x.shape."""
    columns = []
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = eps
        columns.append((f(x + step) - f(x - step)) / (2 * eps))
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *x.shape)


@pytest.mark.parametrize(("name", "reverse"), covering(CELLS, [False, True]))
def test_one_step_jacobians_are_those_of_a_probe(name, reverse):
    engine.seed(4)
    net = rnn.Recurrent(CELLS[name](), reverse=reverse)
    x = engine.asarray(normal(T, B, I))
    engine.seed(5)  # the same is dropped
    y, final = net(x)
    parts = final if isinstance(final, tuple) else (final,)
    (run,) = state_runs(sum((engine.sum(s) for s in parts), engine.sum(y)))
    engine.seed(5)
    probe = rnn.Probe(net, x)
    widths = list(net.cell.state_size.values())
    names = list(net.cell.state_size)
    starts = dict(zip(names, np.cumsum([0, *widths]), strict=False))
    order = [i for n in run.names for i in range(starts[n], starts[n] + net.cell.state_size[n])]
    expected = probe.step_jacobians().numpy()[:, :, order][:, :, :, order]
    assert run.times == tuple(reversed(range(T)) if reverse else range(T))
    assert run.before is not None
    found = np.stack([one.numpy() for one in step_jacobians(run)])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    for i, states in enumerate([run.before, *run.after]):
        for n, state in zip(run.names, states, strict=True):
            np.testing.assert_allclose(state.numpy(), probe.states[n][i].numpy(), rtol=1e-12)


@pytest.mark.parametrize("states", ["h", "c"])
def test_total_jacobians_are_products_of_steps_and_finite_differences(states):
    cell = CELLS["lstm"]()
    h0, c0, x = normal_leaf(B, H), normal_leaf(B, H, salt=1), normal(T, B, I)
    y, _ = rnn.Recurrent(cell)(x, (h0, c0))
    (run,) = state_runs(y)
    assert run.names == ("h", "c")
    at = run.names.index(states)

    def after(z):
        state = tuple(engine.asarray(part) for part in np.split(z, 2, axis=-1))
        for t in range(1, T):
            _, state = cell.step(engine.asarray(x[t]), state)
        return state[at].numpy()

    z = np.concatenate([s.numpy() for s in run.after[0]], axis=-1)
    full = differences(after, z)
    expected = np.stack([full[b, :, b] for b in range(B)])
    found = jacobian_along([run.after[-1][at]], run.after[0]).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    product = np.eye(2 * H)
    for one in step_jacobians(run)[1:]:
        product = one.numpy() @ product
    np.testing.assert_allclose(found, product[:, at * H : (at + 1) * H], rtol=1e-10, atol=1e-13)


def test_a_linear_recurrence_has_powers_of_its_matrix():
    class Linear(rnn.Cell):
        def __init__(self):
            self.input_size, self.state_size = H, {"h": H}
            self.W = leaf(normal(H, H))

        def step(self, x, h):
            h = x + engine.linear(h, self.W)
            return h, h

    cell = Linear()
    (run,) = state_runs(rnn.Recurrent(cell)(engine.asarray(normal(6, B, H)))[0])
    found = jacobian_along(run.after[5], run.after[1])
    power = np.linalg.matrix_power(cell.W.numpy(), 4)
    np.testing.assert_allclose(found.numpy(), np.broadcast_to(power, (B, H, H)), rtol=1e-12)
    assert spectral_norm(found) == pytest.approx(np.linalg.norm(power, 2), rel=1e-12)
    np.testing.assert_allclose(jacobian_along(run.after[0], run.before).numpy()[0], cell.W.numpy())


def test_earlier_tensors_are_free_of_each_other():
    c = leaf([[3.0, 1.0]])
    h = engine.tanh(c)
    loss = engine.sum(h * h * c)
    by_h, by_c = gradients_along(loss, [h, c])
    np.testing.assert_allclose(by_h.numpy(), (2 * h * c).numpy())
    np.testing.assert_allclose(by_c.numpy(), (h * h).numpy())  # not through h
    (half,) = gradients_along([h, c], [c], [engine.full((1, 2), 0.5), engine.zeros((1, 2))])
    np.testing.assert_allclose(half.numpy(), (0.5 * (1 - h * h)).numpy())
    assert not np.allclose(engine.gradients(loss, [c])[0].numpy(), by_c.numpy())
    both = jacobian_along([h, c], [h, c]).numpy()
    np.testing.assert_array_equal(both, np.eye(4)[None])


def test_the_loss_of_a_step_by_its_state_and_by_earlier_ones():
    engine.seed(3)
    losses = per_step(rnn.GRUCell(3, 4), 5)
    graph = engine.Graph.of(total(losses))
    (run,) = state_runs(graph)
    for t in (1, 4):
        (h,) = run.after[t]
        (g,) = gradients_along(losses[4], [h])
        np.testing.assert_allclose(g.numpy(), engine.gradients(losses[4], [h])[0].numpy())
    (zero,) = gradients_along(losses[1], run.after[3])
    assert not zero.numpy().any()
    (first,) = gradients_along(losses[0], run.before)  # which requires no gradient
    assert not run.before[0].requires_grad
    assert first.numpy().any()


def test_shapes_with_and_without_a_batch():
    w = leaf(normal(3, 3))
    x = leaf(normal(3))
    y = engine.tanh(engine.matmul(w, x))
    found = jacobian_along([y, y * 2], [x]).numpy()
    own = (1 - y.numpy() ** 2)[:, None] * w.numpy()
    np.testing.assert_allclose(found, np.concatenate([own, 2 * own]), rtol=1e-12)
    image = leaf(normal(B, 2, 3))
    flat = jacobian_along([engine.permute_dims(image, (0, 2, 1))], [image]).numpy()
    assert flat.shape == (B, 6, 6)
    assert (flat == np.eye(6)[[0, 3, 1, 4, 2, 5]]).all()
    none = leaf(normal(B, 3))
    assert jacobian_along([engine.asarray(normal(B, 2))], [none]).numpy().tolist() == (
        np.zeros((B, 2, 3)).tolist()
    )
    assert jacobian_along([leaf(np.zeros((B, 0)))], [none]).shape == (B, 0, 3)
    assert jacobian_along([leaf(np.zeros((0, 2)))], [leaf(np.zeros((0, 3)))]).shape == (0, 2, 3)


def test_fused_recurrences_and_checkpoints_in_between_are_gone_through():
    h0 = normal_leaf(B, H)
    net, x = rnn.Recurrent(CELLS["gru"]()), engine.asarray(normal(T, B, I))
    expected = rnn.Probe(net, x, h0).jacobian("h", T, 0).numpy()
    for state in (h0, engine.checkpoint(lambda h: h * 1.0)(h0)):
        y, h = net(x, state)
        np.testing.assert_allclose(jacobian_along([h], [state]).numpy(), expected, rtol=1e-12)
        (g,) = gradients_along(engine.sum(y[-1]), [state])
        np.testing.assert_allclose(g.numpy(), expected.sum(axis=1), rtol=1e-12)


def test_what_has_no_jacobian_is_refused():
    x, y = leaf(normal(2, 3)), leaf(normal(3, 3))
    with pytest.raises(ValueError, match=r"with the same B, or all of them \(S,\), got \(2, 3\)"):
        jacobian_along([x], [y])
    with pytest.raises(ValueError, match="gradients_along takes a single number"):
        jacobian_along([engine.sum(x)], [x])
    with pytest.raises(ValueError, match="expected tensors on both sides"):
        jacobian_along([], [x])
    with pytest.raises(ValueError, match="jacobian_along: a tensor is given twice"):
        jacobian_along([x * 2], [x, x])
    with pytest.raises(TypeError, match=r"jacobian_along: <node leaf int64.* is no float"):
        jacobian_along([x], [engine.asarray(np.arange(6).reshape(2, 3))])
    with pytest.raises(ValueError, match=r"an output of shape \(2, 3\) is no single number"):
        gradients_along(x, [x])


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_rows_that_depend_on_each_other_are_refused(rows):
    x = leaf(normal(rows, 3))
    for y in (x - engine.mean(x, axis=0, keepdims=True), engine.flip(x, axis=0)):
        with pytest.raises(ValueError, match="rows of the batch depend on each other"):
            jacobian_along([y], [x])
    jacobian_along([x - engine.mean(x, axis=1, keepdims=True)], [x])


def test_the_spectral_norm_of_a_batch_is_that_of_one_matrix():
    matrices = normal(3, 4, 2)
    whole = np.zeros((12, 6))
    for b in range(3):
        whole[4 * b : 4 * b + 4, 2 * b : 2 * b + 2] = matrices[b]
    assert spectral_norm(engine.asarray(matrices)) == pytest.approx(np.linalg.norm(whole, 2))
    for scale in (1e-200, 1e200):  # no square under or over what floats hold
        found = spectral_norm(engine.asarray(matrices * scale))
        assert found == pytest.approx(np.linalg.norm(whole, 2) * scale, rel=1e-12)
    assert spectral_norm(engine.zeros((2, 2))) == 0.0
    assert spectral_norm(engine.zeros((1, 0, 2))) == 0.0
    assert spectral_norm(engine.asarray([[1.0, np.inf]])) == np.inf
    assert np.isnan(spectral_norm(engine.asarray([[np.nan, np.inf]])))


def test_stacked_and_bidirectional_runs_are_distinguished():
    engine.seed(2)
    net = rnn.LSTM(I, H, num_layers=2, bidirectional=True, dtype="float64")
    x = engine.asarray(normal(T, B, I))
    probe = rnn.Probe(net, x)
    runs = state_runs(net(x)[0])
    assert [(run.layer, run.direction, run.cell) for run in runs] == [
        (layer, way, "LSTMCell") for layer in (0, 1) for way in ("forward", "reverse")
    ]
    for run in runs:
        suffix = f"_l{run.layer}" + "_reverse" * (run.direction == "reverse")
        found = np.stack([one.numpy() for one in step_jacobians(run)])
        np.testing.assert_allclose(found, probe.step_jacobians(suffix).numpy(), rtol=1e-10,
                                   atol=1e-14)  # fmt: skip


def test_rows_past_their_end_keep_their_state():
    net = rnn.Recurrent(CELLS["lstm"]())
    lengths = engine.asarray(np.array([4, 2]))
    y, state = net(engine.asarray(normal(T, B, I)), lengths=lengths)
    (run,) = state_runs(engine.sum(state[0]) + engine.sum(state[1]) + engine.sum(y))
    jacobians = [one.numpy() for one in step_jacobians(run)]
    np.testing.assert_array_equal(jacobians[2][1], np.eye(2 * H))
    np.testing.assert_array_equal(jacobians[3][1], np.eye(2 * H))
    assert not np.allclose(jacobians[2][0], np.eye(2 * H))
    np.testing.assert_allclose(run.after[-1][0].numpy(), state[0].numpy())
    whole = jacobian_along(run.after[3], run.after[0]).numpy()
    np.testing.assert_allclose(jacobians[3] @ jacobians[2] @ jacobians[1], whole, rtol=1e-10)


def test_cells_without_names_and_sequences_run_twice_are_distinguished():
    engine.seed(1)
    low, high = rnn.ElmanCell(I, I, dtype="float64"), rnn.ElmanCell(I, I, dtype="float64")
    a = b = None
    losses = []
    for t in range(T):
        with engine.scope(t=t):
            x, a = low(engine.asarray(normal(B, I, salt=t)), a)
            y, b = high(x, b)
            losses.append(engine.sum(y) + engine.sum(x))
    graph = engine.Graph.of(sum(losses))
    first, second = state_runs(graph)
    assert first.path == second.path == ""
    assert first.times == second.times == tuple(range(T))
    for cell, run in ((low, first), (high, second)):
        for i, one in enumerate(step_jacobians(run)):
            h = run.after[i][0].numpy()
            expected = (1 - h**2)[:, :, None] * cell.weight_hh.numpy()
            np.testing.assert_allclose(one.numpy(), expected, rtol=1e-12)
    net = rnn.Recurrent(CELLS["gru"]())
    sums = [engine.sum(net(engine.asarray(normal(T, B, I, salt=s)))[0]) for s in range(2)]
    one, two = state_runs(sums[0] + sums[1])
    assert one.times == two.times == tuple(range(T))
    assert not np.allclose(one.after[0][0].numpy(), two.after[0][0].numpy())


def test_windows_that_run_a_step_twice_are_runs_of_their_own():
    net = rnn.Recurrent(CELLS["lstm"]())
    x = engine.asarray(normal(6, 1, I))
    with engine.explicit():
        found = rnn.truncated(net, x, kind="window", k1=2, k2=4, loss=engine.sum)
    runs = state_runs(found.loss)
    assert [len(run.times) for run in runs] == [2, 4, 4]
    probe = rnn.Probe(net, x)
    for run, start in zip(runs, (0, 0, 2), strict=True):
        own = [one.numpy() for one in step_jacobians(run)]
        expected = probe.step_jacobians().numpy()[start : start + len(own)]
        np.testing.assert_allclose(np.stack(own), expected, rtol=1e-10, atol=1e-14)


class Leaky(rnn.Cell):
    def __init__(self):
        self.input_size, self.state_size = I, {"h": I}
        self.U = leaf(normal(I, I))

    def step(self, x, h):
        n = engine.tanh(x + engine.linear(h, self.U))
        h = 0.9 * h + 0.1 * n
        return h, h


def test_a_first_state_that_left_no_trace_is_not_made_up():
    # 0.9 * h with zeros that need no gradient is not on the graph.
    x = engine.asarray(normal(T, B, I))
    (run,) = state_runs(rnn.Recurrent(Leaky())(x)[0])
    assert run.before is None
    first, *rest = step_jacobians(run)
    assert first is None
    assert len(rest) == T - 1
    h0 = normal_leaf(B, I)
    (run,) = state_runs(rnn.Recurrent(Leaky())(x, h0)[0])
    assert run.before is not None
    assert run.before[0].node is h0.node


def test_one_step_tells_a_first_state_by_its_name():
    x = engine.asarray(normal(1, B, I))
    net = rnn.Recurrent(CELLS["lstm"]())
    assert state_runs(net(x)[0])[0].before is None
    named = tuple(normal_leaf(B, H, salt=i, name=f"{n}0") for i, n in enumerate("hc"))
    (run,) = state_runs(net(x, named)[0])
    assert [s.node for s in run.before] == [s.node for s in named]
    one = normal_leaf(B, H)
    (run,) = state_runs(net(engine.asarray(normal(T, B, I)), (one, one))[0])
    assert run.before is None  # h and c cannot be moved apart


def test_steps_without_a_cell_and_blocks():
    def step(h, x):
        h = engine.tanh(x + h)
        return h

    h, x = 0.0, normal_leaf(B, I)
    for block in ("encoder", "decoder"):
        for t in range(3):
            with engine.scope(t=t, block=block), engine.equations(step, ["h"]):
                h = step(h, x)
    first, second = state_runs(h)
    assert (first.block, second.block) == ("encoder", "decoder")
    assert first.times == second.times == (0, 1, 2)
    assert first.before is None  # the number 0
    assert second.before[0].node is first.after[-1][0].node
    assert step_jacobians(second)[0].shape == (B, I, I)


def test_a_graph_without_states_has_no_runs():
    assert state_runs(engine.sum(leaf([1.0, 2.0]))) == []


@pytest.mark.parametrize("most", first(1, [320, 800]))
def test_the_cost_is_that_of_the_nodes_between(most):
    work = {}
    for steps in (most // 4, most):
        (y,) = engine.expanded(rnn.Recurrent(rnn.ElmanCell(1, 1))(engine.ones((steps, 1, 1)))[0])
        jacobians, work[steps] = calls(lambda y=y: step_jacobians(state_runs(y)[0]))
        assert len(jacobians) == steps
    assert work[most] < 4.4 * work[most // 4]  # in proportion to the steps


def test_long_chains_do_not_recurse():
    x = leaf([[1.0]])
    y = x
    for _ in range(30_000):
        y = y * 1.0001
    assert jacobian_along([y], [x]).item() == pytest.approx(1.0001**30_000, rel=1e-9)
