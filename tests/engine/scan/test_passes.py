"""Compare a pass in one call of C with its parts, bit for bit: any layout, many threads."""

import threading

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c.passes import Pass
from tests.draws import covering

T, B, I, H = 7, 3, 4, 6
CELLS = {"rnn": rnn.ElmanCell, "gru": rnn.GRUCell, "lstm": rnn.LSTMCell}
plain_run = Pass.run


class TwoLevels(rnn.Cell):
    """Chain products in two levels: weights of both orders, two of x before, one of h after."""

    pure = True

    def __init__(self, dtype):
        self.input_size, self.state_size = I, {"h": H}
        shapes = {"w": (I, H), "k": (H, I), "u": (H, H), "v": (H, H)}
        for name, shape in shapes.items():
            setattr(self, name, rnn.modules.module.parameter(shape, 0.5, dtype=dtype))

    def step(self, x, h):
        a = engine.tanh(x @ self.w + h @ self.u)
        gate = engine.sigmoid(a @ engine.matrix_transpose(self.v) + x @ self.k.T)
        h = h + gate * a
        return h @ self.v, h


def layer_of(name, dtype, **options):
    engine.seed(0)
    cell = TwoLevels(dtype) if name == "two levels" else CELLS[name](I, H, dtype=dtype)
    return rnn.Recurrent(cell, **options)


def normal(*shape, dtype="float32"):
    return np.random.default_rng([1, *shape]).normal(size=shape).astype(dtype)


def results(layer, x, seed):
    """Return outputs, final states, and the gradients of all leaves."""
    dtype = x.dtype.name
    x = engine.asarray(x, requires_grad=True)
    states = tuple(engine.asarray(normal(B, H, dtype=dtype), requires_grad=True)
                   for _ in layer.cell.state_size)  # fmt: skip
    y, final = layer(x, states if len(states) > 1 else states[0])
    found = engine.gradients(y, [x, *states, *layer.parameters()], seed)
    finals = final if isinstance(final, tuple) else (final,)
    return [one.numpy() for one in (y, *finals, *found)]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


@pytest.fixture
def taken(monkeypatch):
    """Count the passes by whether they were one call of C."""
    counts = {True: 0, False: 0}

    def run(self, *arguments):
        found = plain_run(self, *arguments)
        counts[found is not None] += 1
        return found

    monkeypatch.setattr(Pass, "run", run)
    return counts


@pytest.fixture
def by_parts(monkeypatch):
    """Compute results without a pass in one call."""

    def compute(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(Pass, "run", lambda self, *arguments: None)
            return results(*arguments)

    return compute


@pytest.mark.parametrize(
    ("name", "dtype", "reverse", "threads"),
    covering([*CELLS, "two levels"], ["float32", "float64"], [False, True], [1, 2]),
)
def test_one_call_has_the_bits_of_its_parts(name, dtype, reverse, threads, taken, by_parts):
    before = engine.get_num_threads()
    engine.set_num_threads(threads)
    try:
        layer = layer_of(name, dtype, reverse=reverse)
        x, seed = normal(T, B, I, dtype=dtype), engine.asarray(normal(T, B, H, dtype=dtype))
        found = results(layer, x, seed)
        assert taken[True] >= 2
        assert not taken[False]
        assert_same(found, by_parts(layer, x, seed))
        longer = normal(T + 4, B, I, dtype=dtype)  # the same kernels, another table
        seed = engine.asarray(normal(T + 4, B, H, dtype=dtype))
        assert_same(results(layer, longer, seed), by_parts(layer, longer, seed))
        assert_same(results(layer, x, seed[:T]), by_parts(layer, x, seed[:T]))
    finally:
        engine.set_num_threads(before)


def turned(array):
    """Return the same numbers with the axes in memory in reverse order."""
    return np.asfortranarray(array)


def locked(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def askew(array):
    """Return the same numbers at an address that is no multiple of their size."""
    memory = np.empty(array.nbytes + 1, "uint8")[1:].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


@pytest.mark.parametrize("laid", [turned, locked, askew])
@pytest.mark.parametrize("name", [*CELLS, "two levels"])
def test_arrays_may_lie_in_any_way(name, laid, taken):
    layer = layer_of(name, "float32")
    x, seed = normal(T, B, I), normal(T, B, H)
    expected = results(layer, x, engine.asarray(seed))
    for one in layer.parameters():
        one.data = laid(one.data)
    assert_same(results(layer, laid(x), engine.asarray(laid(seed))), expected)
    assert not taken[False]


def test_a_gradient_that_repeats_one_number_is_spread(taken, by_parts):
    layer, seed = layer_of("lstm", "float32"), np.broadcast_to(np.float32(0.5), (T, B, H))
    x = normal(T, B, I)
    found = results(layer, x, engine.asarray(seed))
    assert_same(found, results(layer, x, engine.asarray(seed.copy())))
    assert_same(found, by_parts(layer, x, engine.asarray(seed)))


def test_weights_that_are_given_another_array_are_read_there():
    layer, x, seed = layer_of("gru", "float32"), normal(T, B, I), engine.asarray(normal(T, B, H))
    first = results(layer, x, seed)
    for one in layer.parameters():
        one.data = one.data * 2
    second = results(layer, x, seed)
    assert not np.array_equal(first[0], second[0])
    other = layer_of("gru", "float32")
    for one in other.parameters():
        one.data = one.data * 2
    assert_same(second, results(other, x, seed))


def test_threads_have_arrays_of_their_own():
    layer = layer_of("lstm", "float32")
    xs = [normal(T, B, I) * (k + 1) for k in range(4)]
    seed = engine.asarray(normal(T, B, H))
    expected = [results(layer, x, seed) for x in xs]
    found = [[] for _ in xs]

    def work(k):
        found[k] += [results(layer, xs[k], seed) for _ in range(30)]

    workers = [threading.Thread(target=work, args=(k,)) for k in range(len(xs))]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    for own, many in zip(expected, found, strict=True):
        assert len(many) == 30
        for one in many:
            assert_same(one, own)


def test_a_wrong_table_is_found(monkeypatch, by_parts):
    # The comparison sees that states are read one step too early.
    layer = layer_of("two levels", "float32")
    results(layer, normal(T, B, I), engine.asarray(normal(T, B, H)))  # the kernels are trusted
    plain, changed = Pass._number, []

    def wrong(self, p, places, *, reverse):
        changed.append(self)
        return plain(self, p, places, reverse=not reverse)

    x, seed = normal(T + 6, B, I), engine.asarray(normal(T + 6, B, H))
    monkeypatch.setattr(Pass, "_number", wrong)
    try:
        found = results(layer, x, seed)
        with pytest.raises(AssertionError):
            assert_same(found, by_parts(layer, x, seed))
    finally:
        for one in changed:  # programs outlive the test
            one.plans.clear()
