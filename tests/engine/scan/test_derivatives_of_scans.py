"""Test derivatives of fused recurrences: recorded backward programs are affine, higher orders equal
those of the loop and stay fused, and cost what a product with the Hessian should cost.
"""

import math

import numpy as np
import pytest

import engine
import rnn
from engine.backends import HOST
from engine.errors import NotRecordableError
from engine.scan import recurrence
from engine.scan.derivative import derivative
from engine.scan.explicit import Explicit
from tests.draws import crossed, first, normal, normal_leaf
from tests.engine.scan.recorded_programs import derivative_of, evaluated, of_cell
from tests.engine.scan.step_checks import REFUSALS
from tests.engine.scan.step_programs import made, namespace
from tests.engine.scan.test_fused import CELLS, core, only

__all__ = ["core"]  # the fixture: each fused executor alone

# ---- every backward program is affine in its states


def drawn(program, seed):
    """Return numbers for every leaf of a program: in (0.2, 0.8), and indices 0."""
    rng = np.random.default_rng(seed)
    found = {}
    for source, at in program.leaves.items():
        value = program.values[at]
        if source[0] == "constant":
            continue
        if value.dtype.kind == "b":
            found[source] = HOST.asarray(rng.random(value.shape) < 0.6, None, None)
        elif value.dtype.kind in "iu":
            found[source] = HOST.asarray(np.zeros(value.shape, str(value.dtype)), None, None)
        else:
            array = rng.uniform(0.2, 0.8, value.shape).astype(str(value.dtype))
            found[source] = HOST.asarray(array, None, None)
    return found


def gap_from_affine(program, seed=0, share=0.3):
    """Return |f(a u + (1-a) v) - a f(u) - (1-a) f(v)| relative to f, None without numbers."""
    fixed = drawn(program, seed)
    states = [source for source in program.leaves if source[0] == "carry"]
    u, v = ({s: normal(*fixed[s].shape, salt=seed + k).astype(str(fixed[s].dtype)) for s in states}
            for k in (1, 2))  # fmt: skip
    between = {s: (share * u[s] + (1 - share) * v[s]).astype(u[s].dtype) for s in states}
    with np.errstate(all="ignore"):
        at_u, at_v, at = (evaluated(program, {**fixed, **one}) for one in (u, v, between))
    worst = 0.0
    for one, two, found in zip(at_u, at_v, at, strict=True):
        one, two, found = (np.asarray(x, "float64") for x in (one, two, found))
        scale = 1.0 + max(np.abs(one).max(initial=0), np.abs(two).max(initial=0))
        if not np.isfinite(scale):
            return None
        worst = max(worst, np.abs(found - share * one - (1 - share) * two).max(initial=0) / scale)
    return worst


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_the_backward_of_every_cell_is_affine_in_its_states(name, saved):
    engine.seed(1)
    own = of_cell(CELLS[name](3, 5, "float64"), saved=saved)
    assert gap_from_affine(own.program) < 1e-12
    assert gap_from_affine(own.forward) > 1e-6 or name == "relu"  # or the check sees nothing


@pytest.mark.parametrize("name", CELLS)
def test_the_backward_of_a_backward_is_affine_too(name):
    engine.seed(1)
    program = of_cell(CELLS[name](3, 5, "float64"), saved=False).program
    needs = frozenset((*program.per_step, *program.fixed))
    steps, totals = (tuple(range(len(x))) for x in (program.steps, program.totals))
    again = derivative(program, needs, steps, totals, saved=True)
    assert gap_from_affine(again.program) < 1e-12


def programs_of(seed):
    """Return the programs of a random step: forward and backward; None where it is not recorded."""
    names = namespace(made(seed).source())
    options = {k: v for k, v in names["options"].items() if k != "length" or names["xs"] is None}
    options.pop("checkpoint", None)
    try:
        own = derivative_of(names["step"], names["init"], names["xs"], **options)
    except (NotRecordableError, *REFUSALS):
        return None
    return own if own.states and own.program.leaves else None


@pytest.mark.parametrize("start", first(1, range(0, 200, 50)))
def test_the_backward_of_random_steps_is_affine_in_its_states(start):
    gaps = {}
    for seed in range(start, start + 50):
        own = programs_of(seed)
        gaps[seed] = None if own is None else gap_from_affine(own.program, seed)
    found = {seed: gap for seed, gap in gaps.items() if gap is not None}
    assert len(found) >= 25  # the others ask for numbers, or overflow
    # A claim about floats of any width: random steps are of both.
    assert {seed: gap for seed, gap in found.items() if gap > 1e-5} == {}


# ---- higher orders equal those of the loop


def minimal(seed=0):
    """Take a step of a minimal GRU: z and n depend on the input alone."""
    Z, N = normal_leaf(3, 2, salt=seed), normal_leaf(3, 2, salt=seed + 1)

    def step(h, x):
        z = engine.sigmoid(engine.linear(x, Z))
        h = (1.0 - z) * h + z * engine.linear(x, N)
        return h, h

    return step, [Z, N]


def of_a_cell(cell):
    def maker():
        engine.seed(2)
        made_now = cell()
        return rnn.Recurrent(made_now).step(), list(made_now.parameters())

    return maker


def matrix():
    """Update a state of one matrix a row, written by an outer product and read by a query."""
    K, V = normal_leaf(3, 2, salt=1), normal_leaf(3, 2, salt=2)

    def step(S, x):
        k, v = engine.tanh(engine.linear(x, K)), engine.linear(x, V)
        old = engine.einsum("bkv,bk->bv", S, k)
        S = 0.9 * S + k[:, :, None] * (v - old)[:, None, :]
        return S, engine.einsum("bkv,bk->bv", S, engine.tanh(v))

    return step, [K, V]


T, B = 5, 4
STEPS = {
    "minimal": (minimal, [(B, 3)]),
    "matrix": (matrix, [(B, 3, 3)]),
    "gru": (of_a_cell(lambda: rnn.GRUCell(2, 3, dtype="float64")), [(B, 3)]),
    "lstm": (of_a_cell(lambda: rnn.LSTMCell(2, 3, dtype="float64")), [(B, 3), (B, 3)]),
}
HOLES = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0]], bool)
OPTIONS = {
    "plain": {},
    "mask": {"mask": HOLES},
    "lengths, reverse": {"lengths": [5, 0, 3, 1], "reverse": True},
    "checkpoint, lengths": {"checkpoint": 2, "lengths": [5, 0, 3, 1]},
    "reverse": {"reverse": True},
    "lengths": {"lengths": [5, 0, 3, 1]},
    "mask, reverse": {"mask": HOLES, "reverse": True},
    "checkpoint": {"checkpoint": True},
}


def weighted(tensors, salt):
    """Return one number of tensors, without symmetries."""
    parts = [engine.sum(x * normal(*x.shape, salt=salt + i)) for i, x in enumerate(tensors)]
    return sum(parts[1:], parts[0])


def orders_of_the_loop(name, count, *, checkpoint=False, **options):
    with only(Explicit()):
        return orders(name, count, **options)


def orders(name, count, **options):
    """Return derivatives from order 0 up to an order, each of a weighted sum of those before."""
    make, shapes = STEPS[name]
    step, weights = make()
    init = tuple(normal_leaf(*shape, salt=7 + i) * 0.5 for i, shape in enumerate(shapes))
    xs = normal_leaf(T, B, 2, salt=3)
    finals, ys = engine.scan(step, init[0] if len(init) == 1 else init, xs, **options)
    now = [ys, *(finals if isinstance(finals, tuple) else (finals,))]
    found = [now]
    wrt = [xs, *init, *weights]
    for order in range(count):
        g = engine.gradients(weighted(now, 11 * order), wrt, create_graph=order + 1 < count)
        now = [engine.zeros_like(x) if one is None else one for one, x in zip(g, wrt, strict=True)]
        found.append(now)
    return [[x.numpy() for x in one] for one in found]


def equal(ours, theirs, tolerance=1e-9):
    for order, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for number, (x, y) in enumerate(zip(one, other, strict=True)):
            scale = max(1.0, float(np.abs(y).max(initial=0.0)))
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * scale,
                                       err_msg=f"order {order}, number {number}")  # fmt: skip


@pytest.mark.parametrize(("options", "name"), first(4, crossed(OPTIONS, STEPS)))
def test_second_and_third_order_are_those_of_the_loop(name, options, core):
    count = 2 if core == "c" and options not in ("plain", "mask") else 3  # kernels take seconds
    ours = orders(name, count, **OPTIONS[options])
    equal(ours, orders_of_the_loop(name, count, **OPTIONS[options]))


OPS = {
    "rows": lambda h: h - engine.mean(h * h, axis=0, keepdims=True),
    "max": lambda h: h - engine.max(h, axis=-1, keepdims=True),
    "turned": lambda h: engine.roll(engine.flip(h, axis=-1), 1, axis=-1) * h,
    "sort": lambda h: engine.sort(h, axis=-1),
    "cumsum": lambda h: engine.cumsum(h * h, axis=-1),
    "var": lambda h: engine.var(h, axis=-1, keepdims=True) + h,
    "logsumexp": lambda h: engine.logsumexp(h, axis=-1, keepdims=True) * h,
    "softmax": lambda h: engine.softmax(h, axis=-1),
    "prod": lambda h: engine.prod(h, axis=-1, keepdims=True) + h,
    "norm": lambda h: h / engine.norm(h + 2.0, axis=-1, keepdims=True),
    "power": lambda h: (2.0 + h) ** engine.sigmoid(h),
}


@pytest.mark.parametrize(("name", "options"), first(2, crossed(OPS, ["plain", "lengths"])))
def test_third_order_of_ops_in_a_step(name, options):
    def run():
        h0, xs = normal_leaf(B, 3), normal_leaf(T, B, 3)

        def step(h, x):
            h = engine.tanh(OPS[name](h + x))
            return h, h * h

        now = list(engine.scan(step, h0, xs, **OPTIONS[options]))
        found = [[x.numpy() for x in now]]
        for order in range(3):
            now = engine.gradients(weighted(now, order), [h0, xs], create_graph=True)
            found.append([x.numpy() for x in now])
        return found

    ours = run()
    with only(Explicit()):
        equal(ours, run(), 1e-8)


@pytest.mark.parametrize("k", range(5))
def test_derivatives_of_a_power_of_any_order(k, core):
    # The final state is a^n, with known derivatives.
    n, at = 6, 1.3
    a = engine.asarray(at, dtype="float64", requires_grad=True)
    out, _ = engine.scan(lambda h, _: (h * a, None), engine.ones((1, 1), dtype="float64"), None,
                         length=n)  # fmt: skip
    out = engine.sum(out)
    for _ in range(k):
        (out,) = engine.gradients(out, [a], create_graph=True)
    falling = np.prod([n - i for i in range(k)])
    assert out.item() == pytest.approx(falling * at ** (n - k), rel=1e-12)


@pytest.mark.parametrize("make", first(1, [rnn.LSTM, rnn.GRU, rnn.RNN]))
def test_products_with_jacobians_and_hessians_go_through_layers(make, core):
    engine.seed(3)
    layer = make(2, 3, dtype="float64")
    x, v = engine.asarray(normal(6, 2, 2)), engine.asarray(normal(6, 2, 2, salt=1))

    def out(x):
        return layer(x)[0]

    def loss(x):
        return engine.sum(layer(x)[0] ** 2)

    def products():
        (hv,) = engine.hessian_vector_product(loss, (x,), (v,))
        y, tangent = engine.jvp(out, (x,), (v,))
        return [y.numpy(), tangent.numpy(), hv.numpy()]

    found = [products()]
    with only(Explicit()):
        found.append(products())
    step = 1e-6
    ahead, behind = (engine.grad(loss)(x + s * v).numpy() for s in (step, -step))
    found.append([*found[1][:2], (ahead - behind) / (2 * step)])
    ahead, behind = (out(x + s * v).numpy() for s in (step, -step))
    found.append([found[1][0], (ahead - behind) / (2 * step), found[1][2]])
    equal([found[0]], [found[1]], 1e-10)
    equal([found[0]], [found[2]], 1e-6)
    equal([found[0]], [found[3]], 1e-6)


def test_the_graph_of_a_recorded_gradient_has_no_loop():
    # Nodes do not grow with time, for a gradient and for the gradient of that.
    engine.seed(3)
    layer = rnn.GRU(2, 3)
    counts = []
    for steps in (3, 50):
        x = engine.ones((steps, 2, 2), requires_grad=True)
        g = engine.gradients(engine.sum(layer(x)[0] ** 2), [x, *layer.parameters()],
                             create_graph=True)  # fmt: skip
        total = sum((engine.sum(one * one) for one in g[1:]), engine.sum(g[0] ** 2))
        again = engine.gradients(total, list(layer.parameters()), create_graph=True)
        for graph in (engine.Graph.of(*g), engine.Graph.of(*again)):
            names = [node.op.name for node in graph.nodes]
            counts.append((len(names), names.count("scan")))
    assert counts[:2] == counts[2:]
    assert counts[0][1] == 2  # the layer and its gradient
    assert counts[1][1] >= 4


# ---- what it costs


@pytest.fixture
def executed(monkeypatch):
    """Return a list to which every recurrence adds its core, its program and its steps."""
    seen, real = [], recurrence.execute

    def execute(core, program, carry, sources, steps, *, reverse):
        seen.append((core.name, program, steps))
        return real(core, program, carry, sources, steps, reverse=reverse)

    monkeypatch.setattr(recurrence, "execute", execute)
    return seen


def operations(program, steps):
    """Count the numbers that a program computes; each term of a product counts as one."""
    total = 0
    for value in program.values:
        if value.op is not None:
            product = value.op.kind == "product"
            terms = program.values[value.operands[0]].shape[-1] if product else 1
            total += math.prod(value.shape) * terms
    return total * steps


def test_a_product_with_the_hessian_costs_a_few_gradients(executed):
    # It is counted, as time depends on what else the machine does: 4 recurrences, 3.85 times the
    # operations. A part in a loop, or one that is computed twice, would show.
    engine.seed(4)
    layer = rnn.GRU(16, 32)
    x = engine.asarray(normal(256, 8, 16).astype("float32"))
    own = list(layer.parameters())
    ways = [engine.asarray(normal(*p.shape, salt=i).astype("float32")) for i, p in enumerate(own)]

    def gradient():
        return engine.gradients(engine.sum(layer(x)[0] ** 2), own)

    def product():
        g = engine.gradients(engine.sum(layer(x)[0] ** 2), own, create_graph=True)
        along = [engine.sum(one * way) for one, way in zip(g, ways, strict=True)]
        return engine.gradients(sum(along[1:], along[0]), own)

    def cost(job):
        job()  # compiles, and holds what it compiles against the plan
        executed.clear()
        job()
        return [core for core, _, _ in executed], sum(operations(*rest) for _, *rest in executed)

    (cores, once), (more, whole) = cost(gradient), cost(product)
    assert (len(cores), len(more)) == (2, 4)
    assert set(more) == set(cores)
    assert whole < 4 * once
