"""Measure how steady our step is: over fresh processes, and beside torch's waiting threads.

Below `recurrence.py`, above `recurrence_side.py`. The lines are those of the LSTM that the project
has targets for: medians of ten processes within 10 %, beside another pool at most 1.3 times alone.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.recurrence_problem import Shape, write_exact
from benchmarks.recurrence_side import OURS, installed
from benchmarks.recurrence_turns import MOST, ROUNDS, Process

PROCESSES = 10  # of a spread
ENOUGH, LEAST = 250.0, 9  # of a median: milliseconds of all of its steps, and their number
SPREAD = ((200, 1, 64, 64), (64, 32, 128, 128), (64, 32, 256, 256), (35, 20, 200, 200))
BESIDE = ((64, 32, 128, 128), (64, 32, 256, 256))
Line = tuple[Shape, int]


def spread(chosen: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the medians of fresh processes of ours, for those of the lines that are followed.

    A line is a shape and a number of threads.
    """
    rows = []
    for shape, threads in [line for line in chosen if line[0] in SPREAD]:
        with tempfile.TemporaryDirectory() as folder:
            exact = _exact(shape, folder)
            taken = [_ours(shape, threads, exact) for _ in range(PROCESSES)]
        rows.append({"cell": "lstm", "shape": list(shape), "threads": threads, **over(taken)})
    return rows


def over(milliseconds: list[float]) -> dict[str, Any]:
    """Return the least, the median and the largest of some medians, and their spread."""
    least, middle, most = min(milliseconds), median(milliseconds), max(milliseconds)
    return {"milliseconds": milliseconds, "min": least, "median": middle, "max": most,
            "spread": (most - least) / middle}  # fmt: skip


def beside(chosen: Sequence[Line]) -> list[dict[str, Any]]:
    """Return our step in a process alone, and after a step of torch in the same process, in turn.

    Lines of one thread are left out: there is no pool. None are left without torch. The ratio is
    the median of those of the rounds.
    """
    rows = []
    for shape, threads in [line for line in chosen if line[0] in BESIDE and line[1] > 1]:
        if not installed("torch"):
            break
        with (
            tempfile.TemporaryDirectory() as folder,
            Process(OURS, "lstm", threads) as apart,
            Process(OURS, "lstm", threads, beside=True) as together,
        ):
            exact = _exact(shape, folder)
            steps = [_steps(process, shape, exact) for process in (apart, together)]
            pairs = [(_turn(apart, steps[0]), _turn(together, steps[0])) for _ in range(ROUNDS)]
            apart.close()
            together.close()
        alone, near = (median(taken) for taken in zip(*pairs, strict=True))
        rows.append({"cell": "lstm", "shape": list(shape), "threads": threads,
                     "alone_milliseconds": alone, "beside_milliseconds": near,
                     "ratio": median(b / a for a, b in pairs)})  # fmt: skip
    return rows


def _exact(shape: Shape, folder: str) -> Path:
    path = Path(folder) / "exact.npz"
    write_exact("lstm", shape, path)
    return path


def _ours(shape: Shape, threads: int, exact: Path) -> float:
    with Process(OURS, "lstm", threads) as process:
        found = _turn(process, _steps(process, shape, exact))
        process.close()
    return found


def _steps(process: Process, shape: Shape, exact: Path) -> int:
    """Open a shape and return of how many steps a median is taken."""
    found = process.open(shape, exact)[OURS.ways[0]]
    if "failed" in found:
        raise RuntimeError(found["failed"])
    return min(MOST, max(LEAST, round(ENOUGH / float(found["milliseconds"]))))


def _turn(process: Process, steps: int) -> float:
    (way,) = OURS.ways
    found = process.turn(way, steps)
    if "failed" in found:
        raise RuntimeError(found["failed"])
    return float(found["milliseconds"])
