"""Test what diagrams read of a graph: levels, time, delays, labels, and exact norms."""

import math
from collections import Counter

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.viz.pictures import network, per_step, total
from viz.style import DOTS, Scale, backward_line


@pytest.mark.parametrize("kind", ["elman", "lstm", "gru"])
def test_the_op_level_is_the_graph(kind):
    loss = network(kind, 3)
    graph = engine.Graph.of(loss)
    drawn = viz.to_networkx(loss)
    assert drawn.number_of_nodes() == len(graph)
    assert drawn.number_of_edges() == len(graph.edges)
    assert sorted(drawn.edges()) == sorted(
        (graph.number[a], graph.number[b]) for a, b, _ in graph.edges
    )


def test_the_cell_level_has_one_box_a_module_and_step():
    drawn = viz.to_networkx(network("lstm", 4), "cell")
    kinds = [d["kind"] for _, d in drawn.nodes(data=True)]
    assert kinds.count("cell") == 4
    assert sum(d["label"] == "loss" for _, d in drawn.nodes(data=True)) == 4
    # embedding, cell and head have a box of parameters each
    assert kinds.count("parameter") == 3


def test_edges_of_states_are_delayed_by_one_step():
    drawn = viz.to_networkx(network("lstm", 4), "cell")
    delayed = [d for *_, d in drawn.edges(data=True) if d["kind"] == "time"]
    assert sorted(d["label"] for d in delayed) == ["c"] * 3 + ["h"] * 3
    assert {d["dt"] for d in delayed} == {1}


def test_rolled_up_the_size_does_not_depend_on_the_steps():
    short, long = (viz.to_networkx(network("gru", steps), "rolled") for steps in (3, 9))
    assert short.number_of_nodes() == long.number_of_nodes()
    assert short.number_of_edges() == long.number_of_edges()
    (loop,) = [(a, b, d) for a, b, d in short.edges(data=True) if d["dt"]]
    assert loop[0] == loop[1]
    assert loop[2]["label"] == "h"


def test_gates_and_states_are_distinguished():
    drawn = viz.to_networkx(network("lstm", 2))
    labels = {d["label"] for _, d in drawn.nodes(data=True)}
    assert {"i = σ", "f = σ", "g = tanh", "o = σ", "c = +", "h = ×"} <= labels


def test_an_unknown_level_is_refused_by_name():
    loss = network("elman", 2)
    with pytest.raises(ValueError, match="unknown level 'layer'"):
        viz.to_networkx(loss, "layer")
    with pytest.raises(ValueError, match="unknown level 'ops'"):
        viz.draw_unrolled(loss, level="ops")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        viz.draw_unrolled(loss, max_steps=0)


def test_a_module_called_twice_without_a_step_makes_no_circle():
    linear = rnn.Linear(3, 3)
    linear._name = "shared"
    y = engine.sum(linear(engine.tanh(linear(engine.ones((2, 3))))))
    drawn = viz.to_networkx(y, "cell")
    assert sum(d["op"] == "linear" for _, d in drawn.nodes(data=True)) == 2


def manual_norm(loss, tensor) -> float:
    (g,) = engine.gradients(loss, [tensor])
    return float(np.linalg.norm(g.numpy().astype("float64").ravel()))


def test_norms_on_boxes_are_those_of_the_gradients():
    loss = network("lstm", 3)
    diagram = viz.draw_gradients(loss, level="op", max_steps=3)
    graph = engine.Graph.of(loss)
    shown = 0
    for node, n in graph.number.items():
        for _, value in diagram.graph.nodes[n].get("grads", ()):
            assert value == pytest.approx(manual_norm(loss, graph.tensor(node)), rel=1e-6)
            shown += 1
    assert shown == sum(graph.tensor(node).requires_grad for node in graph.nodes)


def test_contributions_of_one_use_sum_to_the_gradient():
    w = engine.asarray(np.array([2.0, -1.0]), requires_grad=True)
    y = engine.sum(w * w + w)
    nodes, uses = engine.gradient_norms(y)
    graph = engine.Graph.of(y)
    multiply, add = graph.nodes[1], graph.nodes[2]
    assert uses[w.node, (multiply, 0)] == pytest.approx(math.hypot(2, 1))
    assert uses[w.node, (multiply, 1)] == pytest.approx(math.hypot(2, 1))
    assert uses[w.node, (add, 1)] == pytest.approx(math.hypot(1, 1))
    assert nodes[w.node] == pytest.approx(math.hypot(2 * 2 + 1, 2 * -1 + 1))
    joined = engine.gradient_norms(y, group=lambda node, slot: node)[1]
    assert joined[w.node, multiply] == pytest.approx(2 * math.hypot(2, 1))  # vectors, then norm


def test_a_cell_edge_shows_the_joint_contribution_of_all_its_uses():
    engine.seed(5)
    losses = per_step(rnn.GRUCell(3, 4), 3)
    diagram = viz.draw_gradients(total(losses))
    edges = [d for *_, d in diagram.graph.edges(data=True) if d["kind"] == "time"]
    # What h_t gets back from the next step is its gradient without its own loss's share.
    graph = engine.Graph.of(total(losses))
    states = [n for n in graph.nodes if n.scope.labels.get("state") == "h" and n.op.name == "add"]
    for t, data in enumerate(edges):
        h = graph.tensor(states[t])
        whole = engine.gradients(sum(losses), [h])[0].numpy()
        own = engine.gradients(losses[t], [h])[0].numpy()
        assert data["grad_norm"] == pytest.approx(float(np.linalg.norm(whole - own)), rel=1e-4)


def test_the_gap_shows_the_joint_contribution_of_what_is_left_out():
    engine.seed(5)
    loss = total(per_step(rnn.ElmanCell(3, 4), 9))
    full = viz.draw_gradients(loss, max_steps=9)
    short = viz.draw_gradients(loss, max_steps=4)
    states = {d["grad_norm"] for *_, d in full.graph.edges(data=True) if d["kind"] == "time"}
    shown = [d["grad_norm"] for *_, d in short.graph.edges(data=True) if d["kind"] == "time"]
    assert len(shown) == 4  # 0-1, 1-gap, gap-7, 7-8
    assert all(any(a == pytest.approx(b) for b in states) for a in shown)


def test_dead_and_broken_gradients_are_marked():
    x = engine.asarray(np.array([-1.0, 2.0]), requires_grad=True, name="x")
    dead = engine.sum(engine.relu(x * -1.0 - 5.0))
    assert "×" in viz.draw_gradients(dead, level="op").svg()
    zero = engine.asarray(np.array([0.0]), requires_grad=True)
    broken = engine.sum(engine.sqrt(zero))
    svg = viz.draw_gradients(broken, level="op").svg()
    assert ">!<" in svg
    assert "inf" in svg
    color, _, dash, mark = backward_line(math.nan, Scale())
    assert (color, dash, mark) == ("#111111", "2 3", "!")


def test_width_and_shade_grow_with_the_logarithm_of_the_norm():
    styles = [backward_line(10.0**k, Scale()) for k in range(-6, 1)]
    widths = np.array([wide for _, wide, *_ in styles])
    assert np.allclose(widths[:-1] / widths[1:], 0.6)  # the same for each decade
    assert {dash for *_, dash, _ in styles} == {""}
    assert backward_line(0.9e-6, Scale())[2] == DOTS
    grey = [sum(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color, *_ in styles]
    assert grey == sorted(grey, reverse=True)
    assert grey[0] - grey[-1] > 200  # readable without colour


def test_what_has_no_gradient_is_refused():
    with pytest.raises(ValueError, match="depends on nothing"):
        viz.draw_gradients(engine.ones(()))


def test_edges_of_states_carry_the_norm_of_the_jacobian():
    engine.seed(4)
    cell = rnn.ElmanCell(3, 4, dtype="float64")
    y, _ = rnn.Recurrent(cell)(engine.asarray(np.ones((5, 1, 3)), name="x"))
    edges = viz.to_networkx(y, "cell", jacobians=True).edges(data=True)
    shown = [d["jacobian_norm"] for *_, d in edges if d["kind"] == "time"]
    h = y.numpy()[:, 0]  # dh_t/dh_{t-1} = diag(1 - h_t^2) W_hh
    closed = [
        np.linalg.norm((1 - h[t] ** 2)[:, None] * cell.weight_hh.numpy(), 2) for t in (1, 2, 3, 4)
    ]
    assert shown == pytest.approx(closed, rel=1e-9)


def encoder_decoder(steps: int = 4, written: int = 3) -> tuple[engine.Tensor, list[np.ndarray]]:
    """Return a GRU that reads, one that writes with attention to the first, and the weights."""
    engine.seed(2)
    reader, writer = rnn.GRUCell(3, 4), rnn.GRUCell(3, 4)
    reader._name, writer._name = "reader", "writer"
    h, states, weights, losses = reader.zero_state(2, like=reader.weight_ih), [], [], []
    for t in range(steps):
        with engine.scope(t=t, block="encoder"):
            y, h = reader(engine.random.normal((2, 3), 1.0, "x", t), h)
            states.append(y)
    read = engine.stack(states, axis=1)  # (B, T, H)
    for t in range(written):
        with engine.scope(t=t, block="decoder"):
            y, h = writer(engine.random.normal((2, 3), 1.0, "y", t), h)
            with engine.scope("attention"):
                scores = engine.sum(read * engine.expand_dims(y, axis=1), axis=-1)
                a = engine.softmax(scores * 3.0, axis=-1)
                context = engine.sum(engine.expand_dims(a, axis=-1) * read, axis=1)
            weights.append(a.numpy())
            losses.append(engine.sum(context * y))
    return engine.sum(engine.stack(losses)), weights


def test_attention_is_a_fan_by_weight():
    loss, weights = encoder_decoder()
    diagram = viz.draw_gradients(loss, max_steps=4, attention="all")
    graph = diagram.graph
    fan = {(graph.nodes[a]["t"], graph.nodes[b]["t"]): d["weight"]
           for a, b, d in graph.edges(data=True) if d["kind"] == "attention"}  # fmt: skip
    assert len(fan) == 4 * 3
    for (read, wrote), weight in fan.items():
        assert weight == pytest.approx(weights[wrote][:, read].mean(), rel=1e-5)
    wires = sorted((w.width, w.title) for w in diagram.scene.wires if w.kind == "attention")
    assert len(wires) == 12
    assert [float(title.rsplit(" ", 1)[1]) for _, title in wires] == sorted(
        float(title.rsplit(" ", 1)[1]) for _, title in wires)  # fmt: skip
    assert {"encoder", "decoder"} <= {d["block"] for _, d in graph.nodes(data=True)}


def test_blocks_stand_side_by_side_joined_by_a_context_edge():
    loss, _ = encoder_decoder()
    graph = viz.draw_unrolled(loss).graph
    at = {n: d["position"][0] for n, d in graph.nodes(data=True)}
    cells = {block: [at[n] for n, d in graph.nodes(data=True)
                     if d["kind"] == "cell" and d["block"] == block]
             for block in ("encoder", "decoder")}  # fmt: skip
    assert max(cells["encoder"]) < min(cells["decoder"])
    (context,) = [
        (a, b) for a, b, d in graph.edges(data=True) if d["kind"] == "context" and d["label"] == "h"
    ]
    assert graph.nodes[context[0]]["t"] == 3
    assert graph.nodes[context[1]]["t"] == 0
    assert "context: from block to block" in viz.draw_unrolled(loss).svg()


@pytest.mark.parametrize("steps", [3, 12])
def test_a_deep_stack_both_ways_keeps_its_cells(steps):
    # What joins the directions between layers is several ops at each step, one after another.
    net = rnn.LSTM(2, 3, num_layers=4, bidirectional=True)
    y, _ = net(engine.ones((steps, 1, 2)))
    rolled = Counter(d["kind"] for _, d in viz.draw_rolled(y).graph.nodes(data=True))
    assert (rolled["cell"], rolled["module"]) == (8, 3)
    graph = viz.draw_unrolled(y, max_steps=steps).graph
    cells = Counter(d["t"] for _, d in graph.nodes(data=True) if d["kind"] == "cell")
    assert cells == dict.fromkeys(range(steps), 8)
