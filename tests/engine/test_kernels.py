"""Test the compiled side: accuracy of the elementary functions, large products, cache, failures."""

import ctypes
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c import compiler
from engine.scan.c.core import CCore
from engine.scan.c.products import REALS
from engine.scan.c.source import Writer
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from tests import ROOT
from tests.draws import slow_beside
from tests.engine.scan.recorded_programs import of_cell

FUNCTIONS = {
    "exp": (0, np.exp),
    "tanh": (1, np.tanh),
    "sigmoid": (2, lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))),
}


EVALUATE = """
#include "runtime.h"
void evaluate(int which, long count, const real *restrict x, real *restrict y) {
    if (which == 0) for (long i = 0; i < count; i++) y[i] = exponential(x[i]);
    if (which == 1) for (long i = 0; i < count; i++) y[i] = hyptan(x[i]);
    if (which == 2) for (long i = 0; i < count; i++) y[i] = logistic(x[i]);
}
"""


def evaluated(which, x):
    y = np.empty_like(x)
    compiler.compiled(EVALUATE, REALS[x.dtype.char]).evaluate(
        which, ctypes.c_long(x.size), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data)
    )
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_are_right_to_four_units_in_the_last_place(name):
    which, exact = FUNCTIONS[name]
    bits = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32)
    x = np.concatenate([bits.view(np.float32), np.linspace(-110, 110, 400_001, dtype="float32")])
    x = x[np.isfinite(x)]
    with np.errstate(all="ignore"):
        right = exact(x.astype("float64"))
        rounded = right.astype("float32")
    found = evaluated(which, x)
    assert (np.isinf(found) == np.isinf(rounded)).all()
    finite = np.isfinite(rounded)
    unit = np.spacing(np.abs(rounded[finite])).astype("float64")
    gap = np.abs(found[finite].astype("float64") - rounded[finite].astype("float64")) / unit
    assert gap.max() <= 4, (x[finite][gap.argmax()], gap.max())


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="there is no wider float here")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions_are_right_in_double_precision_too(name):
    which, exact = FUNCTIONS[name]
    tails = np.linspace(-745.0, 709.0, 200_001)
    x = np.concatenate([tails, np.linspace(-3, 3, 200_001), np.geomspace(1e-300, 1.0, 20_001)])
    rounded = exact(x.astype(np.longdouble)).astype("float64")
    gap = np.abs(evaluated(which, x) - rounded) / np.spacing(np.abs(rounded))
    assert gap.max() <= 4, (x[gap.argmax()], gap.max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_infinities_and_nan_are_numpys(name, dtype):
    which, exact = FUNCTIONS[name]
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype)
    with np.errstate(all="ignore"):
        right = {"sigmoid": np.array([1.0, 0.0, np.nan, 0.5, 0.5])}.get(name, exact(x))
    np.testing.assert_array_equal(evaluated(which, x), right.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (7, 3, 33), (40, 900, 65), (129, 17, 1), (3, 0, 4), (2, 5, 40)]
)
def test_large_products(m, k, n, dtype):
    rng = np.random.default_rng(0)
    core = CCore()
    wide = rng.normal(size=(m, 2 * k)).astype(dtype)
    lefts = (rng.normal(size=(m, k)), rng.normal(size=(k, m)).T, wide[:, ::2])
    rights = (rng.normal(size=(k, n)), rng.normal(size=(n, k)).T)
    bias = rng.normal(size=2 * n).astype(dtype)
    unit = 1e-13 if dtype == "float64" else 1e-6
    for a in (x.astype(dtype, copy=False) for x in lefts):
        for b in (x.astype(dtype) for x in rights):
            exact = a.astype("float64") @ b.astype("float64")
            scale = max(1.0, float(np.abs(a).sum()))
            np.testing.assert_allclose(core.product(a, b), exact, rtol=0, atol=scale * unit)
            for row in (bias[:n], bias[::2]):
                found = core.product(a, b, row)
                np.testing.assert_allclose(found, exact + row, rtol=0, atol=scale * unit)


JOB = """
import engine, rnn
engine.seed(0)
layer = rnn.LSTM(3, {width})
x = engine.ones((4, 2, 3), requires_grad=True)
y, _ = layer(x)
engine.sum(y).backward()
print(float(x.grad.numpy().sum()))
"""


def start(width, cache, *, before="", **more):
    environment = {**os.environ, "BPTT_CFLAGS": "-O0", "XDG_CACHE_HOME": str(cache), **more}
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", before + JOB.format(width=width)], cwd=ROOT,
        env={name: value for name, value in environment.items() if value is not None},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    """Return a cache that three processes filled at once, their exit statuses and outputs."""
    folder = tmp_path_factory.mktemp("cache")
    jobs = [start(5, folder) for _ in range(3)]
    outputs = [job.communicate(timeout=120) for job in jobs]
    return folder, [job.returncode for job in jobs], outputs


@pytest.fixture(scope="module")
def full(at_once):
    """Return a cache with the kernels of a run, and the output of the run."""
    folder, _, outputs = at_once
    return folder, outputs[0]


def test_several_processes_compile_at_once(at_once):
    cache, statuses, outputs = at_once
    assert statuses == [0] * 3
    assert len(set(outputs)) == 1
    assert not outputs[0][1]
    folder = cache / "bptt" / "kernels"
    assert folder.stat().st_mode & 0o077 == 0
    assert {path.suffix for path in folder.iterdir()} == {".so", ".sha256"}


@slow_beside("test_damaged_entries_are_compiled_again")
def test_an_entry_that_was_cut_short_is_compiled_again(full, tmp_path):
    # Loaded, it would end the process by a bus error.
    folder, right = full
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    entries = sorted((tmp_path / "bptt" / "kernels").glob("*.so"))
    contents = [path.read_bytes() for path in entries]
    for path in entries:
        os.truncate(path, 4000)
    assert start(5, tmp_path).communicate(timeout=60) == right
    assert [path.read_bytes() for path in entries] == contents


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Return the folder of a cache that is empty, for a process that has loaded nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "_loaded", {})
    return tmp_path / "cache" / "bptt" / "kernels"


def value(number):
    """Return the number of a compiled library, in a process that has not loaded it before."""
    compiler._loaded.clear()
    return compiler.compiled(f"int value(void) {{ return {number}; }}", "float").value()


def put(path, content):
    """Put another file in the place of one that this process may have loaded, as it is mapped."""
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o600)


DAMAGES = {
    "cut short": lambda path: put(path, path.read_bytes()[:4000]),
    "a flipped bit": lambda path: put(path, path.read_bytes()[:-1] + b"\x7f"),
    "empty": lambda path: put(path, b""),
    "no library": lambda path: put(path, b"not a library"),
    "open to others": lambda path: path.chmod(0o666),
    "a link": lambda path: path.rename(f"{path}.old") and path.symlink_to(f"{path}.old"),
    "without a digest": lambda path: path.with_suffix(".sha256").unlink(),
    "an empty digest": lambda path: path.with_suffix(".sha256").write_bytes(b""),
    "a link to nothing": lambda path: path.unlink() or path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entries_are_compiled_again(damage, cache):
    assert value(7) == 7
    (path,) = cache.glob("*.so")
    content = path.read_bytes()
    DAMAGES[damage](path)
    assert value(7) == 7
    assert path.read_bytes() == content
    assert path.lstat().st_mode & 0o777 == 0o600
    assert not path.is_symlink()


def test_the_library_of_another_source_is_not_taken(cache):
    assert value(7) == 7
    (seven,) = cache.glob("*.so")
    assert value(8) == 8
    eight = next(path for path in cache.glob("*.so") if path != seven)
    put(eight, seven.read_bytes())
    assert value(8) == 8


@pytest.mark.parametrize("mask", [0, 0o002, 0o077])
def test_an_entry_is_used_under_any_mask_of_the_user(mask, cache):
    before = os.umask(mask)
    try:
        assert value(7) == 7
    finally:
        os.umask(before)
    (path,) = cache.glob("*.so")
    written = path.stat().st_mtime_ns
    assert value(7) == 7
    assert path.stat().st_mtime_ns == written
    assert cache.stat().st_mode & 0o777 == 0o700


def test_without_a_home_or_an_entry_in_passwd_kernels_are_compiled_all_the_same(full, tmp_path):
    (tmp_path / "scratch").mkdir()
    before = "import pwd\ndef unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
    job = start(5, None, before=before, XDG_CACHE_HOME=None, HOME=None,
                TMPDIR=str(tmp_path / "scratch"))  # fmt: skip
    assert job.communicate(timeout=60) == full[1]
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null"])  # not writable even by root
def test_without_a_cache_kernels_lie_in_a_folder_that_goes(place, cache, monkeypatch, tmp_path):
    scratch, seen = tmp_path / "scratch", []
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    load = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda path: (seen.append(os.stat(Path(path).parent)),
                                                      load(path))[1])  # fmt: skip
    assert value(7) == 7
    assert [(one.st_mode & 0o777, one.st_uid) for one in seen] == [(0o700, os.getuid())]
    assert list(scratch.iterdir()) == []


def test_kernels_are_compiled_with_a_read_only_cache(monkeypatch, cache):
    monkeypatch.setattr(compiler, "cache_folder", lambda: Path("/proc"))
    assert value(7) == 7


@pytest.mark.parametrize("fault", ["of another user", "open to others"])
def test_code_is_loaded_from_a_folder_of_the_users_alone(fault, cache, monkeypatch):
    assert compiler.cache_folder() == cache
    if fault == "of another user":
        monkeypatch.setattr(os, "getuid", lambda: cache.stat().st_uid + 1)
        assert compiler.cache_folder() is None
    else:
        cache.chmod(0o777)
        assert compiler.cache_folder().stat().st_mode & 0o777 == 0o700


def test_a_compiler_that_is_killed_is_said_and_leaves_nothing(cache, monkeypatch, tmp_path):
    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\nkill -9 $$\n")
    fake.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "compiler", lambda: ((str(fake),), "fake"))
        with pytest.raises(compiler.CannotCompileError, match="cc ended with -9"):
            value(7)
    assert list(cache.iterdir()) == []
    assert value(7) == 7


# What a killed process leaves is what another one meets that compiles at the same time.
@slow_beside("test_several_processes_compile_at_once")
def test_kill_9_while_it_compiles_leaves_a_cache_that_works(tmp_path):
    slow, mark = tmp_path / "cc", tmp_path / "mark"
    slow.write_text('#!/bin/sh\n[ "$1" = --version ] || touch "$MARK"; exec gcc "$@"\n')
    slow.chmod(0o755)
    job = start(6, tmp_path, CC=str(slow), MARK=str(mark))
    while not mark.exists():
        time.sleep(0.01)
    job.kill()
    job.communicate(timeout=60)
    output, errors = start(6, tmp_path).communicate(timeout=60)
    assert output
    assert not errors


def test_the_cache_is_used(full):
    folder = full[0] / "bptt" / "kernels"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert before
    assert start(5, full[0]).communicate(timeout=60) == full[1]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_without_a_compiler_the_plan_runs_with_one_warning(full, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("cc", "gcc", "clang"):
        path = tmp_path / "bin" / name
        path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken\n')
        path.chmod(0o755)
    more = {"PATH": f"{tmp_path / 'bin'}:/bin", "CC": "cc"}
    output, errors = start(5, tmp_path / "cache", **more).communicate(timeout=60)
    assert float(output) == pytest.approx(float(full[1][0]), rel=1e-5)
    assert errors.count("recurrences run without compiled kernels") == 1


@pytest.fixture
def no_system_compiler(monkeypatch):
    """Hide the compilers of this machine."""
    compiler.compiler.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    yield
    compiler.compiler.cache_clear()


def test_no_compiler_is_said(no_system_compiler, monkeypatch):
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    with pytest.raises(compiler.CannotCompileError, match="pip install ziglang"):
        compiler.compiler()


def test_the_compiler_of_a_python_package_is_found_by_itself(no_system_compiler, cache):
    pytest.importorskip("ziglang")
    command, said = compiler.compiler()
    assert command == (sys.executable, "-m", "ziglang", "cc")
    assert "clang" in said
    assert value(73) == 73


def test_a_system_without_owners_keeps_kernels(cache, monkeypatch):
    monkeypatch.delattr(os, "getuid")
    monkeypatch.setattr(compiler, "OWNERS", False)
    assert compiler.cache_folder() == cache
    assert value(74) == value(74) == 74
    assert list(cache.glob("*.so"))


def sources(batch):
    engine.seed(0)
    found = of_cell(rnn.LSTMCell(3, 5), batch)
    programs = [lowered(program) for program in (found.forward, found.program)]
    return [Writer(program, KernelLayout(program)).kernel().source for program in programs]


def test_one_kernel_serves_every_batch():
    assert sources(2) == sources(7)


def test_nothing_is_compiled_again_for_other_sizes_of_a_call(monkeypatch):
    # Compiles are counted over batches, steps and threads; only the first call has some.
    #
    # A batch of one row is another program, of other kernels.
    counted = []
    run = compiler._run
    monkeypatch.setattr(compiler, "_loaded", {})
    monkeypatch.setattr(compiler, "cache_folder", lambda: None)
    monkeypatch.setattr(compiler, "_run", lambda *given: counted.append(given) or run(*given))
    layer = rnn.LSTM(7, 5)
    before = engine.get_num_threads()
    try:
        sizes = [(4, 3, 1), (4, 3, 2), (9, 3, 1), (4, 8, 2), (4, 40, 2), (1, 3, 1)]
        for number, (steps, rows, threads) in enumerate(sizes):
            engine.set_num_threads(threads)
            x = engine.ones((steps, rows, 7), requires_grad=True)
            engine.sum(layer(x)[0]).backward()
            if not number:
                assert len(counted) >= 2
                counted.clear()
            assert not counted, (steps, rows, threads)
    finally:
        engine.set_num_threads(before)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_once_what_is_compiled_and_where_it_is_kept(cache, monkeypatch):
    monkeypatch.setattr(compiler, "_told", False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert (value(70), value(71)) == (70, 71)
    (line,) = sys.stderr.getvalue().splitlines()
    command = " ".join(compiler.compiler()[0])
    assert line == f"bptt: compiling kernels with {command}, kept in {cache}"


@pytest.mark.parametrize("stream", [io.StringIO(), None], ids=["a file", "none"])
def test_no_other_output_shows_what_is_compiled(stream, cache, monkeypatch):
    monkeypatch.setattr(compiler, "_told", False)
    monkeypatch.setattr(sys, "stderr", stream)
    assert value(72) == 72
    assert not stream or not stream.getvalue()


def test_a_log_has_the_line_instead_of_the_terminal(cache, monkeypatch, caplog):
    monkeypatch.setattr(compiler, "_told", False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with caplog.at_level("INFO", compiler.LOG.name):
        assert value(73) == 73
    assert sys.stderr.getvalue() == ""
    assert f"kept in {cache}" in caplog.text


def test_the_source_can_be_read():
    source = sources(2)[0]
    for name in ("i_v", "f_v", "g_v", "o_v", "c_v", "h_v", "core, level 1", "hoisted"):
        assert name in source


def test_a_fused_node_prints_as_one_line():
    y, _ = rnn.GRU(3, 4)(engine.asarray(np.ones((5, 2, 3), "float32"), name="x"))
    text = engine.Graph.of(y).text()
    assert "scan(" in text
    assert " at 0x" not in text


def test_nothing_warns_in_normal_work():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, _ = rnn.LSTM(2, 3)(engine.ones((2, 1, 2), requires_grad=True))
        engine.sum(y).backward()
    assert y.node.inputs[0].node.op.name == "scan"
