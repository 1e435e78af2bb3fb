"""The process of one side of the benchmark of recurrences: ours, or some ways of one library.

`python -m benchmarks.recurrence_side TASK` checks and measures what the task (JSON) names, and
prints JSON. Below `recurrence.py`, which starts it by `run`, above the peers. A process does this
for each shape and way: one step, whose gradients are compared with those in float64 before anything
is timed; one timed step; and, unless that is far behind the fastest peer known so far, the median
after 2 warm-ups of at least 9 steps, or of as many as take a quarter of a second.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import engine
from benchmarks import cells
from benchmarks.measuring import FAR, ROOT, alone
from benchmarks.recurrence_problem import Job, Shape, check, ours, problem

SECONDS, MOST = 0.25, 101  # of a median: steps for that long, up to so many


class Side(NamedTuple):
    """Name the ways that share a process, the package, and whether a process is for one shape."""

    ways: tuple[str, ...]
    package: str
    apart: bool = False


OURS = Side(("bptt",), "engine", apart=True)
# In the order in which they are measured: the one that is likely to be the fastest comes first.
PEERS = (
    Side(("torch.nn",), "torch", apart=True),
    Side(("jax scan, hoisted", "jax scan"), "jax", apart=True),
    Side(("torch loop of cells",), "torch"),
    Side(("torch loop of ops",), "torch"),
    Side(("torch.compile",), "torch"),
    Side(("autograd",), "autograd"),
    Side(("mygrad",), "mygrad"),
)
CELL_BY_CELL = ("lstm", "gru", "rnn")  # for which torch has a cell


def peers(cell: str) -> list[Side]:
    """Return the sides that are installed and can run a cell."""
    found = [side for side in PEERS if importlib.util.find_spec(side.package)]
    left_out = {"torch.nn"} if cell in cells.WRITTEN else set()
    left_out |= {"torch loop of cells"} if cell not in CELL_BY_CELL else set()
    return [side for side in found if not left_out & set(side.ways)]


def jobs(cell: str, given: dict[str, Any], side: Side, threads: int) -> dict[str, Job]:
    """Return a training step by each way of a side."""
    if side.package == "engine":
        return {"bptt": ours(cell, given)}
    if side.package == "torch":
        from benchmarks import torch_peers

        found = torch_peers.jobs(cell, given, threads)
    elif side.package == "jax":
        from benchmarks import jax_peers

        found = jax_peers.jobs(cell, given)
    else:
        from benchmarks import numpy_peers

        found = numpy_peers.jobs(cell, given)
    return {way: found[way] for way in side.ways}


def measured(
    job: Job, what: str, exact: Path, *, fastest: float | None, before: Callable[[], Any]
) -> dict[str, float]:
    """Return what `alone` finds, or the milliseconds of a single run of a job that is far behind.

    `fastest` are the milliseconds of the fastest peer so far.
    """
    check(what, job(), exact)
    began = time.perf_counter()
    job()
    once = time.perf_counter() - began
    if fastest is not None and once * 1e3 > FAR * fastest:
        return {"single_run_milliseconds": once * 1e3}
    return alone(job, rounds=min(MOST, max(9, int(SECONDS / once))), before=before)


def work(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is found for every shape and way of a task."""
    side, cell, threads = Side(*task["side"]), task["cell"], task["threads"]
    engine.set_num_threads(threads)
    rows = []
    for shape, exact, fastest in task["shapes"]:
        given = problem(cell, tuple(shape))
        before = beside(shape, threads) if task["beside"] else lambda: None
        for way, job in jobs(cell, given, side, threads).items():
            found = measured(job, f"{cell} {shape} {way}", Path(exact), fastest=fastest,
                             before=before)  # fmt: skip
            fastest = min(fastest or found["milliseconds"], found.get("milliseconds", fastest))
            rows.append({"shape": shape, "way": way, **found})
    return rows


def beside(shape: Shape, threads: int) -> Callable[[], Any]:
    """Return a step of torch's LSTM, after which the threads of torch wait awake for a while."""
    from benchmarks import torch_peers

    return torch_peers.jobs("lstm", problem("lstm", shape), threads)["torch.nn"]


def run(
    side: Side,
    cell: str,
    threads: int,
    shapes: list[tuple[Shape, Path, float | None]],
    *,
    beside: bool = False,
) -> list[dict[str, Any]]:
    """Return what a fresh process finds, alone on as many cores as it has threads.

    Each shape comes with the file of its gradients in float64 and the milliseconds of the fastest
    peer so far. Raises RuntimeError with the end of what the process has said where it fails.
    """
    task = {
        "side": side,
        "cell": cell,
        "threads": threads,
        "beside": beside,
        "shapes": [(shape, str(exact), fastest) for shape, exact, fastest in shapes],
    }
    # One core for one thread: a library that starts more of them gains nothing by it.
    cores = set(sorted(os.sched_getaffinity(0))[:threads])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.recurrence_side", json.dumps(task)], cwd=ROOT, text=True,
        capture_output=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        preexec_fn=partial(os.sched_setaffinity, 0, cores),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{side.ways[0]}, {cell}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


if __name__ == "__main__":
    print(json.dumps(work(json.loads(sys.argv[1]))))
