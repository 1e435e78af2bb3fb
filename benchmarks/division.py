"""Measure how threads share a recurrence: a meeting, the model against the clock, and on paper.

Run `python -m benchmarks.division`. It times the forward pass of LSTMs with rows or units shared
among the threads of this machine, beside what the model of `engine/scan/c/division.py` says, and
writes what the model chooses for machines of 2 to 64 such cores, which is a prediction.
"""

import argparse
import ctypes
import math
import time
from statistics import median
from typing import Any

import engine
import rnn
from benchmarks.measuring import write
from engine.scan.c import core as c_core
from engine.scan.c.compiler import compiled
from engine.scan.c.division import Division, StepWork, cores, fastest, seconds
from engine.scan.c.products import pool

SHAPES = [(1, 64), (1, 128), (1, 256), (1, 512), (1, 1024), (4, 256), (4, 512), (16, 512),
          (32, 128), (32, 256), (32, 512), (128, 1024)]  # fmt: skip
MACHINES = (2, 8, 16, 64)  # cores
WORK = 3e8  # multiplications of one timed run, about
MEETINGS = 200_000
core: Any = c_core  # its choice is set from here
SOURCE = """
#include "runtime.h"
static const services *pool;
static void each(void *job, turn *own) {
    if (!own->lane) *(long *)job = own->lanes;
    for (long k = own->from; k < own->to; k++) pool->meet(own);
}
/* How many threads came. */
long meetings(const services *offered, long count, int threads) {
    long came = 0;
    pool = offered;
    pool->sweep(each, &came, count, 1, threads, threads, 0);
    return came;
}
"""


def meeting(threads: int) -> float:
    """Return the median seconds of one meeting of so many threads, of runs to which all came."""
    library = compiled(SOURCE, "float")
    library.meetings.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    library.meetings.restype = ctypes.c_long
    taken: list[float] = []
    for _ in range(100):
        if len(taken) == 7:
            break
        began = time.perf_counter()
        if library.meetings(pool(), MEETINGS, threads) == threads:
            taken.append((time.perf_counter() - began) / MEETINGS)
    return median(taken) if taken else math.nan


def step_of(B: int, H: int) -> tuple[StepWork, int]:
    """Return what a forward step of an LSTM does, and the rows that threads share."""
    found: list[tuple[StepWork, int]] = []
    plain = core.divided

    def seen(step: StepWork, rows: int, threads: int) -> Division:
        found.append((step, rows))
        chosen: Division = plain(step, rows, threads)
        return chosen

    core.divided = seen
    try:
        run(B, H, 2)
    finally:
        core.divided = plain
    return found[-1]


def run(B: int, H: int, T: int) -> float:
    """Return the seconds of a step of an LSTM, forward."""
    engine.seed(0)
    layer, x = rnn.LSTM(8, H), engine.ones((T, B, 8))
    with engine.no_grad():
        layer(x)
        taken = []
        for _ in range(9):
            began = time.perf_counter()
            layer(x)
            taken.append(time.perf_counter() - began)
    return median(taken) / T


def measured(B: int, H: int, division: Division) -> float:
    """Return the seconds of a step with one division, which is set for the time."""
    plain = core.divided
    core.divided = lambda step, rows, threads: division
    try:
        return run(B, H, max(10, min(400, int(WORK / (4 * B * H * H)))))
    finally:
        core.divided = plain


def line(B: int, H: int) -> dict[str, Any]:
    """Return one shape: microseconds a step by clock and model, and what the model chooses."""
    step, rows = step_of(B, H)
    count = cores()
    ways = {"one thread": Division(1, 1), "rows": Division(min(count, rows), 1),
            "units": Division(count, count)}  # fmt: skip
    predicted = {}
    for machine in MACHINES:
        best = fastest(step, rows, machine, machine)
        predicted[str(machine)] = {
            "threads": best.threads, "lanes": best.lanes,
            "microseconds": seconds(step, rows, best) * 1e6,
            "microseconds_of_rows": seconds(step, rows, Division(min(machine, rows), 1)) * 1e6,
        }  # fmt: skip
    return {
        "B": B, "H": H,
        "microseconds": {name: measured(B, H, one) * 1e6 for name, one in ways.items()},
        "model": {name: seconds(step, rows, one) * 1e6 for name, one in ways.items()},
        "predicted": predicted,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the result."""
    argparse.ArgumentParser("division", description=__doc__).parse_args(arguments)
    engine.set_num_threads(cores())
    rows = []
    for B, H in SHAPES:
        rows.append(line(B, H))
        print(rows[-1], flush=True)
    path = write(
        "division",
        {
            "what": "microseconds a step, forward, of an LSTM in float32, medians of 9",
            "meeting_microseconds": {str(n): meeting(n) * 1e6 for n in range(2, cores() + 1)},
            "rows": rows,
        },
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
