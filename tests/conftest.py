"""Provide fixtures: devices, a browser, a watch over leaked thread state, the golden flag."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine
from engine.scan import recorded
from engine.scan.c import products
from engine.state import State, current
from engine.stepping import Stepping, stepping
from rnn.cells.declaration import _time
from rnn.layers.recurrent import watching
from rnn.modules.module import _caller
from tests import ROOT
from tests.browser import chromium
from tests.devices import choose_cupy

choose_cupy()

# Each process that a test starts imports the packages: half of its time where nothing is compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell has jobs in the background ignore Ctrl-C, and so would each process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files from this run"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect 24,000 tests without walking them again and again for cycles, which there are not."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="module")
def frozen() -> Iterator[None]:
    """Freeze earlier objects: to look through them takes each collection 0.5 s in a run of all.

    For files that ask for collections: with few objects left Python makes more of its own.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(params=["numpy", pytest.param("cupy", marks=pytest.mark.cupy)])
def device(request: pytest.FixtureRequest) -> str:
    """Return the name of each device in turn; CuPy is `tests/fake_cupy` without a GPU."""
    try:
        return engine.device(request.param)
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def gpu() -> str:
    """Return the name of the first device of CuPy; skip the test, with the reason, without one."""
    try:
        return engine.device("cupy")
    except RuntimeError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield a browser for the tests of one module; skip them, with the reason, without one."""
    with chromium() as opened:
        yield opened


# Small kernels take longer to compile than to run. Where generated code itself is tested it has the
# flags of users (`engine/scan/test_fused.py`, `test_random_steps.py`, `test_sanitize.py` and
# others); so has `docs`: a trained spiking network is another one after other last bits.
LEVELS = {"rnn": "-O0", "viz": "-O0", "examples": "-O1", "benchmarks": "-O1", "engine/cuda": "-O0"}
LEVELS |= {
    f"engine/{name}.py": "-O0"
    for name in ("test_checkpoint", "test_custom_op", "test_forward_mode", "test_versions",
                 "test_vmap", "ops/test_crf", "ops/test_dropout", "ops/test_normalization")
} | {
    f"engine/scan/test_{name}.py": "-O0"
    for name in ("associative_scan", "beside_the_core", "chunks", "derivatives_of_scans",
                 "recurrence_faults", "repeated", "scan_limits", "scan_options",
                 "sums_beside_the_core")
}  # fmt: skip

# What a kernel calls of the C library lies in the process: to look for it takes the linker a tenth
# of the time of a small kernel. The compiler of `ziglang` needs its own libraries.
LINKED = " -nostdlib" if sys.platform == "linux" and shutil.which("cc") else ""


@pytest.fixture(autouse=True, scope="module")
def _level_of_compilation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile the kernels of some rooms with few passes, but as users do in `make test-all`."""
    room = next((room for room in LEVELS if request.path.is_relative_to(ROOT / "tests" / room)), "")
    level = LEVELS.get(room, "")
    if "not slow" not in request.config.option.markexpr or "BPTT_CFLAGS" in os.environ:
        level = ""
    if level:
        _forget_kernels()
        os.environ["BPTT_CFLAGS"] = level + LINKED
    yield
    if level:
        del os.environ["BPTT_CFLAGS"]
        _forget_kernels()


def _forget_kernels() -> None:
    """Let each kernel be compiled, or found in the cache, with the flags now in force."""
    recorded._programs.clear()
    products._libraries.clear()


VARIABLES = (_time, _caller, watching)


def settings() -> dict[str, Any]:
    """Return all settings in force in this thread and this process."""
    found = {name: getattr(current(), name) for name in State.__slots__}
    found |= {name: getattr(stepping(), name) for name in Stepping.__slots__}
    found |= {variable.name: variable.get(None) for variable in VARIABLES}
    found |= {"seed of the thread": engine.random._threads.seed, "NumPy's errors": np.geterr()}
    return found | {"matmul precision": engine.get_matmul_precision()}


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    """Hold that a test leaves the settings of its thread as it found them."""
    before, threads = settings(), engine.get_num_threads()
    yield
    engine.synchronize()  # raises what a test left unread on a device
    after = settings()
    for state in (current(), stepping()):  # so that one leak fails one test
        for name in state.__slots__:
            setattr(state, name, before[name])
    engine.set_num_threads(threads)  # examples set it, as they have a process to themselves
    if after != before:
        for variable in VARIABLES:
            variable.set(before[variable.name])
        engine.random._threads.seed = before["seed of the thread"]
        np.seterr(**before["NumPy's errors"])
        engine.set_matmul_precision(before["matmul precision"])
    assert after == before


@pytest.fixture
def explicit() -> Iterator[None]:
    """Put every step of recurrences on the graph."""
    with engine.explicit():
        yield


@pytest.fixture
def quiet() -> Iterator[None]:
    """Silence NumPy's warnings about infinities and overflow, where ours and its are compared."""
    with np.errstate(all="ignore"):
        yield
