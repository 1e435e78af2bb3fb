"""Run the tests marked `cupy` as parts of `make gpu`: those of recurrences first, then of ops.

Runs pytest with the plugin `gpu_tests.py` until all tests have an outcome or the time is up.
"""

import importlib.util
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import gpu_record, measuring
from benchmarks.gpu_processes import module, ran, tail
from benchmarks.gpu_tests import STATUS_LOST

TESTS = measuring.ROOT / "tests"
# One test a dtype and an example of every op: many, and short. All other files come before them.
OPS = ("test_ops", "test_op_", "test_forward_mode", "test_losses", "test_convolution",
       "test_standard")  # fmt: skip
FIRST = ("test_gpu", "test_device", "test_cuda", "test_kernel", "test_scan", "test_fused")
PROCESSES = 8  # of a GPU at once at most, as each holds a context of 0.5 GB
CUT_OFF = "cut off at the limit of the run"
HANGS = "cut off at the limit of two runs"


def files(group: str) -> list[str]:
    """Return the files of a group that may have tests of a device, the most telling first."""
    found = [path for path in sorted(TESTS.rglob("test_*.py"))
             if re.search(r"\b(cupy|device)\b", path.read_text(encoding="utf-8"))]  # fmt: skip
    own = [path for path in found if path.name.startswith(OPS) == (group == "ops")]
    own.sort(key=lambda path: not path.name.startswith(FIRST))
    return [path.relative_to(measuring.ROOT).as_posix() for path in own]


def command(group: str, outcomes: Path, leave_out: Path) -> list[str]:
    """Return the command that runs a group; its warnings are counted, as they come from others."""
    own = ["-q", "-m", "cupy", "-W", "default", "-p", "no:cacheprovider", "-p",
           "benchmarks.gpu_tests", "--continue-on-collection-errors", "--tb=short",
           f"--outcomes={outcomes}", f"--leave-out={leave_out}"]  # fmt: skip
    if importlib.util.find_spec("xdist"):
        own += ["-n", str(min(PROCESSES, os.cpu_count() or 1)), "--maxschedchunk=8"]
    return module("pytest", *own, *files(group))


def run(group: str, path: Path, key: dict[str, Any], seconds: float) -> None:
    """Run the tests of a group that have no outcome yet, and write what is known of all."""
    ends = time.monotonic() + seconds
    result = gpu_record.earlier(path, key)
    known: dict[str, Any] = result.get("tests", {})
    with tempfile.TemporaryDirectory() as folder:
        outcomes, leave_out = Path(folder) / "outcomes", Path(folder) / "leave_out"
        status: int | None = STATUS_LOST
        while status == STATUS_LOST and time.monotonic() < ends:  # the device: another process
            names = [name for name, one in known.items() if one["outcome"] != CUT_OFF]
            leave_out.write_text(json.dumps(names), encoding="utf-8")
            outcomes.touch()
            status, output = ran(command(group, outcomes, leave_out), ends - time.monotonic())
            known = merged(known, lines(outcomes), lost=status == STATUS_LOST)
            gpu_record.save(path, counted(result | {"finished": False}, known))
    # 5: no tests were left; 1: some have failed.
    finished = status in (0, 1, 5) and not any(one["outcome"] == CUT_OFF for one in known.values())
    gpu_record.save(path, counted(result | {"finished": finished, "output": tail(output)}, known))


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of outcomes, without one that was not written to its end."""
    whole = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in whole]


def merged(known: dict[str, Any], new: Iterable[dict[str, Any]], *, lost: bool) -> dict[str, Any]:
    """Return outcomes by test: the first failure stays, and a test without an end was cut off.

    Where the device was lost, or the test was cut off in a run of before, it is not run again.
    """
    found = {name: one for name, one in known.items() if one["outcome"] != CUT_OFF}
    for line in new:
        name, outcome = line["test"], line["outcome"]
        if outcome == "begun" or found.get(name, {}).get("outcome") in ("failed", HANGS):
            found.setdefault(name, {"outcome": "begun"})
            continue
        found[name] = {name: line[name] for name in ("outcome", "why") if name in line}
    for name, one in found.items():
        if one["outcome"] == "begun":
            again = lost or known.get(name, {}).get("outcome") == CUT_OFF
            found[name] = {"outcome": ("failed" if lost else HANGS) if again else CUT_OFF,
                           "why": "the device answers no more" if lost else ""}  # fmt: skip
    return found


def counted(result: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the result with counts and with all that did not pass; all outcomes until the end.

    A file that asks for a package which is not installed says nothing of the device.
    """
    good = ("passed", "skipped", "xfailed")
    lacking = {name: one["why"] for name, one in known.items() if "No module named" in
               one.get("why", "") and one["outcome"] == "not collected"}  # fmt: skip
    bad = {name: one for name, one in known.items()
           if one["outcome"] not in good and name not in lacking}  # fmt: skip
    skipped = Counter(one.get("why", "") for one in known.values() if one["outcome"] == "skipped")
    told = {**result, "what": "tests marked cupy", "counts": counts(known), "not_passed": bad,
            "skipped_because": dict(skipped), "packages_missing": lacking}  # fmt: skip
    told.pop("tests", None)
    return told if result["finished"] else told | {"tests": known}


def counts(known: dict[str, Any]) -> dict[str, int]:
    """Return how many tests have each outcome."""
    return dict(Counter(one["outcome"] for one in known.values()))
