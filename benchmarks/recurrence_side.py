"""The process of one side of the benchmark of recurrences: ours, or some ways of one library.

`python -m benchmarks.recurrence_side TASK` checks and measures what the task (JSON) names, and
prints JSON. Below `recurrence.py`, which starts it by `run`, above the peers. For each shape and
way: one step, whose gradients are compared with those in float64 before anything is timed; one
timed step; and, unless that is far behind the fastest peer known so far, the median of at least 9
steps, or of as many as take a quarter of a second.

Ours has a new process for every line, `torch.nn` and jax one that is forked for it from a process
that has only imported them. Several shapes in one process were tried: the allocator keeps more
memory after a large array was freed, so that `jax.lax.scan` of an LSTM (64, 32, 128, 128) took 88
page faults and 18 ms where a fresh process took 3,358 and 27 ms. The ways that run step by step in
Python share a process for all shapes: a fresh one for each would take longer than all the rest.
"""

import argparse
import importlib
import importlib.util
import json
import math
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import engine
from benchmarks import cells
from benchmarks.measuring import ROOT, alone
from benchmarks.recurrence_problem import Job, Shape, check, ours, problem

FAR = 1.5  # a peer that takes this many times as long as the fastest one is timed once
SHORT, TRIES = 20.0, 5  # a shorter step, in milliseconds, is tried so often before it is called far
ENOUGH, MOST = 250.0, 101  # of a median: milliseconds of all of its steps, and their number


class Side(NamedTuple):
    """Name the ways that share a process, the package, and whether to fork one for each shape."""

    ways: tuple[str, ...]
    package: str
    forks: bool = False


OURS = Side(("bptt",), "engine")
# In the order in which they are measured: the one that is likely to be the fastest comes first.
PEERS = (
    Side(("torch.nn",), "torch", forks=True),
    Side(("jax scan, hoisted", "jax scan"), "jax", forks=True),
    Side(("torch loop of cells", "torch loop of ops", "torch.compile"), "torch"),
    Side(("autograd",), "autograd"),
    Side(("mygrad",), "mygrad"),
)
LAYERS, CELLS = cells.BUILT, ("lstm", "gru", "rnn")  # that torch has


def installed(package: str) -> bool:
    """Return True where a package can be imported."""
    return importlib.util.find_spec(package) is not None


def peers(cell: str) -> list[Side]:
    """Return the sides that are installed, with those of their ways that can run a cell."""
    lacking = {"torch.nn"} if cell not in LAYERS else set()
    lacking |= {"torch loop of cells"} if cell not in CELLS else set()
    found = [side._replace(ways=tuple(way for way in side.ways if way not in lacking))
             for side in PEERS if installed(side.package)]  # fmt: skip
    return [side for side in found if side.ways]


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

    `fastest` are the milliseconds of the fastest peer so far. The warm-ups are the two runs or more
    that come first, one of them to compare the gradients.
    """
    check(what, job(), exact)
    once = alone(job, rounds=1, warm_ups=0)["milliseconds"]
    for _ in range(1, TRIES if once < SHORT else 1):
        once = min(once, alone(job, rounds=1, warm_ups=0)["milliseconds"])
    if fastest is not None and once > FAR * fastest:
        return {"single_run_milliseconds": once}
    rounds = min(MOST, max(9, int(ENOUGH / once)))
    return alone(job, rounds=rounds, warm_ups=0, before=before)


def work(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is found for every shape and way of a task."""
    side = Side(*task["side"])
    if not side.forks:
        return here(task)
    importlib.import_module(side.package)
    return [row for one in task["shapes"] for row in forked({**task, "shapes": [one]})]


def forked(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a child of this process finds. Raises RuntimeError where it ends before that."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(here(task)))
    child.start()
    sender.close()
    try:
        return receiver.recv()  # type: ignore[no-any-return]
    except EOFError:
        raise RuntimeError("the process of one shape has ended early") from None
    finally:
        child.join()


def here(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what this process finds for every shape and way of a task."""
    side, cell, threads = Side(*task["side"]), task["cell"], task["threads"]
    engine.set_num_threads(threads)
    rows = []
    for shape, exact, fastest in task["shapes"]:
        given = problem(cell, tuple(shape))
        before = beside(shape, threads) if task["beside"] else lambda: None
        for way, job in jobs(cell, given, side, threads).items():
            what = f"{cell} {shape} {way}"
            try:
                found = measured(job, what, Path(exact), fastest=fastest, before=before)
            except Exception as error:  # whatever it is, the others are measured
                rows.append({"shape": shape, "way": way, "failed": repr(error)[:500]})
                continue
            if "milliseconds" in found:
                fastest = min(fastest or math.inf, found["milliseconds"])
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
    peer so far. Raises RuntimeError with the end of its output where the process fails.
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
    parser = argparse.ArgumentParser("recurrence_side", description=__doc__)
    parser.add_argument("task", help="the lines of one side, as JSON")
    print(json.dumps(work(json.loads(parser.parse_args().task))))
