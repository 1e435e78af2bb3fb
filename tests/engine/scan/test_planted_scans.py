"""Plant faults in the fused executors: the checks of the other tests must find each of them."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine.scan import derivative, masked, nodes, reading, recorded
from engine.scan.c.core import CCore
from engine.scan.checkpointed import CheckpointedRecurrence
from engine.scan.executors import Fused
from engine.scan.kernels.nest import ROW, At, Nest
from engine.scan.padding import over
from engine.scan.plan import PlanCore
from engine.scan.program import Value
from engine.scan.recurrence import Recurrence
from engine.scan.time_batched import TimeBatched
from tests.draws import first, normal, normal_leaf
from tests.engine.scan.recorded_programs import of_cell
from tests.engine.scan.step_checks import check_source
from tests.engine.scan.test_derivatives_of_scans import (
    equal,
    gap_from_affine,
    orders,
    orders_of_the_loop,
)
from tests.engine.scan.test_fused import CELLS, CORES, agree, only, results
from tests.engine.scan.test_random_steps import STEADY


@pytest.fixture(autouse=True)
def _no_programs_from_before(monkeypatch):
    """Compile programs for every test, and remove those with a fault after it."""
    monkeypatch.setattr(recorded, "_programs", OrderedDict())


def finds(check, *args, **options):
    """Assert that a check fails, and only with the fault that is planted."""
    with pytest.raises(AssertionError):
        check(*args, **options)


def ragged(name="lstm"):
    engine.seed(1)
    agree(CELLS[name](3, 5, "float64"), (6, 4), lengths=[6, 0, 3, 1])


def whole(name="lstm"):
    engine.seed(1)
    agree(CELLS[name](3, 5, "float64"), (6, 4))


def fuzzed(source=STEADY):
    assert check_source(source, explain=False).status == "equal"


def nan_in_padding():
    """Check, as tests/engine/scan/test_fused.py does, that not a bit changes."""
    engine.seed(3)
    cell, lengths, x = CELLS["elman"](3, 5, "float64"), [4, 0, 2], normal(4, 3, 3)
    dirty = x.copy()
    for row, length in enumerate(lengths):
        dirty[length:, row] = np.nan
    states = [normal(3, 5)]
    clean, padded = (
        results(cell, one, states, explicit=False, lengths=lengths) for one in (x, dirty)
    )
    for one, other in zip(clean, padded, strict=True):
        np.testing.assert_array_equal(one, other)


CHECKS = [fuzzed, ragged, whole, nan_in_padding]


@pytest.mark.parametrize("check", first(1, CHECKS))
def test_without_a_fault_the_checks_pass(check):
    check()


# ---- masks


@pytest.mark.parametrize("executor", CORES)
def test_an_executor_that_ignores_the_mask(executor, monkeypatch):
    monkeypatch.setattr(masked, "select_rows", lambda rows, new, old: new)
    with only(CORES[executor]):
        finds(ragged)
    finds(fuzzed)


def test_padding_that_is_multiplied_by_zero(monkeypatch):
    # Right without NaN; zero times NaN is NaN.

    def product(rows, new, old):
        there = engine.astype(over(rows, new), str(new.dtype))
        return new * there + old * (1.0 - there)

    monkeypatch.setattr(masked, "select_rows", product)
    ragged()
    finds(nan_in_padding)


def zeros_in_padding():
    """Check that the divisor of a row without a step reaches no gradient."""
    W = engine.asarray(normal(3, 3), requires_grad=True)
    x = 2.0 + 0.2 * normal(4, 2, 3)

    def step(h, x):
        h = engine.tanh(h + W[0] / x)
        return h, h

    found = []
    for filling in (1.0, 0.0):
        x[2:, 1] = filling
        with np.errstate(all="ignore"):
            _, y = engine.scan(step, engine.zeros((2, 3), dtype="float64"), x, lengths=[4, 2])
            found.append(engine.gradients(engine.sum(y), [W])[0].numpy())
    assert np.isfinite(found).all()
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.mark.parametrize("executor", CORES)
def test_gradients_that_depend_on_padding(executor, monkeypatch):
    # Without the guard in derivatives zero meets infinity.
    with only(CORES[executor]):
        zeros_in_padding()
        monkeypatch.setattr(derivative, "_guarded", lambda program, made: reading.Recording())
        monkeypatch.setattr(recorded, "_programs", OrderedDict())
        finds(zeros_in_padding)


# ---- rows


def test_a_kernel_that_reads_row_0(monkeypatch):
    right = Nest.load

    def first_row(self, p, index):
        kept = [At(tuple(f for f in at.factors if f[0] != ROW), at.offset) for at in index]
        return right(self, p, tuple(kept))

    monkeypatch.setattr(Nest, "load", first_row)
    with only(Fused(CCore())):
        finds(whole)


# ---- programs that are remembered


def forgetting(part):
    """Return a signature that leaves out a part."""

    def signature(values):
        found = []
        for v in reading.signature(values):
            head, inputs, attrs, *rest = v
            if part == "literals":
                inputs = tuple(one if isinstance(one, int) else "number" for one in inputs)
            found.append((head, inputs, None if part == "attributes" else attrs, *rest))
        return tuple(found)

    return signature


FACTORS = {"literals": [(0.5,), (0.25,)], "attributes": [(slice(0, 2),), (slice(1, 3),)]}


def steps_are_told_apart(part):
    """Check the results of steps that differ in a number, or in a setting of an op."""
    for (factor,) in FACTORS[part]:

        def step(h, x, factor=factor):
            if part == "literals":
                h = engine.tanh(h * factor + x)
            else:
                h = engine.concat([h[:, factor], engine.sin(h[:, :1])], axis=1) + x
            return h, h

        found = []
        for unroll in (None, True):
            h, x = normal_leaf(2, 3), normal_leaf(4, 2, 3)
            _, y = engine.scan(step, h, x, unroll=unroll)
            found.append([one.numpy() for one in (y, *engine.gradients(engine.sum(y**2), [h, x]))])
        equal([found[0]], [found[1]])


@pytest.mark.parametrize("part", FACTORS)
def test_a_memo_that_forgets(part, monkeypatch):
    steps_are_told_apart(part)
    monkeypatch.setattr(recorded, "_programs", OrderedDict())
    monkeypatch.setattr(recorded, "signature", forgetting(part))
    finds(steps_are_told_apart, part)


# ---- derivatives


def test_a_backward_program_that_is_not_affine_is_found():
    # A derivative that carries a square.
    own = of_cell(CELLS["elman"](3, 5, "float64")).program
    assert gap_from_affine(own) < 1e-12
    (at,) = own.carry
    last = own.values[at]
    square = Value(len(own.values), engine.REGISTRY["multiply"], (at, at), {}, last.shape,
                   last.dtype, None, "")  # fmt: skip
    wrong = replace(own, values=(*own.values, square), carry=(square.position,), memo={})
    assert gap_from_affine(wrong) > 1e-3


def second_order():
    equal(orders("gru", 2), orders_of_the_loop("gru", 2))


def test_a_derivative_that_forgets_a_path_is_found_at_its_order(monkeypatch):
    # First derivatives are right; the second order takes the saved states for constants.
    second_order()
    monkeypatch.setattr(recorded, "_programs", OrderedDict())
    right, apply = nodes.differentiated, nodes.apply

    def without_past(job, g, whole, inputs):
        def cut(op, given, attrs):
            out = apply(op, given, attrs)
            return out.detach() if given[0] is whole else out

        monkeypatch.setattr(nodes, "apply", cut)
        try:
            return right(job, g, whole, inputs)
        finally:
            monkeypatch.setattr(nodes, "apply", apply)

    monkeypatch.setattr(nodes, "differentiated", without_past)
    whole()
    finds(second_order)


def test_sums_over_time_that_miss_the_last_step(monkeypatch):
    right = TimeBatched._contracted

    def short(self, value):
        out = right(self, value)
        left, other = (self.over_time(p)[-1] for p in value.operands[:2])
        return None if out is None else out - left @ other

    monkeypatch.setattr(TimeBatched, "_contracted", short)
    with only(Fused(PlanCore())):
        finds(whole)


def test_a_checkpoint_that_begins_its_segments_with_the_first_state(monkeypatch):
    def check():
        equal(orders("lstm", 1, checkpoint=2), orders_of_the_loop("lstm", 1))

    check()
    right = CheckpointedRecurrence.backward

    def stale(self, g, out, inputs):
        out.saved = [out.saved[0] for _ in out.saved]
        return right(self, g, out, inputs)

    monkeypatch.setattr(CheckpointedRecurrence, "backward", stale)
    finds(check)


def test_a_reversed_recurrence_that_runs_forward(monkeypatch):
    def check():
        engine.seed(1)
        agree(CELLS["lstm"](3, 5, "float64"), (6, 4), reverse=True)

    check()
    right = Recurrence.backward

    def forward_again(self, g, out, inputs):
        self.reverse = not self.reverse
        try:
            return right(self, g, out, inputs)
        finally:
            self.reverse = not self.reverse

    monkeypatch.setattr(Recurrence, "backward", forward_again)
    finds(check)
