"""Repeat recurrences that once went wrong, against values by hand, NumPy, or a loop of ops.

The sections are kinds of faults, and are numbered.
"""

import os
import signal
import warnings
from copy import copy, deepcopy

import numpy as np
import pytest

import engine as e
import rnn
from engine.errors import NotRecordableError
from tests.draws import covering, normal, normal_leaf
from tests.engine.scan.step_checks import executor_of
from tests.forks import Forks

T, B, H = 4, 3, 2


@pytest.fixture(autouse=True)
def _no_warnings_of_falls():
    """Silence the warning of a fallback to the loop, which other tests check."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def loop(step, state, xs, lengths=None, reverse=False):
    """Return the final state and outputs of a loop of plain ops, without rows past their end."""
    steps = len(leaves(xs)[0])
    ys = [None] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        new, y = step(state, tree_map(lambda a, t=t: a[t], xs))
        if lengths is not None:
            there = np.asarray(lengths).astype("int64") > t
            new = tree_map(lambda n, o, k=there: selected(k, n, o), new, state)
            y = tree_map(lambda n, k=there: selected(k, n, e.zeros_like(n)), y)
        state, ys[t] = new, y
    return state, tree_map(lambda *parts: e.stack(list(parts)), *ys)


def selected(there, new, old):
    return e.where(e.asarray(there.reshape(there.shape + (1,) * (new.ndim - 1))), new, old)


def tree_map(function, *trees):
    if isinstance(trees[0], tuple):
        return tuple(tree_map(function, *parts) for parts in zip(*trees, strict=True))
    return None if trees[0] is None else function(*trees)


def leaves(tree):
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [] if tree is None else [tree]


def close(ours, theirs, tolerance=1e-9):
    ours = ours.numpy() if hasattr(ours, "numpy") else np.asarray(ours)
    theirs = theirs.numpy() if hasattr(theirs, "numpy") else np.asarray(theirs)
    assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def functional(results):
    """Return a loss without symmetries."""
    parts = [e.sum(r * normal(*r.shape, salt=i + 1)) for i, r in enumerate(leaves(results))]
    return sum(parts[1:], parts[0])


def agrees(step, init, xs, wrt=(), lengths=None, reverse=False):
    """Compare values, gradients and second derivatives with the loop of ops; return values."""
    options = {} if lengths is None else {"lengths": lengths}
    got = e.scan(step, init, xs, reverse=reverse, **options)
    want = loop(step, init, xs, lengths, reverse)
    for one, other in zip(leaves(got), leaves(want), strict=True):
        close(one, other)
    if wrt:
        firsts = [e.gradients(functional(r), wrt, create_graph=True) for r in (got, want)]
        plain = e.gradients(functional(got), wrt)
        for mine, first, other in zip(plain, *firsts, strict=True):
            close(0.0 if mine is None else mine, 0.0 if other is None else other)
            close(0.0 if first is None else first, 0.0 if other is None else other)
        for one, other in zip(*(second(first, wrt) for first in firsts), strict=True):
            close(0.0 if one is None else one, 0.0 if other is None else other, 1e-8)
    return got


def second(gradients, wrt):
    """Return gradients of a functional of gradients."""
    pairs = zip(gradients, wrt, strict=True)
    loss = functional(tuple(e.zeros_like(v) if g is None else g for g, v in pairs))
    return e.gradients(loss, wrt) if loss.requires_grad else [None] * len(wrt)


@pytest.fixture(scope="module")
def forks():
    with Forks() as opened:
        yield opened


@pytest.fixture
def in_subprocess(forks):
    """Return a function that runs a program in a process, so that a crash fails one test."""

    def run(code):
        done = forks.run("import numpy as np, engine as e, rnn\n" + code)
        assert done.returncode == 0, done.stderr[-2000:]

    return run


def test_a_program_that_fails_or_crashes_is_reported_and_the_next_one_runs(forks):
    assert forks.run("import os; print('said'); os.kill(os.getpid(), 11)").returncode == -11
    failed = forks.run("raise ValueError('seen')")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.endswith("ValueError: seen\n")
    assert forks.run("raise SystemExit(3)").returncode == 3
    assert forks.run("raise SystemExit('seen')") == (1, "", "seen\n")
    assert forks.run("print('said')") == (0, "said\n", "")


def fused(step, init, xs, **options):
    text = str(e.explain_scan(step, init, xs, **options))
    assert executor_of(text) not in ("explicit", "unknown"), text[:400]


# ---- 1: states of other rows and ranks


STATES = [((3, 2), (1, 1)), ((1, 1), (3, 2)), ((6, 4), (1, 4)), ((2, 3), (5, 5)), ((), (3, 2)),
          ((3,), (3, 2)), ((3, 2), ()), ((3, 2, 2), (3,)), ((1, 2), (3, 2)),
          ((2,), (7, 1, 3))]  # fmt: skip


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("shapes", STATES, ids=str)
def test_states_of_other_rows_and_ranks(shapes, grad, in_subprocess):
    in_subprocess(f"""
for i in range(10):
    init = tuple(e.asarray(np.zeros(s), requires_grad={grad}) for s in {shapes})
    xs = e.asarray(np.ones((4, 3, 2)), requires_grad={grad})
    (p, q), ys = e.scan(lambda s, x: ((s[0] + 1.0, s[1] * 1.0 + 1.0), x), init, xs)
    assert p.shape == {shapes[0]} and q.shape == {shapes[1]}, (p.shape, q.shape)
    assert (p.numpy() == 4).all() and (q.numpy() == 4).all() and (ys.numpy() == 1).all()
    if {grad}:
        for g in e.gradients(e.sum(p * p) + e.sum(q), init):
            assert np.isin(g.numpy(), [1, 8]).all()
""")


def test_a_state_of_the_batch_beside_one_of_a_row():
    h, c, X = normal_leaf(B, H), normal_leaf(1, H), normal_leaf(T, B, H)

    def step(s, x):
        h = e.tanh(s[0] * s[1] + x)
        return (h, 0.5 * s[1] + e.mean(h, axis=0, keepdims=True)), h

    agrees(step, (h, c), X, (h, c, X))


def test_a_matrix_state_beside_its_normalizer():
    S, n, k, v = normal_leaf(B, 2, 3), normal_leaf(B, 2), normal_leaf(T, B, 2), normal_leaf(T, B, 3)

    def step(s, x):
        k, v = x
        S = 0.9 * s[0] + k[..., :, None] * v[..., None, :]
        n = 0.9 * s[1] + k
        y = e.einsum("bk,bkv->bv", k, S) / (1.0 + e.square(e.vecdot(n, k)))[..., None]
        return (S, n), y

    agrees(step, (S, n), (k, v), (S, n, k, v))


def test_a_count_without_rows_beside_a_state():
    h, n, X = normal_leaf(B, H), e.asarray(0.0), normal_leaf(T, B, H)
    (_, count), _ = agrees(
        lambda s, x: ((e.tanh(s[0] + x / (1.0 + s[1])), s[1] + 1.0), s[0]), (h, n), X, (h, X)
    )
    assert float(count) == T


@pytest.mark.parametrize("executor", ["plan", "explicit", "c,plan"])
def test_states_of_truth_values_and_of_integers_keep_their_dtype(executor, monkeypatch):
    # A row that is done stays as it is: the final states have the dtypes that they began with.
    monkeypatch.setenv("BPTT_EXECUTORS", executor)
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    done, count = e.asarray([False, True, False]), e.asarray([0, 1, 2])

    def step(s, x):
        h, done = s[:2]
        h = e.where(done[:, None], h, e.tanh(h + x))
        return (h, e.logical_or(done, h[:, 0] > 0.9), s[2] + 1), (h, done)

    init = (h, done, count)
    final, ys = agrees(step, init, X)
    for one, first in zip(final, init, strict=True):
        assert (one.dtype, one.requires_grad) == (first.dtype, first.requires_grad)
    assert ys[1].dtype == "bool"
    fused(step, init, X) if executor != "explicit" else None


FLAT = {
    "tiled": lambda h: e.reshape(e.tile(e.sum(h, axis=1), 2), (2, 2)),
    "softmax": lambda h: e.where(h > 0.0, e.reshape(e.tile(e.softmax(h[0], axis=0), 2), (2, 2)), h),
    "twice": lambda h: e.reshape(e.reshape(e.broadcast_to(e.sum(h, axis=1), (2, 2)), (4,)), (2, 2)),
}


@pytest.mark.parametrize("form", FLAT)
def test_shapes_that_are_flattened_twice(form):
    # The kernel read memory that nothing had been written to, and gave any number.
    h = normal_leaf(2, 2)
    for _ in range(3):  # what is not written may hold the right numbers of the call before
        agrees(lambda h, x: ((n := e.tanh(FLAT[form](h) + x)), n), h, normal_leaf(3, 2, 2), [h])


def test_a_sum_over_an_axis_in_the_middle():
    # Four sums of three numbers, each chosen by a condition: the compiler added two up wrong.
    a = e.asarray(np.arange(1.0, 9.0).reshape(2, 1, 4), requires_grad=True)
    b = e.asarray(np.array([[1.0], [10.0], [100.0]]), requires_grad=True)
    r = e.zeros((2, 3, 4), dtype="float64")
    (r, _, _), _ = e.scan(lambda s, x: ((e.hypot(s[1], s[2]), s[1], s[2]), None), (r, a, b), None,
                          length=1)  # fmt: skip
    sides = np.broadcast_to(a.numpy(), (2, 3, 4)), np.broadcast_to(b.numpy(), (2, 3, 4))
    close(e.gradients(e.sum(r), [a])[0], np.sum(sides[0] / np.hypot(*sides), 1, keepdims=True))


# ---- 2: one number a row


ROW = {
    "expand_dims": lambda s, h: e.expand_dims(s, axis=-1),
    "reshape": lambda s, h: e.reshape(s, (B, 1)),
    "newaxis": lambda s, h: s[:, None],
    "outer": lambda s, h: e.outer(s, e.ones(H, dtype="float64")),
    "mean": lambda s, h: s[:, None] + e.expand_dims(e.mean(h, axis=-1), axis=1),
    "where": lambda s, h: e.where((s > 0.0)[:, None], h, 1.0),
    "turned": lambda s, h: e.broadcast_to(s, (H, B)).T,
    "einsum": lambda s, h: e.einsum("b,bh->bh", s, h),
    "stack": lambda s, h: e.stack([s, 2.0 * s], axis=-1),
    "repeat": lambda s, h: e.repeat(e.reshape(s, (-1, 1)), H, axis=1),
}


@pytest.mark.parametrize("form", ROW)
def test_a_number_a_row_as_input(form):
    h, s = normal_leaf(B, H), normal_leaf(T, B)
    agrees(lambda h, s: ((n := e.tanh(0.5 * h + ROW[form](s, h))), n), h, s, (h, s))


@pytest.mark.parametrize("form", ROW)
def test_a_number_a_row_from_the_state(form):
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)

    def step(h, x):
        n = e.tanh(h + x * ROW[form](e.sum(h, axis=-1), h))
        return n, n

    agrees(step, h, X, (h, X))


@pytest.mark.parametrize("form", ROW)
def test_a_number_a_row_as_state(form):
    h, z, X = normal_leaf(B, H), normal_leaf(B), normal_leaf(T, B, H)

    def step(s, x):
        h, z = s
        z = e.sigmoid(z + e.mean(x, axis=1))
        return (e.tanh(h * ROW[form](z, h) + x), z), z

    agrees(step, (h, z), X, (h, z, X))


def test_the_numbers_of_rows_as_reported():
    final, _ = e.scan(
        lambda h, s: (h + e.expand_dims(s, axis=-1), h),
        e.zeros((2, 1)),
        e.asarray([[1.0, 2.0]] * 2),
    )
    close(final, [[2.0], [4.0]])


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "logsumexp", "var"])
def test_outputs_of_one_number_a_row_send_their_gradient_to_that_row(name):
    W, h, X = normal_leaf(H, H), normal_leaf(B, H), normal_leaf(T, B, H)

    def step(h, x):
        n = e.tanh(e.linear(h, W) + x)
        return n, getattr(e, name)(n, axis=-1)

    agrees(step, h, X, (W, h, X))


@pytest.mark.parametrize("kind", ["bool (T,B)", "bool (T,B,1)", "comparison"])
def test_masks_of_one_truth_a_row(kind):
    h, X, M = normal_leaf(B, H), normal_leaf(T, B, H), e.asarray(normal(T, B) > 0)
    see = {
        "bool (T,B)": lambda m: m[:, None],
        "comparison": lambda m: e.expand_dims(m, axis=1) & True,
    }
    M = M[..., None] if kind == "bool (T,B,1)" else M
    form = see.get(kind, lambda m: m)

    def step(h, x):
        n = e.tanh(h + x[0])
        return e.where(form(x[1]), n, h), n

    agrees(step, h, (X, M), (h, X))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_rows_and_units_of_one_size_are_distinguished(size):
    h, s, X = normal_leaf(size, size), normal_leaf(T, size), normal_leaf(T, size, size)
    for form in (lambda s: s, lambda s: s[:, None], lambda s: s[None]):
        agrees(lambda h, x, f=form: (e.tanh(h + x[0] * f(x[1])), h), h, (X, s), (h, s, X))


# ---- 3: what asks for numbers while a step is recorded


def grown(x):
    return x + 0.0


READS = {
    "detach of an input": lambda h, x: (h + x.detach(), h),
    "detach of a state": lambda h, x: (h.detach() * 0.5 + x, h),
    "detach of a maximum": lambda h, x: (h + e.exp(x - e.max(x).detach()), h),
    "straight through": lambda h, x: (h + (x + (e.sign(x) - x).detach()), h),
    "surrogate": lambda h, x: (e.tanh(x) + (e.where(h > 0, 1.0, 0.0) - e.tanh(x)).detach(), h),
    "numpy": lambda h, x: (h + e.asarray(x.numpy()), h),
    "data": lambda h, x: (h + e.asarray(np.asarray(x.data)) * 2, h),
    "np.asarray": lambda h, x: (h + e.asarray(np.asarray(x.detach())), h),
    "item": lambda h, x: (h + e.sum(x).item(), h),
    "float": lambda h, x: (h * float(e.max(x)) + x, h),
    "int": lambda h, x: (h + [10.0, 20.0, 30.0][int(e.sum(x) > 0)] * x, h),
    "if": lambda h, x: (h + x if float(e.sum(x)) > 0 else h - x, h),
    "bool": lambda h, x: (h + x if e.any(x > 1.0) else h * 2.0 + x, h),
    "copy": lambda h, x: (h + copy(x) * 2.0, h),
    "deepcopy": lambda h, x: (h + deepcopy(x.detach()) * 2.0, h),
    "dlpack": lambda h, x: (h + e.asarray(np.from_dlpack(x.detach())), h),
    "from_dlpack": lambda h, x: (h + e.from_dlpack(x.detach()) * 2.0, h),
    "nonzero": lambda h, x: (h + float(len(e.nonzero(x > 0)[0])), h),
    "tolist": lambda h, x: (h + x.numpy().tolist()[0][0], h),
    "gradient within": lambda h, x: (h + e.grad(lambda q: e.sum(q**3))(x.detach()), h),
    "gradient of the state": lambda h, x: (h - 0.1 * e.grad(lambda q: e.sum((q - x) ** 2))(h), h),
    "gradients within": lambda h, x: (h + e.gradients(e.sum(grown(x) ** 3), [x])[0].detach(), h),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_reads_of_numbers(name):
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    step = READS[name]
    for grad in (True, False):
        init, xs = (h, X) if grad else (h.detach(), X.detach())
        if "gradient" in name and not grad:
            continue
        for one, other in zip(e.scan(step, init, xs), loop(step, init, xs), strict=True):
            close(one, other)


@pytest.mark.parametrize(
    "name", [n for n in READS if "detach" in n or "straight" in n or "surr" in n]
)
def test_gradients_around_detach(name):
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    agrees(READS[name], h, X, (h, X))
    fused(READS[name], h, X)


def test_an_index_that_is_read():
    final, _ = e.scan(
        lambda h, i: (h + [10.0, 20.0, 30.0][int(i)], h), e.zeros((1, 1)), e.asarray([0, 1, 2])
    )
    assert final.item() == 60


@pytest.mark.parametrize("how", ["float", "numpy", "sum", "item", "data", "gradient"])
def test_values_that_escape_are_right_or_raise(how):
    kept = []
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)

    def step(h, x):
        kept.append(e.sum(h * x))
        n = e.tanh(h + x)
        return n, n

    read = {
        "float": lambda k: float(k), "numpy": lambda k: float(k.numpy()),
        "item": lambda k: k.item(),
        "sum": lambda k: float(e.sum(k) + 0.0), "data": lambda k: float(np.asarray(k.data)),
        "gradient": lambda k: float(e.sum(e.gradients(k, [X])[0])),
    }[how]  # fmt: skip
    e.scan(step, h, X)
    ours, kept = list(kept), kept
    kept.clear()
    loop(step, h, X)
    theirs = [read(k) for k in kept]
    try:
        got = [read(k) for k in ours]
    except (NotRecordableError, RuntimeError):
        return
    close(got, theirs)


def test_a_penalty_of_a_cell_is_right_or_raises():
    class Kept(rnn.Cell):
        def __init__(self):
            super().__init__()
            self.input_size, self.state_size = 2, {"h": 2}
            self.penalty = 0.0

        def step(self, x, h):
            n = e.tanh(h + x)
            self.penalty = self.penalty + e.sum(n * n)
            return n, n

    X = e.asarray(normal(T, B, 2))
    cell = Kept()
    ys, _ = rnn.Recurrent(cell)(X)
    try:
        got = float(cell.penalty)
    except (NotRecordableError, RuntimeError):
        return
    close(got, float(e.sum(ys * ys)), 1e-5)


@pytest.mark.parametrize(
    "step",
    [
        "lambda h, x: (e.tanh(h + e.log(x)),) * 2", "lambda h, x: (e.tanh(h / x),) * 2",
        "lambda h, x: (e.tanh(1.0 / x - h),) * 2", "lambda h, x: (e.tanh(h + x ** -0.5),) * 2",
        "lambda h, x: (h / (1e-30 + e.sum(x, axis=-1, keepdims=True)),) * 2",
        "lambda h, x: (x / e.norm(x, axis=-1, keepdims=True) + e.sqrt(x),) * 2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("grad", ["True", "False"])
def test_recording_raises_no_warning(step, grad, in_subprocess):
    in_subprocess(
        "import warnings\n"
        "warnings.simplefilter('error')\n"
        "warnings.simplefilter('ignore', UserWarning)\n"
        "np.seterr(all='raise')\n"
        f"x = e.asarray(np.ones((5, 3, 6)), requires_grad={grad})\n"
        f"h, ys = e.scan({step}, e.zeros((3, 6), dtype='float64'), x)\n"
        "e.gradients(e.sum(h) + e.sum(ys), [x]) if x.requires_grad else None\n"
    )  # fmt: skip


# ---- 4: hooks


LAYERS = [lambda: rnn.LSTM(2, 3), lambda: rnn.GRU(2, 3), lambda: rnn.RNN(2, 3)]


def layer_gradients(layer, x):
    return [g.numpy() for g in e.gradients(e.sum(layer(x)[0]), list(layer.parameters()))]


@pytest.mark.parametrize("make", LAYERS)
def test_hooks_act_once_until_they_are_removed_and_in_no_other_layer(make):
    x = e.asarray(normal(T, B, 2).astype("float32"))
    layer = make()
    plain = layer_gradients(layer, x)
    seen = []
    handles = [
        p.register_hook(lambda g: (seen.append(g.numpy()), g * 10)[1]) for p in layer.parameters()
    ]
    for _ in range(2):
        seen.clear()
        hooked = layer_gradients(layer, x)
        assert len(seen) == len(plain)
        for one, other in zip(hooked, plain, strict=True):
            close(one, other * 10, 1e-4)
        for one in seen:
            assert any(one.shape == p.shape and np.allclose(one, p, rtol=1e-4) for p in plain)
    twin = make()
    for p, q in zip(twin.parameters(), layer.parameters(), strict=True):
        p.data = np.array(q.numpy())
    for one, other in zip(layer_gradients(twin, x), plain, strict=True):
        close(one, other, 1e-4)
    for handle in handles:
        handle.remove()
    for one, other in zip(layer_gradients(layer, x), plain, strict=True):
        close(one, other, 1e-4)


@pytest.mark.parametrize("leaf", ["W", "h", "X"])
def test_hooks_of_any_leaf_of_a_step(leaf):
    tensors = {"W": normal_leaf(H, H), "h": normal_leaf(B, H), "X": normal_leaf(T, B, H)}
    step = lambda h, x: ((n := e.tanh(e.linear(h, tensors["W"]) + x)), n)  # noqa: E731

    def gradient():
        loss = functional(e.scan(step, tensors["h"], tensors["X"]))
        return e.gradients(loss, [tensors[leaf]])[0].numpy()

    plain, seen = gradient(), []
    handle = tensors[leaf].register_hook(lambda g: seen.append(g.numpy()))
    gradient()
    assert len(seen) == 1
    close(seen[0], plain)
    handle.remove()
    handle = tensors[leaf].register_hook(lambda g: -3.0 * g)
    close(gradient(), -3.0 * plain)
    handle.remove()
    close(gradient(), plain)


# ---- 5: lengths


ADDITIVE = {
    "h + f(x)": lambda h, x, W, b: h + e.tanh(x + b),
    "tanh(Wx + b + h)": lambda h, x, W, b: e.tanh(e.linear(x, W, b) + h),
    "(h + x) / 2": lambda h, x, W, b: (h + x * b) / 2,
    "c + i g": lambda h, x, W, b: h + e.sigmoid(e.linear(x, W)) * e.tanh(x + b),
    "h f + x": lambda h, x, W, b: h * e.sigmoid(b) + e.linear(x, W),
    "h W + x": lambda h, x, W, b: e.linear(h, W, b) + x,
    "h - b": lambda h, x, W, b: h - b,
}
LENGTHS = [[4, 2, 1], [0, 4, 2], [0, 0, 0], [4, 4, 4]]


@pytest.mark.parametrize(
    ("form", "lengths", "reverse"), covering(ADDITIVE, LENGTHS, [False, True]), ids=str
)
def test_finished_rows_leak_no_gradient(form, lengths, reverse):
    h, X, W, b = normal_leaf(B, H), normal_leaf(T, B, H), normal_leaf(H, H), normal_leaf(H)
    step = lambda h, x: ((n := ADDITIVE[form](h, x, W, b)), n)  # noqa: E731
    wrt = [
        v for v, used in ((h, True), (X, "x" in form), (W, "W" in form), (b, "b" in form)) if used
    ]
    agrees(step, h, X, [h], lengths, reverse)
    loss = functional(e.scan(step, h, X, lengths=lengths, reverse=reverse))
    other = functional(loop(step, h, X, lengths, reverse))
    for one, two, v in zip(e.gradients(loss, wrt), e.gradients(other, wrt), wrt, strict=True):
        close(np.zeros(v.shape) if one is None else one, np.zeros(v.shape) if two is None else two)
    padded = e.gradients(loss, [X])[0]
    if padded is not None:
        for row, length in enumerate(lengths):
            assert (padded.numpy()[length:, row] == 0).all()


def test_the_gradient_of_one_row_as_reported():
    b = e.asarray(np.zeros(3), requires_grad=True)
    X, h = e.asarray(np.ones((4, 1, 3))), e.zeros((1, 3), dtype="float64")
    final, ys = e.scan(lambda h, x: ((n := h + e.tanh(x + b)), n), h, X, lengths=np.array([2]))
    slope = 1 - np.tanh(1.0) ** 2
    close(e.gradients(e.sum(ys) + e.sum(final), [b])[0], [5 * slope] * 3)


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("reverse", [False, True])
def test_layers_below_get_no_gradient_from_padding(make, reverse):
    layer, x = make(), e.asarray(normal(T, B, 2).astype("float32"), requires_grad=True)
    below = rnn.Linear(2, 2)
    loss = e.sum(layer(below(x), lengths=[4, 1, 2])[0]) * (-1.0 if reverse else 1.0)
    g = e.gradients(loss, [x])[0].numpy()
    assert (g[1:, 1] == 0).all()
    assert (g[2:, 2] == 0).all()
    assert (g[:, 0] != 0).all()


MIXING = {
    "centring": lambda h, x: e.tanh(h + x - e.mean(h, axis=0, keepdims=True)),
    "attention": lambda h, x: e.tanh(e.softmax(e.matmul(h, h.T), axis=-1) @ h + x),
    "sum": lambda h, x: e.tanh(h * e.sum(h) + x),
    "turned rows": lambda h, x: e.tanh(h[::-1] + x),
    "greatest row": lambda h, x: 0.5 * h + e.max(h, axis=0) * x,
}


@pytest.mark.parametrize(
    ("form", "lengths", "reverse"), covering(MIXING, LENGTHS, [False, True]), ids=str
)
def test_rows_that_see_each_other_with_lengths(form, lengths, reverse):
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    agrees(lambda h, x: ((n := MIXING[form](h, x)), n), h, X, (h,), lengths, reverse)
    step = lambda h, x: ((n := MIXING[form](h, x)), n)  # noqa: E731
    pair = [functional(f(step, h, X, lengths=lengths, reverse=reverse)) for f in (e.scan, loop)]
    one, two = (e.gradients(loss, [X])[0] for loss in pair)
    zero = np.zeros(X.shape)
    close(zero if one is None else one, zero if two is None else two)


UNFINISHED = {
    "unit length": lambda h, x: x / e.sqrt(e.sum(x * x, axis=-1, keepdims=True)) + h,
    "log": lambda h, x: e.log(x) + h,
    "reciprocal": lambda h, x: 1.0 / x + 0.5 * h,
    "over the state": lambda h, x: x / (h + x),
    "root": lambda h, x: e.sqrt(x) * 0.5 + h,
    "product": lambda h, x: h * x * x,
}


@pytest.mark.parametrize(
    ("form", "number", "unroll"), covering(UNFINISHED, [0.0, np.nan, np.inf, -1e300], [False, True])
)
def test_steps_that_are_not_finite_on_padding(form, number, unroll):
    W, h = (
        e.asarray([[0.5, 0.2], [0.1, 0.3]], dtype="float64", requires_grad=True),
        normal_leaf(B, H),
    )
    lengths, x = [1, 3, 0], 1.0 + np.abs(normal(T, B, H))
    step = lambda h, x: ((n := e.tanh(e.linear(UNFINISHED[form](h, x), W))), n)  # noqa: E731
    there = np.arange(T)[:, None] < np.asarray(lengths)
    results = []
    for filling in (1.5, number):
        X = e.asarray(np.where(there[..., None], x, filling), requires_grad=True)
        with np.errstate(all="ignore"):
            got = e.scan(step, h * 0.0 + 0.3, X, lengths=lengths, unroll=unroll)
            results.append([*got, *e.gradients(functional(got), [W, X])])
    for one, other in zip(*results, strict=True):
        close(one, other)


SHARED = {"(T, 1, H)": (T, 1, H), "(T, 1, 1)": (T, 1, 1), "(T, H)": (T, H), "(T,)": (T,)}


@pytest.mark.parametrize("lengths", [None, *LENGTHS], ids=str)
@pytest.mark.parametrize("kind", SHARED)
def test_inputs_that_all_rows_share(kind, lengths):
    h, X, S = normal_leaf(B, H), normal_leaf(T, B, H), normal_leaf(*SHARED[kind])
    options = {} if lengths is None else {"lengths": lengths}
    step = lambda h, x: ((n := h * 0.5 + e.tanh(x[0]) * x[1]), n)  # noqa: E731
    got, want = e.scan(step, h, (X, S), **options), loop(step, h, (X, S), lengths)
    for one, other in zip(got, want, strict=True):
        close(one, other)
    pairs = [e.gradients(functional(r), [h, X, S]) for r in (got, want)]
    for one, other in zip(*pairs, strict=True):
        close(one, other)


@pytest.mark.parametrize("unroll", [False, True])
def test_a_shared_input_with_as_many_units_as_rows_is_not_a_column_of_rows(unroll):
    S, h = e.asarray(np.arange(6.0).reshape(2, 3)), e.zeros((3, 3), dtype="float64")
    final, _ = e.scan(lambda h, x: (h + x, None), h, S, lengths=[2, 0, 1], unroll=unroll)
    close(final, [[3.0, 5.0, 7.0], [0.0, 0.0, 0.0], [0.0, 1.0, 2.0]])


def test_a_shared_input_as_reported():
    xs = (e.zeros((4, 3, 1)), e.asarray([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]))
    final, _ = e.scan(lambda h, x: (h + x[0] + x[1], h), e.zeros((3, 1)), xs, lengths=[4, 4, 4])
    close(final, [[10.0]] * 3)


@pytest.mark.parametrize("checkpoint", [False, True, 2])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int64"])
def test_lengths_of_any_integer(dtype, checkpoint):
    X = e.asarray(np.ones((5, 3, 1)), requires_grad=True)
    lengths = np.array([4, 2, 0], dtype)
    final, ys = e.scan(
        lambda h, x: ((n := h + x), n), e.zeros((3, 1), dtype="float64"), X, lengths=lengths,
        checkpoint=checkpoint,
    )  # fmt: skip
    close(final, [[4.0], [2.0], [0.0]])
    close(ys[..., 0].T, [[1, 2, 3, 4, 0], [1, 2, 0, 0, 0], [0] * 5])
    close(e.gradients(e.sum(final), [X])[0][..., 0].T, [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0] * 5])


def test_lengths_of_8_bits_with_many_steps():
    final, _ = e.scan(
        lambda h, x: (h + x, None),
        e.zeros((1, 1)),
        e.ones((300, 1, 1)),
        lengths=np.array([200], "uint8"),
    )
    assert final.item() == 200


@pytest.mark.parametrize("kind", [np.asarray, list])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_lengths_are_read_at_the_call(kind, checkpoint):
    lengths = kind([4, 2, 1])
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    step = lambda h, x: ((n := e.tanh(h + x)), n)  # noqa: E731
    got = e.scan(step, h, X, lengths=lengths, checkpoint=checkpoint)
    for i in range(3):
        lengths[i] = 3
    want = loop(step, h, X, [4, 2, 1])
    for one, other in zip(
        e.gradients(functional(got), [h, X]), e.gradients(functional(want), [h, X]), strict=True
    ):
        close(one, other)


HOLES = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 1]], bool)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_mask_with_holes(reverse, unroll):
    X = e.asarray(np.arange(1.0, 13.0).reshape(T, B, 1), requires_grad=True)
    final, ys = e.scan(
        lambda h, x: ((n := h * 2.0 + x), n), e.zeros((B, 1), dtype="float64"), X, mask=HOLES,
        reverse=reverse, unroll=unroll,
    )  # fmt: skip
    x = [1.0, 7.0, 10.0], [], [3.0, 6.0, 12.0]  # what each row sees, in the order of time
    turned = [row[::-1] if reverse else row for row in x]
    want = [sum(v * 2.0**i for i, v in enumerate(row[::-1])) for row in turned]
    close(final[:, 0], want)
    assert (ys.numpy()[~HOLES] == 0).all()
    g = e.gradients(e.sum(final), [X])[0].numpy()[..., 0]
    assert (g[~HOLES] == 0).all()
    close(g[:, 0][HOLES[:, 0]], [1, 2, 4] if reverse else [4, 2, 1])


@pytest.mark.parametrize("checkpoint", [False, True, 2])
@pytest.mark.parametrize("number", [0.5, np.nan])
def test_a_mask_with_holes_equals_the_loop(number, checkpoint):
    h, W = normal_leaf(B, H), normal_leaf(H, H)
    X = e.asarray(np.where(HOLES[..., None], normal(T, B, H), number), requires_grad=True)
    step = lambda h, x: ((n := e.tanh(e.linear(h, W) + x) + h), e.sum(n, axis=-1))  # noqa: E731
    got = e.scan(step, h, X, mask=HOLES, checkpoint=checkpoint)
    clean = e.asarray(np.where(HOLES[..., None], X.numpy(), 0.0), requires_grad=True)
    state, ys = h, []
    for t in range(T):
        new, y = step(state, clean[t])
        state = selected(HOLES[t], new, state)
        ys.append(selected(HOLES[t], y, e.zeros_like(y)))
    want = state, e.stack(ys)
    for one, other in zip(got, want, strict=True):
        close(one, other)
    ours = e.gradients(functional(got), [h, W, X])
    for one, other in zip(ours, e.gradients(functional(want), [h, W, clean]), strict=True):
        close(one, other)


@pytest.mark.parametrize("kind", ["bool", "tensor", "list"])
def test_a_mask_that_ends_rows_is_lengths(kind):
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    ends = np.arange(T)[:, None] < np.array([4, 2, 0])
    mask = {"bool": ends, "tensor": e.asarray(ends), "list": ends.tolist()}[kind]
    step = lambda h, x: ((n := e.tanh(h + x)), n)  # noqa: E731
    pairs = e.scan(step, h, X, mask=mask), e.scan(step, h, X, lengths=[4, 2, 0], unroll=True)
    for one, other in zip(*pairs, strict=True):
        close(one, other)


# ---- 6: the compiled side


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("outer", ["linear", "matmul", "tanh"])
def test_the_bias_of_a_product_that_feeds_a_product(outer, grad):
    W, b = e.asarray(np.eye(2) * 0.5), e.asarray([1.0, 2.0])
    then = {
        "linear": lambda p: e.linear(p, W),
        "matmul": lambda p: p @ W,
        "tanh": lambda p: e.linear(e.tanh(p), W, b),
    }[outer]
    h, X = normal_leaf(1, 2), normal_leaf(2, 1, 2)
    init, xs = (h, X) if grad else (h.detach(), X.detach())
    agrees(lambda h, x: ((n := then(e.linear(h, W, b)) + x), n), init, xs, (h, X) if grad else ())


CONCATS = {
    "turned": lambda h, x: e.concat([-x[:, 2:], x[:, :2]], axis=-1),
    "with zeros": lambda h, x: e.concat([x[:, :1], e.zeros((2, 3), dtype="float64")], axis=-1),
    "with the state": lambda h, x: e.concat([x[:, 1:], h[:, :1]], axis=-1),
    "shift register": lambda h, x: e.concat([h[:, 1:], e.tanh(x[:, :1])], axis=-1),
    "stack": lambda h, x: e.reshape(e.stack([x[:, :2], h[:, 2:]], axis=1), (2, 4)),
    "rows": lambda h, x: e.concat([x[1:], h[:1]], axis=0),
}


@pytest.mark.parametrize("form", CONCATS)
@pytest.mark.parametrize("grad", [False, True])
def test_a_state_that_is_joined_from_parts(form, grad):
    h, X = normal_leaf(2, 4), normal_leaf(T, 2, 4)
    init, xs = (h, X) if grad else (h.detach(), X.detach())
    agrees(lambda h, x: (CONCATS[form](h, x), h), init, xs, (h, X) if grad else ())


def test_a_state_made_of_two_slices():
    x = e.asarray([[[1, 2, 3, 4], [5, 6, 7, 8]]], dtype="float32")
    final, _ = e.scan(lambda h, x: (CONCATS["turned"](h, x), h), e.zeros((2, 4)), x)
    close(final, [[-3, -4, 1, 2], [-7, -8, 5, 6]])


@pytest.mark.parametrize(
    ("one", "other"), [(0.0, -0.0), (-0.0, 0.0), (1, 1.0), (True, 1), (2.0, 2.0000000000000004)]
)
def test_literals_are_distinguished_bit_for_bit(one, other):
    init, xs = e.zeros((1, 2), dtype="float64"), -np.ones((1, 1, 2))
    for number in (one, other):
        final, _ = e.scan(lambda h, x, n=number: (x * n, h), init, e.asarray(xs))
        close(final, -float(number) * np.ones((1, 2)), 0.0)
        assert (np.signbit(final.numpy()) == np.signbit(-np.ones(1) * number)).all()
        with np.errstate(divide="ignore"):
            final, _ = e.scan(lambda h, x, n=number: (1.0 / (e.abs(x) * n), h), init, e.asarray(xs))
            np.testing.assert_array_equal(final.numpy(), np.full((1, 2), 1.0 / np.float64(number)))


@pytest.mark.parametrize("grad", [False, True])
def test_states_without_axes(grad):
    s = e.asarray(0.5, requires_grad=grad)
    final, ys = e.scan(lambda h, x: (h + x, h * x), s, e.asarray([1.0, 2.0, 3.0]))
    assert isinstance(repr(final), str)
    assert float(final * 2) == 13.0
    assert final.shape == ()
    close(ys, [0.5, 3.0, 10.5])
    if grad:
        assert float(e.gradients(final * final, [s])[0]) == 13.0


def test_a_state_without_axes_reduced_from_inputs():
    s, X = normal_leaf(), normal_leaf(T, B, H)
    agrees(lambda h, x: ((n := e.tanh(h + e.mean(x))), n), s, X, (s, X))


@pytest.mark.parametrize(
    "sizes",
    [(3, 0), (0, 3), (0, 0)],
    ids=str,
)
def test_no_units_and_no_inputs(sizes):
    inputs, units = sizes
    W, U = e.zeros((units, units), requires_grad=True), e.zeros((units, inputs), requires_grad=True)
    h, X = e.ones((B, units)), e.ones((T, B, inputs))
    step = lambda h, x: ((n := e.tanh(e.linear(h, W) + e.linear(x, U))), n)  # noqa: E731
    final, ys = e.scan(step, h, X)
    assert final.shape == (B, units)
    assert ys.shape == (T, B, units)
    assert (final.numpy() == 0).all()
    for g, p in zip(e.gradients(e.sum(ys), [W, U]), (W, U), strict=True):
        assert g is None or g.shape == p.shape


def test_no_rows():
    h, X, W = e.zeros((0, H)), e.zeros((T, 0, H)), normal_leaf(H, H)
    final, ys = e.scan(lambda h, x: ((n := e.tanh(h @ e.astype(W, "float32") + x)), n), h, X)
    assert (final.shape, ys.shape) == ((0, H), (T, 0, H))


# ---- 7: weights that change between the passes


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("how", ["sgd", "adam", "load"])
@pytest.mark.parametrize("make", LAYERS)
def test_a_backward_pass_uses_the_weights_seen_or_raises(make, how, explicit):
    layer, x = make(), e.asarray(normal(T, B, 2).astype("float32"), requires_grad=True)

    def loss():
        return e.sum(layer(x)[0] ** 2) if not explicit else explicit_loss()

    def explicit_loss():
        with e.explicit():
            return e.sum(layer(x)[0] ** 2)

    leaves_ = [x, *layer.parameters()]
    want = [g.numpy() for g in e.gradients(loss(), leaves_)]
    before = loss()
    if how == "load":
        layer.load_state_dict({k: v * 0 + 0.3 for k, v in layer.state_dict().items()})
    else:
        for p in layer.parameters():
            p.grad = e.ones_like(p)
        kind = rnn.optim.SGD if how == "sgd" else rnn.optim.Adam
        kind(list(layer.parameters()), lr=0.1).step()
    try:
        got = e.gradients(before, [x, *layer.parameters()])
    except RuntimeError:
        return
    for one, other in zip(got, want, strict=True):
        if one is not None:
            close(one, other, 1e-4)


# ---- 8: long chains of ops in a step


@pytest.fixture
def _no_longer_than_20_seconds():
    def stop(*_):
        raise TimeoutError("more than 20 s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_no_longer_than_20_seconds")
@pytest.mark.parametrize(("kind", "turns"), covering(["euler", "runge-kutta", "doubled"], [9, 200]))
def test_long_element_wise_chains_are_ready_soon(kind, turns):
    def step(h, x):
        n = h
        for _ in range(turns):
            if kind == "doubled":
                n = 0.5 * (n + e.tanh(n + x)) * (1.0 - 0.01 * n)
            else:
                k = e.tanh(n + x) - n
                n = n + (0.01 * k if kind == "euler" else 0.01 * (e.tanh(n + 0.005 * k + x) - n))
        return n, n

    h, X = normal_leaf(B, H), normal_leaf(2, B, H)
    before = sum(os.times()[:4])  # of this process and of compilers, not of other work
    got = e.scan(step, h, X)
    gradients = e.gradients(functional(got), [h, X])
    assert sum(os.times()[:4]) - before < 10.0
    want = loop(step, h, X)
    close(got[0], want[0])
    for one, other in zip(gradients, e.gradients(functional(want), [h, X]), strict=True):
        close(one, other)


# ---- 10: ops that threw a recurrence to the loop


W2 = np.array([[1.0, 0.2], [0.1, 1.5]])
FUSED = {
    "softplus": lambda h, x: e.softplus(h + x),
    "logaddexp": lambda h, x: e.tanh(e.logaddexp(h, x)),
    "power": lambda h, x: e.tanh(e.power(1.0 + h * h, x)),
    "cube": lambda h, x: e.tanh(h**3 + x),
    "clip": lambda h, x: e.clip(h + x, -0.5, 0.75),
    "astype": lambda h, x: e.tanh(h + x) * e.astype(x > 0.0, "float64"),
    "remainder": lambda h, x: e.remainder(h + x, 1.7),
    "floor": lambda h, x: e.tanh(h) + e.floor(x),
    "flip": lambda h, x: e.tanh(e.flip(h, axis=-1) + x),
    "flip input": lambda h, x: e.tanh(h + e.flip(x, axis=1)),
    "roll": lambda h, x: e.tanh(e.roll(h, 1, axis=-1) + x),
    "sort": lambda h, x: e.tanh(e.sort(h + x, axis=-1)),
    "sort input": lambda h, x: e.tanh(h + e.sort(x, axis=-1, descending=True)),
    "cumsum": lambda h, x: e.tanh(e.cumsum(h, axis=-1) + x),
    "cumsum input": lambda h, x: e.tanh(h + e.cumsum(x, axis=-1)),
    "take": lambda h, x: e.tanh(e.take(h, e.asarray([1, 0]), axis=-1) + x),
    "index": lambda h, x: e.tanh(h + x[:, [1, 0]]),
    "index state": lambda h, x: e.tanh(h[:, [1, 1]] + x),
    "softmax": lambda h, x: e.softmax(h + x, axis=-1),
    "erf": lambda h, x: e.erf(h + x),
    "atan2": lambda h, x: e.atan2(h, 1.0 + x * x),
    "hypot": lambda h, x: e.tanh(e.hypot(h + 0.1, x)),
    "split": lambda h, x: e.concat(e.split(e.tanh(h + x), 2, axis=-1)[::-1], axis=-1),
}


@pytest.mark.parametrize("name", FUSED)
def test_ops_that_run_fused(name):
    h, X = normal_leaf(B, H), normal_leaf(T, B, H)
    step = lambda h, x: ((n := FUSED[name](h, x)), n)  # noqa: E731
    agrees(step, h, X, (h, X))
    fused(step, h, X)


PARAMETERS = {
    "solve": lambda W: e.linalg.solve(W, e.asarray(W2)),
    "inv": lambda W: e.linalg.inv(W),
    "softmax": lambda W: e.softmax(W, axis=-1),
    "unit norm": lambda W: W / e.norm(W),
    "symmetric": lambda W: W + W.mT,
    "sorted": lambda W: e.sort(W, axis=0),
    "power": lambda W: W @ W @ W,
    "detached": lambda W: W + W.detach(),
}


@pytest.mark.parametrize(
    "name",
    list(PARAMETERS),
)
def test_subgraphs_of_parameters_run_fused(name):
    W, h, X = e.asarray(W2, requires_grad=True), normal_leaf(B, H), normal_leaf(T, B, H)
    step = lambda h, x: ((n := e.tanh(e.linear(h, PARAMETERS[name](W)) + x)), n)  # noqa: E731
    agrees(step, h, X, (W, h, X))
    fused(step, h, X)


@pytest.mark.parametrize("form", ["embedding", "take", "index", "one hot", "take_along_axis"])
def test_lookups_run_fused(form):
    E, h = normal_leaf(5, H), normal_leaf(B, H)
    ids = e.asarray(np.random.default_rng(0).integers(0, H, (T, B)))
    see = {
        "embedding": lambda h, i: e.embedding(E, i),
        "take": lambda h, i: e.take(E, i, axis=0),
        "index": lambda h, i: E[i],
        "one hot": lambda h, i: e.astype(e.equal(i[:, None], e.arange(5)), "float64") @ E,
        "take_along_axis": lambda h, i: (
            e.take_along_axis(h, i[:, None], axis=-1) + e.embedding(E, i)
        ),
    }[form]
    step = lambda h, i: ((n := e.tanh(0.5 * h + see(h, i))), n)  # noqa: E731
    agrees(step, h, ids, (E, h))
    agrees(step, h, ids, (E, h), lengths=[4, 0, 2])
    fused(step, h, ids)


@pytest.mark.parametrize(
    "form", ["per-row products", "softmax over slots", "max over units", "sums"]
)
def test_matrix_states_run_fused(form):
    S, k, v = normal_leaf(B, 2, 3), normal_leaf(T, B, 2), normal_leaf(T, B, 3)
    outer = lambda k, v: k[..., :, None] * v[..., None, :]  # noqa: E731
    step = {
        "per-row products": lambda S, x: (
            0.9 * S + outer(x[0], x[1] - e.einsum("bk,bkv->bv", x[0], S)),
            e.einsum("bk,bkv->bv", x[0], S),
        ),
        "softmax over slots": lambda S, x: (
            S + e.softmax(S, axis=1) * outer(*x),
            e.softmax(S, axis=-1),
        ),
        "max over units": lambda S, x: (
            e.tanh(S + outer(*x)) - e.max(S, axis=(1, 2), keepdims=True),
            e.max(S, axis=1),
        ),
        "sums": lambda S, x: (
            S * 0.5 + e.sum(S, axis=2, keepdims=True) * outer(*x),
            e.sum(S, axis=1),
        ),
    }[form]
    agrees(step, S, (k, v), (S, k, v))
    fused(step, S, (k, v))


def test_an_output_that_looks_up_a_number_of_a_fixed_vector():
    fixed, h = normal_leaf(3), normal_leaf(3, 1)
    step = lambda h, i: (h, (e.take(fixed, i, axis=-1), fixed))  # noqa: E731
    indices = e.asarray(np.array([0, 2, 1, 1, 0]))
    got, want = e.scan(step, h, indices), loop(step, h, indices)
    close(got[1][0], want[1][0])


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a & b, lambda a, b: a | ~b, lambda a, b: a ^ b, e.logical_and, e.logical_xor,
        lambda a, b: a & e.expand_dims(b[:, 0], axis=1), lambda a, b: ~(b | ~a),
    ],
)  # fmt: skip
def test_a_truth_value_of_an_earlier_level_is_combined_bit_by_bit(join):
    # It lies in memory as a real number, and C has no & of those: the compiler failed.

    def step(state, x):
        h, n = state
        a = e.tanh(h + x)
        top = a == e.max(a, axis=-1, keepdims=True)
        h = e.where(join(top, n < 3), a, 0.5 * h)
        return (h, n + 1), h

    x = normal_leaf(6, B, 4)
    zeros = e.zeros((B, 4), dtype="float64"), e.zeros((B, 1), dtype="float64")

    def found():
        y = e.scan(step, zeros, x)[1]
        return [y.numpy(), e.gradients(e.sum(y * y), [x])[0].numpy()]

    assert "compiler failed" not in e.explain_scan(step, zeros, x)
    fused = found()
    with e.explicit():
        loop = found()
    for one, other in zip(fused, loop, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
