"""Look at pictures at the width that a reader sees: they fit, in large letters, without repetition.

The rulers are those of `picture_checks.py`; widths of wires are held against norms from the engine.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import engine
import rnn
import viz
from rnn.models import Attention, Decoder, Encoder, Seq2Seq
from tests.draws import covering, first
from tests.viz.picture_cases import CASES, WIDE, data
from tests.viz.picture_checks import faults, read
from tests.viz.pictures import SVG, network
from tests.viz.test_picture_structure import loss_of
from viz.labels import SMALL, number, width

WIDTH, SMALLEST = 800, 9.0
STEPS = ("ElmanCell", "LSTMCell", "GRUCell", "two layers", "stacked", "lengths", "two outputs")


def sizes(svg, pixels=WIDTH):
    """Return the sizes of all letters as seen at most `pixels` wide."""
    root = ET.fromstring(svg)
    seen = min(float(root.get("width")), pixels) / float(root.get("viewBox").split()[2])
    return [float(text.get("font-size")) * seen for text in root.iter(f"{SVG}text")]


def words(svg):
    """Return the words in boxes and on wires."""
    return [word.what for word in read(svg).words if word.kind in ("box", "wire-label")]


@pytest.mark.parametrize(("name", "level"), covering(STEPS, ["cell", "gate", "rolled"]))
def test_pictures_fit_into_800_pixels_with_letters_of_9(name, level):
    x = CASES[name]()
    drawn = [viz.draw_unrolled(x, level=level)]
    if loss_of(x) is not None:
        drawn.append(viz.draw_gradients(loss_of(x), level=level))
    for diagram in drawn:
        svg = diagram.svg()
        assert float(ET.fromstring(svg).get("width")) <= WIDTH
        assert min(sizes(svg)) >= SMALLEST
        assert faults(svg) == []


@pytest.mark.parametrize(
    ("name", "level"),
    first(4, [("attention", "gate"), ("long names", "cell"), ("MLSTMCell", "op"),
              ("two layers both ways", "cell"), ("two layers both ways", "op"),
              ("attention", "op")]),
)  # fmt: skip
def test_wide_networks_fit_too_and_nothing_lies_on_something_else(name, level):
    # With short names, close wires, and steps of the last block alone, as far as it takes.
    loss = loss_of(CASES[name]())
    for diagram in (viz.draw_unrolled(loss, level=level), viz.draw_gradients(loss, level=level)):
        fits(diagram)


def fits(diagram):
    svg = diagram.svg()
    assert float(ET.fromstring(svg).get("width")) <= WIDTH
    assert min(sizes(svg)) >= SMALLEST
    assert faults(svg) == []


def seq2seq(steps):
    engine.seed(3)
    decoder = Decoder(9, 4, 5, attention=Attention(5, 5, "dot"))
    model = Seq2Seq(Encoder(8, 4, 5), decoder, start=1, end=1, pad=0)
    x, y = (np.arange(2 * steps).reshape(steps, 2) % 6 + 2 for _ in range(2))
    return engine.sum(model.loss(x, [steps] * 2, y))


@pytest.mark.parametrize("steps", first(1, [3, 8]))
def test_a_translator_with_attention_fits(steps):
    loss = seq2seq(steps)
    drawn = viz.draw_unrolled(loss), viz.draw_gradients(loss), viz.draw_truncation(loss, 2)
    for diagram in drawn:
        fits(diagram)
    names = [box.lines[0] for box in drawn[0].scene.boxes]
    assert {"dec…embedding", "enc…embedding"} <= set(names)  # short, and still apart


@pytest.mark.parametrize("cell", [rnn.LSTMCell, rnn.GRUCell])
@pytest.mark.parametrize(
    "cuts", [{"kind": "window", "k1": 2, "k2": 3}, {"kind": "per-loss", "k": 3}, 2]
)
def test_truncation_fits_with_its_scissors(cell, cuts):
    net = rnn.Recurrent(cell(3, 4))
    y, _ = net(data(8, 2, 3))
    cuts = cuts if isinstance(cuts, int) else rnn.cut_edges(net, 8, **cuts)
    diagram = viz.draw_truncation(engine.sum(y * y), cuts)
    fits(diagram)
    assert any(wire.mark == "✂" for wire in diagram.scene.wires)


@pytest.mark.parametrize("name", first(2, WIDE))
def test_wide_truncations_fit_too(name):
    loss, level = WIDE[name]
    diagram = viz.draw_truncation(loss(), 2, level=level)
    fits(diagram)
    assert any(wire.mark == "✂" for wire in diagram.scene.wires)


def test_what_leads_into_steps_left_out_shares_a_wire_and_has_its_scissors_before_it():
    loss, level = WIDE["three layers both ways by gate"]
    scene = viz.draw_truncation(loss(), 1, level=level).scene
    gaps = {box.key: box for box in scene.boxes if box.lines[0].startswith("…")}
    into = {n: [wire for wire in scene.wires if wire.target == n and wire.mark] for n in gaps}
    several = [wires for wires in into.values() if len(wires) > 2]
    assert several
    for wires in several:
        ends = {wire.points[-1] for wire in wires if len(wire.points) > 2}
        marks = [wire.mark_at for wire in wires]
        assert len(ends) <= 2  # one from either side
        assert len(set(marks)) == len(marks)


def test_a_picture_that_cannot_fit_is_made_smaller_and_says_which_width_it_needs():
    loss = CASES["two layers both ways"]()
    diagram = viz.draw_truncation(loss, 2, level="op", width=500)
    svg = diagram.svg()
    assert float(ET.fromstring(svg).get("width")) == 500
    note = " ".join(diagram.scene.notes)
    least = int(re.search(r"width=(\d+) keeps them at 9", note).group(1))
    said = float(re.search(r"as small as ([\d.]+) pixels", note).group(1))
    assert said == pytest.approx(SMALL * 500 / diagram.scene.width, abs=0.05)
    wide = viz.draw_truncation(loss, 2, level="op", width=least)
    assert min(sizes(wide.svg(), least)) >= SMALLEST
    assert "Too wide" not in " ".join(wide.scene.notes)


def test_a_number_keeps_off_the_scissors_of_its_neighbour():
    assert faults(viz.draw_truncation(CASES["gradient graph"](), 1, level="op").svg()) == []


def test_the_name_of_a_block_widens_its_own_columns_alone():
    w = engine.asarray([0.5, -0.25], requires_grad=True)

    def widths(name):
        h = w
        for block, steps in (("plain", 4), (name, 1)):
            with engine.scope(block, block=block):
                for t in range(steps):
                    with engine.scope("unit", t=t):
                        h = engine.tanh(h * w)
        bands = viz.draw_unrolled(engine.sum(h), level="op", max_steps=9).scene.bands
        return [band.w for band in bands]

    short, long = widths("b"), widths("a_long_name_of_one_block")
    assert long[:4] == short[:4]
    assert long[4] > short[4]


def test_weights_are_the_last_to_go_and_a_note_says_so():
    loss = seq2seq(4)
    diagram = viz.draw_truncation(loss, 2)
    assert not any(box.kind == "parameter" for box in diagram.scene.boxes)
    assert any("weights left out" in note for note in diagram.scene.notes)
    wide = viz.draw_truncation(loss, 2, width=1600)
    assert any(box.kind == "parameter" for box in wide.scene.boxes)
    assert not any("weights left out" in note for note in wide.scene.notes)


def test_room_for_words_stands_only_where_words_stand():
    # After the last step, before the sum, there are no words, and so there is no room for any.
    net = rnn.Recurrent(rnn.LSTMCell(3, 4))
    loss = engine.sum(net(data(3, 2, 3))[0] ** 2)
    diagram = viz.draw_gradients(loss, max_steps=3, width=2000)
    words = max(width(wire.label, SMALL) for wire in diagram.scene.wires if wire.label)
    last = diagram.scene.bands[-1].x + diagram.scene.bands[-1].w
    assert min(box.x for box in diagram.scene.boxes if box.x > last) - last < words


@pytest.mark.parametrize("pixels", first(2, [600, 800, 1600]))
def test_more_width_shows_more_steps(pixels):
    picture = read(viz.draw_gradients(network("elman", 40), width=pixels).svg())
    shown = [word.what for word in picture.words if word.kind == "heading" and word.what != "…"]
    assert {600: 1, 800: 3, 1600: 8}[pixels] <= len(shown)
    svg = viz.draw_gradients(network("elman", 40), width=pixels).svg()
    assert float(ET.fromstring(svg).get("width")) <= pixels


def test_a_step_takes_90_pixels():
    # An unrolled network of cells with their inputs and one weight, ten steps in a row.
    y, _ = rnn.Recurrent(rnn.GRUCell(2, 3))(data(10, 1, 2))
    picture = read(viz.draw_unrolled(y, width=1200).svg())
    middles = [(band.x0 + band.x1) / 2 for band in picture.bands]
    assert len(middles) == 10
    assert max(b - a for a, b in pairwise(middles)) <= 105


def test_steps_that_are_asked_for_are_all_there():
    svg = viz.draw_gradients(network("elman", 40), max_steps=40).svg()
    headings = [word.what for word in read(svg).words if word.kind == "heading"]
    assert headings == [f"t = {t}" for t in range(40)]


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf])
def test_a_width_has_room_for_a_title(wrong):
    with pytest.raises(ValueError, match=r"draw_unrolled: expected a width in pixels, 100 or more"):
        viz.draw_unrolled(network("elman", 2), width=wrong)
    with pytest.raises(TypeError, match=r"draw_rolled: expected a width in pixels.*, got '800'"):
        viz.draw_rolled(network("elman", 2), width="800")


@pytest.mark.parametrize("name", STEPS)
def test_no_number_is_said_twice(name):
    # Not in a box and on the wire into it: where the one use of a state is all of its gradient.
    diagram = viz.draw_gradients(loss_of(CASES[name]()))
    boxes = {box.key: box.lines for box in diagram.scene.boxes}
    numbers = {wire: found.group() for wire in diagram.scene.wires
               if (found := re.search(r"[\d.]+(?:×10\S+)?$", wire.label))}  # fmt: skip
    assert numbers or name == "stacked"  # where each state has one use only
    for wire, text in numbers.items():
        said = [line for line in boxes[wire.target] if line.split()[-1] == text]
        assert not said, (wire.label, boxes[wire.target])


def test_a_decade_is_the_same_ratio_of_widths_in_every_picture():
    # For every gradient between states: width = 12 x 0.6 ** (decades below 1).
    seen = 0
    for loss in (network("elman", 7), network("gru", 6), network("lstm", 5) * 1e-3):
        diagram = viz.draw_gradients(loss, max_steps=10)
        graph = diagram.graph
        norms = Counter(f"{d['grad_norm']:.6g}" for *_, d in graph.edges(data=True)
                        if d["kind"] == "time" and d.get("grad_norm"))  # fmt: skip
        for wire in diagram.scene.wires:
            text = wire.title.split()[-1]
            if wire.kind == "backward" and text in norms:
                norm = float(text)
                assert norm <= 10
                wide = {full * 0.6 ** -math.log10(norm) for full in (12.0, 6.0)}
                assert any(wire.width == pytest.approx(w, rel=1e-4) for w in wide) or norm < 1e-6
                seen += 1
    assert seen > 15


def test_the_scale_does_not_depend_on_what_is_shown():
    loss = network("gru", 12)
    few, many = (viz.draw_gradients(loss, max_steps=n).scene for n in (4, 12))
    width = {wire.title: wire.width for wire in many.wires if wire.kind == "backward"}
    same = [wire for wire in few.wires if wire.kind == "backward" and wire.title in width]
    assert len(same) > 5
    assert all(wire.width == width[wire.title] for wire in same)
    (one,), (other,) = ([s.text for s in scene.legend if s.wedge] for scene in (few, many))
    assert one == other == "gradient, norm 1 … 10⁻⁶ (log; states × 2)"


def test_what_is_under_a_millionth_is_dotted():
    diagram = viz.draw_gradients(network("elman", 4) * 1e-7)
    red = [wire for wire in diagram.scene.wires if wire.kind == "backward"]
    assert {wire.dash for wire in red if float(wire.title.split()[-1]) < 1e-6} == {"1.5 3"}
    assert "under 10⁻⁶" in [swatch.text for swatch in diagram.scene.legend]


def test_gradients_that_explode_have_a_scale_that_holds_them():
    diagram = viz.draw_gradients(network("elman", 3) * 3e4)
    (scale,) = [swatch.text for swatch in diagram.scene.legend if swatch.wedge]
    top = float(scale.split()[2].replace("10⁵", "1e5").replace("10⁴", "1e4"))
    norms = [float(wire.title.split()[-1]) for wire in diagram.scene.wires
             if wire.kind == "backward"]  # fmt: skip
    assert top / 10 < max(norms) <= top


def test_rails_are_thin_and_full_ones_are_as_wide_as_their_sums():
    # A trunk carries the sum of the uses on its right: held against gradients of copies.
    engine.seed(3)
    x = data(4, 2, 3)
    cells = [rnn.ElmanCell(3, 4, dtype="float64") for _ in range(4)]
    for cell in cells[1:]:
        for own, shared in zip(cell.parameters(), cells[0].parameters(), strict=True):
            own.data = shared.data

    def run(own):
        h = engine.zeros((2, 4), dtype="float64")
        for t, cell in enumerate(own):
            with engine.scope(t=t):
                h, _ = cell(engine.asarray(x.numpy()[t].astype("float64")), h)
        return engine.sum(h**2)

    parts = [engine.gradients(run(cells), cell.parameters()) for cell in cells]
    expected = []
    for begin in range(3, -1, -1):
        sums = [sum(g.numpy() for g in own) for own in zip(*parts[begin:], strict=True)]
        expected.append(math.hypot(*(np.linalg.norm(own) for own in sums)))
    loss = run([cells[0]] * 4)
    full = viz.draw_gradients(loss, weights="full", max_steps=9)
    trunk = [(float(shape.title.split()[-1]), shape) for shape in full.scene.shapes
             if "sum to" in getattr(shape, "title", "")]  # fmt: skip
    assert [norm for norm, _ in trunk] == pytest.approx(expected, rel=1e-5)
    for norm, line in trunk:
        assert line.width == pytest.approx(6.0 * 0.6 ** max(-math.log10(norm), -1.0), rel=1e-4)
    stretches = sorted((min(p[0], q[0]), max(p[0], q[0])) for _, line in trunk
                       for p, q in [line.points])  # fmt: skip
    assert all(a[1] == b[0] for a, b in pairwise(stretches))  # one after the other, no gap
    for diagram in (full, viz.draw_gradients(loss, max_steps=9)):
        weights = {box.key for box in diagram.scene.boxes if box.kind == "parameter"}
        rails = [wire.width for wire in diagram.scene.wires
                 if wire.kind == "backward" and wire.target in weights]  # fmt: skip
        assert len(rails) == 4
        assert max(rails) <= 1.2


def test_weights_can_be_left_out():
    loss = network("lstm", 3)
    off = viz.draw_gradients(loss, weights="off")
    kinds = Counter(d["kind"] for _, d in off.graph.nodes(data=True))
    assert kinds["parameter"] == 0
    assert kinds["cell"] == 3
    assert faults(off.svg()) == []
    for level in ("gate", "op"):
        off = viz.draw_unrolled(loss, level=level, weights="off")
        assert "parameter" not in {d["kind"] for _, d in off.graph.nodes(data=True)}
    with pytest.raises(ValueError, match="draw_gradients: unknown weights='fat'; expected one of"):
        viz.draw_gradients(loss, weights="fat")


def test_inputs_of_steps_are_boxes_of_one_size():
    for name in STEPS:
        boxes = [box for box in viz.draw_unrolled(CASES[name]()).scene.boxes if box.kind == "input"]
        stubs = {box.key for box in boxes if box.lines[0] == "h₋₁"}
        assert len({(box.w, box.h) for box in boxes if box.key not in stubs}) <= 1


def test_layers_and_directions_have_headings_and_one_layer_has_none():
    y, _ = rnn.LSTM(2, 3, num_layers=2, bidirectional=True)(data(3, 1, 2))
    charts = [word for word in read(viz.draw_unrolled(y).svg()).words if word.kind == "chart"]
    assert sorted(word.what for word in charts) == [
        "layer 0 ←", "layer 0 →", "layer 1 ←", "layer 1 →",
    ]  # fmt: skip
    cells = {}
    diagram = viz.draw_unrolled(y)
    picture = read(diagram.svg())
    for n, d in diagram.graph.nodes(data=True):
        if d["kind"] == "cell":
            arrow = "←" if d["direction"] == "reverse" else "→"
            cells[f"layer {d['layer']} {arrow}"] = picture.box[n]
    for word in charts:  # each at the height of its row
        assert cells[word.what].y0 <= word.middle[1] <= cells[word.what].y1
    one = read(viz.draw_unrolled(network("elman", 3)).svg())
    assert not any(word.kind == "chart" for word in one.words)


def test_initial_states_are_stubs_at_their_cell():
    diagram = viz.draw_unrolled(network("lstm", 3))
    (stub,) = [box for box in diagram.scene.boxes if box.lines == ("h₋₁", "c₋₁")]
    ways = [wire.points for wire in diagram.scene.wires if wire.source == stub.key]
    assert len(ways) == 2
    assert all(len(points) == 2 for points in ways)  # straight
    cell = next(box for box in diagram.scene.boxes if box.kind == "cell")
    assert (stub.w, stub.h) < (cell.w, cell.h)


# Nothing vanishes


def test_a_loop_by_hand_shows_its_inputs_at_their_steps():
    cell, h = rnn.LSTMCell(3, 4), None
    for t in range(3):
        y, h = cell(engine.asarray(np.full((2, 3), t, dtype="float32")), h)
    graph = viz.draw_unrolled(y).graph
    cells = {d["t"]: n for n, d in graph.nodes(data=True) if d["kind"] == "cell"}
    assert sorted(cells) == [0, 1, 2]
    inputs = {d["t"]: n for n, d in graph.nodes(data=True) if d["label"] == "x"}
    assert sorted(inputs) == [0, 1, 2]
    assert all(graph.has_edge(inputs[t], cells[t]) for t in cells)
    time = [(a, b, d["label"]) for a, b, d in graph.edges(data=True) if d["kind"] == "time"]
    assert Counter(time) == Counter(
        (cells[t], cells[t + 1], name) for t in (0, 1) for name in ("h", "c")
    )


def test_two_cells_in_a_loop_by_hand_are_two_boxes_a_step():
    one, two = rnn.GRUCell(3, 3), rnn.GRUCell(3, 3)
    h = k = None
    for _ in range(3):
        y, h = one(engine.ones((1, 3)), h)
        z, k = two(y, k)
    for level, kind in (("cell", "cell"), ("gate", "state")):
        graph = viz.draw_unrolled(z, level=level, max_steps=3).graph
        steps = Counter(d["t"] for _, d in graph.nodes(data=True) if d["kind"] == kind)
        assert steps == {0: 2, 1: 2, 2: 2}


class Halved(rnn.Cell):
    """Keep three states; one is scaled before it meets anything that requires a gradient."""

    def __init__(self):
        self.input_size, self.state_size = 3, {"h": 4, "c": 4, "m": 4}
        self.W = rnn.parameter((4, 3), 0.5)

    def step(self, x, state):
        h, c, m = state
        m = m * 0.5 + engine.linear(x, self.W)
        c = c + m
        h = engine.tanh(c + h)
        return h, (h, c, m)


def test_the_third_state_begins_too():
    y, _ = rnn.Recurrent(Halved())(engine.ones((3, 1, 3)))
    diagram = viz.draw_unrolled(y)
    (stub,) = [box for box in diagram.scene.boxes if box.lines[0] == "h₋₁"]
    assert stub.lines == ("h₋₁", "c₋₁, m₋₁")
    assert sum(wire.source == stub.key for wire in diagram.scene.wires) == 3


def test_a_picture_of_a_network_without_gradients_is_not_empty():
    net = rnn.GRU(2, 3)
    with engine.no_grad():
        plain, _ = net(engine.ones((3, 1, 2)))
        with engine.tracing():
            traced, _ = net(engine.ones((3, 1, 2)))
    diagram = viz.draw_unrolled(plain)
    assert len(diagram.scene.boxes) == 1
    assert any("nothing was recorded" in note for note in diagram.scene.notes)
    kinds = Counter(d["kind"] for _, d in viz.draw_unrolled(traced).graph.nodes(data=True))
    assert kinds["cell"] == 3


def test_the_norms_of_all_steps_are_known_in_every_window():
    # Also of the steps left out: each against the gradient by that state.
    engine.seed(5)
    cell, h, states = rnn.GRUCell(2, 3, dtype="float64"), None, []
    for _ in range(20):
        y, h = cell(engine.ones((2, 2), dtype="float64"), h)
        states.append(h)
    loss = engine.sum(y**2)
    norms = viz.draw_gradients(loss).graph.graph["norms"]
    expected = [float(np.linalg.norm(g.numpy())) for g in engine.gradients(loss, states)]
    assert [t for t, _ in norms["h"]] == list(range(20))
    assert [n for _, n in norms["h"]] == pytest.approx(expected, rel=1e-9)
    y, _ = rnn.LSTM(2, 3, num_layers=2)(data(4, 1, 2))
    norms = viz.draw_gradients(engine.sum(y)).graph.graph["norms"]
    assert sorted(norms) == ["c_l0", "c_l1", "h_l0", "h_l1"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1"), (0.0312, "0.031"), (170.4, "170"), (999.4, "999"), (999.6, "10³"),
     (1234.0, "1.2×10³"), (1e-6, "10⁻⁶"), (-0.25, "−0.25"), (9.96, "10"), (0.0009994, "10⁻³"),
     (math.inf, "inf"), (-math.inf, "−inf"), (math.nan, "NaN")],
)  # fmt: skip
def test_numbers_are_as_people_write_them(value, text):
    assert number(value) == text


def test_rolled_up_inputs_with_names_of_their_own_are_called_by_the_first_and_the_last():
    cell, h = rnn.ElmanCell(3, 4), None
    for t, letter in enumerate("hello"):
        x = engine.asarray(np.full((1, 3), t, dtype="float32"), name=repr(letter))
        y, h = cell(x, h)
    graph = viz.draw_rolled(y).graph
    labels = {d["label"] for _, d in graph.nodes(data=True) if d["kind"] == "input"}
    assert labels == {"'h' … 'o'", "h₋₁"}
    for level in ("cell", "rolled"):
        cell, h = rnn.GRUCell(3, 4), None
        for _ in range(3):
            y, h = cell(engine.ones((1, 3)), h)
        graph = viz.draw_unrolled(y, level=level).graph
        labels = [d["label"] for _, d in graph.nodes(data=True) if d["kind"] == "input"]
        assert sorted(labels) == ["h₋₁", *["x"] * (3 if level == "cell" else 1)]


# Cases that were once drawn wrongly, or refused with an error of Python


def test_a_network_that_reads_two_sequences_has_a_box_for_each_call():
    engine.seed(0)
    cell = rnn.GRUCell(3, 4, dtype="float64")
    net = rnn.Recurrent(cell)
    a, b = (engine.astype(data(3, 1, 3) * k, "float64") for k in (1.0, 2.0))
    runs, states = [], []
    for x in (a, b):
        h = None
        for t in range(3):
            h, _ = cell(x[t], h)
            states.append(h)
        runs.append(h)
    loss = engine.sum((runs[0] - runs[1]) ** 2)
    expected = sorted(float(np.linalg.norm(g.numpy())) for g in engine.gradients(loss, states))
    (ya, _), (yb, _) = net(a), net(b)
    both = engine.sum((ya[-1] - yb[-1]) ** 2)
    graph = viz.draw_gradients(both, max_steps=3).graph
    found = sorted(dict(d["grads"])["h"] for _, d in graph.nodes(data=True) if d["kind"] == "cell")
    assert found == pytest.approx(expected, rel=1e-9)
    norms = graph.graph["norms"]
    assert sorted(n for own in norms.values() for _, n in own) == pytest.approx(expected, rel=1e-9)


def test_edges_into_steps_that_are_left_out_are_on_the_scale():
    h = engine.asarray(np.ones((1, 2)), requires_grad=True, name="h0")
    with engine.scope("l0", cell="Tripled"):
        for t in range(20):
            with engine.scope(t=t, state="h"):
                h = h * 3.0
    diagram = viz.draw_gradients(engine.sum(h), max_steps=4)
    largest = max(d["grad_norm"] for *_, d in diagram.graph.edges(data=True)
                  if d.get("grad_norm") is not None and d["kind"] != "parameter")  # fmt: skip
    (scale,) = [swatch.text for swatch in diagram.scene.legend if swatch.wedge]
    assert scale.startswith(f"gradient, norm {number(10.0 ** math.ceil(math.log10(largest)))} … ")


@pytest.mark.parametrize("wrong", [None, 2.0, "L", [], rnn.GRU(2, 3)])
@pytest.mark.parametrize("draw", [viz.draw_unrolled, viz.draw_rolled, viz.draw_nonfinite])
def test_what_no_picture_can_be_drawn_of_is_named(draw, wrong):
    with pytest.raises(TypeError, match="a picture is drawn of a tensor, a Graph or a sequence"):
        draw(wrong)


def test_steps_are_numbers():
    loss = network("elman", 3)
    with pytest.raises(TypeError, match=r"max_steps must be a whole number, got 2\.5"):
        viz.draw_gradients(loss, max_steps=2.5)
    with pytest.raises(TypeError, match="steps must be a range of time steps, got 3"):
        viz.draw_gradients(loss, steps=3)


def test_there_is_no_path_to_a_frozen_weight():
    net = rnn.GRU(3, 4)
    net.weight_hh_l0.requires_grad = False
    y, _ = net(data(5, 1, 3))
    with pytest.raises(ValueError, match="weight_hh requires no gradient, and 5 steps use it"):
        viz.draw_bptt_path(engine.sum(y[-1] ** 2), "L", "weight_hh")


def test_a_truncated_gradient_that_is_not_finite_has_no_cosine():
    w = engine.asarray(np.eye(2, dtype="float32") * 1e30, requires_grad=True, name="w")
    h, losses = engine.ones((1, 2)), []
    with engine.scope("l0", cell="Grown"), np.errstate(all="ignore"):
        for t in range(4):
            with engine.scope(t=t, state="h"):
                h = h @ w
            losses.append(engine.sum(h))
        diagram = viz.draw_truncation(losses, 2)
    share, cosine = diagram.graph.graph["lost"]["l0.w"]
    assert math.isnan(share)
    assert math.isnan(cosine)
    assert ">not finite<" in diagram.svg()


def test_very_many_paths_are_counted_to_two_digits():
    y, _ = rnn.LSTM(2, 3)(data(60, 1, 2))
    diagram = viz.draw_bptt_path(engine.sum(y[-1] ** 2), "L", "h0", which="strongest")
    every = diagram.graph.graph["paths"].all
    assert every > 10**12
    digits = str(every)
    short = f"about {digits[0]}.{digits[1]}×10"
    assert any(short in note for note in diagram.scene.notes)
    assert not any(digits in note.replace(",", "") for note in diagram.scene.notes)
