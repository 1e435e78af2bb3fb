"""Find where the first NaN or infinity was made: against brute force, and as a picture."""

import math
import time

import numpy as np
import pytest

import engine
import rnn
from tests.draws import first, leaf, normal
from tests.viz import picture_checks
from tests.viz.pictures import network
from viz.analysis.first_nonfinite import find_fault, span
from viz.drawings.forensics import WHOLE, draw_nonfinite
from viz.scene import Words

pytestmark = pytest.mark.usefixtures("quiet")


def fault_of(*outputs, grad=True, infinite=True):
    graph = engine.Graph.of(*engine.expanded(*outputs))
    return find_fault(graph, grad=grad, infinite=infinite)[0]


def fine(x):
    return np.isfinite(x.numpy()).all()


def traces(diagram):
    return {d["label"]: d["trace"] for _, d in diagram.graph.nodes(data=True)}


# ---- finding it


@pytest.mark.parametrize("seed", range(30))
def test_the_first_fault_is_that_of_brute_force(seed):
    # Random programs in which some op makes something that is not finite, or none does.
    rng = np.random.default_rng(seed)
    values = [leaf(rng.normal(size=(2, 3))), leaf(np.abs(rng.normal(size=(2, 3))))]
    ops = [engine.sin, engine.exp, engine.log, engine.sqrt, engine.reciprocal,
           lambda x: x - x, lambda x: x * 1e200, lambda x: x + values[0]]  # fmt: skip
    for _ in range(12):
        values.append(ops[rng.integers(len(ops))](values[rng.integers(len(values))]))
    loss = sum(engine.sum(v) for v in values)
    graph = engine.Graph.of(loss)
    broken = [n for n in graph.nodes if not fine(graph.tensor(n))]
    found = fault_of(loss, grad=False)
    if not broken:
        assert found is None
        return
    assert found.node is broken[0]
    assert not found.backward
    assert all(fine(x) for x in found.node.inputs if isinstance(x, engine.Tensor))
    value = graph.tensor(found.node).numpy()[found.index]
    assert not np.isfinite(value)
    assert found.spoiled == {n for n in broken if n in graph.descendants(found.node)}


@pytest.mark.parametrize(
    ("make", "headline"),
    [
        (lambda x: engine.log(x), "log of 0 at [3, 1] gives −inf"),
        (lambda x: x / x, "divide of 0 and 0 at [3, 1] gives NaN"),
        (lambda x: 1.0 / x, "divide of 1 and 0 at [3, 1] gives inf"),
        (lambda x: engine.sqrt(x - 1e-3), "sqrt of −0.001 at [3, 1] gives NaN"),
        (lambda x: engine.log(engine.ones((2, 4, 2)) * x), "log of 0 at [0, 3, 1] gives −inf"),
        (lambda x: engine.ones((2, 4, 2)) / x, "divide of 1 and 0 at [0, 3, 1] gives inf"),
        (lambda x: engine.ones((2, 4, 2)) / x[3:], "divide of 1 and 0 at [0, 0, 1] gives inf"),
        (lambda x: engine.sum((x + 1.0) * 5e307), "sum gives inf"),
        (lambda x: (x * 0 + 1e200) @ (x.T * 0 + 1e200), "matmul gives inf at [0, 0]"),
        (lambda x: x * math.inf, "multiply of 2 and inf at [0, 0] gives inf"),
    ],
)
def test_what_made_it_is_said_with_the_element_and_its_inputs(make, headline):
    x = np.full((4, 2), 2.0)
    x[3, 1] = 0.0
    assert fault_of(make(leaf(x, name="x")), grad=False).headline == headline


def test_facts_say_how_many_and_between_which_numbers():
    x = leaf([0.0, 3.0, -1.0], name="x")
    found = fault_of(engine.log(x))
    assert found.facts == ("1 NaN and 1 infinite of 3 results", "input 0, x: min −1, max 3")
    given = leaf([math.nan, 1.0], name="given")
    found = fault_of(given * 2.0)
    assert found.headline == "given holds NaN at [0]"
    assert found.facts == ("1 NaN of 2 values",)
    assert fault_of(leaf(math.inf) * 1.0).headline == "a leaf holds inf"
    assert span(np.array([math.inf])) == "nothing finite"
    assert span(np.array([2, 2])) == "all 2"
    assert span(np.array([True])) == "bool, 1 elements"
    found = fault_of(engine.log(engine.where(engine.asarray([True, True, False]), x, 1.0)))
    assert found.facts[1] == "input 0, where: min 0, max 3"


def test_infinities_may_be_passed_over():
    mask = engine.asarray([0.0, -math.inf])
    x = leaf([1.0, 2.0], name="x")
    y = engine.softmax(x + mask, axis=-1)
    assert fault_of(engine.sum(y)).headline == "a leaf holds −inf at [1]"
    assert fault_of(engine.sum(y), infinite=False) is None
    found = fault_of(engine.sum((x + mask) * 0.0), infinite=False)
    assert found.headline == "multiply of −inf and 0 at [1] gives NaN"


def test_gradients_are_looked_at_where_values_are_fine():
    x = leaf([4.0, 0.0], name="x")
    loss = engine.sum(engine.sqrt(x) * 3.0)
    found = fault_of(loss)
    assert found.headline == "the derivative of sqrt at 0 at [1] gives inf"
    assert (found.backward, found.slot, found.index) == (True, 0, (1,))
    assert found.facts == ("1 infinite of 2 numbers", "gradient that came: all 3",
                           "input 0, x: min 0, max 4")  # fmt: skip
    assert found.spoiled == {x.node}
    assert fault_of(loss, grad=False) is None
    found = fault_of(engine.sum(leaf([0.0]) ** leaf([0.5])))
    assert found.headline == "the derivative of power by input 0 at 0 and 0.5 at [0] gives inf"


def test_finite_contributions_may_sum_up_to_an_infinity():
    x = leaf([1e-300], name="x")
    loss = engine.sum(x * 1e308 * 1e0) + engine.sum(x * 1e308)
    found = fault_of(loss)
    assert (found.slot, found.node) == (None, x.node)
    assert found.headline == "the contributions to the gradient of x sum up to inf at [0]"


def test_derivatives_of_other_ops_name_the_place_alone():
    x = leaf(np.full((2, 2), 1e-200), name="x")
    w = leaf(np.full((2, 2), 1e200), name="w")
    found = fault_of(engine.sum((x @ w) * 1e200))
    assert found.headline == "the derivative of matmul by input 0 at [0, 0] gives inf"


def test_a_checkpoint_with_several_results_is_looked_at_as_one():
    x = leaf([0.0, 1.0], name="x")
    a, b = engine.checkpoint(lambda x: (engine.log(x), engine.sin(x)))(x)
    found = fault_of(engine.sum(a) + engine.sum(b), grad=False)
    assert found.node is a.node.inputs[0].node
    a, b = engine.checkpoint(lambda x: (engine.sqrt(x), engine.sin(x)))(x)
    found = fault_of(engine.sum(a) + engine.sum(b))
    assert found.headline.startswith("the derivative of checkpoint")


# ---- the picture


def test_a_clean_graph_says_that_all_is_finite():
    x = leaf([1.0, 2.0], name="x")
    diagram = draw_nonfinite(engine.sum(engine.exp(x)))
    assert diagram.scene.notes == ("All 5 values of 3 nodes are finite",
                                   "So are the gradients of 3 nodes")  # fmt: skip
    assert diagram.graph.graph["fault"] == ""
    assert draw_nonfinite(engine.exp(x), infinite=False).scene.notes == (
        "All 4 values of 2 nodes are not NaN",
        "Gradients were not looked at: no single number requires one",
    )  # fmt: skip
    assert draw_nonfinite(engine.sum(x), grad=False).scene.notes[1] == (
        "Gradients were not looked at: grad=False")  # fmt: skip


def test_the_cone_is_distinguished_from_the_rest():
    x, w = leaf([1.0, 0.0], name="x"), leaf([1.0, 2.0], name="w")
    loss = engine.sum(engine.log(engine.abs(x)) * w) + engine.sum(engine.sin(w))
    diagram = draw_nonfinite(loss)
    found = traces(diagram)
    assert (found["x"], found["abs"], found["log"]) == ("led", "led", "fault")
    assert (found["w"], found["sin"]) == ("", "")
    assert (found["×"], found["+"]) == ("spoiled", "spoiled")
    boxes = {box.lines[0]: box for box in diagram.scene.boxes}
    assert boxes["log"].lines == ("log",)
    assert boxes["log"].mark == "!"
    pale = sorted(box.lines[0] for box in diagram.scene.boxes if box.dim)
    assert pale == ["sin", "w", "Σ"]
    names = {box.key: box.lines[0] for box in diagram.scene.boxes}
    dark = [wire for wire in diagram.scene.wires if wire.color == "#111111"]
    assert [(names[wire.source], names[wire.target]) for wire in dark] == [
        ("log", "×"), ("×", "Σ"), ("Σ", "+")]  # fmt: skip
    assert diagram.scene.notes == ()
    assert diagram.graph.graph["fault"] == "log of 0 at [1] gives −inf"


def test_the_finding_stands_under_the_picture_and_makes_no_box_larger():
    x, w = leaf([1.0, 0.0], name="x"), leaf([1.0, 2.0], name="w")
    diagram = draw_nonfinite(engine.sum(engine.log(engine.abs(x)) * w))
    fault = next(box for box in diagram.scene.boxes if box.lines[0] == "log")
    others = [box for box in diagram.scene.boxes if box.lines[0] in ("abs", "×", "Σ")]
    assert {box.h for box in others} == {fault.h}
    assert fault.w <= max(box.w for box in others) + 10
    words = [s for s in diagram.scene.shapes if isinstance(s, Words)]
    assert [s.text for s in words] == [
        "!", "log of 0 at [1] gives −inf", "1 infinite of 2 results", "input 0, abs: min 0, max 1",
    ]  # fmt: skip
    lowest = max(box.y + box.h for box in diagram.scene.boxes)
    assert all(lowest < s.y < diagram.scene.height for s in words)
    assert not picture_checks.words_on_words(picture_checks.read(diagram.svg()))
    assert not picture_checks.beyond_the_sheet(picture_checks.read(diagram.svg()))


def test_the_cone_of_a_gradient_runs_the_other_way():
    x = leaf([1.0, 0.0], name="x")
    diagram = draw_nonfinite(engine.sum(engine.sin(engine.sqrt(engine.abs(x)))))
    found = traces(diagram)
    # The slope of |x| at 0 is 0 under an infinite gradient too, so that x is not reached.
    assert found == {"x": "", "abs": "spoiled", "√": "fault", "sin": "led", "Σ": "led"}
    assert "All values are finite; the gradient runs against the arrows" in diagram.scene.notes
    assert diagram.scene.title == "The first gradient that is not finite: sqrt"


def broken_net(steps, at):
    engine.seed(1)
    x = normal(steps, 1, 3)
    x[at, 0, 1] = math.inf
    net = rnn.GRU(3, 4)
    return engine.sum(net(engine.asarray(x, name="x"))[0])


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_fused_recurrences_are_looked_into(level):
    diagram = draw_nonfinite(broken_net(40, 17), level=level)
    faults = [d for _, d in diagram.graph.nodes(data=True) if d["trace"] == "fault"]
    assert [d["t"] for d in faults] == [17]
    assert diagram.graph.graph["fault"] == "x holds inf at [0, 1]"
    assert any("nodes shown: those nearest by" in note for note in diagram.scene.notes)
    assert len(diagram.graph) < WHOLE


def test_a_small_graph_of_many_steps_is_shown_around_the_fault():
    h = leaf([0.5], name="h")
    for t in range(30):
        with engine.scope(t=t):
            h = engine.tanh(h) if t != 20 else engine.log(h * 0.0)
    diagram = draw_nonfinite(engine.sum(h), max_steps=4)
    shown = {d["t"] for _, d in diagram.graph.nodes(data=True)} - {None}
    assert shown == {18, 19, 20, 21}
    assert diagram.scene.title == "The first value that is not finite: log at top/t=20"


@pytest.mark.parametrize("pairs", first(1, [5_000, 50_000]))
def test_a_chain_of_very_many_nodes(pairs):
    y = leaf([1.0, 2.0], name="x")
    for i in range(pairs):
        y = y * 1.0
        y = y / 0.0 if i == pairs // 5 * 2 else y + 1e-9
    loss = engine.sum(y)
    start = time.process_time()
    diagram = draw_nonfinite(loss)
    assert time.process_time() - start < 40  # it takes a few
    assert diagram.graph.graph["fault"] == "divide of 1 and 0 at [0] gives inf"
    assert len(diagram.graph) == 32
    assert f"32 of {2 * pairs + 2:,} nodes shown: those nearest by" in diagram.scene.notes
    y = leaf([1.0, 2.0], name="x")
    for _ in range(3000):
        y = y * 1.0
    clean = draw_nonfinite(engine.sum(y))
    assert clean.scene.notes[0] == "All 6,003 values of 3,002 nodes are finite"
    assert len(clean.graph) == 17


def test_of_many_inputs_that_are_cut_off_a_few_are_drawn():
    parts = [leaf([1.0], name=f"x{i}") * 2.0 for i in range(200)]
    y = engine.sum(engine.log(engine.concat(parts) - 2.0))
    diagram = draw_nonfinite(y)
    assert len(diagram.graph) < 40
    assert traces(diagram)["log"] == "fault"


def test_the_picture_is_the_same_twice():
    assert draw_nonfinite(broken_net(40, 17)).svg() == draw_nonfinite(broken_net(40, 17)).svg()


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="level 'ops'"):
        draw_nonfinite(engine.log(leaf(0.0)), level="ops")


@pytest.mark.parametrize("level", ["cell", "gate", "op"])
def test_a_constant_that_has_no_box_has_its_fault_where_it_is_used(level):
    loss = network("lstm", 3) * engine.asarray(math.inf)
    diagram = draw_nonfinite(loss, level=level)
    assert diagram.graph.graph["fault"] == "a leaf holds inf"
    marked = [box for box in diagram.scene.boxes if box.mark == "!"]
    assert [box.lines[0] for box in marked] == (["×"] if level != "op" else ["const"])
