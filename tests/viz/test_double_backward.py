"""Draw gradients as graphs: every gradient node by its origin, and exact second orders."""

from functools import partial

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import leaf, normal
from tests.viz.pictures import per_step, total
from viz.drawings.double_backward import ACROSS, BACK, BACK_TOO
from viz.style import FILLS

draw_double_backward = partial(viz.draw_double_backward, max_steps=6)  # all steps, however wide


def network(steps):
    """Return a loss on the graph, and the recurrent weight of its cell."""
    engine.seed(3)
    cell = rnn.ElmanCell(3, 4, dtype="float64")
    return total(per_step(cell, steps)), cell.weight_hh


def square(found):
    return engine.sum(found[0] ** 2)


@pytest.mark.parametrize("steps", [1, 3])
def test_every_gradient_node_is_red_and_at_the_step_of_its_origin(steps):
    loss, w = network(steps)
    (g,) = engine.gradients(loss, [w], create_graph=True)
    graph = engine.Graph.of(loss, g)
    diagram = draw_double_backward(loss, [w])
    drawn = diagram.graph
    kinds = [d["kind"] for _, d in drawn.nodes(data=True)]
    made = [node for node in graph.nodes if node.origin is not None]
    assert kinds.count("gradient") == len(made) > 10
    assert drawn.number_of_nodes() == len(graph)
    assert drawn.number_of_edges() == len(graph.edges)
    times = [d["t"] for _, d in drawn.nodes(data=True) if d["kind"] == "gradient"]
    assert times == [node.origin.scope.labels.get("t") for node in made]
    boxes = {box.key: box for box in diagram.scene.boxes}
    assert {boxes[n].kind for n, d in drawn.nodes(data=True) if d["kind"] == "gradient"} == {
        "gradient"
    }


def test_notes_count_what_the_graph_has():
    loss, w = network(2)
    (g,) = engine.gradients(loss, [w], create_graph=True)
    graph, forward = engine.Graph.of(loss, g), engine.Graph.of(loss)
    made = [node for node in graph.nodes if node.origin is not None]
    undone = {node.origin.id for node in made}
    ops = sum(bool(node.inputs) for node in forward.nodes)
    used = {a.id for a, b, _ in graph.edges if b.origin is not None and a in forward}
    assert draw_double_backward(loss, [w]).scene.notes == (
        f"{len(made)} gradient nodes for {len(undone)} of {ops} forward ops",
        f"{len(used)} forward values used in derivatives",
        "∂ of an op: a part of its own derivative; d: through the whole graph",
    )


def test_edges_are_coloured_by_what_they_join():
    loss, w = network(2)
    for grad_of, back in ((None, BACK), (square, BACK_TOO)):
        diagram = draw_double_backward(loss, [w], grad_of=grad_of)
        kinds = {n: d["kind"] == "gradient" for n, d in diagram.graph.nodes(data=True)}
        starts = {box.key for box in diagram.scene.boxes if "seed, dL/dL = 1" in box.lines}
        assert len(starts) == 1
        for wire in diagram.scene.wires:
            if wire.kind == "backward":
                continue
            ends = kinds[wire.source], kinds[wire.target]
            seed = wire.source in starts
            assert (wire.color == back) == (ends == (True, True) or seed)
            assert (wire.color == ACROSS) == (ends == (False, True) and not seed)
        assert any(swatch.color == back for swatch in diagram.scene.legend)


def test_the_seed_is_the_start_of_the_gradient():
    x = leaf(2.0, name="x")
    diagram = draw_double_backward(engine.sin(x), [x])
    (seed,) = [box for box in diagram.scene.boxes if box.lines[0] == "const"]
    assert seed.lines == ("const", "seed, dL/dL = 1")
    assert seed.fill == FILLS["gradient"]
    assert "constant" not in {swatch.text for swatch in diagram.scene.legend}


def test_what_stands_outside_of_modules_is_an_op():
    x = leaf(2.0, name="x")
    with engine.scope(t=0):
        h = engine.sin(x)
    diagram = draw_double_backward(h, [x], level="gate")
    (box,) = [d for _, d in diagram.graph.nodes(data=True) if d["label"] == "sin"]
    assert box["kind"] == "op"
    assert "module" not in {swatch.text for swatch in diagram.scene.legend}


def test_boxes_say_what_they_differentiate():
    x = leaf(2.0, name="x")
    found = draw_double_backward(engine.sin(x) * 2.0, [x])
    lines = [box.lines for box in found.scene.boxes if box.kind == "gradient"]
    assert ("cos", "∂(sin)") in lines
    loss, w = network(2)
    diagram = draw_double_backward(loss, [w], level="cell")
    labels = {d["label"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "gradient"}
    assert {"∂ ElmanCell", "∂ loss", "∂ loss.head"} <= labels


def test_the_second_backward_pass_is_exact():
    x = leaf(normal(3), name="x")
    w = leaf(normal(3, 3), name="w")
    loss = engine.sum(engine.tanh(w @ x))
    diagram = draw_double_backward(loss, [w], grad_of=square)
    shown = {d["label"]: d["grad_norm"] for _, d in diagram.graph.nodes(data=True)
             if d["kind"] == "parameter"}  # fmt: skip
    (g,) = engine.gradients(loss, [w], create_graph=True)
    for name, tensor in (("x", x), ("w", w)):
        (second,) = engine.gradients(engine.sum(g**2), [tensor])
        assert shown[name] == pytest.approx(np.linalg.norm(second.numpy()))

    def squared(value):  # ‖∂L/∂w‖² in closed form: the derivative of tanh times x
        return np.sum(np.outer(1 - np.tanh(w.numpy() @ value) ** 2, value) ** 2)

    step, found = 1e-6, np.zeros(3)
    for i in range(3):
        to = np.eye(3)[i] * step
        found[i] = (squared(x.numpy() + to) - squared(x.numpy() - to)) / (2 * step)
    assert shown["x"] == pytest.approx(np.linalg.norm(found), rel=1e-6)


@pytest.mark.parametrize("level", ["op", "gate", "cell"])
def test_second_orders_of_a_recurrence_at_every_level(level):
    engine.seed(3)
    net = rnn.RNN(3, 4, dtype="float64")
    (w,) = (p for name, p in net.named_parameters() if name == "weight_hh_l0")
    loss = engine.sum(net(leaf(normal(3, 1, 3), name="x"))[0] ** 2)
    diagram = draw_double_backward(loss, [w], grad_of=square, level=level)
    (g,) = engine.gradients(loss, [w], create_graph=True)
    (second,) = engine.gradients(engine.sum(g**2), [w])
    if level == "op":
        shown = {d["label"]: d["grad_norm"] for _, d in diagram.graph.nodes(data=True)
                 if d["kind"] == "parameter"}  # fmt: skip
        assert shown["weight_hh"] == pytest.approx(np.linalg.norm(second.numpy()))
    assert diagram.scene.title == "The second backward pass"
    assert "Red lines: the gradient of what grad_of made" in diagram.scene.notes
    steps = {d["t"] for _, d in diagram.graph.nodes(data=True) if d["kind"] == "gradient"}
    assert {0, 1, 2} <= steps


def test_several_inputs_and_the_same_picture_twice():
    def draw():
        loss, w = network(2)
        x = leaf(1.0, name="unused")
        return draw_double_backward(loss + 0.0 * x.detach(), [w], title="Mine").svg()

    assert draw() == draw()
    assert "Mine" in draw()


def test_mistakes():
    x, y = leaf(2.0, name="x"), leaf(1.0, name="y")
    loss = x * x
    with pytest.raises(ValueError, match=r"not computed from input 1, <node leaf .*explicit\(\)"):
        draw_double_backward(loss, [x, y])
    with pytest.raises(ValueError, match=r"the loss has shape \(2,\), expected one number"):
        draw_double_backward(leaf(1.0, 2.0) * 2.0, [x])
    with pytest.raises(ValueError, match="the loss depends on nothing that requires"):
        draw_double_backward(engine.ones(()), [x])
    constant = engine.ones(())
    with pytest.raises(ValueError, match="none of the inputs requires a gradient"):
        draw_double_backward(x * constant, [constant])
    with pytest.raises(ValueError, match=r"single number that depends on the gradients .* float"):
        draw_double_backward(loss, [x], grad_of=lambda found: 1.0)
    with pytest.raises(ValueError, match=r"got Tensor of \(\)"):
        draw_double_backward(loss, [x], grad_of=lambda found: found[0].detach())
