"""Run one step at a time without gradients: the numbers of the whole sequence, by a shorter way."""

import gc
import threading
from contextlib import nullcontext
from itertools import pairwise
from weakref import ref

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c.single import Single
from tests.draws import covering, first
from tests.engine.scan.test_fused import CELLS

BUILT_IN = [name for name in dir(rnn) if name.endswith("Cell") and name != "Cell"]
OWN_OUTPUT = {"JordanCell", "ElmanJordanCell", "TextbookCell"}  # which is fed back
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


@pytest.fixture
def counted(monkeypatch):
    """Count the steps that go the short way."""
    calls = []
    plain = Single.run

    def run(self, *arguments):
        calls.append(1)
        return plain(self, *arguments)

    monkeypatch.setattr(Single, "run", run)
    return calls


def cell_of(name, dtype):
    if name in CELLS:
        return CELLS[name](4, 6, dtype)
    return getattr(rnn, name)(4, 6, *([3] if name in OWN_OUTPUT else []), dtype=dtype)


def sequence(cell, steps=6, batch=2, dtype="float32"):
    shape = (steps, batch, cell.input_size)
    return engine.asarray(np.random.default_rng(0).normal(size=shape).astype(dtype))


# Cells that read the time, their output or inputs before; spikes, memories, cells of users.
UNLIKE = [
    "LTCCell", "JordanCell", "MLSTMCell", "QRNNCell", "ALIFCell", "LRUCell", "LMUCell",
    "SLSTMCell", "layernorm", "invented",
]  # fmt: skip
STREAMS = [
    *((name, "float64") for name in UNLIKE),
    *((name, "float64") for name in (*BUILT_IN, *CELLS) if name not in UNLIKE),
    *((name, "float32") for name in CELLS),
    *((name, "float32") for name in BUILT_IN),
]


@pytest.mark.parametrize(("name", "dtype"), first(len(UNLIKE), STREAMS))
def test_a_stream_is_the_whole_sequence(name, dtype, counted):
    engine.seed(3)
    cell = cell_of(name, dtype)
    layer = rnn.Recurrent(cell)
    x = sequence(cell, dtype=dtype)
    with engine.no_grad():
        whole, final = layer(x)
        state, other, found, by_cell = None, None, [], []
        for t in range(len(x)):
            y, state = layer(x[t : t + 1], state)
            found.append(y.numpy()[0])
            y, other = cell(x[t], other, **({"t": t} if cell.takes_time else {}))
            by_cell.append(y.numpy())
    finals = final if isinstance(final, tuple) else (final,)
    states = state if isinstance(state, tuple) else (state,)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    if not cell.takes_time:
        np.testing.assert_allclose(np.stack(found), whole.numpy(), **close)
        for one, last in zip(states, finals, strict=True):
            np.testing.assert_allclose(one.numpy(), last.numpy(), **close)
    np.testing.assert_allclose(np.stack(by_cell), whole.numpy(), **close)


def test_built_in_cells_go_the_short_way(counted):
    for cell in (rnn.LSTMCell(3, 5), rnn.GRUCell(3, 5), rnn.ElmanCell(3, 5)):
        x = sequence(cell, 1)
        with engine.no_grad():
            _, state = rnn.Recurrent(cell)(x)
            del counted[:]
            rnn.Recurrent(cell)(x, state)
            cell(x[0], state)
        assert len(counted) == 2


@pytest.mark.parametrize(("units", "batch"), covering([1, 3, 16, 17, 130], [1, 2, 8]))
def test_sizes_that_fill_no_vector(units, batch, counted):
    cell = rnn.LSTMCell(units + 1, units)
    x = sequence(cell, 1, batch)
    state = tuple(engine.asarray(np.full((batch, units), 0.3, "float32")) for _ in range(2))
    with engine.no_grad():
        y, new = cell(x[0], state)
    assert counted
    expected, plain = cell(x[0], state)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=2e-6, atol=2e-6)
    for one, other in zip(new, plain, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-6, atol=2e-6)


def test_a_weight_that_was_changed_in_any_way_counts():
    cell = rnn.GRUCell(3, 5)
    x = sequence(cell, 1)[0]
    h = engine.zeros((2, 5))

    def both():
        with engine.no_grad():
            streamed = cell(x, h)[0].numpy()
        np.testing.assert_allclose(streamed, cell(x, h)[0].numpy(), rtol=2e-6, atol=2e-6)
        return streamed

    seen = [both()]
    cell.weight_ih.data[...] += 1  # inside of the array
    seen.append(both())
    cell.weight_ih.data -= np.float32(0.5)
    seen.append(both())
    cell.weight_hh = engine.asarray(cell.weight_hh.numpy() * 2, requires_grad=True)
    h = engine.ones((2, 5))
    seen.append(both())
    cell.bias_ih.data = np.zeros(30, "float32")[::2]  # strided
    seen.append(both())
    for one, other in pairwise(seen):
        assert not np.allclose(one, other)


def test_results_share_no_memory_with_each_other_or_with_arguments():
    cell = rnn.LSTMCell(3, 5)
    x = sequence(cell, 1)
    state = (engine.zeros((2, 5)), engine.zeros((2, 5)))
    with engine.no_grad():
        for _ in range(2):
            y, new = rnn.Recurrent(cell)(x, state)
            arrays = [x.data, *(s.data for s in state), y.data, *(s.data for s in new)]
            for i, one in enumerate(arrays):
                assert not any(np.shares_memory(one, other) for other in arrays[:i])
            before = y.numpy().copy()
            new[0].data[...] = 9
            again, _ = rnn.Recurrent(cell)(x, state)
            np.testing.assert_array_equal(again.numpy(), before)


def test_with_gradients_a_step_is_on_the_graph(counted):
    cell = rnn.LSTMCell(3, 5)
    x = sequence(cell, 1)
    state = (engine.zeros((2, 5)), engine.zeros((2, 5)))
    y, _ = rnn.Recurrent(cell)(x, state)
    assert y.requires_grad
    assert cell(x[0], state)[0].requires_grad
    for p in cell.parameters():
        p.requires_grad = False
    assert not cell(x[0], state)[0].requires_grad
    assert len(counted) == 1
    held = engine.asarray(np.zeros((2, 5), "float32"), requires_grad=True)
    assert cell(x[0], (held, held))[0].requires_grad
    assert len(counted) == 1


@pytest.mark.parametrize("change", ["tracing", "explicit", "observed", "hooked", "interpreted"])
def test_what_looks_on_sees_a_step_as_ever(change, counted, monkeypatch):
    cell = rnn.ElmanCell(3, 5)
    layer, x, h = rnn.Recurrent(cell), sequence(cell, 1), engine.zeros((2, 5))
    with engine.no_grad():
        if change == "tracing":
            with engine.tracing():
                y, _ = layer(x, h)
            assert y.node.operands
        elif change == "explicit":
            with engine.explicit():
                layer(x, h)
        elif change == "observed":
            assert "h" in rnn.observe(layer, x, h)[2]
        elif change == "hooked":
            shapes = []
            cell.register_forward_hook(lambda module, inputs, y: shapes.append(y[0].shape))
            layer(x, h)
            assert shapes
        else:
            with engine.profile() as profile:
                layer(x, h)
            assert "scan" in str(profile)
    assert not counted


def test_the_other_executors_are_asked_where_they_are_named(counted, monkeypatch):
    cell = rnn.ElmanCell(3, 5)
    monkeypatch.setenv("BPTT_EXECUTORS", "plan")
    with engine.no_grad():
        rnn.Recurrent(cell)(sequence(cell, 1), engine.zeros((2, 5)))
    assert not counted


@pytest.mark.parametrize(
    ("x", "h"), [((1, 2, 4), (2, 5)), ((1, 2, 3), (1, 5)), ((1, 1, 3), (2, 5)), ((1, 2, 1), (2, 5))]
)
def test_wrong_shapes_are_refused_as_ever(x, h):
    cell = rnn.ElmanCell(3, 5)
    with engine.no_grad(), pytest.raises(ValueError, match="expect"):
        rnn.Recurrent(cell)(engine.ones(x), engine.ones(h))
    with engine.no_grad(), pytest.raises(ValueError, match="expect"):
        cell(engine.ones(x[1:]), engine.ones(h))


def test_many_rows_are_computed_with_packed_weights(counted):
    cell = rnn.ElmanCell(3, 5)
    with engine.no_grad():
        rnn.Recurrent(cell)(sequence(cell, 1, 9), engine.zeros((9, 5)))
    assert not counted


def test_random_numbers_are_drawn_again_at_each_step():
    class Noisy(rnn.Cell):
        pure = True

        def __init__(self):
            self.input_size, self.state_size = 3, {"h": 3}

        def step(self, x, h):
            h = engine.dropout(x + h, 0.5)
            return h, h

    cell = Noisy()
    x, h = engine.ones((1, 2, 3)), engine.zeros((2, 3))
    with engine.no_grad():
        found = {rnn.Recurrent(cell)(x, h)[0].numpy().tobytes() for _ in range(20)}
    assert len(found) > 5


def test_threads_have_arguments_of_their_own():
    cell = rnn.LSTMCell(4, 64)
    layer = rnn.Recurrent(cell)
    inputs = [engine.asarray(np.full((1, 1, 4), v, "float32")) for v in np.linspace(-2, 2, 6)]

    def chain(x):
        state = (engine.zeros((1, 64)), engine.zeros((1, 64)))
        with engine.no_grad():
            for _ in range(100):
                y, state = layer(x, state)
        return y.numpy()

    expected = [chain(x) for x in inputs]
    found = [None] * len(inputs)

    def run(i):
        found[i] = chain(inputs[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("steps", "grads"), covering([1, 4], [True, False]))
def test_nothing_that_is_remembered_keeps_a_cell_or_arrays_alive(steps, grads):
    cell = rnn.LSTMCell(3, 5)
    layer, x = rnn.Recurrent(cell), sequence(cell, steps)
    state = (engine.zeros((2, 5)), engine.zeros((2, 5)))
    gc.collect()
    gc.disable()
    try:
        with nullcontext() if grads else engine.no_grad():
            for _ in range(3):
                y, final = layer(x, state)
                cell(x[0], state)
        watched = [ref(one) for one in (cell, layer, x, *state, y, *final)]
        del layer, x, state, y, final
        assert [one() for one in watched[1:]] == [None] * (len(watched) - 1)
        del cell
        assert watched[0]() is None
    finally:
        gc.enable()
