"""Run kernels in CUDA C++ on the CPU in three orders of threads, and catch planted faults."""

import cupy
import numpy as np
import pytest

from tests.engine.cuda import emulated_kernels as kernels

if not getattr(cupy, "IS_FAKE", False):
    pytest.skip("a real CuPy runs kernels on its device", allow_module_level=True)

from cupy._emulator import ORDERS, KernelError, settings

RNG = np.random.default_rng(3)


@pytest.fixture(params=ORDERS)
def order(request):
    """Yield the order in which threads run."""
    with settings.use(order=request.param):
        yield request.param


def kernel(source, name, *flags, **more):
    options = ("-std=c++17", *(f"-D{one}" for one in flags))
    return cupy.RawModule(code=source, options=options, **more).get_function(name)


def in_all_orders(compute):
    """Return a result in each of the orders: an array, or the text of an error."""
    found = []
    for one in ORDERS:
        with settings.use(order=one):
            try:
                found.append(compute())
            except KernelError as error:
                found.append(str(error))
    return found


def wrong(found, expected, tolerance=1e-5):
    """Return in which orders a result is far from the right one; NaN and an error are far."""
    return [
        isinstance(one, str) or not np.allclose(one, expected, rtol=tolerance, atol=tolerance)
        for one in found
    ]


def row_sums(x, *flags):
    out = cupy.empty(len(x), "float32")
    run = kernel(kernels.ROW_SUMS, "row_sums", *flags)
    run((len(x),), (128,), (cupy.asarray(x), out, np.int32(x.shape[1])))
    return out.get()


@pytest.mark.parametrize("n", [1, 31, 128, 1000])
def test_row_sums_by_shuffles(order, n):
    x = RNG.standard_normal((5, n)).astype("float32")
    np.testing.assert_allclose(row_sums(x), x.sum(1, dtype="float64"), rtol=1e-4, atol=1e-5)


def test_a_missing_syncthreads_shows_in_some_order():
    # Also where races are not looked for, by what is computed.
    x = RNG.standard_normal((5, 300)).astype("float32")
    with settings.use(races=False):
        found = in_all_orders(lambda: row_sums(x, "PLANT_NO_SYNCTHREADS"))
    # The last thread first is the order in which all parts are there by chance.
    assert wrong(found, x.sum(1), 1e-4) == [True, False, True]


def test_a_missing_syncthreads_is_a_race_in_every_order(order):
    x = RNG.standard_normal((5, 300)).astype("float32")
    with pytest.raises(KernelError, match=r"a race in block .* static shared memory that thread"):
        row_sums(x, "PLANT_NO_SYNCTHREADS")


def test_an_early_return_is_reported_as_stuck(order):
    x = RNG.standard_normal((2, 100)).astype("float32")
    with pytest.raises(KernelError, match=r"row_sums: stuck: block \(\d, 0, 0\): .*28 have ended"):
        row_sums(x, "PLANT_EARLY_RETURN")


def segment_sums(x, *flags):
    out = cupy.empty(len(x) // 32, "float64")
    run = kernel(kernels.ROW_SUMS, "segment_sums", *flags)
    run((1,), (len(x),), (cupy.asarray(x), out), shared_mem=len(x))
    return out.get()


def test_sums_of_segments_in_shared_memory_of_a_warp(order):
    x = RNG.standard_normal(96)
    np.testing.assert_allclose(segment_sums(x), x.reshape(-1, 32).sum(1), rtol=1e-12)


def test_a_missing_syncwarp_shows_and_is_a_race_in_every_order():
    x = RNG.standard_normal(96)
    with settings.use(races=False):
        found = in_all_orders(lambda: segment_sums(x, "PLANT_NO_SYNCWARP"))
    assert any(wrong(found, x.reshape(-1, 32).sum(1)))
    for one in in_all_orders(lambda: segment_sums(x, "PLANT_NO_SYNCWARP")):
        assert "a race in block (0, 0, 0)" in one
        assert "of dynamic shared memory" in one


def product(a, b, *flags):
    (m, k), n = a.shape, b.shape[1]
    c = cupy.empty((m, n), "float32")
    run = kernel(kernels.TILES, "product", *flags)
    run((-(-n // 8), -(-m // 8)), (8, 8), (*map(cupy.asarray, (a, b)), c, *np.int32([m, k, n])))
    return c.get()


@pytest.mark.parametrize("shape", [(8, 8, 8), (13, 21, 5), (1, 40, 17)])
def test_a_product_by_tiles(order, shape):
    m, k, n = shape
    a, b = (RNG.standard_normal(s).astype("float32") for s in ((m, k), (k, n)))
    np.testing.assert_allclose(product(a, b), a.astype("float64") @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fault", ["PLANT_NO_FIRST_SYNC", "PLANT_NO_SECOND_SYNC"])
def test_each_barrier_of_the_tiles_is_needed(fault):
    a, b = (RNG.standard_normal(s).astype("float32") for s in ((13, 21), (21, 5)))
    for races in (False, True):
        with settings.use(races=races):
            assert all(wrong(in_all_orders(lambda: product(a, b, fault)), a @ b, 1e-4))


def test_a_store_beyond_an_array_is_an_error_and_names_the_argument(order):
    a, b = (RNG.standard_normal(s).astype("float32") for s in ((13, 21), (21, 5)))
    with pytest.raises(KernelError, match=r"writes 4 bytes .* past the end of argument 2"):
        product(a, b, "PLANT_BEYOND")


H, T, EACH = 40, 5, 8


def sweep(*flags):
    """Return h and the epoch of a barrier that was given up, 0 for none; and the right h."""
    rng = np.random.default_rng(0)
    W, first = (rng.standard_normal(s).astype("float32") * 0.3 for s in ((H, H), H))
    h, right = cupy.empty((T + 1, H), "float32"), [first.astype("float64")]
    h[0] = cupy.asarray(first)
    for _ in range(T):
        right.append(np.tanh(W @ right[-1]))
    counter, fault = cupy.zeros(1, "uint32"), cupy.zeros(1, "int32")
    run = kernel(kernels.SWEEP, "sweep", "SPINS=200", *flags, enable_cooperative_groups=True)
    sizes = np.int32([T, H, EACH])
    run((H // EACH,), (32,), (cupy.asarray(W), h, *sizes, counter, fault), shared_mem=EACH * H * 4)
    return h.get(), fault.item(), np.array(right)


def test_a_sweep_with_a_barrier_of_the_grid(order):
    found, fault, right = sweep()
    assert fault == 0
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "fault", ["PLANT_NO_BARRIER", "PLANT_RELAXED", "PLANT_NO_SYNC_BEFORE_RELEASE"]
)
def test_a_barrier_of_the_grid_that_lacks_a_part_is_caught_in_every_order(fault):
    right = sweep()[2]
    assert all(wrong(in_all_orders(lambda: sweep(fault)[0]), right))


def test_a_block_that_leaves_makes_the_others_give_up(order):
    assert sweep("PLANT_BLOCK_LEAVES")[1] == 1  # it never arrives


def test_a_spin_without_end_is_reported(order):
    with settings.use(spins=50), pytest.raises(KernelError, match=r"stuck: .* spin \(first"):
        sweep("PLANT_BLOCK_LEAVES")


def test_a_barrier_of_the_grid_needs_a_cooperative_launch(order):
    # Blocks of a plain launch run one after the other, as a device may run them.
    W, h = cupy.ones((2, 2), "float32"), cupy.ones((2, 2), "float32")
    counter, fault = cupy.zeros(1, "uint32"), cupy.zeros(1, "int32")
    run = kernel(kernels.SWEEP, "sweep")
    with settings.use(spins=500), pytest.raises(KernelError, match="stuck"):
        run((2,), (32,), (W, h, *np.int32([1, 2, 1]), counter, fault), shared_mem=32)


def bf16(x):
    return (x.view("uint32") + 0x8000 >> 16).astype("uint16")


def fragments(tf32, *flags):
    """Return a product by mma, and by NumPy with the same roundings of its operands."""
    a, b = (RNG.standard_normal(s).astype("float32") for s in ((16, 32), (8, 32)))
    if tf32:
        words = [(x.view("uint32") + 0x1000) & np.uint32(0xFFFFE000) for x in (a, b)]
        a, b = (x.view("float32") for x in words)
    else:
        words = [bf16(x).view("uint32") for x in (a, b)]
        a, b = ((bf16(x).astype("uint32") << 16).view("float32") for x in (a, b))
    c = cupy.empty((16, 8), "float32")
    run = kernel(kernels.MMA, "fragments", f"TF32={int(tf32)}", *flags)
    run((1,), (32,), (*map(cupy.asarray, words), c, np.int32(words[0].shape[1])))
    return c.get(), a.astype("float64") @ b.T


@pytest.mark.parametrize("tf32", [False, True])
def test_mma(order, tf32):
    found, right = fragments(tf32)
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tf32", [False, True])
def test_two_registers_of_an_mma_swapped_are_wrong(order, tf32):
    found, right = fragments(tf32, "PLANT_FRAGMENT")
    assert np.abs(found - right).max() > 0.1
