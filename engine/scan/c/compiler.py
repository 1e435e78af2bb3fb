"""Compile generated C once, and keep it by content in a private folder of the user's cache.

Beside each entry lies its digest, which is checked before it is loaded, as a library that was cut
short ends the process. Both are made in a folder of their own and moved into place, so processes
that compile the same source at once cannot hurt each other. Where there is no such cache, a library
lives for the process alone. Below `core.py`.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).parent
SHARED = SOURCES.parent / "kernels"  # with CUDA
LOG = logging.getLogger(__name__)  # says that something is compiled, which takes a second

# Values are never changed: only errno is given up. a * b + c is rounded twice, as in an array
# library, so that a value has the same bits wherever it is computed and compared. Traps stay on and
# loops are not unrolled whole: GCC 12 then adds up masked numbers wrong with AVX-512.
FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno",
         "-ffp-contract=off", "--param=max-completely-peel-times=1", "-std=gnu11", "-shared",
         "-fPIC", "-Wno-psabi", "-fopenmp-simd")  # fmt: skip
# For the library of products, in which nothing is compared or chosen.
FUSING = ("-ffp-contract=fast", "-fno-trapping-math", "--param=max-completely-peel-times=16")

ZIG = (sys.executable, "-m", "ziglang", "cc")  # a whole compiler in a Python package
OWNERS = hasattr(os, "getuid")  # without, a folder of the user's is private by other means


class CannotCompileError(Exception):
    """Report that there is no compiled code, and why."""


_told = False  # on the terminal that something is compiled
_loaded: dict[str, ctypes.CDLL] = {}  # the libraries of this process by what they were made of


def cache_folder() -> Path | None:
    """Return the folder of compiled kernels, made if need be; None where none is the user's alone.

    Code is loaded from it, so it belongs to the user and has no other writers.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "bptt" / "kernels"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if OWNERS and folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except (OSError, RuntimeError):  # a disk that cannot be written; no home
        return None
    return folder if not OWNERS or folder.stat().st_uid == os.getuid() else None


@lru_cache(maxsize=1)
def compiler() -> tuple[tuple[str, ...], str]:
    """Return the command of the C compiler and the line in which it names itself.

    It is that of the system, or else Zig's of the Python package `ziglang`. Raises
    CannotCompileError where there is neither, or where it does not run.
    """
    name = os.environ.get("CC") or "cc"
    path = shutil.which(name) or shutil.which("gcc") or shutil.which("clang")
    command = (path,) if path else ZIG if find_spec("ziglang") else ()
    if not command:
        raise CannotCompileError(
            "there is no C compiler (cc, gcc or clang); pip install ziglang brings one"
        )
    try:
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotCompileError(
            f"the C compiler {' '.join(command)} does not run: {error}"
        ) from error
    return command, said.stdout.partition("\n")[0]


def compiled(source: str, dtype: str, more: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Return the loaded library of a source for ``"float"`` or ``"double"``; compiled if need be.

    Raises CannotCompileError with what the compiler or the file system said.
    """
    command, said = compiler()
    more = (*more, *shlex.split(os.environ.get("BPTT_CFLAGS", "")))  # such as -fsanitize=address
    files = sorted([*SOURCES.glob("*.h"), *SHARED.glob("*.h")])
    headers = [file.read_text(encoding="utf-8") for file in files]
    told = "\n".join([said, " ".join((*FLAGS, *more)), dtype, _processor(), *headers, source])
    name = hashlib.sha256(told.encode()).hexdigest()[:32]
    if name not in _loaded:
        folder = cache_folder()
        _loaded[name] = _kept(folder, name) or _made(folder, name, command, source, dtype, more)
    return _loaded[name]


def library(*names: str, dtype: str = "float", more: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Return the loaded library of files in this folder, one after another; see `compiled`."""
    texts = [(SOURCES / name).read_text(encoding="utf-8") for name in names]
    return compiled("\n".join(texts), dtype, more)


def _kept(folder: Path | None, name: str) -> ctypes.CDLL | None:
    """Return the library in the cache; None where there is none, or one that is damaged."""
    if folder is None:
        return None
    entry = folder / f"{name}.so"
    with suppress(OSError):
        if _ours(entry) and entry.with_suffix(".sha256").read_bytes() == _digest(entry):
            return ctypes.CDLL(str(entry))
    return None


def _made(
    folder: Path | None, name: str, command: tuple[str, ...], source: str, dtype: str,
    more: tuple[str, ...],
) -> ctypes.CDLL:  # fmt: skip
    """Return the library, compiled in the cache, or else in a folder that is then removed."""
    _tell(" ".join(command), folder)
    places = [folder, None] if folder else [None]
    for place in places:
        try:
            with tempfile.TemporaryDirectory(prefix="bptt-", dir=place) as work:
                file = _run(command, source, dtype, Path(work), more)
                library = ctypes.CDLL(str(file))
                if place:
                    _keep(file, place / f"{name}.so")
                return library
        except OSError as error:
            fault = error
    raise CannotCompileError(f"a compiled kernel cannot be written or loaded: {fault}") from fault


def _tell(command: str, folder: Path | None) -> None:
    """Log that something is compiled; say it once a process where a person reads a terminal."""
    global _told
    kept = f"kept in {folder}" if folder else "for this process alone, as no folder can keep it"
    LOG.info("compiling a kernel with %s, %s", command, kept)
    if not (_told or LOG.isEnabledFor(logging.INFO)) and sys.stderr and sys.stderr.isatty():
        print(f"bptt: compiling kernels with {command}, {kept}", file=sys.stderr)
    _told = True


def _keep(file: Path, entry: Path) -> None:
    """Move a library into the cache, and then its digest: until both are there it is compiled."""
    digest = file.with_suffix(".sha256")
    digest.write_bytes(_digest(file))
    file.chmod(0o600)  # under any mask
    file.replace(entry)
    digest.replace(entry.with_suffix(".sha256"))


def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).hexdigest().encode()


def _run(own: tuple[str, ...], source: str, dtype: str, work: Path, more: tuple[str, ...]) -> Path:
    """Call the compiler; returns the library it wrote."""
    file, library = work / "kernel.c", work / "kernel.so"
    file.write_text(source, encoding="utf-8")
    define = ["-Dreal=float", "-DREAL_IS_FLOAT"] if dtype == "float" else ["-Dreal=double"]
    flags = [flag for flag in (*FLAGS, *more) if "x86" in platform.machine() or "512" not in flag]
    folders = [f"-I{SOURCES}", f"-I{SHARED}"]
    command = [*own, *flags, *define, *folders, str(file), "-o", str(library), "-lm", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip()[-600:] or f"{' '.join(own)} ended with {done.returncode}"
        raise CannotCompileError(f"the C compiler failed: {said}")
    return library


def _ours(file: Path) -> bool:
    """Return whether an entry is a plain file of the user's that has no other writers."""
    status = file.lstat()
    foreign = OWNERS and (status.st_mode & 0o022 or status.st_uid != os.getuid())
    return stat.S_ISREG(status.st_mode) and not foreign


@lru_cache(maxsize=1)
def _processor() -> str:
    """Return what -march=native depends on: machines of many kinds may share a cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
