"""Compare truncated gradients of each kind with sums over the paths left; test cut edges."""

from itertools import pairwise

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering, first, normal, normal_leaf

T, B, I, H = 7, 2, 3, 4
KINDS = [
    {"kind": "chunk", "k": 3}, {"kind": "chunk", "k": 1}, {"kind": "window", "k1": 2, "k2": 3},
    {"kind": "window", "k1": 3, "k2": 2}, {"kind": "window", "k1": 3, "k2": 3},
    {"kind": "per-loss", "k": 3}, {"kind": "per-loss", "k": 1}, {"kind": "tail", "k": 2},
]  # fmt: skip
CELLS = [rnn.ElmanCell, rnn.GRUCell, rnn.LSTMCell]
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def reach(t, kind, k=None, k1=None, k2=None, steps=T):
    """Return the oldest step with a gradient from the loss at t, by the words; None without one."""
    if kind == "chunk":
        return t - t % k
    if kind == "per-loss":
        return max(0, t - (k - 1))
    newest = steps - 1 if kind == "tail" else min(t - t % k1 + k1, steps) - 1
    oldest = max(0, newest - (k if kind == "tail" else k2) + 1)
    return None if t < oldest else oldest


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def joined(states):
    return states[0] if len(states) == 1 else tuple(states)


class OneStep:
    """Hold the numbers of each step: how z and y move with the z before, x and the weights."""

    def __init__(self, cell, x, z):
        self.cell, self.sizes = cell, list(cell.state_size.values())
        self.names = list(dict(cell.named_parameters()))
        self.steps = []
        for row in x:
            self.steps.append([engine.jacobian(f, argnums=(0, 1, 2))(*self.given(row, z))
                               for f in (self.next, self.output)])  # fmt: skip
            z = self.next(*self.given(row, z)).numpy()

    def given(self, row, z):
        weights = [engine.asarray(w.numpy()) for w in self.cell.parameters()]
        return engine.asarray(z), engine.asarray(row), weights

    def run(self, z, row, weights):
        cell = type(self.cell)(I, H, dtype="float64")
        for name, w in zip(self.names, weights, strict=True):
            setattr(cell, name, w)
        cuts = np.cumsum([0, *self.sizes])
        states = [z[a:b][None] for a, b in pairwise(cuts)]
        return cell.step(row[None], joined(states))

    def next(self, z, row, weights):
        return engine.concat([s[0] for s in parts(self.run(z, row, weights)[1])])

    def output(self, z, row, weights):
        return self.run(z, row, weights)[0][0]


def path_sums(one, seeds, kind):
    """Sum the gradients by x, z_0 and all weights over every pair of a loss and a step."""
    d_x, d_z = np.zeros((T, I)), 0.0
    d_w = [0.0] * len(one.names)
    for t in range(T):
        oldest = reach(t, **kind)
        if oldest is None:
            continue
        for j in range(oldest, t + 1):
            if j == t:
                by_z, by_x, by_w = (seeds[t] @ a.numpy() if not isinstance(a, list) else
                                    [np.tensordot(seeds[t], b.numpy(), 1) for b in a]
                                    for a in one.steps[t][1])  # fmt: skip
            else:
                back = seeds[t] @ one.steps[t][1][0].numpy()
                for i in range(t - 1, j, -1):
                    back = back @ one.steps[i][0][0].numpy()
                by_z, by_x, by_w = (back @ a.numpy() if not isinstance(a, list) else
                                    [np.tensordot(back, b.numpy(), 1) for b in a]
                                    for a in one.steps[j][0])  # fmt: skip
            d_x[j] += by_x
            d_w = [a + b for a, b in zip(d_w, by_w, strict=True)]
            if j == 0:
                d_z = d_z + by_z
    return d_x, d_z, d_w


@pytest.mark.parametrize(("make", "kind"), covering(CELLS, KINDS), ids=str)
def test_gradients_are_the_sums_over_the_paths_that_are_left(make, kind):
    engine.seed(1)
    cell = make(I, H, dtype="float64")
    x = engine.asarray(normal(T, 1, I), requires_grad=True)
    initial = [normal_leaf(1, size, salt=i) for i, size in enumerate(cell.state_size.values())]
    seeds = normal(T, 1, H, salt=9)

    def loss(y):
        return engine.sum(y * engine.asarray(seeds), axis=-1)  # (T, B)

    found = rnn.truncated(rnn.Recurrent(cell), x, joined(initial), loss, **kind)
    assert found.loss.shape == (T, 1)
    d_x, *others = engine.gradients(engine.sum(found.loss), [x, *initial, *cell.parameters()])
    z = np.concatenate([s.numpy()[0] for s in initial])
    expected = path_sums(OneStep(cell, x.numpy()[:, 0], z), seeds[:, 0], kind)
    np.testing.assert_allclose(d_x.numpy()[:, 0], expected[0], **EXACT)
    d_z = np.concatenate([np.zeros(s.shape[1]) if g is None else g.numpy()[0]
                          for s, g in zip(initial, others, strict=False)])  # fmt: skip
    np.testing.assert_allclose(d_z, expected[1] + np.zeros(len(z)), **EXACT)
    for own, other in zip(others[len(initial) :], expected[2], strict=True):
        np.testing.assert_allclose(own.numpy(), other, **EXACT)


@pytest.mark.parametrize("kind", first(1, KINDS[2:] + KINDS[:2]), ids=str)
def test_values_are_those_of_the_whole_run_and_so_are_gradients_that_reach_all(kind):
    nets = [rnn.LSTM(I, H, num_layers=2, dtype="float64"),
            rnn.Stacked([rnn.GRUCell(I, 5, dtype="float64"), rnn.LSTMCell(5, H, dtype="float64")]),
            rnn.RNN(I, H, batch_first=True, dtype="float64"),
            rnn.Recurrent(rnn.GRUCell(I, H, dtype="float64"), batch_first=True)]  # fmt: skip
    for net in nets:
        turned = getattr(net, "batch_first", False)
        x = engine.asarray(normal(*((B, T) if turned else (T, B)), I), requires_grad=True)
        lengths = [7, 4]
        y, final = net(x, None, lengths)
        cut = rnn.truncated(net, x, lengths=lengths, **kind)
        np.testing.assert_allclose(cut.outputs.numpy(), y.numpy(), rtol=1e-12)
        assert cut.loss is None
        for one, other in zip(flat(cut.state), flat(final), strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
        far = {name: 50 if name != "kind" else value for name, value in kind.items()}
        if kind["kind"] == "window":
            far["k1"] = kind["k1"]
        whole = rnn.truncated(net, x, lengths=lengths, **far).outputs
        inputs = [x, *net.parameters()]
        seed = normal(*y.shape, salt=3)
        for one, other in zip(engine.gradients(whole, inputs, seed),
                              engine.gradients(y, inputs, seed), strict=True):  # fmt: skip
            np.testing.assert_allclose(one.numpy(), other.numpy(), **EXACT)


def flat(state):
    if isinstance(state, engine.Tensor):
        return [state]
    return [x for part in state for x in flat(part)]


def test_layers_without_a_batch_and_sequences_without_steps():
    net = rnn.GRU(I, H, batch_first=True, dtype="float64")
    y = rnn.truncated(net, normal(T, I), kind="chunk", k=2).outputs
    np.testing.assert_allclose(y.numpy(), net(normal(T, I))[0].numpy(), rtol=1e-12)
    for kind in KINDS:
        assert rnn.truncated(net, np.zeros((2, 0, I)), **kind).outputs.shape == (2, 0, H)
        assert rnn.cut_edges(net, 0, **kind) == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_cut_edges_are_where_the_gradient_of_each_loss_ends(kind):
    net = rnn.LSTM(I, H, dtype="float64")
    x = engine.asarray(normal(T, B, I), requires_grad=True)
    y = rnn.truncated(net, x, **kind).outputs
    cuts = rnn.cut_edges(net, T, **kind)
    assert {cut.state for cut in cuts} <= {"h", "c"}
    assert [c[1:] for c in cuts if c.state == "h"] == [c[1:] for c in cuts if c.state == "c"]
    for t in range(T):
        (g,) = engine.gradients(engine.sum(y[t]), [x])
        reached = [] if g is None else np.flatnonzero(np.abs(g.numpy()).sum((1, 2))).tolist()
        oldest = reach(t, **kind)
        assert reached == ([] if oldest is None else list(range(oldest, t + 1)))
        ends = {cut.target for cut in cuts if t in cut.losses}
        assert ends == (set() if not oldest else {oldest})
        assert all(cut.source == cut.target - 1 for cut in cuts)


def test_cut_edges_of_a_small_case():
    cell = rnn.Recurrent(rnn.LSTMCell(I, H))
    assert rnn.cut_edges(cell, 5, kind="chunk", k=2) == [
        ("h", 1, 2, range(2, 4)), ("c", 1, 2, range(2, 4)),
        ("h", 3, 4, range(4, 5)), ("c", 3, 4, range(4, 5)),
    ]  # fmt: skip
    stack = rnn.Stacked([rnn.LSTMCell(I, 5), rnn.GRUCell(5, H)])
    assert {cut.state for cut in rnn.cut_edges(stack, 5, kind="tail", k=2)} == {"h", "c"}


@pytest.mark.parametrize(("kind", "runs"), [(KINDS[0], 3), (KINDS[7], 1), (KINDS[5], 7)])
def test_parts_are_fused_runs(kind, runs):
    net = rnn.GRU(I, H, dtype="float64")
    graph = engine.Graph.of(rnn.truncated(net, normal(T, B, I), **kind).outputs)
    assert sum(node.op.name == "scan" for node in graph.nodes) == runs


def test_a_state_that_is_carried_on_is_part_of_the_graph_until_it_is_detached():
    net = rnn.GRU(I, H, dtype="float64")
    x = engine.asarray(normal(T, B, I), requires_grad=True)
    first = rnn.truncated(net, x, kind="chunk", k=3)
    for state, led in ((first.state, True), (first.state.detach(), False)):
        second = rnn.truncated(net, normal(T, B, I, salt=1), state, engine.sum, kind="chunk", k=3)
        (g,) = engine.gradients(second.loss, [x])
        assert (g is not None) == led
    assert g is None


def test_backward_adds_to_the_weights():
    net = rnn.GRU(I, H, dtype="float64")
    x = normal(T, B, I)
    rnn.truncated(net, x, loss=engine.sum, kind="per-loss", k=2).loss.backward()
    expected = 0.0
    for t in range(T):  # each loss by itself, from a detached state
        with engine.no_grad():
            state = net(x[: t - 1])[1] if t > 1 else None
        y, _ = net(x[max(0, t - 1) : t + 1], state)
        expected = expected + engine.gradients(engine.sum(y[-1]), [net.weight_hh_l0])[0].numpy()
    np.testing.assert_allclose(net.weight_hh_l0.grad.numpy(), expected, **EXACT)


def test_mistakes():
    net, x = rnn.GRU(I, H), normal(T, B, I)
    with pytest.raises(ValueError, match="unknown kind 'chunks'; expected one of chunk, window"):
        rnn.truncated(net, x, kind="chunks", k=3)
    with pytest.raises(ValueError, match="kind 'window' takes k1 and k2, got k"):
        rnn.truncated(net, x, kind="window", k=3)
    with pytest.raises(ValueError, match="kind 'tail' takes k, got none of them"):
        rnn.cut_edges(net, T, kind="tail")
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="expected positive integers, got k="):
            rnn.truncated(net, x, kind="chunk", k=wrong)
    backward = [rnn.GRU(I, H, bidirectional=True), rnn.Recurrent(rnn.GRUCell(I, H), reverse=True),
                rnn.Bidirectional(rnn.GRUCell(I, H), rnn.GRUCell(I, H))]  # fmt: skip
    for net in backward:
        with pytest.raises(ValueError, match="runs backward in time"):
            rnn.truncated(net, x, kind="chunk", k=3)
        with pytest.raises(ValueError, match="runs backward in time"):
            rnn.cut_edges(net, T, kind="chunk", k=3)
