"""The core of a program on a GPU: chooses a form by the model, compiles it and runs it.

Large products are the library's, launch by launch, each before its segment: no graph of CuPy's can
hold one of cuBLAS. Above `forms.py` and `module.py`.
"""

import os
from typing import Any, NamedTuple

from engine.backends import Array
from engine.backends.precision import PRECISIONS, get_matmul_precision
from engine.scan.cuda.forms import GRAPH, SWEEP, Choice, choices
from engine.scan.kernels.arrays import Slot
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.plan import PlanCore
from engine.scan.program import NotFusableError, Program
from engine.scan.time_batched import TimeBatched

REALS = ("f", "d")


class Ready(NamedTuple):
    """A compiled program: the ops that kernels have, what it wants, and how it runs."""

    program: Program
    wants: list[int]
    choice: Choice
    module: Any


class CudaCore:
    """Runs the core of each program in generated kernels: in `form` where a program has it, else in
    the form that the model predicts to be the fastest.
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
    assert value.op is not None
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
