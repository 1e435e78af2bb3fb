"""Draw the paths from a loss back through time: every number against engine.gradients, finite
differences and enumeration, and the picture itself.
"""

import itertools
import math
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import covering, first, normal, normal_leaf, slow_beside
from tests.viz.pictures import boxes, lines, network, per_step, total
from viz.analysis.jacobian_hops import Hops
from viz.analysis.paths import count_paths
from viz.model.box_names import box as viz_box
from viz.model.levels import build
from viz.model.names import Places

draw_bptt_path = partial(viz.draw_bptt_path, max_steps=12)  # all steps, however wide

CELLS = {
    "elman": lambda: rnn.ElmanCell(3, 4, dtype="float64"),
    "lstm": lambda: rnn.LSTMCell(3, 4, dtype="float64"),
    "gru": lambda: rnn.GRUCell(3, 4, dtype="float64"),
}


def judged(name, steps, batch=2):
    """Return the losses of every step of a cell with a head, in float64."""
    engine.seed(5)
    cell, head = CELLS[name](), rnn.Linear(4, 2, dtype="float64")
    cell._name, head._name = "cell", "head"
    state = cell.zero_state(batch, like=cell.weight_hh)
    losses = []
    for t in range(steps):
        with engine.scope(t=t):
            y, state = cell(engine.asarray(normal(batch, 3, salt=t), name=f"x{t}"), state)
            with engine.scope("loss"):
                losses.append(engine.sum(engine.tanh(head(y)) ** 2))
    return losses, cell, head


def numbers(*args, **options):
    return draw_bptt_path(*args, **options).graph.graph["paths"]


def grad_norm(loss, x):
    return float(np.linalg.norm(engine.gradients(loss, [x])[0].numpy()))


@pytest.mark.parametrize(("name", "target"), covering(CELLS, ["h2", "h4", "h0", "h-1"]))
def test_the_products_along_all_paths_sum_to_the_gradient(name, target):
    losses, *_ = judged(name, 6)
    whole = total(losses)
    found = numbers(whole, "L5", target)
    places = Places(engine.Graph.of(whole))
    h = places.find(target).tensor
    if h.requires_grad:
        assert found.whole == pytest.approx(grad_norm(losses[5], h), rel=1e-9)
    hops = 5 - int(target[1:])
    ways = 2 ** (hops - 1) if name == "lstm" else 1
    assert found.count == found.all == ways
    assert found.shown == pytest.approx(found.whole, rel=1e-9)
    assert found.bound >= found.shown > 0
    ((path, product),) = found.strongest
    assert product <= path.value <= found.bound * (1 + 1e-12)


def test_the_whole_against_finite_differences():
    losses, cell, head = judged("lstm", 5)
    found = numbers(total(losses), "L4", "c1")
    places = Places(engine.Graph.of(total(losses)))
    h, c = (places.find(name).tensor.numpy() for name in ("h1", "c1"))

    def loss(c):
        state = engine.asarray(h), engine.asarray(c)
        for t in range(2, 5):
            y, state = cell(engine.asarray(normal(2, 3, salt=t)), state)
        return float(np.sum(np.tanh(head(y).numpy()) ** 2))

    slope = np.zeros_like(c)
    for place in np.ndindex(c.shape):
        step = np.zeros_like(c)
        step[place] = 1e-6
        # h1 was computed from c1, and all that comes of it counts: move it along
        slope[place] = (loss(c + step) - loss(c - step)) / 2e-6
    (through_h,) = engine.gradients(losses[4], [places.find("h1").tensor])
    (o,) = (n for n in engine.Graph.of(losses[4]).nodes
            if n.scope.labels.get("gate") == "o" and n.scope.labels.get("t") == 1)  # fmt: skip
    o = engine.Graph.of(losses[4]).tensor(o).numpy()
    slope += through_h.numpy() * o * (1 - np.tanh(c) ** 2)
    assert found.whole == pytest.approx(np.linalg.norm(slope), rel=1e-6)
    assert found.shown == pytest.approx(found.whole, rel=1e-9)


def hop_graph(loss, source, target):
    graph = engine.Graph.of(loss)
    places = Places(graph)
    return Hops(build(graph, "cell").member, places.find(source), places.find(target))


def test_each_hop_is_the_derivative_with_all_else_held():
    # Against one LSTM step run by hand from moved states.
    losses, cell, _ = judged("lstm", 4, batch=1)
    hops = hop_graph(losses[3], "L3", "h1")
    places = Places(engine.Graph.of(losses[3]))
    h1, c1, h2, c2 = (places.find(n).tensor for n in ("h1", "c1", "h2", "c2"))
    x = engine.asarray(normal(1, 3, salt=2))

    def step(h):
        _, state = cell.step(x, (engine.asarray(h), c1.detach()))
        return np.concatenate([s.numpy()[0] for s in state])

    jacobian = np.stack([(step(h1.numpy() + d) - step(h1.numpy() - d)) / 2e-6
                         for d in 1e-6 * np.eye(4)], axis=1)  # fmt: skip
    np.testing.assert_allclose(hops.blocks(h2.node)[h1.node][0], jacobian[:4], atol=1e-8)
    np.testing.assert_allclose(hops.blocks(c2.node)[h1.node][0], jacobian[4:], atol=1e-8)
    assert hops.hop_norm(h1.node, c2.node) == pytest.approx(np.linalg.norm(jacobian[4:], 2))
    joint = hops.joint_norm(h1.node, [h2.node, c2.node])
    assert joint == pytest.approx(np.linalg.norm(jacobian, 2), rel=1e-6)


@pytest.mark.parametrize("k", [1, 3, 99])
def test_the_strongest_paths_against_enumeration(k):
    losses, *_ = judged("lstm", 6, batch=1)
    hops = hop_graph(losses[5], "L5", "h2")
    graph = hops.graph
    every = []
    stack = [(hops.end,)]
    while stack:
        path = stack.pop()
        if path[-1] is hops.start:
            product = np.eye(1)
            norms = 1.0
            for later, earlier in itertools.pairwise(path):
                product = product @ hops.blocks(later)[earlier][0]
                norms *= np.linalg.norm(hops.blocks(later)[earlier][0], 2)
            every.append((norms, np.linalg.norm(product), product))
            continue
        stack += [(*path, earlier) for earlier in graph.predecessors(path[-1])]
    every.sort(key=lambda one: -one[0])
    found = numbers(total(losses), "L5", "h2", which="strongest", k=k)
    assert (found.count, found.all) == (min(k, 4), 4)
    assert [path.value for path, _ in found.strongest] == pytest.approx(
        [one[0] for one in every[:k]]
    )
    assert [product for _, product in found.strongest] == pytest.approx(
        [one[1] for one in every[:k]]
    )
    assert found.shown == pytest.approx(np.linalg.norm(sum(one[2] for one in every[:k])))
    assert found.bound == pytest.approx(sum(one[0] for one in every[:k]))
    assert found.whole == pytest.approx(np.linalg.norm(sum(one[2] for one in every)))


def test_a_source_that_is_a_state_has_a_jacobian():
    losses, *_ = judged("gru", 5)
    found = numbers(total(losses), "h4", "h1")
    engine.seed(5)
    places = Places(engine.Graph.of(total(losses)))
    h1, h4 = places.find("h1").tensor, places.find("h4").tensor
    rows = [engine.gradients(h4, [h1], engine.asarray(np.tile(unit, (2, 1))))[0].numpy()
            for unit in np.eye(4)]  # fmt: skip
    jacobian = np.stack(rows, axis=1)
    expected = max(np.linalg.norm(one, 2) for one in jacobian)
    assert found.whole == pytest.approx(expected, rel=1e-9)
    assert found.shown == pytest.approx(expected, rel=1e-9)
    ((path, product),) = found.strongest
    assert product == pytest.approx(expected, rel=1e-9)
    assert path.value >= product


@pytest.mark.parametrize("name", first(1, reversed(CELLS)))
def test_the_uses_of_a_parameter_sum_to_its_gradient(name):
    losses, cell, head = judged(name, 6)
    found = numbers(total(losses), "L5", "cell.weight_hh")
    (g,) = engine.gradients(losses[5], [cell.weight_hh])
    g = g.numpy()
    assert found.whole == pytest.approx(np.linalg.norm(g), rel=1e-9)
    assert found.shown == pytest.approx(found.whole, rel=1e-9)
    added = sum(along for _, along in found.contributions.values())
    assert added == pytest.approx(found.whole, rel=1e-9)
    assert found.all == (2**6 - 1 if name == "lstm" else 6)
    net = rnn.Probe(rnn.Recurrent(cell), engine.asarray(
        np.stack([normal(2, 3, salt=t) for t in range(6)])))  # fmt: skip
    loss = engine.sum(engine.tanh(head(net.outputs[5])) ** 2)
    parts = net.contributions(loss)["cell.weight_hh"].numpy()
    for t, (norm, along) in found.contributions.items():
        assert norm == pytest.approx(np.linalg.norm(parts[t]), rel=1e-9, abs=1e-15)
        assert along == pytest.approx(np.sum(parts[t] * g) / np.linalg.norm(g), abs=1e-12)
    ((path, _),) = found.strongest
    assert path.edges[0][0] is cell.weight_hh.node


def test_the_whole_loss_has_a_path_for_every_loss_and_use():
    loss = network("elman", 6)
    assert numbers(loss, "L", "cell.weight_hh").all == 21
    assert numbers(loss, "L5", "cell.weight_hh").all == 6


def test_paths_along_states_leave_out_what_is_fed_back():
    engine.seed(1)
    cell, head = rnn.GRUCell(2, 4, dtype="float64"), rnn.Linear(4, 2, dtype="float64")
    cell._name, head._name = "cell", "head"
    x, h, states = engine.ones((1, 2), dtype="float64"), None, []
    for t in range(4):
        with engine.scope(t=t):
            y, h = cell(x, h)
            states.append(h)
            x = head(y)
    with engine.scope(t=3), engine.scope("loss"):
        loss = engine.sum(x**2)
    every, straight = numbers(loss, "L", "h0"), numbers(loss, "L", "h0", which="state")
    assert (every.count, straight.count, straight.all) == (8, 1, 8)
    notes = draw_bptt_path(loss, "L", "h0", which="state").scene.notes
    assert any("the 1 path shown, along states: norm of the sum" in note for note in notes)
    (g,) = engine.gradients(loss, [states[3]])
    expected = g.numpy()[:, None]
    for t in (3, 2, 1):
        # the step by itself, its input held
        rows = []
        for unit in np.eye(4):
            free = engine.asarray(states[t - 1].numpy(), requires_grad=True)
            held = head(states[t - 1]).detach()
            _, new = cell.step(held, free)
            rows.append(engine.gradients(new, [free], engine.asarray(unit[None]))[0].numpy())
        expected = expected @ np.stack(rows, axis=1)
    assert straight.shown == pytest.approx(np.linalg.norm(expected), rel=1e-9)
    assert straight.whole == pytest.approx(grad_norm(loss, states[0]), rel=1e-9)
    assert every.shown == pytest.approx(straight.whole, rel=1e-9)


def test_layers_over_whole_sequences():
    engine.seed(2)
    net = rnn.GRU(3, 4, num_layers=2, dtype="float64")
    (y,) = engine.expanded(net(engine.asarray(normal(6, 2, 3)))[0])
    loss = engine.sum(y**2)
    found = numbers(loss, "L4", "h1_l0")
    h = Places(engine.Graph.of(loss)).find("h1_l0").tensor
    assert found.whole == pytest.approx(grad_norm(engine.sum(y[4] ** 2), h), rel=1e-9)
    assert found.shown == pytest.approx(found.whole, rel=1e-9)
    assert found.all == 4  # where it goes from layer to layer
    last = numbers(engine.sum(y[-1] ** 2), "L", "weight_hh_l1")
    assert last.all == 6  # and not from outputs that the loss does not read
    with pytest.raises(ValueError, match="no path leads from L1 back to h4_l0"):
        draw_bptt_path(loss, "L1", "h4_l0")


def test_what_cannot_be_drawn_is_refused():
    loss = network("elman", 3)
    with pytest.raises(ValueError, match="unknown which='some'; expected one of 'all', 'state'"):
        draw_bptt_path(loss, "L2", "h0", which="some")
    with pytest.raises(ValueError, match="no place 'h9' in this graph"):
        draw_bptt_path(loss, "L2", "h9")
    with pytest.raises(ValueError, match="no path leads from L2 back to L2"):
        draw_bptt_path(loss, "L2", "L2")
    with pytest.raises(ValueError, match=r"h2 has shape \(1, 4\); paths to a parameter start at"):
        draw_bptt_path(loss, "h2", "cell.weight_hh")
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        draw_bptt_path(loss, "L2", "h0", k=0)


def test_red_wires_lead_back_along_the_paths_and_the_rest_is_pale():
    diagram = draw_bptt_path(network("lstm", 6), "L5", "h2")
    svg = diagram.svg()
    graph = diagram.graph
    red = [(line.source, line.target) for line in lines(svg) if line.kind == "backward"]
    steps = [(graph.nodes[a]["t"], graph.nodes[b]["t"]) for a, b in red]
    assert sorted(steps) == [(3, 2), (4, 3), (4, 3), (5, 4), (5, 4), (5, 5), (5, 5)]
    for a, b in red:
        assert graph.has_edge(b, a)
    pale = {box.key for box in diagram.scene.boxes if box.dim}
    assert pale == set(graph) - {n for pair in red for n in pair}
    assert len([w for w in diagram.scene.wires if not w.dim]) == len(red)
    labelled = [w for w in diagram.scene.wires if w.kind == "backward" and w.label]
    assert len(labelled) == len(red)
    assert not any("sum of the products of norms" in note for note in
                   draw_bptt_path(network("elman", 6), "L5", "h2").scene.notes)  # fmt: skip
    words = {box.words[0]: box.words for box in boxes(svg) if box.key not in pale}
    assert words["loss"] == ("loss", "L5")
    assert any("4 paths" in note for note in diagram.scene.notes)


def test_a_window_shows_the_steps_between():
    loss = network("elman", 40)
    diagram = draw_bptt_path(loss, "L30", "h25")
    shown = {d["t"] for _, d in diagram.graph.nodes(data=True) if d["cell"] and d["t"] is not None}
    assert set(range(25, 31)) <= shown
    assert len(shown) == 12
    wide = draw_bptt_path(loss, "L38", "h2", max_steps=6)
    found = wide.graph.graph["paths"]
    assert found.shown == pytest.approx(found.whole, rel=1e-4)
    red = [w for w in wide.scene.wires if w.kind == "backward"]
    assert len(red) == 8  # to the head, 38, 37, 36, into the gap, from there to 4, 3, 2
    weights = draw_bptt_path(loss, "L39", "cell.weight_hh", max_steps=6)
    assert any("34 steps left out" in note for note in weights.scene.notes)
    assert sum(a for _, a in weights.graph.graph["paths"].contributions.values()) == pytest.approx(
        weights.graph.graph["paths"].whole, rel=1e-4
    )


def test_products_beyond_what_floats_hold_are_written_as_powers():
    engine.seed(1)
    cell = rnn.IndRNNCell(2, 3, dtype="float64")
    cell.weight_hh = engine.asarray(np.full(3, 1e-3), requires_grad=True)
    h, x = normal_leaf(1, 3, name="h0"), engine.ones((1, 2), dtype="float64")
    for t in range(150):
        with engine.scope(t=t):
            _, h = cell(x, h)
    with engine.scope(t=149), engine.scope("loss"):
        loss = engine.sum(h)
    diagram = draw_bptt_path(loss, "L", "h0")
    ((path, product),) = diagram.graph.graph["paths"].strongest
    assert path.value == product == 0.0
    assert path.log == pytest.approx(150 * math.log(1e-3), rel=0.02)
    notes = " ".join(diagram.scene.notes)
    found = re.search(r"multiply to ([\d.]+)×10⁻([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", notes)
    exponent = -int(found[2].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))
    assert math.log10(float(found[1])) + exponent == pytest.approx(
        path.log / math.log(10), abs=1e-2
    )


@slow_beside("viz/test_golden.py::test_two_hash_seeds_give_the_same_bytes")
def test_a_picture_is_the_same_under_any_hash_seed():
    code = (
        "from tests.viz.pictures import network; from viz.drawings.bptt_path import draw_bptt_path;"
        "l = network('lstm', 5); d = draw_bptt_path(l, 'L4', 'h1', which='strongest', k=2);"
        "print(d.svg(), draw_bptt_path(l, 'L4', 'cell.weight_hh').svg())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True,
                       env={"PYTHONHASHSEED": seed, "PATH": ""}).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]


def test_hops_and_paths_of_the_picture_count_the_same():
    losses = per_step(rnn.LSTMCell(3, 4), 5)
    drawn = viz.to_networkx(total(losses), "cell")
    assert numbers(total(losses), "L4", "cell.weight_hh").all == (
        count_paths(drawn, "L4", "cell.weight_hh")
    )


@pytest.mark.parametrize(("name", "which"), covering(CELLS, ["all", "state", "strongest"]))
def test_the_graph_carries_the_norms_of_all_hops(name, which):
    losses, *_ = judged(name, 5)
    loss = total(losses)
    diagram = draw_bptt_path(loss, "L", "h1", which=which)
    graph = diagram.graph
    norms = {(a, b): d["jacobian_norm"] for a, b, d in graph.edges(data=True)
             if "jacobian_norm" in d}  # fmt: skip
    shown = {(wire.target, wire.source): wire.label for wire in diagram.scene.wires
             if wire.kind == "backward"}  # fmt: skip
    assert set(shown) <= set(norms)
    for edge, label in shown.items():
        if label and which == "all":  # else the numbers are those of the shown hops alone
            printed = float(label.removeprefix("joint ").removeprefix("×"))
            assert printed == pytest.approx(norms[edge], rel=0.06)
    # Between the boxes of states it is the norm of the derivative of one by the other.
    if name != "lstm":
        places = Places(engine.Graph.of(loss))
        h = [places.find(f"h{t}").tensor for t in range(5)]
        for t in range(1, 4):
            found = norms[viz_box(graph, f"h{t}"), viz_box(graph, f"h{t + 1}")]
            exact = max(np.linalg.norm(
                np.stack([engine.gradients(h[t + 1][row, i], [h[t]])[0].numpy()[row]
                          for i in range(4)]), 2) for row in range(2))  # fmt: skip
            assert found == pytest.approx(exact, rel=1e-9)
    best = viz.k_strongest_paths(graph, "h1", "L", 3)
    assert len(best) == 3
    assert best[0].nodes[0] == viz_box(graph, "h1")
    assert best[0].nodes[-1] == viz_box(graph, "L")
    if name != "lstm":
        ((path, _),) = draw_bptt_path(loss, "L", "h1", which="strongest").graph.graph[
            "paths"].strongest  # fmt: skip
        assert best[0].value == pytest.approx(path.value, rel=1e-9)


def test_the_graph_of_paths_to_a_parameter_carries_norms_too():
    losses, *_ = judged("gru", 4)
    graph = draw_bptt_path(losses[3], "L", "weight_hh").graph
    assert viz.k_strongest_paths(graph, "weight_hh", "L", 2)[0].value > 0
    weights = viz_box(graph, "weight_hh")
    uses = [d.get("jacobian_norm") for _, _, d in graph.out_edges(weights, data=True)]
    assert uses[0] == 0.0  # of the state before the first step, which is zero
    assert all(norm > 0 for norm in uses[1:])


def test_uses_of_a_parameter_are_bounded_where_they_are_measured(monkeypatch):
    engine.seed(0)
    y, _ = rnn.RNN(3, 4)(engine.asarray(normal(4, 8, 3)))
    loss = engine.sum(y[-1])
    diagram = viz.draw_bptt_path(loss, "L", "weight_ih")
    found = diagram.graph.graph["paths"]
    assert found.bound >= found.shown == pytest.approx(found.whole)
    assert any("upper bound" in note for note in diagram.scene.notes)
    monkeypatch.setattr("viz.analysis.jacobian_hops.PASSES", 31)
    notes = viz.draw_bptt_path(loss, "L", "weight_ih").scene.notes
    assert not any("upper bound" in note for note in notes)
    assert any("counts as a hop of norm 1" in note for note in notes)
    assert not any("could carry" in note for note in notes)


def by_hand(steps=3, units=4):
    """Return the losses of a recurrence without a cell, of a weight that is made of another."""
    w = normal_leaf(units, units, name="W")
    made, h, losses = engine.permute_dims(w, (1, 0)), engine.ones((1, units), dtype="float64"), []
    for t in range(steps):
        with engine.scope("unit", t=t):
            h = engine.tanh(h @ made)
        with engine.scope("loss", t=t):
            losses.append(engine.sum(h**2))
    return losses, w, made


def test_weights_are_found_as_tensors_under_any_name():
    losses, w, made = by_hand()
    for target in (w, w.node, "W", made):
        found = numbers(total(losses), "L2", target)
        assert found.all == 3
        assert found.whole == pytest.approx(grad_norm(losses[2], w), rel=1e-9)
        assert found.shown == pytest.approx(found.whole, rel=1e-9)
        assert found.bound >= found.whole
    one, other = rnn.ElmanCell(3, 4, dtype="float64"), rnn.ElmanCell(3, 4, dtype="float64")
    h = g = None
    for t in range(3):
        with engine.scope(t=t):
            y, h = one(engine.asarray(normal(1, 3, salt=t)), h)
            z, g = other(engine.asarray(normal(1, 3, salt=t)), g)
            with engine.scope("loss"):
                loss = engine.sum(y * z)
    for cell in (one, other):  # their weights have the same names
        found = numbers(loss, "L2", cell.weight_hh)
        assert found.all == 3
        assert found.whole == pytest.approx(grad_norm(loss, cell.weight_hh), rel=1e-9)


def test_a_recurrence_of_vectors_has_its_paths_too():
    w = normal_leaf(4, name="w")
    h = engine.ones((4,), dtype="float64")
    for t in range(3):
        with engine.scope("unit", t=t):
            h = engine.tanh(h * w)
    with engine.scope("loss", t=2):
        loss = engine.sum(h)
    found = numbers(loss, "L2", w)
    assert found.all == 3
    assert found.shown == pytest.approx(found.whole, rel=1e-9)
    assert found.whole == pytest.approx(grad_norm(loss, w), rel=1e-9)
