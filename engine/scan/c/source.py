"""Writes the core of a program as C that a person can read: gates by name, values by number.

A step is a run of levels. Each level first does its products, with packed weights, and its folds
over units, then nests of loops compute everything element-wise, all gates of a unit in the same
turn, and store what later levels or the backward pass read. Rows of the batch are independent of
each other, so threads share the rows and never wait. Above `nest.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, product

from engine.scan.c.layout import KernelLayout
from engine.scan.c.nest import ROW, At, Fold, Index, Nest
from engine.scan.program import NotFusableError, Program, Value

TOGETHER = 8  # boxes of a value, such as gates, that one turn of a loop computes at most
BOXES = 64  # of one value, at most
CALLS = ("hyptan(", "exponential(", "logistic(")  # what `runtime.h` would inline
MANY = 40  # calls of these from which they are not inlined

Box = tuple[tuple[int, int], ...]  # low and high on each axis


@dataclass(frozen=True)
class Slot:
    """An array that the kernel is handed: its role and the value that it holds."""

    role: str  # carry, stored, scratch, given, packed
    position: int


@dataclass(frozen=True)
class Kernel:
    """Generated source, and the arrays that it takes, in order."""

    source: str
    slots: tuple[Slot, ...]


class Writer:
    """Writes one kernel."""

    def __init__(self, program: Program, layout: KernelLayout) -> None:
        self.program, self.layout, self.values = program, layout, program.values
        self.slots: dict[Slot, int] = {}
        self.summed: set[int] = set()  # folds that a loop has added up

    # ---- arrays

    def slot(self, role: str, position: int) -> str:
        """The array of a slot."""
        slot = Slot(role, position)
        return f"p[{self.slots.setdefault(slot, len(self.slots))}]"

    def size(self, p: int) -> str:
        """How many numbers a value has in one step."""
        shape = self.values[p].shape
        if self.layout.rows and shape and shape[0] == self.layout.batch:
            return f"rows * {math.prod(shape[1:])}"
        return str(math.prod(shape))

    def base(self, p: int) -> str:
        """Where a value that lies in memory begins, at this step."""
        if p in self.program.carried:
            return f"{self.slot('carry', self.program.carried[p])} + came * {self.size(p)}"
        if p in self.layout.given:
            time = f" + t * {self.size(p)}" if p in self.program.varies else ""
            return f"{self.slot('given', p)}{time}"
        if p in self.program.stored and not self.values[p].breaks:
            return f"{self.slot('stored', p)} + t * {self.size(p)}"
        return self.slot("scratch", p)

    def stored_by_level(self, i: int) -> bool:
        """Whether the loops of the levels write state `i`."""
        p = self.program.carry[i]
        return p in self.program.core and not self.values[p].breaks

    # ---- the text

    def kernel(self) -> Kernel:
        """The whole kernel."""
        core = sorted(self.program.core)
        top = max([self.layout.level[p] for p in core], default=0)
        body: list[str] = []
        for level in range(top + 1):
            body += self._level(level)
        body += self._carry()
        lines = [
            '#include "runtime.h"',
            "typedef struct {",
            "    long steps, rows, reverse;",
            "    real **p;",
            "    const services *service;",
            "} kernel_job;",
            "",
            "static void sweep(void *pointer, int me, int all) {",
            "    const kernel_job *job = pointer;",
            "    const long steps = job->steps, rows = job->rows;",
            "    const long first = rows * me / all, last = rows * (me + 1) / all;",
            "    const long n = last - first;",
            "    real **p = job->p;",
            "    const services *service = job->service;",
            "    for (long k = 0; k < steps; k++) {",
            "        const long t = job->reverse ? steps - 1 - k : k;",
            "        const long came = job->reverse ? t + 1 : t, goes = job->reverse ? t : t + 1;",
            *(f"        {line}" for line in body),
            "        (void)came; (void)goes; (void)n; (void)service;",
            "    }",
            "}",
            "",
            "void run(kernel_job *job, int threads) {",
            "    job->service->in_parallel(sweep, job, threads);",
            "}",
        ]
        calls = sum(line.count(name) for line in body for name in CALLS)
        many = ["#define MANY_CALLS"] if calls > MANY else []
        return Kernel("\n".join([*self._heading(), *many, *lines, ""]), tuple(self.slots))

    def _heading(self) -> list[str]:
        """The listing of what is compiled; the batch is written B."""
        text = [self.program.line(value) for value in self.values
                if value.position not in self.program.deferred]  # fmt: skip
        return ["/* one step as it was recorded", *(f"   {line}" for line in text), "*/"]

    def _level(self, level: int) -> list[str]:
        """The products, folds and loops of one level."""
        layout, program = self.layout, self.program
        at = [self.values[p] for p in sorted(program.core) if layout.level[p] == level]
        lines = [f"/* level {level} */"]
        for value in at:
            assert value.op is not None
            if value.op.kind == "product":
                lines += self._packed(value) if layout.packs(value) else self._product(value)
        for value in at:
            if value.breaks and value.op is not None and value.op.kind == "reduction":
                lines += [] if value.position in self.summed else self._fold(value)
        wanted = [
            value.position for value in at
            if value.position in program.stored
            or (not value.breaks and (value.position in layout.kept
                                      or value.position in program.carry))
        ]  # fmt: skip
        ready = [value for value in self.values
                 if value.position in program.core and self._summed_at(value) == level]  # fmt: skip
        return lines + self._loops(wanted, level, ready)

    # ---- boxes

    def index(self, p: int, box: Box, names: Sequence[str]) -> Index:
        """The index of a value in a box, counted by the loop variables of its units."""
        row = self.layout.rows.get(p)
        found = []
        for axis, (low, _) in enumerate(box):
            name = ROW if axis == row else names[axis]
            found.append(At(((name, 1),) if name else (), 0 if axis == row else low))
        return tuple(found)

    def _boxes(self, p: int) -> list[Box]:
        """The boxes of a value over each of which it is one expression."""
        shape, row = self.values[p].shape, self.layout.rows.get(p)
        sides: list[list[tuple[int, int]]] = []
        for axis, (size, cuts) in enumerate(zip(shape, self.layout.cuts(p), strict=True)):
            stops = [0, *sorted(cuts), size]
            if axis == row or not cuts:
                sides.append([(0, size)])
                continue
            unit = reduce(math.gcd, (b - a for a, b in pairwise(stops)))
            if size <= TOGETHER * unit:
                stops = list(range(0, size + 1, unit))
            sides.append(list(pairwise(stops)))
        if math.prod(map(len, sides)) > BOXES:
            raise NotFusableError("a value is put together of too many pieces")
        return list(product(*sides))

    def _extents(self, p: int, box: Box) -> tuple[int, ...]:
        """The sizes of a box along the units."""
        return tuple(box[axis][1] - box[axis][0] for axis in self.layout.units(p))

    def _nest(self, level: int, extents: Sequence[int]) -> tuple[Nest, list[str]]:
        """A nest over units, and the variable of each; those of size 1 have none."""
        names = [f"i{k}" if size > 1 else "" for k, size in enumerate(extents)]
        dims = [(name, size) for name, size in zip(names, extents, strict=True) if name]
        return Nest(self, level, dims), names

    def _variables(self, p: int, names: Sequence[str]) -> list[str]:
        """The loop variable of each axis of a value."""
        found = [""] * len(self.values[p].shape)
        for axis, name in zip(self.layout.units(p), names, strict=True):
            found[axis] = name
        return found

    def _loops(self, positions: list[int], level: int, sums: list[Value]) -> list[str]:
        """Nests that store these values, one for each shape of box, and add up the sums over all
        units whose terms they have at hand.
        """
        groups: dict[tuple[int, ...], list[tuple[int, Box]]] = {}
        single: list[tuple[tuple[int, ...], int, Box]] = []
        for p in positions:
            boxes = self._boxes(p)
            by_extents: dict[tuple[int, ...], list[Box]] = {}
            for box in boxes:
                by_extents.setdefault(self._extents(p, box), []).append(box)
            for extents, own in by_extents.items():
                if len(own) <= TOGETHER:
                    groups.setdefault(extents, []).extend((p, box) for box in own)
                else:
                    single += [(extents, p, box) for box in own]
        lines: list[str] = []
        for extents, p, box in single:
            lines += self._stores(level, extents, [(p, box)], [])
        for extents, pairs in groups.items():
            lines += self._stores(level, extents, pairs, sums)
        return lines

    def _stores(
        self,
        level: int,
        extents: tuple[int, ...],
        pairs: list[tuple[int, Box]],
        sums: list[Value],
    ) -> list[str]:
        """One nest that stores boxes of values."""
        nest, names = self._nest(level, extents)
        statements = []
        for p, box in pairs:
            index = self.index(p, box, self._variables(p, names))
            term = nest.emit(p, index)
            statements += [f"{to} = {term};" for to in nest.store(p, index)]
        totals = []
        for value in sums:
            inner = value.operands[0]
            boxes = self._boxes(inner)
            if value.position in self.summed or len(boxes) > TOGETHER:
                continue
            if all(self._extents(inner, box) == extents for box in boxes):
                self.summed.add(value.position)
                terms = [nest.emit(inner, self.index(inner, box, self._variables(inner, names)))
                         for box in boxes]  # fmt: skip
                name = f"sum_{value.position}"
                totals.append((name, self.slot("scratch", value.position)))
                statements.append(f"{name} += {' + '.join(terms)};")
        return nest.text(statements, totals)

    # ---- folds and products

    def _summed_at(self, value: Value) -> int:
        """The level whose loops have the terms of a sum over all units at hand; -1: none."""
        if value.op is None or value.op.kind != "reduction" or value.op.degree != "sum":
            return -1
        if not self.layout.rows or self.layout.width(value.position) != 1:
            return -1
        inner = value.operands[0]
        known = inner in self.program.core and not self.values[inner].breaks
        return self.layout.level[inner] if known else -1

    def _fold(self, value: Value) -> list[str]:
        """A reduction over some units."""
        assert value.op is not None
        p, inner = value.position, value.operands[0]
        level = self.layout.level[p] - 1
        shape, units = self.values[inner].shape, self.layout.units(inner)
        folded = self.layout.folded(value)
        kept = [axis for axis in units if axis not in folded and shape[axis] > 1]
        gone = [axis for axis in units if axis in folded and shape[axis] > 1]
        across = not gone or (bool(kept) and kept[-1] > gone[-1])  # the last axis stays
        boxes = self._boxes(inner)
        lines = self._start(value) if across or len(boxes) > 1 else []
        for box in boxes:
            order = [*kept[:-1], *gone, kept[-1]] if across and kept else [*kept, *gone]
            sizes = {axis: box[axis][1] - box[axis][0] for axis in order}
            names = {axis: f"i{axis}" for axis in order if sizes[axis] > 1}
            nest = Nest(self, level, [(names[axis], sizes[axis]) for axis in order
                                      if axis in names])  # fmt: skip
            index = self.index(inner, box, [names.get(axis, "") for axis in range(len(shape))])
            to = self._folded_index(value, index)
            term = nest.emit(inner, index)
            if across:
                place = nest.scratch(p, to)
                lines += nest.text([f"{place} = {value.op.expression({}).format(place, term)};"])
                continue
            name, loops = f"fold_{p}", sum(axis in names for axis in gone)
            start = value.op.start if len(boxes) == 1 else nest.plain(p, to)
            step = f"{name} = {value.op.expression({}).format(name, term)};"
            if not loops:
                step = f"{nest.plain(p, to)} = {value.op.expression({}).format(start, term)};"
                lines += nest.text([step])
                continue
            fold = Fold(name, start, nest.plain(p, to), loops, value.op.degree == "sum")
            lines += nest.text([step], fold=fold)
        return lines

    def _folded_index(self, value: Value, index: Index) -> Index:
        """The index of a reduction's result, from that of its operand."""
        folded = self.layout.folded(value)
        if value.attrs.get("keepdims"):
            return tuple(At() if axis in folded else at for axis, at in enumerate(index))
        return tuple(at for axis, at in enumerate(index) if axis not in folded)

    def _start(self, value: Value, start: str = "") -> list[str]:
        """What a fold begins with, in the place of its result."""
        p = value.position
        assert value.op is not None
        box = tuple((0, size) for size in value.shape)
        nest, names = self._nest(self.layout.level[p], self._extents(p, box))
        place = nest.scratch(p, self.index(p, box, self._variables(p, names)))
        return nest.text([f"{place} = {start or value.op.start};"])

    def _packed(self, value: Value) -> list[str]:
        """A product with a matrix that is the same at every step."""
        p, left = value.position, value.operands[0]
        depth, wide = self.values[left].shape[-1], value.shape[-1] if value.shape else 1
        count = self.layout.width(left) // depth
        rows = "n" if count == 1 and self.layout.rows else f"n * {count}"
        packed, out = self.slot("packed", p), self.slot("scratch", p)
        return [
            f"service->packed_product({rows}, {wide}, {depth}, {self.base(left)} + first * "
            f"{count * depth}, {depth}, {packed}, {out} + first * {count * wide}, {wide}); "
            f"/* %{p} {value.label} */"
        ]

    def _product(self, value: Value) -> list[str]:
        """A product of two values one of which changes from row to row or from step to step."""
        p, (left, right) = value.position, value.operands[:2]
        a, b = self.values[left].shape, self.values[right].shape
        depth, level = a[-1], self.layout.level[p]
        row = self.layout.rows.get(p)
        out = [At(((ROW, 1),)) if axis == row else At(((f"i{axis}", 1),)) if size > 1 else At()
               for axis, size in enumerate(value.shape)]  # fmt: skip
        k = At((("k0", 1),)) if depth > 1 else At()
        columns = 1 if len(b) > 1 else 0  # axes of the result behind its rows
        front = len(value.shape) - columns - (1 if len(a) > 1 else 0)
        batch = out[:front]
        left_index = (
            *batch[front - max(len(a) - 2, 0) :],
            *([out[front]] if len(a) > 1 else []),
            k,
        )
        right_index = (*batch[front - max(len(b) - 2, 0) :], k, *out[len(out) - columns :])
        left_index = self._fitted(left, left_index)
        right_index = self._fitted(right, right_index)
        names = [(f"i{axis}", value.shape[axis]) for axis in self.layout.units(p)
                 if value.shape[axis] > 1]  # fmt: skip
        inner = f"i{len(value.shape) - 1}"
        probe = Nest(self, level, [*names, ("k0", depth)])
        wide = bool(columns) and bool(names) and names[-1][0] == inner
        if wide and probe.step_of(right, right_index, inner) == 1:
            dims = [*names[:-1], *([("k0", depth)] if depth > 1 else []), names[-1]]
            nest = Nest(self, level, dims)
            place = nest.scratch(p, tuple(out))
            terms = nest.emit(left, left_index), nest.emit(right, right_index)
            return [*self._start(value, "(real)0"),
                    *nest.text([f"{place} += {terms[0]} * {terms[1]};"])]  # fmt: skip
        dims = [*names, *([("k0", depth)] if depth > 1 else [])]
        nest = Nest(self, level, dims)
        terms = nest.emit(left, left_index), nest.emit(right, right_index)
        to = nest.plain(p, tuple(out))
        if depth == 1:
            return nest.text([f"{to} = {terms[0]} * {terms[1]};"])
        fold = Fold(f"dot_{p}", "0", to, 1, True)
        return nest.text([f"dot_{p} += {terms[0]} * {terms[1]};"], fold=fold)

    def _fitted(self, p: int, index: Index) -> Index:
        """An index that is 0 on the axes of size 1."""
        return tuple(At() if size == 1 else at
                     for at, size in zip(index, self.values[p].shape, strict=True))  # fmt: skip

    # ---- states

    def _carry(self) -> list[str]:
        """New states that no level stores: products, inputs, other states as they were."""
        lines: list[str] = []
        for i, p in enumerate(self.program.carry):
            if self.stored_by_level(i):
                continue
            for box in self._state_boxes(i, p):
                shape = self.values[p].shape
                axes = [axis for axis in range(len(shape)) if not (self.layout.rows and axis == 0)]
                names = {axis: f"i{axis}" for axis in axes if box[axis][1] - box[axis][0] > 1}
                nest = Nest(self, self._last(), [(names[axis], box[axis][1] - box[axis][0])
                                                 for axis in axes if axis in names])  # fmt: skip
                index = tuple(
                    At(((ROW, 1),)) if self.layout.rows and axis == 0
                    else At(((names[axis], 1),) if axis in names else (), box[axis][0])
                    for axis in range(len(shape))
                )  # fmt: skip
                term = nest.emit(p, self._fitted(p, index))
                lines += nest.text([f"{nest.carry(i, p, index)} = {term};"])
        return lines

    def _state_boxes(self, i: int, p: int) -> list[Box]:
        return self._boxes(p)

    def _last(self) -> int:
        """A level at which all that is kept lies in memory."""
        return 1 + max([self.layout.level[p] for p in self.program.core], default=0)
