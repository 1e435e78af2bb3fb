"""Build every competitor of one line on a GPU: ours, and those of torch and jax in the same class.

In the class bfloat16 ours keeps float32 and multiplies in bfloat16; torch keeps all arrays in that
type, and jax is run both ways. All start from the same numbers. Below `gpu_recurrence.py`.
"""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

import engine
from benchmarks import cells, recurrence_problem
from benchmarks.gpu_lines import Line

Job = Callable[[], list[Any]]


def problem(line: Line) -> dict[str, Any]:
    """Return the arrays of a line; of the class bfloat16 only numbers that it can hold."""
    given = recurrence_problem.problem(line.cell, line.shape)
    return given if line.precision != "bfloat16" else {n: rounded(x) for n, x in given.items()}


def rounded(x: Any) -> Any:
    """Return float32 numbers rounded to bfloat16, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, "float32").view("uint32")
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view("float32")


def choice() -> Callable[[str], Any] | None:
    """Return the function that chooses our class, where the engine has one."""
    return getattr(engine, "set_matmul_precision", None)


@contextlib.contextmanager
def ours_in(precision: str) -> Iterator[None]:
    """Multiply in a class, and in float32 again afterwards; where there is no choice, as it is."""
    choose = choice() or (lambda name: None)
    try:
        choose(precision)
        yield
    finally:
        choose("float32")


@contextlib.contextmanager
def all_in(precision: str) -> Iterator[None]:
    """Do the same for torch, too: products of its layers would be TF32 if nothing were said."""
    torch = available("torch")
    if torch:
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    with ours_in(precision):
        yield


@lru_cache
def available(module: str) -> Any:
    """Return torch or jax where it is installed and has a GPU, else None."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else it takes 75 % at once
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    if module == "torch":
        return found if found.cuda.is_available() else None
    try:
        return found if any(one.platform == "gpu" for one in found.devices()) else None
    except RuntimeError:  # its plugin for the GPU does not start
        return None


def reference(line: Line, given: dict[str, Any]) -> list[Any]:
    """Return the gradients in float64: by torch on the GPU, by our NumPy executor without it."""
    if available("torch"):
        from benchmarks import torch_peers

        ways = torch_peers.jobs(line.cell, given, 1, device="cuda", dtype="float64")
        return ways["torch.nn" if line.cell in cells.BUILT else "torch loop of ops"]()
    return recurrence_problem.ours(line.cell, given, dtype="float64")()


def competitors(line: Line, given: dict[str, Any], device: str, *, everything: bool) -> dict[
    str, Job
]:  # fmt: skip
    """Return a training step by each way of running this cell.

    Where not `everything` is asked for, ways are left out that are far behind or slow to begin.
    """
    jobs = {"bptt": recurrence_problem.ours(line.cell, given, device=device)}
    if line.cell in cells.WRITTEN:
        jobs["bptt loop"] = explicit(recurrence_problem.ours(line.cell, given, device=device))
    if available("torch"):
        jobs |= with_torch(line, given, everything=everything)
    if available("jax"):
        jobs |= with_jax(line, given, everything=everything)
    return jobs


def with_torch(line: Line, given: dict[str, Any], *, everything: bool) -> dict[str, Job]:
    """Return its layer, loops and graphs; a loop is compiled where a layer is not the best way."""
    from benchmarks import torch_graphs, torch_peers

    stored = "bfloat16" if line.precision == "bfloat16" else "float32"
    ways = torch_peers.jobs(line.cell, given, 1, device="cuda", dtype=stored)
    loop = ways.get("torch loop of cells", ways["torch loop of ops"])
    if not everything and line.cell in cells.BUILT:
        ways = {"torch.nn": ways["torch.nn"]}
    return {**ways, "torch loop in a CUDA graph": torch_graphs.graphed(loop)}


def with_jax(line: Line, given: dict[str, Any], *, everything: bool) -> dict[str, Job]:
    """Return its scans, the input's product before them; inside of them, too, for everything."""
    from benchmarks import jax_peers

    ways = jax_peers.jobs(line.cell, given, precision=line.precision)
    if line.precision == "bfloat16":
        own = jax_peers.jobs(line.cell, given, dtype="bfloat16")
        ways |= {f"{name}, bfloat16 arrays": job for name, job in own.items()}
    return {name: job for name, job in ways.items() if everything or "hoisted" in name}


def explicit(job: Job) -> Job:
    """Return our job run step by step, every op by itself."""

    def run() -> list[Any]:
        with engine.explicit():
            return job()

    return run
