"""Read the graph as data: its canonical text, queries, scopes; none of it can be changed."""

import itertools
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import Graph
from tests.draws import first

SETTINGS = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def vector(name: str, size: int = 2) -> engine.Tensor:
    """Return a named leaf that requires a gradient."""
    return engine.ones(size, requires_grad=True, name=name)


def lines(*text: str) -> str:
    return "\n".join(text)


# ---- text


def test_text_of_a_small_graph():
    x, w = vector("x"), engine.ones((3, 2), requires_grad=True, name="w")
    with engine.scope("net"):
        y = engine.tanh(engine.linear(x, w))
    loss = engine.sum(y * 0.5 + 1)
    assert Graph.of(loss).text() == lines(
        "%0 = leaf 'x' grad -> float32[2]",
        "%1 = leaf 'w' grad -> float32[3,2]",
        "%2 = linear(%0, %1) -> float32[3] @ net",
        "%3 = tanh(%2) -> float32[3] @ net",
        "%4 = multiply(%3, 0.5) -> float32[3]",
        "%5 = add(%4, 1) -> float32[3]",
        "%6 = sum(%5) -> float32[]",
        "return %6",
    )


def test_text_of_attributes_and_indices():
    x = engine.ones((4, 3), requires_grad=True, name="x")
    y = x[1:, ..., None, ::-2].reshape((6, -1))
    z = engine.take(engine.clip(engine.sum(y, axis=(0,), keepdims=True), max=0.25), [0, 0])
    assert Graph.of(z, y).text() == lines(
        "%0 = leaf 'x' grad -> float32[4,3]",
        "%1 = getitem(%0, key=(1:, ..., None, ::-2)) -> float32[3,1,2]",
        "%2 = reshape(%1, shape=(6, -1)) -> float32[6,1]",
        "%3 = sum(%2, axis=(0,), keepdims=True) -> float32[1,1]",
        "%4 = clip(%3, max=0.25) -> float32[1,1]",
        "%5 = leaf -> int64[2]",
        "%6 = getitem(%4, %5, key=(#0,)) -> float32[2,1]",
        "return %6, %2",
    )


def test_text_of_a_gradient():
    x = engine.asarray(np.array(3.0), requires_grad=True, name="x")
    with engine.scope("f", t=1):
        y = engine.tanh(x)
    g = engine.gradients(y * y, [x], create_graph=True)[0]
    assert Graph.of(g).text() == lines(
        "%0 = leaf 'x' grad -> float64[]",
        "%1 = tanh(%0) -> float64[] @ f/t=1",
        "%2 = leaf -> float64[]",
        "%3 = multiply(%2, %1) -> float64[] d[multiply]",
        "%4 = multiply(%2, %1) -> float64[] d[multiply]",
        "%5 = add(%3, %4) -> float64[] d[multiply]",
        "%6 = multiply(%1, %1) -> float64[] @ f/t=1 d[%1]",
        "%7 = subtract(1.0, %6) -> float64[] @ f/t=1 d[%1]",
        "%8 = multiply(%5, %7) -> float64[] @ f/t=1 d[%1]",
        "return %8",
    )


def test_text_of_output_and_gradient_together_names_origins_by_number():
    x = vector("x", 1)
    y = engine.exp(x)
    g = engine.gradients(y, [x], create_graph=True)[0]
    assert Graph.of(y, g).text() == lines(
        "%0 = leaf 'x' grad -> float32[1]",
        "%1 = exp(%0) -> float32[1]",
        "%2 = leaf -> float32[1]",
        "%3 = multiply(%2, %1) -> float32[1] d[%1]",
        "return %1, %3",
    )


def test_text_of_a_leaf_alone():
    assert Graph.of(engine.ones((2, 0))).text() == "%0 = leaf -> float32[2,0]\nreturn %0"


PROGRAM = """
import engine, rnn
engine.seed(3)
net = rnn.LSTM(3, 4)
net._name = "lstm"
y, state = net(engine.ones((3, 2, 3)), unroll={unroll})
loss = engine.sum(y * y)
grads = engine.gradients(loss, net.parameters(), create_graph=True)
text = engine.Graph.of(loss, *grads).text()
"""


def program_text(unroll: bool = True) -> str:
    found: dict[str, Any] = {}
    exec(PROGRAM.format(unroll=unroll), found)
    return str(found["text"])


def text_under_hash_seed(seed: str, unroll: bool) -> str:
    """Return the output of the program in its own process."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(unroll=unroll) + "print(text, end='')"],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return run.stdout


@pytest.mark.parametrize("unroll", [True, False])
def test_the_same_program_has_the_same_text(unroll):
    first = program_text(unroll)
    engine.tanh(vector("between"))  # so that all ids differ
    assert program_text(unroll) == first
    assert "0x" not in first
    assert first.count("\n") > (100 if unroll else 20)


@pytest.mark.parametrize("unroll", first(1, [True, False]))
def test_text_knows_no_hash_seed(unroll):
    first, second = (text_under_hash_seed(seed, unroll) for seed in "12")
    assert first == second == program_text(unroll)


# ---- nodes, edges and queries


def diamond() -> tuple[Graph, dict[str, engine.Tensor]]:
    """Return x -> a, b -> c, and a leaf y into c's successor d; `unused` leads nowhere."""
    x, y = vector("x"), vector("y")
    a, b = engine.exp(x), engine.tanh(x)
    c = a * b
    unused = engine.sin(a)
    d = c + y
    return Graph.of(d), {"x": x, "y": y, "a": a, "b": b, "c": c, "d": d, "unused": unused}


def names(nodes: Any, known: dict[str, engine.Tensor]) -> str:
    """Return the nodes by the names of their tensors, in order."""
    return "".join(next(n for n, x in known.items() if x.node is node) for node in nodes)


def test_nodes_are_in_topological_order():
    graph, known = diamond()
    assert names(graph.nodes, known) == "xyabcd"
    seen: set[Any] = set()
    for node in graph.nodes:
        assert {x.node for x in node.inputs} <= seen
        seen.add(node)
    assert len(graph) == 6
    assert known["unused"] not in graph
    assert known["c"] in graph
    assert known["c"].node in graph


def test_edges_are_uses():
    graph, known = diamond()
    edges = {(names([s, t], known), slot) for s, t, slot in graph.edges}
    assert edges == {("xa", 0), ("xb", 0), ("ac", 0), ("bc", 1), ("cd", 0), ("yd", 1)}
    x = vector("x")
    y = x * x
    assert [slot for *_, slot in Graph.of(y).edges] == [0, 1]


def test_ancestors_descendants_between():
    graph, known = diamond()
    assert names(graph.ancestors(known["c"]), known) == "xab"
    assert names(graph.ancestors(known["x"]), known) == ""
    assert names(graph.descendants(known["x"]), known) == "abcd"
    assert names(graph.descendants(known["y"].node), known) == "d"
    assert names(graph.between(known["x"], known["c"]), known) == "xabc"
    assert names(graph.between(known["a"], known["d"]), known) == "acd"
    assert names(graph.between(known["y"], known["c"]), known) == ""
    assert names(graph.between(known["c"], known["a"]), known) == ""
    assert names(graph.between(known["a"], known["a"]), known) == "a"


def test_count_paths_by_hand():
    graph, known = diamond()
    assert graph.count_paths(known["x"], known["d"]) == 2
    assert graph.count_paths(known["y"], known["d"]) == 1
    assert graph.count_paths(known["y"], known["c"]) == 0
    assert graph.count_paths(known["d"], known["x"]) == 0
    assert graph.count_paths(known["x"], known["x"]) == 1


def test_count_paths_is_exact_at_any_size():
    x = y = engine.zeros(2, requires_grad=True)
    for _ in range(300):
        y = y + y
    assert Graph.of(y).count_paths(x, y) == 2**300


@pytest.mark.parametrize("query", ["ancestors", "descendants", "count_paths", "between"])
def test_queries_refuse_strangers(query):
    graph, known = diamond()
    arguments = [known["unused"]] * (2 if query in ("count_paths", "between") else 1)
    with pytest.raises(ValueError, match=f"{query}: .*sin.* not in this graph"):
        getattr(graph, query)(*arguments)


def random_graph(parents: list[list[int]]) -> list[engine.Tensor]:
    """Return tensors, of which number i + 1 is the sum of those that the list at i names."""
    made = [vector("x")]
    for chosen in parents:
        total = made[chosen[0] % len(made)]
        made.append(sum((made[p % len(made)] for p in chosen[1:]), total * 1))
    return made


def paths_by_enumeration(graph: Graph, source: Any, target: Any) -> int:
    """Walk every path, one by one."""
    if source is target:
        return 1
    uses = [(s, t) for s, t, _ in graph.edges if t is target]
    return sum(paths_by_enumeration(graph, source, s) for s, _ in uses)


@SETTINGS
@given(st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=3), min_size=1, max_size=5))
def test_queries_against_brute_force(parents):
    made = random_graph(parents)
    graph = Graph.of(made[-1], made[0])
    for source, target in itertools.product(graph.nodes[::2], graph.nodes):
        expected = paths_by_enumeration(graph, source, target)
        assert graph.count_paths(source, target) == expected
        related = expected > 0 and source is not target
        assert (source in graph.ancestors(target)) == related
        assert (target in graph.descendants(source)) == related
        assert (len(graph.between(source, target)) > 0) == (expected > 0)


@SETTINGS
@given(st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=3), min_size=1, max_size=5))
def test_path_counts_are_gradients_of_sums(parents):
    # Where every op is a sum, the derivative is the number of paths.
    made = random_graph(parents)
    g = engine.gradients(engine.sum(made[-1]), [made[0]])[0]
    paths = Graph.of(made[-1], made[0]).count_paths(made[0], made[-1])
    assert (0.0 if g is None else g[0].item()) == paths


def test_several_outputs_share_their_graph():
    x = vector("x")
    y = x * 2
    graph = Graph.of(y, y + 1, y)
    assert [n.op.name for n in graph.nodes] == ["leaf", "multiply", "add"]
    assert len(graph.outputs) == 3


def test_to_networkx():
    x = vector("x")
    with engine.scope("net.l0", t=2, gate="i"):
        y = x * x
    made = Graph.of(y).to_networkx()
    assert list(made.nodes) == [0, 1]
    assert made.nodes[0] == {
        "op": "leaf", "name": "x", "shape": (2,), "dtype": "float32", "scope": "",
    }  # fmt: skip
    assert made.nodes[1] == {
        "op": "multiply", "name": "", "shape": (2,), "dtype": "float32", "scope": "net.l0",
        "t": 2, "gate": "i",
    }  # fmt: skip
    assert sorted(made.edges(keys=True, data="slot")) == [(0, 1, 0, 0), (0, 1, 1, 1)]


def test_nothing_is_recorded_that_needs_no_gradient():
    x = engine.ones(2)
    y = engine.tanh(x) * 3
    assert len(Graph.of(y)) == 1
    assert y.node.op.name == "leaf"


# ---- scopes


def scope_of(x: engine.Tensor) -> str:
    return str((x * 1).node.scope)


def test_scopes_nest_and_are_undone():
    x = vector("x")
    assert scope_of(x) == "top"
    with engine.scope("net"):
        with engine.scope("l0", t=3), engine.scope(gate="i"):
            assert scope_of(x) == "net.l0/t=3/gate=i"
        with engine.scope("l1", t=4), engine.scope("inner", t=5):
            assert scope_of(x) == "net.l1.inner/t=5"
        assert scope_of(x) == "net"
    with pytest.raises(RuntimeError), engine.scope("broken"):
        raise RuntimeError
    assert scope_of(x) == "top"


def test_a_scope_can_be_entered_again_while_it_is_open():
    x, block = vector("x"), engine.scope("block")
    with block:
        with block:
            assert scope_of(x) == "block.block"
        assert scope_of(x) == "block"
    assert scope_of(x) == "top"


def test_labels_that_the_path_tells_are_kept_but_not_shown():
    x = vector("x")
    with engine.scope("l0", layer=0, direction="forward", cell="LSTMCell", t=1):
        scope = (x * 1).node.scope
    assert str(scope) == "l0/t=1"
    assert dict(scope.labels) == {"layer": 0, "direction": "forward", "cell": "LSTMCell", "t": 1}


def test_leaves_carry_the_scope_they_were_made_in():
    with engine.scope("data"):
        assert str(engine.asarray(1.0).node.scope) == "data"


def test_a_new_thread_starts_at_the_top():
    found: list[str] = []
    with engine.scope("main"):
        thread = threading.Thread(target=lambda: found.append(scope_of(vector("x"))))
        thread.start()
        thread.join()
    assert found == ["top"]


def test_scopes_compare_by_what_they_say():
    one, same = (engine.Scope("a", {"t": 1}) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, engine.Scope("a", {"t": 2}), engine.Scope("b", {"t": 1})}) == 3
    assert one != "a/t=1"


# ---- immutability


@pytest.mark.parametrize("field", engine.Node._fields)
def test_nodes_cannot_be_changed(field):
    node = (vector("x") * 2).node
    with pytest.raises(AttributeError):
        setattr(node, field, None)
    with pytest.raises(AttributeError):
        node.note = "no room for this"


@pytest.mark.parametrize("make", [lambda x: x * 2, lambda x: engine.sum(x, axis=0), lambda x: x])
def test_attributes_of_nodes_cannot_be_changed(make):
    node = make(vector("x")).node
    before = dict(node.attrs)
    try:
        with pytest.raises(TypeError):
            node.attrs["note"] = 1
    finally:
        if "note" in node.attrs:
            del node.attrs["note"]  # ops without attributes may share theirs
    assert dict(node.attrs) == before


def test_a_node_is_itself_only():
    x = vector("x")
    one, other = (x * 2).node, (x * 2).node
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2
    assert other.id > one.id


def test_scopes_cannot_be_changed():
    scope = engine.Scope("a", {"t": 1})
    with pytest.raises(AttributeError, match="immutable"):
        scope.path = "b"
    with pytest.raises(TypeError):
        scope.labels["t"] = 2
    labels = {"t": 1}
    kept = engine.Scope("a", labels)
    labels["t"] = 9
    assert kept.labels["t"] == 1


def test_a_child_scope_leaves_its_parent_alone():
    parent = engine.Scope("a", {"t": 1})
    child = parent.child("b", {"t": 2})
    assert (str(parent), str(child)) == ("a/t=1", "a.b/t=2")


def test_a_registered_op_cannot_be_changed():
    with pytest.raises(AttributeError):
        engine.REGISTRY["tanh"].vjp = None
