"""Measure the sides of the benchmark of recurrences in turn, each in a process of its own.

All processes of a line are there at once, and one is measured at a time, for a fraction of a
second, round after round: where the clock of the machine changes from minute to minute, it does so
for all sides. A ratio is the median of those of the rounds. Below `recurrence.py`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import ROOT
from benchmarks.recurrence_problem import Shape
from benchmarks.recurrence_side import OURS, Side

FAR = 1.5  # a peer that takes this many times as long as the fastest one is timed once
ROUNDS = 7
ENOUGH, MOST = 350.0, 101  # of a line and way: milliseconds of all of its steps, and their number
LONG = 100.0  # milliseconds of a step before which none is needed that does not count
FAULTS = ("page_faults_a_step", "system_milliseconds_a_step")


class Process:
    """Run one side for a cell and a number of threads, on as many cores as it has threads."""

    def __init__(self, side: Side, cell: str, threads: int, *, beside: bool = False) -> None:
        self.side, self.cell = side, cell
        task = {"side": side, "cell": cell, "threads": threads, "beside": beside}
        # One core for one thread: a library that starts more of them gains nothing by it.
        cores = set(sorted(os.sched_getaffinity(0))[:threads])
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.recurrence_side", json.dumps(task)], cwd=ROOT,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            preexec_fn=partial(os.sched_setaffinity, 0, cores),
        )  # fmt: skip

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None:
            self.process.kill()
        self.process.communicate()
        self.errors.close()

    def open(self, shape: Shape, exact: Path) -> dict[str, dict[str, Any]]:
        """Return what each way takes once at a shape, or why it failed.

        `exact` is the file of its gradients in float64, which those of the way must equal.
        """
        ways: dict[str, dict[str, Any]] = self._asked({"shape": shape, "exact": str(exact)})
        return ways

    def turn(self, way: str, steps: int, warm_ups: int = 1) -> dict[str, Any]:
        """Return what some steps of a way take, as `measuring.alone` finds it."""
        found: dict[str, Any] = self._asked({"way": way, "steps": steps, "warm_ups": warm_ups})
        return found

    def close(self) -> None:
        """End the shape: what else it holds of memory is returned."""
        self._asked(None)

    def _asked(self, command: dict[str, Any] | None) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and its answer is missing
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        what = f"{self.side.ways[0]}, {self.cell}"
        raise RuntimeError(f"{what}: {self.errors.read().strip()[-500:]}")


def line(shape: Shape, threads: int, exact: Path, running: Sequence[Process]) -> dict[str, Any]:
    """Return the line of a shape: milliseconds of each way, the best peer, its ratio to ours.

    Raises RuntimeError where ours is wrong or fails; a peer is left out, and the line says why.
    """
    first: dict[str, float] = {}
    failed: dict[str, str] = {}
    of = {}
    for process in running:
        for way, found in process.open(shape, exact).items():
            of[way] = process
            if "failed" in found:
                fail(failed, way, found)
            else:
                first[way] = found["milliseconds"]
    near = within_reach(first)
    turns: dict[str, list[dict[str, Any]]] = {way: [] for way in near}
    for _ in range(ROUNDS):
        for way in [way for way in near if way not in failed]:
            steps = min(MOST, max(1, round(ENOUGH / ROUNDS / first[way])))
            found = of[way].turn(way, steps, int(first[way] < LONG))
            if "failed" in found:
                fail(failed, way, found)
            else:
                turns[way].append(found)
    for process in running:
        process.close()
    whole = {way: own for way, own in turns.items() if way not in failed}
    return {
        "cell": running[0].cell, "shape": list(shape), "threads": threads, **compared(whole),
        "single_run_milliseconds": {way: first[way] for way in first if way not in near},
        "failed": failed,
    }  # fmt: skip


def fail(failed: dict[str, str], way: str, found: dict[str, Any]) -> None:
    """Note why a peer failed. Raises RuntimeError where it is ours."""
    if way in OURS.ways:
        raise RuntimeError(found["failed"])
    failed[way] = found["failed"]


def within_reach(first: dict[str, float]) -> list[str]:
    """Return ours, and the peers that are not far behind the fastest of them."""
    fastest = min((taken for way, taken in first.items() if way not in OURS.ways), default=0.0)
    return [way for way, taken in first.items() if way in OURS.ways or taken <= FAR * fastest]


def compared(turns: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the medians of the rounds, the best peer, and the median of its ratios to ours."""
    taken = {way: [one["milliseconds"] for one in own] for way, own in turns.items()}
    middle = {way: median(own) for way, own in taken.items()}
    (ours,) = OURS.ways
    best = min((way for way in middle if way != ours), key=middle.__getitem__, default=None)
    ratios = sorted(p / o for p, o in zip(taken[best], taken[ours], strict=True)) if best else []
    return {
        "milliseconds": middle, "best_peer": best,
        "ratio": median(ratios) if ratios else None,
        "ratio_least_and_most": [ratios[0], ratios[-1]] if ratios else None,
        **{name: median(one[name] for one in turns[ours]) for name in FAULTS},
    }  # fmt: skip
