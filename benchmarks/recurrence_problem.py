"""Pose the problem of the benchmark of recurrences: arrays, our step, gradients to compare with.

Below the files `recurrence*.py` and `gpu_*.py`, above `cells.py`. The arrays are drawn from one
seed, so that every process of a line has the same ones.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import engine
import rnn
from benchmarks import cells

Shape = tuple[int, int, int, int]
SHAPES: list[Shape] = [(64, 32, 128, 128), (64, 32, 256, 256), (35, 20, 200, 200),
          (128, 16, 64, 512), (50, 64, 512, 512), (200, 1, 64, 64), (1000, 8, 32, 32)]  # fmt: skip
Job = Callable[[], list[Any]]


def problem(cell: str, shape: Shape) -> dict[str, Any]:
    """Return the arrays of one problem in float32: weights, x (T, B, I), states, g (T, B, H)."""
    T, B, I, H = shape
    rng = np.random.default_rng(0)
    k = H**-0.5
    sizes = cells.sizes(cell, I, H)
    draw = {name: rng.uniform(-k, k, size) for name, size in sizes.items()}
    draw["x"] = rng.normal(size=(T, B, I))
    for state in cells.states(cell):
        wide = cells.width(cell, H) if state == "h0" else H
        draw[state] = rng.normal(size=(B, wide)) * 0.1
    draw["g"] = rng.normal(size=(T, B, cells.width(cell, H)))
    return {name: value.astype("float32") for name, value in draw.items()}


def layer_of(
    cell: str, given: dict[str, Any], *, dtype: str = "float32", device: str = "numpy"
) -> tuple[rnn.Recurrent, dict[str, engine.Tensor], Any]:
    """Return our layer, its arrays by name in the order of the problem, and its initial state."""
    tensors = {name: engine.asarray(value.astype(dtype), requires_grad=True, device=device)
               for name, value in given.items() if name != "g"}  # fmt: skip
    states = tuple(tensors[s] for s in cells.states(cell))
    layer = rnn.Recurrent(cells.build(cell, tensors))
    return layer, tensors, states[0] if len(states) == 1 else states


def ours(
    cell: str,
    given: dict[str, Any],
    *,
    dtype: str = "float32",
    unroll: bool = False,
    device: str = "numpy",
) -> Job:
    """Return a step of ours, which gives the gradients of all arrays as arrays of the device."""
    layer, tensors, state = layer_of(cell, given, dtype=dtype, device=device)
    leaves = list(tensors.values())
    g = engine.asarray(given["g"].astype(dtype), device=device)

    def run() -> list[Any]:
        y, _ = layer(tensors["x"], state, unroll=unroll)
        return [grad.data for grad in engine.gradients(y, leaves, g) if grad is not None]

    return run


def write_exact(cell: str, shape: Shape, path: Path) -> None:
    """Write the gradients in float64 by the explicit loop, with which every side is compared."""
    given = problem(cell, shape)
    np.savez(path, *ours(cell, given, dtype="float64", unroll=True)())


def check(what: str, found: list[Any], path: Path) -> None:
    """Compare the gradients of one side with those in float64.

    Raises AssertionError where one differs by more than 2e-4 of its largest value; ValueError where
    gradients are missing.
    """
    with np.load(path) as exact:
        for one, name in zip(found, exact, strict=True):
            other = exact[name]
            scale = float(np.abs(other).max()) or 1.0
            np.testing.assert_allclose(np.asarray(one) / scale, other / scale, rtol=0, atol=2e-4,
                                       err_msg=what)  # fmt: skip
