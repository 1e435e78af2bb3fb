"""Test hooks on gradients, freed graphs, refusals of backward, and the state after a failure."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import engine
from engine.derivatives.reachability import reachable
from engine.hooks import HOOKED
from engine.state import current
from engine.stepping import stepping
from tests.conftest import settings
from tests.draws import leaf, normal, normal_leaf

pytestmark = pytest.mark.usefixtures("frozen")


@pytest.fixture(autouse=True)
def _no_hooks_left() -> Iterator[None]:
    gc.collect()
    before = len(HOOKED)
    yield
    gc.collect()
    assert len(HOOKED) == before


@pytest.fixture
def no_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seen_by(tensor: engine.Tensor) -> list[Any]:
    """Return a list that collects the gradients of a tensor from now on."""
    found: list[Any] = []
    tensor.register_hook(lambda g: found.append(g.numpy().tolist()))
    return found


# ---- hooks


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_sees_the_whole_gradient_once(create_graph):
    x = leaf(2.0, 3.0)
    y = x * x
    at_x, at_y = seen_by(x), seen_by(y)
    z = engine.sum(y * y + y + y[0])
    engine.gradients(z, [x], None, create_graph)
    assert at_y == [[2 * 4 + 1 + 2, 2 * 9 + 1]]
    assert at_x == [[11 * 2 * 2, 19 * 2 * 3]]
    z.backward(create_graph=create_graph)
    assert len(at_x) == len(at_y) == 2
    assert x.grad.numpy().tolist() == at_x[0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_replaces_the_gradient(create_graph):
    x = leaf(2.0)
    y = x * x
    z = y * 3
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    z.register_hook(lambda g: -g)
    assert engine.gradients(z, [x, y, z], None, create_graph)[0].item() == -3 * 10 * 4 + 1
    found = [g.item() for g in engine.gradients(z, [y, z], None, create_graph)]
    assert found == [-30, -1]
    z.backward(create_graph=create_graph)
    assert x.grad.item() == -119


def test_hooks_are_called_in_turn():
    x = leaf(1.0)
    x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: None)
    x.register_hook(lambda g: g + 1)
    assert engine.gradients(x * 5, [x])[0].item() == 11


def test_a_hook_may_return_an_array_or_a_number():
    x, y = leaf(1.0, 2.0), leaf(1.0)
    x.register_hook(lambda g: np.array([7.0, 8.0]))
    y.register_hook(lambda g: 9)
    assert engine.gradients(engine.sum(x) * 1, [x])[0].numpy().tolist() == [7, 8]
    assert engine.gradients(y * 1, [y])[0].item() == 9
    assert engine.gradients(y * 1, [y])[0].dtype == engine.float64


def test_recorded_hooks_can_be_differentiated():
    x = leaf(3.0)
    y = x * x
    handle = y.register_hook(lambda g: g * y)  # dz/dy = y, so dz/dx = 2 x^3
    with engine.scope("outer"):
        z = y * 1
        g = engine.gradients(z, [x], create_graph=True)[0]
    assert g.item() == 54
    handle.remove()
    assert engine.gradients(g, [x])[0].item() == 6 * 9
    after = [n for n in engine.Graph.of(g).nodes if n.id > z.node.id and n.inputs]
    assert {(n.origin, n.scope.path) for n in after} == {(y.node, ""), (z.node, "outer")}


def test_a_hook_off_the_way_is_not_called():
    x, other = leaf(2.0), leaf(3.0)
    y, branch = x * 2, other * 2
    seen = seen_by(branch), seen_by(other)
    engine.gradients(y * branch, [x])
    assert seen == ([], [])
    engine.gradients(y * branch, [other])
    assert seen == ([4.0], [8.0])


def test_removing_a_hook():
    x = leaf(2.0)
    first = x.register_hook(lambda g: g * 10)
    second = x.register_hook(lambda g: g * 100)
    first.remove()
    first.remove()
    assert engine.gradients(x * 1, [x])[0].item() == 100
    second.remove()
    assert engine.gradients(x * 1, [x])[0].item() == 1
    x.register_hook(lambda g: g * 7)
    assert engine.gradients(x * 1, [x])[0].item() == 7


def test_a_hook_may_remove_itself():
    x = leaf(2.0)
    handles: list[Any] = []
    handles.append(x.register_hook(lambda g: handles[0].remove()))
    x.register_hook(lambda g: g * 2)
    assert [engine.gradients(x * 1, [x])[0].item() for _ in range(2)] == [2, 2]


def test_hooks_keep_nothing_alive(no_gc):
    x = leaf(2.0)
    y = x * x

    class Witness:
        def __call__(self, g: Any) -> None:
            pass

    hook = Witness()
    handle = y.register_hook(hook)
    z = y * 3
    freed = [weakref.ref(one) for one in (hook, y, z)]
    del hook, y, z
    assert [one() for one in freed] == [None] * 3
    assert len(HOOKED) == 0
    handle.remove()  # of a tensor that is gone: nothing to do


def test_a_removed_hook_is_let_go(no_gc):
    x = leaf(2.0)

    def hook(g: Any) -> None: ...

    freed = weakref.ref(hook)
    handle = x.register_hook(hook)
    handle.remove()
    del hook
    assert freed() is None
    assert len(HOOKED) == 0


def test_a_hook_on_its_own_tensor_is_collected():
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g, y=y: g * y.item())
    freed = weakref.ref(y)
    del y
    gc.collect()
    assert freed() is None


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("create_graph", [False, True])
def test_hooks_around_a_recurrence_are_called_once(unroll, create_graph):
    w, x = normal_leaf(3, 3), normal_leaf(4, 2, 3)
    xs = x * 2
    _, ys = engine.scan(
        lambda h, x: (engine.tanh(h @ w + x),) * 2,
        engine.zeros((2, 3), dtype="float64"), xs, unroll=unroll,
    )  # fmt: skip
    seen = [seen_by(one) for one in (w, x, xs, ys)]
    found = engine.gradients(engine.sum(ys * ys), [w, x, xs, ys], None, create_graph)
    for calls, g in zip(seen, found, strict=True):
        assert len(calls) == 1
        np.testing.assert_array_equal(calls[0], g.numpy())


def test_a_hook_inside_a_step():
    w, seen = normal_leaf(3, 3), []

    def step(h: Any, x: Any) -> Any:
        h = engine.tanh(h @ w + x)
        if h.requires_grad:
            h.register_hook(lambda g: seen.append(engine.norm(g)))
        return h, h

    xs = engine.asarray(normal(4, 2, 3))
    with engine.explicit():
        h, _ = engine.scan(step, engine.zeros((2, 3), dtype="float64"), xs)
        engine.sum(h).backward()
    assert len(seen) == 4


def test_hooks_and_changes_in_place():
    x = leaf(2.0)
    h = x * 3
    before = seen_by(h)
    h *= h
    after = seen_by(h)
    (h * 5).backward()
    assert (before, after) == ([5 * 2 * 6], [5])
    assert x.grad.item() == 180


def test_what_a_hook_must_not_be():
    with pytest.raises(ValueError, match=r"register_hook: .* requires no gradient.*requires_grad"):
        engine.ones(2).register_hook(lambda g: g)
    with pytest.raises(TypeError, match=r"register_hook: expected a function .* got 3"):
        leaf(1.0).register_hook(3)


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_must_not_return(create_graph):
    x = leaf(1.0, 2.0)
    handle = x.register_hook(lambda g: engine.ones(3, dtype="float64"))
    with pytest.raises(ValueError, match=r"hook on <node leaf.* shape \(3,\), expected \(2,\)"):
        engine.gradients(engine.sum(x * 2), [x], None, create_graph)
    handle.remove()
    x.register_hook(lambda g: engine.ones(2))
    with pytest.raises(TypeError, match="returned float32, expected float64"):
        engine.gradients(engine.sum(x * 2), [x], None, create_graph)


def test_gradient_norms_see_what_hooks_make():
    x = leaf(3.0)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    nodes, _ = engine.gradient_norms(y * 1)
    assert (nodes[y.node], nodes[x.node]) == (10, 20)


def test_a_seed_of_another_dtype_keeps_its_graph():
    x, v = leaf(3.0), engine.asarray(2.0, requires_grad=True)
    g = engine.gradients(x * x, [x], v, create_graph=True)[0]
    assert (g.item(), g.dtype) == (12, engine.float64)
    assert engine.gradients(g, [v])[0].item() == 6


# ---- graphs that are released


def test_a_second_backward_adds_up():
    x = leaf(3.0)
    z = x * x
    z.backward()
    z.backward(retain_graph=True)
    assert x.grad.item() == 12


def test_a_released_graph_is_gone(no_gc):
    x = leaf(3.0)
    y = engine.exp(x)
    z = engine.sum(y * y)
    freed = weakref.ref(y)
    del y
    z.backward(retain_graph=False)
    assert freed() is None
    assert x.grad.item() == pytest.approx(2 * np.exp(6), rel=1e-14)
    assert z.item() == pytest.approx(np.exp(6), rel=1e-14)  # the values stay


def test_a_released_graph_is_refused_by_name():
    x = leaf(3.0)
    with engine.scope("cell", t=2):
        y = x * x
    z = y + 1
    z.backward(retain_graph=False)
    for again in (z.backward, lambda: engine.gradients(z, [x]), lambda: (z * 2).backward()):
        with pytest.raises(RuntimeError, match=r"graph of add at top was released.*retain_graph"):
            again()
    for part in (lambda: (y * 2).backward(), lambda: engine.gradients(y * 2, [x])):
        with pytest.raises(RuntimeError, match="graph of multiply at cell/t=2 was released"):
            part()
    assert x.grad.item() == 6
    assert engine.gradients(x * 5, [x])[0].item() == 5  # leaves are as they were
    assert str(engine.Graph.of(z).text())  # and can still be looked at


def test_a_failed_pass_releases_nothing():
    x = leaf(3.0)
    y = x * x
    handle = y.register_hook(lambda g: 1 / 0)
    z = y * 2
    with pytest.raises(ZeroDivisionError):
        z.backward(retain_graph=False)
    handle.remove()
    z.backward()
    assert x.grad.item() == 12


def test_releasing_a_leaf_or_a_fused_recurrence():
    x = leaf(3.0)
    x.backward(retain_graph=False)
    x.backward()
    assert x.grad.item() == 2
    w = normal_leaf(3, 3)
    h, _ = engine.scan(lambda h, x: (engine.tanh(h @ w + x),) * 2,
                       engine.zeros((2, 3), dtype="float64"), normal(4, 2, 3))  # fmt: skip
    loss = engine.sum(h)
    loss.backward(retain_graph=False)
    with pytest.raises(RuntimeError, match="graph of sum"):
        loss.backward()
    with pytest.raises(RuntimeError, match="graph of output"):
        engine.sum(h * h).backward()


def test_a_recorded_pass_needs_its_graph():
    with pytest.raises(ValueError, match="create_graph needs the graph"):
        (leaf(3.0) * 2).backward(create_graph=True, retain_graph=False)
    with pytest.raises(TypeError):
        (leaf(3.0) * 2).backward(None, False, False)  # by name only


def test_a_long_chain_is_released_without_recursion(no_gc):
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward(retain_graph=False)
    assert len(reachable([y])) == 1


# ---- bad input


def test_integers_have_no_gradient():
    for make in (lambda: engine.asarray([1, 2], requires_grad=True),
                 lambda: engine.ones(2, dtype=engine.int64, requires_grad=True),
                 lambda: engine.asarray([True], requires_grad=True)):  # fmt: skip
        with pytest.raises(TypeError, match=r"(int64|bool) tensor has no gradient.*float dtype"):
            make()
    for transform in (engine.grad, engine.vjp, engine.jacobian):
        with pytest.raises(TypeError, match="int64 tensor has no gradient"):
            (transform(lambda x: x * 1.0, 3) if transform is engine.vjp else
             transform(lambda x: x * 1.0)(3))  # fmt: skip
    x, y = engine.asarray([1, 2]), leaf(1.0)
    x.requires_grad = True
    with pytest.raises(TypeError, match=r"backward: a leaf of dtype int64 has no gradient"):
        engine.sum(x * y).backward()
    assert (x.grad, y.grad) == (None, None)


def test_a_grad_to_which_nothing_can_be_added():
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    for wrong, kind, message in (
        (
            engine.ones(3),
            ValueError,
            r"the .grad of <node leaf.*> has shape \(3,\), expected \(2,\); set it",
        ),
        (np.ones(2), TypeError, "the .grad of <node leaf.*> is ndarray, not a tensor"),
    ):
        y.grad = wrong
        with pytest.raises(kind, match=message):
            engine.sum(x * y).backward()
        assert x.grad is None
        assert y.grad is wrong


def test_backward_says_what_it_needs():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"output of shape \(2,\) is no single number; sum it"):
        (x * 2).backward()
    with pytest.raises(ValueError, match="nothing that this tensor was computed from requires"):
        engine.ones(()).backward()
    with engine.no_grad():
        y = engine.sum(x)
    with pytest.raises(ValueError, match="nothing that this tensor was computed from requires"):
        y.backward()
    for wrong, given in ((np.ones(3), r"\(3,\)"), (1.0, r"\(\)"), (np.ones((2, 1)), r"\(2, 1\)")):
        with pytest.raises(ValueError, match=rf"grad of shape {given} for an output \(2,\)"):
            (x * 2).backward(wrong)
    with pytest.raises(ValueError, match="2 grads for 1 outputs"):
        engine.gradients(x * 2, [x], [np.ones(2), np.ones(2)])
    assert x.grad is None


# ---- failures


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("where", ["hook", "rule"])
def test_a_failure_leaves_everything_as_it_was(create_graph, where):
    def fails(*_: Any) -> Any:
        assert current().recording == create_graph
        raise ZeroDivisionError("planted")

    broken = engine.custom_op("broken", lambda xp, x: x * 1, fails if where == "rule" else
                              lambda xp, g, out, x: g)  # fmt: skip
    first, second, last = leaf(1.0), leaf(2.0), leaf(3.0)
    first.grad = before = engine.asarray(7.0)
    y = broken(second)
    if where == "hook":
        y.register_hook(fails)
    known = settings()
    with engine.scope("outer"), pytest.raises(ZeroDivisionError, match="planted"):
        (first * 2 + y * last).backward(create_graph=create_graph)
    assert settings() == known
    assert (current().sealed, current().keys, current().interpreter) == (False, None, None)
    assert first.grad is before
    assert (second.grad, last.grad) == (None, None)


# ---- threads


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Return the results of several functions, each in its own thread, started at once."""
    barrier, found = threading.Barrier(len(jobs)), [None] * len(jobs)
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            barrier.wait()
            found[number] = jobs[number]()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return found


@pytest.mark.parametrize("kind", ["plain", "fused", "checkpoint"])
def test_one_graph_in_several_threads(kind):
    w, x = normal_leaf(8, 8), normal_leaf(6, 4, 8)

    def recurrence(x: Any) -> Any:
        return engine.scan(lambda h, x: (engine.tanh(h @ w + x),) * 2,
                           engine.zeros((4, 8), dtype="float64"), x)[1]  # fmt: skip

    f = {"plain": lambda x: engine.tanh(x @ w) @ w, "fused": recurrence,
         "checkpoint": engine.checkpoint(lambda x: recurrence(x) * engine.tanh(x @ w))}  # fmt: skip
    loss = engine.sum(f[kind](x) ** 2)
    alone = [g.numpy() for g in engine.gradients(loss, [w, x])]

    def work() -> list[Any]:
        return [[g.numpy() for g in engine.gradients(loss, [w, x])] for _ in range(20)]

    for found in together(*[work] * 4):
        for pair in found:
            for one, other in zip(pair, alone, strict=True):
                np.testing.assert_array_equal(one, other)


def test_backward_in_several_threads_loses_nothing():
    x = leaf(*np.ones(100))
    loss = engine.sum(engine.tanh(x) * 0 + x)

    def work() -> None:
        for _ in range(200):
            loss.backward()

    together(*[work] * 4)
    assert x.grad.numpy().tolist() == [800.0] * 100


def test_adding_to_a_gradient_is_not_interrupted():
    class Slow(np.ndarray):
        def __add__(self, other: Any) -> Any:
            time.sleep(0.05)
            return np.asarray(self) + np.asarray(other)

    x = leaf(1.0, 2.0)
    x.grad = engine.Tensor(np.zeros(2).view(Slow))
    together(*[lambda: engine.sum(x).backward()] * 3)
    assert x.grad.numpy().tolist() == [3, 3]


def test_settings_of_threads_do_not_meet():
    x = leaf(0.0)
    steps = threading.Barrier(3)

    def loose() -> Any:
        steps.wait()
        out = 1 / x
        steps.wait()
        return out.item(), out.requires_grad

    def strict() -> Any:
        with engine.detect_anomaly():
            steps.wait()
            steps.wait()
            with pytest.raises(engine.AnomalyError):
                engine.log(x * 0)
        return stepping().explicit

    def unrecorded() -> Any:
        with engine.no_grad(), engine.explicit(), engine.scope("other"):
            steps.wait()
            out = x * 2
            steps.wait()
        return out.requires_grad

    with pytest.warns(RuntimeWarning, match="divide"):
        found = together(loose, strict, unrecorded)
    assert found == [(np.inf, True), False, False]
