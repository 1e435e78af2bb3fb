"""Short forward and backward passes of every cell on a GPU, for a sanitizer to look at.

Sizes that no tile divides, and lengths. Each array has memory of its own, so that a read beyond its
end is one beyond an allocation; a run that cannot do without the pool is repeated with it. Prints
a line of JSON for each run; the status is 1 where gradients are wrong.
Run `python -m benchmarks.gpu_small_runs`.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

import engine
import rnn
from benchmarks import devices, gpu_lines, gpu_peers, gpu_recurrence, recurrence_problem
from benchmarks.gpu_lines import Line
from engine.scan import EXECUTORS
from engine.scan.cuda.core import CudaCore
from engine.scan.executors import Fused
from engine.scan.plan import PlanCore

FORMS = ("sweep", "graph", "launches")
SHAPES = ((3, 5, 7, 33), (3, 17, 8, 64))
LENGTHS = [3, 1, 2, 3, 2]
DEVICE = "cupy"


def runs() -> Iterator[Callable[[], dict[str, Any]]]:
    """Return every cell in every class that the engine can choose, and a layer over lengths."""
    classes = gpu_lines.CLASSES if gpu_peers.choice() else gpu_lines.CLASSES[:1]
    for precision in classes:
        for cell in (*gpu_lines.BUILT, *gpu_lines.WRITTEN):
            for shape in SHAPES:
                for form in FORMS:
                    yield partial(one, Line(cell, shape, precision), form)
    yield with_lengths


@contextmanager
def in_form(form: str) -> Iterator[None]:
    """Let recurrences on a GPU run in one form of their kernels, where they have it; "": any."""
    before = list(EXECUTORS)
    EXECUTORS[:] = [Fused(CudaCore(form), PlanCore()) if executor.name == "cuda" else executor
                    for executor in before]  # fmt: skip
    try:
        yield
    finally:
        EXECUTORS[:] = before


def one(line: Line, form: str = "") -> dict[str, Any]:
    """Run one line and compare its gradients with those of NumPy in float64."""
    given = gpu_peers.problem(line)
    with gpu_peers.ours_in(line.precision), in_form(form):
        error = gpu_recurrence.error(
            recurrence_problem.ours(line.cell, given, device=DEVICE)(),
            [devices.host(x)
             for x in recurrence_problem.ours(line.cell, given, dtype="float64")()],
        )  # fmt: skip
        told = gpu_recurrence.executor(line, given, DEVICE)
    return {**line._asdict(), "form": form, "executor": gpu_lines.named(told), "error": error,
            "right": error <= gpu_recurrence.TOLERANCES[line.precision]}  # fmt: skip


def with_lengths() -> dict[str, Any]:
    """Run a layer in both directions over rows of several lengths, padded with NaN."""
    found = [_bidirectional(device, dtype) for device, dtype in
             ((DEVICE, "float32"), ("numpy", "float64"))]  # fmt: skip
    error = gpu_recurrence.error(found[0], [devices.host(x) for x in found[1]])
    return {"cell": "lstm in both directions, lengths", "error": error,
            "right": error <= gpu_recurrence.TOLERANCES["float32"]}  # fmt: skip


def _bidirectional(device: str, dtype: str) -> list[Any]:
    engine.seed(0)
    x = np.random.default_rng(0).normal(size=(3, 5, 7))
    for row, length in enumerate(LENGTHS):
        x[length:, row] = np.nan
    layer = rnn.LSTM(7, 33, bidirectional=True).to(dtype=dtype).to(device)
    y, _ = layer(engine.asarray(x.astype(dtype), device=device), lengths=LENGTHS)
    grads = engine.gradients(engine.sum(y * y), layer.parameters())
    return [grad.data for grad in grads if grad is not None]


def main(arguments: list[str] | None = None) -> int:
    """Run all; return 1 where something is wrong."""
    argparse.ArgumentParser("gpu_small_runs", description=__doc__).parse_args(arguments)
    cupy = importlib.import_module("cupy")
    fake = devices.graphics()["fake"]
    right = True
    for run in runs():
        if not fake:
            cupy.cuda.set_allocator(None)
        found = tried(run)
        if "failed" in found and not fake:
            cupy.cuda.set_allocator(cupy.get_default_memory_pool().malloc)
            found = {**tried(run), "without_the_pool": found["failed"]}
        print(json.dumps(found), flush=True)
        right = right and found["right"]
    return 0 if right else 1


def tried(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a run finds, or why it failed."""
    try:
        return run()
    except Exception as problem:
        return {"cell": str(getattr(run, "args", "")), "failed": gpu_recurrence.said(problem),
                "right": False}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
