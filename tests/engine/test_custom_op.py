"""Test ops that users define: recorded, array-only, and wrong in every way that is refused."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine
from engine import REGISTRY
from engine.op import Draw, Example
from engine.registry import RECORDING
from tests.draws import leaf, normal, normal_leaf


def soft(name: str = "soft", **options: Any) -> Any:
    """Compute x / (1 + |x|), for every namespace."""
    return engine.custom_op(
        name,
        lambda xp, x: x / (1 + xp.abs(x)),
        lambda xp, g, out, x: g / (1.0 + xp.abs(x)) ** 2,
        **options,
    )


def blend(vjp: Any) -> Any:
    """Compute t x + (1 - t) y with t an attribute, and some derivative."""
    return engine.custom_op("blend", lambda xp, x, y, *, t=0.5: t * x + (1 - t) * y, vjp)


def right(xp: Any, g: Any, out: Any, x: Any, y: Any, *, t: float = 0.5) -> Any:
    return g * t, g * (1 - t)


@pytest.fixture
def registered() -> Iterator[str]:
    """Yield a name that is removed from the registry afterwards."""
    yield "planted_op"
    REGISTRY.pop("planted_op", None)
    vars(RECORDING).pop("planted_op", None)


# ---- right ones


@pytest.mark.parametrize("order", [1, 2])
def test_a_recorded_rule_differentiates_any_number_of_times(order, device):
    f = soft()
    assert engine.gradcheck(f, [engine.asarray(normal(3, 2), device=device)], order)
    third = engine.grad(engine.grad(engine.grad(f)))(np.asarray(0.5)).item()
    assert third == pytest.approx(6 / 1.5**4, rel=1e-13)


def test_attributes_and_several_inputs():
    f = blend(right)
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = f(x, y, t=0.25)
    assert out.numpy().tolist() == [2.5, 3.5]
    assert dict(out.node.attrs) == {"t": 0.25}
    assert engine.gradcheck(lambda x, y: f(x, y * x, t=0.1), [normal(3), normal(3, salt=1)], 2)
    assert f(np.ones(2), 3.0).numpy().tolist() == [2, 2]  # arrays, and numbers as literals
    found = engine.gradients(engine.sum(f(x, 2.0)), [x])[0]
    assert found.numpy().tolist() == [0.5, 0.5]


def test_a_tuple_of_rules_one_for_each_input():
    f = blend((lambda xp, g, out, x, y, t=0.5: g * t, None))
    x, y = leaf(1.0), leaf(3.0)
    found = engine.gradients(f(x, y), [x, y])
    assert (found[0].item(), found[1]) == (0.5, None)


def test_no_derivative_and_integer_inputs():
    steps = engine.custom_op("steps", lambda xp, x: xp.astype(x, "int64"), None)
    assert not steps(leaf(1.5)).requires_grad
    pick = engine.custom_op("pick", lambda xp, x, i: x[i],
                            lambda xp, g, out, x, i: (xp.zeros_like(x) + g, None))  # fmt: skip
    x = leaf(1.0, 2.0)
    assert engine.gradients(pick(x, engine.asarray(1)), [x])[0].shape == (2,)


def test_it_is_an_op_like_any_other():
    f = soft("named")
    with engine.scope("cell", t=1):
        y = f(leaf(2.0))
    assert repr(y.node) == "<node named float64[] at cell/t=1>"
    assert f.__name__ == "named"
    assert f.op.name == "named"
    g = engine.gradients(y, [y.node.inputs[0]], create_graph=True)[0]
    assert {n.origin.op.name for n in engine.Graph.of(g).nodes if n.origin} == {"named"}
    _, tangent = engine.jvp(f, (leaf(2.0),), (1.0,))
    assert tangent.item() == pytest.approx(1 / 9, rel=1e-14)


def test_it_is_registered_only_when_asked(registered):
    soft("planted_op_2")
    assert "planted_op_2" not in REGISTRY
    f = soft(registered, register=True, examples=(Example((Draw((3,)),)),))
    assert REGISTRY[registered] is f.op
    assert f.op.examples
    assert getattr(RECORDING, registered)(leaf(1.0)).item() == 0.5
    with pytest.raises(ValueError, match="'planted_op' is an op of the engine; choose another"):
        soft(registered)


# ---- in recurrences


def recurrence(f: Any, w: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = f(h @ w + x)
        return h, h * x

    return engine.scan(step, engine.zeros((2, 3), dtype="float64"), xs)[1]


def test_in_a_recurrence_as_in_a_loop():
    def once(xp: Any, g: Any, out: Any, x: Any) -> Any:
        return g * np.power(1 + np.abs(np.asarray(x)), -2)

    plain = engine.custom_op("plain", lambda xp, x: x / (1 + xp.abs(x)), once)
    w, xs = normal_leaf(3, 3), normal_leaf(4, 2, 3)
    softer = soft()  # one for all calls of gradcheck: a kernel is compiled for each op
    for f in (softer, plain):
        found = engine.gradients(engine.sum(recurrence(f, w, xs) ** 2), [w, xs])
        with engine.explicit():
            expected = engine.gradients(engine.sum(recurrence(f, w, xs) ** 2), [w, xs])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-14)
    assert engine.gradcheck(lambda w, xs: recurrence(softer, w, xs), [w.numpy(), xs.numpy()], 2)


def test_two_ops_of_one_name_are_two_ops():
    # Programs of recurrences are shared by the names of their ops.
    w, xs = normal_leaf(3, 3), normal_leaf(4, 2, 3)
    found = []
    for factor in (1.0, -1.0):
        f = engine.custom_op("same", lambda xp, x, k=factor: x * k,
                             lambda xp, g, out, x, k=factor: g * k)  # fmt: skip
        found.append(recurrence(f, w, xs).numpy())
        with engine.explicit():
            np.testing.assert_allclose(found[-1], recurrence(f, w, xs).numpy(), rtol=1e-13)
        assert f.op.name.startswith("same")
    assert abs(found[0] - found[1]).max() > 0.1


# ---- rules for arrays only

ARRAY_ONLY = {
    "ufunc": lambda xp, g, out, x: g * np.cbrt(x),
    "function": lambda xp, g, out, x: np.where(x > 0, g, 0.0) * 1.0,
    "asarray": lambda xp, g, out, x: g * np.asarray(x),
    "unknown name": lambda xp, g, out, x: g * xp.nonsense(x) if hasattr(x, "node") else g,
    "array": lambda xp, g, out, x: np.zeros(x.shape) if hasattr(x, "node") else g * 0.0,
}


def test_a_rule_with_functions_of_numpy_that_the_engine_has_is_recorded():
    f = engine.custom_op("raised", lambda xp, x: np.exp(x), lambda xp, g, out, x: g * np.exp(x))
    assert engine.gradcheck(f, [np.array([0.5, -1.0])], 2)


@pytest.mark.parametrize("kind", ARRAY_ONLY)
def test_a_rule_for_arrays_can_be_differentiated_once(kind):
    f = engine.custom_op("arrays", lambda xp, x: x * 1.0, ARRAY_ONLY[kind])
    x = leaf(1.0, 2.0)
    plain = engine.gradients(engine.sum(f(x)), [x])[0]
    recorded = engine.gradients(engine.sum(f(x)), [x], create_graph=True)[0]
    np.testing.assert_array_equal(plain.numpy(), recorded.numpy())
    message = (
        r"^arrays\w*: its vjp works on arrays only \(.+\), so it cannot be differentiated twice"
    )
    with pytest.raises(TypeError, match=message):
        engine.gradients(engine.sum(recorded), [x])
    with pytest.raises(TypeError, match="cannot be differentiated twice"):
        engine.jvp(f, (x,), (x,))
    np.asarray(x.detach())  # tensors can be read again


def test_only_the_part_that_needs_it_is_refused():
    f = engine.custom_op("half", lambda xp, x, y: x * y,
                         lambda xp, g, out, x, y: (g * np.asarray(y), None))  # fmt: skip
    x, y = leaf(2.0), leaf(3.0)
    g = engine.gradients(f(x, y) * x, [x], create_graph=True)[0]
    assert g.item() == 2 * 3 + 6
    assert engine.gradients(engine.exp(y) * 2, [y])[0].item() > 0
    with pytest.raises(TypeError, match=r"half: .*twice"):
        engine.gradients(g, [y])


# ---- wrong ones

WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda xp, g, out, x, y: g, ValueError, "blend.*: vjp has 1 gradients for 2 inputs; return"),
    (lambda xp, g, out, x, y: (g, g, g), ValueError, "blend.*: vjp has 3 gradients for 2 inputs"),
    ((lambda xp, g, out, x, y: g,), ValueError, "blend.*: vjp has 1 rules for 2 inputs"),
    (lambda xp, g, out, x, y: (g, g[:1]), ValueError,
     r"blend.*: the gradient of input 1 has shape \(1,\), expected \(2,\)"),
    (lambda xp, g, out, x, y: (xp.sum(g), None), ValueError, r"input 0 has shape \(\)"),
    (lambda xp, g, out, x, y: (None, xp.astype(g, xp.float32)), TypeError,
     "blend.*: the gradient of input 1 has dtype float32, expected float64"),
    (lambda xp, g, out, x, y: (xp.astype(g, xp.int64), g), TypeError, "input 0 has dtype int64"),
    (lambda xp, g, out, x, y: (g, 0.0), TypeError, "input 1 is float, expected an array"),
    (lambda xp, g, out, x, y: ([1.0, 2.0], g), TypeError, "input 0 is list, expected an array"),
]  # fmt: skip


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_gradients_are_refused_by_name(case, create_graph):
    vjp, kind, message = WRONG[case]
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = engine.sum(blend(vjp)(x, y))
    with pytest.raises(kind, match=message) as caught:
        out.backward(create_graph=create_graph)
    assert "\n" not in str(caught.value)
    assert (x.grad, y.grad) == (None, None)


def test_a_gradient_on_another_device_is_refused(device):
    f = engine.custom_op("elsewhere", lambda xp, x: x * 1, lambda xp, g, out, x: np.ones(2))
    x = engine.asarray(np.ones(2), device=device, requires_grad=True)
    if device == "numpy":
        assert engine.gradients(engine.sum(f(x)), [x])[0].numpy().tolist() == [1, 1]
    else:
        with pytest.raises(TypeError, match=f"input 0 is on numpy, expected {device}"):
            engine.sum(f(x)).backward()


def test_wrong_results_are_refused_by_name():
    def made(forward: Any) -> Any:
        return engine.custom_op("made", forward, lambda xp, g, out, x: g)

    x = leaf(1.0, 2.0)
    with pytest.raises(
        TypeError, match=r"made.*: \(2,\): forward returned list, expected an array"
    ):
        made(lambda xp, x: [1.0, 2.0])(x)
    with pytest.raises(TypeError, match="forward returned Tensor, expected an array from xp"):
        made(lambda xp, x: engine.exp(x))(x)
    with pytest.raises(TypeError, match="forward returned int64; an op with a derivative"):
        made(lambda xp, x: xp.astype(x, xp.int64))(x)
    with pytest.raises(ZeroDivisionError, match=r"made.*: \(2,\): planted"):
        made(lambda xp, x: (_ for _ in ()).throw(ZeroDivisionError("planted")))(x)
    with pytest.raises(TypeError, match=r"made.*: needs at least one tensor"):
        made(lambda xp, x: x)()


@pytest.mark.parametrize("name", ["", "two words", 3, "a.b"])
def test_names_that_are_none(name):
    with pytest.raises(ValueError, match="custom_op: expected a name such as"):
        soft(name)


@pytest.mark.parametrize("name", ["matmul", "sum"])
def test_names_of_the_engine_are_taken(name):
    with pytest.raises(ValueError, match=f"custom_op: '{name}' is an op of the engine"):
        soft(name)


def test_names_that_are_given_again_get_a_number():
    names = [soft(name).op.name for name in ("again", "again_2", "again", "scan")]
    assert names[:3] == ["again", "again_2", "again_3"]
    assert names[3].startswith("scan_")


# ---- rules that compilers read


def test_a_rule_written_with_xp_records_its_parts():
    f = soft("parts")
    x = leaf(-2.0, 0.5)
    parts = f.op.forward(RECORDING, x)
    assert [n.op.name for n in engine.Graph.of(parts).nodes if n.inputs] == ["abs", "add", "divide"]
    np.testing.assert_array_equal(parts.numpy(), f(x).numpy())
    wrong = engine.custom_op("wrong", lambda xp, x: np.asarray(x.data), None)
    with pytest.raises(TypeError, match="forward returned ndarray, expected a tensor"):
        wrong.op.forward(RECORDING, x)


@pytest.mark.parametrize("options", [{"kind": "elementwise"}, {"c": "({0} / (1 + absolute({0})))"}])
def test_element_wise_ops_and_their_c_in_a_recurrence(options):
    f = soft("number_by_number", **options)
    assert f.op.kind == "elementwise"
    w, xs = normal_leaf(3, 3), normal_leaf(4, 2, 3)
    found = engine.gradients(engine.sum(recurrence(f, w, xs) ** 2), [w, xs])
    with engine.explicit():
        expected = engine.gradients(engine.sum(recurrence(f, w, xs) ** 2), [w, xs])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", [{"kind": "layout"}, {"kind": "other", "c": "{0}"}])
def test_kinds_that_are_none(options):
    with pytest.raises(ValueError, match="kind must be 'elementwise' or 'other'"):
        soft("kinds", **options)


# ---- functions of tensors with derivatives of their own


def softened(vjp: Any = None) -> Any:
    """Compute x / (1 + |x|) + t, composed of functions of the engine."""

    def soft_sum(x: Any, *, t: float = 0.0) -> Any:
        return x / (1.0 + engine.abs(x)) + t

    def rule(g: Any, out: Any, x: Any, *, t: float = 0.0) -> Any:
        return g / (1.0 + engine.abs(x)) ** 2

    return engine.custom_vjp(soft_sum, vjp or rule)


@pytest.mark.parametrize("order", [1, 2])
def test_custom_vjp_differentiates_any_number_of_times(order, device):
    f = softened()
    assert engine.gradcheck(f, [engine.asarray(normal(3, 2), device=device)], order)
    third = engine.grad(engine.grad(engine.grad(f)))(np.asarray(0.5)).item()
    assert third == pytest.approx(6 / 1.5**4, rel=1e-13)
    _, tangent = engine.jvp(f, (leaf(2.0),), (1.0,))
    assert tangent.item() == pytest.approx(1 / 9, rel=1e-14)


def test_custom_vjp_is_one_node_and_its_rule_is_the_gradient():
    f = softened(lambda g, out, x, t=0.0: g * 100.0 + out * 0.0)
    x = leaf(1.0, -3.0)
    out = f(x, t=2.0)
    assert out.node.op.name.startswith("soft_sum")
    assert [dict(n.attrs) for n in engine.Graph.of(out).nodes] == [{}, {"t": 2.0}]
    np.testing.assert_allclose(out.numpy(), [2.5, 1.25])
    for create_graph in (False, True):
        (g,) = engine.gradients(engine.sum(out), [x], create_graph=create_graph)
        assert g.numpy().tolist() == [100.0, 100.0]
    parts = f.op.forward(RECORDING, x, t=2.0)
    assert [n.op.name for n in engine.Graph.of(parts).nodes if n.inputs] == [
        "abs", "add", "divide", "add",
    ]  # fmt: skip


def test_custom_vjp_of_several_inputs_and_literals():
    f = engine.custom_vjp(lambda x, i, k: x[i] * k, lambda g, out, x, i, k: (
        engine.zeros_like(x) + g * k, None, None))  # fmt: skip
    x = leaf(1.0, 2.0)
    (g,) = engine.gradients(f(x, engine.asarray(1), 3.0), [x])
    assert g.numpy().tolist() == [3.0, 3.0]
    few = engine.custom_vjp(lambda x, y: x * y, lambda g, out, x, y: g * y)
    with pytest.raises(ValueError, match=r"custom_vjp.*: vjp has 1 gradients for 2 inputs"):
        engine.gradients(engine.sum(few(x, x)), [x])


def test_custom_vjp_in_a_recurrence_as_in_a_loop():
    f = softened()
    w, xs = normal_leaf(3, 3), normal_leaf(4, 2, 3)
    found = engine.gradients(engine.sum(recurrence(f, w, xs) ** 2), [w, xs])
    with engine.explicit():
        expected = engine.gradients(engine.sum(recurrence(f, w, xs) ** 2), [w, xs])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-14)
    assert engine.gradcheck(lambda w, xs: recurrence(f, w, xs), [w.numpy(), xs.numpy()], 2)


def test_what_custom_vjp_refuses():
    w, x = leaf(2.0), leaf(3.0)
    closed = engine.custom_vjp(lambda x: x * w, lambda g, out, x: g)
    with pytest.raises(ValueError, match="depends on a tensor that is not among its arguments"):
        closed(x)
    with engine.no_grad():
        assert closed(x).item() == 6.0
    for wrong in (lambda x: x.numpy(), lambda x: [x]):
        with pytest.raises(TypeError, match=r"f returned \w+, expected a tensor"):
            engine.custom_vjp(wrong, lambda g, out, x: g)(x)
    once = engine.custom_vjp(lambda x: x * 1.0, lambda g, out, x: g * np.exp(np.asarray(x)))
    (g,) = engine.gradients(once(x), [x], create_graph=True)
    assert g.item() == pytest.approx(np.exp(3.0))
    with pytest.raises(TypeError, match="cannot be differentiated twice"):
        engine.gradients(g, [x])


def test_parts_of_custom_vjp_are_not_profiled_one_by_one():
    f, x = softened(), leaf(1.0)
    with engine.profile() as found:
        f(x)
    assert "soft_sum" in str(found)
    assert "divide" not in str(found)
