"""The core of a program on a GPU: chooses a form by the model, compiles it and runs it.

Above `source.py`, `model.py` and `module.py`.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.backends import NAMESPACES, Array
from engine.scan.cuda import model
from engine.scan.cuda.forms import GRAPH, LAUNCHES, SWEEP, Choice, choices
from engine.scan.kernels.arrays import Slot
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.lifting import Lifted
from engine.scan.program import NotFusableError, Program, Value

REALS = ("f", "d")


class Ready(NamedTuple):
    """A compiled program: what it wants, and how it runs."""

    program: Program  # in the ops that kernels have
    choice: Choice
    module: Any
    wants: list[int]


class CudaCore:
    """Runs the core of each program in generated kernels: in `form` where a program has it, else in
    the form that the model predicts to be the fastest.
    """

    name = "cuda"
    library = "cupy"

    def __init__(self, form: str = "") -> None:
        self.form = form or os.environ.get("BPTT_CUDA", "")
        self._key = f"cuda {form}"

    def prepare(self, program: Program) -> None:
        """Generate and compile. Raises NotFusableError with the reason where that cannot be."""
        own = lowered(program)
        layout = KernelLayout(own)
        if layout.dtype.char not in REALS:
            raise NotFusableError(f"there are no kernels for {layout.dtype}")
        found = choices(own, layout, model.STRICT)
        wanted = [one for one in found if self.form == one.form] or found
        ready = self._compiled(own, layout, wanted)
        program.memo[self._key] = own.memo[self._key] = ready

    def _compiled(self, own: Program, layout: KernelLayout, wanted: list[Choice]) -> Ready:
        """The first of some forms that the device takes."""
        from engine.scan.cuda.module import Module

        for choice in wanted:
            cooperative = choice.form == SWEEP and choice.kernel.barriers > 0
            module = Module(choice.kernel, cooperative=cooperative)
            if not cooperative or module.resident:
                return Ready(own, choice, module, sorted(layout.given))
        raise NotFusableError("the blocks of a sweep are not on the device all at once")

    def lowered(self, program: Program) -> Program:
        """The program in the ops that kernels have."""
        ready: Ready = program.memo[self._key]
        return ready.program

    def wants(self, program: Program) -> list[int]:
        """The values outside of the core that the kernels read."""
        ready: Ready = program.memo[self._key]
        return ready.wants

    def product(self, a: Array, b: Array, bias: Array | None = None) -> Array:
        """A large product, by the library."""
        out = NAMESPACES[type(a)].matmul(a, b)
        if bias is not None:
            out += bias
        return out

    def explain(self, program: Program) -> str:
        """Say in which form a program runs, and the time of a step that is predicted."""
        ready: Ready = program.memo[self._key]
        return ready.choice.text

    def run(
        self, lifted: Lifted, carry: list[Array], *, reverse: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """The history (T + 1, ...) of every state, and the stored values (T, ...)."""
        program, xp, steps = lifted.program, lifted.xp, lifted.steps
        ready: Ready = program.memo[self._key]
        module, kernel = ready.module, ready.choice.kernel
        dtype = carry[0].dtype
        history = [xp.empty((steps + 1, *x.shape), dtype) for x in carry]
        for past, x in zip(history, carry, strict=True):
            past[steps if reverse else 0] = x
        stored = {p: xp.empty((steps, *program.values[p].shape), dtype) for p in program.stored}
        arrays = [_array(slot, lifted, history, stored) for slot in kernel.slots]
        weights = [_weight(p, lifted, module) for p in kernel.weights]
        module.bind(steps, reverse=reverse, arrays=[*arrays, *weights])
        if ready.choice.form == SWEEP:
            module.check()
            module.run_sweep()
        elif ready.choice.form == GRAPH:
            module.run_graph(steps)
        else:
            assert ready.choice.form == LAUNCHES
            _launches(ready, lifted, dict(zip(kernel.slots, arrays, strict=True)), reverse=reverse)
        return history, {p: x.astype(program.values[p].dtype, copy=False)
                         for p, x in stored.items()}  # fmt: skip


def _array(slot: Slot, lifted: Lifted, history: Sequence[Array], stored: dict[int, Array]) -> Array:
    """The array of one slot of the kernels."""
    role, position = slot.role, slot.position
    if role == "carry":
        return history[position]
    if role == "stored":
        return stored[position]
    xp, dtype = lifted.xp, history[0].dtype
    if role == "given":
        return xp.ascontiguousarray(lifted.get(position)).astype(dtype, copy=False)
    return xp.empty((2, *lifted.program.values[position].shape), dtype)  # scratch


def _weight(p: int, lifted: Lifted, module: Any) -> Array:
    """The packed weight of a product."""
    value = lifted.program.values[p]
    assert value.op is not None
    weight = lifted.get(value.operands[1])
    return module.pack(weight, linear=value.op.inputs == 3, element=weight.dtype)


def _launches(ready: Ready, lifted: Lifted, arrays: dict[Slot, Array], *, reverse: bool) -> None:
    """All steps, one after another: products by the library, each before its segment."""
    module, steps = ready.module, lifted.steps
    for step in range(module.first, steps):
        for segment in ready.choice.kernel.segments:
            for value in segment.products if step >= 0 else ():
                _multiply(value, lifted, arrays, step, reverse=reverse)
            module.launch(segment, step)


def _multiply(
    value: Value, lifted: Lifted, arrays: dict[Slot, Array], step: int, *, reverse: bool
) -> None:
    """One product with a weight at one step, into its scratch."""
    assert value.op is not None
    weight = lifted.get(value.operands[1])
    left = _at_step(value.operands[0], lifted, arrays, step, reverse=reverse)
    out = arrays[Slot("scratch", value.position)][step & 1]
    lifted.xp.matmul(
        left.reshape(-1, left.shape[-1]), weight.T if value.op.inputs == 3 else weight,
        out=out.reshape(-1, out.shape[-1]),
    )  # fmt: skip


def _at_step(
    p: int, lifted: Lifted, arrays: dict[Slot, Array], step: int, *, reverse: bool
) -> Array:
    """A value of the core at one step, where the kernels have put it."""
    program = lifted.program
    t = lifted.steps - 1 - step if reverse else step
    if p in program.carried:
        return arrays[Slot("carry", program.carried[p])][t + 1 if reverse else t]
    if p in program.stored and not program.values[p].breaks:
        return arrays[Slot("stored", p)][t]
    return arrays[Slot("scratch", p)][step & 1]
