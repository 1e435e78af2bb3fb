"""Draw gates and states over time: the values of each variable, against `rnn.observe`."""

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering
from tests.viz.pictures import per_step, total
from viz.charts import strips
from viz.charts.gates import draw_gates
from viz.charts.strips import PAST
from viz.colors import Colors
from viz.scene import Line, Rect, Words
from viz.style import BROKEN


def sequence(steps, batch=1):
    values = np.random.default_rng(steps).normal(size=(steps, batch, 3))
    return engine.asarray(values, dtype="float64")


def run(cell, steps=6, batch=2, **options):
    engine.seed(4)
    net = rnn.Recurrent(cell(3, 4, dtype="float64"), **options)
    return net, sequence(steps, batch)


def nodes(diagram, name):
    return {d["t"]: d for _, d in diagram.graph.nodes(data=True) if d["name"] == name}


def fields(diagram, name):
    return [
        s for s in diagram.scene.shapes if isinstance(s, Rect) and s.title.startswith(f"{name}[")
    ]


def written_range(diagram, name):
    """Return the smallest and the largest number beside the colours of a strip."""
    own = fields(diagram, name)
    top, bottom = min(f.y for f in own), max(f.y + f.h for f in own)
    right = max(f.x + f.w for f in own)
    words = [w for w in diagram.scene.shapes if isinstance(w, Words) and w.x > right
             and top - 1 < w.y - 3.5 < bottom + 1]  # fmt: skip
    numbers = [float(w.text.replace("−", "-")) for w in words]
    return min(numbers), max(numbers)


def unit_numbers(diagram, name):
    """Return the numbers of units at the left of a strip, from the top down."""
    own = fields(diagram, name)
    left, top, bottom = (min(f.x for f in own), min(f.y for f in own),
                         max(f.y + f.h for f in own))  # fmt: skip
    words = [w for w in diagram.scene.shapes if isinstance(w, Words) and w.size == 9
             and w.x == left - 6 and top < w.y < bottom]  # fmt: skip
    return [int(w.text) for w in sorted(words, key=lambda w: w.y)]


@pytest.mark.parametrize(("cell", "reverse"), covering(
    [rnn.ElmanCell, rnn.LSTMCell, rnn.GRUCell, rnn.PeepholeLSTMCell], [False, True]
))  # fmt: skip
def test_values_are_those_of_observe(cell, reverse):
    net, x = run(cell, reverse=reverse)
    _, _, expected = rnn.observe(net, x)
    for row in (0, 1):
        diagram = draw_gates(net(x)[0], names=list(expected), row=row)
        assert {d["name"] for _, d in diagram.graph.nodes(data=True)} == set(expected)
        for name, values in expected.items():
            found = nodes(diagram, name)
            assert sorted(found) == list(range(6))
            for t, data in found.items():
                own = values.numpy()[t, row]
                np.testing.assert_allclose(data["values"], own, rtol=1e-12)
                assert data["value"] == pytest.approx(own.mean())
                assert (data["low"], data["high"]) == pytest.approx((own.min(), own.max()))


def test_by_default_what_is_as_wide_as_a_state_is_drawn():
    net, x = run(rnn.LSTMCell)
    diagram = draw_gates(net(x)[0])
    names = list(dict.fromkeys(d["name"] for _, d in diagram.graph.nodes(data=True)))
    assert names == ["i", "f", "g", "o", "c", "h"]
    assert "not drawn: a (16 wide); names= chooses" in diagram.scene.notes
    kinds = {d["name"]: d["kind"] for _, d in diagram.graph.nodes(data=True)}
    assert [kinds[name] for name in "ifgoch"] == ["gate"] * 4 + ["state"] * 2
    edges = [(diagram.graph.nodes[a]["name"], diagram.graph.nodes[b]["t"]) for a, b in
             diagram.graph.edges()]  # fmt: skip
    assert edges == [("c", t) for t in range(1, 6)] + [("h", t) for t in range(1, 6)]


def test_strips_have_a_field_for_each_unit_and_step_in_its_colour():
    net, x = run(rnn.LSTMCell, batch=1)
    diagram = draw_gates(net(x)[0], names=["f", "g"])
    for name, signed in (("f", False), ("g", True)):
        own = fields(diagram, name)
        assert len(own) == 4 * 6
        by_title = {field.title.rpartition(":")[0]: field for field in own}
        flat = [v for data in nodes(diagram, name).values() for v in data["values"]]
        low, high = written_range(diagram, name)
        assert low <= min(flat) <= max(flat) <= high
        assert (low == -high) == signed
        assert high - low < 2 * (max(map(abs, flat)) - (-max(map(abs, flat)) if signed
                                                        else min(flat)))  # fmt: skip
        colors = Colors(low, high, 0.0 if signed else None)
        for t, data in nodes(diagram, name).items():
            for unit, value in enumerate(data["values"]):
                field = by_title[f"{name}[{unit}], t = {t}"]
                assert field.fill == colors.of(float(value))
                written = field.title.rpartition(": ")[2].replace("−", "-")
                assert float(written) == pytest.approx(value, rel=1e-5)
        assert len({field.x for field in own}) == 6
        assert len({field.y for field in own}) == 4


def test_the_line_is_the_mean_between_the_extremes():
    net, x = run(rnn.GRUCell, batch=1)
    diagram = draw_gates(net(x)[0], names=["z"], kind="line")
    assert not fields(diagram, "z")
    lines = [s for s in diagram.scene.shapes if isinstance(s, Line)]
    (area,) = [s for s in lines if s.fill]
    (mean,) = [s for s in lines if s.width == 1.8]
    data = list(nodes(diagram, "z").values())
    bottom, top = (
        max(y for s in lines for _, y in s.points),
        min(y for s in lines for _, y in s.points),
    )

    def shares(points):
        return [(bottom - y) / (bottom - top) for _, y in points]

    assert shares(mean.points) == pytest.approx([d["value"] for d in data])
    assert shares(area.points[:6]) == pytest.approx([d["high"] for d in data])
    assert shares(area.points[6:]) == pytest.approx([d["low"] for d in reversed(data)])


def test_one_unit_is_its_own_strip_and_line():
    net, x = run(rnn.GRUCell, batch=1)
    diagram = draw_gates(net(x)[0], names=["h"], unit=2)
    assert [f.title.partition(",")[0] for f in fields(diagram, "h")] == ["h[2]"] * 6
    assert [s.text for s in diagram.scene.legend] == ["value"]
    marks = [s.title for s in diagram.scene.shapes if isinstance(s, Rect) and "mean" in s.title]
    for t, data in nodes(diagram, "h").items():
        written = marks[t].partition(f"h, t = {t}: mean ")[2].partition(",")[0]
        assert float(written.replace("−", "-")) == pytest.approx(data["values"][2], rel=1e-5)
    assert "unit 2" in [s.text for s in diagram.scene.shapes if isinstance(s, Words)]


def test_many_steps_are_averaged():
    engine.seed(1)
    net = rnn.Recurrent(rnn.GRUCell(3, 10, dtype="float64"))
    diagram = draw_gates(net(sequence(25))[0], names=["h"], max_steps=9)
    own = fields(diagram, "h")
    assert len(own) == 9 * 10
    values = np.array([d["values"] for d in nodes(diagram, "h").values()])
    assert values.shape == (25, 10)
    found = {
        field.title.rpartition(": ")[0]: float(field.title.rpartition(": ")[2].replace("−", "-"))
        for field in own
    }
    for s in range(0, 25, 3):
        label = f"{s}–{min(s + 3, 25) - 1}" if s + 1 < 25 else f"{s}"
        for unit in range(10):
            expected = values[s : s + 3, unit].mean()
            assert found[f"h[{unit}], t = {label}"] == pytest.approx(expected, abs=1e-5)
    assert any("the mean of up to 3 of them" in note for note in diagram.scene.notes)


def test_of_wide_layers_the_units_that_vary_most_are_shown_in_order():
    engine.seed(1)
    net = rnn.Recurrent(rnn.GRUCell(3, 64, dtype="float64"))
    diagram = draw_gates(net(sequence(30))[0], max_units=5)
    for name in ("r", "z", "n", "h"):
        values = np.array([d["values"] for d in nodes(diagram, name).values()])
        expected = np.argsort(-values.std(axis=0), kind="stable")[:5].tolist()
        assert unit_numbers(diagram, name) == expected
        titles = [f.title for f in fields(diagram, name) if ", t = 0:" in f.title]
        assert [int(t.partition("[")[2].partition("]")[0]) for t in titles] == expected
    texts = [s.text for s in diagram.scene.shapes if isinstance(s, Words)]
    assert texts.count("5 of 64") == 4
    (note,) = [note for note in diagram.scene.notes if "not shown" in note]
    assert note.endswith("the most on top; 59 are not shown")
    assert "mean of all units" in [s.text for s in diagram.scene.legend]


def test_units_that_are_not_finite_come_first():
    values = [np.array([0.1, 5.0, 0.2, 0.3]), np.array([0.1, -5.0, np.nan, 0.3])]
    assert strips._spreads(values) == [0.0, 5.0, np.inf, 0.0]


def test_units_may_be_named():
    net, x = run(rnn.GRUCell, batch=1)
    diagram = draw_gates(net(x)[0], names=["z", "h"], unit=[3, 1])
    assert unit_numbers(diagram, "z") == unit_numbers(diagram, "h") == [3, 1]
    lines = [s for s in diagram.scene.shapes if isinstance(s, Rect) and "h, t = 0: mean" in s.title]
    own = np.array(nodes(diagram, "h")[0]["values"])[[3, 1]]
    assert len(lines) == 1
    assert float(lines[0].title.split("mean ")[1].split(",")[0].replace("−", "-")) == pytest.approx(
        own.mean(), rel=1e-5)  # fmt: skip
    assert "mean of these units" in [s.text for s in diagram.scene.legend]
    with pytest.raises(ValueError, match="unit names no unit"):
        draw_gates(net(x)[0], unit=[])


def test_rows_end_where_their_lengths_say():
    net, x = run(rnn.LSTMCell)
    y, _ = net(x, lengths=np.array([6, 3]))
    long, short = draw_gates(y, row=0), draw_gates(y, row=1)
    assert sorted(nodes(long, "f")) == list(range(6))
    assert sorted(nodes(short, "f")) == list(range(3))
    past = [f for f in fields(short, "f") if f.fill == PAST]
    assert len(past) == 3 * 4
    assert "past the end of the row" in [s.text for s in short.scene.legend]
    assert "row 1 of the batch" in short.scene.notes
    _, _, expected = rnn.observe(net, x, lengths=np.array([6, 3]))
    np.testing.assert_allclose(nodes(short, "c")[2]["values"], expected["c"].numpy()[2, 1])


def test_cells_are_selected_and_named():
    engine.seed(2)
    y, _ = rnn.GRU(3, 4, num_layers=2, bidirectional=True)(engine.ones((4, 1, 3)))
    diagram = draw_gates(y)
    texts = [s.text for s in diagram.scene.shapes if isinstance(s, Words)]
    assert "GRUCell, layer 0" in texts
    assert "GRUCell, layer 1, reverse" in texts
    assert texts.count("t, run from right to left") == 2
    assert diagram.graph.number_of_nodes() == 4 * 4 * 4
    one = draw_gates(y, layer=1, direction="reverse", cell="GRUCell")
    assert {(d["layer"], d["direction"]) for _, d in one.graph.nodes(data=True)} == {(1, "reverse")}
    ends = [(one.graph.nodes[a]["t"], one.graph.nodes[b]["t"]) for a, b in one.graph.edges()]
    assert ends == [(1, 0), (2, 1), (3, 2)]


def test_cells_called_by_hand_are_read_too():
    engine.seed(3)
    diagram = draw_gates(total(per_step(rnn.LSTMCell(3, 4), 5)), names=["f"])
    assert sorted(nodes(diagram, "f")) == list(range(5))
    assert "LSTMCell" in [s.text for s in diagram.scene.shapes if isinstance(s, Words)]


def test_nan_is_black_and_marked():
    net, x = run(rnn.GRUCell, batch=1)
    x.data[3] = np.nan
    diagram = draw_gates(net(x)[0], names=["z"])
    assert len([f for f in fields(diagram, "z") if f.fill == BROKEN]) == 3 * 4
    assert [s.text for s in diagram.scene.shapes if isinstance(s, Words)].count("!") == 3
    assert "NaN or infinite" in [s.text for s in diagram.scene.legend]
    lines = draw_gates(net(x)[0], names=["z"], kind="line")
    legend = [s.text for s in lines.scene.legend]
    assert "mean is NaN" in legend
    assert not {"mean is infinite", "NaN or infinite"} & {*legend}  # of which there is none


def test_a_state_without_a_batch_is_read():
    class Sum(rnn.Cell):
        input_size, state_size = 3, {"h": 3}

    W = engine.ones(3, requires_grad=True)
    h = engine.zeros(3)
    cell = Sum()

    def step(x, h):
        h = h + x * W
        return h

    for t in range(3):
        with engine.scope("sum", t=t, cell="Sum"), engine.equations(step, cell.state_size):
            h = step(engine.ones(3), h)
    diagram = draw_gates(h, kind="strip")
    assert [list(d["values"]) for d in nodes(diagram, "h").values()] == [[1] * 3, [2] * 3, [3] * 3]
    assert not diagram.scene.legend
    assert diagram.svg() == draw_gates(h, kind="strip").svg()


class Zero(rnn.Cell):
    """Keep two states at zero: one of them by an op that may have a sign."""

    input_size, state_size = 3, {"h": 2, "k": 2, "m": 2}

    def step(self, x, state):
        h, k, m = state
        h, k = h + engine.relu(x[:, :2]) * 0.0, engine.tanh(k + engine.relu(x[:, 1:]) * 0.0)
        return h, (h, k, m + engine.abs(x[:, :2]))


def test_zero_is_white_in_every_strip():
    x = engine.asarray(np.random.default_rng(0).normal(size=(5, 1, 3)), requires_grad=True)
    y, states = rnn.Recurrent(Zero())(x)
    whole = engine.Graph.of(y, *states)
    diagram = draw_gates(whole, names=["h", "k"], kind="strip")
    for name in ("h", "k"):
        own = fields(diagram, name)
        assert len(own) == 10
        assert {rect.fill for rect in own} == {"#ffffff"}


WRONG = {
    "row": ({"row": "a"}, "expected row as a whole number, got 'a'"),
    "unit": ({"unit": "a"}, "expected unit as whole numbers, got 'a'"),
    "units": ({"unit": [0, "a"]}, "expected unit as whole numbers, got list"),
    "title": ({"title": 3}, "expected a title as text, got 3"),
    "names": ({"names": 3}, "expected names as a sequence of texts, got 3"),
    "width": ({"width": "800"}, "expected a width in pixels, 480 or more, got '800'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_are_errors(name):
    net, x = run(rnn.LSTMCell)
    given, told = WRONG[name]
    with pytest.raises(TypeError, match=f"draw_gates: {told}"):
        draw_gates(net(x)[0], **given)


@pytest.mark.parametrize("given", [rnn.LSTM(3, 4), None, [1.0]])
def test_what_was_not_computed_is_refused(given):
    with pytest.raises(TypeError, match="draw_gates: expected a tensor that a network computed or"):
        draw_gates(given)


def test_no_names_are_refused():
    net, x = run(rnn.LSTMCell)
    with pytest.raises(ValueError, match="names names no variable; give one or several"):
        draw_gates(net(x)[0], names=[])


def test_bad_input_is_refused():
    net, x = run(rnn.LSTMCell)
    y, _ = net(x)
    with pytest.raises(ValueError, match=r"LSTMCell, layer 0 has no variable 'q'; there are a, i"):
        draw_gates(y, names=["q"])
    with pytest.raises(
        ValueError, match=r"no cell with layer=3; there are cell='LSTMCell', layer=0"
    ):
        draw_gates(y, layer=3)
    with pytest.raises(
        ValueError, match="unknown kind='bars'; expected one of 'both', 'strip', 'line'"
    ):
        draw_gates(y, kind="bars")
    with pytest.raises(IndexError, match="row 2 of a batch of 2"):
        draw_gates(y, row=2)
    with pytest.raises(IndexError, match=r"unit 4 of 'i', which has 4; name the variables"):
        draw_gates(y, unit=4)
    with pytest.raises(ValueError, match="max_units must be at least 2, got 1"):
        draw_gates(y, max_units=1)
    with pytest.raises(ValueError, match="draw_gates: nothing is recorded here, for nothing req"):
        draw_gates(engine.exp(engine.ones(2)))
    with pytest.raises(ValueError, match="no variable of a cell has a time step here"):
        draw_gates(engine.exp(engine.ones(2, requires_grad=True)))
