"""The core of a program as compiled C. Falls back, with one warning, where nothing compiles.

Above `csource.py` and `compiler.py`.
"""

import ctypes
import os
import warnings
from typing import Any
from weakref import WeakKeyDictionary

from engine.backends import HOST, Array
from engine.scan import csource
from engine.scan.batched import Batched, liftable
from engine.scan.compiler import SOURCES, CannotCompileError, compiled
from engine.scan.program import NotFusableError, Program, is_product

DTYPES = {"float32": "float", "float64": "double"}
SMALL = 60_000  # multiplications a step under which one thread is faster

_threads = os.cpu_count() or 1


def set_num_threads(number: int) -> None:
    """How many threads compiled recurrences use. Raises ValueError for fewer than 1."""
    global _threads
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"set_num_threads: expected a positive integer, got {number!r}")
    _threads = number


def get_num_threads() -> int:
    """How many threads compiled recurrences use: all cores unless set."""
    return _threads


Ready = tuple[csource.Kernel, ctypes.CDLL, list[int], int]  # and what it wants, and its work


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
        dtype = str(program.values[program.carry[0]].dtype)
        if dtype not in DTYPES:
            raise NotFusableError(f"there are no kernels for {dtype}")
        kernel = csource.generate(program, backward=backward)
        try:
            library = compiled(kernel.source, DTYPES[dtype])
            products(DTYPES[dtype])
        except CannotCompileError as reason:
            if not self._warned:
                warnings.warn(f"recurrences run without compiled kernels: {reason}", stacklevel=2)
                self._warned = True
            raise NotFusableError(str(reason)) from reason
        wanted = csource.wants(program)
        self._kernels[program] = (kernel, library, wanted, self._work(program))

    def wants(self, program: Program) -> list[int]:
        """The values outside of the core that the kernel reads."""
        return self._kernels[program][2]

    def product(self, a: Array, b: Array) -> Array:
        """A large product in the kernels' own threads: two pools would wait for the same cores."""
        if a.dtype != b.dtype or str(a.dtype) not in DTYPES or a.shape[0] * b.shape[1] == 0:
            return a @ b
        out = HOST.xp.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
        size = a.dtype.itemsize
        steps = [step // size for step in (*a.strides, *b.strides)]
        failed = products(DTYPES[str(a.dtype)]).product(
            a.shape[0], b.shape[1], a.shape[1], a.ctypes.data, steps[0], steps[1],
            b.ctypes.data, steps[2], steps[3], out.ctypes.data, _threads,
        )  # fmt: skip
        if failed:
            raise MemoryError("a product of the recurrence found no memory for its weights")
        return out

    def run(
        self, batched: Batched, carry: list[Array], mask: Array | None, *, backward: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """The history (T + 1, ...) of every state, and the stored values (T, ...)."""
        program = batched.program
        kernel, library, _, work = self._kernels[program]
        xp, steps = HOST.xp, batched.steps
        dtype = carry[0].dtype
        history = [xp.empty((steps + 1, *x.shape), dtype=dtype) for x in carry]
        for past, x in zip(history, carry, strict=True):
            past[steps if backward else 0] = x
        stored = {p: xp.empty((steps, *program.values[p].shape), dtype=dtype)
                  for p in program.stored}  # fmt: skip
        arrays = [self._array(slot, batched, history, stored) for slot in kernel.slots]
        pointers = (ctypes.c_void_p * max(len(arrays), 1))(*(x.ctypes.data for x in arrays))
        flags = None if mask is None else xp.ascontiguousarray(mask).view("uint8")
        rows = carry[0].shape[0]
        job = _Job(steps, rows, None if flags is None else flags.ctypes.data, pointers)
        threads = min(_threads, rows) if work * rows >= SMALL else 1
        library.run(ctypes.byref(job), products(DTYPES[str(dtype)]).in_parallel, threads)
        return history, stored

    def _array(
        self, slot: csource.Slot, batched: Batched, history: list[Array], stored: dict[int, Array]
    ) -> Array:
        """The array of one slot of the kernel."""
        xp, program = HOST.xp, batched.program
        dtype = history[0].dtype
        if slot.role == "carry":
            return history[slot.position]
        if slot.role == "stored":
            return stored[slot.position]
        if slot.role == "given":
            return xp.ascontiguousarray(batched.get(slot.position), dtype=dtype)
        if slot.role == "packed":
            return self._packed(batched, slot.position, dtype)
        return xp.empty(program.values[slot.position].shape, dtype=dtype)

    def _packed(self, batched: Batched, position: int, dtype: Any) -> Array:
        """The weight of a product laid out in panels, in the orientation that it needs."""
        product = batched.program.values[position]
        assert product.op is not None
        weight = batched.get(product.operands[1])
        matrix = weight.T if product.op.name == "linear" else weight
        out = HOST.xp.empty(products(DTYPES[str(dtype)]).packed(*map(ctypes.c_long, matrix.shape)),
                            dtype=dtype)  # fmt: skip
        steps = [step // dtype.itemsize for step in matrix.strides]
        products(DTYPES[str(dtype)]).pack_all(
            *map(ctypes.c_long, matrix.shape), ctypes.c_void_p(matrix.ctypes.data),
            *map(ctypes.c_long, steps), ctypes.c_void_p(out.ctypes.data),
        )  # fmt: skip
        return out

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
    )


_libraries: dict[str, ctypes.CDLL] = {}


def products(dtype: str) -> ctypes.CDLL:
    """The library of large products and threads for ``"float"`` or ``"double"``."""
    if dtype not in _libraries:
        library = compiled((SOURCES / "products.c").read_text(encoding="utf-8"), dtype)
        whole, address = ctypes.c_long, ctypes.c_void_p
        operand: list[Any] = [address, whole, whole]
        library.product.argtypes = [whole] * 3 + operand * 2 + [address, ctypes.c_int]
        library.packed.restype = whole
        _libraries[dtype] = library
    return _libraries[dtype]
