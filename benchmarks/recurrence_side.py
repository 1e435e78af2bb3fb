"""Run one side of the benchmark of recurrences in a process: ours, or some ways of one library.

`python -m benchmarks.recurrence_side TASK` answers a line of JSON with a line of JSON: first, for
a shape and the file of its gradients in float64, what its ways take once, after the gradients were
compared; then what some steps of a way take, as often as it is asked; null ends the shape. Below
`recurrence_turns.py`, which starts it, above the peers.

Each shape has a child of its own, forked from a process that has only imported the library.
Several shapes in one process were tried: the allocator keeps more memory after a large array was
freed, so that `jax.lax.scan` of an LSTM (64, 32, 128, 128) took 88 page faults and 18 ms where a
fresh process took 3,358 and 27 ms. The ways that run step by step in Python share a process for all
shapes: a fresh one for each would take longer than all the rest.
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import engine
from benchmarks import cells
from benchmarks.measuring import alone
from benchmarks.recurrence_problem import Job, Shape, check, ours, problem

TRIES, SHORT = 5, 20.0  # a step, in milliseconds, that is shorter than this is tried so often


class Side(NamedTuple):
    """Name the ways that share a process, the package, and whether to fork one for each shape."""

    ways: tuple[str, ...]
    package: str
    forks: bool = False


OURS = Side(("bptt",), "engine", forks=True)
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


def serve(task: dict[str, Any], answers: TextIO) -> None:
    """Answer for one shape after another, until no more come."""
    side = Side(*task["side"])
    if side.forks:
        importlib.import_module(side.package)
    for line in iter(sys.stdin.readline, ""):
        one = json.loads(line)
        if side.forks:
            forked(lambda given=one: shape(task, given, answers))  # type: ignore[misc]
        else:
            shape(task, one, answers)
        say(answers, None)


def forked(work: Callable[[], None]) -> None:
    """Do some work in a child; end with it where it fails, after what it has printed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)


def shape(task: dict[str, Any], one: dict[str, Any], answers: TextIO) -> None:
    """Answer for one shape: what each way takes once, then what is asked, until nothing is."""
    size, threads = tuple(one["shape"]), task["threads"]
    engine.set_num_threads(threads)
    before = beside(size, threads) if task["beside"] else lambda: None
    ready = jobs(task["cell"], problem(task["cell"], size), Side(*task["side"]), threads)

    def first(way: str) -> dict[str, Any]:
        check(f"{task['cell']} {size} {way}", ready[way](), Path(one["exact"]))
        return {"milliseconds": once(ready[way])}

    def turn(way: str) -> dict[str, Any]:
        return alone(ready[way], rounds=asked["steps"], warm_ups=asked["warm_ups"], before=before)

    say(answers, {way: tried(first, way) for way in ready})
    while asked := json.loads(sys.stdin.readline() or "null"):
        say(answers, tried(turn, asked["way"]))


def tried(measure: Callable[[str], dict[str, Any]], way: str) -> dict[str, Any]:
    """Return what a way takes, or the error that ends it: the others are measured."""
    try:
        return measure(way)
    except Exception as error:
        return {"failed": repr(error)[:500]}


def once(job: Job) -> float:
    """Return the milliseconds of one step, the shortest of some where it is short."""
    taken = alone(job, rounds=1, warm_ups=0)["milliseconds"]
    for _ in range(1, TRIES if taken < SHORT else 1):
        taken = min(taken, alone(job, rounds=1, warm_ups=0)["milliseconds"])
    return taken


def say(answers: TextIO, found: dict[str, Any] | None) -> None:
    """Write a line of JSON."""
    print(json.dumps(found), file=answers, flush=True)


def beside(size: Shape, threads: int) -> Callable[[], Any]:
    """Return a step of torch's LSTM, after which the threads of torch wait awake for a while."""
    from benchmarks import torch_peers

    return torch_peers.jobs("lstm", problem("lstm", size), threads)["torch.nn"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser("recurrence_side", description=__doc__)
    parser.add_argument("task", help="the side, the cell and the number of threads, as JSON")
    task = json.loads(parser.parse_args().task)
    # What a library prints must not stand among the answers.
    with os.fdopen(os.dup(1), "w") as own:
        os.dup2(2, 1)
        serve(task, own)
