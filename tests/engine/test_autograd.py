"""Test the backward pass: what gradients() and backward() return, refuse and record."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import engine
from engine.apply import apply
from engine.derivatives import norms
from engine.op import Op
from engine.state import current
from tests.draws import leaf, normal

# ---- gradients()


def test_gradients_by_hand():
    x, y = leaf(2.0, 3.0), leaf(5.0, 7.0)
    z = engine.sum(x * y + x**2)
    first, second = engine.gradients(z, [x, y])
    assert first.numpy().tolist() == [5 + 4, 7 + 6]
    assert second.numpy().tolist() == [2, 3]
    assert x.grad is None
    assert not first.requires_grad


def test_gradients_are_none_where_no_path_leads():
    x, other, constant = leaf(2.0), leaf(3.0), engine.asarray(4.0)
    assert engine.gradients(x * constant, [other, constant, x * 2]) == [None, None, None]
    cut = (x * x).detach()
    assert engine.gradients(cut * other, [x]) == [None]
    assert engine.gradients(cut, [x]) == [None]
    assert engine.gradients(engine.astype(engine.astype(x, "int64"), "float64"), [x]) == [None]


def test_a_wanted_tensor_behind_another():
    x = leaf(3.0)
    y = x * x
    z = y * y * x
    found = [g.item() for g in engine.gradients(z, [y, x, z, y])]
    assert found == [2 * 9 * 3, 5 * 3**4, 1, 2 * 9 * 3]


def test_an_output_can_be_its_own_input():
    x = leaf(1.0, 2.0)
    g = engine.gradients(x, [x], grads=np.array([3.0, 4.0]))[0]
    assert g.numpy().tolist() == [3, 4]


@pytest.mark.parametrize("create_graph", [False, True])
def test_slices_and_the_whole_add_up(create_graph):
    x = leaf(2.0, 3.0)
    y = x * 1
    z = y[0] * y[1] + engine.sum(y * y) + y[0]
    found = engine.gradients(z, [x, y], None, create_graph)
    assert [g.numpy().tolist() for g in found] == [[3 + 4 + 1, 2 + 6]] * 2


def test_slices_and_the_whole_differentiate_twice():
    def f(x):
        return x[0] * x[-1] * x + engine.tanh(x)[::-1] * x[1:]

    assert engine.gradcheck(f, [normal(2)], 2)


def test_several_outputs_add_up():
    x = leaf(2.0)
    y = x * x
    found = engine.gradients([y, 3 * x, y], [x], grads=[1.0, 10.0, 100.0])
    assert found[0].item() == 4 * 101 + 30
    assert engine.gradients([y, 3 * x], [x])[0].item() == 4 + 3


def test_seeds_weigh_the_outputs(device):
    x = engine.asarray(normal(3, 2), device=device, requires_grad=True)
    seed = normal(3, 2, salt=1)
    for given_seed in (seed, seed.tolist(), engine.asarray(seed, device=device)):
        wrapped = [given_seed] if isinstance(given_seed, list) else given_seed
        g = engine.gradients(engine.tanh(x), [x], grads=wrapped)[0]
        expected = seed * (1 - np.tanh(x.numpy()) ** 2)
        rtol = 1e-6 if isinstance(given_seed, list) else 1e-13
        np.testing.assert_allclose(g.numpy(), expected, rtol=rtol)


def test_seeds_that_do_not_fit_are_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\) is no single number.*sum it"):
        engine.gradients(x * 2, [x])
    with pytest.raises(ValueError, match=r"grad of shape \(3,\) for an output \(2,\)"):
        engine.gradients(x * 2, [x], grads=np.ones(3))
    with pytest.raises(ValueError, match=r"shape \(\) for an output \(2,\)"):
        engine.gradients(x * 2, [x], grads=1.0)
    with pytest.raises(ValueError, match="1 grads for 2 outputs"):
        engine.gradients([x.sum(), x.sum()], [x], grads=[1.0])
    with pytest.raises(ValueError, match="is no single number"):
        (x * 2).backward()
    with pytest.raises(ValueError, match="grad of shape"):
        (x * 2).backward(np.ones(5))


def test_one_element_is_a_single_number():
    x = leaf([[2.0]])
    assert engine.gradients(x * x, [x])[0].numpy().tolist() == [[4.0]]


# ---- backward()


def test_backward_accumulates_in_leaves_only():
    x = leaf(2.0)
    y = x * x
    z = y * 3
    z.backward()
    assert x.grad.item() == 12
    assert (y.grad, z.grad) == (None, None)
    z.backward(2.0)
    assert x.grad.item() == 36


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_of_two_inputs_never_share_memory(create_graph):
    x, y, seed = leaf(1.0, 2.0), leaf(3.0, 4.0), engine.asarray(np.array([1.0, 1.0]))
    (x + y).backward(seed, create_graph)
    arrays = [x.grad.data, y.grad.data, seed.data]
    for one in range(3):
        for other in range(one):
            assert not np.shares_memory(arrays[one], arrays[other])


def test_a_gradient_can_be_written_to():
    x = leaf(1.0, 2.0)
    x.sum().backward()
    x.grad.data *= 2
    assert x.grad.numpy().tolist() == [2, 2]


def test_accumulating_leaves_the_old_array_alone():
    x = leaf(1.0, 2.0)
    x.sum().backward()
    before = x.grad.numpy()
    x.sum().backward()
    assert before.tolist() == [1, 1]
    assert x.grad.numpy().tolist() == [2, 2]


def test_backward_refuses_what_depends_on_nothing():
    with pytest.raises(ValueError, match=r"nothing .* requires a gradient"):
        engine.ones(()).backward()


def test_a_leaf_is_its_own_gradient():
    x = leaf(5.0)
    x.backward()
    assert x.grad.item() == 1


def test_backward_with_create_graph_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    first, x.grad = x.grad, None
    first.backward()
    assert (first.item(), x.grad.item()) == (12, 12)


def test_recorded_gradients_accumulate():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    (x**2).backward(create_graph=True)
    assert x.grad.item() == 16
    assert engine.gradients(x.grad, [x])[0].item() == 14


def fails(xp: Any, g: Any, out: Any, x: Any) -> Any:
    raise ZeroDivisionError("planted")


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_failing_rule_changes_nothing(create_graph):
    x, y = leaf(1.0), leaf(2.0)
    x.grad = before = engine.asarray(7.0)
    broken = apply(Op("broken", lambda xp, x: x * 1, (fails,)), (y,), {})
    with pytest.raises(ZeroDivisionError, match="planted"):
        (x * 2 + broken).backward(create_graph=create_graph)
    assert x.grad is before
    assert y.grad is None
    assert (current().recording, current().origin) == (True, None)


# ---- modes


def test_no_grad_records_nothing_and_is_undone():
    x = leaf(2.0)
    with engine.no_grad():
        assert not (x * x).requires_grad
        with engine.no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad
    with pytest.raises(RuntimeError, match="planted"), engine.no_grad():
        raise RuntimeError("planted")
    assert (x * x).requires_grad


def test_a_context_can_be_entered_again_while_it_is_open():
    quiet = engine.no_grad()
    with quiet:
        with quiet:
            pass
        assert not current().recording
    assert current().recording


def test_detach_cuts_one_path():
    x = leaf(3.0)
    y = x * x
    assert engine.gradients(y.detach() * x, [x])[0].item() == 9
    assert np.shares_memory(y.detach().data, y.data)


def test_backward_is_the_same_inside_no_grad():
    x = leaf(3.0)
    y = x * x * x
    with engine.no_grad():
        plain = engine.gradients(y, [x])[0]
        recorded = engine.gradients(y, [x], create_graph=True)[0]
    assert (plain.item(), recorded.item()) == (27, 27)
    assert engine.gradients(recorded, [x])[0].item() == 18


def recorded_pass() -> tuple[engine.Graph, list[engine.Node], Any]:
    """Return a forward graph, the nodes that a recorded backward pass added, and the gradient."""
    x = leaf(1.0, 2.0, name="x")
    with engine.scope("cell", t=1):
        h = engine.tanh(x[0] * x[1:])
    with engine.scope("head"):
        loss = engine.sum(h * h) ** 2
    forward = engine.Graph.of(loss)
    g = engine.gradients(loss, [x], create_graph=True)[0]
    added = [n for n in engine.Graph.of(g).nodes if n not in forward and n.inputs]
    return forward, added, g


def test_gradient_nodes_know_what_they_differentiate():
    forward, added, _ = recorded_pass()
    assert added
    for node in added:
        assert node.origin in forward
        assert node.scope == node.origin.scope
    origins = {node.origin.op.name for node in added}
    assert origins >= {"tanh", "multiply", "sum", "power"}
    assert all(node.origin is None for node in forward.nodes)


def test_gradient_nodes_take_the_scope_of_their_origin_not_the_callers():
    x = leaf(2.0)
    with engine.scope("forward"):
        y = x * x
    with engine.scope("elsewhere", t=9):
        g = engine.gradients(y, [x], create_graph=True)[0]
    assert {n.scope.path for n in engine.Graph.of(g).nodes if n.origin} == {"forward"}


def test_second_gradients_come_from_gradient_nodes():
    _, added, g = recorded_pass()
    origins = {n.origin for n in engine.Graph.of(*second_of(g)).nodes if n.origin is not None}
    assert origins & set(added)


def second_of(g: engine.Tensor) -> list[Any]:
    x = next(x for x in leaves_of(g) if x.node.name == "x")
    return engine.gradients(engine.sum(g), [x], create_graph=True)


def leaves_of(g: engine.Tensor) -> list[engine.Tensor]:
    graph = engine.Graph.of(g)
    return [graph.tensor(node) for node in graph.nodes if not node.inputs]


# ---- threads


def in_thread(f: Callable[[], Any]) -> Any:
    """Return the result of `f` in another thread."""
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(f()))
    thread.start()
    thread.join()
    return result[0]


def test_threads_have_their_own_scope_and_mode():
    x = leaf(2.0)
    with engine.scope("main", t=1), engine.no_grad():
        other = in_thread(lambda: (x * x, current().recording))
        assert not (x * x).requires_grad
    assert other[0].requires_grad
    assert other[1]
    assert str(other[0].node.scope) == "top"


def test_threads_at_once():
    barrier, faults = threading.Barrier(4), []

    def work(number: int) -> None:
        x = leaf(float(number))
        barrier.wait()
        for t in range(200):
            with engine.scope(f"thread{number}", t=t):
                y = engine.tanh(x * number)
            if str(y.node.scope) != f"thread{number}/t={t}":
                faults.append(y.node.scope)
            with engine.no_grad():
                if (x * 2).requires_grad:
                    faults.append("recorded")
            g = engine.gradients(y, [x])[0].item()
            if abs(g - number * (1 - np.tanh(number * number) ** 2)) > 1e-12:
                faults.append(g)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


# ---- norms of gradients


def test_gradient_norms_are_those_of_the_gradients():
    x = leaf(normal(3), name="x")
    h = engine.tanh(x)
    y = h * x
    loss = engine.sum(y * y)
    nodes, uses = engine.gradient_norms(loss)
    for tensor in (x, h, y):
        g = engine.gradients(loss, [tensor])[0]
        assert nodes[tensor.node] == pytest.approx(np.linalg.norm(g.numpy()), rel=1e-14)
    gy = engine.gradients(loss, [y])[0].numpy()
    assert uses[x.node, (y.node, 1)] == pytest.approx(np.linalg.norm(gy * h.numpy()), rel=1e-14)
    assert uses[h.node, (y.node, 0)] == pytest.approx(np.linalg.norm(gy * x.numpy()), rel=1e-14)


def test_gradient_norms_of_grouped_uses_are_joint():
    x = leaf(3.0)
    y = x * x - 2 * x
    _, uses = engine.gradient_norms(y, group=lambda node, slot: "all")
    assert uses[x.node, "all"] == 4
    _, uses = engine.gradient_norms(y, group=lambda node, slot: None)
    assert uses == {}


@pytest.mark.parametrize("size", [1e200, 1e-200, 1.0])
def test_norm_at_any_size(size):
    assert norms.norm(np.array([3 * size, -4 * size])) == pytest.approx(5 * size, rel=1e-15)
    assert norms.norm(np.zeros(3)) == 0
    assert norms.norm(np.zeros((0, 2))) == 0


def test_norm_of_what_is_not_finite():
    assert norms.norm(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(norms.norm(np.array([1.0, np.nan])))


# ---- generated shapes

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@SETTINGS
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=3, max_dims=4),
    name=st.sampled_from(["add", "multiply", "subtract", "divide", "maximum"]),
    order=st.sampled_from([1, 2]),
)
def test_broadcasting_pairs(shapes, name, order):
    x, y = (normal(*shape, salt=salt) for salt, shape in enumerate(shapes.input_shapes))
    y = y + np.sign(y) * 0.5  # away from zero, for division
    f = getattr(engine, name)
    assert f(engine.asarray(x), engine.asarray(y)).shape == shapes.result_shape
    assert engine.gradcheck(f, [x, y], order)


@SETTINGS
@given(shapes=mutually_broadcastable_shapes(num_shapes=3, max_side=3, max_dims=3))
def test_broadcasting_where(shapes):
    condition, x, y = (normal(*shape, salt=n) for n, shape in enumerate(shapes.input_shapes))

    def f(x: Any, y: Any) -> Any:
        return engine.where(condition > 0, x, y) * x

    assert engine.gradcheck(f, [x, y], 2)


@SETTINGS
@given(shapes=mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_side=3, max_dims=2))
def test_broadcasting_matmul(shapes):
    x, y = (normal(*shape, salt=n) for n, shape in enumerate(shapes.input_shapes))
    assert (engine.asarray(x) @ engine.asarray(y)).shape == shapes.result_shape
    assert engine.gradcheck(engine.matmul, [x, y], 2)


def test_numpy_does_not_drop_a_gradient_silently():
    x = leaf(1.0, 2.0)
    for take in (np.asarray, np.array, lambda x: np.concatenate([x])):
        with pytest.raises(TypeError, match="requires a gradient, which NumPy loses"):
            take(x * 2)
    with engine.no_grad():
        assert np.asarray(x).tolist() == [1, 2]
    assert np.asarray(x.detach()).tolist() == (x * 1).numpy().tolist() == [1, 2]
    assert f"{engine.sum(x):.1f}" == "3.0"
