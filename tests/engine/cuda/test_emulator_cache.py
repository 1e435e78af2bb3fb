"""Test the emulator's cache of kernels by content, and how sources are read and changed for g++."""

import subprocess

import cupy
import pytest

if not getattr(cupy, "IS_FAKE", False):
    pytest.skip("a real CuPy runs kernels on its device", allow_module_level=True)

from cupy import _build
from cupy._source import CannotCompileError, for_the_cpu, kernels_of

SOURCE = 'extern "C" __global__ void k(int* x) { *x = 1; }'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Yield an empty cache, and a module that is compiled at each request."""
    _build.runtime()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _build.module_of.cache_clear()
    yield tmp_path / "bptt" / "emulator"
    _build.module_of.cache_clear()


@pytest.fixture
def calls(monkeypatch):
    """Return the list of commands that are run."""
    seen, run = [], subprocess.run

    def counted(command, **options):
        seen.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    return seen


def again(*options):
    _build.module_of.cache_clear()
    return _build.module_of(SOURCE, options)


def test_a_source_is_compiled_once(cache, calls):
    assert again().names == again().names == ("k",)
    assert len(calls) == 1
    assert len(list(cache.glob("*.so"))) == 1
    assert cache.stat().st_mode & 0o077 == 0


def test_options_and_checks_are_part_of_the_content(cache, calls):
    again()
    again("-DONE")
    with _build.settings.use(checks=False):
        again()
    assert len(calls) == 3


def test_a_library_that_is_cut_short_is_compiled_again(cache, calls):
    again()
    (entry,) = cache.glob("*.so")
    whole = entry.read_bytes()
    entry.unlink()  # the file that is loaded stays as it is
    entry.write_bytes(whole[:100])
    assert again().number("k") == 0
    assert len(calls) == 2


def test_without_a_compiler_the_reason_is_said(cache, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    _build.compiler.cache_clear()
    try:
        with pytest.raises(CannotCompileError, match=r"there is no g\+\+"):
            again()
    finally:
        _build.compiler.cache_clear()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("__global__ void a() {} // __global__ void b() {}", [("a", "1024")]),
        ("/* __global__ void a() {} */ __global__ void b() {}", [("b", "1024")]),
        ("__global__ void __launch_bounds__(f(2) * 3, 1) a(int x) {}", [("a", "f(2) * 3, 1")]),
        ("__global__ __launch_bounds__(64) void a() {}", [("a", "64")]),
        ("template <int N> __global__ void a() {} __global__ void b() {}", [("b", "1024")]),
        ("__global__ void a(); __global__ void a() {}", [("a", "1024")]),
    ],
)
def test_kernels_are_found_in_a_source(source, found):
    assert kernels_of(source) == found


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        (
            "__shared__ float s[4];",
            "__shared__ float emulated_s[4]; auto& s = emulated_seen(emulated_s);",
        ),
        (
            "__shared__ __align__(16) int a[N + 1][2], b;",
            "__shared__ __align__(16) int emulated_a[N + 1][2], emulated_b; "
            "auto& a = emulated_seen(emulated_a); auto& b = emulated_seen(emulated_b);",
        ),
        ("extern __shared__ __align__(16) char m[];", "EMULATED_DYNAMIC_SHARED(char, m);"),
        ("extern __shared__ unsigned char m[ ];", "EMULATED_DYNAMIC_SHARED(unsigned char, m);"),
        ("float s[4];", "float s[4];"),
    ],
)
def test_shared_memory_is_declared_for_the_cpu(source, changed):
    assert for_the_cpu(source) == changed
