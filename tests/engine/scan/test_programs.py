"""Analyse a body as data: hoisted, core and deferred ops, levels, stored values."""

import pytest

import engine
import rnn
from engine.backends.abstract import AbstractArray
from tests.engine.scan.recorded_programs import job_of, of_cell
from tests.engine.scan.test_fused import CELLS


def programs(name):
    return of_cell(CELLS[name](3, 5, "float64"))


def ops(program, positions):
    return sorted(program.values[p].op.name for p in positions)


def levels(program):
    return max(program.level[p] for p in program.core)


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [("elman", 1, 1), ("lstm", 1, 1), ("gru", 1, 1), ("reset before", 2, 2), ("layernorm", 3, 3)],
)
def test_levels_are_products_and_row_sums_in_a_row(name, forward, backward):
    found = programs(name)
    assert levels(found.forward) == forward
    assert levels(found.program) == backward


def test_the_product_of_the_input_is_hoisted_and_that_of_the_state_is_not():
    forward = programs("lstm").forward
    assert ops(forward, forward.hoisted) == ["linear"]
    assert ops(forward, forward.core).count("linear") == 1
    assert not forward.deferred


def test_an_output_that_is_no_state_is_deferred():
    forward = programs("invented").forward
    assert ops(forward, forward.deferred) == ["linear", "multiply", "sigmoid"]


def test_gradients_of_weights_and_inputs_are_deferred():
    backward = programs("lstm").program
    assert ops(backward, backward.deferred).count("matmul") == 3  # dx, dW, dU
    assert ops(backward, backward.deferred).count("sum") == 2  # two biases
    assert ops(backward, backward.core).count("matmul") == 1
    (stored,) = backward.stored
    assert backward.values[stored].op.name == "place"  # the gradient of all gates


def test_what_is_saved_is_what_the_derivative_reads():
    found = programs("lstm")
    results = len(found.forward.steps) - len(found.kept)
    assert results == 3  # y, and the states before every step, which higher derivatives ask for
    saved = {found.forward.values[p].label for p in found.forward.steps[results:]}
    assert {"i", "f", "g", "o"} <= saved
    names = [name for name, _ in found.kept]
    assert names.count("saved") == 5  # four gates and tanh c
    assert names.count("state") == 2


def test_without_a_backward_nothing_is_saved():
    cell = rnn.LSTMCell(3, 5)
    step, xs = rnn.Recurrent(cell).step(), engine.ones((4, 2, 3))
    state = cell.zero_state(2, like=cell.weight_ih)
    assert job_of(step, state, xs).first().stored
    with engine.no_grad():
        inference = job_of(step, state, xs).first()
    assert len(inference.steps) == 1
    assert inference.stored == ()


def test_a_derivative_that_reads_states_alone_saves_nothing_else():
    found = of_cell(CELLS["lstm"](3, 5, "float64"), saved=False)
    assert {name for name, _ in found.kept} == {"state"}
    assert {name for name, _ in found.program.per_step} == {"state", "x", "dy"}


def test_recording_computes_no_number():
    calls = []

    def step(h, x):
        h = engine.tanh(h @ weight + x)
        calls.append(h.data)
        return h, h

    weight = engine.ones((5, 5), requires_grad=True)
    engine.scan(step, engine.zeros((2, 5)), engine.ones((4, 2, 5)))
    for data in calls:  # arrays without memory
        assert isinstance(data, AbstractArray)
        assert data.shape == (2, 5)


def test_a_step_is_recorded_once_however_many_executors_look_at_it():
    calls = []

    def step(h, x):
        calls.append(1)
        h = engine.cumsum(h, axis=-1) + x  # which kernels lack
        return h, h

    _, y = engine.scan(step, engine.zeros((2, 5)), engine.ones((4, 2, 5), requires_grad=True))
    engine.sum(y).backward()
    assert calls == [1, 1]  # the second time to see whether it is the same


def test_explain_scan_lists_both_programs():
    cell = rnn.LSTMCell(3, 5)
    layer = rnn.Recurrent(cell)
    state = cell.zero_state(2, like=cell.weight_ih)
    told = engine.explain_scan(layer.step(), state, engine.ones((4, 2, 3)))
    executor = next(line for line in told.splitlines() if line.endswith(": runs it"))
    assert executor in ("c: runs it", "plan: runs it")
    core = executor.split(":")[0]
    core = {"c": "c, 1 thread"}.get(core, core)
    assert f"forward ({core}): 1 hoisted, 15 core in 2 levels, 0 deferred, 5 stored" in told
    assert f"backward ({core}): 10 hoisted, 15 core in 2 levels, 7 deferred, 1 stored" in told
    assert "[deferred]" in told
    assert "core, level 1, stored" in told


def test_a_recurrence_in_a_step_is_recorded_step_by_step():
    def inner(h, x):
        return h * 0.5 + x, h

    def outer(h, x):
        final, _ = engine.scan(inner, h, x)
        return final, final

    xs = engine.ones((3, 4, 2, 5), requires_grad=True)
    final, _ = engine.scan(outer, engine.zeros((2, 5)), xs)
    with engine.explicit():
        other, _ = engine.scan(outer, engine.zeros((2, 5)), xs)
    assert (final.numpy() == other.numpy()).all()
    assert engine.gradients(engine.sum(final), [xs])[0].shape == xs.shape
