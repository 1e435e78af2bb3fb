"""Test detect_anomaly: it names op, scope, t and line; switched off, it reads nothing."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.ops.elementwise import identity
from engine.state import current
from engine.stepping import stepping
from tests.conftest import settings
from tests.draws import leaf, normal, normal_leaf

HERE = Path(__file__).name


def line_of(text: str) -> str:
    """Return ``file:number: text`` for the only line of this file that is `text`."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, 1) if line.strip() == text]
    assert len(found) == 1
    return f"{HERE}:{found[0]}: {text}"


def caught(f: Any) -> str:
    """Return the message of the anomaly in `f`."""
    known = settings(), current().interpreter, stepping().explicit
    with pytest.raises(engine.AnomalyError) as error, engine.detect_anomaly():
        f()
    assert isinstance(error.value, FloatingPointError)
    assert (settings(), current().interpreter, stepping().explicit) == known
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- forward


def test_the_first_op_is_named_with_its_line():
    def run() -> None:
        x = leaf(0.0, 1.0, -1.0)
        with engine.scope("head", t=3):
            y = engine.log(x)
        engine.sum(y * 0)

    message = caught(run)
    assert message.startswith("log at head/t=3: (3,): 2 of 3 results are nan or infinite; ")
    assert "its inputs are finite at " in message
    assert message.endswith(line_of("y = engine.log(x)"))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_results_without_a_gradient_count_too(requires_grad):
    x = engine.asarray(np.zeros(2), requires_grad=requires_grad)
    assert caught(lambda: 1 / x).startswith("divide: 1, (2,): 2 of 2 results are infinite")
    with engine.no_grad():
        assert caught(lambda: x / x).startswith("divide: (2,), (2,): 2 of 2 results are nan")


@pytest.mark.parametrize(
    "f", [engine.tanh, lambda x: engine.reshape(x, (2, 1)), lambda x: engine.concat([x, x]),
          lambda x: engine.stack([x * 1, x])],
)  # fmt: skip
def test_what_was_not_finite_already_is_said_so(f):
    message = caught(lambda: f(engine.asarray([1.0, np.nan])))
    assert "are nan; input 0 was not finite already at" in message


def test_what_is_finite_passes():
    with engine.detect_anomaly():
        x = leaf(1.0, 2.0)
        y = engine.where(x > 1.5, x, engine.astype(x, "int64") * 1.0)
        engine.sum(engine.exp(y)).backward()
        (g,) = engine.gradients(engine.sum(x**3), [x], create_graph=True)
        assert engine.gradients(engine.sum(g), [x])[0].numpy().tolist() == [6, 12]
        assert engine.sum(engine.zeros(0)).item() == 0
        np.testing.assert_array_equal(engine.argmax(x).numpy(), 1)
    np.testing.assert_allclose(x.grad.numpy(), [0, np.exp(2)], rtol=1e-14)


def test_numbers_are_those_without():
    x = leaf(*normal(4))

    def work() -> Any:
        y = engine.softmax(engine.tanh(x) * x)
        return y, *engine.gradients(engine.sum(y * y), [x])

    plain = work()
    with engine.detect_anomaly():
        for one, other in zip(work(), plain, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_off_nothing_is_looked_at():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert engine.log(leaf(0.0)).item() == -np.inf
    with engine.detect_anomaly():
        pass
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert engine.log(leaf(0.0)).item() == -np.inf


def test_the_error_of_an_op_is_still_its_own():
    with engine.detect_anomaly(), pytest.raises(ValueError, match=r"add: \(2,\) \+ \(3,\): sizes"):
        engine.ones(2) + engine.ones(3)


# ---- through time


def step(h: Any, x: Any) -> Any:
    """Take a step that is not finite where an input is 0."""
    gate = engine.log(x)
    h = engine.tanh(h + gate)
    return h, h


@pytest.mark.parametrize("t", [0, 3])
def test_a_recurrence_names_its_t_and_its_line(t):
    xs = np.ones((5, 2, 3))
    xs[t] = 0
    with engine.scope("cell"):
        message = caught(lambda: engine.scan(step, engine.zeros((2, 3), dtype="float64"), xs))
    assert message.startswith(f"log at cell/t={t}/gate=gate: (2, 3): 6 of 6 results are infinite")
    assert message.endswith(line_of("gate = engine.log(x)"))


def test_the_derivative_in_a_recurrence_names_its_t():
    def walk(h: Any, x: Any) -> Any:
        h = h + engine.sqrt(x)
        return h, h

    xs = np.ones((5, 2))
    xs[3] = 0
    x = leaf(xs)

    def run() -> None:
        _, ys = engine.scan(walk, engine.zeros(2, dtype="float64"), x)
        engine.sum(ys).backward()

    message = caught(run)
    assert message.startswith("the derivative of sqrt at top/t=3/gate=h by its input 0")
    assert line_of("h = h + engine.sqrt(x)") in message
    assert x.grad is None


# ---- backward


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_derivative_names_its_forward_twin(create_graph):
    x = leaf(0.0, 1.0)

    def run() -> None:
        with engine.scope("head"):
            root = engine.sqrt(x * 2)
        loss = engine.sum(root * 3)
        loss.backward(create_graph=create_graph)

    message = caught(run)
    assert message == (
        "the derivative of sqrt at head by its input 0: 1 of 2 numbers are infinite; "
        f"its forward op ran at {inspect.getsourcefile(run)}:"
        + line_of("root = engine.sqrt(x * 2)").partition(":")[2]
    )
    assert x.grad is None


def test_a_forward_pass_outside_has_no_line():
    loss = engine.sum(engine.sqrt(leaf(0.0, 1.0)))
    message = caught(loss.backward)
    assert message.startswith("the derivative of sqrt by its input 0: 1 of 2")
    assert message.endswith("did not run inside detect_anomaly(): put the forward pass inside, too")


def test_a_sum_of_finite_parts():
    x = leaf(1.0)

    def run() -> None:
        y = x * 1.0
        z = engine.stack([y, y])
        z.backward(np.array([1.5e308, 1.5e308]))

    message = caught(run)
    assert message.startswith("the gradient, summed, of multiply: 1 of 1 numbers are infinite")


def test_pieces_and_given_gradients():
    x = leaf(0.0, 1.0)
    assert caught(lambda: engine.sqrt(x)[0].backward()).startswith("the derivative of sqrt")
    message = caught(lambda: (x * 2).backward(np.array([1.0, np.nan])))
    assert message.startswith("the grad given for multiply: 1 of 2 numbers are nan")
    message = caught(lambda: (x * 2)[0].backward(np.inf))
    assert message.startswith("the grad given for getitem: 1 of 1 numbers are infinite")


def test_a_rule_that_is_infinite_on_the_way_and_not_in_the_end():
    f = engine.custom_op("detour", lambda xp, x: x * 1.0,
                         lambda xp, g, out, x: xp.where(x == 0, g, g * x / x))  # fmt: skip
    x = leaf(0.0, 1.0)
    with engine.detect_anomaly():
        for create_graph in (False, True):
            (g,) = engine.gradients(engine.sum(f(x)), [x], None, create_graph)
            assert g.numpy().tolist() == [1, 1]


def test_a_custom_op_and_a_hook_are_looked_at():
    bad = engine.custom_op("bad", lambda xp, x: x * 1, lambda xp, g, out, x: g / (x * 0))
    x = leaf(1.0)
    assert caught(lambda: bad(x).backward()).startswith("the derivative of bad")
    y = x * 2
    handle = y.register_hook(lambda g: g * np.inf)
    message = caught((y * 1).backward)
    assert message.startswith("multiply: (), inf: 1 of 1 results are infinite; input 1 was not")
    assert message.endswith(line_of("handle = y.register_hook(lambda g: g * np.inf)"))
    handle.remove()
    y.register_hook(lambda g: np.inf)
    assert caught((y * 1).backward).startswith("the derivative of multiply by its input 0")


@pytest.mark.parametrize("create_graph", [False, True])
def test_inside_a_checkpoint_the_line_is_there(create_graph):
    x = leaf(0.0, 1.0)

    @engine.checkpoint
    def block(x: Any) -> Any:
        inner = engine.sqrt(x)
        return inner * 2

    message = caught(lambda: engine.sum(block(x)).backward(None, create_graph))
    assert message.startswith("the derivative of sqrt by its input 0")
    assert line_of("inner = engine.sqrt(x)") in message


def test_a_fused_recurrence_from_before_names_its_t_when_recorded():
    xs = np.ones((5, 2))
    xs[3] = 0
    x = leaf(xs)

    def walk(h: Any, x: Any) -> Any:
        root = engine.sqrt(x) + h
        return root, root

    _, ys = engine.scan(walk, engine.zeros(2, dtype="float64"), x)
    loss = engine.sum(ys)
    message = caught(lambda: engine.gradients(loss, [x], create_graph=True))
    assert message.startswith("the derivative of sqrt at top/t=3/gate=root by its input 0: 2 of 2")
    assert message.endswith(line_of("root = engine.sqrt(x) + h"))


def test_an_array_that_passes_on_keeps_its_line():
    def run() -> None:
        made = engine.sqrt(leaf(0.0))
        identity(made).backward()

    assert caught(run).endswith(line_of("made = engine.sqrt(leaf(0.0))"))


def test_an_address_that_is_used_again_is_not_mistaken():
    detector = engine.detect_anomaly()
    with detector:
        for _ in range(20):
            engine.exp(leaf(1.0, 2.0))
    for _ in range(1000):
        root = engine.sqrt(leaf(0.0, 1.0))
        if id(root.data) in detector._made:
            break
    else:
        pytest.skip("no address came again")
    with pytest.raises(engine.AnomalyError, match="did not run inside"), detector:
        engine.sum(root).backward()


# ---- nesting


def test_nesting_and_entering_again():
    detector = engine.detect_anomaly()
    with detector, detector:
        with engine.detect_anomaly(), pytest.raises(engine.AnomalyError):
            engine.log(leaf(0.0))
        with pytest.raises(engine.AnomalyError):
            engine.log(leaf(0.0))
    assert current().interpreter is None
    assert not stepping().explicit


def test_it_goes_on_after_a_recorded_pass_that_failed():
    with engine.detect_anomaly():
        with pytest.raises(engine.AnomalyError, match="derivative"):
            engine.gradients(engine.sqrt(x := leaf(0.0)), [x], create_graph=True)
        with pytest.raises(engine.AnomalyError, match="log"):
            engine.log(leaf(0.0))


def test_with_a_profile_inside_and_outside():
    with engine.detect_anomaly(), engine.profile() as inner:
        engine.sum(leaf(1.0, 2.0) * 2).backward()
        with pytest.raises(engine.AnomalyError, match=r"log: .* infinite"):
            engine.log(leaf(0.0))
    assert inner.by_op()["multiply"].forward.calls == 1
    with engine.profile() as outer, engine.detect_anomaly():
        engine.sum(leaf(1.0, 2.0) * 2).backward()
        with pytest.raises(engine.AnomalyError, match="derivative of sqrt"):
            engine.sqrt(leaf(0.0)).backward()
    assert outer.by_op()["multiply"].backward.calls == 1


def test_a_fused_recurrence_from_before_is_differentiated():
    w = normal_leaf(3, 3)
    h, _ = engine.scan(lambda h, x: (engine.tanh(h @ w + x),) * 2,
                       engine.zeros((2, 3), dtype="float64"), normal(4, 2, 3))  # fmt: skip
    loss = engine.sum(h)
    expected = engine.gradients(loss, [w])[0]
    with engine.detect_anomaly():
        np.testing.assert_array_equal(engine.gradients(loss, [w])[0].numpy(), expected.numpy())
        recorded = engine.gradients(loss, [w], create_graph=True)[0]
    np.testing.assert_allclose(recorded.numpy(), expected.numpy(), rtol=1e-12)
