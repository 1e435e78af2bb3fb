"""Declare the cores that run a program over time, and tell which of them is trusted with one.

Compilers have mistakes too: GCC 12 sums masked numbers wrong in loops that it has unrolled. So what
a compiled core computes is held against the plan, on random numbers; one that gives others is
refused. Above `time_batched.py`, below `recurrence.py`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from engine.backends import HOST, Array, by_device, namespace_of
from engine.backends.numpy import generator, quiet
from engine.backends.precision import get_matmul_precision
from engine.scan.program import NotFusableError, Program, Source, Value
from engine.scan.time_batched import Multiply, TimeBatched


class Core(Protocol):
    """Declare a way to run the core of a program, and its large products."""

    name: str
    library: str  # of the arrays that it takes; empty: any

    @property
    def variant(self) -> Hashable:
        """Return the settings and the device for which a program is prepared."""

    @property
    def product(self) -> Multiply:
        """Return the function that computes its large products."""

    def prepare(self, program: Program) -> None:
        """Get ready for a program. Raises NotFusableError where it cannot be run here."""

    def lowered(self, program: Program) -> Program:
        """Return the program in the ops that this core has."""

    def wants(self, program: Program) -> list[int]:
        """Return the values outside of the core that must be there before it runs."""

    def run(
        self, batched: TimeBatched, carry: list[Array], *, reverse: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """Return the history (T + 1, ...) of every state, and the stored values (T, ...).

        ``history[i][t]`` is state i before step t and the last entry the final state. With
        `reverse` the steps run from the last to the first, ``history[i][t + 1]`` is the state
        before step t, and the first entry is the final one.
        """


@dataclass(frozen=True)
class Result:
    """Hold what a program gives over time: final states, values of every step, sums over time."""

    finals: list[Array]
    steps: list[Array]
    totals: list[Array]


def execute(
    core: Core, program: Program, carry: list[Array], sources: Mapping[Source, Array], steps: int,
    *, reverse: bool,
) -> Result:  # fmt: skip
    """Run a program over `steps` steps: what is hoisted, its core, and what is deferred."""
    # What rows without a step compute may be anything, and is nothing to warn of.
    with nullcontext() if program.mask is None else quiet():
        program = core.lowered(program) if program.carry else program  # else there is no core
        arrays = (*carry, *sources.values())
        xp = namespace_of(arrays[0]) if arrays else HOST.xp
        constants = {("constant", i): x for i, x in enumerate(_constants(program, xp))}
        batched = TimeBatched(program, xp, {**sources, **constants}, steps, core.product)
        history: list[Array] = []
        stored: dict[int, Array] = {}
        if program.carry:
            batched.compute(core.wants(program))
            history, stored = core.run(batched, carry, reverse=reverse)
        ends = slice(0, -1), slice(1, None)
        before, after = ends[::-1] if reverse else ends
        batched.arrays |= stored
        for i, (past, p) in enumerate(zip(history, program.carry, strict=True)):
            if ("carry", i) in program.leaves:
                batched.arrays[program.leaves["carry", i]] = past[before]
            if p in program.core:
                batched.arrays[p] = past[after]
        last = 0 if reverse else -1
        return Result(
            # Copies: a state that is carried on must not hold the history of all steps in memory.
            [xp.asarray(past[last].copy()) for past in history],
            [xp.asarray(batched.over_time(p)) for p in program.steps],
            [_summed(batched, p) for p in program.totals],
        )


def _constants(program: Program, xp: Any) -> Sequence[Array]:
    """Return the arrays of the sources ``("constant", i)``, copied to a device once."""
    if xp is HOST.xp:
        return program.constants
    key = ("constants", xp)
    if key not in program.memo:
        program.memo[key] = [xp.asarray(x) for x in program.constants]
    found: Sequence[Array] = program.memo[key]
    return found


def _summed(batched: TimeBatched, p: int) -> Array:
    return batched.xp.asarray(batched.total(p), dtype=batched.program.values[p].dtype)


def refusal(core: Core, program: Program, cores: Sequence[Core]) -> str:
    """Return why a core cannot run a program; empty: it can. Found out once for each variant.

    A core is held against the last one of `cores` before it is used.
    """
    key = ("refusal", core, core.variant)
    if key not in program.memo:
        by_device(core.library or "numpy").synchronize()  # what it finds wrong is no fault of this
        try:
            core.prepare(program)
            program.memo[key] = "" if _trusted(core, cores[-1], program) else (
                "the compiled numbers differ from those of the plan")  # fmt: skip
        except NotFusableError as reason:
            program.memo[key] = str(reason)
        except Exception as error:  # a mistake of a compiler is no reason to stop a program
            program.memo[key] = f"{core.name} failed with {type(error).__name__}: {error}"
    found: str = program.memo[key]
    return found


def best_core(program: Program, cores: Sequence[Core]) -> Core:
    """Return the first of the cores that can run a program.

    Raises NotFusableError, with the last reason, where none can.
    """
    if not program.carry:
        return cores[0]
    reason = "there is no core"
    for core in cores:
        reason = refusal(core, program, cores)
        if not reason:
            return core
    raise NotFusableError(reason)


def _trusted(core: Core, reference: Core, program: Program) -> bool:
    """Return whether a core gives the numbers of another one, on samples made on the host."""

    def runs(one: Core) -> Any:
        backend = by_device(one.library or "numpy")

        def run(carry: list[Array], sources: dict[Source, Array]) -> list[Array]:
            states = [backend.asarray(x, None, None) for x in carry]
            others = {source: backend.asarray(x, None, None) for source, x in sources.items()}
            found = execute(one, program, states, others, STEPS, reverse=False)
            return [backend.to_numpy(x) for x in (*found.finals, *found.steps, *found.totals)]

        return run

    if core is reference:
        return True
    own, others = runs(core), runs(reference)
    return any(_agree_on(program, own, others, *scale) for scale in SCALES)


# ---- agreement


STEPS = 3
SHARE = 0.98  # of the numbers of each result have to agree: rounding may be blown up in a few
CLOSE = {4: 1e-2, 8: 1e-6}  # by the bytes of a number
ROUNDED = 4e-2  # in float32 with products of bfloat16
SCALES = ((0.0, 0.7), (0.5, 0.15))  # mean and deviation of what a program is tried with

Run = Callable[[list[Any], dict[Source, Any]], list[Any]]


def _agree_on(program: Program, run: Run, reference: Run, mean: float, deviation: float) -> bool:
    """Return whether two ways to run a program give the same numbers on a sample, where finite."""
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
