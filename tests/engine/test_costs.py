"""Count what the graph costs: long chains, shared nodes, slices; dropping it frees all of it."""

import gc
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import first, leaf, normal

CHAINS = pytest.mark.parametrize("length", first(1, [25_000, 100_000]))


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Disable the collector, so that only reference counts free memory."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def chain(length: int, f: Any = engine.negative) -> tuple[engine.Tensor, engine.Tensor]:
    """Return a leaf and the end of `length` ops on it."""
    x = y = leaf(1.0, name="x")
    for _ in range(length):
        y = f(y)
    return x, y


@CHAINS
def test_a_long_chain_differentiates_prints_and_is_freed(length, no_gc):
    x, y = chain(length)
    assert engine.gradients(y, [x])[0].item() == 1
    y.backward()
    assert x.grad.item() == 1
    graph = engine.Graph.of(y)
    text = graph.text()
    assert text.count("\n") == length + 1
    assert text.endswith(f"%{length} = negative(%{length - 1}) -> float64[]\nreturn %{length}")
    assert graph.count_paths(x, y) == 1
    assert len(graph.ancestors(y)) == length
    freed = [weakref.ref(graph.tensor(node)) for node in graph.nodes[1::999]]
    del graph, y
    assert [one for one in freed if one() is not None] == []


@CHAINS
def test_a_long_chain_of_gradient_nodes(length, no_gc):
    x, y = chain(length // 4, engine.sin)
    g = engine.gradients(y, [x], create_graph=True)[0]
    assert 0 < g.item() < 1
    freed = weakref.ref(y)
    assert len(engine.Graph.of(g)) > 3 * (length // 4)
    assert engine.gradients(g, [x])[0].item() < 0
    del g, y
    assert freed() is None


def test_thirty_doublings_take_no_time():
    x = y = leaf(1.0)
    start = time.thread_time()
    for _ in range(30):
        y = y + y
    g = engine.gradients(y, [x])[0]
    recorded = engine.gradients(y, [x], create_graph=True)[0]
    graph = engine.Graph.of(y)
    paths = graph.count_paths(x, y)
    text = graph.text()
    assert time.thread_time() - start < 0.1
    assert (g.item(), recorded.item(), paths) == (2**30, 2**30, 2**30)
    assert text.count("\n") == 31


def weakly(*outputs: engine.Tensor) -> list[Any]:
    """Return weak references to every computed tensor of a graph."""
    graph = engine.Graph.of(*outputs)
    return [weakref.ref(graph.tensor(node)) for node in graph.nodes if node.inputs]


def test_a_dropped_loss_frees_its_graph(no_gc):
    w = leaf(normal(3, 3))
    h = engine.asarray(normal(2, 3))
    for _ in range(5):
        h = engine.tanh(engine.concat([h @ w, h], axis=1)[:, :3])
    loss = engine.cross_entropy(h, [0, 1])
    loss.backward()
    freed = weakly(loss)
    del loss, h
    assert [one for one in freed if one() is not None] == []
    assert w.grad is not None


def test_a_dropped_second_gradient_frees_both_graphs(no_gc):
    w = leaf(normal(3, 3))
    loss = engine.sum(engine.softmax(engine.tanh(w @ w)) ** 2)
    g = engine.gradients(loss, [w], create_graph=True)[0]
    second = engine.gradients(engine.sum(g * g), [w], create_graph=True)[0]
    freed = weakly(second, loss)
    del loss, g, second
    assert [one for one in freed if one() is not None] == []


def test_a_scan_and_a_transform_are_freed(no_gc):
    w = leaf(normal(3, 3))

    def loss(w: Any) -> Any:
        step = lambda h, x: ((h := engine.tanh(h @ w + x)), h)  # noqa: E731
        return engine.sum(engine.scan(step, np.zeros((2, 3)), normal(4, 2, 3))[1])

    value = loss(w)
    freed = weakly(value)
    out, pullback = engine.vjp(loss, w)
    freed += weakly(out)
    pullback()
    del value, out, pullback
    assert [one for one in freed if one() is not None] == []


def test_an_error_leaves_nothing_behind(no_gc):
    x = leaf(1.0, 2.0)
    y = x * 2
    freed = weakref.ref(y)
    with pytest.raises(ValueError, match="add"):
        y + np.ones(3)
    del y
    assert freed() is None


def sliced(steps: int) -> tuple[engine.Tensor, engine.Tensor]:
    """Return a sequence and the sum of its steps, taken out one by one."""
    x = leaf(np.ones((steps, 4, 64)))
    total = engine.zeros((4, 64), dtype="float64")
    for t in range(steps):
        total = total + x[t]
    return x, engine.sum(total)


def recorded_size(steps: int) -> tuple[int, int]:
    """Return the number of nodes that a recorded backward pass makes, and of their elements."""
    x, y = sliced(steps)
    before = engine.Graph.of(y)
    g = engine.gradients(y, [x], create_graph=True)[0]
    assert g.numpy().min() == g.numpy().max() == 1
    added = [n for n in engine.Graph.of(g).nodes if n not in before]
    return len(added), sum(int(np.prod(n.shape)) for n in added)


def test_slicing_records_a_linear_graph():
    nodes, numbers = zip(*(recorded_size(steps) for steps in (20, 200, 2000)), strict=True)
    assert nodes[2] - nodes[1] == 10 * (nodes[1] - nodes[0])
    assert numbers[2] <= 11 * numbers[1]


def backward_seconds(steps: int) -> float:
    x, y = sliced(steps)
    start = time.perf_counter()
    engine.gradients(y, [x])
    return time.perf_counter() - start


def test_slicing_costs_linear_time():
    # Eight times the steps; a dense gradient for each of them would take 64 times as long.
    short, long = (min(backward_seconds(steps) for _ in range(4)) for steps in (250, 2000))
    assert long < 24 * short
