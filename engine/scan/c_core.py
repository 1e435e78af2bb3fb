"""The core of a program as compiled C. Falls back, with one warning, where nothing compiles.

Above `csource.py` and `compiler.py`.
"""

import ctypes
import warnings
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from engine.backends import HOST, Array
from engine.scan import csource
from engine.scan.batched import Batched, liftable
from engine.scan.compiler import CannotCompileError, compiled
from engine.scan.products import (
    REALS,
    Products,
    address,
    product,
    products,
    threads_for,
    well_placed,
)
from engine.scan.program import NotFusableError, Program, is_product


class Ready(NamedTuple):
    """A compiled program: what it wants, what it takes, and its work a row and step."""

    run: Any
    slots: tuple[csource.Slot, ...]
    wants: list[int]
    work: int
    library: Products
    pointers: type[ctypes.Array[ctypes.c_void_p]]


class CCore:
    """Runs the core of each program in a kernel of its own."""

    name = "c"

    def __init__(self) -> None:
        self._kernels: WeakKeyDictionary[Program, Ready] = WeakKeyDictionary()
        self._warned = False

    def prepare(self, program: Program, *, backward: bool = False) -> None:
        """Generate and compile. Raises NotFusableError with the reason where that cannot be."""
        for value in program.values:
            outside = value.op is not None and value.position not in program.core
            if outside and value.position in program.varies and not liftable(value, program):
                raise NotFusableError("something outside of the core cannot be done for all steps")
        dtype = program.values[program.carry[0]].dtype
        if dtype.char not in REALS:
            raise NotFusableError(f"there are no kernels for {dtype}")
        kernel = csource.generate(program, backward=backward)
        try:
            run = compiled(kernel.source, REALS[dtype.char]).run
            run.argtypes, run.restype = [ctypes.POINTER(_Job), ctypes.c_int], None
            library = products(dtype.char)
        except CannotCompileError as reason:
            if not self._warned:
                warnings.warn(f"recurrences run without compiled kernels: {reason}", stacklevel=2)
                self._warned = True
            raise NotFusableError(str(reason)) from reason
        pointers = ctypes.c_void_p * max(len(kernel.slots), 1)
        self._kernels[program] = Ready(run, kernel.slots, csource.wants(program),
                                       self._work(program), library, pointers)  # fmt: skip

    def wants(self, program: Program) -> list[int]:
        """The values outside of the core that the kernel reads."""
        return self._kernels[program].wants

    def product(self, a: Array, b: Array, bias: Array | None = None) -> Array:
        """A large product in the kernels' own threads."""
        return product(a, b, bias)

    def run(
        self, batched: Batched, carry: list[Array], mask: Array | None, *, backward: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """The history (T + 1, ...) of every state, and the stored values (T, ...)."""
        program = batched.program
        ready = self._kernels[program]
        empty, steps = HOST.xp.empty, batched.steps
        rows, dtype = carry[0].shape[0], carry[0].dtype
        history = [empty((steps + 1, *x.shape), dtype) for x in carry]
        for past, x in zip(history, carry, strict=True):
            past[steps if backward else 0] = x
        stored = {p: empty((steps, *program.values[p].shape), dtype) for p in program.stored}
        arrays = [self._array(slot, batched, history, stored, ready.library)
                  for slot in ready.slots]  # fmt: skip
        flags = None if mask is None else HOST.xp.ascontiguousarray(mask).view("uint8")
        job = _Job(steps, rows, None if flags is None else flags.ctypes.data,
                   ready.pointers(*map(address, arrays)), ready.library.services)  # fmt: skip
        ready.run(job, min(rows, threads_for(ready.work * rows)))
        return history, stored

    def _array(
        self, slot: csource.Slot, batched: Batched, history: list[Array],
        stored: dict[int, Array], library: Products,
    ) -> Array:  # fmt: skip
        """The array of one slot of the kernel."""
        role, position = slot.role, slot.position
        if role == "carry":
            return history[position]
        if role == "stored":
            return stored[position]
        dtype = history[0].dtype
        if role == "given":
            return well_placed(HOST.xp.ascontiguousarray(batched.get(position), dtype=dtype))
        value = batched.program.values[position]
        if role == "packed":
            assert value.op is not None
            weight = batched.get(value.operands[1]).astype(dtype, copy=False)
            return library.packed(weight.T if value.op.name == "linear" else weight)
        return HOST.xp.empty(value.shape, dtype)

    def _work(self, program: Program) -> int:
        """Multiplications a row and step."""
        total = 0
        for p in program.core:
            value = program.values[p]
            if is_product(value):
                total += program.values[value.operands[0]].shape[-1] * value.shape[-1]
        return total + 10 * len(program.core) * program.values[program.carry[0]].shape[-1]


class _Job(ctypes.Structure):
    _fields_ = (
        ("steps", ctypes.c_long),
        ("rows", ctypes.c_long),
        ("mask", ctypes.c_void_p),
        ("p", ctypes.POINTER(ctypes.c_void_p)),
        ("services", ctypes.c_void_p),
    )
