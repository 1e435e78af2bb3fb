"""Draw two graphs in one picture: counts as those of ``Graph.diff``, and the parts of each."""

import re

import numpy as np
import pytest

import engine
import rnn
import viz
from engine import Graph
from engine.reading.differences import matched
from tests.draws import leaf, normal
from tests.viz.pictures import per_step, total
from viz.analysis.graph_union import ADDED, BOTH, CHANGED, REMOVED, union_of
from viz.drawings.differences import FILLS
from viz.model.window import STEPS


def draw_difference(a, b, *, level="op", **options):
    """Draw as many steps as there are, however wide that gets."""
    options.setdefault("max_steps", STEPS.get(level))
    return viz.draw_difference(a, b, level=level, **options)


def network(cell=rnn.ElmanCell, steps=3, **options):
    engine.seed(3)
    return total(per_step(cell(3, 4, **options), steps))


def random_program(seed):
    """Return a program that is much like its neighbours, with some ops left out and some others."""
    rng = np.random.default_rng(seed)
    values = [engine.ones(2, requires_grad=True, name="x")]
    ops = [engine.sin, engine.exp, engine.tanh, lambda x: x * 2.0, lambda x: x + values[0]]
    for i in range(15):
        if rng.random() < 0.8:
            values.append(ops[i % 5 if rng.random() < 0.8 else rng.integers(5)](values[-1]))
    return engine.sum(values[-1] + values[len(values) // 2])


def counts_of_text(text):
    """Count the nodes that the lines of a difference remove, add and change."""
    lines = [line for line in text.split("\n") if line and " return " not in f" {line[2:]}"]
    return [sum(line.startswith(sign) for line in lines) for sign in "-+~"]


def names_only(lines):
    """Count the changed nodes that differ only in the class of cell or name of a variable."""
    alone = 0
    for line in lines:
        parts = line.partition(": ")[2].split("; ")
        scope = re.fullmatch(r"scope (.*) -> (.*)", parts[0])
        if scope:
            before, after = (re.sub(r"/gate=[^/]*", "", side) for side in scope.groups())
        gates = bool(scope) and len(parts) == 1 and before == after
        labels = all(re.match("label (cell|gate) ", part) for part in parts)
        alone += line.startswith("~") and (gates or labels)
    return alone


PROGRAMS = [
    *((random_program(seed), random_program(seed + 1)) for seed in range(20)),
    (network(), network(nonlinearity="relu")),
    (network(steps=2), network(steps=4)),
    (network(), network(rnn.GRUCell)),
    (network(), network()),
]


@pytest.mark.parametrize("case", range(len(PROGRAMS)))
def test_counts_are_those_of_the_text(case):
    a, b = PROGRAMS[case]
    old, new = Graph.of(a), Graph.of(b)
    expected = counts_of_text(old.diff(new))
    found = matched(old, new)
    assert [len(found.removed), len(found.added), len(found.changed)] == expected
    expected[2] -= names_only(old.diff(new).split("\n"))
    diagram = draw_difference(a, b, max_steps=9)
    states = [d["difference"] for _, d in diagram.graph.nodes(data=True)]
    assert [states.count(state) for state in (REMOVED, ADDED, CHANGED)] == expected
    assert len(states) == len(old) + expected[1] == len(new) + expected[0]
    legend = {swatch.text for swatch in diagram.scene.legend}
    for sign, word, number in zip("−+~", ("removed", "added", "changed"), expected, strict=True):
        text = f"{sign} {word}: {number} node{'' if number == 1 else 's'}"
        assert (text in legend) == (number > 0)
    states = {d["difference"] for *_, d in diagram.graph.edges(data=True)}
    for state in (REMOVED, ADDED, CHANGED, "both"):
        assert (f"edge {state.replace('both', 'in both')}" in legend) == (state in states)


@pytest.mark.parametrize("case", range(len(PROGRAMS)))
def test_the_union_has_the_edges_of_both(case):
    a, b = PROGRAMS[case]
    old, new = Graph.of(a), Graph.of(b)
    union = union_of(old, new)
    assert set(union.graph.nodes) == set(union.nodes)
    for graph, side, other in ((old, union.old, ADDED), (new, union.new, REMOVED)):
        assert sorted(n.id for n in side.values()) == [n.id for n in graph.nodes]
        edges = sorted((side[x].id, side[y].id) for x, y, slot in union.graph.edges
                       if union.uses[y, slot] != other)  # fmt: skip
        assert edges == sorted((x.id, y.id) for x, y, _ in graph.edges)
    shared = sum(state == BOTH for state in union.uses.values())
    assert len(union.graph.edges) == len(old.edges) + len(new.edges) - shared


def test_boxes_and_edges_are_coloured_by_what_became_of_them():
    x = engine.ones(2, requires_grad=True, name="x")
    a = engine.sum(engine.tanh(x) * 2.0)
    b = engine.sum(engine.exp(engine.tanh(x)) * 3.0)
    diagram = draw_difference(a, b)
    boxes = {box.lines[0]: box for box in diagram.scene.boxes}
    assert boxes["eˣ"].fill == FILLS[ADDED]
    assert boxes["tanh"].fill == boxes["Σ"].fill == FILLS[BOTH]
    assert boxes["×"].fill == FILLS[CHANGED]
    assert boxes["×"].lines[1:] == ("input 0: %1 tanh → %2 exp", "input 1: 2.0 → 3.0")
    assert {name: boxes[name].mark for name in ("eˣ", "tanh", "×")} == {
        "eˣ": "+", "tanh": "", "×": "~"}  # fmt: skip
    (gone,) = [wire for wire in diagram.scene.wires if wire.color == FILLS[REMOVED][1]]
    assert (gone.source, gone.target) == (boxes["tanh"].key, boxes["×"].key)
    assert gone.dash
    assert sum(bool(wire.dash) for wire in diagram.scene.wires) == 1
    states = [d["difference"] for *_, d in diagram.graph.edges(data=True)]
    assert sorted(states) == [ADDED, ADDED, BOTH, BOTH, REMOVED]
    back = draw_difference(b, a)
    assert {box.lines[0]: box.mark for box in back.scene.boxes}["eˣ"] == "−"


def test_alike_graphs_say_so():
    diagram = draw_difference(network(), network())
    size = len(Graph.of(network()))
    assert diagram.scene.notes == (f"The graphs are alike: {size} nodes, no difference",)
    assert {box.fill for box in diagram.scene.boxes} == {FILLS[BOTH]}


def test_other_outputs_are_a_difference():
    x = leaf(1.0, name="x")
    y = engine.sin(x)
    one, other = Graph.of(y, y * 2.0), Graph.of(y * 2.0)
    notes = draw_difference(one, other).scene.notes
    assert notes == ("3 nodes before, 3 after: 0 removed, 0 added, 0 changed",
                     "The outputs are other nodes than before")  # fmt: skip


@pytest.mark.parametrize("level", ["gate", "cell"])
def test_above_ops_a_box_is_changed_where_a_node_in_it_is(level):
    diagram = draw_difference(network(), network(nonlinearity="relu"), level=level)
    changed = [d for _, d in diagram.graph.nodes(data=True) if d["difference"] == CHANGED]
    assert [d["t"] for d in changed] == [0, 1, 2]
    assert {d["kind"] for d in changed} == {"cell" if level == "cell" else "state"}
    boxes = {box.key: box for box in diagram.scene.boxes}
    words = [line for box in boxes.values() for line in box.lines]
    assert words.count("relu: op tanh → relu") == 3


def test_many_texts_in_a_box_are_shortened():
    diagram = draw_difference(network(), network(rnn.GRUCell), level="cell")
    lines = [line for box in diagram.scene.boxes for line in box.lines]
    assert any(re.fullmatch(r"… \d+ more", line) for line in lines)
    assert lines.count("was ElmanCell") == 3


def test_a_box_says_which_ops_in_it_came_and_went():
    def module(*ops):
        x = engine.ones(2, requires_grad=True, name="x")
        with engine.scope("module"):
            for op in ops:
                x = op(x)
        return engine.sum(x)

    diagram = draw_difference(module(engine.tanh), module(engine.tanh, engine.exp), level="cell")
    (box,) = [box for box in diagram.scene.boxes if box.lines[0] == "module"]
    assert box.lines[1:] == ("exp added",)
    assert box.fill == FILLS[CHANGED]


def test_fused_recurrences_are_taken_apart():
    engine.seed(1)
    x = normal(4, 1, 3)
    one = engine.sum(rnn.GRU(3, 4)(engine.asarray(x))[0])
    other = engine.sum(rnn.GRU(3, 4)(engine.asarray(x))[0] * 2.0)
    diagram = draw_difference(one, other, max_steps=4)
    old, new = (Graph.of(*engine.expanded(y)) for y in (one, other))
    states = [d["difference"] for _, d in diagram.graph.nodes(data=True)]
    expected = counts_of_text(old.diff(new))
    assert [states.count(state) for state in (REMOVED, ADDED, CHANGED)] == expected
    assert {d["t"] for _, d in diagram.graph.nodes(data=True)} > {0, 1, 2, 3}


def test_differences_in_steps_left_out_are_counted():
    a, b = network(steps=12), network(steps=12, nonlinearity="relu")
    notes = draw_difference(a, b, max_steps=4).scene.notes
    assert "8 nodes that differ lie in the steps left out" in notes


def chain(steps, at=(), other=engine.sin):
    """Return a chain of one op a step, another one at some of them."""
    h = leaf(0.5, name="h")
    for t in range(steps):
        with engine.scope("cell", t=t):
            h = other(h) if t in at else engine.tanh(h)
    return engine.sum(h)


@pytest.mark.parametrize("level", ["op", "cell"])
@pytest.mark.parametrize("at", [(20,), (20, 33), (7, 30)])
def test_the_window_moves_to_a_difference_that_it_would_leave_out(at, level):
    one, other = chain(40), chain(40, at)
    diagram = draw_difference(one, other, max_steps=6, level=level)
    shown = {d["t"] for _, d in diagram.graph.nodes(data=True)
             if d["kind"] != "gap" and d["t"] is not None}  # fmt: skip
    assert shown == set(range(at[0] - 2, at[0] + 4))
    changed = [d["t"] for _, d in diagram.graph.nodes(data=True)
               if d["difference"] == CHANGED and d["kind"] != "gap"]  # fmt: skip
    assert changed == [at[0]]
    note = f"The window stands around the first difference, at t = {at[0]}"
    assert diagram.scene.notes.count(note) == 1
    left = [note for note in diagram.scene.notes if "lie in the steps left out" in note]
    assert len(left) == len(at) - 1


def test_the_window_stays_where_a_difference_is_seen_or_none_has_a_step():
    for at in ((1,), (1, 20), (39,), ()):
        diagram = draw_difference(chain(40), chain(40, at), max_steps=6)
        shown = {d["t"] for _, d in diagram.graph.nodes(data=True) if d["kind"] != "gap"} - {None}
        assert shown == {0, 1, 2, 37, 38, 39}
        assert not [note for note in diagram.scene.notes if "window" in note]
    end = draw_difference(chain(40), chain(40, (36,)), max_steps=6)
    assert {d["t"] for _, d in end.graph.nodes(data=True) if d["kind"] != "gap"} == {
        None, 34, 35, 36, 37, 38, 39}  # fmt: skip
    with pytest.raises(ValueError, match="max_steps must be at least 1, got 0"):
        draw_difference(chain(40), chain(40, (20,)), max_steps=0)


def test_gradient_graphs_keep_their_origins():
    def program(f):
        x = leaf(2.0, name="x")
        y = f(x)
        return Graph.of(y, engine.gradients(y, [x], create_graph=True)[0])

    one, other = program(engine.sin), program(lambda x: engine.sin(x) * x)
    union = union_of(one, other)
    origins = [n.origin for n in union.graph.nodes if n.origin is not None]
    assert origins
    assert all(origin in union.graph for origin in origins)


def test_long_graphs_take_little_time_and_no_recursion():
    def chain(extra):
        y = leaf(1.0, name="x")
        for i in range(10_000):
            y = y * 1.0 if i != extra else engine.sin(y)
        return Graph.of(y)

    old, new = chain(-1), chain(5000)
    union = union_of(old, new)
    found = [union.count(state) for state in (REMOVED, ADDED, CHANGED)]
    assert found == counts_of_text(old.diff(new))
    assert sum(found) < 4


def test_the_picture_is_the_same_twice():
    pictures = [draw_difference(network(), network(rnn.GRUCell)).svg() for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_mistakes():
    with pytest.raises(TypeError, match=r"expected a tensor or a Graph, got float; .*Graph\.of"):
        draw_difference(leaf(1.0) * 2.0, 1.0)
    with pytest.raises(ValueError, match="level 'ops'"):
        draw_difference(leaf(1.0) * 2.0, leaf(1.0) * 2.0, level="ops")


def test_another_class_of_cell_alone_is_no_change():
    class Same(rnn.GRUCell):
        """Compute the same equations under another name."""

    one, other = network(rnn.GRUCell), network(Same)
    assert "label cell" in Graph.of(one).diff(Graph.of(other))
    diagram = draw_difference(one, other)
    assert {d["difference"] for _, d in diagram.graph.nodes(data=True)} == {BOTH}
    renamed = sum(line.startswith("~") for line in Graph.of(one).diff(Graph.of(other)).split("\n"))
    assert diagram.scene.notes[1] == (
        f"{renamed} nodes in both belong to another class of cell or variable than before"
    )
    states = [
        d["difference"] for _, d in draw_difference(one, other, level="cell").graph.nodes(data=True)
    ]
    assert set(states) == {BOTH}


def test_a_change_within_another_class_of_cell_is_shown():
    one, other = network(rnn.GRUCell), network(rnn.ResetBeforeGRUCell)
    diagram = draw_difference(one, other)
    changed = [n for n, d in diagram.graph.nodes(data=True) if d["difference"] == CHANGED]
    text = Graph.of(one).diff(Graph.of(other)).split("\n")
    lines = [line for line in text if line.startswith("~")]
    assert 0 < len(changed) == len(lines) - names_only(text) < len(lines)
    assert not any("label cell" in line for box in diagram.scene.boxes for line in box.lines)
    cells = draw_difference(one, other, level="cell")
    assert any("was GRUCell" in box.lines for box in cells.scene.boxes)
