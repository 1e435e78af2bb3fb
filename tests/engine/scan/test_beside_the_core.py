"""Test the ops that a kernel computes beside the core of a derived program: which these are, that
the numbers are those of the loop, and that no pass over all steps is left that they could have
saved.
"""

from collections import Counter

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c import division
from engine.scan.c.core import CCore
from engine.scan.derivative import derivative, worth_saving
from engine.scan.executors import Fused
from engine.scan.explicit import Explicit
from engine.scan.kernels.beside import joined
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.plan import PlanCore
from engine.scan.rows import turned
from engine.scan.time_batched import TimeBatched
from tests.draws import covering, normal, normal_leaf
from tests.engine.scan.recorded_programs import derivative_of, of_cell
from tests.engine.scan.test_fused import only

T, B, H = 7, 4, 6
COMPILED = Fused(CCore(), PlanCore())


def two_levels(dtype):
    W, U = normal_leaf(H, H, dtype=dtype), normal_leaf(H, H, salt=1, dtype=dtype)

    def step(h, x):
        a = engine.tanh(x + engine.linear(h, W))
        z = engine.sigmoid(engine.linear(a, U))
        h = (1.0 - z) * h + z * a
        return h, h * h

    return step, [W, U]


def affine(dtype):
    Z, N = normal_leaf(H, H, dtype=dtype), normal_leaf(H, H, salt=1, dtype=dtype)

    def step(h, x):
        z = engine.sigmoid(engine.linear(x, Z))
        h = (1.0 - z) * h + z * engine.linear(x, N)
        return h, h

    return step, [Z, N]


def with_kinks(dtype):
    """Compare, with ties: the rows and columns of x are equal in pairs."""
    W = normal_leaf(H, H, dtype=dtype)

    def step(h, x):
        a = engine.linear(h, W) + x
        b = engine.maximum(a * 0.5 + h, x[:, ::-1] * h) + engine.abs(a - h * x)
        top = engine.max(b, axis=-1, keepdims=True)
        h = engine.tanh(b - top * engine.clip(a, -0.5, 0.5))
        return h, engine.cumsum(h, axis=-1) * a

    return step, [W]


def from_the_right(dtype):
    """Multiply by a weight on the left of a transposed input."""
    W, U = normal_leaf(H, H, dtype=dtype), normal_leaf(H, H, salt=1, dtype=dtype)

    def step(h, x):
        h = engine.tanh(engine.permute_dims(W @ engine.permute_dims(x, (1, 0)), (1, 0)) + h @ U)
        return h, h

    return step, [W, U]


def rows_in_another_order(dtype):
    """Read rows in another order: rows of other threads cannot be computed by the kernel."""
    W = normal_leaf(H, H, dtype=dtype)

    def step(h, x):
        z = engine.sigmoid(x @ W)
        h = engine.tanh(h * engine.flip(z, axis=0) + z)
        return h, h * z

    return step, [W]


STEPS = {f.__name__: f for f in (two_levels, affine, with_kinks, from_the_right,
                                 rows_in_another_order)}  # fmt: skip


def product_with_hessian(name, dtype="float64", **options):
    step, weights = STEPS[name](dtype)
    x = normal_leaf(T, B, H, salt=5, dtype=dtype)
    h = normal_leaf(B, H, salt=6, dtype=dtype)
    if name == "with_kinks":
        x = engine.asarray(np.round(x.numpy() * 2) / 2, requires_grad=True)
    wrt = [x, h, *weights]

    def gradient(create_graph):
        _, ys = engine.scan(step, h, x, **options)
        return engine.gradients(engine.sum(ys * ys * ys), wrt, create_graph=create_graph)

    def product():
        ways = [engine.asarray(normal(*p.shape, salt=9 + i).astype(dtype))
                for i, p in enumerate(wrt)]  # fmt: skip
        return [one.numpy() for one in engine.gradients(gradient(True), wrt, ways)]

    return product


@pytest.mark.parametrize(
    ("name", "options"),
    covering(STEPS, [{}, {"reverse": True}, {"lengths": [7, 0, 3, 5]}]), ids=str,
)  # fmt: skip
def test_products_with_the_hessian_are_those_of_the_loop(name, options):
    with only(COMPILED):
        ours = product_with_hessian(name, **options)()
    with only(Explicit()):
        theirs = product_with_hessian(name, **options)()
    for one, other in zip(ours, theirs, strict=True):
        scale = np.abs(other).max()
        assert scale > 0
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize(("name", "threads"), covering(STEPS, [2, 3]))
def test_threads_change_no_bit_of_them(name, threads, monkeypatch):
    monkeypatch.setattr(division, "SMALL", 0)
    division.divided.cache_clear()
    product = product_with_hessian(name)
    before = engine.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            engine.set_num_threads(count)
            with only(COMPILED):
                found.append(product())
    finally:
        engine.set_num_threads(before)
        division.divided.cache_clear()
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


# ---- what is left to array ops


@pytest.mark.parametrize("make", [rnn.LSTM, rnn.GRU])
def test_no_element_wise_pass_over_all_steps_is_left(make, monkeypatch):
    # But sums of products, which are there only after the kernel or before it.
    engine.seed(3)
    layer = make(H, H)
    x = engine.asarray(normal(T, B, H).astype("float32"))
    own = list(layer.parameters())
    ways = [engine.ones_like(p) for p in own]
    passes, real = Counter(), TimeBatched._time_batched

    def counted(self, value):
        if self.steps == T and value.position in self.program.varies:
            passes[value.op.kind, value.op.name] += 1
        return real(self, value)

    def product():
        g = engine.gradients(engine.sum(layer(x)[0] ** 2), own, create_graph=True)
        return engine.gradients(g, own, ways)

    with only(COMPILED):
        product()  # compiles, and holds what it compiles against the plan
        monkeypatch.setattr(TimeBatched, "_time_batched", counted)
        product()
    found = {name: n for (kind, name), n in passes.items() if kind == "elementwise"}
    assert set(found) <= {"add"}
    assert passes["product", "linear"] + passes["product", "matmul"] >= 3  # or nothing is counted


def derived(step, shapes=((B, H), (T, B, H))):
    """Return the program of a recorded backward pass, which is derived, and its derivative."""
    h, x = (normal_leaf(*shape, salt=i) for i, shape in enumerate(shapes))
    return derivative_of(step, h, x, saved=False).program


def test_only_derived_programs_have_ops_beside_their_core():
    engine.seed(1)
    cell = rnn.GRUCell(H, H, dtype="float64")
    first, again = of_cell(cell), of_cell(cell, saved=False)
    assert not first.program.derived
    assert not first.forward.derived
    assert again.program.derived
    assert joined(lowered(again.program)).beside
    needs = frozenset((*again.program.per_step, *again.program.fixed))
    counts = (tuple(range(len(x))) for x in (again.program.steps, again.program.totals))
    assert derivative(again.program, needs, *counts, saved=True).program.derived


def test_what_is_compared_is_not_computed_by_a_kernel():
    step, _ = with_kinks("float64")
    program = lowered(derived(step))
    whole = joined(program)
    compared = {p for value in program.values if value.dtype == "bool" for p in value.operands}
    assert compared - set(program.leaves.values())
    assert whole.beside
    assert not compared & whole.beside


def test_what_is_read_in_other_rows_is_not_computed_by_a_kernel_beside_its_core():
    step, _ = rows_in_another_order("float64")
    program = lowered(derived(step))
    whole = joined(program)
    assert KernelLayout(program).rows  # the core is shared by threads, each with its rows
    turning = {p for value in program.values if value.position not in program.depends
               for p in value.operands if value.op and value.op.name == "flip"}  # fmt: skip
    assert turning - set(program.leaves.values())
    assert not turning & whole.beside


def test_rows_of_what_is_beside_the_core_are_those_of_the_batch():
    for make in STEPS.values():
        whole = joined(lowered(derived(make("float64")[0])))
        layout = KernelLayout(whole)
        assert all(layout.rows.get(p, 0) == 0 for p in whole.beside)
        assert not whole.beside & whole.hoisted
        assert not whole.beside & whole.deferred


def test_what_is_quickly_computed_again_is_not_saved():
    step, _ = two_levels("float64")
    program = derived(step)
    saved = worth_saving(program)
    for value in program.values:
        if value.position in saved:
            assert turned(program, value.position) is None
        elif value.op is not None and value.position in program.varies:
            assert value.op.kind in ("elementwise", "layout")
            assert value.op.name not in ("tanh", "sigmoid")
    assert len(saved) < len(program.varies) / 2
