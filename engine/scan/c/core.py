"""Run the core of a program as compiled C. Falls back, with one warning, where nothing compiles.

Above `source.py` and `compiler.py`.
"""

import ctypes
import warnings
from typing import Any, NamedTuple

from engine.backends import HOST, Array
from engine.scan.c.compiler import CannotCompileError, compiled
from engine.scan.c.division import StepWork, divided, seconds, step_of
from engine.scan.c.passes import Pass, Planned
from engine.scan.c.products import (
    REALS,
    Products,
    address,
    get_num_threads,
    product,
    products,
    well_placed,
)
from engine.scan.c.source import Kernel, Writer
from engine.scan.kernels.arrays import PARTS, Slot
from engine.scan.kernels.beside import joined, reduced
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.program import NotFusableError, Program
from engine.scan.time_batched import TimeBatched

LENGTHS = 64  # for which the table of a pass is kept


class Ready(NamedTuple):
    """Hold a compiled program: what it wants, what it takes, and what a step of it does."""

    program: Program  # in the ops that kernels have
    run: Any
    slots: tuple[Slot, ...]
    wants: list[int]
    rows: int
    step: StepWork
    library: Products
    pointers: type[ctypes.Array[ctypes.c_void_p]]
    whole: Pass


class CCore:
    """Run the core of each program in a kernel of its own."""

    name = "c"
    library = "numpy"
    variant = ()
    product = staticmethod(product)  # in the kernels' own threads

    def __init__(self) -> None:
        self._warned = False

    def prepare(self, program: Program) -> None:
        """Generate and compile. Raises NotFusableError with the reason where that cannot be."""
        own = lowered(program)
        try:
            own, layout, kernel = _written(joined(own if own.derived else reduced(own)))
        except NotFusableError:
            own, layout, kernel = _written(own)
        try:
            run = compiled(kernel.source, REALS[layout.dtype.char]).run
            run.argtypes = [ctypes.POINTER(Recurrence), ctypes.c_int, ctypes.c_int, ctypes.c_long]
            run.restype = None
            library = products(layout.dtype.char)
        except CannotCompileError as reason:
            if not self._warned:
                warnings.warn(f"recurrences run without compiled kernels: {reason}", stacklevel=2)
                self._warned = True
            raise NotFusableError(str(reason)) from reason
        pointers = ctypes.c_void_p * max(len(kernel.slots), 1)
        step = step_of(layout, kernel.meetings, shares=kernel.shares)
        ready = Ready(own, run, kernel.slots, sorted(layout.given), layout.batch, step, library,
                      pointers, Pass(own, kernel.slots, sorted(layout.given)))  # fmt: skip
        program.memo["c"] = own.memo["c"] = ready

    def lowered(self, program: Program) -> Program:
        """Return the program in the ops that kernels have."""
        ready: Ready = program.memo["c"]
        return ready.program

    def explain(self, program: Program) -> str:
        """Return how many threads run a program, and what they share."""
        ready: Ready = program.memo["c"]
        threads, lanes = divided(ready.step, ready.rows, get_num_threads())
        if lanes == 1:
            each = ", each with rows of its own" if threads > 1 else ""
            return f"{threads} thread{'s' if threads > 1 else ''}{each}"
        teams = f"in teams of {lanes} that share" if lanes < threads else "that share"
        return f"{threads} threads {teams} the units of the same rows"

    def wants(self, program: Program) -> list[int]:
        """Return the values that a pass reads; the products of its own are none of them."""
        ready: Ready = program.memo["c"]
        return ready.whole.wants

    def run(
        self, batched: TimeBatched, carry: list[Array], *, reverse: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """Return the history (T + 1, ...) of every state, and the stored values (T, ...)."""
        program = batched.program
        ready: Ready = program.memo["c"]
        plan = self._plan(ready, batched.steps, reverse=reverse)
        if (found := ready.whole.run(plan, batched, carry, ready.library)) is not None:
            return found
        batched.compute(ready.wants)
        empty, steps = HOST.xp.empty, batched.steps
        dtype = program.values[program.carry[0]].dtype  # of the kernel, not of the arrays
        history = [empty((steps + 1, *x.shape), dtype) for x in carry]
        for past, x in zip(history, carry, strict=True):
            past[steps if reverse else 0] = x
        stored = {p: empty((steps, *program.values[p].shape), dtype) for p in program.stored}
        sums = {p: HOST.xp.zeros(program.values[p].shape) for p in program.summed}
        arrays = [self._array(slot, batched, history, stored | sums, ready.library)
                  for slot in ready.slots]  # fmt: skip
        call = Recurrence(steps, ready.rows, reverse, ready.pointers(*map(address, arrays)),
                   ready.library.services)  # fmt: skip
        ready.run(call, plan.plan.threads, plan.plan.lanes, plan.plan.cost)
        batched.sums |= {p: x.astype(dtype) for p, x in sums.items()}
        return history, {p: x.astype(program.values[p].dtype, copy=False)
                         for p, x in stored.items()}  # fmt: skip

    def _plan(self, ready: Ready, steps: int, *, reverse: bool) -> Planned:
        """Return what the calls of a program have in common, for a number of steps."""
        threads = get_num_threads()
        division = divided(ready.step, ready.rows, threads, steps)
        plans, key = ready.whole.plans, (steps, reverse, threads, division)
        if (known := plans.get(key)) is not None:
            return known
        if len(plans) >= LENGTHS:
            plans.clear()
        cost = 1e9 * steps * seconds(ready.step, ready.rows, division)
        plans[key] = found = ready.whole.plan(
            steps, ready.library, ready.run, ready.rows, division, int(cost), reverse=reverse
        )
        return found

    def _array(
        self, slot: Slot, batched: TimeBatched, history: list[Array],
        stored: dict[int, Array], library: Products,
    ) -> Array:  # fmt: skip
        """Return the array of one slot of the kernel."""
        role, position = slot.role, slot.position
        if role == "carry":
            return history[position]
        if role in ("stored", "total"):
            return stored[position]
        dtype = history[0].dtype
        if role == "given":
            return well_placed(HOST.xp.ascontiguousarray(batched.get(position), dtype=dtype))
        value = batched.program.values[position]
        if role == "packed":
            weight = batched.get(value.operands[1]).astype(dtype, copy=False)
            return library.packed(weight.T if value.linear else weight)
        return HOST.xp.empty((PARTS, *value.shape) if role == "partial" else value.shape, dtype)


def _written(program: Program) -> tuple[Program, KernelLayout, Kernel]:
    """Return a program with its layout and its kernel. Raises NotFusableError where it has none."""
    layout = KernelLayout(program)
    if layout.dtype.char not in REALS:
        raise NotFusableError(f"there are no kernels for {layout.dtype}")
    return program, layout, Writer(program, layout).kernel()


class Recurrence(ctypes.Structure):
    """Hold what a kernel is handed; see `source.py`."""

    _fields_ = (
        ("steps", ctypes.c_long), ("rows", ctypes.c_long), ("reverse", ctypes.c_long),
        ("p", ctypes.POINTER(ctypes.c_void_p)), ("services", ctypes.c_void_p),
    )  # fmt: skip
