"""Checks of sequences in stretches of time, run by `mpiexec -n N python -m mpi4py -m THIS`.

Every rank computes the whole on its own and compares its part. Prints a line for what was checked.
"""

import numpy as np
import pytest
from mpi4py import MPI

import engine
from rnn.distributed import affine_scan, stretch

COMMUNICATOR = MPI.COMM_WORLD
RANK, SIZE = COMMUNICATOR.rank, COMMUNICATOR.size
SHAPES = ((13, 3, 2), (17, 1, 1), (SIZE, 2, 1), (9, 1, 2, 3))  # (T, ...), the first ones ragged


def one_process(a, b, init, *, reverse):
    a = engine.broadcast_to(engine.asarray(a), b.shape)
    return engine.scan(lambda h, x: (x[0] * h + x[1],) * 2, init, (a, b), reverse=reverse)


def derivatives(scan, arrays, weights, tangents, *, counts):
    """Final state, states, and their first, second and third derivatives; `counts` is 1 or 0."""
    a, b, init = (engine.asarray(x, requires_grad=True) for x in arrays)
    final, states = scan(a, b, init)
    loss = engine.sum(engine.tanh(states) * weights[0])
    loss = loss + counts * engine.sum(final * final * weights[1])
    first = engine.gradients([loss], [a, b, init], create_graph=True)
    product = sum(engine.sum(g * u) for g, u in zip(first, tangents, strict=True))
    second = engine.gradients([product], [a, b, init], create_graph=True)
    square = sum(engine.sum(g * g * u) for g, u in zip(second, tangents, strict=True))
    third = engine.gradients([square], [a, b, init])
    return [x.numpy() for x in (final, states, *first, *second, *third)]


def arrays_of(shape, dtype, *, narrow=False):
    """a, b, init, weights and tangents; some a are 0, with `narrow` a is the same at all times."""
    draw = np.random.default_rng(7)
    a = draw.uniform(-1.2, 1.2, shape[-1:] if narrow else shape)
    if not narrow:
        a[shape[0] // 2] = 0
    numbers = [a, *(draw.normal(size=one) for one in (shape, shape[1:], shape, shape[1:]))]
    tangents = [draw.normal(size=x.shape) for x in numbers[:3]]
    numbers, tangents = ([x.astype(dtype) for x in some] for some in (numbers, tangents))
    return numbers[:3], numbers[3:], tangents


def check_against_one_process(shape, dtype, tolerance, *, reverse, narrow=False):
    arrays, weights, tangents = arrays_of(shape, dtype, narrow=narrow)
    own = stretch(shape[0])
    entry = (SIZE - 1 if reverse else 0) == RANK

    def cut(group):
        return [x[own] if x.shape == shape else x for x in group]

    expected = derivatives(lambda *xs: one_process(*xs, reverse=reverse),
                           arrays, weights, tangents, counts=1.0)  # fmt: skip
    counts = float(RANK == 0)
    found = derivatives(lambda *xs: affine_scan(*xs, reverse=reverse),
                        cut(arrays), cut(weights), cut(tangents), counts=counts)  # fmt: skip
    for number, (x, y) in enumerate(zip(expected, found, strict=True)):
        if narrow and number > 7:  # of a sum of squares of parts, which is another function
            continue
        if x.shape == shape:
            x = x[own]
        elif number > 1 and number % 3 == 1:  # of init
            x = x if entry else 0 * x
        elif narrow and number > 1:  # a rank has its part of a sum over time
            y = COMMUNICATOR.allreduce(y)
        error = np.abs(x - y).max() / max(1, np.abs(x).max())
        assert error < tolerance, (shape, dtype, reverse, narrow, number, error)
        assert y.dtype == dtype


def check_all():
    for shape in SHAPES:
        for reverse in (False, True):
            check_against_one_process(shape, "float64", 1e-11, reverse=reverse)
            check_against_one_process(shape, "float32", 3e-5, reverse=reverse)
    check_against_one_process(SHAPES[0], "float64", 1e-11, reverse=False, narrow=True)
    print("equal to one process: outputs and three derivatives", flush=True)


def check_numbers_that_overflow():
    """Products of decays are infinite where the states are not; NaN stays where it is."""
    a, b = np.full((4 * SIZE, 1, 2), 1e120), np.zeros((4 * SIZE, 1, 2))
    b[-1] = 1.0
    own = stretch(len(a))
    for nan_at in (None, 2 * SIZE + 1):
        if nan_at is not None:
            b[nan_at, 0, 1] = np.nan
        expected = one_process(a, b, np.zeros((1, 2)), reverse=False)[1].numpy()
        found = affine_scan(a[own], b[own])[1].numpy()
        np.testing.assert_array_equal(found, expected[own])
    print("equal to one process: numbers that overflow, and NaN", flush=True)


def refusal(f, kind, *words):
    """Check that every rank raises."""
    with pytest.raises(kind) as caught:
        f()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def check_refusals():
    def given(**changes):
        options = {"a": np.ones((3, 2)), "b": np.ones((3, 2)), **changes}
        return lambda: affine_scan(options.pop("a"), options.pop("b"), **options)

    last = RANK == SIZE - 1
    refusal(lambda: stretch(SIZE - 1), ValueError, f"{SIZE} ranks for {SIZE - 1} steps")
    refusal(given(a=np.ones((3 - 3 * last, 2)), b=np.ones((3 - 3 * last, 2))), ValueError,
            "at least one step", f"rank {SIZE - 1}")  # fmt: skip
    refusal(given(b=np.ones((3, 4))), ValueError, "expected sequences that broadcast", "[3, 4]")
    refusal(given(a=np.ones((3, 1 + last)), b=np.ones((3, 1 + last))), ValueError,
            f"(1,) on rank 0, {'(1,) on rank 1, (1,) on rank 2, ' * (SIZE == 4)}(2,)")  # fmt: skip
    refusal(given(b=np.ones((3, 2), "f")), ValueError, "one dtype", "float32[3, 2]")
    refusal(given(init=np.ones(5)), ValueError, "init float64[5]")
    some = engine.asarray(np.ones((3, 2)), requires_grad=last)
    refusal(given(a=some), ValueError, "none on rank 0", f"a on rank {SIZE - 1}")
    print("refused on all ranks", flush=True)


def check_that_different_graphs_are_told():
    """A rank whose loss leaves something out must not take what another sent for its own."""
    a = engine.asarray(np.ones((3, 2)), requires_grad=True)
    final, states = affine_scan(a, a)
    one, other = engine.sum(final), engine.sum(states)
    refusal(lambda: engine.gradients([one if RANK == 0 else other], [a]), RuntimeError,
            "sum_on", "multiply by 0")  # fmt: skip
    print("different graphs told", flush=True)


if __name__ == "__main__":
    check_all()
    check_numbers_that_overflow()
    check_refusals()
    check_that_different_graphs_are_told()
