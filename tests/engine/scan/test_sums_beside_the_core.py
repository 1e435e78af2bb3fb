"""Test sums that a kernel takes beside the core of a state with two axes of units: the numbers are
those of the loop to second order, no array as large as the states is made for them, and their bits
do not depend on threads.
"""

import tracemalloc

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c import core
from engine.scan.c.core import CCore
from engine.scan.executors import Fused
from engine.scan.kernels.beside import is_in_order, reduced
from engine.scan.kernels.lowering import lowered
from engine.scan.plan import PlanCore
from engine.scan.program import Program
from tests.draws import covering, first, normal
from tests.engine.scan.recorded_programs import of_cell
from tests.engine.scan.test_fused import only

COMPILED = Fused(CCore(), PlanCore())
SHAPES = [(6, 3, 5, 4), (6, 1, 1, 1), (6, 1, 5, 4), (6, 2, 1, 4), (6, 2, 5, 1), (1, 2, 3, 2)]


def selective(fixed):
    """Take a step of a selective state space: sums over D, N and the time of its derivative."""

    def step(h, x):
        d = engine.softplus(x["d"])[:, :, None]
        h = engine.exp(-d * engine.exp(fixed)) * h + d * x["b"][:, None, :] * x["x"][:, :, None]
        return h, engine.sum(h * x["c"][:, None, :], axis=2)

    return step


def memory(fixed):
    """Update a matrix memory that is read over its first axis of units, and as one number."""

    def step(S, x):
        S = engine.tanh(fixed) * S + x["x"][:, :, None] * x["b"][:, None, :]
        return S, (engine.sum(S * x["d"][:, :, None], axis=1), engine.sum(S * S, axis=(1, 2)))

    return step


def stacked(fixed):
    """Update three axes of units, read over the last two together and separately."""

    def step(S, x):
        new = x["x"][:, :, None] * x["b"][:, None, :]
        S = engine.sigmoid(fixed)[:, :, None] * S + new[:, :, :, None] * engine.ones((2,))
        return S, (engine.sum(S * S, axis=(2, 3)), engine.sum(S * S, axis=(1, 3)))

    return step


def chosen_from(fixed):
    """Choose from numbers of a row and a column, with ties at 0."""

    def step(h, x):
        spread = x["d"][:, :, None] * x["b"][:, None, :]
        h = engine.maximum(spread, 0.0) + engine.tanh(fixed) * h
        return h, engine.sum(engine.maximum(h, spread) * x["c"][:, None, :], axis=-1, keepdims=True)

    return step


STEPS = {f.__name__: f for f in (selective, memory, stacked, chosen_from)}


def leaves(shape, dtype="float64", zeros=False):
    T, B, D, N = shape
    sizes = {"x": (T, B, D), "d": (T, B, D), "b": (T, B, N), "c": (T, B, N), "a": (D, N)}
    made = {name: np.zeros(size) if zeros else normal(*size, salt=i)
            for i, (name, size) in enumerate(sizes.items())}  # fmt: skip
    return {name: engine.asarray(x.astype(dtype), requires_grad=True) for name, x in made.items()}


def job(name, given, **options):
    """Return the gradients of all inputs and of the state, and a product with the Hessian."""
    (_, B, D), N = given["x"].shape, given["b"].shape[2]
    size = (B, D, N, 2) if name == "stacked" else (B, D, N)
    dtype = str(given["x"].dtype)
    h = engine.asarray(normal(*size, salt=9).astype(dtype), requires_grad=True)
    wrt = [*given.values(), h]

    def numbers(second=True):
        xs = {one: x for one, x in given.items() if one != "a"}
        final, ys = engine.scan(STEPS[name](given["a"]), h, xs, **options)
        ys = ys if isinstance(ys, tuple) else (ys,)
        loss = engine.sum(final * final) + sum(engine.sum(y * y * y) for y in ys)
        found = engine.gradients(loss, wrt, create_graph=second)
        if not second:
            return [one.numpy() for one in found if one is not None]
        pairs = [(one, x) for one, x in zip(found, wrt, strict=True) if one is not None]
        ways = [engine.asarray(normal(*x.shape, salt=20 + i)) for i, (_, x) in enumerate(pairs)]
        again = engine.gradients([one for one, _ in pairs], wrt, ways)
        return [one.numpy() for one in (loss, *found, *again) if one is not None]

    return numbers


@pytest.mark.parametrize(("name", "shape", "options"), first(4, [
    *((name, SHAPES[0], {}) for name in ("selective", "stacked", "chosen_from")),
    ("selective", SHAPES[1], {}),
    ("memory", SHAPES[0], {}),
    *(("selective", SHAPES[0], {one: True})
      for one in ("lengths", "reverse", "mask", "checkpoint")),
    *(("selective", shape, {}) for shape in SHAPES[2:]),
]), ids=str)  # fmt: skip
def test_numbers_to_second_order_are_those_of_the_loop(name, shape, options):
    T, B = shape[:2]
    if "lengths" in options:
        options = {"lengths": [T, 0, 3][:B]}
    if "mask" in options:
        options = {"mask": np.arange(T * B).reshape(T, B) % 3 != 1}
    numbers = job(name, leaves(shape), **options)
    with only(COMPILED):
        found = numbers()
    with engine.explicit():
        exact = numbers()
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["selective", "chosen_from"])
def test_inputs_of_zeros(name):
    numbers = job(name, leaves(SHAPES[0], zeros=True))
    with only(COMPILED):
        found = numbers()
    with engine.explicit():
        exact = numbers()
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_padding_of_any_numbers_changes_nothing():
    given, padded = leaves(SHAPES[0]), leaves(SHAPES[0])
    lengths = [6, 0, 3]
    for name, x in padded.items():
        if name != "a":
            numbers = x.numpy().copy()
            for row, length in enumerate(lengths):
                numbers[length:, row] = np.nan
            padded[name] = engine.asarray(numbers, requires_grad=True)
    with only(COMPILED):
        found = job("selective", padded, lengths=lengths)()
        exact = job("selective", given, lengths=lengths)()
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("rows", "dtype"), covering([1, 3], ["float32", "float64"]))
def test_bits_do_not_depend_on_threads(rows, dtype):
    numbers = job("selective", leaves((9, rows, 256, 16), dtype))
    before = engine.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 4):
            engine.set_num_threads(threads)
            with only(COMPILED):
                found.append(numbers(second=False))
    finally:
        engine.set_num_threads(before)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_no_array_but_the_states_is_as_large_as_they_are():
    T, B, D, N = 64, 2, 32, 16
    numbers = job("selective", leaves((T, B, D, N), "float32"))
    with only(COMPILED):
        numbers(second=False)
        tracemalloc.start()
        numbers(second=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * (4 * T * B * D * N)  # two histories, and what has one axis of units


def test_a_derivative_takes_all_its_sums_in_the_kernel(monkeypatch):
    found: list[Program] = []
    monkeypatch.setattr(core, "reduced", lambda one: found.append(reduced(one)) or found[-1])
    with only(COMPILED):
        job("selective", leaves((5, 2, 3, 7)))(second=False)
    forward, backward = found
    state = 2 * 3 * 7
    for program in found:
        kept = [np.prod(program.values[p].shape) for p in program.stored]
        assert max(kept) < state
        assert not [p for p in program.deferred
                    if np.prod(program.values[p].shape) >= state]  # fmt: skip
    assert (len(forward.summed), len(backward.summed)) == (0, 1)


def test_a_sum_that_the_kernel_itself_reads_stays_before_it():
    def step(h, x):
        total = engine.sum(x * x, axis=2, keepdims=True)
        return h * 0.5 + total * x, engine.sum(h * total, axis=2)

    x = engine.asarray(normal(5, 2, 3, 4), requires_grad=True)

    def numbers():
        ys = engine.scan(step, engine.zeros((2, 3, 4), dtype="float64"), x)[1]
        return engine.gradients(engine.sum(ys * ys), [x])[0].numpy()

    with only(COMPILED):
        found = numbers()
    with engine.explicit():
        np.testing.assert_allclose(found, numbers(), rtol=1e-12, atol=1e-12)


def test_an_order_that_loops_lack_is_refused():
    for gone in ((2,), (1,), (1, 2), (2, 3), (3,)):
        assert is_in_order((2, 3, 4, 5), gone)
    assert not is_in_order((2, 3, 4, 5), (1, 3))
    assert not is_in_order((2, 3, 1), (2,))


def test_an_lstm_has_none():
    programs = of_cell(rnn.LSTMCell(3, 4))
    for program in (programs.forward, programs.program):
        own = lowered(program)
        assert reduced(own) is own


def test_the_explanation_names_what_is_computed_beside_the_core():
    given = leaves((5, 2, 3, 7))
    xs = {name: x for name, x in given.items() if name != "a"}
    text = engine.explain_scan(selective(given["a"]), engine.zeros((2, 3, 7), dtype="float64"), xs)
    lines = [line for line in text.splitlines() if "beside the core" in line]
    assert any("= sum(" in line and ", stored]" in line for line in lines)
    assert sum("its sum over time alone" in line for line in lines) == 1
