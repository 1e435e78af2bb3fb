"""Compare functions and backward passes without observers with those under observers, bit for bit.

A hook on a tensor that has no part in it turns the plain walk off, an interpreter that computes
what it is given turns off the functions of one and of two tensors.
"""

import copy
from contextlib import contextmanager

import numpy as np
import pytest

import engine
import engine.backends.half
import engine.backward
from engine.apply import apply
from engine.op import Draw, Op
from engine.state import using
from tests.draws import covering


class Computing:
    """Interpret as the engine does: an interpreter that changes nothing."""

    def compute(self, op, run):
        return run()

    def watched(self, collected, pull):
        return collected, pull


@contextmanager
def looking_on():
    """Have everything go the general way: a hook is in force and so is an interpreter."""
    bystander = engine.ones(1, requires_grad=True)
    handle = bystander.register_hook(lambda g: None)
    try:
        with using(interpreter=Computing()):
            yield
    finally:
        handle.remove()


@pytest.fixture
def walks(monkeypatch):
    """Return a list with an entry for each backward pass: whether the plain walk did it."""
    seen = []

    def note(*given):
        found = plain(*given)
        seen.append(found is not None)
        return found

    engine.hooks.HOOKED.clear()  # of tensors that other tests left behind
    monkeypatch.setattr(engine.backends.half.half, "any", False)  # since another test
    plain = engine.backward.plain_walk
    monkeypatch.setattr(engine.backward, "plain_walk", note)
    return seen


def bits(x):
    """Return what is compared of a tensor: type, dtype, shape and bytes of its array."""
    if x is None:
        return None
    data = x.data
    return type(data), data.dtype, data.shape, data.tobytes()


def outcome(job):
    """Return the result of a job, bit by bit; of an error its type and text."""
    try:
        return [bits(x) for x in job()]
    except Exception as error:
        return type(error), str(error)


def same(job, walks=None):
    """Check a job against itself the general way; return what it gave."""
    plain = outcome(job)
    if walks is not None:
        assert walks == [True]
    with looking_on():
        assert outcome(job) == plain
    if walks is not None:
        assert walks == [True]
    return plain


def leaf(values, dtype="float32"):
    array = np.asarray(values)
    made = engine.asarray(array, dtype=dtype)
    floating = np.dtype(np.float32).kind == made.data.dtype.kind or dtype == "bfloat16"
    return engine.asarray(array, dtype=dtype, requires_grad=floating)


def passed(function, *arrays, dtype="float32", grad=True):
    """Return a job: the values of a function of leaves and their gradients by a backward pass."""

    def job():
        xs = [leaf(a, "int64" if np.asarray(a).dtype.kind in "iu" else dtype) for a in arrays]
        y = function(*xs)
        if not y.requires_grad:
            return [y]
        if y.size == 1:
            y.backward()
        else:
            weights = np.linspace(0.3, 1.7, y.size).reshape(y.shape)
            y.backward(engine.asarray(weights, dtype=y.dtype.name))
        return [y, *(x.grad for x in xs)]

    return job


EXAMPLES = {
    f"{op.name}{place}": (op, example)
    for op in engine.REGISTRY.values()
    for place, example in enumerate(op.examples)
}


def drawn(rng, x):
    if x.integer:
        return rng.integers(int(x.low), int(x.high), x.shape)
    return rng.uniform(x.low, x.high, x.shape)


@pytest.mark.parametrize(
    ("name", "dtype"), covering(EXAMPLES, ["float32", "float64", "float16", "bfloat16"])
)
def test_every_op_gives_the_same_bits(name, dtype, walks, monkeypatch):
    op, example = EXAMPLES[name]
    monkeypatch.setattr(engine.backends.half.half, "any", dtype == "bfloat16")
    rng = np.random.default_rng(7)
    arrays = [drawn(rng, x) if isinstance(x, Draw) else x for x in example.inputs]

    def function(*xs):
        given = iter(xs)
        inputs = tuple(next(given) if hasattr(x, "shape") else x for x in arrays)
        public = getattr(engine, op.name, None)
        if getattr(public, "op", None) is op and not example.attrs:
            y = public(*inputs)
        else:
            y = apply(op, inputs, example.attrs)
        return y * y if y.dtype.kind in "fV" else y

    same(passed(function, *(a for a in arrays if hasattr(a, "shape")), dtype=dtype))
    assert walks in ([], [True])
    assert walks == [] or dtype != "bfloat16"


A = np.linspace(-1.3, 1.9, 12).reshape(3, 4)
B = np.linspace(0.2, 0.9, 4)
GRAPHS = {
    "broadcast": (lambda x, y: engine.tanh(x * y) + y, (A, B)),
    "both broadcast": (lambda x, y: x - y, (A[:, :1], B)),
    "one input twice": (lambda x: (x * x + x) * x - x, (A,)),
    "a diamond": (lambda x, y: (x + y) * (x - y) / (x * y + 3.0), (A, A + 0.1)),
    "numbers": (lambda x: engine.tanh(x * 2.0 + 1) - 0.5 * x, (A,)),
    "no axes": (lambda x, y: engine.exp(x * y + x) - y, (0.3, 0.7)),
    "no axes and some": (lambda x, y: x * y + x, (0.3, A)),
    "integers": (lambda x, n: x * n + n, (A, np.arange(4))),
    "pieces and the whole": (lambda x: x[0] * x[1] + engine.sum(x * x, axis=0) + x[0], (A,)),
    "pieces first": (lambda x: engine.sum(x * 3) + engine.sum(engine.tanh(x[1])), (A,)),
    "pieces last": (lambda x: engine.sum(engine.tanh(x[1])) + engine.sum(x * 3), (A,)),
    "a product": (lambda x, y: engine.tanh(x @ y.T) @ y, (A, A)),
    "several results": (lambda x: engine.stack(list(engine.split(x, 2, axis=1))) * 2, (A,)),
    "many inputs": (lambda x, y: engine.concat([x, y, x * y, x]) * 3, (A, A)),
    "a loss": (lambda x: engine.mean(engine.log_softmax(x)[:, 1]), (A,)),
    "checkpoint": (lambda x: engine.checkpoint(lambda z: engine.tanh(z) * z)(x) * x, (A,)),
    "infinite": (lambda x: engine.sqrt(x * x * 0.0) * x, (A,)),
    "not differentiable": (lambda x: engine.floor(x) * x + engine.sign(x), (A,)),
    "deep": (lambda x: chain(x, 300), (A,)),
    "a scan": (
        lambda x: engine.scan(lambda h, v: (engine.tanh(h + v), h * v), x[0], x)[1] * 2, (A,)
    ),
}  # fmt: skip


def chain(x, length):
    y = x
    for _ in range(length):
        y = engine.tanh(y) * x + x
    return y


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_give_the_same_bits(name, dtype, walks, monkeypatch):
    monkeypatch.setattr(engine.backends.half.half, "any", False)
    function, arrays = GRAPHS[name]
    same(passed(function, *arrays, dtype=dtype), walks)


def test_mixed_dtypes_give_the_same_bits(walks, monkeypatch):
    monkeypatch.setattr(engine.backends.half.half, "any", False)

    def job():
        x, y = leaf(A, "float32"), leaf(B, "float64")
        z = leaf(A, "float16")
        out = engine.sum(engine.tanh(x * y) + z * x + z)
        out.backward()
        return [out, x.grad, y.grad, z.grad]

    same(job, walks)


def test_gradients_of_some_inputs_give_the_same_bits(walks, monkeypatch):
    monkeypatch.setattr(engine.backends.half.half, "any", False)

    def job():
        x, y = leaf(A), leaf(B)
        h = engine.tanh(x * y)
        z, other = h * y, engine.exp(y)
        return engine.gradients([z, other], [h, y, leaf(A)], [leaf(A), leaf(B)])

    same(job, walks)


def test_no_grad_and_tracing_give_the_same():
    def job():
        x = leaf(A)
        with engine.no_grad():
            y = engine.tanh(x) * x
        with engine.tracing():
            z = engine.tanh(engine.asarray(A)) * y
        assert (y.requires_grad, y._node, z.requires_grad) == (False, None, False)
        assert z.node.op.name == "multiply"
        return [y, z]

    same(job)


def test_nodes_are_the_same():
    def text():
        x = engine.asarray(A, requires_grad=True, name="x")
        with engine.scope("here", t=1):
            return engine.Graph.of(engine.tanh(x) * x + x).text()

    plain = text()
    with looking_on():
        assert text() == plain


def test_a_hook_turns_the_plain_walk_off(walks):
    x = leaf(A)
    y = engine.sum(x * x)
    seen = []
    handle = x.register_hook(seen.append)
    y.backward()
    handle.remove()
    assert len(seen) == 1
    assert walks == []
    y.backward()
    assert walks == [True]


def test_a_recorded_pass_is_general(walks):
    x = leaf(A)
    (g,) = engine.gradients(engine.sum(x * x * x), [x], create_graph=True)
    assert walks == []
    assert g.requires_grad


def test_a_released_graph_is_refused_both_ways():
    def job():
        x = leaf(A)
        y = engine.tanh(x)
        engine.sum(y * x).backward(retain_graph=False)
        engine.sum(y).backward()
        return []

    kind, text = same(job)
    assert kind is RuntimeError
    assert "was released" in text


def test_errors_are_the_same():
    cases = [
        lambda: engine.add(leaf(A), leaf(A[:, :3])), lambda: engine.add(leaf(A)),
        lambda: engine.tanh(leaf(A), leaf(A)), lambda: engine.tanh(), lambda: engine.tanh(None),
        lambda: engine.tanh(leaf(A), out=None, where=1), lambda: leaf(A) @ leaf(A),
        lambda: engine.multiply(leaf(A), "a"), lambda: engine.add(1, None),
    ]  # fmt: skip
    for case in cases:
        found = same(lambda case=case: [case()])
        assert isinstance(found, tuple), "each of these is an error"


def test_a_failing_rule_raises_its_error_both_ways(walks):
    def fail(xp, g, out, x):
        raise ZeroDivisionError("planted")

    def job():
        x = leaf(A)
        engine.sum(apply(Op("broken", lambda xp, x: x * 1, (fail,)), (x * x,), {})).backward()
        return []

    assert same(job) == (ZeroDivisionError, "planted")


def test_a_changed_leaf_keeps_the_values_that_were_used(walks):
    def job():
        x = leaf(A)
        y = engine.tanh(x) * x
        x.data = x.data - 1
        engine.sum(y).backward()
        return [y, x.grad]

    same(job)


@pytest.mark.parametrize("swap", [False, True])
def test_of_tensors_that_share_a_node_the_general_walk_decides(swap, walks, monkeypatch):
    monkeypatch.setattr(engine.backends.half.half, "any", False)

    def job():
        x = leaf(A)
        other = copy.copy(x)
        pair = (other, x) if swap else (x, other)
        engine.sum(engine.multiply(*pair) + x).backward()
        return [x.grad, other.grad]

    same(job)
    assert walks == [False]


def test_a_wrong_walk_is_noticed(monkeypatch):
    """Plant a fault in the plain walk: the comparison of this file must fail."""
    engine.hooks.HOOKED.clear()  # of tensors that other tests left behind
    monkeypatch.setattr(engine.backends.half.half, "any", False)  # since another test
    plain = engine.backward.plain_walk
    monkeypatch.setattr(engine.backends.half.half, "any", False)

    def wrong(*given):
        found = plain(*given)
        found[0][1]._data = np.nextafter(found[0][1]._data, np.float32(9))
        return found

    monkeypatch.setattr(engine.backward, "plain_walk", wrong)
    with pytest.raises(AssertionError):
        same(passed(*[GRAPHS["broadcast"][0], *GRAPHS["broadcast"][1]]))
