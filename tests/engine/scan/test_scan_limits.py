"""Test that limits inside of the fused executors, such as boxes in a loop, change no number."""

from collections import OrderedDict

import numpy as np
import pytest

import engine
from engine.scan import recorded, time_batched
from engine.scan.c import core, source
from engine.scan.explicit import Explicit
from engine.scan.kernels import arrays, layout
from engine.scan.time_batched import TimeBatched
from tests.draws import covering, crossed, first, normal_leaf
from tests.engine.scan.test_derivatives_of_scans import equal, orders, orders_of_the_loop
from tests.engine.scan.test_fused import CELLS, CORES, agree, only

LIMITS = {
    "sums step by step": (time_batched, "LARGE", 0),
    "no inlining": (layout, "DEEP", 0),
    "one box at a time": (arrays, "TOGETHER", 1),
    "calls that are not inlined": (source, "MANY", 0),
    "one program remembered": (recorded, "REMEMBERED", 1),
    "ops step by step": (TimeBatched, "_at_once", lambda self, value, given, timed: None),
    "no sums of products": (TimeBatched, "_contracted", lambda self, value: None),
    "no sums of factors": (TimeBatched, "_one_factor", lambda self, value: None),
    "no sums in the kernel": (core, "reduced", lambda program: program),
}


@pytest.fixture(params=LIMITS)
def limit(request, monkeypatch):
    """Set each limit to its extreme, with separate programs."""
    monkeypatch.setattr(recorded, "_programs", OrderedDict())
    monkeypatch.setattr(*LIMITS[request.param])


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(
    ("limit", "executor", "name"),
    covering(LIMITS, CORES, ["gru", "peephole", "layernorm", "invented"]),
    indirect=["limit"],
)
def test_limits_change_no_number(name, executor):
    with only(CORES[executor]):
        engine.seed(1)
        agree(CELLS[name](3, 5, "float64"), (6, 4), lengths=[6, 0, 3, 5])


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(
    ("limit", "name"), first(2, crossed(LIMITS, ["gru", "matrix"])), indirect=["limit"]
)
def test_limits_change_no_second_derivative(name):
    equal(orders(name, 2), orders_of_the_loop(name, 2))


@pytest.mark.parametrize("executor", CORES)
def test_sums_step_by_step_of_a_weight_of_the_shape_of_the_state(executor, monkeypatch):
    # Its gradient is a sum of products over time alone: no other sum holds it.
    monkeypatch.setattr(recorded, "_programs", OrderedDict())
    monkeypatch.setattr(time_batched, "LARGE", 0)
    sums, right = [], TimeBatched._each_step
    monkeypatch.setattr(
        TimeBatched, "_each_step", lambda self, value: sums.append(value) or right(self, value)
    )

    def run():
        h, x, k = normal_leaf(3, 4), normal_leaf(5, 3, 4), normal_leaf(3, 4)
        final, y = engine.scan(lambda h, x: (engine.tanh(h * k + x),) * 2, h, x)
        grads = engine.gradients(engine.sum(final * final) + engine.sum(y), [h, x, k])
        return [one.numpy() for one in (final, y, *grads)]

    with only(CORES[executor]):
        ours = run()
    assert sums
    with only(Explicit()):
        equal([ours], [run()])


def test_few_boxes_are_refused_and_not_wrong(monkeypatch):
    # A value of more pieces than a kernel has loops for is left to the plan.
    monkeypatch.setattr(recorded, "_programs", OrderedDict())
    monkeypatch.setattr(arrays, "BOXES", 1)

    def step(h, x):
        h = engine.concat([h[:, 1:], h[:, :1] * x[:, :1]], axis=1)
        return h, engine.tanh(h)

    def run():
        h, x = normal_leaf(3, 4), normal_leaf(5, 3, 2)
        final, y = engine.scan(step, h, x)
        grads = engine.gradients(engine.sum(final * final) + engine.sum(y), [h, x])
        return [one.numpy() for one in (final, y, *grads)]

    ours = run()
    with only(Explicit()):
        equal([ours], [run()])


SHAPES = [(2, 33, 130), (40, 1, 65), (3, 64, 32), (1, 128, 16)]


@pytest.mark.parametrize(("shape", "threads"), first(2, crossed(SHAPES, [2, 3, 1])), ids=str)
def test_large_layers_in_several_threads(shape, threads):
    T, B, H = shape
    before = engine.get_num_threads()
    engine.seed(2)
    try:
        engine.set_num_threads(threads)
        agree(CELLS["gru"](H, H, "float32"), (T, B), dtype="float32", lengths=lengths(T, B))
        agree(CELLS["reset before"](H, H, "float64"), (T, B))
    finally:
        engine.set_num_threads(before)


def lengths(T, B):
    return np.random.default_rng(B).integers(0, T + 1, B)
