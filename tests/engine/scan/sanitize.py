"""Run kernels under the sanitizers of addresses and undefined behaviour; also `make sanitize`.

Usage: python -m tests.engine.scan.sanitize [--count N] [--seed S] [--threads N] [--no-tests].
Kernels and the library of products are compiled with BPTT_CFLAGS into a cache of their own, and
the interpreter runs with the sanitizer's malloc, so that NumPy's arrays have guarded borders.
Every array that a kernel is handed is a block of its own, filled with NaN where it is not
written. Above `random_steps`.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests import ROOT

FLAGS = {
    "address": "-O1 -g1 -fsanitize=address,undefined -fsanitize=float-cast-overflow "
    "-fno-sanitize-recover=all -fno-omit-frame-pointer",
    "thread": "-O1 -g1 -fsanitize=thread",
}
LIBRARIES = {"address": ("libasan.so", "libubsan.so"), "thread": ("libtsan.so",)}
FILES = (
    "engine/scan/test_fused.py", "engine/test_kernels.py", "engine/scan/test_scan.py",
    "engine/scan/test_recurrence_faults.py", "rnn/models/test_layers.py",
)  # fmt: skip
# Tests of time and memory, and of the compiler and its cache.
LEFT_OUT = (
    "time_and_memory", "keep_memory", "does_not_hold", "ready_soon", "compile", "entr",
    "cache", "another_source", "code_is_loaded", "no_compiler", "one_kernel_serves",
    "source_can_be_read", "without_owners",
)  # fmt: skip


def libraries(kind: str = "address") -> str:
    """Return the paths of the sanitizer's libraries for LD_PRELOAD; empty where one is missing."""
    try:
        found = [
            subprocess.run(
                ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
            ).stdout.strip()
            for name in LIBRARIES[kind]
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return " ".join(found) if all(map(os.path.isabs, found)) else ""


def environment(cache: str, kind: str = "address") -> dict[str, str]:
    """Return the environment of a process under a sanitizer; CC runs without it."""
    wrapper = Path(cache) / "cc"
    wrapper.write_text('#!/bin/sh\nunset LD_PRELOAD\nexec gcc "$@"\n')
    wrapper.chmod(0o700)
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": cache,
        "OPENBLAS_NUM_THREADS": "1",
        "CC": str(wrapper),
        "BPTT_CFLAGS": FLAGS[kind],
        "LD_PRELOAD": libraries(kind),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:max_malloc_fill_size=1073741824:malloc_fill_byte=255",
        "BPTT_ARENA": "0",  # its blocks have no guarded borders
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=0:exitcode=66:report_signal_unsafe=0",
    }


# ---- in the process under the sanitizer


def guard(threads: int) -> None:
    """Give kernels arrays that are blocks of their own, and so many threads for any work."""
    from engine.backends import HOST
    from engine.scan.c import compiler, core, division, passes, products

    empty = HOST.xp.empty

    def poisoned(shape: Any, dtype: Any = float) -> Any:
        if np.dtype(dtype).char not in "fd":
            return empty(shape, dtype)
        count = max(int(np.prod(shape)), 1)
        block = array.array(np.dtype(dtype).char, [np.nan]) * count  # malloc of that size
        return np.frombuffer(block, dtype)[: int(np.prod(shape))].reshape(shape)

    def copied(given: Any) -> Any:
        block = poisoned(given.shape, given.dtype)
        block[...] = given
        return block

    def demanded(*arguments: Any) -> Any:
        try:
            return compiled(*arguments)
        except compiler.CannotCompileError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(3)

    def apart(lengths: list[int], dtype: Any) -> Any:
        blocks = [poisoned((n,), dtype) for n in lengths]
        return blocks, list(map(passes.plain, blocks))

    compiled = compiler.compiled
    core.compiled = compiler.compiled = demanded
    HOST.xp.empty = poisoned
    core.well_placed = copied
    passes.temporary = apart
    if threads:
        products.set_num_threads(threads)
        products.SHORT = 0
        core.divided = lambda step, rows, wanted: division.Division(min(threads, rows), 1)


BEGIN = "real **p = call->p;"
PLANTS = {
    "row": ("last = own->last", "last = own->last + 1"),
    "packed": ("service->packed_product(n, ", "service->packed_product(n, 1 + "),
    "step": ("const long came = t + !!call->reverse", "const long came = t + 2"),
    "shift": (BEGIN, f"{BEGIN} volatile int by = 40, bits = 1 << by;"),
    "overflow": (BEGIN, f"{BEGIN} volatile int most = 2147483647, more = most + 1;"),
    "index": (BEGIN, f"{BEGIN} volatile long at = 3, few[3]; few[at] = 1;"),
    "cast": (BEGIN, f"{BEGIN} volatile real big = 1e20; volatile int cut = big;"),
}


def plant(name: str) -> None:
    """Let the generator make a mistake, to test that a sanitizer finds it."""
    from engine.scan.c.source import Kernel, Writer

    plain = Writer.kernel
    old, new = PLANTS[name]

    def wrong(self: Writer) -> Kernel:
        kernel = plain(self)
        return replace(kernel, source=kernel.source.replace(old, new))

    Writer.kernel = wrong  # type: ignore[method-assign]


def steps(first: int, last: int) -> int:
    """Check random steps in this process; returns 1 where a number is wrong."""
    from tests.engine.scan.step_checks import check_source
    from tests.engine.scan.step_programs import made

    statuses: Counter[str] = Counter()
    failed = False
    for seed in range(first, last):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        verdict = check_source(made(seed).source())
        statuses[f"{verdict.status} in {verdict.executor or 'none'}"] += 1
        if verdict.status == "wrong":
            failed = True
            print(f"seed {seed}: {verdict}", flush=True)
    print(json.dumps(statuses), flush=True)
    return int(failed)


# ---- around it


def checked(arguments: list[str], env: dict[str, str]) -> int:
    """Run this module with `arguments` under a sanitizer: the exit status."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.engine.scan.sanitize", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


def layer() -> int:
    """Run one small layer, the quickest way to one kernel and a product."""
    import engine
    import rnn

    with engine.no_grad():
        rnn.LSTM(3, 5)(engine.ones((4, 2, 3)))
    return 0


def tests(more: list[str]) -> int:
    """Run the tests of kernels in this process."""
    import pytest

    files = [str(ROOT / "tests" / name) for name in FILES]
    chosen = f"not ({' or '.join(LEFT_OUT)})"
    plugins = ["-p", "no:faulthandler", "-p", "no:xdist", "-p", "no:cacheprovider"]
    return int(pytest.main(["-q", *plugins, "-k", chosen, *(more or files)]))


def main() -> int:
    """Run the command; the exit status is 1 where a sanitizer or a test found something."""
    parser = argparse.ArgumentParser(description="Run kernels under sanitizers.")
    parser.add_argument("--count", type=int, default=300, help="how many random steps")
    parser.add_argument("--seed", type=int, default=0, help="the first of their seeds")
    parser.add_argument("--threads", type=int, default=0, help="of kernels, for work of any size")
    parser.add_argument("--no-tests", action="store_true", help="random steps alone")
    parser.add_argument("--kind", choices=FLAGS, default="address", help="the sanitizer")
    parser.add_argument("--plant", choices=PLANTS, help="a mistake in every kernel, to be found")
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    arguments, more = parser.parse_known_args()
    if arguments.inside:
        if arguments.kind == "thread":
            del os.environ["LD_PRELOAD"]  # a shell does not start with it
        guard(arguments.threads)
        if arguments.plant:
            plant(arguments.plant)
        kind, *rest = arguments.inside
        if kind == "layer":
            return layer()
        return steps(*map(int, rest)) if kind == "steps" else tests([*rest, *more])
    if not libraries(arguments.kind):
        print(f"gcc has no {' or '.join(LIBRARIES[arguments.kind])}", file=sys.stderr)
        return 2
    last = arguments.seed + arguments.count
    parts = [] if arguments.no_tests else [["tests", *more]]
    parts += [["steps", str(arguments.seed), str(last)]] if arguments.count else []
    options = ["--threads", str(arguments.threads), "--kind", arguments.kind]
    options += ["--plant", arguments.plant] if arguments.plant else []
    with tempfile.TemporaryDirectory() as cache:
        env = environment(cache, arguments.kind)
        found = [checked([*options, "--inside", *part], env) for part in parts]
        return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
