"""How every benchmark here measures: competitors in turn in one process, medians, ratios.

Results are written as JSON with the machine and the versions; tables in the docs come from them.
"""

import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "torch", "jax", "autograd", "mygrad", "cupy")  # as they are imported


def in_turn(
    jobs: dict[str, Callable[[], Any]],
    *,
    rounds: int = 9,
    warm_ups: int = 2,
    before: Callable[[Callable[[], Any]], Any] = lambda job: None,
) -> dict[str, float]:
    """The median seconds of each job, run one after another, round by round.

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


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
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
    names = importlib.metadata.packages_distributions().get(package, [])
    for name in names:
        return importlib.metadata.version(name)
    return str(getattr(sys.modules[package], "__version__", "unknown"))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write(name: str, result: dict[str, Any]) -> Path:
    """Write `results/NAME.json` and return its path."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **result}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path
