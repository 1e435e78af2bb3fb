"""Choose what the threads of a call share: rows of the batch, units, or a grid of both.

Threads with rows of their own never wait for each other, but each reads all weights at every step.
Threads that share the units of the same rows read a part of the weights each, from its own cache
where they fit, and meet after each part of a step. What a step takes is estimated for each
division, and the shortest taken. The numbers are of one machine; only their ratios count. Below
`core.py`.
"""

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from engine.scan.kernels.layout import KernelLayout

RATE = 40e9  # multiplications a second of one core, with all that comes between them
NEAR, FAR = 60e9, 20e9  # bytes a second from the second level of the caches, and from behind it
MEETING = 0.3e-6  # seconds for two threads, twice as much for four times as many
HANDED = 10e9  # bytes a second that one core reads of what another has just written
CLEAR = 0.85  # of the time with rows of their own from which threads share units
SMALL = 60_000  # multiplications a step under which one thread is faster
FEW, LONG = 4_000, 20_000_000  # the same where threads never meet, and in all steps together
CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")


class StepWork(NamedTuple):
    """Hold what one step of a kernel does."""

    work: int  # multiplications a row
    weights: int  # bytes of packed weights
    columns: int  # bytes a row that products write
    meetings: int  # of threads that share units
    shares: bool = True  # whether threads with the same rows have anything to share


def step_of(layout: KernelLayout, meetings: int, *, shares: bool = True) -> StepWork:
    """Return what one step of a kernel does."""
    work = weights = columns = 0
    for p in layout.program.core:
        value, each = layout.values[p], 10  # an element-wise op takes as long as so many
        if value.kind == "product":
            each = layout.values[value.operands[0]].shape[-1]
            if layout.packs(value):
                weights += math.prod(layout.values[value.operands[1]].shape)
                columns += layout.width(p)
        work += each * layout.width(p)
    size = layout.dtype.itemsize
    return StepWork(work, weights * size, columns * size, meetings, shares)


class Division(NamedTuple):
    """Hold how many threads there are, and how many of them share the units of the same rows."""

    threads: int
    lanes: int


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def cache() -> int:
    """Return the bytes of the second level of the caches of one core; 1 MiB where unknown."""
    try:
        text = CACHE.read_text(encoding="ascii").strip()
    except OSError:
        return 1 << 20
    return int(text.removesuffix("K")) << 10 if text.endswith("K") else 1 << 20


@lru_cache(maxsize=4096)
def divided(step: StepWork, rows: int, threads: int, steps: int | None = None) -> Division:
    """Return the division that is estimated to be the fastest, alone where there is little to do.

    The lanes of a team have a core each, as they wait for each other at every step.
    """
    each = step.work * rows
    long = not step.meetings and each >= FEW and (steps is None or steps * each >= LONG)
    if threads < 2 or (each < SMALL and not long):
        return Division(1, 1)
    return fastest(step, rows, threads, cores())


def fastest(step: StepWork, rows: int, threads: int, available: int) -> Division:
    """Return the division among `threads` at most that is estimated to be the fastest."""
    most = max(min(threads, available), 1) if step.shares else 1
    found = [Division(min(threads // lanes, rows) * lanes, lanes) for lanes in range(1, most + 1)]
    rows_alone, best = found[0], min(found, key=lambda one: seconds(step, rows, one))
    clear = seconds(step, rows, best) < CLEAR * seconds(step, rows, rows_alone)
    return best if clear else rows_alone


def seconds(step: StepWork, rows: int, division: Division) -> float:
    """Return about how long one step takes."""
    threads, lanes = division
    own = -(-rows // (threads // lanes))
    computing = own * step.work / lanes / RATE
    weights = step.weights / lanes
    near = weights <= 0.75 * cache()
    taken = max(computing, weights / NEAR) if near else computing + weights / FAR
    if lanes > 1:
        taken += step.meetings * MEETING * (lanes / 2) ** 0.5
        taken += own * step.columns * (1 - 1 / lanes) / HANDED
    return taken
