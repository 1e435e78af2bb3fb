"""Compare pictures with the recorded graph: nodes and edges, time, levels, windows, files.

Black box: networks in, written files out. The networks are those of `picture_cases.py`; what is
checked of all of them is in `test_picture_networks.py`.
"""

import cProfile
import hashlib
import json
import os
import pstats
import re
import subprocess
import sys
from collections import Counter

import networkx as nx
import pytest

import engine
import rnn
import viz
from engine.node import changes
from tests import ROOT
from tests.draws import covering, crossed, first, leaf, slow_beside
from tests.viz import picture_checks
from tests.viz.picture_cases import (
    CASES,
    CELLS,
    STEPS,
    attention,
    data,
    lengths,
    negative_times,
    skips,
    steps_apart,
    two_outputs,
)
from tests.viz.picture_random import random_graph
from tests.viz.pictures import network

LEVELS = ("op", "gate", "cell", "rolled")
RANDOM = 200
ALL = 10_000  # steps: no window


def loss_of(x):
    """Return the output to differentiate: the first, where it is a number with a gradient."""
    one = x.outputs[0] if isinstance(x, engine.Graph) else x
    return one if one.requires_grad and one.shape == () else None


def drawings(x, levels=LEVELS):
    """Yield the drawings of a graph without a window: at each level plain, then with gradients."""
    for level in levels:
        yield viz.draw_unrolled(x, level=level, max_steps=ALL)
        if loss_of(x) is not None:
            yield viz.draw_gradients(loss_of(x), level=level, max_steps=ALL)


def whole(x):
    """Return the recorded graph with the steps of fused recurrences put back."""
    return engine.Graph.of(*engine.expanded(*(x.outputs if isinstance(x, engine.Graph) else (x,))))


def check_op_level(x):
    """Check that the picture at the level of ops has exactly the nodes and edges of the graph."""
    graph, drawn = whole(x), viz.to_networkx(x, "op")
    assert sorted(drawn) == list(range(len(graph)))
    told = [(d["op"], d["shape"], d["dtype"]) for _, d in sorted(drawn.nodes(data=True))]
    assert told == [
        (node.op.name if node.inputs else "", node.shape, str(node.dtype)) for node in graph.nodes
    ]
    assert Counter((a, b, d["slot"]) for a, b, d in drawn.edges(data=True)) == Counter(
        (graph.number[a], graph.number[b], slot) for a, b, slot in graph.edges
    )


def check_drawn(diagram, picture=None):
    """Check for a box for each node and a wire for each edge, in the SVG and in the DOT.

    `picture` is what was read of the SVG, where it was read before.
    """
    graph, picture = diagram.graph, picture or picture_checks.read(diagram.svg())
    assert sorted(box.key for box in picture.boxes) == sorted(graph)
    backward = Counter((w.target, w.source) for w in picture.wires if w.kind == "backward")
    forward = Counter((w.source, w.target) for w in picture.wires if w.kind != "backward")
    assert forward == Counter(graph.edges())
    assert backward == Counter(
        (a, b) for a, b, d in graph.edges(data=True) if d.get("grad_norm") is not None
    )
    assert not backward - forward  # each has its forward twin
    if not backward and len(forward) > 30:  # what is true of red wires is true of blue ones
        return
    nodes, edges = dot(diagram.source)
    assert Counter(nodes) == Counter(list(graph))
    assert Counter(edges) == forward + Counter((b, a) for a, b in backward.elements())


def dot(source):
    """Return the nodes and the edges of a DOT text, by what it declares."""
    nodes = [int(n) for n in re.findall(r"^\tn(\d+) \[", source, re.M)]
    found = re.findall(r"^\tn(\d+) -> n(\d+) \[", source, re.M)
    return nodes, [(int(a), int(b)) for a, b in found]


@pytest.mark.parametrize("start", first(2, range(0, RANDOM, 50)))
def test_the_op_level_of_random_graphs_is_the_recorded_graph(start):
    for seed in range(start, start + 50):
        check_op_level(random_graph(seed))


@pytest.mark.parametrize(
    "name", first(3, ["gradient graph", "tied", "lengths", "LSTMCell", "attention"])
)
def test_every_edge_that_a_gradient_passes_is_red(name):
    loss = loss_of(CASES[name]())
    graph = whole(loss)
    drawn = viz.draw_gradients(loss, level="op", max_steps=ALL).graph
    reached = {graph.outputs[0].node}
    for node in reversed(graph.nodes):  # by the graph alone: what leads to the loss
        if node in reached and graph.tensor(node).requires_grad:
            reached.update(x.node for x in node.inputs if isinstance(x, engine.Tensor))
    red = {(a, b) for a, b, d in drawn.edges(data=True) if d.get("grad_norm") is not None}
    assert red
    for a, b in red:
        assert graph.tensor(graph.nodes[a]).requires_grad
        assert graph.nodes[b] in reached
    smooth = ("add", "multiply", "tanh", "sigmoid", "linear", "sum", "subtract")
    for a, b, _ in graph.edges:
        if b.op.name in smooth and graph.tensor(a).requires_grad:
            assert (graph.number[a], graph.number[b]) in red


def test_the_check_of_twins_can_fail():
    class Planted:
        graph = viz.draw_gradients(network("elman", 2)).graph
        source = viz.draw_gradients(network("elman", 2)).source

        def svg(self):
            return (
                viz.draw_gradients(network("elman", 2))
                .svg()
                .replace("edge forward", "edge backward", 1)
            )

    with pytest.raises(AssertionError):
        check_drawn(Planted())


@pytest.mark.parametrize(("name", "level"), covering(
    ["lengths", "two layers both ways", "attention", "steps apart"], ["op", "gate", "cell"]
))  # fmt: skip
def test_boxes_stand_in_the_column_of_their_step(name, level):
    diagram = viz.draw_unrolled(CASES[name](), level=level, max_steps=ALL)
    picture = picture_checks.read(diagram.svg())
    headings = [word.what for word in picture.words if word.kind == "heading"]
    held = 0
    for n, d in diagram.graph.nodes(data=True):
        if d["t"] is not None and d["kind"] not in ("parameter", "input", "constant"):
            columns = [text for text, band in zip(headings, picture.bands, strict=True)
                       if band.x0 <= picture.box[n].middle[0] <= band.x1]  # fmt: skip
            assert columns == [f"t = {d['t']}"]
            held += 1
    assert held >= STEPS


# Of a reservoir nothing is trained, so there is no graph.
TRAINED = [name for name in CELLS if name != "EchoStateCell"]


@pytest.mark.parametrize("name", first(12, TRAINED))
def test_a_cell_has_one_box_a_step_and_one_state_edge_a_state_between_steps(name):
    loss = CASES[name]()
    drawn = viz.to_networkx(loss, "cell")
    cells = {n: d for n, d in drawn.nodes(data=True) if d["kind"] == "cell"}
    assert sorted(d["t"] for d in cells.values()) == list(range(STEPS))
    assert {d["cell"] for d in cells.values()} == {name}
    between = Counter((cells[a]["t"], cells[b]["t"]) for a, b, d in drawn.edges(data=True)
                      if a in cells and b in cells)  # fmt: skip
    assert {t for pair in between for t in pair} == set(range(STEPS))
    assert all(b - a == 1 for a, b in between)


@pytest.mark.parametrize(("layers", "both"), [(1, False), (1, True), (3, False), (2, True)])
def test_layers_and_directions_are_distinguished(layers, both):
    net = rnn.GRU(3, 4, num_layers=layers, bidirectional=both)
    drawn = viz.to_networkx(net(data(STEPS, 2, 3))[0], "cell")
    cells = [d for _, d in drawn.nodes(data=True) if d["kind"] == "cell"]
    ways = ("forward", "reverse") if both else ("forward",)
    assert Counter((d["layer"], d["direction"], d["t"]) for d in cells) == Counter(
        (layer, way, t) for layer in range(layers) for way in ways for t in range(STEPS)
    )


def test_a_truncated_run_is_drawn_with_the_steps_of_its_sequence():
    drawn = viz.to_networkx(CASES["truncated"](), "cell")
    assert {d["t"] for _, d in drawn.nodes(data=True) if d["kind"] == "cell"} == set(range(6))


@pytest.mark.parametrize("name", ["ElmanCell", "LSTMCell", "GRUCell"])
def test_a_cell_that_has_no_name_is_one_box_too(name):
    cell, state = CELLS[name](3, 4), None
    for t in range(3):
        with engine.scope(t=t):
            y, state = cell(data(2, 3), state)
    drawn = viz.to_networkx(engine.sum(y), "cell")
    own = [d for _, d in drawn.nodes(data=True) if d["t"] == 1 and d["kind"] != "input"]
    assert [d["label"] for d in own] == [name]
    rolled = viz.draw_rolled(engine.sum(y)).graph
    assert [d["label"] for _, d in rolled.nodes(data=True) if d["cell"]] == [name]


def test_keys_of_edges_are_those_of_the_program_and_not_of_what_ran_before():
    for name in CASES:
        if name != "named times":
            one, other = (viz.draw_unrolled(CASES[name](), level="cell").graph for _ in range(2))
            assert list(one.edges(keys=True)) == list(other.edges(keys=True)), name


def test_gates_of_an_lstm_have_the_names_of_its_equations():
    drawn = viz.to_networkx(CASES["LSTMCell"](), "gate")
    for t in range(STEPS):
        own = Counter(d["label"] for _, d in drawn.nodes(data=True)
                      if d["t"] == t and d["kind"] in ("gate", "state"))  # fmt: skip
        assert own == Counter(["a", "i", "f", "g", "o", "c", "h"])


@pytest.mark.parametrize("kind", first(1, ["LSTM", "GRU", "RNN"]))
def test_rolled_up_a_network_has_one_size_at_any_length(kind):
    sizes = set()
    for steps in (3, 5, 30):
        engine.seed(1)
        y, _ = getattr(rnn, kind)(3, 4, num_layers=2, bidirectional=True)(data(steps, 2, 3))
        drawn = viz.draw_rolled(engine.sum(y)).graph
        sizes.add((drawn.number_of_nodes(), drawn.number_of_edges()))
        assert {d["dt"] for *_, d in drawn.edges(data=True)} == {0, 1, -1}
    assert len(sizes) == 1


def test_rolled_up_a_skip_has_its_own_delay():
    drawn = viz.draw_rolled(skips(8, 3)).graph
    assert {d["dt"] for *_, d in drawn.edges(data=True)} == {0, 1, 3}


def test_blocks_stand_side_by_side_and_attention_leads_from_one_to_the_other():
    loss = attention(4, 3)
    for level in ("gate", "cell"):
        diagram = viz.draw_unrolled(loss, level=level, max_steps=ALL, attention="all")
        picture = picture_checks.read(diagram.svg())
        xs = {block: [picture.box[n].middle[0] for n, d in diagram.graph.nodes(data=True)
                      if d["block"] == block and d["t"] is not None]
              for block in ("encoder", "decoder")}  # fmt: skip
        assert max(xs["encoder"]) < min(xs["decoder"])
        looks = [
            (diagram.graph.nodes[a], diagram.graph.nodes[b], d["weight"])
            for a, b, d in diagram.graph.edges(data=True)
            if d["kind"] == "attention"
        ]
        assert Counter((a["t"], b["t"]) for a, b, _ in looks) == Counter(
            (i, j) for i in range(4) for j in range(3)
        )
        for j in range(3):  # the weights of a row sum to one, so their means do
            assert sum(w for _, b, w in looks if b["t"] == j) == pytest.approx(1)
        names = [word.what for word in picture.words if word.kind == "chart"]
        assert names[:2] == ["encoder", "decoder"]


WINDOWS = [
    ({"max_steps": 4}, [0, 1, 18, 19], ["16 of 20"]),
    ({"max_steps": 5}, [0, 1, 17, 18, 19], ["15 of 20"]),
    ({"max_steps": 1}, [19], ["19 of 20"]),
    ({"steps": range(7, 10)}, [7, 8, 9], ["7 of 20", "10 of 20"]),
    ({"steps": range(0, 20)}, [*range(20)], []),
    ({"steps": range(0, 20, 19)}, [0, 19], ["18 of 20"]),
]


@pytest.mark.parametrize(
    ("window", "level"), first(3, crossed(WINDOWS, ["op", "gate", "cell"])), ids=str
)
def test_a_window_shows_its_steps_and_says_what_is_left_out(window, level):
    options, shown, hidden = window
    diagram = viz.draw_gradients(network("gru", 20), level=level, **options)
    picture = picture_checks.read(diagram.svg())
    headings = [word.what for word in picture.words if word.kind == "heading"]
    assert [text for text in headings if text != "…"] == [f"t = {t}" for t in shown]
    notes = [word.what for word in picture.words if word.kind == "note"]
    left_out = (re.search(r"[\d,]+ of [\d,]+", note) for note in notes)
    assert {found[0] for found in left_out if found} == {*hidden}
    gaps = [d["label"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "gap"]
    assert Counter(gaps) == Counter(f"… {text.split()[0]} steps" for text in hidden)
    check_drawn(diagram)


@pytest.mark.parametrize("make", [steps_apart, negative_times])
def test_a_gap_says_how_many_steps_are_left_out(make):
    diagram = viz.draw_unrolled(make(), max_steps=2)
    (gap,) = [d["label"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "gap"]
    (note,) = [w.what for w in picture_checks.read(diagram.svg()).words if w.kind == "note"]
    assert "2 of 4 steps" in note
    assert gap == "… 2 steps"


def test_a_single_step_is_shown_or_said_to_be_one():
    diagram = viz.draw_unrolled(network("elman", 3), max_steps=2)
    assert "1 steps" not in diagram.svg()


def test_times_that_are_words_are_columns_in_the_order_in_which_they_came():
    for level in LEVELS:
        diagram = viz.draw_unrolled(CASES["named times"](), level=level, max_steps=ALL)
        check_drawn(diagram)
        if level != "rolled":
            words = picture_checks.read(diagram.svg()).words
            headings = [word.what for word in words if word.kind == "heading"]
            times = ["morning", "noon", "night <&>"]
            assert [text.removeprefix("t = ") for text in headings] == times
    assert viz.draw_unrolled(CASES["named times"](), max_steps=2).svg()


def test_two_outputs_are_both_drawn():
    graph = two_outputs()
    drawn = viz.draw_unrolled(graph, level="op").graph
    ends = [n for n in drawn if not drawn.out_degree(n)]
    assert len(ends) >= 2
    assert sorted(viz.draw_unrolled(list(graph.outputs), level="op").graph) == sorted(drawn)


def test_lengths_are_in_the_picture():
    labels = [d["label"] for _, d in viz.to_networkx(lengths(), "op").nodes(data=True)]
    assert labels.count("where") >= STEPS


def test_what_cannot_be_drawn_is_refused_by_name():
    loss = network("elman", 3)
    with pytest.raises(ValueError, match="unknown level 'module'; there are 'op', 'gate', 'cell'"):
        viz.draw_gradients(loss, level="module")
    with pytest.raises(ValueError, match="max_steps must be at least 1, got 0"):
        viz.draw_unrolled(loss, max_steps=0)
    with pytest.raises(ValueError, match=r"range\(5, 9\) holds none .* give some of t = 0 … 2"):
        viz.draw_gradients(loss, steps=range(5, 9))
    with pytest.raises(ValueError, match="depends on nothing that requires a gradient"):
        viz.draw_gradients(engine.sum(CASES["constants"]()))


def check_files(diagram, folder):
    """Check that JSON and GraphML give back nodes, edges, and every attribute in its kind."""
    drawn = diagram.graph
    held = json.loads(diagram.render(folder / "a.json").read_text(encoding="utf-8"))
    by_json = nx.node_link_graph(held, edges="edges")
    path = diagram.render(folder / "a.graphml")
    by_graphml = nx.read_graphml(path, node_type=int, force_multigraph=True)
    for read in (by_json, by_graphml):
        assert sorted(read) == sorted(drawn)
        assert Counter(read.edges()) == Counter(drawn.edges())
        for n, d in drawn.nodes(data=True):
            for name in ("t", "members", "grad_norm", "value_norm", "is_state"):
                if d.get(name) is not None:
                    assert read.nodes[n][name] == pytest.approx(d[name]), (n, name)
        own, theirs = (
            Counter((a, b, d["kind"], d["slot"], d["dt"], d.get("grad_norm"))
                    for a, b, d in one.edges(data=True)) for one in (drawn, read)
        )  # fmt: skip
        assert own == theirs
    assert [d["label"] for _, d in sorted(by_json.nodes(data=True))] == [
        d["label"] for _, d in sorted(drawn.nodes(data=True))
    ]


@pytest.mark.parametrize(
    "name", first(1, ["gradient graph", "resets", "tied", "attention", "GRUCell"])
)
def test_json_and_graphml_give_the_graph_back(name, tmp_path):
    for diagram in drawings(CASES[name]()):
        check_files(diagram, tmp_path)


def test_json_and_graphml_give_random_graphs_back(tmp_path):
    for seed in range(20):
        for diagram in drawings(random_graph(seed), (LEVELS[seed % 4],)):
            check_files(diagram, tmp_path)


STABLE = ("attention", "tied", "two layers both ways", "lengths", "called twice", "many uses",
          "truncated", "Zoneout", "gradient graph", "two outputs", "skips", "no time")  # fmt: skip


def digest() -> str:
    """Return one number for all files of many pictures, the same in every run."""
    found = hashlib.sha256()
    made = [CASES[name]() for name in STABLE]
    for i, x in enumerate([*made, *map(random_graph, range(16))]):
        for diagram in drawings(x, (LEVELS[i % 4],)):
            found.update(diagram.svg().encode() + diagram.source.encode())
            text = nx.node_link_data(diagram.graph, edges="edges")
            found.update(repr(text).encode())
    return found.hexdigest()


@slow_beside("viz/test_golden.py::test_two_hash_seeds_give_the_same_bytes")
def test_another_hash_seed_in_another_process_gives_the_same_bytes():
    program = "from tests.viz.test_picture_structure import digest; print(digest())"
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    other = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert other.stdout.strip() == digest()  # here under another seed, after other programs


@pytest.mark.parametrize(
    ("level", "most"),
    first(1, [(level, most) for most in (500, 2_000) for level in ("op", "cell")]),
)
def test_files_and_work_are_linear_in_the_steps(level, most):
    sizes: dict[str, list[int]] = {"nodes": [], "edges": [], "svg": []}
    calls = []
    for steps in (10, 100, most):
        engine.seed(0)
        y, _ = rnn.RNN(2, 2)(data(steps, 1, 2))
        draw = viz.draw_gradients if level == "cell" else viz.draw_unrolled
        profile = cProfile.Profile()
        with profile:
            diagram = draw(engine.sum(y), level=level, max_steps=steps)
            svg = diagram.svg()
        calls.append(sum(entry[1] for entry in pstats.Stats(profile).stats.values()))
        graph = diagram.graph
        sizes["nodes"].append(graph.number_of_nodes())
        sizes["edges"].append(graph.number_of_edges())
        sizes["svg"].append(len(svg))
    for name, (few, some, many) in sizes.items():
        slope = (some - few) / 90
        more = 1.0 if name in ("nodes", "edges") else 1.25  # coordinates have more digits
        assert (many - some) / (most - 100) == pytest.approx(slope, rel=more - 1 + 1e-9), name
    assert calls[2] < 1.2 * most / 100 * calls[1]


@pytest.mark.parametrize(
    ("level", "most"),
    first(1, [(level, most) for most in (240, 600, 1_200) for level in ("cell", "op")]),
)
def test_work_is_linear_after_a_change_in_place(level, most):
    # A stack has as many inputs as steps: a question about one must not look at them all.
    draw = viz.draw_gradients if level == "cell" else viz.draw_unrolled
    changed = engine.ones(3)
    used = changed * leaf(1.0)
    changed[0] = 2.0  # from here on inputs are looked up as they were
    assert changes.last >= 0
    assert used.node.inputs[0].numpy().tolist() == [1.0, 1.0, 1.0]
    calls = []
    for steps in (50, most // 4, most // 2, most):  # the first makes what is made once
        y, _ = rnn.RNN(2, 2)(data(steps, 1, 2))
        profile = cProfile.Profile()
        profile.runcall(draw, engine.sum(y), level=level, max_steps=steps)
        calls.append(sum(entry[1] for entry in pstats.Stats(profile).stats.values()))
    _, few, some, many = calls
    assert (many - some) / (most // 2) == pytest.approx((some - few) / (most // 4), rel=0.05)
