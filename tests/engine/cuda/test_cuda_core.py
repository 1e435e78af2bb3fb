"""Compare generated CUDA with the loop: every structure and form, sizes, orders, precisions."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest

import engine
import rnn
from tests.draws import ahead, crossed, first, slow_beside
from tests.engine.cuda.cuda_steps import FORMS, STEPS, gap, only_cuda, problem, run

pytestmark = pytest.mark.cupy

CLOSE = {"float64": 1e-13, "float32": 2e-5}
USUAL = {"T": 5, "B": 5, "H": 9}  # one size where any will do, as a kernel is compiled for each
SIZES = [(1, 1, 1), (3, 33, 4), (35, 8, 2), (1, 5, 2), (5, 1, 3)]  # B, H, T


@pytest.fixture
def precision():
    yield engine.set_matmul_precision
    engine.set_matmul_precision("float32")


def looped(name, given, **options):
    with engine.explicit():
        return run(name, given, "numpy", **options)


# First those that no other test here compares: lstm, layer_norm, diagonal, affine and coupled steps
# are in the tests of sizes, of lengths and of lanes.
STRUCTURES = ahead(["reset_before", "widths", "matrix_memory", "delay", "mixing", "largest"], STEPS)


@pytest.mark.parametrize(("name", "form", "dtype"), first(6, crossed(STRUCTURES, FORMS, CLOSE)))
def test_a_step_of_every_structure_equals_the_loop(gpu, name, form, dtype):
    given = problem(name, **USUAL, dtype=dtype)
    with only_cuda(form):
        assert gap(run(name, given, gpu), looped(name, given)) < CLOSE[dtype]


@pytest.mark.parametrize(
    ("form", "B", "H", "T"), first(3, [(form, *size) for size, form in crossed(SIZES, FORMS)])
)
def test_any_size_works(gpu, form, B, H, T):
    for name in ("lstm", "layer_norm"):
        given = problem(name, T=T, B=B, H=H, dtype="float64")
        with only_cuda(form):
            assert gap(run(name, given, gpu), looped(name, given)) < 1e-12


@pytest.mark.parametrize(("options", "form"), first(3, crossed([
    {"lengths": [4, 0, 2]},
    {"lengths": [4, 1, 2], "reverse": True},
    {"checkpoint": 3},
    {"reverse": True},
], FORMS)), ids=str)  # fmt: skip
def test_lengths_reverse_and_checkpoints(gpu, form, options):
    for name in ("lstm", "diagonal"):
        given = problem(name, T=4, B=3, H=5, dtype="float64")
        with only_cuda(form):
            assert gap(run(name, given, gpu, **options), looped(name, given, **options)) < 1e-13


# No kernel adds by atomics, so that only a missing barrier could change a bit. Of that, other tests
# find wrong numbers and races (`test_a_planted_fault_shows_in_every_order_of_threads`).
@slow_beside("test_a_step_of_every_structure_equals_the_loop")
@pytest.mark.parametrize(("form", "order"), crossed(FORMS, ["first", "last", "any"]))
def test_the_order_of_threads_changes_no_bit(gpu, form, order):
    emulator = pytest.importorskip("cupy._emulator")
    for name in STEPS:
        given = problem(name, **USUAL, dtype="float32")
        with only_cuda(form):
            usual = run(name, given, gpu)
            with emulator.settings.use(order=order, seed=3):
                other = run(name, given, gpu)
        assert all(np.array_equal(usual[key], other[key]) for key in usual)


LESS = {"tf32": 3e-3, "bfloat16": 3e-2}


@pytest.mark.parametrize(("name", "form"), first(2, crossed(LESS, FORMS)))
def test_products_of_less_precision_stay_within_its_rounding(gpu, precision, form, name):
    most = LESS[name]
    given = problem("lstm", T=4, B=5, H=17, dtype="float32")
    exact = looped("lstm", given)
    precision(name)
    with only_cuda(form):
        found = gap(run("lstm", given, gpu), exact)
    assert found < most
    if form != "launches":  # a library is free to be more precise
        assert found > most / 100


@pytest.mark.parametrize(("name", "most"), first(1, LESS.items()))
def test_autocast_is_the_precision_of_the_passes_inside(gpu, name, most):
    given = problem("lstm", T=4, B=5, H=17, dtype="float32")
    exact = looped("lstm", given)
    with only_cuda("graph"):
        with engine.autocast(gpu, name):
            assert most / 100 < gap(run("lstm", given, gpu), exact) < most
        assert gap(run("lstm", given, gpu), exact) < CLOSE["float32"]
        with engine.autocast(gpu, name, enabled=False):
            assert gap(run("lstm", given, gpu), exact) < CLOSE["float32"]


def test_autocast_is_put_back_and_refuses_what_there_is_not():
    with engine.autocast("cupy:0", "tf32"), engine.autocast():
        assert engine.get_matmul_precision() == "bfloat16"
    assert engine.get_matmul_precision() == "float32"
    with engine.autocast("cpu"):
        assert engine.get_matmul_precision() == "float32"  # of the host nothing changes
    with pytest.raises(RuntimeError, match="inside"), engine.autocast():
        raise RuntimeError("inside")
    assert engine.get_matmul_precision() == "float32"
    assert engine.autocast()(engine.get_matmul_precision)() == "bfloat16"
    with pytest.raises(ValueError, match="float16 overflows in sums, take bfloat16"):
        engine.autocast("cupy", engine.float16).__enter__()
    with pytest.raises(ValueError, match="expected device 'cupy' or 'numpy', got 'tpu'"):
        engine.autocast("tpu").__enter__()


def test_the_precision_is_for_float32_alone(gpu, precision):
    given = problem("lstm", T=3, B=2, H=5, dtype="float64")
    precision("bfloat16")
    with only_cuda("graph"):
        assert gap(run("lstm", given, gpu), looped("lstm", given)) < 1e-13


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="expected one of float32, tf32, bfloat16, got 'half'"):
        engine.set_matmul_precision("half")


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    if request.param == "bfloat16":
        pytest.importorskip("ml_dtypes")
    return getattr(engine, request.param)


@pytest.mark.parametrize("form", FORMS)
def test_half_the_width_is_stored_and_summed_in_float32(gpu, form, half):
    # A sum of ones would stop at 2,048 in float16 and at 256 in bfloat16: 1 is half a unit.
    ones, zeros = engine.ones((4096, 1, 2), device=gpu), engine.zeros((1, 2), device=gpu)
    with only_cuda(form):
        final, _ = engine.scan(lambda h, x: (h + x, h), engine.astype(zeros, half),
                               engine.astype(ones, half))  # fmt: skip
    assert final.dtype == half
    assert engine.astype(final, engine.float32).numpy().tolist() == [[4096.0, 4096.0]]


@pytest.mark.parametrize("form", first(1, FORMS))
def test_a_layer_of_half_the_width_is_near_that_of_float32(gpu, form, half):
    def gradients(dtype):
        engine.seed(0)
        layer = rnn.LSTM(3, 5).to(dtype=dtype).to(gpu)
        x = engine.asarray(problem("lstm", T=5, B=2, H=5, dtype="float32")["x"], device=gpu)
        x = engine.astype(x, dtype)
        y, _ = layer(x)
        assert y.dtype == dtype
        grads = engine.gradients(engine.sum(y * y), layer.parameters())
        assert all(g.dtype == dtype for g in grads)
        return [engine.astype(g, engine.float32).numpy() for g in (y, *grads)]

    exact = gradients(engine.float32)
    with only_cuda(form):
        ours = gradients(half)
    most = 0.004 if half == engine.float16 else 0.03
    for one, other in zip(ours, exact, strict=True):
        assert np.abs(one - other).max() < most * np.abs(other).max()


@pytest.mark.parametrize("devices", [("cupy", "numpy"), ("numpy", "cupy")], ids=" to ".join)
def test_a_layer_of_half_the_width_that_moves_is_recorded_again(gpu, half, devices):
    # The program of a device is one of float32, which no kernel of the host may run on halves.
    engine.seed(0)
    layer = rnn.LSTM(3, 4).to(dtype=half)
    x = problem("lstm", T=5, B=2, H=4, dtype="float32")["x"]
    for device in devices:
        layer.to(device)
        given = engine.astype(engine.asarray(x, device=device), half)
        y, _ = layer(given)
        z, _ = layer(given, unroll=True)
        one, other = (engine.astype(a, engine.float32).numpy() for a in (y, z))
        assert y.dtype == half
        assert np.abs(one - other).max() < 0.01


def test_a_step_that_asks_for_half_the_width_runs_in_the_loop(gpu):
    x = engine.astype(engine.ones((3, 2), device=gpu), engine.float16)

    def step(h, x):
        return engine.astype(engine.astype(h, engine.float32) + 1, engine.float16), x

    told = engine.explain_scan(step, x[0], x)
    assert "astype in the step asks for float16" in told


@pytest.mark.parametrize("form", first(1, FORMS))
def test_derivatives_of_second_order_run_in_kernels_too(gpu, form):
    def hvp(device):
        given = problem("mixing", T=3, B=2, H=4, dtype="float64")
        W, x = (engine.asarray(given[k], device=device, requires_grad=True) for k in "Ux")
        step = lambda h, x: (engine.tanh(engine.linear(h, W) + x),) * 2  # noqa: E731
        loss = engine.sum(engine.scan(step, x[0] * 0.3, x)[1] ** 3)
        (first,) = engine.gradients(loss, [W], create_graph=True)
        return engine.gradients(engine.sum(first**2), [W, x])

    with only_cuda(form):
        ours = [g.numpy() for g in hvp(gpu)]
    with engine.explicit():
        theirs = [g.numpy() for g in hvp("numpy")]
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one - other).max() < 1e-11 * np.abs(other).max()


def test_a_graph_serves_calls_of_other_lengths_and_other_arrays(gpu):
    with only_cuda("graph"):
        for T in (3, 17, 18, 19, 3):
            given = problem("lstm", T=T, B=2, H=4, dtype="float64", seed=T)
            assert gap(run("lstm", given, gpu), looped("lstm", given)) < 1e-13


@pytest.mark.parametrize(("options", "name"), first(2, crossed(
    [{"lengths": [200, 64, 131]}, {"reverse": True}, {}], ["affine", "coupled"]
)), ids=str)  # fmt: skip
def test_lanes_share_the_steps_of_what_is_affine(gpu, name, options):
    count = pytest.importorskip("cupy._state").count
    given = problem(name, T=200, B=3, H=4, dtype="float64")
    with only_cuda("sweep"):
        run(name, given, gpu, **options)
        count.clear()
        ours = run(name, given, gpu, **options)
    assert count.launches["stretches"] == 2
    assert gap(ours, looped(name, given, **options)) < 1e-12


def test_lanes_do_not_share_where_that_gives_no_number(gpu):
    # The map of a stretch is infinite times a state of zero, which step by step stays zero.
    step = lambda h, x: (h * x, h * x)  # noqa: E731
    x = np.full((200, 2, 4), 1e9)
    with only_cuda("sweep"):
        final, ys = engine.scan(step, engine.zeros((2, 4), dtype=engine.float64, device=gpu),
                                engine.asarray(x, device=gpu))  # fmt: skip
    assert not final.numpy().any()
    assert not ys.numpy().any()


@pytest.mark.parametrize("form", FORMS)
def test_a_second_device_runs_kernels_of_its_own(gpu, form):
    try:
        other = engine.device("cupy:1")
    except RuntimeError as reason:
        pytest.skip(str(reason))
    given = problem("lstm", T=4, B=2, H=5, dtype="float64")
    with only_cuda(form):
        for device in (gpu, other, gpu):
            assert gap(run("lstm", given, device), looped("lstm", given)) < 1e-13


@pytest.mark.parametrize(("form", "kernels"), [("sweep", {"sweep": 2}), ("graph", {"graph": 2})])
def test_a_layer_is_two_launches_and_its_products(gpu, form, kernels):
    # It moves nothing between host and device either.
    count = pytest.importorskip("cupy._state").count
    engine.seed(0)
    layer = rnn.LSTM(3, 5).to(gpu)
    x = engine.asarray(np.ones((9, 2, 3), "float32"), device=gpu, requires_grad=True)
    with only_cuda(form):
        for _ in range(2):
            count.clear()
            y, _ = layer(x)
            engine.gradients(y, [x, *layer.parameters()], engine.ones_like(y))
    found = count.launches
    assert {name: found[name] for name in ("sweep", "graph") if found[name]} == kernels
    assert found["gemm"] == 4  # x W^T before, dx, dW and dU after
    assert sum(found.values()) < 40
    assert (count.to_host, count.to_device) == ([], [])


def test_a_mask_on_the_device_is_not_read(gpu):
    count = pytest.importorskip("cupy._state").count
    x = engine.asarray(np.ones((4, 2, 3), "float32"), device=gpu)
    rows = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], bool)
    mask = engine.asarray(rows, device=gpu)
    state = engine.zeros((2, 3), device=gpu)
    for _ in range(2):
        count.clear()
        final, ys = engine.scan(lambda h, x: (engine.tanh(h + x), h), state, x, mask=mask)
    assert (count.to_host, count.to_device) == ([], [])
    loop = engine.scan(lambda h, x: (engine.tanh(h + x), h), engine.zeros((2, 3)),
                       engine.ones((4, 2, 3)), mask=rows, unroll=True)  # fmt: skip
    for ours, theirs in zip((final, ys), loop, strict=True):
        assert np.abs(ours.numpy() - theirs.numpy()).max() < 1e-6


@pytest.mark.parametrize("form", first(1, ["graph", "sweep"]))
def test_threads_bind_and_launch_in_turn(gpu, form, monkeypatch):
    # Between the two, a thread waits here for another one to bind, which has to wait itself.
    from engine.scan.cuda.module import Queue

    given = [problem("lstm", T=3, B=2, H=4, dtype="float64", seed=seed) for seed in range(2)]
    right = [looped("lstm", one) for one in given]
    with only_cuda(form):
        run("lstm", given[0], gpu)  # compiles
        meet, bind = Barrier(2), Queue.bind

        def slow(self, *args, **options):
            bind(self, *args, **options)
            try:
                meet.wait(0.2)
            except BrokenBarrierError:
                meet.reset()

        monkeypatch.setattr(Queue, "bind", slow)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda one: run("lstm", one, gpu), given))
    assert max(map(gap, found, right)) < 1e-13


def test_each_stream_has_a_job_of_its_own(gpu, monkeypatch):
    import cupy

    from engine.scan.cuda.module import Queue

    jobs, bind = [], Queue.bind

    def noted(self, *args, **options):
        jobs.append((cupy.cuda.get_current_stream().ptr, id(self)))
        bind(self, *args, **options)

    monkeypatch.setattr(Queue, "bind", noted)
    given = problem("affine", T=3, B=2, H=4, dtype="float64")
    with only_cuda("sweep"):
        for stream in [cupy.cuda.Stream(non_blocking=True) for _ in range(2)] * 2:
            with stream:
                assert gap(run("affine", given, gpu), looped("affine", given)) < 1e-13
    assert len(set(jobs)) == len({job for _, job in jobs}) == 2 * len({s for s, _ in jobs}) == 4
