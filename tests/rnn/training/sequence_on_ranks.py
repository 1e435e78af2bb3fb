"""Check sequences in stretches of time, run by `mpiexec -n N python -m mpi4py -m THIS`.

With `layers` those of layers too; their kernels take minutes to compile: leave the compiler out.
Rank 0 computes the whole alone; every rank compares its part. Prints a line for what was checked.
"""

import sys

import numpy as np

import engine
import rnn
from rnn.distributed import affine, affine_scan, run_stretch, sequences, stretch
from tests import ROOT
from tests.rnn.training.ranks import of_one_process, raised

COMMUNICATOR, RANK, SIZE = None, 0, 1  # set below, as pytest reads this file for examples


def one_process(a, b, init, *, reverse):
    a = engine.broadcast_to(engine.asarray(a), b.shape)
    return engine.scan(lambda h, x: (x[0] * h + x[1],) * 2, init, (a, b), reverse=reverse)


def derivatives(scan, arrays, weights, tangents, *, counts):
    """Return final state, states, and derivatives of orders 1 to 3; `counts` is 1 or 0."""
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
    """Return a, b, init, weights and tangents; some a are 0, if `narrow` a is constant in time."""
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

    expected = of_one_process(lambda: derivatives(
        lambda *xs: one_process(*xs, reverse=reverse), arrays, weights, tangents, counts=1.0
    ))  # fmt: skip
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


def check_all(*, few):
    shapes = ((13, 3, 2), (SIZE, 2, 1), (17, 1, 1), (9, 1, 2, 3))  # (T, ...), some are ragged
    for shape in shapes[: 2 if few else None]:
        for reverse in (False, True):
            check_against_one_process(shape, "float64", 1e-11, reverse=reverse)
            check_against_one_process(shape, "float32", 3e-5, reverse=reverse)
    check_against_one_process(shapes[0], "float64", 1e-11, reverse=False, narrow=True)
    print("equal to one process: outputs and three derivatives", flush=True)


CELLS = (
    lambda **o: rnn.MinGRUCell(3, 4, **o),
    lambda **o: rnn.RGLRUCell(3, 4, **o),
    lambda **o: rnn.LRUCell(3, 4, **o),
    lambda **o: rnn.S4DCell(3, 4, **o),
    lambda **o: rnn.QRNNCell(3, 4, **o),
    lambda **o: rnn.LinearAttentionCell(3, 4, **o),
    lambda **o: rnn.MambaCell(3, 4, window=4, **o),
)


def of_layer(run, layer, x, state, weights, *, counts):
    """Return outputs, final state, and gradients by parameters, x and first state, twice."""
    x, *state = (engine.asarray(one, requires_grad=True) for one in (x, *state))
    y, final = run(layer, x, tuple(state) if len(state) > 1 else state[0])
    final = final if isinstance(final, tuple) else (final,)
    loss = engine.sum(engine.tanh(y) * weights)
    loss = loss + counts * sum(engine.sum(one * one) for one in final)
    wanted = [*layer.parameters(), x, *state]
    first = engine.gradients([loss], wanted, create_graph=True)
    product = sum(
        engine.sum(g * engine.cos(w.detach())) for g, w in zip(first, wanted, strict=True)
    )
    second = engine.gradients([product], wanted)
    every = [y, *final, *first, *second]
    return [one.numpy() for one in every], len(layer.parameters()), len(final)


def check_layer(make, dtype, tolerance, T, **options):
    draw = np.random.default_rng(3)
    engine.seed(0)
    cell = make(dtype=dtype)
    layer = rnn.Recurrent(cell, **options)
    axis = 1 if layer.batch_first else 0
    x = draw.normal(size=(T, 2, 3)).astype(dtype)
    x = x if axis == 0 else x.swapaxes(0, 1)
    zero = cell.zero_state(2, like=engine.asarray(x))
    zero = zero if isinstance(zero, tuple) else (zero,)
    state = [draw.normal(size=one.shape).astype(dtype) for one in zero]
    width = layer(x)[0].shape[-1]
    weights = draw.normal(size=(*x.shape[:2], width)).astype(dtype)
    own = (slice(None),) * axis + (stretch(T),)
    entry = (SIZE - 1 if layer.reverse else 0) == RANK
    expected, count, states = of_one_process(lambda: of_layer(
        lambda layer, x, s: layer(x, s), layer, x, state, weights, counts=1.0
    ))  # fmt: skip
    found, *_ = of_layer(run_stretch, layer, x[own], state, weights[own], counts=float(RANK == 0))
    each = count + 1 + states  # gradients
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        place = (number - 1 - states) % each
        if number == 0 or (number > states and place == count):
            one = one[own]
        elif number > states and place < count:
            other = COMMUNICATOR.allreduce(other)
        elif number > states:
            one = one if entry else 0 * one
        error = np.abs(one - other).max() / max(1, np.abs(one).max())
        assert error < tolerance, (type(cell).__name__, dtype, T, options, number, error)


def check_layers():
    for make in CELLS:
        check_layer(make, "float64", 1e-10, 11)
    for make in (CELLS[0], CELLS[-1]):
        check_layer(make, "float32", 1e-3, 11)
        check_layer(make, "float64", 1e-10, SIZE)
        check_layer(make, "float64", 1e-10, 9, reverse=True, batch_first=True)
    with engine.no_grad():
        engine.seed(0)
        layer = rnn.Recurrent(CELLS[-1]())
        x = np.random.default_rng(0).normal(size=(2 * SIZE, 1, 3)).astype("f")
        y, final = run_stretch(layer, x[stretch(len(x))])
        expected, last = layer(x)
        np.testing.assert_allclose(y.numpy(), expected.numpy()[stretch(len(x))], atol=1e-6)
        for one, other in zip(final, last, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    refusal(lambda: run_stretch(rnn.Recurrent(rnn.GRUCell(3, 4)), x), ValueError,
            "state h of GRUCell is non-linear")  # fmt: skip
    refusal(lambda: run_stretch(rnn.Recurrent(rnn.DeltaNetCell(3, 4)), x), ValueError,
            "state S of DeltaNetCell is rank one")  # fmt: skip
    dropped = rnn.Recurrent(rnn.Zoneout(rnn.MinGRUCell(3, 4), {"h": 0.5}))
    refusal(lambda: run_stretch(dropped, x), ValueError, "Zoneout", "draws")
    refusal(lambda: run_stretch(layer, x[..., : 3 - (RANK == 1)]), ValueError, "I = 3", "rank 1")
    engine.seed(RANK)
    other = rnn.Recurrent(rnn.MinGRUCell(3, 4))
    refusal(lambda: run_stretch(other, x), ValueError, "cell.weight_ih", "engine.seed")
    print("layers equal to one process", flush=True)


def check_maps():
    """Check maps that do not commute, by doubling and from rank to rank in turn."""
    draw = np.random.default_rng(5)
    P, s = draw.normal(size=(SIZE, 3, 3, 2)), draw.normal(size=(SIZE, 3, 2))
    first = draw.normal(size=(3, 2))
    for reverse in (False, True):
        state, expected = first, {}
        for rank in range(SIZE)[:: -1 if reverse else 1]:
            expected[rank] = state
            state = np.einsum("ijb,jb->ib", P[rank], state) + s[rank]
        for way in (affine.incoming, affine.in_turn):
            found = way(P[RANK], s[RANK], first, COMMUNICATOR, reverse=reverse)
            np.testing.assert_allclose(found, expected[RANK], rtol=1e-12)
    assert affine.is_safe(P[RANK], s[RANK], COMMUNICATOR)
    assert not affine.is_safe(P[RANK] * (1 + 1e200 * (RANK == 1)), s[RANK], COMMUNICATOR)
    print("maps that do not commute", flush=True)


def check_numbers_that_overflow():
    """Check infinite products of decays with finite states; NaN stays in its place."""
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
    caught = str(raised(kind, f))
    assert all(word in caught for word in words), caught


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


def check_that_different_graphs_are_reported():
    """Check that a rank with a smaller loss does not take what another sent as its own."""
    a = engine.asarray(np.ones((3, 2)), requires_grad=True)
    final, states = affine_scan(a, a)
    one, other = engine.sum(final), engine.sum(states)
    refusal(lambda: engine.gradients([one if RANK == 0 else other], [a]), RuntimeError,
            "sum_on", "multiply by 0")  # fmt: skip
    again = (lambda: affine_scan(a, a)) if RANK else (lambda: engine.gradients([one], [a]))
    refusal(again, RuntimeError, "sum_on", "on rank 0, affine_scan with its arguments on rank 1")
    print("different graphs told", flush=True)


def check_the_page():
    """Check that the example of the page gives all ranks the gradient of one process."""
    page = ROOT / "docs" / "howto" / "long_sequences.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names = {}
    exec(code, names)
    layer, x = names["layer"], names["x"]
    engine.seed(0)
    twin = rnn.Recurrent(rnn.MinGRUCell(8, 16))
    y, _ = twin(x)
    (engine.sum(y * y) / y.numpy()[..., 0].size).backward()
    for one, other in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-3, atol=1e-6)
        assert not np.array_equal(one.numpy(), other.numpy())  # there was a step
    print("the example of the page runs", flush=True)


if __name__ == "__main__":
    COMMUNICATOR = sequences.shared(None)
    RANK, SIZE = COMMUNICATOR.Get_rank(), COMMUNICATOR.Get_size()
    check_maps()
    layers = "layers" in sys.argv[1:]
    check_all(few=layers)
    if layers:
        check_layers()
        check_the_page()
    check_numbers_that_overflow()
    check_refusals()
    check_that_different_graphs_are_reported()
