"""Compare paths through graphs of pictures with enumeration and closed forms; test names."""

import math
import random
import time

import networkx as nx
import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import first, leaf, normal
from tests.viz.picture_cases import CASES, ORDER
from tests.viz.pictures import network, per_step, total
from viz.analysis.paths import count_paths, k_strongest_paths, longest_path, state_only
from viz.model.box_names import box, box_names
from viz.model.leaves import given_names
from viz.model.names import Places


def random_dag(seed, nodes=8, edges=16):
    draw = random.Random(seed)
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(nodes))
    for _ in range(edges):
        a, b = sorted(draw.sample(range(nodes), 2))
        graph.add_edge(a, b, w=draw.choice([0.0, 0.5, 1.5, 2.0, None]), s=draw.uniform(-2, 1))
    return graph


def every_path(graph, a, b):
    """Find all paths as lists of edges, by recursion."""
    if a == b:
        return [[]]
    return [[edge, *rest] for edge in graph.out_edges(a, keys=True)
            for rest in every_path(graph, edge[1], b)]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_counts_and_strongest_paths_against_enumeration(seed):
    graph = random_dag(seed)
    paths = every_path(graph, 0, 7)
    assert count_paths(graph, 0, 7) == count_paths(graph, 7, 0) == len(paths)
    kept = [p for p in paths if all(graph.edges[e]["w"] is not None for e in p)]
    products = sorted((math.prod(graph.edges[e]["w"] for e in p) for p in kept), reverse=True)
    for k in (1, 3, 1000):
        found = k_strongest_paths(graph, 0, 7, k, weight="w")
        assert [p.value for p in found] == pytest.approx(products[:k])
        assert len({p.edges for p in found}) == len(found)
        for p in found:
            assert list(p.edges) in kept
            assert p.nodes == (0, *(edge[1] for edge in p.edges))
            assert p.log == (math.log(p.value) if p.value else -math.inf) or p.value == (
                pytest.approx(math.exp(p.log))
            )


@pytest.mark.parametrize("seed", range(12))
def test_longest_paths_against_enumeration(seed):
    graph = random_dag(seed)
    ends = [n for n in graph if not graph.out_degree(n)]
    starts = [n for n in graph if not graph.in_degree(n)]

    def best(a, b):
        sums = [sum(graph.edges[e]["s"] for e in p) for i in a for j in b
                for p in every_path(graph, i, j)]  # fmt: skip
        return max(sums, default=None)

    for a, b in ((0, 7), (0, None), (None, 7), (None, None)):
        expected = best(starts if a is None else [a], ends if b is None else [b])
        found = longest_path(graph, a, b, weight="s")
        if expected is None:
            assert found is None
            continue
        assert found.value == pytest.approx(expected)  # below 0 where it is
        assert sum(graph.edges[e]["s"] for e in found.edges) == pytest.approx(expected)


def test_negative_sums_are_not_clamped():
    graph = nx.MultiDiGraph([(0, 1, {"s": -3.0}), (1, 2, {"s": -1.0}), (0, 2, {"s": -5.0})])
    assert longest_path(graph, weight="s").value == -4.0
    assert longest_path(graph, weight=lambda data: -data["s"]).nodes == (0, 2)
    assert longest_path(graph, 2, 0, weight="s").nodes == (0, 1, 2)  # either may be the first
    assert longest_path(graph, 1, 1).edges == ()
    assert longest_path(graph, 0, 2, weight=lambda data: None) is None


def test_weights_that_are_zero_infinite_or_missing():
    graph = nx.MultiDiGraph()
    for w in (0.0, None, math.inf, math.nan, 2.0):
        graph.add_edge(0, 1, w=w)
    graph.add_edge(1, 2, w=0.5)
    values = [p.value for p in k_strongest_paths(graph, 0, 2, 9, weight="w")]
    assert values[0] == math.inf
    assert math.isnan(values[1])
    assert values[2:] == [1.0, 0.0]
    graph.add_edge(2, 3, w=0.0)
    assert [p.value for p in k_strongest_paths(graph, 0, 3, 9, weight="w")] == [0.0] * 4
    assert k_strongest_paths(graph, 0, 2, 1, weight=lambda data: None) == []
    assert k_strongest_paths(graph, 1, 1, 3, weight="w")[0].value == 1.0
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        k_strongest_paths(graph, 0, 2, 0)
    graph.add_edge(0, 2, w=-1.0)
    with pytest.raises(ValueError, match=r"weights are norms; got -1.0 on the edge \(0, 2, 0\)"):
        k_strongest_paths(graph, 0, 2, weight="w")


@pytest.mark.parametrize("n", first(1, [10_000, 100_000]))
def test_chains_of_very_many_nodes(n):
    graph = nx.MultiDiGraph()
    for i in range(n):
        graph.add_edge(i, i + 1, w=0.5)
        graph.add_edge(i, i + 1, w=0.25)
    start = time.process_time()
    assert count_paths(graph, 0, 2_000) == 2**2_000
    best, second = k_strongest_paths(graph, 0, n, 2, weight="w")
    assert (best.value, best.log) == (0.0, pytest.approx(n * math.log(0.5)))
    assert best.log - second.log == pytest.approx(math.log(2), abs=1e-6)
    assert longest_path(graph, weight="w").value == n * 0.5
    assert time.process_time() - start < 40  # it takes a few


def test_cycles_are_refused_by_name():
    rolled = viz.to_networkx(network("gru", 3), "rolled")
    with pytest.raises(
        ValueError, match=r"count_paths: .* cycle through GRUCell → GRUCell; take one"
    ):
        count_paths(rolled, "h", "L")
    ring = nx.MultiDiGraph([(i, (i + 1) % 6) for i in range(6)])
    with pytest.raises(ValueError, match=r"longest_path: .* cycle through .* → …;"):
        longest_path(ring)


@pytest.mark.parametrize("level", ["cell", "gate", "op"])
def test_an_elman_network_has_a_path_for_each_use_and_loss(level):
    graph = viz.to_networkx(network("elman", 6), level)
    assert count_paths(graph, "L5", "weight_hh") == 6
    assert [count_paths(graph, f"L{t}", "weight_hh") for t in range(6)] == [1, 2, 3, 4, 5, 6]
    assert count_paths(graph, "L", "weight_hh") == 21
    if level != "op":
        assert count_paths(graph, "L", "cell.weight_hh") == 21
    assert count_paths(graph, "h2", "L5") == count_paths(graph, "L5", "h2") == 1
    assert count_paths(graph, "L2", "h5") == 0
    uncut = lambda a, b, data: not (data["dt"] and graph.nodes[b]["t"] % 3 == 0)  # noqa: E731
    assert count_paths(graph, "L", "weight_hh", edges=uncut) == 12
    for a, b, data in graph.edges(data=True):
        data["cut"] = not uncut(a, b, data)
    assert count_paths(graph, "L", "weight_hh") == 12


def test_an_lstm_has_two_ways_from_step_to_step():
    graph = viz.to_networkx(network("lstm", 6), "cell")
    assert [count_paths(graph, f"L{t}", "weight_hh") for t in range(6)] == [
        2**t1 - 1 for t1 in range(1, 7)
    ]
    assert count_paths(graph, "L5", "weight_hh", edges=lambda a, b, d: d["label"] != "c") == 6


def test_paths_of_states_alone_leave_the_feedback_out():
    engine.seed(1)
    cell, head = rnn.GRUCell(3, 4), rnn.Linear(4, 3)
    cell._name, head._name = "cell", "head"
    x, h = engine.ones((1, 3)), None
    for t in range(4):
        with engine.scope(t=t):
            y, h = cell(x, h)
            x = head(y)
    graph = viz.to_networkx(engine.sum(x), "cell")
    assert count_paths(graph, "h0", "h3") == 8
    states = state_only(graph)
    assert count_paths(states, "h0", "h3") == 1
    assert {d["label"] for _, d in states.nodes(data=True)} == {"GRUCell"}
    inside = state_only(viz.to_networkx(engine.sum(x), "op"))
    assert all(d["cell"] == "GRUCell" for _, d in inside.nodes(data=True))


def test_names_of_boxes():
    graph = viz.to_networkx(network("lstm", 3), "cell")
    at = {name: graph.nodes[box(graph, name)] for name in ("h1", "c1", "x2", "L2", "L", "θ cell")}
    assert box(graph, "h1") == box(graph, "c1")
    assert [(d["kind"], d["t"]) for d in at.values()] == [
        ("cell", 1), ("cell", 1), ("input", 2), ("module", 2), ("module", None),
        ("parameter", None),
    ]  # fmt: skip
    assert box(graph, box(graph, "h1")) == box(graph, "h1")
    ops = viz.to_networkx(network("lstm", 3))
    assert ops.nodes[box(ops, "c1")]["label"] == "c = +"
    assert ops.nodes[box(ops, "f1")]["label"] == "f = σ"
    with pytest.raises(
        ValueError, match=r"no place 'h7' in this graph.* h-1 … h2, .*L0 … L2, L, also by path"
    ):
        count_paths(graph, "h7", "L")
    engine.seed(1)
    y, _ = rnn.LSTM(3, 4, num_layers=2, bidirectional=True)(engine.ones((3, 1, 3)))
    deep = viz.to_networkx(engine.sum(y), "cell")
    names = box_names(deep)
    assert "h2" not in names  # there are four
    d = deep.nodes[names["h2_l1_reverse"]]
    assert (d["layer"], d["direction"], d["t"]) == (1, "reverse", 2)
    assert deep.nodes[names["weight_hh_l0_reverse"]]["path"] == ""
    assert names["l1.h0"] == names["h0_l1"]


def places(x):
    (x,) = engine.expanded(x)
    return Places(engine.Graph.of(x))


def test_places_of_a_model_that_is_judged_step_by_step():
    engine.seed(3)
    losses = per_step(rnn.LSTMCell(3, 4), 4)
    found = places(total(losses))
    graph = found.graph
    assert found.find("L").tensor.node is graph.outputs[0].node
    for t in range(4):
        place = found.find(f"L{t}")
        assert (place.tensor.node, place.kind, place.t) == (losses[t].node, "loss", t)
    assert found.find("h1").tensor.node.op.name == "multiply"
    assert found.find("c1").tensor.node.op.name == "add"
    assert found.find("c1").t == 1
    assert found.find("h-1").tensor.node.name == "h0"
    assert found.find("x2").tensor.node.name == "x2"
    for name in ("weight_hh", "cell.weight_hh"):
        assert found.find(name).tensor.shape == (16, 4)
        assert found.find(name).kind == "parameter"
    assert found.find("embedding.weight").tensor.shape == (5, 3)
    assert found.find(losses[2]).name == "L2"
    assert found.find(losses[2].node).name == "L2"
    assert found.find(found.find("h2").tensor).name == "h2"
    other = graph.nodes[-2]
    assert found.find(other).kind == "node"
    with pytest.raises(ValueError, match="more than one place is called 'weight' in this graph"):
        found.find("weight")  # of the embedding, or of the head
    with pytest.raises(ValueError, match=r"is not on this graph.*engine.expanded"):
        found.find(leaf([1.0]))


def test_losses_that_are_added_up_on_the_way():
    engine.seed(3)
    cell, head = rnn.ElmanCell(2, 3), rnn.Linear(3, 1)
    h, loss, own = None, 0.0, []
    for t in range(4):
        with engine.scope(t=t):
            y, h = cell(engine.ones((1, 2)), h)
            own.append(engine.sum(head(y) ** 2))
            loss = loss + own[-1]
    found = places(loss / 4)
    for t in range(1, 4):
        assert found.find(f"L{t}").tensor.node is own[t].node
    assert found.find("L0").tensor.item() == pytest.approx(own[0].item())


def test_the_loss_of_one_output_is_what_the_whole_takes_from_it():
    # With the loss over a stack L5 has the gradient that comes in through output 5.
    net, x = rnn.Recurrent(rnn.GRUCell(3, 4, dtype="float64")), engine.asarray(normal(6, 2, 3))
    (y,) = engine.expanded(net(x)[0])
    loss = engine.sum(engine.tanh(y) ** 2) * 0.5
    found = Places(engine.Graph.of(loss))
    assert found.find("L").tensor.node is loss.node
    rest = np.zeros_like(net.cell.weight_hh.numpy())
    for t in range(6):
        part = found.find(f"L{t}")
        (own,) = engine.gradients(part.tensor, [net.cell.weight_hh])
        (expected,) = engine.gradients(engine.sum(engine.tanh(y[t]) ** 2) * 0.5,
                                       [net.cell.weight_hh])  # fmt: skip
        np.testing.assert_allclose(own.numpy(), expected.numpy(), rtol=1e-9, atol=1e-14)
        rest += own.numpy()
    (whole,) = engine.gradients(loss, [net.cell.weight_hh])
    np.testing.assert_allclose(rest, whole.numpy(), rtol=1e-9)


def test_several_losses_and_several_parts_of_one_step():
    engine.seed(3)
    losses = per_step(rnn.ElmanCell(3, 4), 3)
    found = Places(engine.Graph.of(*losses))
    assert found.find("L1").tensor.node is losses[1].node
    whole = found.find("L").tensor
    assert whole.item() == pytest.approx(sum(one.item() for one in losses), rel=1e-6)
    both = Places(engine.Graph.of(engine.sum(engine.stack([*losses, *[x * 2 for x in losses]]))))
    one = both.find("L1").tensor
    (g,) = engine.gradients(one, [both.find("h1").tensor])
    (expected,) = engine.gradients(losses[1], [both.find("h1").tensor])
    np.testing.assert_allclose(g.numpy(), 3 * expected.numpy(), rtol=1e-6)


def test_places_of_layers():
    engine.seed(1)
    net = rnn.LSTM(3, 4, num_layers=2, bidirectional=True)
    found = places(engine.sum(net(engine.ones((3, 1, 3)))[0]))
    assert "h2" not in found.names
    assert found.find("h2_l1_reverse").tensor.node.scope.path == "l1_reverse"
    assert found.find("h3_l1_reverse").t is None  # the state before its first step
    assert found.find("x1_l0").tensor.shape == (1, 3)
    assert found.find("weight_hh_l1_reverse").tensor is net.weight_hh_l1_reverse
    assert found.find("l0.weight_ih").tensor is net.weight_ih_l0


def judged_as_a_whole(steps=5):
    engine.seed(2)
    net = rnn.Recurrent(rnn.ElmanCell(3, 4, dtype="float64"))
    head = rnn.Linear(4, 2, dtype="float64")
    head._name = "head"
    return engine.mean(head(net(normal(steps, 2, 3))[0]) ** 2)


@pytest.mark.parametrize("level", ["cell", "gate", "op"])
def test_paths_to_a_loss_given_from_either_end(level):
    graph = viz.to_networkx(judged_as_a_whole(), level)
    for a, b in (("h1", "L"), ("weight_hh", "L"), ("h1", "h3")):
        there, back = longest_path(graph, a, b), longest_path(graph, b, a)
        assert there == back
        assert there.nodes[-1] == box(graph, b)
        every = every_path(graph, box(graph, a), box(graph, b))
        assert len(there.edges) == max(map(len, every))
        assert count_paths(graph, a, b) == count_paths(graph, b, a) == len(every)
        found = k_strongest_paths(graph, a, b, 2, weight=lambda data: 1.0)
        assert found == k_strongest_paths(graph, b, a, 2, weight=lambda data: 1.0)


def test_a_norm_that_the_edges_to_a_loss_lack_is_said():
    graph = viz.to_networkx(judged_as_a_whole(), "cell", jacobians=True)
    assert k_strongest_paths(graph, "h1", "h3")[0].value > 0
    lacking = r"no path has a 'jacobian_norm' on all its edges; 8 of the 11 edges have none, as "
    for a, b in (("h1", "L"), ("L", "h1")):
        hint = "ElmanCell → stack; the graph of draw_bptt_path has it on all, or pass weight="
        with pytest.raises(ValueError, match=f"k_strongest_paths: {lacking}{hint}"):
            k_strongest_paths(graph, a, b)
        with pytest.raises(ValueError, match=rf"longest_path: {lacking}"):
            longest_path(graph, a, b, weight="jacobian_norm")
    with pytest.raises(ValueError, match="no path has a 'norm' on all its edges"):
        k_strongest_paths(graph, "h1", "h3", weight="norm")
    chain = nx.MultiDiGraph([(0, 1), (2, 3)])
    assert k_strongest_paths(chain, 0, 3) == []  # there is no path at all
    assert longest_path(chain, 0, 3, weight="norm") is None


def test_the_loss_of_one_step_is_called_l_too():
    losses = per_step(rnn.GRUCell(3, 4), 3)
    graph = viz.to_networkx(losses[-1], "cell")
    assert box(graph, "L") == box(graph, "L2")
    assert longest_path(graph, "L", "h0").nodes[-1] == box(graph, "L")
    several = viz.to_networkx(losses, "cell")
    assert "L" not in box_names(several)
    assert box(several, "L1") != box(several, "L2")


def test_a_loss_with_axes_is_called_l_too():
    y, _ = rnn.GRU(3, 4)(engine.ones((3, 2, 3)))
    graph = viz.to_networkx(engine.mean(y, keepdims=True), "cell")
    assert graph.nodes[box(graph, "L")]["shape"] == (1, 1, 1)


def test_states_before_the_first_step_are_distinguished():
    y, _ = rnn.LSTM(3, 4, num_layers=2)(engine.ones((3, 2, 3)))
    for level in ("cell", "gate", "op"):
        graph = viz.to_networkx(engine.sum(y), level)
        labels = sorted(name for _, d in graph.nodes(data=True)
                        if d["kind"] == "input" and d["t"] is None
                        for name in d["full"].split(", "))  # fmt: skip
        assert labels == ["c₋₁ l0", "c₋₁ l1", "h₋₁ l0", "h₋₁ l1"]
        for layer in (0, 1):
            assert f"h₋₁ l{layer}" in graph.nodes[box(graph, f"h-1_l{layer}")]["full"]
            assert graph.nodes[box(graph, f"h0_l{layer}")]["t"] == 0
    both, _ = rnn.GRU(3, 4, bidirectional=True)(engine.ones((3, 2, 3)))
    graph = viz.to_networkx(engine.sum(both), "cell")
    assert graph.nodes[box(graph, "h3_l0_reverse")]["label"] == "h3"  # read by step 2
    single = viz.to_networkx(rnn.GRU(3, 4)(engine.ones((3, 2, 3)))[0], "cell")
    assert single.nodes[box(single, "h-1")]["label"] == "h₋₁"
    assert box(single, "h₋₁") == box(single, "h-1")
    assert single.nodes[box(single, "h0")]["t"] == 0
    h = [engine.asarray(np.ones((1, 2)), name="h0") for _ in range(2)]
    graph = viz.to_networkx(engine.sum(h[0] * engine.asarray(2.0, requires_grad=True) + h[1]))
    assert [d["label"] for _, d in graph.nodes(data=True) if d["kind"] == "input"] == [
        "h0", "h0 (2)"]  # fmt: skip


def test_leaves_are_found_by_the_path_of_what_uses_them():
    ops = viz.to_networkx(network("lstm", 3), "op")
    found = {name: box(ops, name) for name in ("loss.head.weight", "embedding.weight")}
    assert [ops.nodes[n]["label"] for n in found.values()] == list(found)
    assert len(set(found.values())) == 2


def test_parameters_without_a_name_are_counted():
    w, v = (engine.ones((3, 3), requires_grad=True) for _ in range(2))
    _, ys = engine.scan(lambda h, x: (engine.tanh(h @ w + x @ v),) * 2, engine.zeros((1, 3)),
                        engine.ones((4, 1, 3)))  # fmt: skip
    loss = engine.sum(ys)
    labels = [d["label"] for _, d in viz.to_networkx(loss).nodes(data=True)
              if d["kind"] == "parameter"]  # fmt: skip
    assert labels == ["parameter 1", "parameter 2"]
    (expanded,) = engine.expanded(loss)
    found = Places(engine.Graph.of(expanded))
    order = [found.find(f"parameter {i}").tensor.node for i in (1, 2)]
    assert {w.node, v.node} == set(order)
    one = viz.to_networkx(engine.sum(ys * 0 + w[0]), "cell")
    assert "const" not in {d["label"] for _, d in one.nodes(data=True) if d["kind"] == "parameter"}
    alone = viz.to_networkx(engine.sum(w * 2))
    assert [d["label"] for _, d in alone.nodes(data=True) if d["kind"] == "parameter"] == [
        "parameter"]  # fmt: skip


def shown(x, level, *kinds):
    """Return the labels of a picture's boxes of some kinds, in order."""
    return [d["full"] for _, d in viz.to_networkx(x, level).nodes(data=True) if d["kind"] in kinds]


@pytest.mark.parametrize("case", first(24, ORDER))
def test_no_two_parameters_of_a_picture_bear_one_name(case):
    for level in ("op", "cell"):
        labels = shown(CASES[case](), level, "parameter")
        assert len(set(labels)) == len(labels), labels


def test_weights_of_layers_are_called_as_the_layers_call_them():
    y, _ = rnn.LSTM(3, 4, num_layers=2, bidirectional=True)(engine.ones((2, 1, 3)))
    graph = viz.to_networkx(engine.sum(y))
    net = rnn.LSTM(3, 4, num_layers=2, bidirectional=True)
    labels = shown(engine.sum(y), "op", "parameter")
    assert sorted(labels) == sorted(name for name, _ in net.named_parameters())
    assert box(graph, "weight_hh_l1_reverse") == box(graph, "l1_reverse.weight_hh")
    drawn = viz.draw_unrolled(engine.sum(y), level="op").svg()
    assert "weight_hh_l0_reverse" in drawn


def test_a_state_before_the_first_step_is_not_called_as_one_after_a_step():
    loss = total(per_step(rnn.LSTMCell(3, 4), 3))
    for level in ("cell", "gate", "op"):
        graph = viz.to_networkx(loss, level)
        labels = [name for _, d in graph.nodes(data=True) if d["kind"] == "input"
                  for name in d["full"].split(", ")]  # fmt: skip
        assert {"h₋₁", "c₋₁"} <= set(labels)
        assert not {"h0", "c0"} & set(labels)
        assert graph.nodes[box(graph, "h0")]["t"] == 0
    assert places(loss).find("h₋₁").tensor.node.name == "h0"


def test_only_states_are_called_as_what_was_before_the_first_step():
    engine.seed(1)
    cell, state = rnn.LSTMCell(3, 4), None
    xs = [engine.asarray(normal(1, 3, salt=t).astype("float32"), name=f"x{t}") for t in range(3)]
    for t in range(3):
        with engine.scope(t=t):  # in which the states before it are made too
            y, state = cell(xs[t], state)
    graph = viz.to_networkx(engine.sum(y), "cell")
    labels = shown(engine.sum(y), "cell", "input")
    assert sorted(labels) == ["h₋₁, c₋₁", "x0", "x1", "x2"]
    assert box(graph, "h-1") == box(graph, "c-1")
    assert graph.nodes[box(graph, "x0")]["full"] == "x0"


def test_inputs_are_called_by_their_names():
    x = engine.asarray(normal(3, 1, 3).astype("float32"), name="speech")
    for net in (rnn.Recurrent(rnn.GRUCell(3, 4)), rnn.LSTM(3, 4)):
        y, _ = net(x)
        for level in ("rolled", "cell", "op"):
            assert "speech" in shown(y, level, "input")
        graph = viz.to_networkx(y, "cell")
        assert box(graph, "speech1") == box(graph, "x1") != box(graph, "x2")
        assert (places(y).find("speech1").tensor.numpy() == x.numpy()[1]).all()
    plain, _ = rnn.GRU(3, 4)(engine.asarray(normal(3, 1, 3).astype("float32")))
    assert "x" in shown(plain, "rolled", "input")


def test_leaves_of_a_loop_by_hand_have_names():
    cell = rnn.LSTMCell(3, 4)
    state = engine.zeros((1, 4)), engine.zeros((1, 4))
    for t in range(3):
        with engine.scope(t=t):
            y, state = cell(engine.ones((1, 3)), state)
    graph = engine.Graph.of(engine.sum(y))
    assert sorted(given_names(graph).values()) == ["c₋₁", "h₋₁", "x", "x", "x"]
    found = Places(graph)
    assert [found.find(f"x{t}").tensor.shape for t in range(3)] == [(1, 3)] * 3
    assert found.find("c-1").tensor.shape == (1, 4)


def test_what_was_made_of_a_third_state_without_a_gradient_says_so():
    class Three(rnn.Cell):
        def __init__(self):
            self.input_size, self.state_size = 3, {"h": 4, "m": 4}
            self.W = leaf(normal(4, 4), name="W")

        def step(self, x, state):
            h, m = state
            m = m * 0.9 + engine.tanh(h @ self.W)
            h = engine.tanh(m)
            return h, (h, m)

    y, _ = rnn.Recurrent(Three())(engine.asarray(normal(3, 1, 3)))
    (y,) = engine.expanded(y)
    assert list(given_names(engine.Graph.of(y)).values()) == ["from m₋₁"]


def test_a_name_of_several_things_is_distinguished_in_the_error():
    found = places(engine.sum(rnn.GRU(3, 4, num_layers=2)(engine.ones((2, 1, 3)))[0]))
    with pytest.raises(ValueError, match=r"there are h1_l0, h1_l1$"):
        found.find("h1")
    with pytest.raises(ValueError, match=r"there are weight_hh_l0, weight_hh_l1$"):
        found.find("weight_hh")
