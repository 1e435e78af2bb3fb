"""Holds what a compiled core computes against the plan, on random numbers, before it is trusted.

Compilers have mistakes too: GCC 12 sums masked numbers wrong in loops that it has unrolled. A core
that gives other numbers than the plan is refused. Above `recurrence.py`'s `execute`.
"""

from collections.abc import Callable
from typing import Any

from engine.backends import HOST
from engine.backends.numpy import generator, quiet
from engine.backends.precision import get_matmul_precision
from engine.scan.program import Program, Source, Value

STEPS = 3
SHARE = 0.98  # of the numbers of each result have to agree: rounding may be blown up in a few
CLOSE = {4: 1e-2, 8: 1e-6}  # by the bytes of a number
ROUNDED = 4e-2  # in float32 with products of bfloat16
SCALES = ((0.0, 0.7), (0.5, 0.15))  # mean and deviation of what a program is tried with

Run = Callable[[list[Any], dict[Source, Any]], list[Any]]


def agree(program: Program, run: Run, reference: Run) -> bool:
    """Return whether two ways to run a program give the same numbers, for one of two samples.

    Each takes initial states and the other sources, and returns arrays, compared where finite.
    """
    return any(_agree_on(program, run, reference, *scale) for scale in SCALES)


def _agree_on(program: Program, run: Run, reference: Run, mean: float, deviation: float) -> bool:
    random = generator([len(program.values)])

    def sample(value: Value, *front: int) -> Any:
        shape = (*front, *value.shape)
        if value.dtype.kind == "b":
            return random.random(shape) < 0.7
        if value.dtype.kind in "iu":
            return HOST.xp.zeros(shape, value.dtype)
        return random.normal(mean, deviation, shape).astype(value.dtype)

    def sampled(names: tuple[Source, ...], *front: int) -> dict[Source, Any]:
        own = (source for source in names if source in leaves and source[0] != "constant")
        return {source: sample(program.values[leaves[source]], *front) for source in own}

    leaves = program.leaves
    carry = [sample(program.values[p]) for p in program.carry]
    sources = sampled(program.per_step, STEPS) | sampled(program.fixed)
    with quiet():
        pairs = zip(run(carry, sources), reference(carry, sources), strict=True)
        return all(_close(one, other) for one, other in pairs)


def _close(one: Any, other: Any) -> bool:
    """Return whether nearly all finite numbers of two arrays are alike."""
    if other.dtype.kind != "f":
        return bool(HOST.xp.mean(one == other) >= SHARE) if other.size else True
    finite = HOST.xp.isfinite(other)
    a, b = one[finite].astype("float64"), other[finite].astype("float64")
    if not b.size:
        return True
    close = CLOSE.get(other.dtype.itemsize, 1e-1)
    if get_matmul_precision() == "bfloat16":
        close = max(close, ROUNDED)
    near = abs(a - b) <= close * (1 + abs(b))
    return bool(HOST.xp.mean(near) >= SHARE)
