"""Compare the fused executors with the explicit loop: outputs, final states and every gradient, on
built-in cells, on cells as users write them, and on random ones.
"""

import time
from collections import OrderedDict
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine
import rnn
from engine.scan import EXECUTORS, recorded
from engine.scan.c.core import CCore
from engine.scan.executors import Fused
from engine.scan.explicit import Explicit
from engine.scan.kernels.nest import Nest
from engine.scan.plan import PlanCore
from engine.scan.program import NotFusableError
from tests.draws import covering, crossed, first, normal, slow_beside

C, PLAN = Fused(CCore()), Fused(PlanCore())
CORES = {"c": C, "plan": PLAN}
TOLERANCE = {"float64": 1e-10, "float32": 2e-4}


@contextmanager
def only(executor):
    """Enable one executor alone, with the error as its only fallback."""
    before = list(EXECUTORS)
    EXECUTORS[:] = [executor]
    try:
        yield
    finally:
        EXECUTORS[:] = before


@pytest.fixture(params=CORES)
def core(request):
    """Yield each fused executor alone."""
    with only(CORES[request.param]):
        yield request.param


class Peephole(rnn.Cell):
    """Connect the gates of an LSTM to the cell, diagonally."""

    def __init__(self, I, H, dtype="float64"):
        self.input_size, self.state_size = I, {"h": H, "c": H}
        self.W = rnn.parameter((4 * H, I), 0.5, dtype=dtype)
        self.U = rnn.parameter((4 * H, H), 0.5, dtype=dtype)
        self.p = rnn.parameter((3, H), 0.5, dtype=dtype)

    def step(self, x, state):
        h, c = state
        a = engine.linear(x, self.W) + engine.linear(h, self.U)
        a_i, a_f, a_g, a_o = engine.split(a, 4, axis=-1)
        i = engine.sigmoid(a_i + self.p[0] * c)
        f = engine.sigmoid(a_f + self.p[1] * c)
        c = f * c + i * engine.tanh(a_g)
        o = engine.sigmoid(a_o + self.p[2] * c)
        h = o * engine.tanh(c)
        return h, (h, c)


def normalised(a, gain):
    """Normalise over the last axis."""
    d = a - engine.mean(a, axis=-1, keepdims=True)
    return gain * d / engine.sqrt(engine.mean(d * d, axis=-1, keepdims=True) + 1e-3)


class LayerNorm(rnn.Cell):
    """Normalise inside of the step of a tanh network."""

    def __init__(self, I, H, dtype="float64"):
        self.input_size, self.state_size = I, {"h": H}
        self.W = rnn.parameter((H, I), 0.5, dtype=dtype)
        self.U = rnn.parameter((H, H), 0.5, dtype=dtype)
        self.gain = rnn.parameter((H,), 1.0, dtype=dtype)

    def step(self, x, h):
        h = engine.tanh(normalised(engine.linear(x, self.W) + engine.linear(h, self.U), self.gain))
        return h, h


class ResetBefore(rnn.Cell):
    """Reset a GRU before the product: two recurrent levels."""

    def __init__(self, I, H, dtype="float64"):
        self.input_size, self.state_size = I, {"h": H}
        self.W, self.V = (rnn.parameter((n * H, I), 0.5, dtype=dtype) for n in (2, 1))
        self.U, self.R = (rnn.parameter((n * H, H), 0.5, dtype=dtype) for n in (2, 1))

    def step(self, x, h):
        a = engine.sigmoid(engine.linear(x, self.W) + engine.linear(h, self.U))
        r, z = engine.split(a, 2, axis=-1)
        n = engine.tanh(engine.linear(x, self.V) + engine.linear(r * h, self.R))
        h = (1 - z) * n + z * h
        return h, h


class Invented(rnn.Cell):
    """Mix states of different sizes, an output that is no state, a relu, a where, a projection."""

    def __init__(self, I, H, dtype="float64"):
        P = H + 3
        self.input_size, self.state_size = I, {"h": H, "m": P}
        self.A = rnn.parameter((P, H), 0.4, dtype=dtype)
        self.B = rnn.parameter((P, I), 0.4, dtype=dtype)
        self.D = rnn.parameter((H, P), 0.4, dtype=dtype)
        self.E = rnn.parameter((2, H), 0.4, dtype=dtype)
        self.b = rnn.parameter((P,), 0.4, dtype=dtype)

    def step(self, x, state):
        h, m = state
        u = engine.linear(h, self.A) + engine.linear(x, self.B, self.b)
        m = 0.5 * m + engine.where(u > 0, engine.relu(u), 0.1 * u) * engine.exp(-abs(m))
        h = engine.maximum(engine.linear(m, self.D), -0.9) / (1.0 + h * h)
        y = engine.linear(h * engine.sigmoid(h), self.E)
        return y, (h, m)


SIZES = [(1, 1, 1, 1), (1, 2, 3, 4), (5, 1, 2, 33), (3, 7, 1, 16), (2, 17, 5, 31)]

CELLS = {
    "elman": lambda I, H, dtype: rnn.ElmanCell(I, H, dtype=dtype),
    "relu": lambda I, H, dtype: rnn.ElmanCell(I, H, nonlinearity="relu", bias=False, dtype=dtype),
    "lstm": lambda I, H, dtype: rnn.LSTMCell(I, H, dtype=dtype),
    "gru": lambda I, H, dtype: rnn.GRUCell(I, H, dtype=dtype),
    "peephole": Peephole,
    "layernorm": LayerNorm,
    "reset before": ResetBefore,
    "invented": Invented,
}


def results(cell, x, states, *, explicit, lengths=None, reverse=False):
    """Return outputs, final states and every gradient."""
    layer = rnn.Recurrent(cell, reverse=reverse)
    x = engine.asarray(x, requires_grad=True)
    given = [engine.asarray(s, requires_grad=True) for s in states]
    y, final = layer(x, tuple(given) if len(given) > 1 else given[0], lengths, unroll=explicit)
    finals = final if isinstance(final, tuple) else (final,)
    total = (y * normal(*y.shape, salt=5).astype(x.dtype)).sum()
    for number, one in enumerate(finals):
        total = total + (one * normal(*one.shape, salt=6 + number).astype(x.dtype)).sum()
    inputs = [x, *given, *cell.parameters()]
    grads = engine.gradients(total, inputs)
    return [y.numpy(), *(one.numpy() for one in finals), *(g.numpy() for g in grads)]


def agree(cell, shape, *, dtype="float64", **options):
    T, B = shape
    x = normal(T, B, cell.input_size).astype(dtype)
    states = [normal(B, n, salt=3).astype(dtype) * 0.5 for n in cell.state_size.values()]
    fused = results(cell, x, states, explicit=False, **options)
    with only(Explicit()):
        loop = results(cell, x, states, explicit=True, **options)
    for one, other in zip(fused, loop, strict=True):
        assert one.dtype == other.dtype
        scale = max(1.0, float(np.abs(other).max(initial=0.0)))
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize(("name", "dtype"), first(4, crossed([*CELLS][::-1], TOLERANCE)))
def test_every_cell_agrees_with_its_loop(name, dtype, core):
    engine.seed(1)
    agree(CELLS[name](3, 5, dtype), (6, 4), dtype=dtype)


@pytest.mark.parametrize(("name", "sizes"), first(5, crossed(CELLS, SIZES)), ids=str)
def test_sizes_that_fill_no_vector(name, sizes, core):
    T, B, I, H = sizes
    engine.seed(2)
    agree(CELLS[name](I, H, "float32"), (T, B), dtype="float32")


@pytest.mark.parametrize(("name", "reverse"), first(2, crossed([*CELLS][::-1], [False, True])))
def test_ragged_rows(name, reverse, core):
    engine.seed(3)
    agree(CELLS[name](3, 5, "float64"), (6, 5), lengths=[6, 0, 3, 1, 5], reverse=reverse)


@pytest.mark.parametrize("name", first(2, [*CELLS][::-1]))
def test_nan_in_padding_changes_nothing(name, core):
    engine.seed(3)
    cell, lengths = CELLS[name](3, 5, "float64"), [4, 0, 2]
    x = normal(4, 3, 3)
    dirty = x.copy()
    for row, length in enumerate(lengths):
        dirty[length:, row] = np.nan
    states = [normal(3, n) for n in cell.state_size.values()]
    clean = results(cell, x, states, explicit=False, lengths=lengths)
    padded = results(cell, dirty, states, explicit=False, lengths=lengths)
    for one, other in zip(clean, padded, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["lstm", "reset before", "layernorm"])
def test_threads_change_no_bit(name):
    engine.seed(4)
    cell = CELLS[name](16, 48, "float32")
    x = normal(9, 13, 16).astype("float32")
    states = [normal(13, n).astype("float32") for n in cell.state_size.values()]
    before = engine.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 4):
            engine.set_num_threads(threads)
            found.append(results(cell, x, states, explicit=False))
    finally:
        engine.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_number_of_threads_is_a_positive_integer():
    for wrong in (0, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match="positive integer"):
            engine.set_num_threads(wrong)


@slow_beside(
    "engine/scan/test_derivatives_of_scans.py::test_second_and_third_order_are_those_of_the_loop"
)
@pytest.mark.parametrize("name", ["elman", "lstm", "peephole"])
def test_second_order_through_a_fused_layer(name, core):
    engine.seed(5)
    cell = CELLS[name](2, 3, "float64")
    layer = rnn.Recurrent(cell)
    x, h = normal(3, 2, 2), [normal(2, n) for n in cell.state_size.values()]

    def run(x, *states):
        return layer(x, states if len(states) > 1 else states[0])[0]

    assert engine.gradcheck(run, [x, *h], order=2)


def random_step(rng, width, weights, bias):
    """Return a step made of random element-wise ops with one to three products."""
    unary = [engine.tanh, engine.sigmoid, lambda v: v * v * 0.1, lambda v: engine.relu(v) * 0.5]
    binary = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - 0.5 * b, engine.maximum]
    plan = [(int(rng.integers(3)), int(rng.integers(4)), rng.integers(0, 99, 2)) for _ in range(7)]
    products = sorted(rng.choice(7, len(weights), replace=False))

    def step(h, x):
        values = [h, x]
        for number, (kind, which, picks) in enumerate(plan):
            a, b = (values[int(pick) % len(values)] for pick in picks)
            if number in products:
                a = engine.linear(values[-1], weights[products.index(number)], bias)
                values.append(unary[which % 2](a))
            elif kind == 0:
                values.append(unary[which](a))
            else:
                values.append(binary[which](a, b))
        new = engine.tanh(values[-1] + values[-2])
        return new, values[-1] * 0.5 + h

    return step


@slow_beside("engine/scan/test_random_steps.py::test_random_steps_with_a_compiler")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    seed=st.integers(0, 10**6), T=st.integers(1, 6), B=st.integers(1, 9), H=st.integers(1, 19),
    products=st.integers(1, 3), dtype=st.sampled_from(["float64", "float32"]), ragged=st.booleans(),
)  # fmt: skip
def test_cells_made_up_at_random(seed, T, B, H, products, dtype, ragged):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(H, H)).astype(dtype) / float(H) ** 0.5 for _ in range(products)]
    b, x, h = (rng.normal(size=s).astype(dtype) for s in ((H,), (T, B, H), (B, H)))
    lengths = rng.integers(0, T + 1, B) if ragged else None

    def run():
        weights = [engine.asarray(a, requires_grad=True) for a in arrays]
        bias, xs, init = (engine.asarray(a, requires_grad=True) for a in (b, x, h))
        step = random_step(np.random.default_rng(seed + 1), H, weights, bias)
        final, ys = engine.scan(step, init, xs, lengths=lengths)
        total = engine.sum(ys * 0.7) + engine.sum(final * final)
        inputs = [*weights, bias, xs, init]
        grads = engine.gradients(total, inputs)
        return [final.numpy(), ys.numpy(), *(g.numpy() for g in grads if g is not None)]

    with only(Explicit()):
        loop = run()
    for executor in CORES.values():
        with only(executor):
            found = run()
        for one, other in zip(found, loop, strict=True):
            scale = max(1.0, float(np.abs(other).max(initial=0.0)))
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale)


def test_a_wrong_kernel_is_caught(monkeypatch):
    right = Nest._term

    def wrong(self, term):
        found = right(self, term)
        op = self.arrays.values[term.p].op
        if op is not None and op.name == "sigmoid" and self.lines:
            self.lines[-1] = self.lines[-1].replace(";", " * (real)1.001;")
        return found

    monkeypatch.setattr(Nest, "_term", wrong)
    monkeypatch.setattr(recorded, "_programs", OrderedDict())  # or a kernel from before is found
    engine.seed(1)
    with only(Fused(CCore())), pytest.raises(AssertionError):
        agree(CELLS["lstm"](3, 5, "float64"), (6, 4))


def test_what_kernels_cannot_say_falls_through_and_is_explained():
    def step(h, x):
        h = engine.cumsum(h + x, axis=-1)
        return h, h

    told = engine.explain_scan(step, engine.zeros((2, 3)), engine.ones((4, 2, 3)))
    assert "c: cumulative_sum (h) in the step has no expression in C" in told
    assert "plan: runs it" in told


def test_time_and_memory_are_linear():
    engine.seed(0)
    layer = rnn.LSTM(4, 4)
    seconds, held = [], []
    for steps in (10_000, 100_000):
        x = engine.asarray(np.zeros((steps, 1, 4), "float32"), requires_grad=True)
        taken = []
        for _ in range(3):
            began = time.process_time()
            y, _state = layer(x)
            engine.sum(y).backward()
            taken.append(time.process_time() - began)
        seconds.append(min(taken))
        held.append(sum(array.nbytes for array in y.node.inputs[0].data.saved.values()))
    assert held[1] == pytest.approx(10 * held[0], rel=0.01)
    assert seconds[1] < 30 * seconds[0]


def test_a_carried_state_does_not_hold_the_history():
    _, (h, c) = rnn.LSTM(4, 4)(engine.ones((50, 2, 4)))
    for state in (h, c):
        whole = state.data if state.data.base is None else state.data.base
        assert whole.nbytes == 2 * 4 * 4


@pytest.mark.parametrize(
    ("checkpoint", "reverse", "lengths"),
    covering([True, 1, 3, 100], [False, True], [None, [7, 0, 4, 2]]),
)
def test_checkpoints_change_no_number(checkpoint, reverse, lengths, core):
    engine.seed(7)
    cell = rnn.LSTMCell(3, 5, dtype="float64")
    arrays = [normal(7, 4, 3), normal(4, 5), normal(4, 5, salt=1)]

    def run(**options):
        x, h, c = (engine.asarray(a, requires_grad=True) for a in arrays)
        step = rnn.Recurrent(cell).step()
        (h1, c1), y = engine.scan(step, (h, c), x, lengths=lengths, reverse=reverse, **options)
        total = engine.sum(y * y) + engine.sum(h1 * 0.3) + engine.sum(c1 * c1)
        grads = engine.gradients(total, [x, h, c, *cell.parameters()])
        return [y.numpy(), h1.numpy(), *(g.numpy() for g in grads)]

    for one, other in zip(run(checkpoint=checkpoint), run(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


def test_checkpoints_keep_memory_at_the_square_root():
    engine.seed(7)
    layer = rnn.Recurrent(rnn.LSTMCell(8, 8))

    def saved(steps, checkpoint):
        x = engine.ones((steps, 4, 8), requires_grad=True)
        state = layer.cell.zero_state(4, like=x)
        _, y = engine.scan(layer.step(), state, x, checkpoint=checkpoint)
        multi_output = y.node.inputs[0].data
        saved = multi_output.saved
        kept = saved.values() if isinstance(saved, dict) else [x for part in saved for x in part]
        return sum(array.nbytes for array in kept)

    assert saved(1600, False) / saved(100, False) == pytest.approx(16, rel=0.05)
    assert saved(1600, True) / saved(100, True) == pytest.approx(4, rel=0.05)
    assert saved(1600, True) < saved(1600, False) / 50


@pytest.mark.parametrize("wrong", [-1, 2.5, "yes", "12 parsecs", "0MB", ""])
def test_a_checkpoint_is_true_a_number_of_steps_or_of_bytes(wrong):
    with pytest.raises(ValueError, match="True, a positive number of steps or of bytes"):
        engine.scan(lambda h, x: (h + x, h), engine.zeros((1, 1)), engine.ones((3, 1, 1)),
                    checkpoint=wrong)  # fmt: skip


READS = {
    "bool": lambda h: h * 2 if engine.sum(h) > 0 else h - x_of(h),
    "item": lambda h: h * engine.max(h).item(),
    "float": lambda h: h + float(engine.sum(h)),
    "numpy": lambda h: h + h.numpy().mean(),
    "nonzero": lambda h: h + engine.nonzero(h > 0)[0].size,
}


def x_of(h):
    return 0.5 * h + 0.1


@pytest.mark.parametrize("read", READS)
def test_a_step_that_reads_values_is_run_step_by_step(read):
    def step(h, x):
        h = READS[read](engine.tanh(h + x))
        return h, h

    x, h0 = normal(5, 2, 3), normal(2, 3, salt=1)
    assert "the step" in engine.explain_scan(step, h0, x).splitlines()[0]
    final, _ = engine.scan(step, h0, x)
    h = engine.asarray(h0)
    for t in range(5):
        h, _ = step(h, x[t])
    np.testing.assert_array_equal(final.numpy(), h.numpy())


def test_a_step_may_read_what_it_does_not_compute():
    scale = engine.asarray(0.5)

    def step(h, x):
        h = h * scale.item() + x
        return h, h

    assert engine.explain_scan(step, normal(2, 3), normal(4, 2, 3)).startswith("c: runs it")


def test_one_column_stands_for_all_columns():
    # A slice of width 1 that is broadcast is read where it is, not where the loop is.
    W = normal(6, 6, salt=3)

    def step(h, x):
        a = engine.tanh(engine.linear(h, W) + x)
        g = engine.sigmoid(a[:, 2:3] + x[:, 1:2])
        h = a * g + (1 - g) * h - a[:, :1] * 0.5
        return h, h

    x, h0 = normal(5, 3, 6), normal(3, 6, salt=1)
    assert engine.explain_scan(step, h0, x).startswith("c: runs it")
    found = []
    for unroll in (False, True):
        leaves = [engine.asarray(one, requires_grad=True) for one in (h0, x)]
        y = engine.scan(step, *leaves, unroll=unroll)[1]
        found.append([y, *engine.gradients(engine.sum(y * y), leaves)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("H", first(1, [19, 4]))
def test_joined_inputs_and_overlapping_slices(H):
    # The textbooks' W [h, x], and slices with gradients that lie over each other.
    W = normal(H, H + 3, salt=3)

    def step(h, x):
        a = engine.tanh(engine.linear(engine.concat([h, x], axis=-1), W))
        h = engine.concat([a[:, :-1] * a[:, 1:], a[:, 2:3] + h[:, :1]], axis=-1)
        return h, a

    x, h0 = normal(5, 2, 3), normal(2, H, salt=1)
    assert engine.explain_scan(step, h0, x).startswith("c: runs it")
    found = []
    for unroll in (False, True):
        leaves = [engine.asarray(one, requires_grad=True) for one in (h0, x)]
        final, y = engine.scan(step, *leaves, unroll=unroll)
        found.append([y, *engine.gradients([engine.sum(y * y), final], leaves, [1.0, h0])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


def test_a_weight_that_feeds_the_inputs_too_counts_once_in_each_place():
    def f(w, *, unroll):
        def step(h, x):
            h = engine.tanh(engine.linear(h, w) + x)
            return h, h

        xs = engine.stack([w[1:], w[:2]])
        return engine.sum(engine.scan(step, w[:2] * 0.5, xs, unroll=unroll)[1] ** 2)

    found = []
    for unroll in (False, True):
        w = engine.asarray(normal(3, 3), requires_grad=True)
        g = engine.gradients(f(w, unroll=unroll), [w], create_graph=True)[0]
        found.append([g.numpy(), engine.gradients(engine.sum(g * g), [w])[0].numpy()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


@pytest.mark.parametrize("kind", ["multiply", "divide", "where", "where not"])
def test_what_is_fixed_in_a_weight_stays_out_of_the_sum_over_time(kind):
    # Masks and scales of weights, as weight dropout has them: one op on the summed gradient.
    mask = normal(4, 4, salt=9) > 0
    made = {
        "multiply": lambda w: w * mask.astype("float64"),
        "divide": lambda w: w / (2.0 + mask),
        "where": lambda w: engine.where(mask, w, 0.0),
        "where not": lambda w: engine.where(mask, 0.0, w),
    }[kind]
    found = []
    for unroll in (False, True):
        w = engine.asarray(normal(4, 4), requires_grad=True)
        scale = engine.asarray(0.3, dtype="float64", requires_grad=True)

        def step(h, x, w=w, scale=scale):
            h = engine.tanh(engine.linear(h, made(w) * scale) + x)
            return h, h

        y = engine.scan(step, normal(2, 4, salt=1), normal(5, 2, 4), unroll=unroll)[1]
        found.append(engine.gradients(engine.sum(y * y), [w, scale]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("product", [False, True])
def test_invariants_that_are_made_of_each_other(core, product):
    # What one is to the other is outside of the steps: its derivative counts once.
    v, w = (engine.asarray(normal(*shape), requires_grad=True) for shape in ((3, 4), (4, 4)))

    def loss():
        u = v * 2.0
        k = engine.linear(u, w) if product else u * w[:3]

        def step(h, x):
            h = engine.tanh(h * k + x * u)
            return h, h

        return engine.sum(engine.scan(step, engine.zeros((3, 4), dtype="float64"), xs)[1])

    xs = engine.asarray(normal(5, 3, 4))
    for _ in range(2):  # the second call finds the compiled body
        fused = engine.gradients(loss(), [v, w])
        with only(Explicit()):
            explicit = engine.gradients(loss(), [v, w])
        for ours, theirs in zip(fused, explicit, strict=True):
            assert np.allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


class Refusing(PlanCore):
    """Run a step, and decline its derivative when it sees it."""

    name = "refusing"

    def prepare(self, program):
        if any(name == "dy" for name, _ in program.per_step):
            raise NotFusableError("refused")


def test_a_refused_executor_leaves_nothing_behind():
    # The constants of a derivative that one core refuses are not those of the next.
    w = engine.asarray(normal(4, 4), requires_grad=True)
    xs = engine.asarray(normal(5, 3, 4))

    def loss():
        def step(h, x):
            a = engine.linear(h, w)
            h = engine.tanh(a * engine.prod(h, axis=-1, keepdims=True) + x)  # its vjp makes ones
            return h, h

        return engine.sum(engine.scan(step, engine.ones((3, 4), dtype="float64"), xs)[1] ** 2)

    with only(Explicit()):
        explicit = engine.gradients(loss(), [w])[0].numpy()
    with only(Fused(Refusing(), PlanCore())):
        for _ in range(2):  # the second call finds what the first has compiled
            found = engine.gradients(loss(), [w])[0].numpy()
            assert np.allclose(found, explicit, rtol=1e-10)
