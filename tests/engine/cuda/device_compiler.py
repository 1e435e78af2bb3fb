"""Compile CUDA C++ for real devices, without one: registers, spills and shared memory of kernels.

By nvcc, or by NVRTC, which CuPy uses and which refuses more. Only tests use it; those that find no
compiler are skipped and say so. The emulator (tests/fake_cupy/emulator) runs the same sources.
"""

import ctypes
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

ARCHITECTURES = ("sm_80", "sm_90")
STANDARD = "-std=c++17"
CUPY = ("--fmad=false", "-ftz=true")  # what kernels are compiled with there


class Usage(NamedTuple):
    """Hold the needs of a kernel: sizes in bytes, spills of a thread, shared memory of a block."""

    registers: int
    spills: int
    shared: int
    barriers: int


class RefusedError(Exception):
    """Report a refusal of the compiler, in its words."""


def compiled(
    source: str, architecture: str, options: tuple[str, ...] = (), compiler: str = "nvcc"
) -> dict[str, Usage]:
    """Return the usage of each kernel of a source. Raises RefusedError.

    The test is skipped where there is no such compiler ("nvcc" or "nvrtc").
    """
    return _usages(COMPILERS[compiler](source, architecture, options))


@cache  # kernels of several dtypes share sources
def _by_nvcc(source: str, architecture: str, options: tuple[str, ...]) -> str:
    path = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if path is None:
        pytest.skip("there is no nvcc")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cu"
        file.write_text(source, encoding="utf-8")
        flags = [STANDARD, *CUPY, f"-arch={architecture}", "-cubin", "-Xptxas", "-v", *options]
        command = [path, *flags, str(file), "-o", str(file.with_suffix(".cubin"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr + done.stdout)
    return done.stderr + done.stdout


@lru_cache(maxsize=1)
def _nvrtc() -> ctypes.CDLL | None:
    """Return the library of NVRTC: of the system, or of a package of NVIDIA's."""
    names = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]
    found = importlib.util.find_spec("nvidia")
    for place in (found.submodule_search_locations or []) if found else []:
        names += map(str, sorted(Path(place).glob("*/lib/libnvrtc.so.*")))
    for name in names:
        with suppress(OSError):
            return ctypes.CDLL(name)
    return None


def _by_nvrtc(source: str, architecture: str, options: tuple[str, ...]) -> str:
    library = _nvrtc()
    if library is None:
        pytest.skip("there is no NVRTC")
    program = ctypes.c_void_p()
    made = library.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None
    )
    if made:
        raise RefusedError(f"nvrtcCreateProgram returned {made}")
    try:
        given = (STANDARD, *CUPY, f"-arch={architecture}", "--ptxas-options=-v", *options)
        texts = (ctypes.c_char_p * len(given))(*(one.encode() for one in given))
        failed = library.nvrtcCompileProgram(program, len(given), texts)
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(max(1, size.value))
        library.nvrtcGetProgramLog(program, log)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise RefusedError(log.value.decode())
    return log.value.decode()


COMPILERS: dict[str, Callable[[str, str, tuple[str, ...]], str]] = {
    "nvcc": _by_nvcc,
    "nvrtc": _by_nvrtc,
}


def _usages(log: str) -> dict[str, Usage]:
    """Return what ptxas says of each kernel with -v."""
    parts = re.split(r"Compiling entry function '(\w+)'", log)[1:]
    return dict(zip(parts[::2], map(_usage, parts[1::2]), strict=True))


def _usage(text: str) -> Usage:
    def number(pattern: str) -> int:
        found = re.search(pattern, text)
        return int(found[1]) if found else 0

    spills = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
    shared, barriers = number(r"(\d+) bytes smem"), number(r"used (\d+) barriers")
    return Usage(number(r"Used (\d+) registers"), spills, shared, barriers)
