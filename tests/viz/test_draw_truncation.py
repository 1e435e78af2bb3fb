"""Draw truncation: the gradient against `rnn.truncated`, cut edges, and the loss of gradient."""

import math
from typing import NamedTuple

import networkx as nx
import numpy as np
import pytest

import engine
import rnn
import viz
from engine.derivatives.cut_gradients import cut_gradients
from tests.draws import covering, first, leaf, normal
from tests.viz.pictures import per_step, total
from viz.analysis.cuts import find_cuts
from viz.analysis.truncated_backward import truncated_sums
from viz.model.window import STEPS

T = 7
KINDS = [
    {"kind": "chunk", "k": 3}, {"kind": "chunk", "k": 1}, {"kind": "window", "k1": 2, "k2": 3},
    {"kind": "window", "k1": 3, "k2": 2}, {"kind": "window", "k1": 3, "k2": 3},
    {"kind": "per-loss", "k": 3}, {"kind": "per-loss", "k": 1}, {"kind": "tail", "k": 2},
]  # fmt: skip
NETS = {
    "rnn": lambda: rnn.RNN(3, 4, dtype="float64"),
    "lstm of two layers": lambda: rnn.LSTM(3, 4, num_layers=2, dtype="float64"),
    "gru": lambda: rnn.Recurrent(rnn.GRUCell(3, 4, dtype="float64")),
}


def draw_truncation(loss, cuts, *, level="cell", **options):
    """Draw as many steps as there are, however wide that gets."""
    options.setdefault("max_steps", STEPS[level])
    return viz.draw_truncation(loss, cuts, level=level, **options)


class Cut(NamedTuple):
    """Cut a gradient as a user does."""

    state: str
    source: int
    target: int
    losses: range


def with_gradient(steps, kind, k=None, k1=None, k2=None):
    """Return the steps that have a loss with a gradient, by the words of `rnn.truncated`."""
    if kind == "tail":
        return range(steps - k, steps)
    if kind != "window":
        return range(steps)
    newest = [min(t - t % k1 + k1, steps) - 1 for t in range(steps)]
    return [t for t in range(steps) if t > newest[t] - k2]


def weighted(y):
    return engine.sum(engine.sin(y) * engine.asarray(normal(*y.shape, salt=4)))


def sums(loss, cuts, losses=None):
    """Return the gradients of all nodes of a truncated loss, or of the losses of all steps."""
    split = not isinstance(loss, engine.Tensor)
    graph = engine.Graph.of(*engine.expanded(*(loss if split else (loss,))))
    group = lambda node, slot: (node, slot)  # noqa: E731
    return truncated_sums(graph, find_cuts(graph, cuts), losses, group, split=split)


def assert_close(found, tensors, expected):
    for x, g in zip(tensors, expected, strict=True):
        own = found.nodes.get(x.node, np.zeros(x.shape))
        other = np.zeros(x.shape) if g is None else g.numpy()
        np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "name"), covering(KINDS, NETS), ids=str)
def test_the_sum_over_the_passes_is_the_gradient_of_truncated(kind, name):
    engine.seed(1)
    net = NETS[name]()
    x = leaf(normal(T, 2, 3))
    inputs = [x, *net.parameters()]
    lengths = [7, 4]
    cut = rnn.truncated(net, x, lengths=lengths, loss=weighted, **kind)
    expected = engine.gradients(cut.loss, inputs)
    whole = weighted(net(x, None, lengths)[0])
    edges, kept = rnn.cut_edges(net, T, **kind), with_gradient(T, **kind)
    assert_close(sums(whole, edges, kept), inputs, expected)
    if kind["kind"] == "chunk":
        assert_close(sums(whole, kind["k"]), inputs, expected)
    # The same from the loss of every step by itself.
    y = net(x, None, lengths)[0]
    w = engine.asarray(normal(T, 2, 4, salt=4))
    losses = [engine.sum(engine.sin(y[t]) * w[t]) for t in range(T)]
    assert_close(sums(losses, edges, kept), inputs, expected)


def test_a_loss_with_a_head_over_all_steps_is_gone_through_once():
    engine.seed(1)
    net, head = rnn.GRU(3, 4, dtype="float64"), rnn.Linear(4, 2, dtype="float64")
    x = leaf(normal(T, 2, 3))
    inputs = [x, *net.parameters(), *head.parameters()]
    for kind in KINDS:
        cut = rnn.truncated(net, x, loss=lambda y: weighted(head(y)), **kind)
        found = sums(weighted(head(net(x)[0])), rnn.cut_edges(net, T, **kind),
                     with_gradient(T, **kind))  # fmt: skip
        assert_close(found, inputs, engine.gradients(cut.loss, inputs))


def test_every_use_is_counted_once_and_adds_up_to_the_gradients():
    engine.seed(1)
    net = rnn.LSTM(3, 4, dtype="float64")
    loss = weighted(net(leaf(normal(T, 1, 3)))[0])
    found = sums(loss, rnn.cut_edges(net, T, kind="per-loss", k=3))
    total_of = {}
    for (source, _), part in found.uses.items():
        total_of[source] = total_of.get(source, 0.0) + part
    for node, g in total_of.items():
        np.testing.assert_allclose(found.nodes[node], g, rtol=1e-9, atol=1e-12)
    assert len(total_of) == len(found.nodes) - 1  # all but the loss


def test_cuts_of_one_state_and_of_single_losses():
    engine.seed(2)
    cell = rnn.LSTMCell(3, 4, dtype="float64")
    x = leaf(normal(4, 1, 3))

    def run(detached):
        """Return the losses of steps 1 and 3; for the last alone c is detached before step 2."""
        state, losses = cell.zero_state(1, like=x), []
        for t in range(4):
            with engine.scope(t=t):
                if t == 2 and detached:
                    state = (state[0], state[1].detach())
                y, state = cell(x[t], state)
                losses.append(weighted(y))
        return losses

    cuts = [Cut("c", 1, 2, range(3, 4))]
    inputs = [x, *cell.parameters()]
    losses = run(False)
    expected = [a.numpy() + b.numpy() for a, b in zip(
        engine.gradients(losses[1], inputs), engine.gradients(run(True)[3], inputs),
        strict=True)]  # fmt: skip
    found = sums(losses, cuts, [1, 3])
    for one, other in zip(inputs, expected, strict=True):
        np.testing.assert_allclose(found.nodes[one.node], other, rtol=1e-9, atol=1e-12)
    assert len(found.refused) == 1  # h goes on
    # Of the loss of step 2 nothing is cut, so it needs a pass of its own.
    whole = sums(losses, cuts)
    rest = [engine.gradients(losses[t], inputs) for t in (0, 2)]
    for i, one in enumerate(inputs):
        added = sum(g[i].numpy() for g in rest if g[i] is not None)
        np.testing.assert_allclose(whole.nodes[one.node], expected[i] + added, rtol=1e-9)


def test_chunks_of_what_runs_backward_are_cut_too():
    engine.seed(1)
    net = rnn.GRU(3, 4, bidirectional=True, dtype="float64")
    loss = weighted(net(leaf(normal(6, 1, 3)))[0])
    (graph,) = [engine.Graph.of(*engine.expanded(loss))]
    crossing = {(a.scope.labels["t"], b.scope.labels["t"]) for a, b, _ in graph.edges
                if {"t"} <= a.scope.labels.keys() & b.scope.labels.keys()
                and a.scope.labels["t"] != b.scope.labels["t"]}  # fmt: skip
    found = {(node.inputs[slot].node.scope.labels["t"], node.scope.labels["t"])
             for node, slot in find_cuts(graph, 3).uses}  # fmt: skip
    assert found == {(2, 3), (3, 2)}
    assert found < crossing


def tangled(rng, steps):
    """Return losses of steps that reach back over several steps, some through sums of states."""
    x = leaf(normal(3), name="x")
    h, losses = [x * 1.0], []
    for t in range(steps):
        mixed = h[-1] + h[0] if t and rng.random() < 0.4 else h[-1]  # outside of time
        with engine.scope(t=t, state="h"):
            far = h[-3] if len(h) > 3 and rng.random() < 0.3 else h[-1]
            h.append(engine.tanh(mixed * x + far * 0.7))
        with engine.scope(t=t):
            losses.append(weighted(h[-1]))
    return x, losses


@pytest.mark.parametrize("seed", first(20, range(40)))
def test_losses_that_share_passes_have_each_its_own_cuts(seed):
    # Any cuts for any losses, against a pass for every loss with its own cuts alone.
    rng = np.random.default_rng(seed)
    if seed % 2:
        x, losses = tangled(rng, 8)
    else:
        engine.seed(seed)
        cell, x, losses = rnn.LSTMCell(3, 3, dtype="float64"), leaf(normal(8, 1, 3)), []
        state = cell.zero_state(1, like=x)
        for t in range(8):
            with engine.scope(t=t):
                y, state = cell(x[t], state)
                losses.append(weighted(y))
    graph = engine.Graph.of(*losses)
    edges = {(a.scope.labels["state"], a.scope.labels["t"], b.scope.labels["t"]): []
             for a, b, _ in graph.edges if "state" in a.scope.labels
             and a.scope.labels["t"] < b.scope.labels.get("t", -1)}  # fmt: skip
    cuts = [Cut(*edge, range(low := int(rng.integers(8)), int(rng.integers(low, 9))))
            for edge in sorted(edges) if rng.random() < 0.85]  # fmt: skip
    found = find_cuts(graph, cuts)
    expected = 0.0
    for t, loss in enumerate(losses):
        own = {use for use, of in found.uses.items() if t in of}
        (g,) = cut_gradients(loss, [x], lambda node, slot, own=own: (node, slot) in own)
        expected = expected + g.numpy()
    np.testing.assert_allclose(sums(losses, cuts).nodes[x.node], expected, rtol=1e-9, atol=1e-13)


# ---- the picture


def elman(steps):
    engine.seed(3)
    return per_step(rnn.ElmanCell(3, 4, dtype="float64"), steps)


def count_paths(graph, weight):
    """Count the paths from a weight to any loss by dynamic programming, without cut edges."""
    kept = nx.MultiDiGraph()
    kept.add_nodes_from(graph.nodes(data=True))
    kept.add_edges_from((a, b) for a, b, d in graph.edges(data=True) if not d["cut"])
    ways = dict.fromkeys(kept, 0)
    (start,) = [n for n, d in kept.nodes(data=True) if d["label"] == weight]
    ways[start] = 1
    for n in nx.topological_sort(kept):
        for _, m in kept.out_edges(n):
            ways[m] += ways[n]
    return sum(
        ways[n] for n, d in kept.nodes(data=True) if d["path"] == "loss" and not kept.out_degree(n)
    )


def test_cut_every_three_of_six_steps_leaves_12_of_21_paths():
    losses = elman(6)
    assert count_paths(draw_truncation(losses, 6, level="op").graph, "weight_hh") == 21
    assert count_paths(draw_truncation(losses, 3, level="op").graph, "weight_hh") == 12


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_edges_say_what_is_cut_and_what_would_have_passed(level):
    losses = elman(6)
    graph = draw_truncation(losses, 3, level=level).graph
    cut = [d for *_, d in graph.edges(data=True) if d["cut"]]
    assert [(d["kind"], d["dt"]) for d in cut] == [("time", 1)]
    h = [n for n in engine.Graph.of(*losses).nodes if n.scope.labels.get("state") == "h"][2]
    g = engine.gradients(losses[3:], [engine.Graph.of(*losses).tensor(h)])[0]
    assert cut[0]["refused"] == pytest.approx(np.linalg.norm(g.numpy()))
    assert "grad_norm" not in cut[0]
    assert all("refused" not in d for *_, d in graph.edges(data=True) if not d["cut"])


def test_norms_on_boxes_and_edges_are_those_of_the_detached_graph():
    graph = draw_truncation(elman(6), 3).graph
    shown = {d["t"]: d["grads"][0][1] for _, d in graph.nodes(data=True) if d["kind"] == "cell"}
    losses = elman(6)
    states = [n for n in engine.Graph.of(*losses).nodes if n.scope.labels.get("state") == "h"]
    whole = engine.Graph.of(*losses)
    for t, node in enumerate(states):
        own = losses[t : 3 if t < 3 else 6]
        g = engine.gradients(own, [whole.tensor(node)])[0].numpy()
        assert shown[t] == pytest.approx(np.linalg.norm(g))


def test_lost_shares_and_cosines_are_those_of_the_two_gradients():
    losses = elman(6)
    diagram = draw_truncation(total(losses), 2)
    graph = engine.Graph.of(*losses)
    weights = {n.name: graph.tensor(n) for n in graph.nodes if n.name.endswith(("_ih", "_hh"))}
    found = sums(losses, 2)
    lost = diagram.graph.graph["lost"]
    assert set(lost) == {"cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh",
                         "embedding.weight", "loss.head.weight", "loss.head.bias"}  # fmt: skip
    for name, w in weights.items():
        g = engine.gradients(losses, [w])[0].numpy().ravel()
        cut = found.nodes[w.node].ravel()
        share, cosine = lost[f"cell.{name}"]
        assert share == pytest.approx(np.linalg.norm(g - cut) / np.linalg.norm(g))
        assert cosine == pytest.approx(g @ cut / np.linalg.norm(g) / np.linalg.norm(cut))
    assert lost["loss.head.weight"] == (0.0, pytest.approx(1.0))
    assert f"{100 * lost['cell.weight_hh'][0]:.3g} %" in diagram.svg()


def test_what_is_lost_altogether_and_what_was_zero_before():
    w, v = leaf(2.0, name="w"), leaf(1.0, name="v")
    with engine.scope(t=0):
        a = w * 3.0
    with engine.scope(t=1):
        loss = a + v * 0.0
    lost = draw_truncation(loss, 1).graph.graph["lost"]
    assert lost["w"][0] == 1.0
    assert math.isnan(lost["w"][1])
    assert lost["v"][0] == 0.0
    assert math.isnan(lost["v"][1])


def test_scissors_pale_boxes_and_notes():
    engine.seed(1)
    net = rnn.LSTM(3, 4)
    loss = engine.sum(net(engine.asarray(normal(8, 1, 3)))[0] ** 2)
    diagram = draw_truncation(loss, rnn.cut_edges(net, 8, kind="tail", k=3), losses=range(5, 8))
    dim = {box.key for box in diagram.scene.boxes if box.dim}
    cells = {n: d["t"] for n, d in diagram.graph.nodes(data=True) if d["kind"] == "cell"}
    assert {cells[n] for n in dim} == {0, 1, 2, 3, 4}
    scissors = [wire for wire in diagram.scene.wires if wire.mark == "✂"]
    assert {(cells[w.source], cells[w.target]) for w in scissors} == {(4, 5)}
    assert len(scissors) == 2
    red = {(cells.get(w.source), cells.get(w.target)) for w in diagram.scene.wires
           if w.kind == "backward" and w.source in cells and w.target in cells}  # fmt: skip
    assert red == {(6, 5), (7, 6)}
    assert "no gradient gets here" in diagram.svg()


def test_cuts_of_some_losses_name_them_and_are_not_cut_for_all():
    losses = elman(6)
    cuts = rnn.cut_edges(rnn.Recurrent(rnn.ElmanCell(3, 4)), 6, kind="per-loss", k=3)
    diagram = draw_truncation(losses, cuts)
    timed = [d for *_, d in diagram.graph.edges(data=True) if d["kind"] == "time"]
    assert [d["cut"] for d in timed] == [False] * 5
    assert ["refused" in d for d in timed] == [True] * 3 + [False] * 2
    labels = [wire.label for wire in diagram.scene.wires if " of L" in wire.label]
    assert sorted(label.split(" of ")[1] for label in labels) == ["L3", "L4", "L5"]
    assert any("for the losses that it names" in note for note in diagram.scene.notes)


def test_nothing_cut_and_cuts_in_steps_left_out_are_said():
    losses = elman(6)
    diagram = draw_truncation(losses, 6)
    assert "Nothing is cut in 6 steps: this is the whole gradient" in diagram.scene.notes
    assert all(share == 0 for share, _ in diagram.graph.graph["lost"].values())
    assert not any(box.dim for box in diagram.scene.boxes)
    diagram = draw_truncation(elman(20), 1, max_steps=4)
    assert any(
        note == "16 of 19 cut uses lie in the steps left out" for note in diagram.scene.notes
    )


def test_of_many_steps_those_around_a_cut_are_shown():
    cells = {d["t"] for _, d in draw_truncation(elman(40), 20, max_steps=6).graph.nodes(data=True)
             if d["kind"] == "cell"}  # fmt: skip
    assert cells == {17, 18, 19, 20, 21, 22}
    diagram = draw_truncation(elman(40), 2, max_steps=6)
    cells = {d["t"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "cell"}
    assert cells == {0, 1, 2, 37, 38, 39}
    notes = draw_truncation(elman(20), 5, level="op").scene.notes
    assert notes[1].startswith("t = 0 … 11 left out")  # the last cut is before t = 15


def test_many_weights_are_those_that_lose_most():
    engine.seed(1)
    net = rnn.RNN(3, 4, num_layers=4)
    diagram = draw_truncation(engine.sum(net(engine.asarray(normal(4, 1, 3)))[0] ** 2), 1)
    assert len(diagram.graph.graph["lost"]) == 16
    assert "12 of 16 weights in the chart: those that lose most" in diagram.scene.notes
    least = sorted(diagram.graph.graph["lost"].items(), key=lambda item: item[1][0])[:4]
    words = [shape.text for shape in diagram.scene.shapes if hasattr(shape, "text")]
    assert not {name for name, _ in least} & set(words)


def test_the_picture_is_the_same_twice():
    assert draw_truncation(elman(5), 2).svg() == draw_truncation(elman(5), 2).svg()


def test_chunks_of_a_long_sequence_take_one_pass_and_little_time():
    engine.seed(1)
    net = rnn.RNN(3, 4)
    steps = 400
    loss = engine.sum(net(engine.asarray(normal(steps, 1, 3)))[0] ** 2)
    cuts = rnn.cut_edges(net, steps, kind="chunk", k=20)
    diagram = draw_truncation(loss, cuts)
    assert diagram.graph.graph["lost"] == draw_truncation(loss, 20).graph.graph["lost"]


def test_mistakes():
    losses = elman(4)
    with pytest.raises(ValueError, match="at least 1 step apart, got 0"):
        draw_truncation(losses, 0)
    with pytest.raises(TypeError, match=r"a number of steps or as a list of cuts .*, got True"):
        draw_truncation(losses, True)
    with pytest.raises(TypeError, match=r"rnn\.cut_edges makes them"):
        draw_truncation(losses, [(0, 1)])
    with pytest.raises(ValueError, match=r"no edge of state 'c' from step 0 to step 1; .*: 'h'"):
        draw_truncation(losses, [Cut("c", 0, 1, range(4))])
    with pytest.raises(ValueError, match="states that run there: none"):
        draw_truncation(losses, [Cut("h", 3, 4, range(4))])
    with pytest.raises(ValueError, match="forward in time, got one from step 2 to step 1"):
        draw_truncation(losses, [Cut("h", 2, 1, range(4))])
    with pytest.raises(ValueError, match="no loss of step 4; losses enter at 0, 1, 2, 3"):
        draw_truncation(losses, 2, losses=[1, 4])
    with pytest.raises(ValueError, match=r"no loss of step 9; losses enter at 0, 1, .*, … 7"):
        draw_truncation(total(elman(8)), 2, losses=[9])
    with pytest.raises(ValueError, match="got an empty list"):
        draw_truncation([], 2)
    with pytest.raises(ValueError, match=r"each loss has shape \(2,\), expected one number"):
        draw_truncation(leaf(1.0, 2.0) * 2.0, 2)
    with pytest.raises(ValueError, match="each loss depends on nothing that requires"):
        draw_truncation(engine.ones(()), 2)
    with pytest.raises(ValueError, match=r"no time steps; .*scope\(t=t\)"):
        draw_truncation(leaf(1.0) * 2.0, 2)


def test_a_loss_that_cannot_be_divided_by_step_is_refused():
    x = leaf(1.0)
    steps = []
    for t in range(2):
        with engine.scope(t=t):
            steps.append(engine.sin(x * (steps[-1] if steps else 1.0)))
    mean = steps[0] + steps[1]
    with engine.scope(t=2):
        last = engine.exp(mean * steps[1])
    loss = last + mean
    cuts = [Cut("h", 0, 1, range(1, 2))]
    with pytest.raises(ValueError, match="cannot be divided into losses of steps; give a list"):
        draw_truncation(loss, cuts)
    assert draw_truncation(loss, 1).graph.graph["lost"]  # all losses alike: nothing to divide


def test_gradients_that_are_not_finite_are_drawn_and_any_integer_is_one():
    x = np.ones((4, 2, 3), "f")
    x[1, 0, 0] = np.nan
    y, _ = rnn.GRU(3, 4)(engine.asarray(x))
    assert draw_truncation(engine.sum(y**2), np.int64(2)).svg()
