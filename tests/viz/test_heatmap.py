"""Map Jacobians through time: against probes, finite differences and products by hand."""

import math

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering
from viz.analysis.sampling import chosen_steps
from viz.charts.heatmap import draw_jacobian_heatmap, field_number
from viz.scene import Rect, Words
from viz.style import BROKEN


def sequence(steps, batch=1, size=3):
    values = np.random.default_rng(steps + batch).normal(size=(steps, batch, size))
    return engine.asarray(values, dtype="float64")


def layer(cell, **options):
    engine.seed(5)
    return rnn.Recurrent(cell(3, 4, dtype="float64"), **options)


def norms(diagram):
    """Return the norms by k and t."""
    return {(d["k"], d["t"]): d["jacobian_norm"] for *_, d in diagram.graph.edges(data=True)}


CELLS = {"elman": rnn.ElmanCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell}
PAIRS = [("elman", "h", "h"), ("gru", "h", "h"), ("lstm", "h", "h"), ("lstm", "c", "c"),
         ("lstm", "h", "c"), ("lstm", "c", "h")]  # fmt: skip


@pytest.mark.parametrize(("pair", "kind", "batch"), covering(
    PAIRS, ["spectral", "frobenius"], [1, 3]
))  # fmt: skip
def test_norms_are_those_of_a_probe(pair, kind, batch):
    cell, of, by = pair
    net, x = layer(CELLS[cell]), sequence(6, batch)
    expected = rnn.Probe(net, x).jacobian_norms(of, by, kind=kind).numpy()
    drawn = norms(draw_jacobian_heatmap(net(x)[0], of=of, by=by, kind=kind))
    assert len(drawn) == 21
    for (k, t), value in drawn.items():  # state number 1 is that after t = 0
        assert value == pytest.approx(expected[t + 1, k + 1], rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("of", "by"), [("h", "h"), ("c", "c"), ("h", "c"), ("c", "h")])
def test_norms_are_those_of_finite_differences(of, by):
    net, x = layer(rnn.LSTMCell), sequence(5)
    drawn = norms(draw_jacobian_heatmap(net(x)[0], of=of, by=by, kind="frobenius"))
    states, state = [], net.cell.zero_state(1, like=x)
    for t in range(5):
        _, state = net.cell.step(x[t], state)
        states.append([s.numpy() for s in state])
    place = {"h": 0, "c": 1}
    for k, t in [(0, 4), (1, 3), (2, 3), (3, 3), (0, 1)]:
        columns = []
        for unit in range(4):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [s.copy() for s in states[k]]
                moved[place[by]][0, unit] += step
                now = tuple(engine.asarray(s) for s in moved)
                for later in range(k + 1, t + 1):
                    _, now = net.cell.step(x[later], now)
                ends.append(now[place[of]].numpy()[0])
            columns.append((ends[0] - ends[1]) / 2e-6)
        assert drawn[k, t] == pytest.approx(np.linalg.norm(columns), rel=1e-6, abs=1e-9)


def test_a_reversed_layer_reads_from_the_end():
    net, x = layer(rnn.GRUCell, reverse=True), sequence(5)
    turned = layer(rnn.GRUCell)
    y, _ = turned(engine.flip(x, axis=0))
    forward = norms(draw_jacobian_heatmap(y))
    diagram = draw_jacobian_heatmap(net(x)[0])
    for (k, t), value in norms(diagram).items():
        assert k >= t
        assert value == pytest.approx(forward[4 - k, 4 - t], rel=1e-12)
    assert "from the last step to the first" in diagram.scene.notes[0]


def test_explicit_and_fused_graphs_give_the_same_map():
    net, x = layer(rnn.LSTMCell), sequence(5, 2)
    with engine.explicit():
        one = norms(draw_jacobian_heatmap(net(x)[0]))
    assert one == pytest.approx(norms(draw_jacobian_heatmap(net(x)[0])), rel=1e-12)


def test_many_steps_are_sampled_through_all_between():
    net, x = layer(rnn.GRUCell), sequence(50)
    y, _ = net(x)
    diagram = draw_jacobian_heatmap(y, max_steps=6)
    whole = norms(draw_jacobian_heatmap(y, max_steps=50))
    found = norms(diagram)
    times = chosen_steps(range(50), 6)
    assert [d["t"] for _, d in diagram.graph.nodes(data=True)] == times
    assert (times[0], times[-1], len(times)) == (0, 49, 6)
    for place, value in found.items():
        assert value == pytest.approx(whole[place], rel=1e-9)
    assert "6 of 50 steps are shown" in diagram.scene.notes[0]
    assert len(draw_jacobian_heatmap(y, max_steps=2).graph) == 2


def test_a_step_by_hand_shows_its_weight():
    W = engine.asarray(np.diag([2.0, 0.5]), requires_grad=True, name="W")

    class Linear(rnn.Cell):
        input_size, state_size = 2, {"h": 2}

        def step(self, x, h):
            h = engine.linear(h, W) + x
            return h, h

    y, _ = rnn.Recurrent(Linear())(engine.ones((4, 1, 2), dtype="float64"))
    assert norms(draw_jacobian_heatmap(y)) == {
        (k, t): pytest.approx(2.0 ** (t - k)) for t in range(4) for k in range(t + 1)
    }
    frobenius = norms(draw_jacobian_heatmap(y, kind="frobenius"))
    assert frobenius[0, 2] == pytest.approx(math.hypot(4, 0.25))


def test_fields_have_their_place_colour_and_number():
    net, x = layer(rnn.LSTMCell), sequence(4)
    diagram = draw_jacobian_heatmap(net(x)[0])
    fields = [s for s in diagram.scene.shapes if isinstance(s, Rect) and "dh(t" in s.title]
    drawn = norms(diagram)
    assert len(fields) == len(drawn) == 10
    left, top, side = min(f.x for f in fields), min(f.y for f in fields), fields[0].w
    for field in fields:
        k, t = round((field.x - left) / side), round((field.y - top) / side)
        value = drawn[k, t]
        assert float(field.title.rpartition("= ")[2]) == pytest.approx(value, rel=1e-5)
        assert (field.fill == "#ffffff") == (value == 1)
        inside = [w.text for w in diagram.scene.shapes if isinstance(w, Words)
                  and 0 < w.x - field.x < side and 0 < w.y - field.y < side]  # fmt: skip
        assert inside == [field_number(value, 44)]


def test_zero_and_broken_jacobians_are_marked():
    net, x = layer(rnn.LSTMCell), sequence(4)
    x.data[2] = np.nan
    diagram = draw_jacobian_heatmap(net(x)[0], of="h", by="c")
    found = norms(diagram)
    assert found[1, 1] == 0
    assert math.isnan(found[0, 3])
    assert [s.text for s in diagram.scene.legend] == ["1: neither fades nor grows", "zero",
                                                      "inf or NaN"]  # fmt: skip
    fields = [s for s in diagram.scene.shapes if isinstance(s, Rect) and s.fill == BROKEN]
    assert len(fields) == sum(math.isnan(v) for v in found.values()) > 0
    assert "free of each other" in " ".join(diagram.scene.notes)


def test_norms_beyond_the_colours_are_noted():
    W = engine.asarray(np.diag([1e3, 1e3]), requires_grad=True)

    class Growing(rnn.Cell):
        input_size, state_size = 2, {"h": 2}

        def step(self, x, h):
            h = h * 1e5 + engine.linear(x, W) * 0
            return h, h

    y, _ = rnn.Recurrent(Growing())(engine.ones((130, 1, 2), dtype="float64"))
    diagram = draw_jacobian_heatmap(y, max_steps=5)
    found = norms(diagram)
    assert found[0, 32] == pytest.approx(1e160)
    assert found[0, 129] == math.inf
    assert found[64, 97] == pytest.approx(1e165)
    assert found[97, 129] == pytest.approx(1e160)
    assert "colours end at 10⁻⁸ and 10⁸" in " ".join(diagram.scene.notes)


def test_one_of_several_cells_is_selected():
    engine.seed(2)
    y, _ = rnn.GRU(3, 4, num_layers=2, bidirectional=True)(engine.ones((4, 1, 3)))
    with pytest.raises(ValueError, match=r"4 cells fit; tell them apart with layer= or .*l0_rev"):
        draw_jacobian_heatmap(y)
    with pytest.raises(ValueError, match=r"no cell has layer=7; there are layer=0"):
        draw_jacobian_heatmap(y, layer=7)
    with pytest.raises(ValueError, match=r"2 cells fit layer=1; tell them apart with direction="):
        draw_jacobian_heatmap(y, layer=1)
    one = draw_jacobian_heatmap(y, layer=1, direction="reverse")
    assert {d["layer"] for _, d in one.graph.nodes(data=True)} == {1}
    by_path = draw_jacobian_heatmap(y, path="l1_reverse")
    assert norms(by_path) == norms(one)


def test_one_layer_that_was_run_twice_is_said_to_be():
    net = rnn.GRU(3, 4)
    a, b = (net(sequence(3))[0] for _ in range(2))
    told = "2 cells fit, and nothing tells them apart: layer=0, .*, path='l0' was run 2 times"
    with pytest.raises(ValueError, match=told):
        draw_jacobian_heatmap(a + b)


@pytest.mark.parametrize("given", [rnn.GRU(3, 4), None, "h", [1.0]])
def test_what_was_not_computed_is_refused(given):
    with pytest.raises(TypeError, match=r"draw_jacobian_heatmap: expected a tensor that a network"):
        draw_jacobian_heatmap(given)


def test_a_list_of_tensors_is_to_be_joined():
    y, _ = layer(rnn.LSTMCell)(sequence(3))
    with pytest.raises(TypeError, match=r"got list; join several by engine.Graph.of"):
        draw_jacobian_heatmap([y])
    with pytest.raises(TypeError, match="expected a title as text, got 3"):
        draw_jacobian_heatmap(y, title=3)


def test_bad_input_is_refused():
    net, x = layer(rnn.LSTMCell), sequence(3)
    y, _ = net(x)
    with pytest.raises(ValueError, match=r"no state 'n'; LSTMCell has h, c"):
        draw_jacobian_heatmap(y, of="n")
    with pytest.raises(ValueError, match="unknown kind='max'; expected one of 'spectral', 'frob"):
        draw_jacobian_heatmap(y, kind="max")
    with pytest.raises(ValueError, match="max_steps must be at least 2, got 1"):
        draw_jacobian_heatmap(y, max_steps=1)
    with pytest.raises(ValueError, match="nothing is recorded here, for nothing requires a grad"):
        draw_jacobian_heatmap(engine.exp(engine.ones(2)))
    with pytest.raises(ValueError, match="no state of a cell has a time step here"):
        draw_jacobian_heatmap(engine.exp(engine.ones(2, requires_grad=True)))


def test_numbers_fit_their_fields():
    assert field_number(1.23e-12, 60) == "1.2×10⁻¹²"
    assert field_number(1.23e-12, 44) == "10⁻¹²"
    assert field_number(3.2e7, 44) == "3.2×10⁷"
    assert field_number(3.2e7, 36) == "3×10⁷"
    assert field_number(123.4, 20) == "123"
    assert field_number(0.0, 10) == "0"
    assert field_number(0.0012, 34) == "0.0012"
    assert field_number(0.0012, 30) == "0.001"
    assert field_number(1e-12, 10) == ""


@pytest.mark.parametrize(("steps", "wide"), covering([2, 12, 40], [480.0, 800.0]))
def test_maps_keep_to_their_width_and_are_square(steps, wide):
    net, x = layer(rnn.GRUCell), sequence(steps)
    diagram = draw_jacobian_heatmap(net(x)[0], width=wide)
    own = [s for s in diagram.scene.shapes if isinstance(s, Rect) and "dh(t" in s.title]
    assert own[0].w == own[0].h
    assert diagram.scene.width <= wide or own[0].w == 10
    assert diagram.scene.title == "Jacobians through time: ‖dhₜ/dhₖ‖"


def test_the_same_map_has_the_same_bytes():
    net, x = layer(rnn.GRUCell), sequence(4)
    one, two = (draw_jacobian_heatmap(net(x)[0], title="Map").svg() for _ in range(2))
    assert one == two
    assert "<title>Map</title>" in one


def test_states_without_a_batch_have_a_map():
    W = engine.asarray(np.diag([2.0, 0.5]), requires_grad=True)
    h = engine.ones(2, dtype="float64")

    def step(h):
        h = W @ h
        return h

    for t in range(3):
        with engine.scope("cell", t=t), engine.equations(step, ["h"]):
            h = step(h)
    diagram = draw_jacobian_heatmap(h)
    assert norms(diagram)[0, 2] == pytest.approx(4)
    assert not diagram.scene.notes


def test_rows_that_have_ended_keep_their_state():
    net, x = layer(rnn.GRUCell), sequence(4, 2)
    outputs = net(x, lengths=np.array([4, 2]))
    found = norms(draw_jacobian_heatmap(engine.Graph.of(*outputs), kind="frobenius"))
    probe = rnn.Probe(net, x)
    for k, t in [(1, 3), (2, 3), (0, 3)]:
        first = np.linalg.norm(probe.jacobian("h", t + 1, k + 1).numpy()[0])
        second = np.linalg.norm(probe.jacobian("h", min(t, 1) + 1, min(k, 1) + 1).numpy()[1])
        assert found[k, t] == pytest.approx(math.hypot(first, second))
