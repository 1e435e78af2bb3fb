"""Test how threads share a recurrence: the same bits for each division, and the chosen one."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c import core
from engine.scan.c.division import Division, StepWork, cores, divided, fastest, seconds
from tests import ROOT
from tests.draws import crossed, first
from tests.engine.scan.test_fused import CELLS

DIVISIONS = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 3), (4, 1), (4, 2), (4, 4), (7, 7)]
# Rows and units: one row, fewer rows than threads, and units in whole blocks, in odd ones and few.
SHAPES = [(3, 64), (1, 48), (13, 96), (5, 256), (1, 128)]
DIVIDED = ["two levels", "lstm", "layernorm", "reset before", "peephole"]


class TwoLevels(rnn.Cell):
    """Compute a product, a layer norm and a second product in one step."""

    def __init__(self, inputs, units):
        self.input_size, self.state_size = inputs, {"h": units}
        self.inner = rnn.Linear(inputs + units, units)
        self.outer = rnn.Linear(units, units)

    def step(self, x, h):
        a = engine.tanh(self.inner(engine.concat([x, h], axis=-1)))
        a = (a - engine.mean(a, axis=-1, keepdims=True)) * 0.5
        h = engine.tanh(self.outer(a) + h)
        return h, h


@pytest.fixture
def division(monkeypatch):
    """Set the division of all recurrences."""

    def force(threads, lanes):
        monkeypatch.setattr(core, "divided", lambda step, rows, wanted, *_: Division(
            threads if lanes > 1 else min(threads, rows), lanes))  # fmt: skip

    return force


def tensor(*shape):
    return engine.asarray(np.random.default_rng(0).normal(size=shape).astype("float32"))


def gradients(layer, x, **options):
    y, state = layer(x, **options)
    leaves = [x, *layer.parameters()]
    states = state if isinstance(state, tuple) else (state,)
    loss = engine.sum(y * y) + sum(engine.sum(s) for s in states)
    return [y.numpy(), *(g.numpy() for g in engine.gradients(loss, leaves))]


def cell_of(name, inputs, units):
    if name == "two levels":
        return TwoLevels(inputs, units)
    return CELLS[name](inputs, units, "float32")


@pytest.mark.parametrize(("name", "shape"), first(3, crossed(DIVIDED, SHAPES)), ids=str)
def test_every_division_gives_the_same_bits(name, shape, division):
    rows, units = shape
    engine.seed(4)
    layer = rnn.Recurrent(cell_of(name, 16, units))
    x = engine.asarray(
        np.random.default_rng(1).normal(size=(9, rows, 16)).astype("float32"), requires_grad=True
    )
    lengths = np.random.default_rng(2).integers(0, 10, rows)
    for options in ({}, {"lengths": lengths}):
        division(1, 1)
        alone = gradients(layer, x, **options)
        for threads, lanes in DIVISIONS[1:]:
            division(threads, lanes)
            for one, other in zip(alone, gradients(layer, x, **options), strict=True):
                np.testing.assert_array_equal(one, other, err_msg=f"{threads}, {lanes}")


def test_rows_that_see_each_other_are_shared_by_units_alone(division):
    engine.seed(4)
    w = tensor(128, 128) * 0.1

    def step(h, x):
        h = engine.tanh(engine.matmul(h, w) + x - engine.mean(h, axis=0, keepdims=True))
        return h, h

    x = tensor(12, 4, 128)
    found = []
    for threads, lanes in DIVISIONS:
        division(threads, lanes)
        with engine.no_grad():
            found.append(engine.scan(step, engine.zeros((4, 128)), x)[1].numpy())
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def run_once(steps):
    """Return a layer, its input, and the output that it gives when it runs first."""
    engine.seed(0)
    layer, x = rnn.LSTM(8, 64), tensor(steps, 5, 8)
    with engine.no_grad():
        return layer, x, layer(x)[0].numpy()


def test_results_do_not_depend_on_the_owner_of_the_pool(division):
    # Threads of Python that call at once: one has the pool, and the others run alone.
    division(4, 2)
    layer, x, expected = run_once(40)
    wrong = []

    def run():
        with engine.no_grad():
            for _ in range(30):
                if not np.array_equal(layer(x)[0].numpy(), expected):
                    wrong.append(1)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


ONE_POOL = """
import os, numpy as np, engine, rnn
def run(dtype):
    engine.seed(0)
    layer = rnn.Recurrent(CELLS["lstm"](16, 128, dtype))
    x = np.random.default_rng(0).normal(size=(8, 16, 16)).astype(dtype)
    y, _ = layer(engine.asarray(x))
    return [g.numpy().tobytes() for g in engine.gradients(engine.sum(y), layer.parameters())]
from tests.engine.scan.test_fused import CELLS
engine.set_num_threads(1)
alone = [run(dtype) for dtype in ("float32", "float64")]
engine.set_num_threads(2)
before = len(os.listdir("/proc/self/task"))
assert [run(dtype) for dtype in ("float32", "float64")] == alone
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the system does not list threads")
def test_a_process_has_one_pool_for_all_dtypes():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ONE_POOL], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "1"


def test_a_call_after_a_fork_runs_in_threads_of_its_own(division):
    division(4, 2)
    layer, x, expected = run_once(10)
    with engine.no_grad():
        pid = os.fork()
        if not pid:
            os._exit(0 if np.array_equal(layer(x)[0].numpy(), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_more_threads_than_cores_do_not_bring_a_call_to_a_halt(division):
    # Threads that wait for one without a core let it have theirs.
    layer = rnn.LSTM(16, 256)
    x = tensor(60, 2, 16)

    def taken():
        began = time.perf_counter()
        with engine.no_grad():
            layer(x)
        return time.perf_counter() - began

    division(1, 1)
    alone = min(taken() for _ in range(3))
    for threads, lanes in ((4 * cores(), 1), (4 * cores(), 2), (4 * cores(), 4 * cores())):
        division(threads, lanes)
        assert min(taken() for _ in range(5)) < 20 * alone


# ---- the choice

LSTM = {H: StepWork(4 * H * H + 30 * H, 16 * H * H, 16 * H, 2) for H in (32, 64, 128, 512, 1024)}


def test_little_work_has_one_thread():
    assert divided(LSTM[32], 1, 64) == (1, 1)
    assert divided(LSTM[1024], 1, 1) == (1, 1)


@pytest.mark.skipif(cores() < 2, reason="lanes need a core each")
def test_threads_that_never_meet_share_less_work_of_many_steps():
    step = StepWork(5_000, 0, 0, 0)
    assert divided(step, 1, 2, 10_000) == (2, 2)
    assert divided(step, 1, 2, 100) == (1, 1)
    assert divided(step._replace(meetings=1), 1, 2, 10_000) == (1, 1)


def test_threads_with_nothing_to_share_have_rows_of_their_own():
    assert fastest(LSTM[1024]._replace(shares=False), 1, 2, 2) == (1, 1)


@pytest.mark.skipif(cores() < 2, reason="lanes need a core each")
def test_one_row_of_a_large_layer_is_shared_by_units():
    assert divided(LSTM[1024], 1, 2) == (2, 2)
    assert divided(LSTM[512], 1, 2) == (2, 2)


def test_many_rows_of_a_small_layer_have_threads_of_their_own():
    assert divided(LSTM[128], 64, 2) == (2, 1)
    assert divided(LSTM[64], 64, 4) == (4, 1)


def test_lanes_have_a_core_each():
    for rows in (1, 3, 16):
        for threads in (2, 4, 8, 64):
            found = divided(LSTM[1024], rows, threads)
            assert found.lanes <= cores()
            assert found.threads // found.lanes <= rows


def test_the_selected_division_is_estimated_to_be_the_fastest():
    for step in LSTM.values():
        for rows in (1, 2, 7, 32):
            chosen = divided(step, rows, 2)
            if chosen.threads > 1:
                others = [Division(min(2, rows), 1)]
                assert all(seconds(step, rows, chosen) <= seconds(step, rows, one)
                           for one in others)  # fmt: skip


def test_more_cores_never_take_longer_by_the_model():
    for step in LSTM.values():
        for rows in (1, 3, 16, 64):
            taken = [seconds(step, rows, fastest(step, rows, n, n)) for n in (2, 8, 16, 64)]
            assert taken == sorted(taken, reverse=True)
            assert taken[0] <= seconds(step, rows, Division(1, 1))


@pytest.mark.parametrize("kind", first(1, [rnn.RNN, rnn.LSTM, rnn.GRU]))
def test_layers_run_in_a_kernel_and_say_in_how_many_threads(kind):
    before = engine.get_num_threads()
    try:
        engine.set_num_threads(1)
        told = engine.explain_scan(kind(3, 5), engine.ones((4, 2, 3)))
        assert "c: runs it" in told.splitlines()[0]
        assert "forward (c, 1 thread)" in told
        engine.set_num_threads(2)
        told = engine.explain_scan(kind(8, 256), engine.ones((4, 16, 8)))
        assert "2 threads, each with rows of its own" in told
        if cores() > 1:
            told = engine.explain_scan(kind(8, 1024), engine.ones((4, 1, 8)))
            assert "2 threads that share the units of the same rows" in told
    finally:
        engine.set_num_threads(before)
