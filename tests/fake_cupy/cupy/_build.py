"""Compile CUDA C++ for the CPU with g++, once, and keep it by content in the user's cache.

`module_of` is given a source as `cupy.RawModule` takes it; the scheduler is compiled once for all.
Between `_raw.py` and the C++ of ../emulator, which has a README.md of what a source may use.
"""

import ctypes
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from cupy._emulator import settings
from cupy._source import CannotCompileError, for_the_cpu, kernels_of

EMULATOR = Path(__file__).parent.parent / "emulator"
RUNTIME = ("fibers.cpp", "scheduler.cpp", "exchange.cpp", "memory.cpp", "races.cpp")
BASIC = ("-std=gnu++17", "-shared", "-fPIC", "-fno-gnu-unique", "-Wl,-Bsymbolic")
# Nothing is contracted or vectorised: values are those of one operation after the other. -O0 takes
# the least time to compile and to run together. To look for libraries of C++, which a kernel does
# not use, takes a third of the time.
KERNEL = (*BASIC, "-O0", "-ffp-contract=off", "-w", "-nostdlib")
LIBRARIES = ("-lm", "-lgcc")
# A call of memory.cpp before each access of memory; no shadow memory and no other runtime.
CHECKS = ("-fsanitize=kernel-address", "--param", "asan-instrumentation-with-call-threshold=0",
          "--param", "asan-stack=0", "--param", "asan-globals=0")  # fmt: skip


class Parameter(ctypes.Structure):
    """Describe a parameter of a kernel, as call.h does."""

    _fields_ = (
        ("kind", ctypes.c_char),
        ("bytes", ctypes.c_int),
        ("to", ctypes.c_char),
        ("to_bytes", ctypes.c_int),
    )


class Module:
    """Hold a compiled source: its library and the number of each kernel in it."""

    def __init__(self, library: ctypes.PyDLL, names: tuple[str, ...]) -> None:
        self.library = library
        self.names = names
        # Without the variable of call.h; of all kernels of the source together.
        self.static_shared = int(runtime().emulated_static_shared(library.emulated_statics)) - 16

    def number(self, name: str) -> int | None:
        """Return the number of a kernel; None where the source has none of this C name."""
        if name not in self.names or not ("<" in name or hasattr(self.library, name)):
            return None
        return self.names.index(name)

    def parameters(self, number: int) -> list[tuple[str, int, str, int]]:
        """Return kind and bytes of each parameter, and of what a pointer points at."""
        first = ctypes.POINTER(Parameter)()
        count = self.library[f"emulated_parameters_{number}"](ctypes.byref(first))
        read = [first[i] for i in range(count)]
        return [(p.kind.decode(), p.bytes, p.to.decode(), p.to_bytes) for p in read]

    def bound(self, number: int) -> int:
        """Return the most threads of a block, by __launch_bounds__."""
        return int(self.library[f"emulated_bound_{number}"]())


@lru_cache(maxsize=256)
def module_of(source: str, options: tuple[str, ...], expressions: tuple[str, ...] = ()) -> Module:
    """Return the compiled form of a source. Raises CannotCompileError with what g++ said."""
    kernels = kernels_of(source) + [(name, "1024") for name in expressions]
    table = "\n".join(
        f"EMULATED_KERNEL({i}, ({bound}), {name})" for i, (name, bound) in enumerate(kernels)
    )
    text = "\n".join(
        ('#include "cuda.h"', '#line 1 "kernel.cu"', for_the_cpu(source),
         '#include "call.h"', table, "")
    )  # fmt: skip
    given = tuple(one for one in options if re.match(r"-?-?(D|U|std=c\+\+2)", one))
    flags = (
        KERNEL + (CHECKS if settings.checks else ()) + given + tuple(shlex.split(settings.flags))
    )
    runtime()  # its symbols are needed to load
    library = ctypes.PyDLL(str(_compiled(text, (), flags)), mode=os.RTLD_NOW)
    return Module(library, tuple(name for name, _ in kernels))


@lru_cache(maxsize=1)
def runtime() -> ctypes.PyDLL:
    """Return the scheduler, with the symbols that the libraries of kernels use."""
    flags = (*BASIC, "-O2")
    made = _compiled("", tuple(EMULATOR / name for name in RUNTIME), flags)
    library = ctypes.PyDLL(str(made), mode=os.RTLD_NOW | os.RTLD_GLOBAL)
    library.emulated_static_shared.restype = ctypes.c_ulong
    return library


@lru_cache(maxsize=1)
def compiler() -> tuple[str, str]:
    """Return the path of g++ and the line in which it names itself."""
    path = shutil.which(os.environ.get("CXX") or "g++")
    if path is None:
        raise CannotCompileError("there is no g++, which the emulator of kernels needs")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    return path, said.stdout.partition("\n")[0]


@lru_cache(maxsize=1)
def _headers() -> str:
    return "\n".join(
        file.read_text(encoding="utf-8")
        for file in sorted(EMULATOR.iterdir())
        if file.suffix != ".md"
    )


def _folder() -> Path:
    """Return the folder of compiled kernels; the user's alone, as code is loaded from it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "bptt" / "emulator"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise CannotCompileError(f"{folder} belongs to another user")
    folder.chmod(0o700)
    return folder


def _compiled(text: str, files: tuple[Path, ...], flags: tuple[str, ...]) -> Path:
    """Return the library of a text or of files, which is moved into its place whole."""
    path, said = compiler()
    told = "\n".join((said, *flags, *map(str, (f.name for f in files)), _headers(), text))
    entry = _folder() / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.so"
    if _whole(entry):
        return entry
    with tempfile.TemporaryDirectory(prefix="emulator-", dir=entry.parent) as work:
        source, made = Path(work) / "kernel.cpp", Path(work) / "kernel.so"
        source.write_text(text, encoding="utf-8")
        command = [path, *flags, f"-I{EMULATOR}", *map(str, files or (source,)), *LIBRARIES]
        command += ["-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotCompileError(done.stderr.strip()[-4000:])
        digest = made.with_suffix(".sha256")
        digest.write_bytes(_digest(made))
        made.replace(entry)
        digest.replace(entry.with_suffix(".sha256"))  # until then it is compiled
    return entry


def _whole(entry: Path) -> bool:
    """Return whether a library is there as it was written; one cut short ends the process."""
    digest = entry.with_suffix(".sha256")
    return entry.exists() and digest.exists() and digest.read_bytes() == _digest(entry)


def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).hexdigest().encode()
