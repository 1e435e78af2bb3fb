"""Runs a program launch by launch, with products by the library, each before its segment.

For large products: no graph of CuPy's can hold one of cuBLAS. Beside `core.py`.
"""

from typing import Any

from engine.backends import Array
from engine.scan.kernels.arrays import Slot
from engine.scan.time_batched import TimeBatched


def run_launches(
    queue: Any, batched: TimeBatched, arrays: dict[Slot, Array], real: Any, *, reverse: bool
) -> None:
    """Run all steps."""
    weights: dict[int, Array] = {}
    for segment in queue.kernel.segments:
        for value in segment.products:
            weight = batched.get(value.operands[1]).astype(real, copy=False)
            weights[value.position] = weight.T if value.op.inputs == 3 else weight
    for step in range(queue.first, batched.steps):
        for segment in queue.kernel.segments:
            for value in segment.products if step >= 0 else ():
                left = _at_step(value.operands[0], batched, arrays, step, reverse=reverse)
                out = arrays[Slot("scratch", value.position)][step & 1]
                _multiply(batched.xp, left, weights[value.position], out)
            queue.launch(segment, step)


def _multiply(xp: Any, left: Array, weight: Array, out: Array) -> None:
    """Launch one product with a weight at one step, into its scratch."""
    rows, columns = left.reshape(-1, left.shape[-1]), out.reshape(-1, weight.shape[1])
    xp.matmul(rows, weight, out=columns)


def _at_step(
    p: int, batched: TimeBatched, arrays: dict[Slot, Array], step: int, *, reverse: bool
) -> Array:
    """Return a value of the core at one step, where the kernels have put it."""
    program = batched.program
    t = batched.steps - 1 - step if reverse else step
    if p in program.carried:
        return arrays[Slot("carry", program.carried[p])][t + 1 if reverse else t]
    if p in program.stored and not program.values[p].breaks:
        return arrays[Slot("stored", p)][t]
    return arrays[Slot("scratch", p)][step & 1]
