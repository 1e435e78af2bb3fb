"""Run a pass over time in one call of C: products over all steps, and the core between them.

Weights are packed, and products over all steps taken before and after the core.

What to do is found out once for a program, the table that C reads once for a number of steps; a
call fills in addresses. Above `products.py`, below `core.py`.
"""

import ctypes
from collections.abc import Iterable
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

from engine.backends import HOST, Array
from engine.scan.c.products import Byte, Products, threads_for, well_placed
from engine.scan.kernels.arrays import PARTS, Slot
from engine.scan.program import Program, Value
from engine.scan.rows import turned
from engine.scan.time_batched import TimeBatched, contraction, is_large

NONE = -1  # in place of an array that a product lacks
LINE = 16  # numbers to which temporary arrays are aligned within their block


class Plan(ctypes.Structure):
    """Hold all of a pass but its arrays; see `products.c`."""

    _fields_ = (
        ("entries", ctypes.POINTER(ctypes.c_long)), ("before", ctypes.c_long),
        ("all", ctypes.c_long), ("slots", ctypes.POINTER(ctypes.c_long)),
        ("slot_count", ctypes.c_long), ("run", ctypes.c_void_p), ("steps", ctypes.c_long),
        ("rows", ctypes.c_long), ("reverse", ctypes.c_long), ("threads", ctypes.c_long),
        ("lanes", ctypes.c_long), ("cost", ctypes.c_long),
    )  # fmt: skip


class Product(NamedTuple):
    """Hold a product over all steps: a result, and the positions of operands."""

    value: Value
    a: int
    b: int
    bias: int | None
    is_sum: bool  # a^T b, over time
    turned: bool  # a b^T

    @property
    def operands(self) -> tuple[int | None, ...]:
        """Return the positions of the operands; None for a bias that is missing."""
        return self.a, self.b, self.bias


class Pass:
    """Run one program; `wants` are the values that have to be there before."""

    def __init__(self, program: Program, slots: tuple[Slot, ...], given: Iterable[int]) -> None:
        self.program, self.slots = program, slots
        self.dtype = program.values[program.carry[0]].dtype
        self._after_core = {p: i for i, p in enumerate(program.carry) if p in program.core}
        self.plans: dict[Any, Planned] = {}
        self._given = list(given)
        self.before = self._before(self._given)
        made = {one.value.position for one in self.before}
        self.after = self._after()
        self.packed = [(place, *_matrix(program, program.values[slot.position]))
                       for place, slot in enumerate(slots) if slot.role == "packed"]  # fmt: skip
        read = {slot.position for slot in slots if slot.role == "given"} - made
        read |= {p for _, p, _ in self.packed}
        for one in self.before:
            read |= {p for p in one.operands if p is not None}
        for one in self.after:
            read |= {p for p in one.operands if p is not None and self._is_read(p)}
        self.wants = sorted(read)
        self._read = [(p, p in program.varies, program.values[p].shape) for p in self.wants]

    # ---- what is done in C

    def _before(self, given: list[int]) -> list[Product]:
        """Return the products that the core alone reads."""
        program = self.program
        inner: set[int] = set()
        for value in reversed(program.values):
            if value.position in given or value.position in inner:
                inner.update(value.operands)
        return [_large(program, program.values[p]) for p in given
                if p not in inner and p in program.hoisted and self._is_product(p)]  # fmt: skip

    def _after(self) -> list[Product]:
        """Return the products, wanted at every step or as sums, of what is there after the core."""
        program = self.program
        found = {p: _large(program, program.values[p]) for p in program.steps
                 if p in program.deferred and self._is_product(p)}  # fmt: skip
        sums: dict[Any, Product] = {}
        # The sum of a value that is needed at every step too is taken of what is there then.
        needed = {*program.steps, *(p for value in program.values for p in value.operands)}
        for p in program.totals:
            if p in needed:
                continue
            pair, value = contraction(program, program.values[p]), program.values[p]
            if pair is not None and self._is_real((p, *pair)) and value.key not in sums:
                sums[value.key] = Product(value, *pair, None, is_sum=True, turned=False)
        return [one for one in (*found.values(), *sums.values())
                if all(p is None or self._is_there(p) for p in one.operands)]  # fmt: skip

    def _is_product(self, p: int) -> bool:
        value = self.program.values[p]
        return is_large(self.program, value) and self._is_real((p, *value.operands))

    def _is_real(self, positions: Iterable[int]) -> bool:
        """Return whether values have the dtype of the kernel."""
        return all(self.program.values[p].dtype == self.dtype for p in positions)

    def _is_there(self, p: int) -> bool:
        """Return whether a value is read, or made by the core."""
        made = {*self.program.carried, *self._after_core, *self.program.stored}
        return self._is_read(p) or p in made

    def _is_read(self, p: int) -> bool:
        """Return whether a value does not depend on the core, and is there in any case."""
        is_leaf = self.program.values[p].op is None
        return (is_leaf or p in self._given) and p not in self.program.depends

    # ---- the table

    def _places(self) -> dict[Any, int]:
        """Return the number of each array in the order in which `run` has their addresses."""
        names: list[Any] = [("read", p) for p in self.wants]
        for when in ("base", "shifted"):
            names += [(when, i) for i in range(len(self.program.carry))]
        names += [("stored", p) for p in self.program.stored]
        names += [("total", p) for p in sorted(self.program.summed)]
        names += [("made", one.value.position) for one in (*self.before, *self.after)]
        names += [("slot", place) for place, _ in self._temporary()]
        return {name: number for number, name in enumerate(names)}

    def _temporary(self) -> list[tuple[int, Slot]]:
        return [(place, slot) for place, slot in enumerate(self.slots)
                if slot.role in ("packed", "scratch", "partial")]  # fmt: skip

    def plan(
        self, steps: int, library: Products, run: Any, rows: int, division: tuple[int, int],
        cost: int, *, reverse: bool,
    ) -> "Planned":  # fmt: skip
        """Return what the calls for a number of steps have in common."""
        places = self._places()
        lengths = [self._length(slot, library) for _, slot in self._temporary()]
        table: list[int] = []
        for one in self.before:
            table += self._entry(one, steps, places, reverse=reverse)
        for place, p, is_turned in self.packed:
            rows_of, columns = self.program.values[p].shape
            strides = (1, columns) if is_turned else (columns, 1)
            depth, width = (columns, rows_of) if is_turned else (rows_of, columns)
            table += [0, width, depth, NONE, 0, 0, places["read", p], *strides, NONE,
                      places["slot", place], 1]  # fmt: skip
        before = len(self.before) + len(self.packed)
        for one in self.after:
            table += self._entry(one, steps, places, reverse=reverse)
        slots = [self._slot(place, slot, places) for place, slot in enumerate(self.slots)]
        entries = (ctypes.c_long * max(len(table), 1))(*table)
        numbers = (ctypes.c_long * max(len(slots), 1))(*slots)
        own = Plan(entries, before, before + len(self.after), numbers, len(slots),
                   ctypes.cast(run, ctypes.c_void_p), steps, rows, reverse, *division,
                   cost)  # fmt: skip
        return Planned(own, ctypes.byref(own), ctypes.c_void_p * len(places), lengths)

    def _length(self, slot: Slot, library: Products) -> int:
        """Return how many numbers a temporary array has."""
        value = self.program.values[slot.position]
        if slot.role != "packed":
            return prod(value.shape) * (PARTS if slot.role == "partial" else 1)
        rows, columns = self.program.values[value.operands[1]].shape
        return library.size(columns, rows) if value.linear else library.size(rows, columns)

    def _slot(self, place: int, slot: Slot, places: dict[Any, int]) -> int:
        """Return the number of the array of a slot of the kernel."""
        p = slot.position
        names = {"carry": ("base", p), "stored": ("stored", p), "total": ("total", p),
                 "given": ("made" if ("made", p) in places else "read", p)}  # fmt: skip
        return places[names.get(slot.role, ("slot", place))]

    def _number(self, p: int, places: dict[Any, int], *, reverse: bool) -> int:
        """Return the number of an array that a product reads."""
        if p in self.program.carried:
            return places["shifted" if reverse else "base", self.program.carried[p]]
        if p in self._after_core:
            return places["base" if reverse else "shifted", self._after_core[p]]
        return places["stored", p] if p in self.program.stored else places["read", p]

    def _entry(
        self, one: Product, steps: int, places: dict[Any, int], *, reverse: bool
    ) -> list[int]:
        """Return the entry of a product in the table."""
        shape, right = self.program.values[one.a].shape, self.program.values[one.b].shape
        rows, width = steps * prod(shape[:-1]), shape[-1]
        if one.is_sum:
            rows, depth, columns = width, rows, right[-1]
            steps_of_a, steps_of_b = (1, width), (columns, 1)
        else:
            depth, steps_of_a = width, (width, 1)
            columns = right[0] if one.turned else right[1]
            steps_of_b = (1, width) if one.turned else (columns, 1)
        number = [NONE if p is None else self._number(p, places, reverse=reverse)
                  for p in one.operands]  # fmt: skip
        made, threads = places["made", one.value.position], threads_for(rows * columns * depth)
        return [rows, columns, depth, number[0], *steps_of_a, number[1], *steps_of_b, number[2],
                made, threads]  # fmt: skip

    # ---- one call

    def run(
        self, planned: "Planned", batched: TimeBatched, carry: list[Array], library: Products,
    ) -> tuple[list[Array], dict[int, Array]] | None:  # fmt: skip
        """Return the histories and the stored values; None where an array is not a plain one."""
        steps, dtype, values, empty = batched.steps, self.dtype, self.program.values, HOST.xp.empty
        addresses, held = [], []
        for p, varies, shape in self._read:
            array = batched.get(p)
            if array.dtype is not dtype or array.shape != ((steps, *shape) if varies else shape):
                return None
            at = plain(array)
            if at % dtype.itemsize or not at:
                array = well_placed(HOST.xp.ascontiguousarray(array))
                held.append(array)
                at = plain(array)
            addresses.append(at)
        start, history = steps if planned.plan.reverse else 0, []
        for x in carry:
            past = empty((steps + 1, *x.shape), dtype)
            past[start] = x
            history.append(past)
        bases = list(map(plain, history))
        addresses += bases
        addresses += [at + past.strides[0] for at, past in zip(bases, history, strict=True)]
        stored = {p: empty((steps, *values[p].shape), dtype) for p in self.program.stored}
        sums = {p: HOST.xp.zeros(values[p].shape) for p in sorted(self.program.summed)}
        made = [empty(one.value.shape if one.is_sum else (steps, *one.value.shape), dtype)
                for one in (*self.before, *self.after)]  # fmt: skip
        addresses += map(plain, (*stored.values(), *sums.values(), *made))
        block, begins = temporary(planned.lengths, dtype)
        held.append(block)
        addresses += begins
        library.run(planned.argument, planned.pointers(*addresses))
        batched.sums |= {p: x.astype(dtype) for p, x in sums.items()}
        for one, array in zip((*self.before, *self.after), made, strict=True):
            if one.is_sum:
                batched.totals[one.value.key] = array
            else:
                batched.arrays[one.value.position] = array
        return history, {p: x.astype(values[p].dtype, copy=False) for p, x in stored.items()}


class Planned(NamedTuple):
    """Hold what the calls of a program for a number of steps have in common."""

    plan: Plan
    argument: Any
    pointers: type[ctypes.Array[ctypes.c_void_p]]
    lengths: list[int]  # of the temporary arrays


def temporary(lengths: list[int], dtype: Any) -> tuple[Any, list[int]]:
    """Return memory for arrays of some lengths, and where each begins."""
    *ends, size = accumulate((-(-n // LINE) * LINE for n in lengths), initial=0)
    block = HOST.xp.empty(size, dtype)
    begin = plain(block)
    return block, [begin + end * dtype.itemsize for end in ends]


def plain(array: Array) -> int:
    """Return where an array of numbers one after another begins; 0 for any other."""
    try:
        return ctypes.addressof(Byte.from_buffer(array))
    except (TypeError, ValueError, BufferError):  # read-only, strided or empty
        return int(array.ctypes.data) if array.flags.c_contiguous else 0


def _large(program: Program, value: Value) -> Product:
    """Return a product of all rows of all steps with a fixed matrix."""
    bias = value.operands[2] if len(value.operands) > 2 else None
    b, is_turned = _matrix(program, value)
    return Product(value, value.operands[0], b, bias, is_sum=False, turned=is_turned)


def _matrix(program: Program, value: Value) -> tuple[int, bool]:
    """Return the matrix of a product on its right, and whether it is taken transposed."""
    p, is_turned = value.operands[1], value.linear
    source = turned(program, p)
    return (p, is_turned) if source is None else (source, not is_turned)
