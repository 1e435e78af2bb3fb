"""Measure the cost of compiling: CPU seconds of a new process in the first step of a cell.

Below `recurrence.py`. Seconds are user and system time of the process and of those that it started,
less those of the same process once all of its kernels are in the cache.
"""

import os
import sys
import tempfile
from statistics import median
from typing import Any

from benchmarks.measuring import ROOT

CELLS = ("lstm", "gru", "layernorm")  # the first with an empty cache, the others after it
ROUNDS = 3
STEP = """
from benchmarks import recurrence_problem as problem
problem.ours("{cell}", problem.problem("{cell}", {shape}))()
"""
SHAPE = (64, 32, 128, 128)


def measure() -> list[dict[str, Any]]:
    """Return for each cell the CPU seconds with its kernels to compile and with them in the cache.

    The first cell meets an empty cache; every further one the cache that the first has left.
    """
    made: dict[str, list[float]] = {cell: [] for cell in CELLS}
    found: dict[str, list[float]] = {cell: [] for cell in CELLS}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            for cell in CELLS:
                made[cell].append(cpu_seconds(cell, cache))
                found[cell].append(cpu_seconds(cell, cache))
    return [{"cell": cell, "cache": "empty" if cell == CELLS[0] else f"left by {CELLS[0]}",
             "made_cpu_seconds": median(made[cell]), "found_cpu_seconds": median(found[cell]),
             "first_use_cpu_seconds": median(made[cell]) - median(found[cell])}
            for cell in CELLS]  # fmt: skip


def cpu_seconds(cell: str, cache: str) -> float:
    """Return the CPU seconds of a process, and of all that it waited for, to its end.

    Raises RuntimeError where it fails.
    """
    command = [sys.executable, "-c", STEP.format(cell=cell, shape=SHAPE)]
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": cache,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    child = os.posix_spawn(sys.executable, command, environment)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"the first step of {cell} ended with status {status}")
    return usage.ru_utime + usage.ru_stime
