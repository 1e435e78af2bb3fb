"""Compiles generated C once, and keeps it by content in a private folder of the user's cache.

An entry is written under another name, checked, and moved into place, so processes that compile
the same source at once cannot hurt each other. Below `core.py`.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

SOURCES = Path(__file__).parent

# Values are never changed: only errno is given up. a * b + c is rounded twice, as in an array
# library, so that a value has the same bits wherever it is computed and compared. Traps stay on and
# loops are not unrolled whole: GCC 12 then adds up masked numbers wrong with AVX-512.
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno",
         "-ffp-contract=off", "--param=max-completely-peel-times=1", "-std=gnu11", "-shared",
         "-fPIC", "-Wno-psabi", "-fopenmp-simd")  # fmt: skip
# For the library of products, in which nothing is compared or chosen.
FUSING = ("-ffp-contract=fast", "-fno-trapping-math", "--param=max-completely-peel-times=16")


class CannotCompileError(Exception):
    """Why there is no compiled code."""


def cache_folder() -> Path:
    """The folder of compiled kernels: the user's alone."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bptt" / "kernels"


@lru_cache(maxsize=1)
def compiler() -> tuple[str, str]:
    """The C compiler and the line in which it names itself."""
    name = os.environ.get("CC") or "cc"
    path = shutil.which(name) or shutil.which("gcc") or shutil.which("clang")
    if path is None:
        raise CannotCompileError("there is no C compiler (cc, gcc or clang)")
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotCompileError(f"the C compiler {path} does not run: {error}") from error
    return path, said.stdout.splitlines()[0]


def compiled(source: str, dtype: str, more: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The loaded library of a source for ``"float"`` or ``"double"``; compiled if need be.

    Raises CannotCompileError with what the compiler or the file system said.
    """
    path, said = compiler()
    more = (*more, *shlex.split(os.environ.get("BPTT_CFLAGS", "")))  # such as -fsanitize=address
    headers = [file.read_text(encoding="utf-8") for file in sorted(SOURCES.glob("*.h"))]
    told = "\n".join([said, " ".join((*FLAGS, *more)), dtype, _processor(), *headers, source])
    name = hashlib.sha256(told.encode()).hexdigest()[:32]
    try:
        folder = _private(cache_folder())
        target = folder / f"{name}.so"
        if _ours(target):
            try:
                return ctypes.CDLL(str(target))
            except OSError:  # damaged: made anew
                target.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = _run(path, source, dtype, Path(work), more)
            made.replace(target)
        return ctypes.CDLL(str(target))
    except OSError as error:
        raise CannotCompileError(f"the cache of kernels cannot be used: {error}") from error


def _run(path: str, source: str, dtype: str, work: Path, more: tuple[str, ...]) -> Path:
    """Call the compiler; returns the library it wrote."""
    file, library = work / "kernel.c", work / "kernel.so"
    file.write_text(source, encoding="utf-8")
    define = ["-Dreal=float", "-DREAL_IS_FLOAT"] if dtype == "float" else ["-Dreal=double"]
    flags = [flag for flag in (*FLAGS, *more) if "x86" in platform.machine() or "512" not in flag]
    command = [path, *flags, *define, f"-I{SOURCES}", str(file), "-o", str(library), "-lm",
               "-lpthread"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCompileError(f"the C compiler failed: {done.stderr.strip()[-600:]}")
    return library


def _private(folder: Path) -> Path:
    """The folder, made if need be, readable and writable by its owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.getuid():
        raise CannotCompileError(f"the cache of kernels {folder} belongs to somebody else")
    if status.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def _ours(file: Path) -> bool:
    """Whether an entry is a plain file that nobody else could have written."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return False
    plain = (status.st_mode & 0o170000) == 0o100000
    if plain and status.st_uid == os.getuid() and not status.st_mode & 0o022 and status.st_size:
        return True
    file.unlink()
    return False


@lru_cache(maxsize=1)
def _processor() -> str:
    """What -march=native depends on: a cache on a shared disk serves machines of many kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
