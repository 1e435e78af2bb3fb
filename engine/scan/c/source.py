"""Write the core of a program as C that a person can read: gates by name, values by number.

A step is a run of levels. Each level first does its products, with packed weights, and its folds
over units, then nests of loops compute everything element-wise, all gates of a unit in the same
turn, and store what later levels or the backward pass read. Rows of the batch are independent of
each other, so threads with rows of their own never wait; those that share the units of the same
rows meet after the products and folds of a level, and after its loops. Above `nest.py`.
"""

from dataclasses import dataclass

from engine.scan.c.folds import (
    LoopArrays,
    Loops,
    fold,
    packed,
    partial,
    product,
    put_together,
    summed_at,
)
from engine.scan.kernels.arrays import TOGETHER, Box, Slot
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.terms import ROW, At, Fold
from engine.scan.program import Program, Value

CALLS = ("hyptan(", "exponential(", "logistic(")  # what `runtime.h` would inline
MEET = "if (lanes > 1) service->meet(own);"
MANY = 40  # calls of these from which they are not inlined


@dataclass(frozen=True)
class Kernel:
    """Hold generated source, and the arrays that it takes, in order."""

    source: str
    slots: tuple[Slot, ...]
    meetings: int  # a step, of threads that share the units
    shares: bool  # whether there is anything that they share


class Writer(LoopArrays):
    """Write one kernel."""

    def __init__(self, program: Program, layout: KernelLayout) -> None:
        super().__init__(program, layout)
        self.summed: set[int] = set()  # folds that a loop has added up
        self.nests: list[Loops] = []  # that store values

    # ---- the text

    def kernel(self) -> Kernel:
        """Return the whole kernel."""
        body: list[str] = []
        for level in range(self.top + 1):
            body += self._level(level)
        body += _met(self._carry())
        if self._is_private(body):
            body = [line for line in body if line != MEET]
        lines = [
            '#include "runtime.h"',
            "typedef struct {",
            "    long steps, rows, reverse;",
            "    real **p;",
            "    const services *service;",
            "} recurrence;",
            "",
            "static void part(void *pointer, turn *own) {",
            "    const recurrence *call = pointer;",
            "    const long steps = call->steps, rows = call->rows;",
            "    const long first = own->first, last = own->last, n = last - first;",
            "    const long lane = own->lane, lanes = own->lanes;",
            "    const long low = first + n * lane / lanes, high = first + n * (lane + 1) / lanes;",
            "    real **p = call->p;",
            "    const services *service = call->service;",
            "    for (long k = own->from; k < own->to; k++) {",
            "        const long t = call->reverse ? steps - 1 - k : k;",
            "        const long came = t + !!call->reverse, goes = t + !call->reverse;",
            *(f"        {line}" for line in body),
            "        (void)came; (void)goes; (void)low; (void)high; (void)service;",
            "    }",
            "}",
            "",
            "void run(recurrence *call, int threads, int lanes, long cost) {",
            "    call->service->sweep(part, call, call->steps, call->rows, threads, lanes, cost);",
            "}",
        ]
        calls = sum(line.count(name) for line in body for name in CALLS)
        many = ["#define MANY_CALLS"] if calls > MANY else []
        text = "\n".join([*self.heading(), *many, *lines, ""])
        shares = any(nest.shared for nest in self.nests) or any("lanes)" in line for line in body)
        return Kernel(text, tuple(self.slots), body.count(MEET), shares)

    def _is_private(self, body: list[str]) -> bool:
        """Return whether no thread reads what another writes: in the only loops of a step each
        number that the kernel writes is read in the place where it is written.
        """
        alone = len(self.nests) == 1 and body.count(MEET) == 1
        return alone and self.nests[0].shared and len(self.nests[0].touched) == 1

    def _level(self, level: int) -> list[str]:
        """Return the products, folds and loops of one level."""
        layout, program = self.layout, self.program
        at = [self.values[p] for p in sorted(program.core) if layout.level[p] == level]
        lines: list[str] = []
        for value in at:
            if value.kind == "product":
                lines += packed(self, value) if layout.packs(value) else product(self, value)
        for value in at:
            if value.breaks and value.kind == "reduction":
                is_known = value.position in self.summed
                lines += put_together(self, value) if is_known else fold(self, value)
        ready = [value for value in self.values
                 if value.position in program.core and summed_at(self, value) == level]  # fmt: skip
        loops = self._loops(self.written(level), level, ready)
        return [f"/* level {level} */", *_met(lines), *_met(loops)]

    def _loops(self, positions: list[int], level: int, sums: list[Value]) -> list[str]:
        """Return nests that store these values, one a shape of box, with sums over all units."""
        lines: list[str] = []
        for extents, pairs in self.by_extents(positions):
            lines += self._stores(level, extents, pairs, sums)
        for value in sums:  # of what no level stores
            if self._is_partial(value) and value.position not in self.summed:
                (box,) = self.boxes(value.operands[0])
                lines += self._stores(level, self.extents(value.operands[0], box), [], sums)
        return lines

    def _is_partial(self, value: Value) -> bool:
        """Return whether a value is a sum beside the core over some of the units."""
        return value.position in self.program.beside and self.layout.width(value.position) > 1

    def _stores(
        self, level: int, extents: tuple[int, ...], pairs: list[tuple[int, Box]], sums: list[Value]
    ) -> list[str]:
        """Return one nest that stores boxes of values."""
        nest, names = self.loops(level, extents)
        self.nests.append(nest)
        statements = []
        for p, box in pairs:
            index = self.index(p, box, self.variables(p, names))
            term = nest.emit(p, index)
            statements += [f"{to} = {term};" for to in nest.store(p, index)]
            if p in self.program.summed:
                statements.append(f"{nest.total(p, index)} += {term};")
        totals: list[tuple[str, str]] = []
        folds: list[Fold] = []
        for value in sums:
            inner = value.operands[0]
            boxes = self.boxes(inner)
            if value.position in self.summed or len(boxes) > TOGETHER:
                continue
            if all(self.extents(inner, box) == extents for box in boxes):
                self.summed.add(value.position)
                if self._is_partial(value):
                    found, added = partial(self, nest, value, boxes[0], names)
                    folds += found
                    statements += added
                    continue
                terms = [nest.emit(inner, self.index(inner, box, self.variables(inner, names)))
                         for box in boxes]  # fmt: skip
                name = f"sum_{value.position}"
                totals.append((name, self.slot("scratch", value.position)))
                statements.append(f"{name} += {' + '.join(terms)};")
        return nest.text(statements, totals, folds=folds, shared=True)

    # ---- states

    def _carry(self) -> list[str]:
        """Store new states that no level stores: products, inputs, other states as they were."""
        lines: list[str] = []
        for i, p in enumerate(self.program.carry):
            if self.stored_by_level(i):
                continue
            for box in self.boxes(p):
                shape = self.values[p].shape
                axes = [axis for axis in range(len(shape)) if not (self.layout.rows and axis == 0)]
                names = {axis: f"i{axis}" for axis in axes if box[axis][1] - box[axis][0] > 1}
                nest = Loops(self, self.top + 1, [(names[axis], box[axis][1] - box[axis][0])
                                                 for axis in axes if axis in names])  # fmt: skip
                index = tuple(
                    At(((ROW, 1),)) if self.layout.rows and axis == 0
                    else At(((names[axis], 1),) if axis in names else (), box[axis][0])
                    for axis in range(len(shape))
                )  # fmt: skip
                term = nest.emit(p, self.fitted(p, index))
                lines += nest.text([f"{nest.carry(i, p, index)} = {term};"], shared=True)
        return lines


def _met(lines: list[str]) -> list[str]:
    """Return lines after which threads that share the units wait for each other."""
    return [*lines, MEET] if lines else []
