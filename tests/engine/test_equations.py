"""Test that the assignments of a step function, in any form, name the nodes they make."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engine
import rnn
import viz
from engine import Graph, tanh
from tests.engine import equation_cases

pytestmark = pytest.mark.usefixtures("explicit")


def labels(step: Callable[[Any], Any], states: tuple[str, ...] = ()) -> list[str]:
    """Return op:label of every node that a step makes, in the order in which it makes them."""
    x = engine.ones((2, 4), requires_grad=True)
    with engine.equations(step, states):
        outputs = step(x)
    return labelled(Graph.of(*(outputs if isinstance(outputs, tuple) else (outputs,))))


def labels_of_cell(step: Callable[[Any], Any], states: tuple[str, ...]) -> list[str]:
    """Return what `labels` does, for a step that returns (y, state)."""
    x = engine.ones((2, 4), requires_grad=True)
    with engine.equations(step, states):
        y, state = step(x)
    return labelled(Graph.of(y, *(state if isinstance(state, tuple) else (state,))))


def labelled(graph: Graph) -> list[str]:
    return [f"{n.op.name}:{label(n)}" for n in graph.nodes if n.inputs]


def label(node: engine.Node) -> str:
    """Return ``gate=i`` or ``state=h`` as the scope has it; empty without either."""
    found = [f"{kind}={node.scope.labels[kind]}" for kind in ("gate", "state")
             if kind in node.scope.labels]  # fmt: skip
    return " ".join(found)


def test_all_nodes_of_an_expression_belong_to_its_variable():
    def step(x):
        i = tanh(x * 2)
        c = i * x + 1
        return c

    assert labels(step) == ["multiply:gate=i", "tanh:gate=i", "multiply:gate=c", "add:gate=c"]


def test_builtins_are_named_after_their_variable_however_often_a_step_has_run():
    # Python 3.11 specialises a function in its first calls: builtins then seem to be called from
    # another place.

    def halves(x):
        return abs(x), pow(x, 2)

    def step(x):
        a = abs(x)
        b = sum([a, x])
        c, d = halves(b)
        return c * d

    expected = ["abs:gate=a", "add:gate=b", "add:gate=b", "abs:gate=c", "power:gate=d", "multiply:"]
    assert [labels(step) for _ in range(40)] == [expected] * 40


class Folded(rnn.Cell):
    """Call a builtin in a cell."""

    def __init__(self):
        engine.seed(7)
        self.input_size, self.state_size = 2, {"h": 2}
        self.W = rnn.parameter((2, 2), 0.5)

    def step(self, x, h):
        a = abs(engine.linear(x, self.W) + h)
        h = engine.tanh(a)
        return h, h


def test_a_picture_with_a_builtin_stays_as_it_was_at_first():
    cell = Folded()

    def drawn():
        h = None
        for _ in range(4):
            y, h = cell(engine.ones((1, 2)), h)
        return viz.draw_unrolled(y, level="gate", max_steps=4)

    first = drawn()
    assert sum(box.lines[0] == "a" for box in first.scene.boxes) == 4
    for _ in range(10):
        last = drawn()
    assert last.svg() == first.svg()


def test_states_are_distinguished_from_gates():
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

    assert set(labels(step)) == {"getitem:gate=(a, *b)"}


def test_each_side_of_a_tuple_assignment_has_its_own_name():
    def pair(x):
        u, dt = tanh(x), x * 2
        return u, dt

    def three(x):
        a, b, c = tanh(x), x * 2, x + 1
        return a, b, c

    def four(x):
        a, b, c, d = tanh(x), x * 2, x + 1, x - 1
        return a, b, c, d

    def nested(x):
        a, (b, c) = tanh(x), (x * 2, x + 1)
        return a, b, c

    def starred(x):
        a, *b, c = tanh(x), x - 1, x - 2, x + 1
        return a, b[0], c

    def later(x):
        both = tanh(x), x * 2
        a, b = both
        return a, b

    assert labels(pair) == ["tanh:gate=u", "multiply:gate=dt"]
    assert labels(three) == ["tanh:gate=a", "multiply:gate=b", "add:gate=c"]
    assert labels(four) == ["tanh:gate=a", "multiply:gate=b", "add:gate=c", "subtract:gate=d"]
    assert labels(nested) == ["tanh:gate=a", "multiply:gate=b", "add:gate=c"]
    assert labels(starred) == ["tanh:gate=a", "subtract:", "add:gate=c"]
    assert labels(later) == ["tanh:gate=a", "multiply:gate=b"]


def test_exchanged_variables_keep_the_name_of_what_was_computed():
    def step(x):
        a = tanh(x)
        b = x * 2
        a, b = b, a
        c = a + b
        return c

    assert labels(step) == ["tanh:gate=a", "multiply:gate=b", "add:gate=c"]


def test_exchanged_in_a_loop():
    def step(x):
        a = tanh(x)
        b = x * 2
        for _ in range(2):
            a, b = b, a - b
        return a

    assert labels(step) == ["tanh:gate=a", "multiply:gate=b", "subtract:gate=b"]


def both(x: Any) -> Any:
    """Return the parts in another order than they are made in."""
    inner = x * 3
    second = tanh(inner)
    first = inner + 1
    return first, second


def hidden(x: Any) -> Any:
    """Return parts that cannot be distinguished."""
    return [tanh(x), x + 1][::-1]


def test_the_parts_of_a_function_have_their_own_names():
    def step(x):
        a, b = both(x)
        return a, b

    assert labels(step) == ["multiply:gate=(a, b)", "tanh:gate=b", "add:gate=a"]


def test_parts_of_unknown_order_have_no_name_alone():
    def step(x):
        a, b = hidden(x)
        c, d = reversed(engine.split(a, 2, axis=-1))
        return a, b, c, d

    assert set(labels(step)) == {"tanh:gate=(a, b)", "add:gate=(a, b)", "getitem:gate=(c, d)"}


def test_parts_that_go_elsewhere_have_no_name():
    kept = {}

    def step(x):
        a, kept["b"] = engine.split(x, 2, axis=-1)
        return a, kept["b"]

    assert labels(step) == ["getitem:"] * 2


def test_a_state_is_named_by_its_place_in_what_a_cell_returns():
    def step(x):
        a = tanh(x)
        h_new = a * 2
        m_new = a + x
        return h_new, (h_new, m_new)

    names = ["tanh:gate=a", "multiply:state=h", "add:state=m"]
    assert labels_of_cell(step, ("h", "m")) == names


def test_a_state_that_is_returned_without_a_variable():
    def one(x):
        a = tanh(x)
        return a, a * 2

    def two(x):
        state = (tanh(x), x * 2)
        return x + 1, state

    assert labels_of_cell(one, ("h",)) == ["tanh:gate=a", "multiply:state=h"]
    assert labels_of_cell(two, ("h", "c")) == ["tanh:state=h", "multiply:state=c", "add:"]


def test_states_that_are_exchanged():
    def step(x):
        h = tanh(x)
        c = x * 2
        c = c + 1
        h, c = c, h
        return h, (h, c)

    names = ["tanh:state=c", "multiply:state=h", "add:state=h"]
    assert labels_of_cell(step, ("h", "c")) == names


def test_a_variable_that_is_called_as_another_variables_state_has_no_name():
    def step(x):
        h = tanh(x)
        new = h * 2
        return new, new

    assert labels_of_cell(step, ("h",)) == ["tanh:", "multiply:state=h"]


def test_a_variable_that_is_changed_before_it_is_returned():
    def step(x):
        h = tanh(x)
        if x.ndim:
            h = h * 2
        h += 1
        return h, (h, x)

    names = ["tanh:state=h", "multiply:state=h", "add:state=h"]
    assert labels_of_cell(step, ("h", "x")) == names


def test_returns_that_disagree_name_no_state():
    def step(x):
        a, b = tanh(x), x * 2
        if x.ndim > 5:
            return a, (b, a)
        return a, (a, b)

    assert labels_of_cell(step, ("h", "c")) == ["tanh:", "multiply:"]


def test_a_variable_that_is_a_state_at_one_return_only_is_one_on_that_way_only():
    # The same variable, on two ways that do not meet.

    def step(x):
        if x.ndim > 5:
            new = tanh(x)
            return new, new
        new = x * 2
        h = tanh(new)
        return h, h

    assert labels_of_cell(step, ("h",)) == ["multiply:gate=new", "tanh:state=h"]


def test_a_value_that_is_a_state_at_one_of_the_returns_behind_it_is_not_named():
    def step(x):
        a = tanh(x)
        if x.ndim > 5:
            return a, a
        b = a * 2
        return b, b

    assert labels_of_cell(step, ("h",)) == ["tanh:", "multiply:state=h"]


def test_a_variable_that_is_a_state_at_all_returns_is_named():
    def step(x):
        h = tanh(x)
        c = h * 3
        if x.ndim > 5:
            return h, (h, c)
        h = h + 1
        return h, (h, c)

    names = ["tanh:state=h", "multiply:state=c", "add:state=h"]
    assert labels_of_cell(step, ("h", "c")) == names


def test_a_return_that_is_not_written_out_leaves_the_names_of_its_way():
    def rest(h):
        return h + 1, h

    def step(x):
        if x.ndim > 5:
            new = tanh(x)
            return new, new
        h = x * 2
        return rest(h)

    assert labels_of_cell(step, ("h",)) == ["multiply:state=h", "add:"]


def shared(x: Any, early: bool) -> Any:
    """Return by two ways the parts, exchanged."""
    u, v = tanh(x), x * 2
    if early:
        return v, u
    w = v + 1
    return u, w


def test_the_parts_of_a_function_with_two_returns_are_named_where_both_agree():
    def step(x):
        a, b = shared(x, early=False)
        return a, b

    assert labels(step) == ["tanh:gate=(a, b)", "multiply:gate=(a, b)", "add:gate=b"]


def test_a_walrus_inside_of_another_equation():
    def step(x):
        z = (a := tanh(x)) * 2 + (b := x + 1)
        return z, a, b

    assert labels(step) == ["tanh:gate=a", "multiply:gate=z", "add:gate=b", "add:gate=z"]


def test_a_comprehension_hides_a_variable_of_the_same_name_and_no_longer():
    def step(x):
        k = tanh(x)
        parts = [x * k for k in (1, 2)]
        k = k + parts[0]
        return k

    assert labels(step) == ["tanh:gate=k", "multiply:gate=parts", "add:gate=k"]


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


def test_chained_assignment_takes_the_first_name():
    def step(x):
        y = h = tanh(x)
        return y * h

    assert labels(step)[0] == "tanh:gate=y"


def test_what_is_returned_unassigned_has_no_name():
    def step(x):
        a = x * 2
        return tanh(a)

    assert labels(step) == ["multiply:gate=a", "tanh:"]


def affine(x: Any, scale: float) -> Any:
    """Compute without variables that name anything."""
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
    assert labelled(body.graph) == ["add:gate=a", "tanh:gate=h"]


def pythons() -> list[str]:
    """Return other versions of Python on this machine."""
    known = (shutil.which(f"python3.{minor}") for minor in range(11, 16))
    managed = Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python3")
    return sorted({*filter(None, known), *map(str, managed)})


def test_labels_of_every_form_of_assignment():
    found = equation_cases.labels()
    assert found["tuples"] == [
        "tanh:gate=u", "mul:state=h", "add:gate=a", "neg:gate=b", "mul:", "add:state=c",
        "mul:gate=e", "neg:gate=f", "add:gate=g",
    ]  # fmt: skip
    assert found["unpacked"][-4:] == [
        "neg:gate=(h_new, c_new)", "neg:gate=(h_new, c_new)", "mul:state=h", "add:state=c",
    ]  # fmt: skip
    assert found["flow"] == [
        "less:", "mul:gate=i", *["add:gate=i", "mul:gate=i"] * 2, "tanh:gate=o", "tanh:gate=p",
        "neg:gate=q", "tanh:gate=s", "mul:gate=r", "add:gate=t", "mul:gate=k",
        *["mul:gate=list_", "tanh:gate=list_"] * 2, *["neg:gate=dict_"] * 2, "tanh:gate=m",
        "mul:state=c", "getitem:state=h", "mul:state=h", "add:state=h",
    ]  # fmt: skip
    assert found["closure"] == ["tanh:state=c", "mul:", "add:state=h"]
    assert found["single"] == ["tanh:state=h", "mul:state=h", "add:gate=y"]
    assert found["unnamed"] == ["mul:", "tanh:gate=m", "add:gate=m", "mul:state=h"]


@pytest.mark.parametrize("python", pythons())
def test_labels_are_the_same_in_every_version_of_python(python):
    run = [python, "-B", equation_cases.__file__]
    if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} does not run")
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == equation_cases.labels()
