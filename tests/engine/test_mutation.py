"""Change tensors by ``x[key] = v`` and in-place operators: no gradient is wrong at any time."""

import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine import Graph, Tensor
from tests.draws import leaf, normal, normal_leaf, slow_beside
from viz import draw_gradients, to_networkx

# ---- what was computed before keeps the values that it was computed from


def test_what_was_saved_keeps_its_values():
    w = leaf(1.0, 2.0, 3.0)
    x = w * 1
    y = x * x
    x[0] = 5.0
    assert x.numpy().tolist() == [5, 2, 3]
    assert y.numpy().tolist() == [1, 4, 9]
    assert engine.gradients(engine.sum(y), [w])[0].numpy().tolist() == [2, 4, 6]
    assert engine.gradients(engine.sum(x * x), [w])[0].numpy().tolist() == [0, 4, 6]
    assert engine.gradients(engine.sum(y * x), [w])[0].numpy().tolist() == [10, 12, 27]


SAVED: dict[str, Callable[[Tensor], Tensor]] = {
    "square": lambda x: x * x,
    "exp": engine.exp,
    "matmul": lambda x: x @ x.T,
    "divide": lambda x: 1 / x,
    "power": lambda x: x**3,
    "max": engine.max,
    "softmax": engine.softmax,
    "getitem": lambda x: x[:, 1] * x[0, 0],
    "where": lambda x: engine.where(x > 0, x, x * x),
    "einsum": lambda x: engine.einsum("ij,kj->", x, x),
    "norm": engine.norm,
    "reshape": lambda x: x.reshape((-1,)) ** 2,
}
CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "number": lambda x: x.__setitem__(0, 9.0),
    "all": lambda x: x.__setitem__(..., 0.0),
    "mask": lambda x: x.__setitem__(x > 0, -1.0),
    "+=": lambda x: x.__iadd__(7.0),
    "*=": lambda x: x.__imul__(x),
    "twice": lambda x: (x.__setitem__(0, 1.0), x.__isub__(2.0)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", SAVED)
def test_changes_after_an_op_do_not_reach_its_gradient(name, change):
    values, f = np.abs(normal(2, 3)) + 0.5, SAVED[name]
    w, other = leaf(values), leaf(values)
    x = w * 1
    y = f(x)
    CHANGES[change](x)
    for create_graph in (False, True):
        (g,) = engine.gradients(engine.sum(y), [w], create_graph=create_graph)
        (expected,) = engine.gradients(engine.sum(f(other)), [other])
        np.testing.assert_array_equal(g.numpy(), expected.numpy())


def test_changes_between_a_recorded_gradient_and_the_next_one():
    w = leaf(2.0, 3.0)
    x = w * 1
    y = engine.sum(x**3)
    (g,) = engine.gradients(y, [w], create_graph=True)  # 3 w^2
    x[0] = 100.0
    g[1] = 7.0
    assert engine.gradients(engine.sum(g), [w])[0].numpy().tolist() == [12, 0]
    assert engine.gradients(y, [w])[0].numpy().tolist() == [12, 27]


def test_values_that_change_after_they_were_assigned():
    w = leaf(2.0, 3.0)
    values = w * w
    x = engine.zeros(2, dtype="float64")
    x[:] = values
    values[...] = 0.0
    assert x.numpy().tolist() == [4, 9]
    assert engine.gradients(engine.sum(x), [w])[0].numpy().tolist() == [4, 6]


# ---- functions that change tensors inside have the derivatives of what they compute


def shifted(x: Tensor) -> Tensor:
    x[1:] = x[:-1] * 2
    return x * x


def chained(x: Tensor) -> Tensor:
    for i in range(1, 4):
        x[i] = x[i] * x[i - 1] + engine.sin(x[0])
    return x


def read_between(x: Tensor) -> Tensor:
    a = x * x
    x[0] = a[1]
    b = x * a
    x += b
    x[-1] = engine.sum(x)
    return x * b


def masked(x: Tensor) -> Tensor:
    x[x > 0] = engine.exp(x)[x > 0] * x[0]
    x[x.numpy() < -1] = 3.0
    return x**2


def repeated(x: Tensor) -> Tensor:
    y = x * x
    y[np.array([0, 2, 0, -2, 2])] = x[:1] * np.arange(1.0, 6) + engine.sum(y)
    return y * x


def repeated_rows(x: Tensor) -> Tensor:
    y = x.reshape((2, 2)) * 1
    y[np.array([1, 1, 0]), np.array([0, 0, 1])] = engine.exp(x[:3])
    y[:, [0, 0]] = y * y
    return y


def broadcast(x: Tensor) -> Tensor:
    y = engine.zeros((3, 4), dtype="float64")
    y[:] = x * x
    y[1] = x[0]
    y[:, 1:2] = x[:3].reshape((3, 1))
    y[2:, ::2] = x[2:].reshape((1, 1, 2))[0]
    return y


def leading_ones(x: Tensor) -> Tensor:
    y = x * 1
    y[:2] = (x[2:] * x[:2]).reshape((1, 1, 2))
    return y


def swapped(x: Tensor) -> Tensor:
    x[0], x[1] = x[1], x[0] * x[2]
    return x * np.arange(1.0, 5)


def operators(x: Tensor) -> Tensor:
    y = x
    x += 2.5
    y *= x
    x -= engine.sin(y)
    x /= 1.0 + x * x
    x **= 2
    return y


def with_itself(x: Tensor) -> Tensor:
    x += x
    x *= x
    x[...] = x
    x[::-1] = x
    return x


def matrices(x: Tensor) -> Tensor:
    y = x.reshape((2, 2)) * 1
    y @= y
    y @= engine.sin(y)
    return y


def counted(x: Tensor) -> Tensor:
    y = engine.zeros(3, dtype="float64")
    y[np.array([0, 0, 2])] += x[:3]  # as NumPy: the last one of a position stays
    y[1] += x[3] * y[2]
    return y * y


def emptied(x: Tensor) -> Tensor:
    x[[]] = 5.0
    x[2:2] = x[:0]
    x[np.zeros(4, bool)] = 1.0
    return x * x


PROGRAMS = [shifted, chained, read_between, masked, repeated, repeated_rows, broadcast,
            leading_ones, swapped, operators, with_itself, matrices, counted, emptied]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_programs_that_change_tensors_have_the_right_derivatives(program):
    x = np.array([0.7, -0.4, 1.1, 0.3])
    assert engine.gradcheck(lambda x: program(x * 1), [x], 2)


@pytest.mark.parametrize(
    "program", [p for p in PROGRAMS if p is not masked], ids=lambda f: f.__name__
)
def test_programs_that_change_tensors_compute_what_numpy_does(program, monkeypatch):
    x = np.array([0.7, -0.4, 1.1, 0.3])
    found = program(engine.asarray(x) * 1)
    monkeypatch.setattr(engine, "zeros", np.zeros)
    monkeypatch.setattr(engine, "sin", np.sin)
    monkeypatch.setattr(engine, "exp", np.exp)
    monkeypatch.setattr(engine, "sum", np.sum)
    if program is swapped:  # in NumPy x[0] is a number, in no library a view
        expected = x[[1, 0, 2, 3]] * [1, x[2], 1, 1] * np.arange(1.0, 5)
    else:
        expected = program(x * 1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


KEYS = [0, -1, slice(None), slice(0, 4, 2), ..., None, (0, 1), (slice(None), 1), (..., slice(1, 3)),
        [0, 0, 2], ([0, 1, 0], [1, 1, 1]), (slice(None), [2, 2]), ([[0], [2]], [0, 2]),
        (None, [1]), np.array([True, False, True]), (0, np.array([True, False, True, True])),
        (np.array([True, False, True]), [1, 3]), [], slice(3, 1), np.int64(1)]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key).replace("\n", "")[:40])
def test_assignment_is_numpys_for_every_kind_of_key(key):
    expected, taken = normal(3, 4), normal(3, 4)[key]
    values = np.asarray(normal(*taken.shape, salt=5))
    expected[key] = values
    x = engine.asarray(normal(3, 4))
    x[key] = values
    np.testing.assert_array_equal(x.numpy(), expected)

    def assigned(x: Tensor, values: Tensor) -> Tensor:
        x = x * 1
        x[key] = engine.sin(values)
        return x * x

    assert engine.gradcheck(assigned, [normal(3, 4), values], 2)


def test_assignment_to_a_number():
    x = leaf(3.0) * 2
    x[...] = x * x
    x[()] = x + 1
    assert (x.item(), x.shape) == (37, ())


# ---- names, views, arrays


def test_another_name_sees_the_change():
    a = b = engine.asarray([1.0, 2.0])
    a += 1
    a[0] = 9.0
    assert a is b
    assert b.numpy().tolist() == [9, 3]
    held = {"x": [a]}
    held["x"][0] *= 2
    assert b.numpy().tolist() == [18, 6]


VIEWS: dict[str, Callable[[Tensor], Any]] = {
    "reshape": lambda x: x.reshape((6,)),
    "slice": lambda x: x[:1],
    "whole": lambda x: x[...],
    "T": lambda x: x.T,
    "detach": lambda x: x.detach(),
    "rows": lambda x: next(iter(x)),
    "numpy": lambda x: x.numpy(),
    "array": np.asarray,
    "expand": lambda x: engine.expand_dims(x, axis=0),
    "broadcast": lambda x: engine.broadcast_to(x, (4, 2, 3)),
    "astype": lambda x: engine.astype(x, x.dtype, copy=False) + 0,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_stay_as_they_were_and_change_nothing(name):
    x = engine.asarray(normal(2, 3))
    view = VIEWS[name](x)
    before = np.array(view)
    x[...] = 0.0
    x -= 1
    np.testing.assert_array_equal(np.asarray(view), before)
    if isinstance(view, Tensor):
        view[...] = 8.0
        np.testing.assert_array_equal(x.numpy(), np.full((2, 3), -1.0))


def test_arrays_that_were_given_are_not_written_to():
    array, values = normal(3), normal(3, salt=1)
    x = engine.asarray(array)
    x[:] = values
    x += 1
    x[0] = 3.0
    np.testing.assert_array_equal(array, normal(3))
    np.testing.assert_array_equal(values, normal(3, salt=1))
    frozen = normal(3)
    frozen.flags.writeable = False
    y = engine.asarray(frozen)
    y[0] = 1.0
    y *= 2
    assert y.numpy()[0] == 2


# ---- leaves


@pytest.mark.parametrize("change", CHANGES)
def test_leaves_with_gradients_are_refused_and_stay(change):
    w = normal_leaf(2, 3)
    with pytest.raises(ValueError, match=r"leaf that requires a gradient.*no_grad\(\)"):
        CHANGES[change](w)
    np.testing.assert_array_equal(w.numpy(), normal(2, 3))


@pytest.mark.parametrize("change", CHANGES)
def test_leaves_can_be_changed_under_no_grad_and_stay_leaves(change):
    w, node = normal_leaf(2, 3, name="w"), None
    y = engine.sum(w**3)
    node = w.node
    with engine.no_grad():
        CHANGES[change](w)
    assert w.requires_grad
    assert (w.node, w.node.name) == (node, "w")
    assert not np.array_equal(w.numpy(), normal(2, 3))
    y.backward()  # of the old values, to the leaf that is there
    np.testing.assert_allclose(w.grad.numpy(), 3 * normal(2, 3) ** 2, rtol=1e-14)


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_leaf_gets_the_gradients_of_its_old_and_its_new_values(first):
    w = leaf(1.0, 2.0)
    old = engine.sum(w * w)
    with engine.no_grad():
        w += 10
    new = engine.sum(w * w)
    loss = old + 5 * new if first == "old" else 5 * new + old
    assert engine.gradients(loss, [w])[0].numpy().tolist() == [2 + 110, 4 + 120]
    loss.backward()
    assert w.grad.numpy().tolist() == [2 + 110, 4 + 120]


def test_training_in_place():
    w = leaf(5.0, -3.0)
    for _ in range(60):
        w.grad = None
        engine.sum((w - np.array([1.0, 2.0])) ** 2).backward()
        with engine.no_grad():
            w -= 0.2 * w.grad
    np.testing.assert_allclose(w.numpy(), [1, 2], atol=1e-9)


def test_leaves_without_gradients_join_the_graph():
    x, w = engine.zeros(3, dtype="float64"), leaf(2.0)
    x[1] = w * w
    assert x.requires_grad
    x *= w
    assert engine.gradients(engine.sum(x), [w])[0].item() == 12
    x.backward(grad=np.ones(3))
    assert w.grad.item() == 12
    with pytest.raises(ValueError, match="requires a gradient"):
        engine.zeros(3).backward()


def test_under_no_grad_nothing_is_recorded():
    w, x = leaf(2.0, 3.0), engine.zeros(2, dtype="float64")
    with engine.no_grad():
        x[0] = w[0]
        x += w
    assert not x.requires_grad
    assert x.numpy().tolist() == [4, 3]


def test_integers_carry_no_gradient():
    w = leaf(2.7, -1.2)
    k = engine.zeros(3, dtype="int64")
    k[:2] = w * 1
    k[2] = 9.9
    assert k.numpy().tolist() == [2, -1, 9]
    assert not k.requires_grad
    mask = engine.asarray([False, False])
    mask[0] = w[0]
    assert (mask.numpy().tolist(), mask.requires_grad) == ([True, False], False)
    with pytest.raises(TypeError, match=r"x \+= y"):
        k += 1.5
    with pytest.raises(TypeError, match="float64"):
        k *= w[0]
    assert k.numpy().tolist() == [2, -1, 9]


# ---- what does not fit

MISFITS: dict[str, tuple[Callable[[Tensor], Any], type[Exception], str]] = {
    "wider dtype": (
        lambda x: x.__iadd__(np.ones(3)), TypeError, r"\+=.*float64\[2, ?3\].*float32.*x = x \+ y"),
    "true division of integers": (
        lambda x: engine.astype(x, "int32").__itruediv__(2), TypeError, "/="),
    "larger shape": (lambda x: x.__imul__(engine.ones((4, 2, 3))), ValueError, r"\*=.*4, 2, 3"),
    "shapes": (lambda x: x.__isub__(engine.ones(4)), ValueError, r"subtract.*\(2, 3\).*\(4,\)"),
    "matmul": (lambda x: x.__imatmul__(engine.ones((3, 4))), ValueError, "@="),
    "values": (lambda x: x.__setitem__(0, engine.ones(4)), ValueError, r"\(2, 3\).*\(4,\)"),
    "mask values": (lambda x: x.__setitem__(x > 5, engine.ones(2)), ValueError, "assign"),
    "key": (lambda x: x.__setitem__((0, 9), 1.0), IndexError, r"\(2, 3\).*9"),
    "no key": (lambda x: x.__setitem__("a", 1.0), IndexError, "'a'"),
    "mask": (lambda x: x.__setitem__(np.ones(5, bool), 1.0), IndexError, "5"),
    "text": (lambda x: x.__setitem__(0, "a"), TypeError, "U1"),
    "nothing": (lambda x: x.__setitem__(0, None), TypeError, "got None"),
    "overflow": (
        lambda x: engine.astype(x, "int8").__setitem__(0, 300), OverflowError, "300"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_refused_and_changes_nothing(name):
    change, kind, message = MISFITS[name]
    x = engine.ones((2, 3))
    y = x * 2
    with pytest.raises(kind, match=message):
        change(x)
    assert (x.numpy() == 1).all()
    assert (y.numpy() == 2).all()


def test_assignment_casts_and_the_gradient_is_cast_back():
    w = leaf(1.0, 2.0)
    x = engine.zeros(3)
    x[:2] = w * w
    assert x.dtype == engine.float32
    (g,) = engine.gradients(engine.sum(x * 3), [w])
    assert (g.dtype.name, g.numpy().tolist()) == ("float64", [6, 12])


# ---- inside recurrences


def steps_of(w: Tensor) -> dict[str, Callable[[Any, Any], Any]]:
    def patched(h: Tensor, x: Tensor) -> Any:
        n = engine.tanh(x @ w + h)
        n[0] = n[1] * 2
        n[:, 1] = 0.5
        return n, n

    def clipped(h: Tensor, x: Tensor) -> Any:
        n = x @ w + h
        n[n > 0.5] = 0.5
        n *= w[0]
        return n, n * n

    def read_before(h: Tensor, x: Tensor) -> Any:
        h = h * 1
        h *= w[0]
        y = h * h
        h[0] = x[0]
        return h, y

    def filled(h: Tensor, x: Tensor) -> Any:
        n = engine.zeros((2, 3), dtype="float64")
        n[:, :2] = h[:, 1:]
        n[:, 2:] = x[:, :1]
        n = engine.tanh(n @ w)
        return n, n

    def repeated(h: Tensor, x: Tensor) -> Any:
        n = engine.tanh(h + x @ w)
        n[np.array([0, 0]), np.array([1, 1])] = x[:, 0]
        return n, n

    return {f.__name__: f for f in (patched, clipped, read_before, filled, repeated)}


def scanned(step: Any, h: Tensor, xs: Tensor, *, unrolled: bool) -> Any:
    if not unrolled:
        return engine.scan(step, h, xs)
    with engine.explicit():
        return engine.scan(step, h, xs)


@pytest.mark.parametrize("name", list(steps_of(engine.ones(1))))
def test_a_step_may_change_what_it_made(name):
    found = []
    for unrolled in (True, False):
        leaves = [normal_leaf(2, 3), normal_leaf(4, 2, 3, salt=1), normal_leaf(3, 3, salt=2)]
        h, ys = scanned(steps_of(leaves[2])[name], *leaves[:2], unrolled=unrolled)
        grads = engine.gradients(engine.sum(h) + engine.sum(ys**2), leaves)
        found.append([h.numpy(), ys.numpy(), *(g.numpy() for g in grads)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    with engine.explicit():
        assert engine.gradcheck(
            lambda h, xs, w: engine.scan(steps_of(w)[name], h, xs)[1],
            [normal(2, 3), normal(3, 2, 3, salt=1), normal(3, 3, salt=2)],
        )


def changing_the_state(h: Tensor, x: Tensor) -> Any:
    h += x
    return h, h


def changing_the_input(h: Tensor, x: Tensor) -> Any:
    x[0] = 0.0
    return h + x, h


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("step", [changing_the_state, changing_the_input])
def test_a_step_that_changes_its_arguments_is_the_same_fused_and_explicit(step, grad):
    found: list[Any] = []
    for unrolled in (True, False):
        h, xs = (engine.asarray(normal(*s), requires_grad=grad) for s in ((2, 3), (4, 2, 3)))
        try:
            ys = scanned(step, h, xs, unrolled=unrolled)[1].numpy().tolist()
        except ValueError:
            ys = ValueError
        found.append([ys, h.numpy().tolist(), xs.numpy().tolist()])
    assert found[0] == found[1]


@pytest.mark.parametrize("change", [lambda b, n: b.__iadd__(1.0),
                                    lambda b, n: b.__setitem__(0, engine.sum(n))])  # fmt: skip
def test_a_step_that_changes_what_is_outside_is_refused_or_right(change):
    found: list[Any] = []
    for unrolled in (True, False):
        outside = engine.zeros(3, dtype="float64")

        def step(h: Tensor, x: Tensor, b: Tensor = outside) -> Any:
            n = engine.tanh(h + x)
            change(b, n)
            return n * b[0], n

        try:
            ys = scanned(step, *map(engine.asarray, (normal(2, 3), normal(4, 2, 3))),
                         unrolled=unrolled)[1]  # fmt: skip
            found.append(np.concatenate([ys.numpy().ravel(), outside.numpy()]))
        except ValueError:
            assert not unrolled
            assert outside.numpy().tolist() == [0, 0, 0]
            return
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


# ---- graphs and pictures


def test_graphs_hold_what_was_read():
    w = leaf(1.0, 2.0, name="w")
    x = w * 3
    y = x * x
    x[0] = 5.0
    z = engine.sum(y * x)
    assert Graph.of(z).text() == "\n".join([
        "%0 = leaf 'w' grad -> float64[2]",
        "%1 = multiply(%0, 3) -> float64[2]",
        "%2 = multiply(%1, %1) -> float64[2]",
        "%3 = assign(%1, 5.0, key=(0,)) -> float64[2]",
        "%4 = multiply(%2, %3) -> float64[2]",
        "%5 = sum(%4) -> float64[]",
        "return %5",
    ])  # fmt: skip
    graph = Graph.of(z)
    values = [graph.tensor(node).numpy().tolist() for node in graph.nodes[:5]]
    assert values == [[1, 2], [3, 6], [9, 36], [5, 6], [45, 216]]
    before = graph.text()
    x[1] = 0.0
    assert Graph.of(z).text() == graph.text() == before
    assert [graph.tensor(node).numpy().tolist() for node in graph.nodes[:5]] == values
    assert graph.count_paths(w, z) == 3
    assert engine.Graph.of(z).diff(graph) == ""


def test_graphs_of_gradients_of_changed_tensors():
    w = leaf(1.0, 2.0, name="w")
    x = w * 3
    x[0] = w[1]
    (g,) = engine.gradients(engine.sum(x * x), [w], create_graph=True)
    text = Graph.of(g).text()
    x[...] = 0.0
    assert Graph.of(g).text() == text
    assert "d[%" in text


def test_pictures_of_changed_tensors():
    w = leaf(1.0, 2.0, name="w")
    x = w * 3
    y = x * x
    x[0] = engine.sum(y)
    x += y
    loss = engine.sum(x * y)
    before = draw_gradients(loss, level="op").source
    net = to_networkx(loss)
    ops = [data["op"] for _, data in net.nodes(data=True)]
    assert ops == ["", "multiply", "multiply", "sum", "assign", "add", "multiply", "sum"]
    assert sorted(net.edges()) == sorted(
        [(0, 1), (1, 2), (1, 2), (2, 3), (1, 4), (3, 4), (4, 5), (2, 5), (5, 6), (2, 6), (6, 7)]
    )
    x[1] = 0.0
    y *= x
    assert draw_gradients(loss, level="op").source == before


def test_hooks_see_the_gradient_of_the_value_they_were_put_on():
    w = leaf(1.0, 2.0)
    x = w * 3
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.numpy().tolist()))
    y = x * x
    x[0] = 5.0
    engine.sum(y + x * 100).backward()
    assert seen == [[2 * 3, 2 * 6 + 100]]
    assert w.grad.numpy().tolist() == [18, 336]


# ---- costs


def looped(size: int) -> tuple[Tensor, Tensor]:
    w = leaf(np.ones(size))
    x = w * 1
    for i in range(1, size):
        x[i] = x[i - 1] * 1.0001
    return w, x


def test_a_thousand_assignments_are_fast():
    looped(10)
    start = time.thread_time()
    w, x = looped(1000)
    engine.sum(x).backward()
    assert time.thread_time() - start < 2
    np.testing.assert_allclose(x.numpy(), 1.0001 ** np.arange(1000), rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy()[0], (1.0001**1000 - 1) / 0.0001, rtol=1e-9)


@slow_beside("test_a_thousand_assignments_are_fast")
def test_a_chain_of_changes_too_long_for_recursion():
    w = leaf(1.0)
    x = w * 1
    for _ in range(5000):
        x += 1e-4
    x.backward()
    assert w.grad.item() == 1


ROUNDS: dict[str, Callable[[Tensor], Any]] = {
    "number": lambda x: x.__setitem__(0, 5.0),
    "shift": lambda x: x.__setitem__(slice(1, None), x[:-1] * 2),
    "sum": lambda x: x.__setitem__(0, engine.sum(x)),
    "double": lambda x: x.__iadd__(x * 2),
    "square": lambda x: x.__imul__(x),
    "mask": lambda x: x.__setitem__(x > 0, engine.tanh(x)[x > 0]),
}


# Values that were computed from the tensor itself: it is then part of a cycle.
CYCLES = ("shift", "sum", "double", "mask")


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("name", ROUNDS)
def test_changed_tensors_are_freed_when_dropped(name):
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0, 3.0) * 1
        arrays, kept = [weakref.ref(x.numpy())], weakref.ref(x)
        for _ in range(3):
            ROUNDS[name](x)
            arrays.append(weakref.ref(x.numpy()))
        engine.sum(x).backward()
        del x
        if name in CYCLES:
            gc.collect()
        assert kept() is None
        assert [a() is None for a in arrays] == [True] * 4
    finally:
        gc.enable()


def test_values_without_a_reader_are_freed_at_once():
    x = engine.asarray(normal(1000))
    arrays = []
    for i in range(100):
        arrays.append(weakref.ref(x.numpy()))
        x[i] = float(i)
        arrays.append(weakref.ref(x.numpy()))
        x += 1.0
    assert [array() for array in arrays if array() is not None] == []
