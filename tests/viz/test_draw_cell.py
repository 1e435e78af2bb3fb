"""Draw cells: the places of everything, their numbers against differences, and highlights."""

import math
import random
import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise, product

import numpy as np
import pytest

import engine
import rnn
import viz
from engine.backends import HOST
from engine.random import random_state
from rnn.cells.terms import unmarked
from tests.browser import visit
from tests.draws import crossed, first
from tests.rnn.cells.cell_cases import Awkward, FastWeights, Tokens, Unused, cell_of, names
from tests.viz.picture_checks import faults, read
from tests.viz.pictures import SVG
from tests.viz.test_latex import SIZE, _expression
from viz.cells import factors
from viz.cells.drawing import LEAST_WIDTH
from viz.cells.factors import measure, step_norm
from viz.cells.formulas import pieces, text
from viz.cells.model import build
from viz.cells.signs import at_most

# First those of the textbooks and those that are drawn in ways of their own.
CELLS = ("LSTMCell", "GRUCell", "PeepholeLSTMCell", "LayerNormLSTMCell", "ElmanJordanCell",
         "Awkward", "Unused", "Tokens", "MLSTMCell", "Leaky")  # fmt: skip
CELLS += tuple(name for name in names() if name not in CELLS)
SMALLEST = 9.0  # pixels of the letters of a picture; small letters below may be less
LIT = "rgb(217, 72, 15)"
FIRING = {"ALIFCell", "LIFCell"}  # their slopes are a surrogate's, not those of differences


@pytest.fixture(scope="module")
def drawn():
    return Drawn()


class Drawn(dict):
    """Hold the drawing of each cell by name, drawn when it is first asked for."""

    def __missing__(self, name):
        self[name] = viz.draw_cell(cell_of(name))
        return self[name]


def role(diagram, kind):
    """Return the boxes of a kind, in the order in which they were recorded."""
    return [box for box in diagram.scene.boxes if diagram.graph.nodes[box.key]["kind"] == kind]


def middle(box):
    return box.x + box.w / 2, box.y + box.h / 2


# Geometry


@pytest.mark.parametrize("name", first(10, CELLS))
def test_nothing_lies_on_anything(drawn, name):
    assert faults(drawn[name].svg()) == []


@pytest.mark.parametrize("name", first(5, CELLS))
def test_nothing_lies_on_anything_at_the_smallest_width(name):
    diagram = viz.draw_cell(cell_of(name), width=LEAST_WIDTH)
    assert faults(diagram.svg()) == []
    assert "…" not in diagram.scene.title


@pytest.mark.parametrize("name", first(10, CELLS))
def test_the_picture_fits_a_page_and_is_legible(drawn, name):
    diagram = drawn[name]
    assert diagram.scene.width <= 800
    root = ET.fromstring(diagram.svg())
    sizes = [float(one.get("font-size")) for one in root.iter(f"{SVG}text") if one.get("font-size")]
    assert min(sizes) >= SMALLEST


def test_a_cell_that_cannot_fit_is_made_smaller_and_says_which_width_it_needs():
    diagram = viz.draw_cell(rnn.LTCCell(3, 4))
    assert float(ET.fromstring(diagram.svg()).get("width")) == 800
    note = " ".join(diagram.scene.notes)
    least = int(re.search(r"width=(\d+) keeps them at 9", note).group(1))
    assert "Too wide" not in " ".join(viz.draw_cell(rnn.LTCCell(3, 4), width=least).scene.notes)


@pytest.mark.parametrize("name", first(10, CELLS))
def test_boxes_and_wires_of_a_step_stand_on_its_band(drawn, name):
    scene = drawn[name].scene
    (band,) = scene.bands
    ops = [
        box for box in scene.boxes if drawn[name].graph.nodes[box.key]["kind"] in ("op", "layer")
    ]
    for box in ops:
        assert band.x < box.x
        assert box.x + box.w < band.x + band.w
    inside = {box.key for box in ops}
    for wire in scene.wires:
        if {wire.source, wire.target} <= inside:
            assert all(band.x < x < band.x + band.w for x, _ in wire.points), wire.title


def along(a, b):
    """Return the pixels that two straight stretches run along each other."""
    for axis, other in ((0, 1), (1, 0)):
        if a[0][other] == a[1][other] == b[0][other] == b[1][other]:
            low = max(min(p[axis] for p in a), min(p[axis] for p in b))
            return max(0.0, min(max(p[axis] for p in a), max(p[axis] for p in b)) - low)
    return 0.0


def shared(wires):
    """Return pairs of wires of different sources that run along each other."""
    found = []
    for one, other in combinations(wires, 2):
        stretches = product(pairwise(one.points), pairwise(other.points))
        if one.source != other.source and any(along(a, b) > 0.01 for a, b in stretches):
            found.append((one.title, other.title))
    return found


@pytest.mark.parametrize("name", first(10, CELLS))
def test_wires_of_two_sources_cross_and_never_run_together(drawn, name):
    assert shared(drawn[name].scene.wires) == []


@pytest.mark.parametrize("seed", first(2, [1, 3, 8, 26, 37, 41]))
def test_random_steps_have_room_for_every_wire(seed):
    class Random(rnn.Cell):
        input_size, state_size = SIZE, {"h": SIZE}

        def step(self, x, h):
            h = engine.tanh(_expression(random.Random(seed), 4, x, h) * 1.0)
            return h, h

    diagram = viz.draw_cell(Random())
    assert len(diagram.scene.boxes) > 10
    assert faults(diagram.svg()) == []
    assert shared(diagram.scene.wires) == []


def test_wires_that_run_together_are_found(drawn):
    one, *_ = drawn["LSTMCell"].scene.wires
    assert shared([one, one._replace(source=99)])


@pytest.mark.parametrize("name", first(10, CELLS))
def test_words_stand_beside_wires(drawn, name):
    picture = read(drawn[name].svg())
    words = [word for word in picture.words if word.kind == "chart"]
    assert words
    for wire in picture.wires:
        for (ax, ay), (bx, by) in pairwise(wire.points):
            x0, x1 = sorted((ax, bx))
            y0, y1 = sorted((ay, by))
            for word in words:
                assert not (word.x0 < x1 and word.x1 > x0 and word.y0 < y1 and word.y1 > y0
                            ), (word, wire)  # fmt: skip
                assert not (ax == bx and word.x0 < ax < word.x1 and word.y0 < y1 and word.y1 > y0)
                assert not (ay == by and word.y0 < ay < word.y1 and word.x0 < x1 and word.x1 > x0)


def test_an_lstm_looks_as_in_the_textbooks(drawn):
    diagram = drawn["LSTMCell"]
    layers, ops = role(diagram, "layer"), role(diagram, "op")
    assert [box.lines[0] for box in layers] == ["σ", "σ", "tanh", "σ"]
    assert [box.lines[0] for box in ops] == ["⊙", "⊙", "+", "tanh", "⊙"]
    assert len({box.y for box in layers}) == 1
    assert [box.x for box in layers] == sorted(box.x for box in layers)
    h, c = role(diagram, "state")
    h_new, c_new = role(diagram, "result")
    (x,) = role(diagram, "input")
    lane = [middle(box)[1] for box in (c, ops[0], ops[2], c_new)]
    assert len(set(lane)) == 1, "c is no straight lane"
    assert lane[0] < min(middle(box)[1] for box in (*layers, ops[1], *ops[3:]))
    assert middle(h)[1] == middle(h_new)[1] > max(box.y + box.h for box in layers)
    assert x.y > middle(h)[1]
    assert c.x + c.w < min(box.x for box in (*layers, *ops)) < c_new.x
    straight = {(w.source, w.target): w for w in diagram.scene.wires}
    for a, b in pairwise((c, ops[0], ops[2], c_new)):
        assert len(straight[a.key, b.key].points) == 2
        assert straight[a.key, b.key].width > straight[h.key, layers[0].key].width


def test_what_is_read_stands_on_the_left(drawn):
    for name in CELLS:
        diagram = drawn[name]
        box = {one.key: one for one in diagram.scene.boxes}
        for wire in diagram.scene.wires:
            if diagram.graph.nodes[wire.source]["kind"] != "input":
                a, b = middle(box[wire.source]), middle(box[wire.target])
                assert a[0] < b[0] or (a[0] == b[0] and b[1] < a[1]), (name, wire.title)


# Boxes and wires


def test_each_gate_is_one_box_with_its_weights(drawn):
    graph = drawn["LSTMCell"].graph
    layers = [n for n, kind in graph.nodes(data="kind") if kind == "layer"]
    for n in layers:
        assert [graph.nodes[a]["full"] for a in graph.predecessors(n)] == ["xₜ", "hₜ₋₁"]
        assert graph.nodes[n]["weights"] == ("W_{ih}", "b_{ih}", "W_{hh}", "b_{hh}")
    peephole = drawn["PeepholeLSTMCell"].graph
    read = [sorted(peephole.nodes[a]["full"] for a in peephole.predecessors(n))
            for n, kind in peephole.nodes(data="kind") if kind == "layer"]  # fmt: skip
    assert read == [["cₜ₋₁", "hₜ₋₁", "xₜ"]] * 2 + [["hₜ₋₁", "xₜ"], ["cₜ", "hₜ₋₁", "xₜ"]]


def test_a_norm_is_one_box(drawn):
    signs = [box.lines for box in drawn["LayerNormLSTMCell"].scene.boxes]
    assert signs.count(("σ", "LN")) == 3
    assert ("tanh", "LN") in signs
    assert ("LN",) in signs


def test_constants_stand_in_their_op(drawn):
    signs = [box.lines[0] for box in role(drawn["Leaky"], "op")]
    assert signs == ["×0.9", "tanh", "×0.1", "+"]
    assert "1 −" in [box.lines[0] for box in role(drawn["GRUCell"], "op")]


def test_nothing_is_left_out():
    diagram = viz.draw_cell(Unused())
    full = [diagram.graph.nodes[box.key]["full"] for box in diagram.scene.boxes]
    assert {"xₜ", "hₜ₋₁", "kₜ₋₁", "hₜ", "kₜ", "yₜ"} <= set(full)
    into = {diagram.graph.nodes[w.target]["full"] for w in diagram.scene.wires}
    assert "hₜ" in into


# Numbers


def replayed(model, record, part, source, values):
    """Compute the value of a box with other values of one source and the old ones of the rest.

    Every op is computed again by its forward rule: no derivative rule takes part.
    """
    fixed = {model.parts[use.source].tensor.node: model.parts[use.source].tensor.numpy()
             for use in model.into(part.key)}  # fmt: skip
    fixed[source.tensor.node] = values
    found = dict(fixed)
    for node in record.graph.nodes:
        if node in found:
            continue
        known = record.graph.tensor(node).numpy()
        if node.inputs and any(x.node in found for x in node.inputs if hasattr(x, "node")):
            inputs = [
                found.get(x.node, x.numpy()) if hasattr(x, "node") else x for x in node.inputs
            ]
            known = node.op.forward(HOST.xp, *inputs, **node.attrs)
            found[node] = known
        if node is part.tensor.node:
            return np.asarray(known)
    raise AssertionError("the box is not on the graph")


def difference(f, x, step=1e-6):
    """Compute the Jacobian of f at x by central differences."""
    columns = []
    for i in range(x.size):
        moved = [x.copy() for _ in range(2)]
        moved[0].flat[i] += step
        moved[1].flat[i] -= step
        columns.append((f(moved[0]) - f(moved[1])).ravel() / (2 * step))
    return np.stack(columns, axis=1)


def in_float64(cell):
    return cell.to(engine.float64) if cell.parameters() else cell


@pytest.mark.parametrize("name", first(12, [name for name in CELLS if name not in FIRING]))
def test_factors_are_norms_of_differences(name):
    cell = in_float64(cell_of(name)).eval()
    rng = np.random.default_rng(1)
    given = {}
    if cell.state_size == {"h": 3}:  # no weights say that it is to be float64
        given = {"x": rng.normal(size=(1, 3)), "states": rng.normal(size=(1, 3))}
    record = cell.recorded_step(**given)
    model = build(record)
    measure(model)
    measured = 0
    for use in model.uses:
        source, part = model.parts[use.source], model.parts[use.target]
        if use.factor is None or part.role == "result":
            continue
        double = source.tensor.dtype == engine.float64
        table = difference(lambda v, p=part, s=source: replayed(model, record, p, s, v),
                           source.tensor.numpy(), 1e-6 if double else 1e-2)  # fmt: skip
        want = np.linalg.norm(table, 2)
        np.testing.assert_allclose(use.factor, want, rtol=2e-7 if double else 2e-2, atol=1e-9)
        measured += 1
    assert measured or name == "Unused"


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "LayerNormLSTMCell", "ElmanJordanCell"])
def test_the_title_has_the_norm_of_the_whole_step(name):
    # The largest singular value of all new states by all old ones, from differences.
    cell = in_float64(cell_of(name))
    record = cell.recorded_step()
    (x,), old = record.inputs.values(), list(record.states.values())

    def run(values, k, state):
        states = tuple(engine.asarray(values) if i == k else s.detach() for i, s in enumerate(old))
        new = cell.step(x.detach(), states if len(states) > 1 else states[0])[1]
        return (new if isinstance(new, tuple) else (new,))[state].numpy()

    some = range(len(old))
    blocks = [[difference(lambda v, k=k, s=s: run(v, k, s), old[k].numpy()) for k in some]
              for s in some]  # fmt: skip
    want = np.linalg.norm(np.block(blocks), 2)
    np.testing.assert_allclose(step_norm(record), want, rtol=2e-7)
    own = ", ".join(state.partition("_")[0] for state in record.new)
    own = f"({own})" if len(old) > 1 else own
    assert f"at most {at_most(want)} of dL/d{own}" in viz.draw_cell(cell).scene.title


def travelled(cell, xs, weights):
    """Return the states into each step, and the joint norm of the gradient of a last loss by them.

    They are handed on as copies, so that h and c of one step are free of each other.
    """
    states = tuple(engine.zeros((1, 5), dtype="float64", requires_grad=True) for _ in "hc")
    taken = []
    for x in xs:
        taken.append(states)
        states = tuple(own * 1.0 for own in cell(engine.asarray(x), states)[1])
    taken.append(states)
    read = [engine.sum(own * w) for own, w in zip(states, weights, strict=True)]
    loss = engine.tanh(read[0] + read[1])
    found = [engine.gradients(loss, list(own)) for own in taken]
    return taken, [np.sqrt(sum(np.sum(g.numpy() ** 2) for g in own)) for own in found]


@pytest.mark.parametrize(("name", "seed"), first(1, crossed(
    ["LSTMCell", "LayerNormLSTMCell", "CoupledLSTMCell", "PeepholeLSTMCell"], range(4)
)))  # fmt: skip
def test_no_gradient_keeps_more_of_its_norm_than_the_title_says(name, seed):
    engine.seed(seed)
    rng = np.random.default_rng(seed)
    cell = getattr(rnn, name)(3, 5, dtype="float64")
    for weight in cell.parameters():
        weight.data = weight.data * rng.choice([1.0, 3.0])
    xs = rng.normal(size=(4, 1, 3))
    for k in range(3):  # a loss of h, of both, and of c
        weights = rng.normal(size=(2, 1, 5)) * [[[k < 2]], [[k > 0]]]
        taken, norms = travelled(cell, xs, weights)
        for t, x in enumerate(xs):
            states = tuple(own.numpy() for own in taken[t])
            title = viz.draw_cell(cell, x=x, states=states).scene.title
            bound = step_norm(cell.recorded_step(x, states))
            told = title.partition("at most ")[2].partition(" of dL/d(h, c)")[0]
            assert told == at_most(bound)
            assert norms[t] <= bound * norms[t + 1] * (1 + 1e-9)
            assert norms[t] <= float(told) * norms[t + 1]
    U = np.linalg.svd(joint(cell, xs[-1], states)).U
    _, norms = travelled(cell, xs, U[:, 0].reshape(2, 1, 5))
    assert norms[-2] / norms[-1] == pytest.approx(bound, rel=1e-9)  # the bound is met


def joint(cell, x, states):
    """Return the derivative of (h, c) after a step by both before it, row by row."""
    old = [engine.asarray(s, requires_grad=True) for s in states]
    new = cell(engine.asarray(x), tuple(old))[1]
    rows = [engine.gradients(one[0, i], old) for one in new for i in range(one.shape[1])]
    return np.array([np.concatenate([np.zeros(5) if g is None else g.numpy()[0] for g in row])
                     for row in rows])  # fmt: skip


def test_a_factor_is_that_of_the_gate():
    cell = in_float64(rnn.LSTMCell(3, 5))
    diagram = viz.draw_cell(cell)
    record = cell.recorded_step()
    (h, c), x = record.states.values(), record.inputs["x_t"]
    W = cell.weight_ih.numpy(), cell.weight_hh.numpy()
    a = x.numpy() @ W[0].T + h.numpy() @ W[1].T + cell.bias_ih.numpy() + cell.bias_hh.numpy()
    f = 1 / (1 + np.exp(-a[:, 5:10]))
    edge = {(diagram.graph.nodes[a]["full"], diagram.graph.nodes[b]["full"]): d
            for a, b, d in diagram.graph.edges(data=True)}  # fmt: skip
    np.testing.assert_allclose(edge["cₜ₋₁", "fₜ ⊙ cₜ₋₁"]["jacobian_norm"], f.max(), rtol=1e-12)
    np.testing.assert_allclose(edge["fₜ", "fₜ ⊙ cₜ₋₁"]["jacobian_norm"], abs(c.numpy()).max())
    slope = f * (1 - f)
    np.testing.assert_allclose(edge["hₜ₋₁", "fₜ"]["jacobian_norm"],
                               np.linalg.norm(slope.T * W[1][5:10], 2), rtol=1e-12)  # fmt: skip


def test_a_planted_factor_is_noticed():
    cell = in_float64(rnn.GRUCell(3, 5))
    record = cell.recorded_step()
    model = build(record)
    measure(model)
    use = next(use for use in model.uses if use.factor not in (None, 1.0))
    source, part = model.parts[use.source], model.parts[use.target]
    table = difference(lambda v: replayed(model, record, part, source, v), source.tensor.numpy())
    assert abs(1.01 * use.factor - np.linalg.norm(table, 2)) > 1e-4


@pytest.mark.parametrize(
    "name", first(2, ["LayerNormLSTMCell", "GRUCell", "LSTMCell", "PeepholeLSTMCell"])
)
def test_all_rows_at_once_give_what_one_after_the_other_gives(monkeypatch, name):
    cell = in_float64(getattr(rnn, name)(3, 40))
    record = cell.recorded_step()
    found = []
    for few in (0, 10_000):
        monkeypatch.setattr(factors, "FEW", few)
        model = build(record)
        measure(model)
        found.append([use.factor for use in model.uses] + [step_norm(record)])
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        assert one is None or abs(one - other) <= 1e-12 * abs(other)


def test_rows_that_depend_on_each_other_are_not_computed_at_once():
    class Coupled(rnn.Cell):
        input_size, state_size = 40, {"h": 40}

        def step(self, x, h):
            h = h * engine.sum(x, axis=0, keepdims=True)
            return h, h

    x, h = np.random.default_rng(0).normal(size=(2, 1, 40))
    record = Coupled().recorded_step(x, h)
    (new,), given = record.results.values(), [*record.inputs.values(), *record.states.values()]
    assert factors._at_once(new, given) is None
    by_x, by_h = factors.jacobians(new, given)
    np.testing.assert_allclose(by_x.numpy(), np.diag(h[0]), rtol=1e-12)
    np.testing.assert_allclose(by_h.numpy(), np.diag(x[0]), rtol=1e-12)


def test_norms_of_values_stand_on_boxes(drawn):
    cell = rnn.GRUCell(3, 5)
    x, h = np.full((1, 3), 0.5, "f"), np.full((1, 5), -0.25, "f")
    graph = viz.draw_cell(cell, x=x, states=h).graph
    node = {graph.nodes[n]["full"]: graph.nodes[n] for n in graph}
    np.testing.assert_allclose(node["xₜ"]["value_norm"], np.linalg.norm(x), rtol=1e-6)
    _, new = cell(engine.asarray(x), engine.asarray(h))
    np.testing.assert_allclose(node["hₜ"]["value_norm"], np.linalg.norm(new.numpy()), rtol=1e-6)


def test_what_has_no_derivative_says_so():
    graph = viz.draw_cell(Tokens()).graph
    (label,) = [d["label"] for a, _, d in graph.edges(data=True) if graph.nodes[a]["full"] == "xₜ"]
    assert "no derivative: not floats" in label
    choice = viz.draw_cell(Awkward()).graph
    assert any(d["jacobian_norm"] is None and choice.nodes[b]["kind"] == "op"
               for _, b, d in choice.edges(data=True))  # fmt: skip


# Equations


@pytest.mark.parametrize("name", first(10, CELLS))
def test_the_equations_are_those_that_latex_prints(drawn, name):
    cell = cell_of(name)
    lines = [unmarked(line) for line in cell.recorded_step().equations]
    assert lines == rnn.latex(cell).replace(" \\\\\n", "\n").splitlines()[1:-1]
    root = ET.fromstring(drawn[name].svg())
    shown = "".join(
        "".join(run.find(f"{SVG}title").tail if run.find(f"{SVG}title") is not None else run.text
                for run in one.findall(f"{SVG}tspan"))
        for one in root.iter(f"{SVG}text") if one.get("class") == "formula")  # fmt: skip
    for line in lines:
        whole = "".join(piece.text for piece in pieces(line))
        assert bare(whole) in bare(shown)


def bare(words):
    return re.sub(r"\s", "", words)


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"h_t &= \frac{a_t + 1}{2} \odot x_{t-1}", "hₜ = (aₜ + 1)/2 ⊙ xₜ₋₁"),
        (r"y &= \sqrt{x^{2}}", "y = √x^2"),
        (r"y &= x W^{\top}", "y = x W^⊤"), (r"y &= {E}_{x_t}", "y = E_xₜ"),
        (r"y &= {W_{ch}}_{0} \odot c_{t-1}", "y = W_ch,0 ⊙ cₜ₋₁"),
        (r"y &= \left|x_t\right| - 1 \cdot 10^{-7}", "y = |xₜ| − 1 · 10^−7"),
        (r"y &= \mathrm{where}\left(x_t \le 0, a_{f,t}, \infty\right)",
         "y = where(xₜ ≤ 0, a_f,t, ∞)"),
    ],
)  # fmt: skip
def test_latex_is_set_as_letters(latex, plain):
    assert text(pieces(latex)) == plain


# What it takes and gives


def test_numbers_that_are_given_are_used():
    cell = rnn.LSTMCell(3, 5)
    x, h, c = np.ones(3, "f"), np.zeros((1, 5), "f"), np.full((1, 5), 3.0, "f")
    for states in ((h, c), {"c": c, "h": h}, [h, c]):
        diagram = viz.draw_cell(cell, x=x, states=states)
        node = {diagram.graph.nodes[n]["full"]: diagram.graph.nodes[n] for n in diagram.graph}
        np.testing.assert_allclose(node["cₜ₋₁"]["value_norm"], np.linalg.norm(c), rtol=1e-6)
        assert node["hₜ₋₁"]["value_norm"] == 0
        assert "on the values given" in " ".join(diagram.scene.notes)
    rows = viz.draw_cell(cell, x=np.ones((2, 3), "f"))
    assert rows.graph.nodes[0]["shape"] == (2, 3)


def test_pytrees_of_inputs_are_drawn():
    diagram = viz.draw_cell(FastWeights(), x={"k": np.ones((2, 3), "f"), "v": np.ones((2, 2), "f")})
    assert [box.lines for box in role(diagram, "input")] == [("kₜ",), ("vₜ",)]


def test_the_same_cell_makes_the_same_bytes_and_draws_no_number():
    cell = rnn.LSTMCell(3, 5)
    before = random_state()
    first = viz.draw_cell(cell).svg()
    assert random_state() == before
    engine.seed(77)
    assert viz.draw_cell(cell).svg() == first


def test_mistakes_are_errors():
    with pytest.raises(TypeError, match=r"draw_cell: expected a cell, .*, got Linear$"):
        viz.draw_cell(rnn.Linear(3, 2))
    with pytest.raises(TypeError, match=r"expected a cell, .*, got the class GRUCell; make one"):
        viz.draw_cell(rnn.GRUCell)
    with pytest.raises(TypeError, match=r"expected a cell, .*, got the class Linear$"):
        viz.draw_cell(rnn.Linear)
    with pytest.raises(ValueError, match="expected states h, got q"):
        viz.draw_cell(rnn.GRUCell(3, 5), states={"q": np.ones((1, 5), "f")})
    with pytest.raises(TypeError, match="expected a title as text, got 3"):
        viz.draw_cell(rnn.GRUCell(3, 5), title=3)
    for width, error in ((0, ValueError), (math.nan, ValueError), ("800", TypeError)):
        with pytest.raises(error, match="draw_cell: expected a width in pixels, 480 or more, got"):
            viz.draw_cell(rnn.GRUCell(3, 5), width=width)
    with pytest.raises(ValueError, match="expected states h, c of shapes"):
        viz.draw_cell(rnn.LSTMCell(3, 5), states=(np.ones((1, 4)), np.ones((1, 5))))
    with pytest.raises(ValueError, match="the input has 4 features and the weight expects 3"):
        viz.draw_cell(rnn.LSTMCell(3, 5), x=np.ones((1, 4), "f"))


def test_it_is_written_in_every_format(tmp_path):
    diagram = viz.draw_cell(rnn.GRUCell(3, 5), title="A GRU", width=900)
    assert diagram.scene.title == "A GRU"
    for suffix in (".svg", ".html", ".png", ".pdf", ".dot", ".json", ".graphml"):
        assert diagram.render(tmp_path / f"cell{suffix}").stat().st_size > 1_000


# What lights up


MIDDLE = """(() => {{ const all = [...document.querySelectorAll({0!r})].filter(one => {1});
const r = all[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
LIT_LETTERS = f"""[...document.querySelectorAll('tspan')].filter(one =>
getComputedStyle(one).fill === '{LIT}').map(one => one.lastChild.textContent).join('')"""
LIT_WIRES = f"""[...document.querySelectorAll('.edge')].filter(one =>
getComputedStyle(one.querySelector('path')).stroke === '{LIT}')
.map(one => [+one.dataset.source, +one.dataset.target])"""
LIT_BOXES = f"""[...document.querySelectorAll('.node')].filter(one =>
getComputedStyle(one.querySelector('rect')).stroke === '{LIT}').map(one => +one.dataset.id)"""


def hover(page, selector, which="true"):
    page.page.mouse.move(*page(MIDDLE.format(selector, which)))
    page.page.wait_for_timeout(50)


@pytest.mark.parametrize("kind", ["svg", "page"])
def test_wires_terms_and_boxes_light_up_together(browser, drawn, tmp_path, kind):
    diagram = drawn["LSTMCell"]
    (x,), (_, c) = role(diagram, "input"), role(diagram, "state")
    layers, ops = role(diagram, "layer"), role(diagram, "op")
    document = f"<!DOCTYPE html><body>{diagram.svg()}</body>"
    if kind == "page":
        document = diagram.to_html(tmp_path / "cell.html").read_text(encoding="utf-8")
    with visit(browser, document, tmp_path, viewport={"width": 1300, "height": 900}) as page:
        rights = page("[...document.querySelectorAll('tspan')].map(one => "
                      "one.getBoundingClientRect().right)")  # fmt: skip
        assert max(rights) <= 1300, "the equations are cut off"
        assert page(LIT_WIRES) == page(LIT_BOXES) == []
        hover(page, f'.edge[data-source="{c.key}"][data-target="{ops[0].key}"] path')
        assert page(LIT_LETTERS) == "ct−1"
        assert page(LIT_WIRES) == [[c.key, ops[0].key]]
        hover(page, "tspan", "one.lastChild.textContent === 'x'")
        assert page(LIT_WIRES) == [[x.key, layer.key] for layer in layers]
        hover(page, f'.node[data-id="{ops[2].key}"]')
        assert bare(page(LIT_LETTERS)) == "ct" + "ct" + "ft⊙ct−1+it⊙gt"
        assert page(LIT_BOXES) == [ops[2].key]


def test_hovering_says_the_factor(drawn):
    diagram = drawn["LSTMCell"]
    root = ET.fromstring(diagram.svg())
    edges = diagram.graph.edges(data=True)
    for part in root.iter(f"{SVG}g"):
        if (part.get("class") or "").startswith("edge"):
            ends = int(part.get("data-source")), int(part.get("data-target"))
            (factor,) = [d["jacobian_norm"] for a, b, d in edges if (a, b) == ends]
            title = part.findtext(f"{SVG}title")
            assert factor is None or f": {viz.labels.number(factor)} (largest" in title
    titles = [one.text for one in root.iter(f"{SVG}title")]
    assert any(title.startswith("∂(fₜ ⊙ cₜ₋₁)/∂cₜ₋₁: ") for title in titles)
    assert not re.search("<script|href|http(?!://www.w3.org)", diagram.svg())
