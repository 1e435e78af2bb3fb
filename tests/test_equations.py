"""That the assignments of a step function name the nodes they make, whatever form they take."""

from collections.abc import Callable
from typing import Any

import pytest

import engine
from engine import Graph, tanh

pytestmark = pytest.mark.usefixtures("explicit")


def labels(step: Callable[[Any], Any], states: tuple[str, ...] = ()) -> list[str]:
    """op:label of every node that a step makes, in the order in which it makes them."""
    x = engine.ones((2, 4), requires_grad=True)
    with engine.equations(step, states):
        outputs = step(x)
    return told(Graph.of(*(outputs if isinstance(outputs, tuple) else (outputs,))))


def told(graph: Graph) -> list[str]:
    return [f"{n.op.name}:{label(n)}" for n in graph.nodes if n.inputs]


def label(node: engine.Node) -> str:
    """``gate=i`` or ``state=h`` as the scope has it; empty without either."""
    found = [f"{kind}={node.scope.labels[kind]}" for kind in ("gate", "state")
             if kind in node.scope.labels]  # fmt: skip
    return " ".join(found)


def test_all_nodes_of_an_expression_belong_to_its_variable():
    def step(x):
        i = tanh(x * 2)
        c = i * x + 1
        return c

    assert labels(step) == ["multiply:gate=i", "tanh:gate=i", "multiply:gate=c", "add:gate=c"]


def test_states_are_told_from_gates():
    def step(x):
        o = tanh(x)
        c = o * x
        h = o + c
        return h

    found = labels(step, ("h", "c"))
    assert found == ["tanh:gate=o", "multiply:state=c", "add:state=h"]


def test_a_variable_assigned_again():
    def step(x):
        h = x * 2
        h = tanh(h)
        h += 1
        return h

    assert labels(step, ("h",)) == ["multiply:state=h", "tanh:state=h", "add:state=h"]


def test_tuple_unpacking_names_them_all():
    def step(x):
        a_i, a_f = engine.split(x, 2, axis=-1)
        return a_i, a_f

    assert labels(step) == ["getitem:gate=a_i, a_f"] * 2


def test_starred_unpacking_names_them_all():
    def step(x):
        a, *b = engine.split(x, 4, axis=-1)
        return a, *b

    assert set(labels(step)) == {"getitem:gate=a, b"}


def test_statements_over_several_lines():
    def step(x):
        r = tanh(
            x
            * 2
        )  # fmt: skip
        z = (
            r
            + x
        )  # fmt: skip
        return z

    assert labels(step) == ["multiply:gate=r", "tanh:gate=r", "add:gate=z"]


def test_several_statements_on_one_line():
    def step(x):
        a = x * 2; b = tanh(a); return b  # noqa: E702  # fmt: skip

    assert labels(step) == ["multiply:gate=a", "tanh:gate=b"]


def test_chained_assignment_names_both():
    def step(x):
        y = h = tanh(x)
        return y * h

    assert labels(step)[0] == "tanh:gate=y, h"


def test_what_is_returned_unassigned_has_no_name():
    def step(x):
        a = x * 2
        return tanh(a)

    assert labels(step) == ["multiply:gate=a", "tanh:"]


def affine(x: Any, scale: float) -> Any:
    """A helper whose own variables name nothing."""
    inner = x * scale
    return inner + 1


def test_functions_that_the_step_calls():
    def step(x):
        g = tanh(affine(x, 2.0))
        return affine(g, 3.0)

    assert labels(step) == ["multiply:gate=g", "add:gate=g", "tanh:gate=g", "multiply:", "add:"]


def test_methods_and_attributes():
    class Cell:
        scale = 3.0

        def gate(self, x):
            y = x * self.scale
            return tanh(y)

        def step(self, x):
            i = self.gate(x)
            return i

    assert labels(Cell().step) == ["multiply:gate=i", "tanh:gate=i"]


def test_comprehensions_and_lambdas():
    def step(x):
        parts = [tanh(x * k) for k in (1, 2)]
        total = sum(map(lambda part: part * 2, parts), 0.0)  # noqa: C417
        return total

    found = labels(step)
    assert {f for f in found if f.startswith("tanh")} == {"tanh:gate=parts"}
    assert found.count("multiply:gate=parts") == found.count("multiply:gate=total") == 2


def test_branches_and_loops():
    def step(x):
        i = tanh(x) if x.ndim else x * 2
        for _ in range(2):
            i = i * x
        if i.ndim == 2:
            o = i + 1
        else:
            o = i - 1
        return o

    assert labels(step) == ["tanh:gate=i", "multiply:gate=i", "multiply:gate=i", "add:gate=o"]


def test_a_walrus_names_its_part():
    def step(x):
        return (h := tanh(x)) * 2, h

    assert labels(step)[0] == "tanh:gate=h"
    assert labels(step)[1] == "multiply:"


def test_a_variable_that_a_closure_uses():
    def step(x):
        f = tanh(x)
        use = lambda: f * 2  # noqa: E731
        c = use()
        return c

    assert labels(step) == ["tanh:gate=f", "multiply:gate=c"]


def test_what_is_stored_elsewhere_is_not_the_next_variables():
    kept: dict[str, Any] = {}

    class Box:
        value: Any

    box = Box()

    def step(x):
        kept["y"] = tanh(x)
        box.value = engine.exp(x)
        h = x * 2
        return h, kept["y"], box.value

    assert sorted(labels(step)) == ["exp:", "multiply:gate=h", "tanh:"]


def test_a_condition_is_not_the_next_variables():
    seen: list[Any] = []

    def probe(x):
        seen.append(x)
        return True

    def step(x):
        if probe(tanh(x)):
            h = x * 2
        return h, seen[0]

    assert sorted(labels(step)) == ["multiply:gate=h", "tanh:"]


def test_with_blocks_inside_a_step():
    def step(x):
        with engine.scope("inner"):
            i = tanh(x)
        o = i * 2
        return o

    assert labels(step) == ["tanh:gate=i", "multiply:gate=o"]


def test_steps_that_call_themselves_or_fail_leave_no_names():
    def step(x):
        h = x * "no"
        return h

    with pytest.raises(TypeError):
        labels(step)
    x = engine.ones(2, requires_grad=True)
    assert label((x * 2).node) == ""


def test_what_is_not_python_has_no_equations():
    x = engine.ones(2, requires_grad=True)
    with engine.equations(max):
        assert label((x * 2).node) == ""


def test_names_outside_of_a_step():
    x = engine.ones(2, requires_grad=True)

    def step(x):
        h = x * 2
        return h

    assert label(step(x).node) == ""


def test_a_scan_names_the_nodes_of_each_step():
    w = engine.ones((3, 3), requires_grad=True, name="w")

    def step(h, x):
        a = h @ w + x
        h = tanh(a)
        return h, h

    final, _ = engine.scan(step, engine.zeros((2, 3)), engine.ones((4, 2, 3)))
    inside = [n for n in Graph.of(final).nodes if n.op.name in ("matmul", "tanh")]
    assert [(n.scope.labels["t"], n.op.name, label(n)) for n in inside] == [
        (t, name, f"gate={gate}")
        for t in range(4)
        for name, gate in (("matmul", "a"), ("tanh", "h"))
    ]


def test_gradient_nodes_belong_to_the_equation_they_differentiate():
    w = engine.ones((3, 3), requires_grad=True)

    def step(h, x):
        a = h @ w + x
        h = tanh(a)
        return h, h

    final, _ = engine.scan(step, engine.zeros((2, 3)), engine.ones((2, 2, 3)))
    g = engine.gradients(engine.sum(final * final), [w], create_graph=True)[0]
    for node in Graph.of(g).nodes:
        if node.origin is not None:
            assert label(node) == label(node.origin)


def test_recorded_bodies_have_names_too():
    def step(h, x):
        a = h + x
        h = tanh(a)
        return h, h

    body = engine.scan_body(step, engine.zeros(3), engine.ones((4, 3)))
    assert told(body.graph) == ["add:gate=a", "tanh:gate=h"]
