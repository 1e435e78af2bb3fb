"""Test tools for graphs: the difference of two, the costs of one, and assertions."""

import os
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import Graph
from engine.apply import apply
from engine.op import Op
from engine.reading.differences import LIMIT, common_subsequence
from engine.reading.statistics import Count, table
from engine.testing import assert_no_path, assert_node_count, assert_path, assert_same_graph
from tests.draws import first, leaf, normal

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def vector(name: str = "x", size: int = 2) -> engine.Tensor:
    """Return a named leaf that requires a gradient."""
    return engine.ones(size, requires_grad=True, name=name)


def chain(length: int, *, extra: Any = (), size: int = 2) -> Graph:
    """Return `length` negations in a row, with an identity before each numbered in `extra`."""
    y = vector(size=size)
    for number in range(length):
        y = engine.negative(abs(y) if number in extra else y)
    return Graph.of(y)


def differences(one: Any, other: Any) -> list[str]:
    """Return the lines of the difference of two graphs, or of the graphs of two tensors."""
    graphs = [x if isinstance(x, Graph) else Graph.of(x) for x in (one, other)]
    found = graphs[0].diff(graphs[1])
    return found.split("\n") if found else []


# ---- differences: each kind


def test_graphs_of_the_same_program_do_not_differ():
    def program() -> Graph:
        x, w = vector(), engine.ones((3, 2), requires_grad=True, name="w")
        with engine.scope("net", t=1):
            y = engine.tanh(engine.linear(x, w))[1:]
        g = engine.gradients(engine.sum(y * 0.5), [w], create_graph=True)[0]
        return Graph.of(y, g)

    one, other = program(), program()
    assert one.diff(other) == ""
    assert one.diff(one) == ""
    assert one.text() == other.text()


def test_an_inserted_node_changes_only_what_uses_it():
    def program(inserted: bool) -> engine.Tensor:
        x = vector()
        with engine.scope("net"):
            y = engine.tanh(x)
            if inserted:
                with engine.scope("new", t=2):
                    y = engine.sigmoid(y)
            y = engine.exp(y)
        return engine.sum(engine.sin(y) * 2)

    assert differences(program(False), program(True)) == [
        "+ %2 = sigmoid(%1) -> float32[2] @ net.new/t=2",
        "~ %2 -> %3 exp @ net: input 0: %1 tanh -> %2 sigmoid",
    ]
    assert differences(program(True), program(False)) == [
        "- %2 = sigmoid(%1) -> float32[2] @ net.new/t=2",
        "~ %3 -> %2 exp @ net: input 0: %2 sigmoid -> %1 tanh",
    ]


def test_another_op():
    x = vector()
    with engine.scope("net"):
        one, other = engine.sum(engine.tanh(x)), engine.sum(engine.sigmoid(x))
    assert differences(one, other) == ["~ %1 sigmoid @ net: op tanh -> sigmoid"]


def test_other_attributes_exact():
    x = engine.ones((2, 3), requires_grad=True)
    cases = {
        "~ %1 sum: axis (0,) -> (1,); shape [3] -> [2]": [
            engine.sum(x, axis=(0,)), engine.sum(x, axis=(1,)),
        ],
        "~ %1 clip: max 0.1 -> 0.10000000000000002": [
            engine.clip(x, max=0.1), engine.clip(x, max=0.10000000000000002),
        ],
        "~ %1 sum: keepdims not set -> True; shape [] -> [1,1]": [
            engine.sum(x), engine.sum(x, keepdims=True),
        ],
        "~ %1 getitem: key (0, 1:) -> (0, :2)": [x[0, 1:], x[0, :2]],
    }  # fmt: skip
    for line, (one, other) in cases.items():
        assert differences(one, other) == [line]


def test_attributes_are_a_mapping():
    x = engine.ones((2, 3), requires_grad=True)
    one = engine.sum(x, axis=(0,), keepdims=True)
    assert differences(one, engine.sum(x, keepdims=True, axis=(0,))) == []


def test_other_shapes_are_one_line_a_node():
    def program(size: int) -> engine.Tensor:
        return engine.sum(engine.tanh(vector(size=size)) * 2)

    assert differences(program(2), program(3)) == [
        "~ %0 leaf: shape [2] -> [3]",
        "~ %1 tanh: shape [2] -> [3]",
        "~ %2 multiply: shape [2] -> [3]",
    ]


def test_other_dtypes_names_and_gradients_of_leaves():
    one = engine.asarray(np.ones(2), requires_grad=True, name="w") * engine.ones(2, name="c")
    other = engine.ones(2, requires_grad=True, name="v") * engine.ones(2, name="c")
    assert differences(one, other) == [
        "~ %0 leaf: name w -> v; dtype float64 -> float32",
        "~ %2 multiply: dtype float64 -> float32",
    ]
    assert differences(engine.ones(2), engine.ones(2, requires_grad=True)) == [
        "~ %0 leaf: grad False -> True"
    ]
    assert differences(engine.ones(2), engine.ones(2, name="b")) == ["~ %0 leaf: name none -> b"]


def test_other_scopes_and_labels():
    x = vector()

    def at(**labels: Any) -> engine.Tensor:
        with engine.scope("net", **labels):
            return engine.tanh(x)

    assert differences(at(t=1), at(t=2)) == ["~ %1 tanh @ net/t=2: scope net/t=1 -> net/t=2"]
    # A label that the scope does not show.
    assert differences(at(cell="A"), at(cell="B")) == ["~ %1 tanh @ net: label cell 'A' -> 'B'"]
    assert differences(at(), at(layer=1)) == ["~ %1 tanh @ net: label layer not set -> 1"]


def test_other_inputs_and_literals():
    x, y = vector("x"), vector("y")
    both = engine.stack([x, y])
    one = Graph.of(both, x * y, x * 2, x + x)
    other = Graph.of(both, x * x, x * 2.0, x + 1)
    assert differences(one, other) == [
        "~ %3 multiply: input 1: %1 leaf -> %0 leaf",
        "~ %4 multiply: input 1: 2 -> 2.0",
        "~ %5 add: input 1: %0 leaf -> 1",
    ]
    fewer = differences(engine.stack([x, y]), engine.stack([x]))
    assert fewer == [
        "- %1 = leaf 'y' grad -> float32[2]",
        "~ %2 -> %1 stack: shape [2,2] -> [1,2]; input 1: %1 leaf -> nothing",
    ]
    assert differences(x + 1, x + x) == ["~ %1 add: input 1: 1 -> %0 leaf"]


def test_other_outputs():
    x = vector()
    y = engine.tanh(x)
    z = engine.exp(y)
    assert differences(Graph.of(y, z), Graph.of(z, y)) == ["~ return %1, %2 -> return %2, %1"]
    assert differences(Graph.of(z), Graph.of(z, y)) == ["~ return %2 -> return %2, %1"]


def test_other_origins():
    x = vector()
    y, z = engine.exp(x), engine.exp(x)
    seed = engine.ones(2)
    g, h = (engine.gradients(a, [x], [seed], create_graph=True)[0] for a in (y, z))
    assert differences(Graph.of(y, z, g), Graph.of(y, z, h)) == [
        "~ %4 multiply: input 1: %1 exp -> %2 exp; origin: %1 exp -> %2 exp"
    ]
    plain = engine.multiply(seed, y)
    assert differences(Graph.of(y, g), Graph.of(y, plain)) == [
        "~ %3 multiply: origin: %1 exp -> none"
    ]


def test_origins_outside_of_the_graph_are_ops():
    x = vector()
    seed = engine.ones(2)
    g = engine.gradients(-x, [x], [seed], create_graph=True)[0]
    h = engine.gradients(0 - x, [x], [seed], create_graph=True)[0]
    assert differences(g, h) == ["~ %1 negative: origin: negative -> subtract"]


def test_nodes_in_another_order_differ():
    x = vector()
    a, b = engine.exp(x), engine.sin(x)
    c, d = engine.sin(x), engine.exp(x)
    one, other = Graph.of(a, b), Graph.of(d, c)
    assert len(differences(one, other)) == 3
    assert one.text() != other.text()


def scanned(f: Any, steps: int = 4, **options: Any) -> engine.Tensor:
    w = engine.ones((3, 3), requires_grad=True, name="w")

    def step(h: Any, x: Any) -> Any:
        new = f(h @ w + x)
        return new, new

    init, xs = engine.zeros((2, 3), name="h"), engine.ones((steps, 2, 3), name="x")
    with engine.scope("rnn"):
        return engine.scan(step, init, xs, **options)[1]


def test_fused_recurrences_differ_by_their_bodies_and_calls():
    one = scanned(engine.tanh)
    assert differences(one, scanned(engine.tanh)) == []
    (line,) = differences(one, scanned(engine.sigmoid))
    assert line.startswith("~ %3 scan @ rnn: body %")
    assert "= tanh(" in line.split(" -> ")[0]
    assert "= sigmoid(" in line
    assert differences(one, scanned(engine.tanh, reverse=True)) == [
        "~ %3 scan @ rnn: reverse False -> True"
    ]
    assert differences(one, scanned(engine.tanh, checkpoint=2)) == [
        "~ %3 scan @ rnn: checkpoint False -> 2"
    ]
    mask, ragged = differences(one, scanned(engine.tanh, lengths=[4, 1]))
    assert mask == "+ %3 = leaf -> bool[4,2] @ rnn"
    assert ragged.startswith("~ %3 -> %4 scan @ rnn: body %")  # which selects rows now
    assert "; lengths False -> True; " in ragged
    assert differences(one, scanned(engine.tanh, steps=5)) == [
        "~ %2 leaf: shape [4,2,3] -> [5,2,3]",
        "~ %3 scan @ rnn: steps 4 -> 5",
        "~ %4 output @ rnn: shape [4,2,3] -> [5,2,3]",
    ]


def test_bodies_differ_by_the_attributes_in_them():
    one, other = (scanned(lambda x, m=m: engine.clip(x, max=m)) for m in (1.0, 2.0))
    (line,) = differences(one, other)
    assert "'max': 1.0" in line
    assert "'max': 2.0" in line


def test_bodies_differ_by_what_they_return():
    def run(number: int) -> engine.Tensor:
        def step(state: Any, x: Any) -> Any:
            h, c = state
            new = (engine.tanh(h + x), engine.sin(c + x))
            return new, new[number]

        init = (engine.zeros(2, requires_grad=True), engine.zeros(2, requires_grad=True))
        return engine.scan(step, init, engine.ones((3, 2)))[1]

    (line,) = differences(run(0), run(1))
    assert line.startswith("~ %3 scan: results [")


def test_text_and_difference_hold_no_addresses():
    class Helper:
        pass

    def program() -> Graph:
        op = Op("own", lambda xp, x, *, f, g: x * 1, (lambda xp, g, out, x, *, f: g,))
        return Graph.of(apply(op, (vector(),), {"f": Helper(), "g": lambda x: x}))

    one, other = program(), program()
    assert "0x" not in one.text()
    assert "Helper object" in one.text()
    assert one.text() == other.text()
    assert one.diff(other) == ""


# ---- differences: whole graphs


def test_nothing_and_leaves():
    nothing, leaves = Graph.of(), Graph.of(vector("x"), vector("y"))
    assert nothing.diff(Graph.of()) == ""
    assert nothing.text() == "return"
    assert differences(nothing, leaves) == [
        "+ %0 = leaf 'x' grad -> float32[2]",
        "+ %1 = leaf 'y' grad -> float32[2]",
        "~ return -> return %0, %1",
    ]
    assert differences(leaves, nothing)[0] == "- %0 = leaf 'x' grad -> float32[2]"


def test_only_graphs_can_be_compared():
    with pytest.raises(TypeError, match=r"diff: expected a Graph, got Tensor; .*Graph\.of"):
        chain(1).diff(vector())


OPS = [engine.tanh, engine.sin, engine.negative]


def program(steps: list[tuple[int, int, int]]) -> Graph:
    """Return tensors made one from others: op, and the positions of its inputs."""
    made = [vector("x"), vector("y")]
    for op, i, j in steps:
        a, b = made[i % len(made)], made[j % len(made)]
        made.append(OPS[op](a) if op < len(OPS) else a + b)
    return Graph.of(made[-1], made[0])


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 30)), max_size=12)


@SETTINGS
@given(STEPS, STEPS)
def test_a_difference_is_empty_where_the_texts_are_alike(one, other):
    a, b = program(one), program(other)
    assert (a.diff(b) == "") == (a.text() == b.text())
    assert program(one).diff(a) == ""


@SETTINGS
@given(STEPS, STEPS)
def test_removed_and_added_nodes_make_up_for_the_sizes(one, other):
    a, b = program(one), program(other)
    kinds = [line[0] for line in differences(a, b)]
    assert len(a) - kinds.count("-") + kinds.count("+") == len(b)
    for line in differences(a, b):
        text, number = line[2:], line[2:].split(" ")[0].removeprefix("%")
        if line[0] == "-":
            assert text == a.text().split("\n")[int(number)]
        if line[0] == "+":
            assert text == b.text().split("\n")[int(number)]


@SETTINGS
@given(st.integers(0, 39), st.integers(0, 39))
def test_two_insertions_are_four_lines(first, second):
    found = differences(chain(40), chain(40, extra={first, second}))
    inserted = len({first, second})
    assert [line[0] for line in found] == ["+", "~"] * inserted
    removed = differences(chain(40, extra={first, second}), chain(40))
    assert [line[0] for line in removed] == ["-", "~"] * inserted


def longest(a: str, b: str) -> int:
    """Return the length of a longest common subsequence, by the table of all prefixes."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best[i + 1][j + 1] = best[i][j] + 1 if x == y else max(best[i][j + 1], best[i + 1][j])
    return best[-1][-1]


@SETTINGS
@given(st.text("abc", max_size=40), st.text("abcd", max_size=40))
def test_a_common_subsequence_is_longest(a, b):
    pairs = common_subsequence(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))
    assert len(pairs) == longest(a, b)


def test_a_common_subsequence_with_more_differences_than_are_searched_for():
    rng = np.random.default_rng(0)
    a, b = ("".join(rng.choice(list("abcd"), 1500)) for _ in range(2))
    pairs = common_subsequence(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))
    assert len(a) + len(b) - 2 * len(pairs) > 2 * LIMIT
    assert len(pairs) > 0.95 * longest(a, b)


def seconds(one: Graph, other: Graph) -> tuple[float, int]:
    """Return the seconds that the difference takes, and its number of lines."""
    start = time.thread_time()
    found = differences(one, other)
    return time.thread_time() - start, len(found)


@pytest.mark.parametrize("n", first(1, [3_000, 10_000]))
def test_differences_of_long_graphs_take_about_a_second(n):
    rng = np.random.default_rng(1)
    plain, mixed = chain(n), program(mixed_steps(rng, n))
    cases = [
        (plain, chain(n), 0),
        (plain, chain(n, extra={5, 2 * n // 5, n - 1}), 6),
        (plain, chain(n, size=3), n + 1),
        (plain, chain(n, extra=set(range(0, n, 10))), n // 5),
        (mixed, program(mixed_steps(rng, n)), None),
    ]
    for one, other, lines in cases:
        taken, found = seconds(one, other)
        assert taken < n / 2_000
        assert lines in (None, found)


def mixed_steps(rng: Any, length: int) -> list[tuple[int, int, int]]:
    """Return a chain of ops chosen at random."""
    return [(int(op), number + 1, 0) for number, op in enumerate(rng.integers(0, 3, length))]


@pytest.mark.parametrize("n", first(1, [10_000, 100_000]))
def test_a_chain_of_very_many_nodes(n):
    one, other = chain(n), chain(n, extra={n // 2})
    taken, lines = seconds(one, other)
    assert lines == 2
    assert taken < 30
    start = time.thread_time()
    found = one.statistics()
    assert (found.nodes, found.edges, found.leaves) == (n + 1, n, 1)
    assert (found.depth, found.width, found.bytes) == (n, 1, (n + 1) * 8)
    x, y = one.tensor(one.nodes[0]), one.outputs[0]
    assert_path(x, y)
    with pytest.raises(AssertionError, match=rf"a path of {n} steps .* -> {n - 9:,} more -> "):
        assert_no_path(x, y)
    assert_node_count(y, op="negative", count=n)
    assert time.thread_time() - start < 30


PROGRAM = """
import engine, rnn
from engine import Graph
def graph(size, f):
    engine.seed(3)
    net = rnn.LSTM(3, size)
    net._name = "lstm"
    with engine.explicit():
        y, state = net(engine.ones((3, 2, 3)))
    loss = engine.sum(f(y))
    return Graph.of(loss, *engine.gradients(loss, net.parameters(), create_graph=True))
one, other = graph(4, engine.tanh), graph(5, lambda y: engine.sin(y) * y)
print(one.diff(other))
print(one.statistics())
"""


def test_no_hash_seed_shows():
    printed = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert printed[0].count("\n") > 50
    assert "0x" not in printed[0]


# ---- statistics


def test_statistics_by_hand():
    x, w = leaf(normal(4, 3)), leaf(normal(2, 3), name="w")
    with engine.scope("net"):
        with engine.scope("l0", t=0):
            a = engine.linear(x, w)  # (4, 2)
        with engine.scope("l0", t=1):
            b = engine.tanh(a)
    view = a[:, 0]  # a view, counted in full
    total = engine.sum(b * b) + engine.sum(view)
    found = Graph.of(total).statistics()
    assert (found.nodes, found.edges, found.leaves) == (9, 10, 2)
    assert (found.depth, found.width) == (5, 2)
    sizes = {"leaf": 96 + 48, "linear": 64, "tanh": 64, "multiply": 64, "getitem": 32}
    sizes |= {"sum": 16, "add": 8}
    assert {op: count.bytes for op, count in found.by_op.items()} == sizes
    assert found.bytes == sum(sizes.values())
    assert list(found.by_op)[:3] == ["leaf", "sum", "add"]
    assert dict(found.by_scope) == {"": Count(7, 144 + 64 + 32 + 24), "net.l0": Count(2, 128)}
    assert dict(found.by_t) == {None: found.by_scope[""], 0: Count(1, 64), 1: Count(1, 64)}
    assert list(found.by_t) == [None, 0, 1]


def by_enumeration(graph: Graph) -> tuple[int, int]:
    """Return depth and width by walking all paths one by one."""

    def depth(node: Any) -> int:
        return max((1 + depth(x.node) for x in node.inputs if hasattr(x, "node")), default=0)

    levels = [depth(node) for node in graph.nodes]
    return max(levels), max(levels.count(one) for one in levels)


@SETTINGS
@given(STEPS)
def test_statistics_against_brute_force(steps):
    graph = program(steps)
    found = graph.statistics()
    assert (found.depth, found.width) == by_enumeration(graph)
    assert found.bytes == sum(graph.tensor(node).data.nbytes for node in graph.nodes)
    assert found.edges == len(graph.edges)
    for counts in (found.by_op, found.by_scope, found.by_t):
        assert sum(count.nodes for count in counts.values()) == found.nodes
        assert sum(count.bytes for count in counts.values()) == found.bytes


def test_statistics_of_a_fused_recurrence():
    found = Graph.of(scanned(engine.tanh)).statistics()
    arrays = (2 * 3 + 4 * 2 * 3) * 4  # the last state and the outputs
    assert found.by_op["scan"] == Count(1, arrays)
    assert found.by_op["output"] == Count(1, 0)
    assert found.by_scope["rnn"] == Count(2, arrays)
    assert found.bytes == arrays + (9 + 6 + 24) * 4


def test_statistics_of_nothing_and_of_leaves():
    nothing = Graph.of().statistics()
    assert (nothing.nodes, nothing.edges, nothing.leaves) == (0, 0, 0)
    assert (nothing.depth, nothing.width, nothing.bytes) == (0, 0, 0)
    assert str(nothing) == "0 nodes (0 leaves), 0 edges, depth 0, width 0, 0 bytes"
    leaves = Graph.of(vector("x"), vector("y"), engine.ones((0, 3))).statistics()
    assert (leaves.nodes, leaves.leaves, leaves.depth, leaves.width) == (3, 3, 0, 3)
    assert leaves.bytes == 16


def test_statistics_of_several_outputs_count_shared_nodes_once():
    x = vector()
    y = engine.tanh(x)
    assert Graph.of(y, y * 2, y).statistics().nodes == 3


def test_statistics_cannot_be_changed():
    found = chain(2).statistics()
    with pytest.raises(AttributeError):
        found.nodes = 3
    with pytest.raises(TypeError):
        found.by_op["tanh"] = Count(1, 1)


def test_labels_of_time_are_sorted():
    x = vector()
    for t in (10, "last", 9, 2):
        with engine.scope(t=t):
            x = -x
    assert list(Graph.of(x).statistics().by_t) == [None, 2, 9, 10, "last"]


def test_what_statistics_print():
    x = vector(size=500)
    with engine.scope("net", t=3):
        y = engine.tanh(engine.tanh(x))
    assert str(Graph.of(y).statistics()).split("\n") == [
        "3 nodes (1 leaves), 2 edges, depth 2, width 1, 6,000 bytes",
        "",
        "op    nodes  bytes",
        "tanh      2  4,000",
        "leaf      1  2,000",
        "",
        "scope  nodes  bytes",
        "top        1  2,000",
        "net        2  4,000",
        "",
        "t     nodes  bytes",
        "none      1  2,000",
        "3         2  4,000",
    ]


def test_long_tables_are_cut():
    rows = [("op", "n"), *((f"o{n}", str(n)) for n in range(1_025))]
    lines = table(rows, left=1).split("\n")
    assert lines[:2] == ["op    n", "o0    0"]
    assert len(lines) == 22
    assert lines[-1] == "and 1,005 more"


# ---- assertions


def network() -> dict[str, engine.Tensor]:
    x, y = vector("x"), vector("y")
    with engine.scope("net"):
        a = engine.tanh(x)
        with engine.scope("l0", t=1):
            b = engine.tanh(a)
        with engine.scope("l0", t=2):
            c = engine.tanh(b)
    with engine.scope("network"):
        d = engine.tanh(c) + x
    return {"x": x, "y": y, "a": a, "b": b, "c": c, "d": d}


def test_paths_that_are_there():
    known = network()
    for target in (known["d"], known["d"].node, Graph.of(known["y"], known["d"]), [known["d"]]):
        assert_path(known["x"], target)
        assert_path(known["b"].node, target)
        with pytest.raises(AssertionError):
            assert_no_path(known["x"], target)
    assert_path(known["x"], known["x"])


def test_paths_that_are_not_there():
    known = network()
    for target in (known["d"], known["d"].node, Graph.of(known["d"]), (known["d"], known["c"])):
        assert_no_path(known["y"], target)
        with pytest.raises(AssertionError):
            assert_path(known["y"], target)
    assert_no_path(known["d"], known["x"])
    assert_no_path(known["x"], known["d"].detach())
    assert_no_path(known["x"], [])
    assert_no_path(known["x"], Graph.of())


def test_the_shortest_path_is_shown():
    known = network()
    with pytest.raises(AssertionError) as caught:
        assert_no_path(known["x"], known["d"])
    assert str(caught.value) == (
        "a path of 1 step leads there: leaf 'x' float32[2] -> add float32[2] at network"
    )
    with pytest.raises(AssertionError, match="a path of 1 step leads there: leaf 'x'"):
        assert_no_path(known["x"], known["x"] + known["c"])  # the other way round
    with pytest.raises(AssertionError) as caught:
        assert_no_path(known["a"], Graph.of(known["d"], known["c"]))
    assert str(caught.value) == (
        "a path of 2 steps leads there: tanh float32[2] at net -> "
        "tanh float32[2] at net.l0/t=1 -> tanh float32[2] at net.l0/t=2"
    )
    with pytest.raises(AssertionError, match="a path of 0 steps leads there: leaf 'x'"):
        assert_no_path(known["x"], known["x"])


def test_a_missing_path_names_both_ends():
    known = network()
    with pytest.raises(AssertionError) as caught:
        assert_path(known["y"], known["a"])
    assert str(caught.value) == (
        "no path leads from leaf 'y' float32[2] to tanh float32[2] at net; "
        "was it detached, or computed where nothing is recorded?"
    )
    with pytest.raises(AssertionError, match="to nothing;"):
        assert_path(known["y"], Graph.of())


def test_paths_lead_through_fused_recurrences():
    ys = scanned(engine.tanh)
    w = next(x for x in Graph.of(ys).nodes if x.name == "w")
    assert_path(w, ys)
    with pytest.raises(AssertionError, match=r"leaf 'w' .* -> scan .* -> output "):
        assert_no_path(w, ys)


@SETTINGS
@given(STEPS)
def test_paths_against_counts_of_paths(steps):
    graph = program(steps)
    target = graph.nodes[-1]
    for source in graph.nodes:
        if graph.count_paths(source, target):
            assert_path(source, target)
        else:
            assert_no_path(source, target)


@pytest.mark.parametrize("check", [assert_path, assert_no_path])
def test_paths_of_what_is_no_tensor(check):
    x, name = vector(), check.__name__
    with pytest.raises(TypeError, match=f"{name}: source must be a tensor or a node, got int"):
        check(3, x)
    with pytest.raises(TypeError, match=f"{name}: source must be a tensor or a node, got Graph"):
        check(Graph.of(x), x)
    with pytest.raises(TypeError, match=f"{name}: target must be a graph, .* got str"):
        check(x, "x")
    with pytest.raises(TypeError, match=f"{name}: target number 1 must be a tensor .* got float"):
        check(x, [x, 1.0])


def test_counts_of_nodes():
    known = network()
    d = known["d"]
    for graph in (d, d.node, Graph.of(d), [d, d.node, known["x"]]):
        assert_node_count(graph, op="tanh", count=4)
        assert_node_count(graph, op=engine.REGISTRY["tanh"], count=4)
        assert_node_count(graph, count=6)
        assert_node_count(graph, op="leaf", count=1)
        assert_node_count(graph, op="sin", count=0)
        assert_node_count(graph, scope="net", count=3)  # and not what is in "network"
        assert_node_count(graph, scope="net.l0", count=2)
        assert_node_count(graph, scope="", count=6)
        assert_node_count(graph, op="tanh", scope="net", t=2, count=1)
        assert_node_count(graph, op="add", scope="net", count=0)
        assert_node_count(graph, t=1, count=1)
    assert_node_count(scanned(engine.tanh), op="scan", count=1)
    assert_node_count(Graph.of(), count=0)


def test_wrong_counts_say_what_there_is():
    d = network()["d"]
    with pytest.raises(AssertionError) as caught:
        assert_node_count(d, op="tanh", scope="net.l0", t=2, count=2)
    assert str(caught.value) == (
        "expected 2 nodes of op 'tanh' in scope 'net.l0' at t=2, found 1: "
        "tanh float32[2] at net.l0/t=2; in the graph: 1 add, 1 leaf, 4 tanh"
    )
    with pytest.raises(AssertionError, match="expected 1 nodes, found 0; in the graph: nothing"):
        assert_node_count(Graph.of(), count=1)
    with pytest.raises(AssertionError, match=r"found 30: (negative[^,]*, ){10}20 more; in"):
        assert_node_count(chain(30), op="negative", count=2)


def test_counts_that_cannot_be_meant():
    x = vector()
    with pytest.raises(ValueError, match="there is no op 'sigmiod'; did you mean 'sigmoid'"):
        assert_node_count(x, op="sigmiod", count=0)
    with pytest.raises(ValueError, match=r"there is no op 'zzzzzz'$"):
        assert_node_count(x, op="zzzzzz", count=0)
    for count in (-1, 1.0, True, "2"):
        with pytest.raises(ValueError, match="count must be an integer from 0, got"):
            assert_node_count(x, op="tanh", count=count)
    with pytest.raises(TypeError, match=r"assert_node_count: graph must be a graph, .* got int"):
        assert_node_count(3, count=0)


def test_same_graphs():
    x = vector()
    one, other = engine.tanh(x), engine.sin(x)
    assert_same_graph(one, engine.tanh(vector()))
    assert_same_graph(Graph.of(one, other), [one, other])
    assert_same_graph([], Graph.of())
    with pytest.raises(AssertionError) as caught:
        assert_same_graph(one, other)
    assert str(caught.value) == f"the graphs differ:\n{Graph.of(one).diff(Graph.of(other))}"
    assert "op tanh -> sin" in str(caught.value)
    for given_ in (one.node, 3, [one, one.node]):
        with pytest.raises(TypeError, match="assert_same_graph: other must be a graph or tensors"):
            assert_same_graph(one, given_)


def test_assertions_are_reached_from_the_package():
    assert engine.testing.assert_no_path is assert_no_path
