"""Test scan as data: the graph and the body that it records, and its refusals."""

from typing import Any

import pytest

import engine
from engine import Graph, tanh
from tests.draws import first, normal, normal_leaf
from tests.engine.scan.test_scan import B, H, T, make_step, seeded_sum

pytestmark = pytest.mark.usefixtures("explicit")

# ---- the graph


def nodes_of(steps: int) -> int:
    w, h, x = normal_leaf(2, 2), normal_leaf(1, 2), normal_leaf(steps, 1, 2)
    return len(Graph.of(*engine.scan(make_step(w), h, x)))


def gradient_nodes_of(steps: int) -> int:
    w, h, x = normal_leaf(2, 2), normal_leaf(1, 2), normal_leaf(steps, 1, 2)
    final, ys = engine.scan(make_step(w), h, x)
    grads = engine.gradients(seeded_sum(final, ys), [w, h, x], create_graph=True)
    return len(Graph.of(*grads))


@pytest.mark.parametrize("count", first(1, [gradient_nodes_of, nodes_of]))
def test_node_counts_are_linear_in_time(count):
    few, some, many = (count(steps) for steps in (10, 100, 2000))
    per_step = (some - few) // 90
    assert some - few == 90 * per_step
    assert many - some == 1900 * per_step
    assert per_step < 40


@pytest.mark.parametrize("reverse", [False, True])
def test_nodes_know_their_time(reverse):
    w, h, x = normal_leaf(2, 2), normal_leaf(1, 2), normal_leaf(3, 1, 2)
    with engine.scope("net"):
        final, _ = engine.scan(make_step(w), h, x, reverse=reverse)
    inside = [n for n in Graph.of(final).nodes if n.op.name == "tanh"]
    assert [n.scope.labels["t"] for n in inside] == ([2, 1, 0] if reverse else [0, 1, 2])
    assert {n.scope.path for n in inside} == {"net"}


# ---- the body as data


def test_the_body_is_data():
    w = engine.asarray(normal(H, H), requires_grad=True, name="w")
    bias = engine.asarray(normal(H), name="bias")
    calls: list[int] = []

    def step(state, x):
        calls.append(1)
        u = x["in"] * bias
        h = tanh(state[0] @ w + u)
        return (h, state[1] + 1.0), (h, u)

    init = (normal_leaf(B, H), engine.zeros(B))
    body = engine.scan_body(step, init, {"in": normal_leaf(T, B, H)})
    assert calls == [1]
    assert [x.shape for x in body.states] == [(B, H), (B,)]
    assert [x.shape for x in body.xs] == [(B, H)]
    assert [x.shape for x in body.new_states] == [(B, H), (B,)]
    assert [x.shape for x in body.ys] == [(B, H), (B, H)]
    assert body.new_states[0] is body.ys[0]
    assert {n.name for n in body.invariants} == {"w", "bias"}
    assert body.ys_nest(["a", "b"]) == ("a", "b")
    recurrent = [n.op.name for n in body.graph.nodes if n.inputs and n in body.recurrent]
    assert recurrent == ["matmul", "add", "tanh", "add"]
    others = [n.op.name for n in body.graph.nodes if n.inputs and n not in body.recurrent]
    assert others == ["multiply"]
    assert {x.node for x in body.states} <= body.recurrent
    assert not {x.node for x in body.xs} & body.recurrent
    assert not set(body.invariants) & body.recurrent


def test_the_text_of_a_body():
    w = engine.ones((H, H), requires_grad=True, name="w")

    def step(h, x):
        a = h @ w
        h = tanh(a + x)
        return h, h

    body = engine.scan_body(step, engine.zeros((B, H)), engine.zeros((T, B, H)))
    assert body.graph.text().replace(" -> ", "->").splitlines() == [
        "%0 = leaf 'w' grad->float32[4,4]",
        "%1 = leaf 'state0' grad->float32[3,4]",
        "%2 = leaf 'x0' grad->float32[3,4]",
        "%3 = matmul(%1, %0)->float32[3,4] @ top/gate=a",
        "%4 = add(%3, %2)->float32[3,4] @ top/gate=h",
        "%5 = tanh(%4)->float32[3,4] @ top/gate=h",
        "return %5, %5",
    ]


def test_recording_a_body_leaves_no_trace():
    x = engine.ones(2)
    engine.scan_body(lambda h, x: (h + x, h), x, engine.ones((T, 2)))
    assert (x * 2).node.op.name == "leaf"


def test_explain_scan():
    told = engine.explain_scan(
        lambda h, x: (tanh(h) + engine.exp(x), h),
        engine.zeros(2),
        engine.ones((T, 2)),
        reverse=True,
    )
    assert "explicit: runs it" in told
    assert "body: 3 ops, 2 of them depend on the state" in told
    assert "tanh(" in told


# ---- errors


def run(step: Any = None, init: Any = None, xs: Any = None, **options: Any) -> Any:
    step = step or (lambda h, x: (h + x, h))
    init = engine.zeros((B, H)) if init is None else init
    return engine.scan(step, init, engine.zeros((T, B, H)) if xs is None else xs, **options)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (lambda h, x: ((h, h), h), r"state of form \(\*, \*\), expected \*"),
        (lambda h, x: ([h], h), r"state of form \[\*\], expected \*"),
        (lambda h, x: (None, h), r"state of form None, expected \*"),
        (lambda h, x: (h[:1], h), r"state 0 changed from float32\[3, 4\] to float32\[1, 4\]"),
        (lambda h, x: (engine.astype(h, "float64"), h), r"from float32\[3, 4\] to float64\[3, 4\]"),
    ],
)
def test_a_state_that_changes_is_refused(step, told):
    with pytest.raises(ValueError, match=told):
        run(step)
    with pytest.raises(ValueError, match=told):
        engine.scan_body(step, engine.zeros((B, H)), engine.zeros((T, B, H)))


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        ([1, -1, 2], "must lie in 0 to T = 5, got -1 to 2"),
        ([1, 6, 2], "must lie in 0 to T = 5, got 1 to 6"),
        ([1.0, 2.0, 3.0], r"must be integers \(B,\), got float32\[3\]"),
        ([True, False, True], r"must be integers \(B,\), got bool\[3\]"),
        ([[1, 2, 3]], r"must be integers \(B,\), got int64\[1, 3\]"),
        (3, r"must be integers \(B,\), got int64\[\]"),
        ([1, 2], "2 lengths for a batch of 3"),
    ],
)
def test_bad_lengths_are_refused(lengths, told):
    with pytest.raises(ValueError, match=told):
        run(lengths=lengths)


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match=r"lengths of time differ: \[4, 5\]"):
        run(xs=(engine.zeros((5, B, H)), engine.zeros((4, B, H))))
    with pytest.raises(ValueError, match=r"lengths of time differ: \[5, 7\]"):
        run(length=7)
    with pytest.raises(ValueError, match="give xs or length"):
        engine.scan(lambda h, x: (h, h), engine.zeros(2), None)
    with pytest.raises(ValueError, match="leading time axis"):
        run(xs=engine.zeros(()))


def test_an_error_inside_a_step_names_the_time():
    with pytest.raises(ValueError, match=r"matmul at net/t=0.*transpose"), engine.scope("net"):
        run(lambda h, x: (h @ engine.zeros((2, H)), h))


def test_what_a_step_makes_of_its_weights_alone_lies_on_their_device(device):
    w = engine.asarray([[1.0, 2.0], [3.0, 4.0]], device=device)
    h, x = engine.zeros(2, device=device), engine.ones((3, 2), device=device)
    found = []

    def step(h, x):
        found.append((2.0 * w[0], engine.concat([w, w])[1]))
        return engine.tanh(x + found[-1][0] * h + found[-1][1]), h

    body = engine.scan_body(step, h, x)
    assert {one.device for one in (*found[-1], *body.new_states)} == {device}
