"""Measure for every benchmark here: medians of jobs in turn, or of one alone with what it asks of
the system; ratios.

Results are written as JSON with the machine, the versions, the commit and the date; tables in the
docs come from them.
"""

import datetime
import importlib.metadata
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
PACKAGES = ("numpy", "torch", "jax", "autograd", "mygrad", "cupy", "mpi4py")  # as they are imported


def in_turn(
    jobs: dict[str, Callable[[], Any]],
    *,
    rounds: int = 9,
    warm_ups: int = 2,
    before: Callable[[Callable[[], Any]], Any] = lambda job: None,
) -> dict[str, float]:
    """Return the median seconds of each job, run one after another, round by round.

    `before(job)` is called, uncounted, ahead of every turn.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(warm_ups + rounds):
        for name, job in jobs.items():
            before(job)
            began = time.perf_counter()
            job()
            if turn >= warm_ups:
                times[name].append(time.perf_counter() - began)
    return {name: median(taken) for name, taken in times.items()}


def alone(
    job: Callable[[], Any],
    *,
    rounds: int = 9,
    warm_ups: int = 2,
    before: Callable[[], Any] = lambda: None,
) -> dict[str, float]:
    """Return the median milliseconds of a job, its page faults and milliseconds of system time.

    `before()` is called, uncounted in the median, ahead of every turn; faults and system time are
    those of the whole process while it is measured, over the turns that count.
    """
    taken = []
    for turn in range(warm_ups + rounds):
        if turn == warm_ups:
            first = resource.getrusage(resource.RUSAGE_SELF)
        before()
        began = time.perf_counter()
        job()
        taken.append(time.perf_counter() - began)
    last = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "milliseconds": median(taken[warm_ups:]) * 1e3,
        "page_faults_a_step": (last.ru_minflt - first.ru_minflt) / rounds,
        "system_milliseconds_a_step": (last.ru_stime - first.ru_stime) / rounds * 1e3,
    }


def geometric(ratios: Iterable[float]) -> float:
    """Return the geometric mean."""
    logarithms = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logarithms) / len(logarithms))


def commit() -> str | None:
    """Return the commit of the working tree, with a plus after it if source has changed.

    None where there is no git or no repository.
    """
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "*.py", "*.c", "*.h", "*.cu", "*.cuh")
    return (git("rev-parse", "--short", "HEAD") + "+" * bool(changed)) or None


def machine() -> dict[str, Any]:
    """Return the machine and the versions that the figures were measured on."""
    versions = {package: _version(package) for package in PACKAGES if package in sys.modules}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _version(package: str) -> str:
    """Return the version of an imported package, by the name of what was installed.

    CuPy is installed as cupy-cuda13x or another of its builds, so the name of the module is none.
    """
    names = _distributions().get(package, [])
    for name in names:
        return importlib.metadata.version(name)
    return str(getattr(sys.modules[package], "__version__", "unknown"))


@lru_cache(maxsize=1)
def _distributions() -> Any:
    """Return the distributions of each package; to read them takes a second or more."""
    return importlib.metadata.packages_distributions()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write(name: str | Path, result: dict[str, Any]) -> Path:
    """Write `results/NAME.json`, or the file of a path, and return its path."""
    path = name if isinstance(name, Path) else RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    when = {"commit": commit(), "date": datetime.date.today().isoformat()}
    text = json.dumps({"machine": machine(), **when, **result}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path
