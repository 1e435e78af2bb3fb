"""Compare norms of Jacobians on the edges of pictures with other ways to them, and with bounds."""

import math

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.counting import calls
from tests.draws import crossed, first, leaf, normal
from tests.viz.picture_cases import CASES
from tests.viz.pictures import network, per_step, total
from viz.analysis import edge_jacobians
from viz.analysis.dense import dense_jacobian, largest_value
from viz.model.box_names import box
from viz.model.names import Places


def norms(graph):
    """Return the norms of edges, by the boxes that they join and the value they carry."""
    return {(a, b, d["label"]): d["jacobian_norm"] for a, b, d in graph.edges(data=True)
            if "jacobian_norm" in d}  # fmt: skip


@pytest.mark.parametrize("kind", ["elman", "lstm", "gru"])
def test_edges_have_the_norms_that_pictures_of_paths_have(kind):
    loss = network(kind, 5)
    found = norms(viz.draw_gradients(loss, max_steps=9).graph)
    paths = norms(viz.draw_bptt_path(loss, "L", "h0", max_steps=9, weights="thin").graph)
    shared = set(found) & set(paths)
    assert len(shared) >= 8
    for edge in shared:  # both states of the last step are on the way of one picture alone
        assert found[edge] >= paths[edge] * (1 - 1e-6)
    equal = [edge for edge in shared if found[edge] == pytest.approx(paths[edge], rel=1e-6)]
    assert len(equal) >= len(shared) - 2


def test_state_edges_have_the_norms_of_to_networkx():
    loss = network("lstm", 5)
    exact = norms(viz.to_networkx(loss, "cell", jacobians=True))
    found = norms(viz.draw_gradients(loss, max_steps=9).graph)
    last = box(viz.to_networkx(loss, "cell"), "h4")
    same = set(exact) & set(found)
    assert len(same) == 8
    for edge in same:  # of the last step nothing reads the c, so it leads nowhere
        if edge[1] != last:
            assert found[edge] == pytest.approx(exact[edge], rel=1e-5)
        else:
            assert found[edge] < exact[edge]


def test_the_edge_of_weights_is_the_closed_form():
    # Of h = tanh(W e + b + V h' + d) by all four weights together.
    loss = total(per_step(rnn.ElmanCell(3, 4), 3))
    graph = viz.draw_gradients(loss, max_steps=9).graph
    places = Places(engine.Graph.of(loss))
    before, after, table = (
        places.find(name).tensor.numpy().astype(float) for name in ("h1", "h2", "embedding.weight")
    )
    slope = np.diag(1 - after[0] ** 2)
    columns = [np.kron(slope, v[None]) for v in (table[2], before[0], np.ones(1), np.ones(1))]
    exact = np.linalg.norm(np.concatenate(columns, axis=1), 2)
    found = [d["jacobian_norm"] for _, b, d in graph.out_edges(box(graph, "θ cell"), data=True)
             if graph.nodes[b]["t"] == 2]  # fmt: skip
    assert found == [pytest.approx(exact, rel=1e-5)]


@pytest.mark.parametrize(("name", "level"), first(4, crossed(
    ["LSTMCell", "tied", "skips", "attention", "GRUCell", "stacked"], ["cell", "gate", "op"]
)))  # fmt: skip
def test_no_gradient_is_larger_than_the_norms_of_the_paths_to_it_together(name, level):
    loss = CASES[name]()
    graph = viz.draw_gradients(loss, level=level, max_steps=10**6).graph
    edges = [d for *_, d in graph.edges(data=True) if "grad_norm" in d]
    assert all("jacobian_norm" in d for d in edges)
    bound = {box(graph, "L"): 1.0}
    for n in reversed(list(graph)):
        for m, _, d in graph.in_edges(n, data=True):
            if "jacobian_norm" in d and n in bound:
                bound[m] = bound.get(m, 0.0) + bound[n] * d["jacobian_norm"]
    checked = 0
    for n, d in graph.nodes(data=True):
        if n in bound and "grad_norm" in d and graph.out_degree(n):
            assert d["grad_norm"] <= bound[n] * (1 + 1e-5), d["label"]
            checked += 1
    assert checked > 4


def test_numbers_are_those_of_the_weights_that_were_read():
    engine.seed(0)
    cell = rnn.LSTMCell(3, 4)
    losses = per_step(cell, 4)
    before = norms(viz.draw_gradients(total(losses)).graph)
    later = viz.draw_gradients(total(losses))
    path = viz.draw_bptt_path(total(losses), "L3", cell.weight_hh).graph.graph["paths"].whole
    for parameter in cell.parameters():
        parameter.data = parameter.numpy() + 1.0
    assert norms(later.graph) == before
    again = viz.draw_bptt_path(total(losses), "L3", cell.weight_hh).graph.graph["paths"]
    assert again.whole == pytest.approx(path)


def test_large_pictures_have_fewer_norms_and_take_no_longer(monkeypatch):
    def graph_of(units, rows):
        y, _ = rnn.LSTM(4, units)(engine.asarray(normal(6, rows, 4).astype("float32")))
        drawn = viz.draw_gradients(engine.sum(y * y))
        return calls(lambda: drawn.graph)

    small, _ = graph_of(8, 1)
    edges = [d for *_, d in small.edges(data=True) if "grad_norm" in d]
    assert all("jacobian_norm" in d for d in edges)
    middle, some = graph_of(32, 4)
    kinds = {d["kind"] for *_, d in middle.edges(data=True) if "jacobian_norm" in d}
    assert "time" in kinds
    assert "parameter" not in kinds
    large, most = graph_of(512, 16)
    assert not [d for *_, d in large.edges(data=True)
                if d["kind"] == "time" and "jacobian_norm" in d]  # fmt: skip
    assert most < 1.2 * some
    monkeypatch.setattr(edge_jacobians, "VISITS", 0)
    none, _ = graph_of(8, 1)
    assert not norms(none)


def by_op(made):
    """Return the norms of the edges into the last op but the sum, None for those without."""
    graph = viz.draw_gradients(engine.sum(made), level="op").graph
    node = list(graph)[-2]
    assert graph.nodes[node]["op"] == made.node.op.name
    return [d.get("jacobian_norm") for *_, d in graph.in_edges(node, data=True)]


def test_large_ops_that_need_no_passes(monkeypatch):
    x, y = leaf(normal(2, 3), name="x"), leaf(normal(2, 3), name="y")
    h, g = engine.tanh(x), engine.tanh(y)
    cases = [
        engine.stack([h, g]), engine.concat([h, g]), engine.reshape(h, (6,)),
        engine.permute_dims(h, (1, 0)), engine.expand_dims(h, axis=0), engine.exp(h), h * g,
    ]  # fmt: skip
    exact = [[1.0, 1.0], [1.0, 1.0], [1.0], [1.0], [1.0], [np.exp(h.numpy()).max()],
             [abs(g.numpy()).max(), abs(h.numpy()).max()]]  # fmt: skip
    by_passes = []
    with monkeypatch.context() as patched:
        patched.setattr(edge_jacobians, "_by_itself", lambda node, link, by_slot: False)
        by_passes = [by_op(made) for made in cases]
    monkeypatch.setattr(edge_jacobians, "BOX", 0)  # no passes a number
    for made, norms, others in zip(cases, exact, by_passes, strict=True):
        assert by_op(made) == [pytest.approx(norm) for norm in norms]
        assert others == [pytest.approx(norm) for norm in norms]


def test_what_one_op_reads_in_two_slots_is_distinguished_by_them():
    h = engine.tanh(leaf(normal(2, 3), name="x"))
    assert by_op(engine.concat([h, h])) == [1.0, 1.0]
    assert by_op(h * h) == [pytest.approx(abs(h.numpy()).max())] * 2
    square = engine.tanh(leaf(normal(3, 3), name="x"))
    assert by_op(square @ square) == [None, None]
    at_once = viz.draw_gradients(engine.sum(h * h), level="cell").graph
    norms = [d["jacobian_norm"] for *_, d in at_once.edges(data=True)]
    assert pytest.approx(2 * abs(h.numpy()).max()) in norms


def test_a_picture_that_is_rolled_up_has_none():
    assert not norms(viz.draw_gradients(network("gru", 3), level="rolled").graph)


def test_dense_jacobians_of_any_shapes():
    w, v = leaf(normal(3, 2)), leaf(normal(2))
    y = engine.tanh(engine.matmul(w, v))
    whole = engine.sum(y) * y
    by_w, by_y = dense_jacobian([whole], [w, y])
    assert by_w.shape == (3, 6)
    assert not by_w.any()  # it runs through y alone, which is free
    exact = np.tile(y.numpy()[:, None], 3) + np.eye(3) * y.numpy().sum()
    np.testing.assert_allclose(by_y, exact, rtol=1e-12)
    (held,) = dense_jacobian([whole], [w], held=[y])
    assert not held.any()
    (open_,) = dense_jacobian([y], [w])
    np.testing.assert_allclose(open_, np.kron(np.diag(1 - y.numpy() ** 2), v.numpy()), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 4, 4), (1, 1), (0, 3)])
@pytest.mark.parametrize("scale", [1.0, 1e250, 1e-250])
def test_the_largest_value_is_the_spectral_norm(shape, scale):
    matrices = normal(*shape) * scale
    exact = 0.0 if not matrices.size else np.linalg.norm(matrices, 2, axis=(-2, -1)).max()
    assert largest_value(matrices) == pytest.approx(exact, rel=1e-12)
    assert largest_value(matrices * 0) == 0.0
    if matrices.size:
        matrices.flat[0] = math.inf
        assert largest_value(matrices) == math.inf
