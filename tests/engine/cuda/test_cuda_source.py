"""Read generated CUDA as text: find planted faults, compile for real devices, check the model."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from engine.scan import cores, recorded
from engine.scan.call import prepare
from engine.scan.cuda import model
from engine.scan.cuda.core import choices
from engine.scan.cuda.model import H200, Machine, Multiplied, Shape, Tiling
from engine.scan.cuda.source import Writer
from engine.scan.explain import _over_time
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.recorded import program_of
from engine.scan.recurrence import Recurrence
from tests.draws import crossed, first
from tests.engine.cuda.cuda_steps import STEPS, gap, only_cuda, problem, run
from tests.engine.cuda.device_compiler import compiled

cupy_only = pytest.mark.cupy


def programs(name: str, *, B: int, H: int, dtype: str = "float32") -> list[Any]:
    """Return the programs of a step and of its derivative, with the ops that kernels have."""
    given = problem(name, T=3, B=B, H=H, dtype=dtype)
    made = {key: engine.asarray(x, requires_grad=True) for key, x in given.items()}
    states = tuple(x for key, x in made.items() if key.startswith("state"))
    call = prepare(lambda state, x: STEPS[name](made, state, x),
                   states if len(states) > 1 else states[0], made["x"])  # fmt: skip
    program = program_of(call)
    needs = frozenset((*program.per_step, *program.fixed))
    job = Recurrence(program, [], steps=3, reverse=False, needs=needs, keep=True, call=call)
    own = job.derivative(None, saved=True)
    return [lowered(own.forward), lowered(own.program)]


# ---- planted faults

FAULTS = {
    "parts that are read too early": ("graph", "lane);\n        __syncthreads();\n",
                                      "lane);\n"),
    "a stage that is read too early": ("graph", "__syncwarp();  // this one", "// this one"),
    "a thread that leaves": ("graph", "    if (k >= 0",
                             "    if (threadIdx.x == 40) return;\n    if (k >= 0"),
    # From here on slow: a barrier of the grid that is not there or lacks a part is planted in
    # `test_emulator.py` too, a bad address in `test_emulated_memory.py`, and two registers that
    # are swapped, below, give wrong numbers as other rows do.
    "no barrier": ("sweep", "if (!barrier.meet()) return;", ""),
    "a barrier without a release": ("sweep", "emulated::release_add(counter, 1u)",
                                    "emulated::relaxed_add(counter, 1u)"),
    "no wait before the release": ("sweep", "epoch++;\n        __syncthreads();", "epoch++;"),
    "rows of the tile before": ("graph", "const long b = first_row + r,", "const long b = r,"),
    "an array that is too short": ("graph", "const long u = first_unit + n %",
                                   "const long u = 900 + first_unit + n %"),
}  # fmt: skip


@pytest.fixture
def fresh(monkeypatch):
    """Forget programs with their kernels, before and after a test."""
    monkeypatch.setattr(recorded, "_programs", OrderedDict())


@pytest.fixture
def untrusted(monkeypatch, fresh):
    """Run kernels without the comparison with the plan."""
    monkeypatch.setattr(cores, "_trusted", lambda *_: True)


def plant(monkeypatch, old, new):
    real = Writer.kernel

    planted = []

    def kernel_with_fault(self, *args, **options):
        kernel = real(self, *args, **options)
        planted.append(old in kernel.source)
        return replace(kernel, source=kernel.source.replace(old, new))

    monkeypatch.setattr(Writer, "kernel", kernel_with_fault)
    return planted


def wrong(form: str) -> str:
    """Return the fault of a run in words, empty where it is right."""
    given = problem("lstm", T=4, B=5, H=70, dtype="float64")
    with engine.explicit():
        right = run("lstm", given, "numpy")
    try:
        with only_cuda(form):
            found = gap(run("lstm", given, "cupy"), right)
    except Exception as error:
        return type(error).__name__
    return "" if found < 1e-12 else f"{found:.1e} off"


@cupy_only
@pytest.mark.parametrize(("fault", "order"), first(3, crossed(FAULTS, ["first", "last", "any"])))
def test_a_planted_fault_shows_in_every_order_of_threads(monkeypatch, untrusted, fault, order):
    emulator = pytest.importorskip("cupy._emulator")
    form, old, new = FAULTS[fault]
    with emulator.settings.use(order=order, seed=5):
        planted = plant(monkeypatch, old, new)
        assert wrong(form)
    assert any(planted)


@cupy_only
@pytest.mark.parametrize("order", first(1, ["first", "last", "any"]))
def test_one_scratch_for_two_steps_shows(monkeypatch, untrusted, order):
    # The next step writes what other blocks still multiply.
    emulator = pytest.importorskip("cupy._emulator")
    rng = np.random.default_rng(0)
    U, x = rng.normal(0, 0.3, (70, 70)), rng.normal(size=(4, 5, 70))

    def final(device):
        weight, xs = (engine.asarray(a, device=device) for a in (U, x))
        h = engine.zeros((5, 70), dtype=engine.float64, device=device)
        step = lambda h, x: (engine.linear(engine.tanh(h) + x, weight), None)  # noqa: E731
        return engine.scan(step, h, xs)[0].numpy()

    with engine.explicit():
        right = final("numpy")
    with emulator.settings.use(order=order, seed=5), only_cuda("graph"):
        assert np.abs(final("cupy") - right).max() < 1e-13
        recorded._programs.clear()
        assert plant(monkeypatch, "(k & 1) *", "0 *") == []
        assert not np.abs(final("cupy") - right).max() < 1e-13


@cupy_only
def test_two_registers_of_an_mma_that_are_swapped_show(monkeypatch, untrusted):
    pytest.importorskip("cupy._emulator")
    engine.set_matmul_precision("tf32")
    try:
        plant(monkeypatch, "a[i][0].words[n], a[i][1].words[n], a[i][0].words[n + 1]",
              "a[i][1].words[n], a[i][0].words[n], a[i][0].words[n + 1]")  # fmt: skip
        given = problem("lstm", T=3, B=5, H=17, dtype="float32")
        with engine.explicit():
            right = run("lstm", given, "numpy")
        with only_cuda("graph"):
            assert gap(run("lstm", given, "cupy"), right) > 0.02
    finally:
        engine.set_matmul_precision("float32")


@cupy_only
def test_a_kernel_that_computes_something_else_is_refused(monkeypatch, fresh):
    # It is held against the plan before it is used, and the plan runs instead.
    plant(monkeypatch, "hyptan(real x) { return OF(tanh)(x); }", "hyptan(real x) { return x; }")
    given = problem("lstm", T=3, B=2, H=4, dtype="float64")
    with engine.explicit():
        right = run("lstm", given, "numpy")
    assert gap(run("lstm", given, "cupy"), right) < 1e-13


@cupy_only
def test_a_barrier_that_never_fills_gives_nan_and_says_so(monkeypatch, untrusted):
    pytest.importorskip("cupy._emulator")
    plant(
        monkeypatch,
        "    Barrier barrier(",
        "    if (blockIdx.x == 1) return;\n    Barrier barrier(",
    )
    given = problem("lstm", T=4, B=2, H=40, dtype="float64")
    with only_cuda("sweep"):
        found = run("lstm", given, "cupy")
        assert all(np.isnan(found[key]).any() for key in ("result0", "dU", "dx"))
        with pytest.raises(RuntimeError, match="gave up at barrier 1: a block of its"):
            run("lstm", given, "cupy")


# ---- real compilers


WITH_PRODUCTS = [("lstm", 16, 256), ("reset_before", 16, 256), ("lstm", 64, 512)]
OTHERS = [("layer_norm", 16, 256), ("coupled", 4, 32),
          ("lstm", 1, 64), ("matrix_memory", 4, 32), ("widths", 4, 32), ("largest", 8, 16),
          ("mixing", 4, 32)]  # fmt: skip
GRID = [
    ("sm_90", *WITH_PRODUCTS[0], 1),
    # From here on slow: the emulator's compiler takes all structures in `make test`.
    *(("sm_90", *one, 0) for one in OTHERS),
    *(("sm_90", *WITH_PRODUCTS[0], precision) for precision in (0, 2)),
    ("sm_80", *WITH_PRODUCTS[0], 0),
    *(("sm_80", *WITH_PRODUCTS[0], precision) for precision in (1, 2)),
    *(("sm_90", *WITH_PRODUCTS[1], precision) for precision in range(3)),
    *(("sm_90", *WITH_PRODUCTS[2], precision) for precision in range(3)),
]


@pytest.mark.parametrize(("architecture", "name", "B", "H", "precision"), first(1, GRID))
def test_a_real_compiler_takes_it_without_spills(architecture, name, B, H, precision):
    for program in programs(name, B=B, H=H):
        for choice in choices(program, KernelLayout(program), precision):
            for kernel, usage in compiled(choice.kernel.source, architecture).items():
                assert not usage.spills, (choice.form, kernel)
                assert usage.registers <= 65536 // choice.kernel.threads


def test_nvrtc_takes_it_too():
    for name in ("lstm", "coupled"):
        for program in programs(name, B=4, H=32):
            for choice in choices(program, KernelLayout(program), model.TF32):
                assert compiled(choice.kernel.source, "sm_90", compiler="nvrtc")


# ---- the text


def test_a_kernel_names_its_gates_and_its_step():
    call = prepare(_over_time(rnn.LSTMCell(3, 4)), (engine.zeros((2, 4)),) * 2,
                   engine.zeros((3, 2, 3)))  # fmt: skip
    program = lowered(program_of(call))
    (text,) = {one.kernel.source for one in choices(program, KernelLayout(program), 0)
               if one.form == "graph"}  # fmt: skip
    assert "/* one step as it was recorded" in text
    assert all(f"const real {gate}_v" in text for gate in "ifoc")
    assert "segment_0(const job *own, const long k)" in text


def test_the_same_program_gives_the_same_text():
    texts = []
    for _ in range(2):
        program = programs("reset_before", B=2, H=4)[1]
        texts.append([one.kernel.source for one in choices(program, KernelLayout(program), 0)])
    assert texts[0] == texts[1]


def segments(name: str) -> list[int]:
    """Count the kernels a step, forward and backward."""
    found = []
    for program in programs(name, B=4, H=8):
        kernel = next(one for one in choices(program, KernelLayout(program), 0)
                      if one.form == "graph").kernel  # fmt: skip
        found.append(len(kernel.segments))
    return found


def test_a_level_is_one_kernel_and_the_first_of_the_next_step_joins_the_last():
    assert segments("lstm") == [1, 1]
    assert segments("reset_before") == [2, 2]
    assert segments("delay") == [1, 1]


@pytest.mark.parametrize("name", ["diagonal", "affine", "coupled"])
def test_what_is_independent_has_neither_barriers_nor_a_graph(name):
    forward, backward = programs(name, B=4, H=8)
    for program in (forward, backward):
        (only,) = choices(program, KernelLayout(program), 0)
        assert (only.form, only.kernel.barriers) == ("sweep", 0)
        assert only.kernel.stretches == (name != "diagonal" or program is backward)


# ---- the model


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("precision", range(3))
def test_the_selected_tile_fits_and_is_the_best(precision, resident):
    tiling = Tiling([[Multiplied(4, 512)], [Multiplied(1, 512)]], 512, 64, precision, 4, 8)
    best = tiling.best(resident=resident)
    assert best is not None
    tile, cost = best
    assert tiling.fits(tile, resident=resident)
    assert not resident or tiling.blocks(tile) <= H200.processors
    for other in tiling.tiles():
        seconds = sum(tiling.cost(level, other, resident=resident).seconds
                      for level in tiling.levels)  # fmt: skip
        assert not tiling.fits(other, resident=resident) or seconds >= cost.seconds * (1 - 1e-9)


def test_a_weight_that_is_too_large_has_no_resident_tile():
    tiling = Tiling([[Multiplied(4, 4096)]], 4096, 16, model.STRICT, 4, 8)
    assert tiling.best(resident=True) is None
    assert tiling.best(resident=False) is not None


def test_a_smaller_machine_gets_other_tiles_and_forms():
    program = programs("lstm", B=64, H=512)[0]
    layout = KernelLayout(program)
    small = Machine(20, 64 * 1024)
    assert {one.form for one in choices(program, layout, 0)} >= {"sweep", "graph"}
    for one in choices(program, layout, 0, small):
        assert one.form != "sweep"
        assert one.kernel.most_shared <= small.shared


def test_more_rows_and_deeper_products_take_longer():
    def seconds(rows: int, depth: int) -> float:
        found = Tiling([[Multiplied(4, depth)]], depth, rows, 0, 4, 8).best(resident=False)
        assert found is not None
        return found[1].seconds

    assert seconds(128, 512) > seconds(16, 512) > seconds(16, 128)


def test_the_shapes_of_the_model_are_those_of_the_kernels():
    # A kernel asserts them when it is compiled: here for one shape, by hand.
    shape = Shape(columns=32, depth=256, rows=16, precision=0, real=4, warps=8)
    assert (shape.at_once, shape.lane_rows, shape.wide, shape.stride(32)) == (16, 4, 32, 36)
    assert shape.working(resident=True) == 8 * 16 * 36 * 4 + 8 * 16 * 32 * 4


@cupy_only
def test_explain_scan_tells_the_form_and_the_predicted_time():
    engine.seed(0)
    net = rnn.LSTM(3, 4).to("cupy")
    text = engine.explain_scan(net, engine.zeros((5, 2, 3), device="cupy"))
    assert "cuda: runs it" in text
    assert "predicted" in text
    assert "us a step" in text
