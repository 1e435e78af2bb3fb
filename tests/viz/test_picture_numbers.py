"""Compare numbers in pictures of gradients, on boxes, edges, in windows, with other ways to them.

What a use adds to a gradient is known without `viz`: give every use a copy of its own, and ask
`engine.gradients` or finite differences for the gradient of each copy. All in float64.
"""

import math

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import covering, crossed, first
from tests.viz.picture_cases import CASES, CELLS, MORE, H, I, O
from tests.viz.picture_random import random_graph
from tests.viz.pictures import network
from tests.viz.test_picture_structure import ALL, loss_of, whole

T = 4
RANDOM_CELLS = ("RecurrentDropout", "VariationalDropout", "WeightDropout", "Zoneout")


def norm(*arrays):
    """Return the Euclidean norm of arrays, or tensors, taken together."""
    flat = [np.asarray(a.numpy() if isinstance(a, engine.Tensor) else a).ravel() for a in arrays]
    return float(np.linalg.norm(np.concatenate([a.astype("float64") for a in flat])))


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-15)


def cell_of(name, seed=5):
    """Return a cell in float64, alike for the same name."""
    engine.seed(seed)
    kind = CELLS[name]
    if name == "Wrapper":
        return kind(rnn.GRUCell(I, H, dtype="float64"))
    sizes = (I, H, O) if name in ("JordanCell", "ElmanJordanCell", "TextbookCell") else (I, H)
    return kind(*sizes, dtype="float64")


STEADY = [name for name in CELLS if name not in RANDOM_CELLS]


def test_only_cells_with_chance_are_left_out_here():
    assert set(RANDOM_CELLS) < set(MORE)
    assert len(STEADY) + len(RANDOM_CELLS) == len(CELLS)


def inputs(t):
    return np.random.default_rng(t).normal(size=(2, I))


def unrolled(cells, name="cell"):
    """Return the sum of the losses of steps, each by a separate cell where there are several."""
    h, losses = None, []
    for t in range(T):
        cell = cells[t % len(cells)]
        cell._name = name
        with engine.scope(t=t):
            y, h = cell(engine.asarray(inputs(t), name=f"x{t}"), h)
            with engine.scope("loss"):
                losses.append(engine.sum(engine.sin(y * float(t + 1))))
    return engine.sum(engine.stack(losses))


def copies(name):
    """Return a cell for each step with separate weights, all alike."""
    cells = [cell_of(name) for _ in range(T)]
    for cell in cells[1:]:
        for one, other in zip(cells[0].parameters(), cell.parameters(), strict=True):
            assert (one.numpy() == other.numpy()).all()
    return cells


def boxes(graph, **wanted):
    """Return the nodes of a picture with these attributes."""
    return [n for n, d in graph.nodes(data=True) if all(d.get(k) == v for k, v in wanted.items())]


def edge(graph, a, b):
    """Return the norms of the edges from one box to another."""
    return sorted(d["grad_norm"] for d in graph.get_edge_data(a, b).values())


# Of a reservoir nothing is trained; of RWKV-4 the last step does not use the decay, so its weights
# stand in two boxes.
ONE_BOX = [name for name in STEADY if name not in ("EchoStateCell", "RWKV4Cell")]


@pytest.mark.parametrize("name", first(8, ONE_BOX))
def test_an_edge_of_weights_is_the_gradient_of_a_copy_that_only_this_step_uses(name):
    picture = viz.draw_gradients(unrolled([cell_of(name)]), max_steps=ALL).graph
    own = copies(name)
    loss = unrolled(own)
    parts = [engine.gradients(loss, cell.parameters()) for cell in own]
    found = {}
    for weights in boxes(picture, kind="parameter"):
        for _, step, d in picture.out_edges(weights, data=True):
            found[picture.nodes[step]["t"]] = d["grad_norm"]
    assert found == {t: near(norm(*gs)) for t, gs in enumerate(parts)}
    (weights,) = boxes(picture, kind="parameter")
    whole = [np.sum([g.numpy() for g in gs], axis=0) for gs in zip(*parts, strict=True)]
    assert picture.nodes[weights]["grad_norm"] == near(norm(*whole))


@pytest.mark.parametrize("name", first(2, ["ElmanCell", "GRUCell", "LSTMCell", "PeepholeLSTMCell"]))
def test_the_whole_gradient_of_the_weights_is_that_of_finite_differences(name):
    cell = cell_of(name)
    picture = viz.draw_gradients(unrolled([cell]), max_steps=ALL).graph
    (weights,) = boxes(picture, kind="parameter")
    squares = 0.0
    for attribute, parameter in cell.named_parameters():
        values = parameter.numpy().copy()
        for place in np.ndindex(values.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = values.copy()
                moved[place] += step
                setattr(cell, attribute, engine.asarray(moved, requires_grad=True))
                ends.append(unrolled([cell]).item())
            squares += ((ends[0] - ends[1]) / 2e-6) ** 2
        setattr(cell, attribute, engine.asarray(values, requires_grad=True))
    assert picture.nodes[weights]["grad_norm"] == pytest.approx(math.sqrt(squares), rel=1e-6)


def by_hand(to_next, to_loss, start=0):
    """Return the loss of an Elman network with a copy of the state after step 1 for each use."""
    cell = cell_of("ElmanCell")
    h, losses = None, []
    for t in range(T):
        y, h = cell(engine.asarray(inputs(t)), h)
        if t == 1:
            y, h = to_loss(y), to_next(h)
        losses.append(engine.sum(engine.sin(y * float(t + 1))))
    return engine.sum(engine.stack(losses))


def test_the_uses_of_a_state_sum_as_vectors_to_its_gradient():
    picture = viz.draw_gradients(unrolled([cell_of("ElmanCell")]), max_steps=ALL).graph
    found = []

    def copied(h):
        found.append(engine.asarray(h.numpy(), requires_grad=True))
        return found[-1]

    loss = by_hand(copied, copied)
    to_loss, to_next = engine.gradients(loss, found)
    (state,), (after,) = boxes(picture, kind="cell", t=1), boxes(picture, kind="cell", t=2)
    (judged,) = boxes(picture, label="loss", t=1)
    assert edge(picture, state, after) == [near(norm(to_next))]
    assert edge(picture, state, judged) == [near(norm(to_loss))]
    assert picture.nodes[state]["grads"] == (("h", near(norm(to_next + to_loss))),)


@pytest.mark.parametrize(("name", "level"), covering(
    ["LSTMCell", "tied", "used outside", "lengths both ways", "skips"], ["op", "gate", "cell"]
))  # fmt: skip
def test_boxes_have_the_norms_that_the_engine_gives(name, level):
    loss = loss_of(CASES[name]())
    graph = whole(loss)
    (loss,) = graph.outputs
    drawn = viz.draw_gradients(loss, level=level, max_steps=ALL).graph
    if level == "op":
        wanted = [graph.tensor(n) for n in graph.nodes if graph.tensor(n).requires_grad]
        norms = {graph.number[x.node]: None if g is None else norm(g)
                 for x, g in zip(wanted, engine.gradients(loss, wanted), strict=True)}  # fmt: skip
        for n, d in drawn.nodes(data=True):
            known = norms.get(n)
            assert d.get("grad_norm") == (
                known if known is None else pytest.approx(known, rel=1e-5)
            )
            assert d["value_norm"] == pytest.approx(norm(graph.tensor(graph.nodes[n])), rel=1e-5)
    leaves = [graph.tensor(n) for n in graph.nodes
              if not n.inputs and graph.tensor(n).requires_grad]  # fmt: skip
    every = math.hypot(*map(norm, engine.gradients(loss, leaves)))
    shown = (drawn.nodes[n]["grad_norm"] for n in boxes(drawn, kind="parameter"))
    assert math.hypot(*shown) == pytest.approx(every, rel=1e-5)


@pytest.mark.parametrize("name", ["LSTMCell", "CoupledLSTMCell", "GRUCell"])
def test_a_cell_has_the_gradient_of_each_of_its_states(name):
    cell = cell_of(name)
    loss = unrolled([cell])
    graph = whole(loss)
    states = [n for n in graph.nodes if "state" in n.scope.labels]
    last = {(n.scope.labels["t"], n.scope.labels["state"]): graph.tensor(n) for n in states}
    norms = dict(zip(last, engine.gradients(loss, list(last.values())), strict=True))
    drawn = viz.draw_gradients(loss, max_steps=ALL).graph
    for t in range(T):
        (box,) = boxes(drawn, kind="cell", t=t)
        wanted = {
            state: near(norm(g)) for (at, state), g in norms.items() if at == t and g is not None
        }
        assert dict(drawn.nodes[box]["grads"]) == wanted
        assert set(wanted) <= set(cell.state_size)


def scalars(seed):
    """Return a random graph of numbers in which every derivative is positive: nothing cancels."""
    rng = np.random.default_rng(seed)
    made = [engine.asarray(float(v), dtype="float64", requires_grad=True)
            for v in rng.uniform(0.2, 0.9, size=3)]  # fmt: skip
    for k in range(25):
        x, y = (made[rng.integers(len(made))] for _ in range(2))
        with engine.scope("unit", t=k // 5):
            kind = rng.integers(4)
            made.append((x + y, x * y, engine.exp(engine.tanh(x)), engine.sqrt(x))[kind] / 2)
    return engine.sum(engine.stack(made[-4:]))


@pytest.mark.parametrize(("start", "level"), first(2, crossed(range(0, 40, 10), ["op", "cell"])))
def test_of_positive_numbers_the_uses_sum_exactly_to_the_gradient(start, level):
    for seed in range(start, start + 10):
        drawn = viz.draw_gradients(scalars(seed), level=level, max_steps=ALL).graph
        sums = 0
        for n, d in drawn.nodes(data=True):
            parts = [e["grad_norm"] for *_, e in drawn.out_edges(n, data=True) if "grad_norm" in e]
            if level == "op" and parts:
                assert math.fsum(parts) == near(d["grad_norm"]), (seed, n)
                sums += 1
            elif d["kind"] == "parameter" and parts:  # of several leaves they are joint norms
                assert math.fsum(parts) >= d["grad_norm"] * (1 - 1e-12)
                sums += 1
        assert sums


@pytest.mark.parametrize("start", first(1, range(0, 60, 20)))
def test_no_gradient_is_longer_than_the_sum_of_the_uses(start):
    for seed in range(start, start + 20):
        loss = random_graph(seed)
        if not loss.requires_grad:
            continue
        drawn = viz.draw_gradients(loss, level="op", max_steps=ALL).graph
        for n, d in drawn.nodes(data=True):
            parts = [e["grad_norm"] for *_, e in drawn.out_edges(n, data=True) if "grad_norm" in e]
            if parts:
                assert d["grad_norm"] <= math.fsum(parts) * (1 + 1e-9)
                if len(parts) == 1:
                    assert d["grad_norm"] == near(parts[0])


def test_a_weight_in_two_slots_of_one_op_counts_twice():
    w = engine.asarray([2.0, -1.0], dtype="float64", requires_grad=True, name="w")
    drawn = viz.draw_gradients(engine.sum(w * w), level="op").graph
    assert edge(drawn, 0, 1) == [near(math.hypot(2, 1))] * 2
    assert drawn.nodes[0]["grad_norm"] == near(2 * math.hypot(2, 1))
    assert sorted(d["slot"] for *_, d in drawn.edges(0, data=True)) == [0, 1]


def test_uses_that_cancel_are_not_added_as_lengths():
    w = engine.asarray([2.0, -1.0], dtype="float64", requires_grad=True, name="w")
    with engine.scope("unit", t=0, cell="Unit"):
        y = engine.sum(w * 3.0 - w * 3.0)
    drawn = viz.draw_gradients(engine.sum(y), level="cell", max_steps=ALL).graph
    (weights,) = boxes(drawn, kind="parameter")
    assert [d["grad_norm"] for *_, d in drawn.out_edges(weights, data=True)] == [0.0]
    assert drawn.nodes[weights]["grad_norm"] == 0.0
    assert "×" in viz.draw_gradients(engine.sum(y), max_steps=ALL).svg()


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_a_weight_that_is_used_outside_of_time_too_has_an_edge_there(penalty):
    w = engine.asarray([[0.5, 0.2], [-0.3, 0.4]], dtype="float64", requires_grad=True, name="w")
    loss_at, h = [], engine.asarray([[1.0, -1.0]], dtype="float64")
    for t in range(3):
        with engine.scope("unit", t=t, cell="Unit"):
            h = engine.tanh(h @ w)
        loss_at.append(engine.sum(h))
    loss = engine.sum(engine.stack(loss_at)) + penalty * engine.sum(w * w)
    drawn = viz.draw_gradients(loss, max_steps=ALL).graph
    (weights,) = boxes(drawn, kind="parameter")
    outside = [d["grad_norm"] for _, b, d in drawn.out_edges(weights, data=True)
               if drawn.nodes[b]["t"] is None]  # fmt: skip
    assert outside == [near(2 * penalty * norm(w))] * len(outside) != []
    assert drawn.nodes[weights]["grad_norm"] == near(norm(*engine.gradients(loss, [w])))


@pytest.mark.parametrize("level", first(2, ["gate", "cell", "op"]))
def test_a_window_changes_no_number_that_it_shows(level):
    loss = unrolled([cell_of("LSTMCell")])
    full = viz.draw_gradients(loss, level=level, max_steps=ALL).graph
    part = viz.draw_gradients(loss, level=level, steps=range(1, 3)).graph

    def known(graph):
        return sorted(
            (d["t"], d["label"], d["grad_norm"]) for _, d in graph.nodes(data=True)
            if d["t"] in (1, 2) and d["kind"] not in ("gap", "input") and "grad_norm" in d
        )  # fmt: skip

    assert known(part) == known(full) != []


def test_an_edge_into_steps_left_out_is_their_joint_use():
    name, hidden = "GRUCell", (0, 3)
    drawn = viz.draw_gradients(unrolled([cell_of(name)]), steps=range(1, 3)).graph
    (weights,) = boxes(drawn, kind="parameter")
    own = copies(name)
    loss = unrolled(own)
    parts = [engine.gradients(loss, cell.parameters()) for cell in own]
    shown = {
        drawn.nodes[b]["t"]: d["grad_norm"]
        for _, b, d in drawn.out_edges(weights, data=True)
        if drawn.nodes[b]["t"] is not None
    }
    assert shown == {t: near(norm(*parts[t])) for t in (1, 2)}
    gaps = [d["grad_norm"] for _, b, d in drawn.out_edges(weights, data=True)
            if drawn.nodes[b]["kind"] == "gap"]  # fmt: skip
    assert sorted(gaps) == [near(value) for value in sorted(norm(*parts[t]) for t in hidden)]


def test_many_steps_left_out_are_one_joint_use():
    name = "ElmanCell"
    drawn = viz.draw_gradients(unrolled([cell_of(name)]), max_steps=2).graph
    (weights,) = boxes(drawn, kind="parameter")
    own = copies(name)
    loss = unrolled(own)
    parts = [engine.gradients(loss, own[t].parameters()) for t in (1, 2)]
    joint = [a + b for a, b in zip(*parts, strict=True)]
    (gap,) = boxes(drawn, kind="gap")
    assert edge(drawn, weights, gap) == [near(norm(*joint))]


def test_rolled_up_an_edge_says_nothing_smaller_than_what_a_single_step_adds():
    loss = unrolled([cell_of("ElmanCell")])
    steps = viz.draw_gradients(loss, max_steps=ALL).graph
    largest = max(d["grad_norm"] for *_, d in steps.edges(data=True) if d["kind"] == "time")
    rolled = viz.draw_gradients(loss, level="rolled").graph
    (norms,) = [d["grad_norm"] for *_, d in rolled.edges(data=True) if d["kind"] == "time"]
    assert norms >= largest * (1 - 1e-9)


def test_dead_and_broken_gradients_are_marked():
    w = engine.asarray([1.0, 2.0], dtype="float64", requires_grad=True, name="w")
    dead = engine.sum(engine.relu(-w))
    drawn = viz.draw_gradients(dead, level="op")
    assert {d.get("grad_norm") for _, d in drawn.graph.nodes(data=True) if d["label"] == "w"} == {0}
    with np.errstate(all="ignore"):
        broken = viz.draw_gradients(engine.sum(engine.sqrt(w * 0.0)), level="op")
        norms = [d["grad_norm"] for *_, d in broken.graph.edges(data=True) if "grad_norm" in d]
    assert any(not math.isfinite(value) for value in norms)
    assert ">!<" in broken.svg()


def test_of_a_gradient_graph_the_numbers_are_second_derivatives():
    w = engine.asarray([0.3, -0.7], dtype="float64", requires_grad=True, name="w")
    (g,) = engine.gradients(engine.sum(engine.sin(w) * w), [w], create_graph=True)
    drawn = viz.draw_gradients(engine.sum(g * g), level="op").graph
    v = w.numpy()
    first = np.cos(v) * v + np.sin(v)
    second = 2 * np.cos(v) - np.sin(v) * v
    (leaf,) = boxes(drawn, kind="parameter")
    assert drawn.nodes[leaf]["grad_norm"] == near(norm(2 * first * second))
    assert boxes(drawn, kind="gradient")


def test_fused_and_explicit_recurrences_have_the_same_numbers():
    def loss():
        net = rnn.Recurrent(cell_of("LSTMCell"))
        x = engine.asarray(np.stack([inputs(t) for t in range(T)]))
        return engine.sum(engine.sin(net(x)[0]))

    found = []
    for around in (engine.scope("same"), engine.explicit()):
        with around:
            made = loss()
        drawn = viz.draw_gradients(made, max_steps=ALL).graph
        found.append(sorted((d["t"], *(g for _, g in d["grads"]))
                            for _, d in drawn.nodes(data=True) if d["kind"] == "cell"))  # fmt: skip
    assert len(found[0]) == T
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-12)


def test_a_list_of_one_loss_is_that_loss():
    loss = network("gru", 3)
    assert viz.draw_gradients([loss]).svg() == viz.draw_gradients(loss).svg()
    assert viz.draw_gradients((loss,)).graph.number_of_nodes() > 0
    for wrong in ([], [loss, loss], ["L"], "L", None):
        with pytest.raises(TypeError, match=r"draw_gradients: expected one loss, a tensor, got "):
            viz.draw_gradients(wrong)
    with pytest.raises(TypeError, match="got 2 of them; add them up first"):
        viz.draw_gradients([loss, loss])
    x = engine.asarray(3.0, requires_grad=True, name="x")
    assert viz.draw_double_backward([engine.exp(x)], [x]).source == (
        viz.draw_double_backward(engine.exp(x), [x]).source)  # fmt: skip
    nodes = viz.to_networkx([loss], "cell").nodes
    assert list(nodes) == list(viz.to_networkx(loss, "cell").nodes)
