"""Run the core of a program on a GPU: choose a form by the model, compile it and run it.

Large products are the library's, launch by launch, each before its segment: no graph of CuPy's can
hold one of cuBLAS. Above `model.py`, `source.py` and `module.py`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from engine.backends import Array
from engine.backends.precision import PRECISIONS, get_matmul_precision
from engine.scan.cuda import model
from engine.scan.cuda.model import H200, Cost, Machine, Tile, Tiling
from engine.scan.cuda.source import Kernel, Writer
from engine.scan.kernels.arrays import Slot
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.plan import PlanCore
from engine.scan.program import NotFusableError, Program
from engine.scan.time_batched import TimeBatched

REALS = ("f", "d")
SWEEP, GRAPH, LAUNCHES = "sweep", "graph", "launches"
PLAIN = Tile(32, 2)  # where there is no product to choose by: a number for each thread


@dataclass(frozen=True)
class Choice:
    """Hold a form, its kernels, and the predicted seconds of a step."""

    form: str
    kernel: Kernel
    seconds: float
    text: str


def choices(
    program: Program, layout: KernelLayout, precision: int, machine: Machine = H200
) -> list[Choice]:
    """Return the forms that a program has on a machine, by predicted time."""
    found = [*_of(Writer(program, layout, precision=precision), machine)]
    if found[0].kernel.barriers:  # there is something to wait for: a library may be worth it
        found += _launches(Writer(program, layout, precision=precision, library=True), machine)
    fitting = [one for one in found if one.kernel.most_shared <= machine.shared]
    if not fitting:
        least = min(one.kernel.most_shared for one in found)
        raise NotFusableError(
            f"a step needs {least:,} bytes of shared memory, a block has {machine.shared:,}"
        )
    return sorted(fitting, key=lambda one: one.seconds)


def _of(writer: Writer, machine: Machine) -> Iterator[Choice]:
    """Yield the forms with kernels that multiply themselves."""
    tile, cost = _tile(writer, machine)
    kernel = writer.kernel(tile)
    if kernel.barriers == 0:
        yield _choice(SWEEP, writer, kernel, cost, 0.0, _independent(kernel))
        return
    nodes = len(kernel.segments)
    told = f"{_counted(nodes, 'kernel')} a step"
    yield _choice(GRAPH, writer, kernel, cost, nodes * model.NODE, told)
    if writer.tiled and (best := _tiling(writer, machine).best(resident=True)) is not None:
        kernel = writer.kernel(best[0], resident=True)
        waits = kernel.barriers * model.BARRIER
        told = f"one kernel, {_counted(kernel.barriers, 'barrier')} a step"
        yield _choice(SWEEP, writer, kernel, best[1], waits, told)


def _launches(writer: Writer, machine: Machine) -> Iterator[Choice]:
    """Yield the form in which a library multiplies; where there is a product with a weight."""
    products = writer.by_library
    if not products:
        return
    kernel = writer.kernel(_tile(writer, machine)[0])
    operations = sum(2 * writer.depth(v) * prod(v.shape) for v in products)
    cost = Cost(operations / model.RATE[writer.precision], "arithmetic")
    waits = len(kernel.segments) * model.LAUNCH + len(products) * model.LIBRARY
    own, theirs = _counted(len(kernel.segments), "kernel"), _counted(len(products), "product")
    told = f"{own} and {theirs} of the library a step"
    yield _choice(LAUNCHES, writer, kernel, cost, waits, told)


def _tiling(writer: Writer, machine: Machine) -> Tiling:
    return Tiling(writer.products, writer.units, writer.layout.batch, writer.precision,
                  writer.real, writer.warps, writer.folded, machine)  # fmt: skip


def _tile(writer: Writer, machine: Machine) -> tuple[Tile, Cost]:
    """Return the best tile; a plain one where no product says which."""
    batch = writer.layout.batch
    plain = Tile(PLAIN.units, max(min(PLAIN.rows, batch), -(-batch // model.GRID))), Cost(0.0, "L2")
    if not any(writer.products):
        return plain
    return _tiling(writer, machine).best(resident=False) or plain


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _independent(kernel: Kernel) -> str:
    shared = "; lanes share the steps of long calls" if kernel.stretches else ""
    return f"one kernel, no thread waits for another{shared}"


def _choice(
    form: str, writer: Writer, kernel: Kernel, cost: Cost, waits: float, told: str
) -> Choice:
    """Return a form with its predicted time: its waits, and the slowest of its other terms."""
    memory = writer.bytes / model.HBM
    slowest = Cost(memory, "memory") if memory > cost.seconds else cost
    fixed = model.FIXED * max(1, sum(map(bool, writer.products)))
    seconds = waits + fixed + slowest.seconds
    text = (
        f"{form}: {told}; predicted {seconds * 1e6:.2g} us a step, {waits * 1e6:.2g} of it waits, "
        f"{slowest.seconds * 1e6:.2g} {slowest.term} (a floor, not fitted to a GPU)"
    )
    return Choice(form, kernel, seconds, text)


# ---- the core


class Ready(NamedTuple):
    """Hold a compiled program: the ops that kernels have, what it wants, and how it runs."""

    program: Program
    wants: list[int]
    choice: Choice
    module: Any


class CudaCore:
    """Run the core of each program in generated kernels.

    They run in `form` where a program has it, else in the form that the model predicts to be the
    fastest.
    """

    name = "cuda"
    library = "cupy"
    product = PlanCore.product

    def __init__(self, form: str = "") -> None:
        self.form = form or os.environ.get("BPTT_CUDA", "")

    # ---- before it runs

    @property
    def variant(self) -> tuple[str, str, int]:
        """Return the form, the precision and the device for which a program is compiled."""
        from engine.scan.cuda.module import device

        return self.form, get_matmul_precision(), device()

    def _ready(self, program: Program) -> Ready:
        """Return the program compiled for this device and precision. Raises NotFusableError."""
        key = ("cuda", *self.variant)
        if key not in program.memo:
            ready = self._compiled(program)
            program.memo[key] = ready.program.memo[key] = ready
        found: Ready = program.memo[key]
        return found

    def prepare(self, program: Program) -> None:
        """Generate and compile. Raises NotFusableError with the reason where that cannot be."""
        self._ready(program)

    def _compiled(self, program: Program) -> Ready:
        """Return the first of the program's forms that the device takes."""
        from engine.scan.cuda.module import Module, machine

        own = lowered(program)
        layout = KernelLayout(own)
        if layout.dtype.char not in REALS:
            raise NotFusableError(f"there are no kernels for {layout.dtype}")
        precision = PRECISIONS.index(get_matmul_precision())
        found = choices(own, layout, precision, machine())
        for choice in [one for one in found if one.form == self.form] or found:
            module = Module(choice.kernel)
            if not module.cooperative or module.resident:
                return Ready(own, sorted(layout.given), choice, module)
        raise NotFusableError("the blocks of a sweep are not on the device all at once")

    def lowered(self, program: Program) -> Program:
        """Return the program in the ops that kernels have."""
        return self._ready(program).program

    def wants(self, program: Program) -> list[int]:
        """Return the values outside of the core that the kernels read."""
        return self._ready(program).wants

    def explain(self, program: Program) -> str:
        """Say in which form a program runs, and the time of a step that is predicted."""
        return self._ready(program).choice.text

    # ---- running

    def run(
        self, batched: TimeBatched, carry: list[Array], *, reverse: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """Return the history (T + 1, ...) of every state, and the stored values (T, ...)."""
        program, xp, steps = batched.program, batched.xp, batched.steps
        _, _, choice, module = self._ready(program)
        kernel, real = choice.kernel, program.values[program.carry[0]].dtype
        history = [xp.empty((steps + 1, *x.shape), real) for x in carry]
        for past, x in zip(history, carry, strict=True):
            past[steps if reverse else 0] = x
        stored = {p: xp.empty((steps, *program.values[p].shape), real) for p in program.stored}
        arrays = {slot: _array(slot, batched, history, stored) for slot in kernel.slots}
        with module.lock:
            queue = module.queue()
            weights = [_weight(p, batched, queue, real) for p in kernel.weights]
            queue.bind(steps, reverse=reverse, arrays=[*arrays.values(), *weights])
            if choice.form == SWEEP:
                queue.run_sweep(steps)
            elif choice.form == GRAPH:
                queue.run_graph(steps)
            else:
                run_launches(queue, batched, arrays, real, reverse=reverse)
        return history, {p: x.astype(program.values[p].dtype, copy=False)
                         for p, x in stored.items()}  # fmt: skip


def _array(
    slot: Slot, batched: TimeBatched, history: list[Array], stored: dict[int, Array]
) -> Array:
    """Return the array of one slot of the kernels."""
    role, position = slot.role, slot.position
    if role == "carry":
        return history[position]
    if role == "stored":
        return stored[position]
    xp, real = batched.xp, history[0].dtype
    if role == "given":
        return xp.ascontiguousarray(batched.get(position)).astype(real, copy=False)
    return xp.empty((2, *batched.program.values[position].shape), real)  # scratch


def _weight(p: int, batched: TimeBatched, queue: Any, real: Any) -> Array:
    """Return the packed weight of a product."""
    value = batched.program.values[p]
    weight = batched.get(value.operands[1]).astype(real, copy=False)
    return queue.pack(weight, linear=value.linear)


def run_launches(
    queue: Any, batched: TimeBatched, arrays: dict[Slot, Array], real: Any, *, reverse: bool
) -> None:
    """Run all steps."""
    weights: dict[int, Array] = {}
    for segment in queue.kernel.segments:
        for value in segment.products:
            weight = batched.get(value.operands[1]).astype(real, copy=False)
            weights[value.position] = weight.T if value.linear else weight
    for step in range(queue.first, batched.steps):
        for segment in queue.kernel.segments:
            for value in segment.products if step >= 0 else ():
                left = _at_step(value.operands[0], batched, arrays, step, reverse=reverse)
                out = arrays[Slot("scratch", value.position)][step & 1]
                weight, rows = weights[value.position], left.reshape(-1, left.shape[-1])
                batched.xp.matmul(rows, weight, out=out.reshape(-1, weight.shape[1]))
            queue.launch(segment, step)


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
