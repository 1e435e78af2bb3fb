"""Writes the core of a program as C that a person can read: gates by name, values by number.

A step is a run of levels. Each level first does its products, with packed weights, and its row
sums, then one loop over the units computes everything element-wise, all gates of a unit in the
same turn, and stores what later levels or the backward pass read. Rows of the batch are
independent of each other, so threads share the rows and never wait. Above `program.py`.
"""

import math
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from engine.scan.cloop import Loop
from engine.scan.cterms import bounds, inlined, is_expression, is_place, is_slice, pieces
from engine.scan.program import NotFusableError, Program, Value, is_break, is_product, is_sum

TOGETHER = 8  # stretches of columns, such as gates, that one turn of a loop computes at most


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


def wants(program: Program) -> list[int]:
    """The values outside of the core that the kernel reads as arrays, leaves included."""
    found: dict[int, None] = {}
    stack = [*program.carry, *program.core]
    seen = set()
    while stack:
        p = stack.pop()
        if p in seen:
            continue
        seen.add(p)
        value = program.values[p]
        if p in program.core or inlined(value, program):
            stack += value.operands
        elif not (value.source and value.source[0] == "carry"):
            found[p] = None
    return sorted(found)


def generate(program: Program, *, backward: bool) -> Kernel:
    """The kernel of a program's core. Raises NotFusableError, with the reason, for what C lacks."""
    return Writer(program, backward).kernel()


class Writer:
    """Writes one kernel."""

    def __init__(self, program: Program, backward: bool) -> None:
        self.program, self.backward = program, backward
        self.values = program.values
        self.slots: dict[Slot, int] = {}
        self.given = set(wants(program))
        self.carried = {at: i for (name, i), at in program.leaves.items() if name == "carry"}
        self._check()
        self.kept = self._crossing()
        self.summed: set[int] = set()  # row sums that a loop has added up

    def _check(self) -> None:
        """Refuse what has no place in a kernel."""
        core = [self.values[p] for p in sorted(self.program.core)]
        states = [self.values[p] for p in self.program.carry]
        for value in states:
            if len(value.shape) != 2:
                raise NotFusableError(f"a state has shape {value.shape}; kernels take (B, H)")
        self.dtype = states[0].dtype
        for value in (*core, *(self.values[p] for p in self.given)):
            if len(value.shape) > 2:
                raise NotFusableError(f"a value of the step has shape {value.shape}")
        for value in core:
            self._check_op(value)
            if value.dtype not in (self.dtype, "bool"):
                raise NotFusableError(f"the step mixes {self.dtype} and {value.dtype}")

    def _check_op(self, value: Value) -> None:
        assert value.op is not None
        name = value.op.name
        if is_product(value):
            fixed = all(p not in self.program.varies for p in value.operands[1:])
            weight = self.values[value.operands[1]] if len(value.operands) > 1 else None
            if not fixed or weight is None or len(weight.shape) != 2 or len(value.shape) != 2:
                raise NotFusableError("a product in the step has no fixed matrix on its right")
            return
        if is_break(value):
            if name != "sum" or value.attrs.get("axis") not in (-1, 1, (-1,), (1,)):
                raise NotFusableError(f"{name} in the step is not over the last axis")
            if not value.attrs.get("keepdims"):
                raise NotFusableError("a sum in the step does not keep its axis")
            return
        if not is_expression(value):
            raise NotFusableError(f"{name} in the step has no expression in C")
        if name == "reshape" and self.values[value.operands[0]].shape != value.shape:
            raise NotFusableError("reshape in the step changes the shape")

    def _crossing(self) -> set[int]:
        """Element-wise core values that a product or a later level reads: they go to memory."""
        level = self.program.level
        kept: set[int] = set()
        for value in self.values:
            if value.position not in self.program.core:
                continue
            for number, p in enumerate(value.operands):
                if p not in self.program.core or is_break(self.values[p]):
                    continue
                if (is_product(value) and number == 0) or level[p] < level[value.position] - (
                    is_break(value)
                ):
                    kept.add(p)
        return kept

    # ---- the text ----

    def kernel(self) -> Kernel:
        program = self.program
        top = max([program.level[p] for p in program.core], default=0)
        body: list[str] = []
        for level in range(top + 1):
            body += self._level(level)
        body += self._carry()
        order = "long t = steps - 1; t >= 0; t--" if self.backward else "long t = 0; t < steps; t++"
        came, goes = ("t + 1", "t") if self.backward else ("t", "t + 1")
        lines = [
            '#include "runtime.h"',
            "typedef struct {",
            "    long steps, rows;",
            "    const unsigned char *mask;",
            "    real **p;",
            "    const services *service;",
            "} kernel_job;",
            "",
            "static void sweep(void *pointer, int me, int all) {",
            "    const kernel_job *job = pointer;",
            "    const long steps = job->steps, rows = job->rows;",
            "    const long first = rows * me / all, last = rows * (me + 1) / all;",
            "    const long n = last - first;",
            "    const unsigned char *mask = job->mask;",
            "    real **p = job->p;",
            "    const services *service = job->service;",
            f"    for ({order}) {{",
            f"        const long came = {came}, goes = {goes};",
            *(f"        {line}" for line in body),
            "        (void)came; (void)goes; (void)n; (void)mask; (void)service;",
            "    }",
            "}",
            "",
            "void run(kernel_job *job, int threads) {",
            "    job->service->in_parallel(sweep, job, threads);",
            "}",
        ]
        return Kernel("\n".join([*self._heading(), *lines, ""]), tuple(self.slots))

    def _heading(self) -> list[str]:
        lines = self.program.text().splitlines()
        text = [line for p, line in enumerate(lines) if p not in self.program.deferred]
        what = "backward" if self.backward else "forward"
        return [f"/* {what}: one step as it was recorded", *(f"   {line}" for line in text), "*/"]

    def slot(self, role: str, position: int) -> str:
        slot = Slot(role, position)
        return f"p[{self.slots.setdefault(slot, len(self.slots))}]"

    def _level(self, level: int) -> list[str]:
        """The products, row sums and loops of one level."""
        at = [self.values[p] for p in sorted(self.program.core) if self.program.level[p] == level]
        lines = [f"/* level {level} */"]
        for value in at:
            if is_product(value):
                lines += self._product(value)
        for value in at:
            if is_sum(value) and value.position not in self.summed:
                lines += self._loops([], level - 1, [value])
        wanted = [
            value.position for value in at
            if not is_break(value) and (value.position in self.kept
                                        or value.position in self.program.stored
                                        or value.position in self.program.carry)
        ]  # fmt: skip
        copied = [value.position for value in at
                  if is_break(value) and value.position in self.program.stored]  # fmt: skip
        ready = [value for value in self.values
                 if value.position in self.program.core and is_sum(value)
                 and self._summed_at(value) == level]  # fmt: skip
        return lines + self._loops([*wanted, *copied], level, ready)

    def _summed_at(self, value: Value) -> int:
        """The level whose loop over the units has the terms of a row sum at hand."""
        inner = value.operands[0]
        known = inner in self.program.core and not is_break(self.values[inner])
        return self.program.level[inner] if known else -1

    def _product(self, value: Value) -> list[str]:
        left = self.values[value.operands[0]]
        depth, wide = left.shape[1], value.shape[1]
        packed = self.slot("packed", value.position)
        rows, out = self._rows(left), self.slot("scratch", value.position)
        return [
            f"service->packed_product(n, {wide}, {depth}, {rows} + first * {depth}, {depth}, "
            f"{packed}, {out} + first * {wide}, {wide}); "
            f"/* %{value.position} {value.label} */"
        ]

    def _rows(self, value: Value) -> str:
        """Where the (B, N) of this step begins, for a value that lies in memory."""
        size = f"rows * {value.shape[1]}"
        if value.position in self.carried:
            return f"{self.slot('carry', self.carried[value.position])} + came * {size}"
        if value.position in self.program.stored:
            return f"{self.slot('stored', value.position)} + t * {size}"
        if value.position in self.given:
            return f"{self.slot('given', value.position)} + t * {size}"
        return self.slot("scratch", value.position)

    def _loops(self, positions: list[int], level: int, sums: list[Value]) -> list[str]:
        """Loops over the units that store these values, one for each width of unit, and add up
        the row sums whose terms they have at hand.
        """
        by_unit: dict[int, list[int]] = {}
        by_cuts: dict[tuple[int, ...], list[int]] = {}
        for p in positions:
            if self.width(p) <= TOGETHER * self._unit(p):
                by_unit.setdefault(self._unit(p), []).append(p)
            else:
                by_cuts.setdefault(tuple(sorted(self._cuts(p))), []).append(p)
        for value in sums if not positions else ():
            by_unit.setdefault(self._unit(value.operands[0]), [])
        lines: list[str] = []
        for cuts, own in by_cuts.items():
            for low, high in pairwise(cuts):
                loop = Loop(self, level)
                stores = [f"{name}[j + {low}] = {term};" for p in own
                          for term in [loop.emit(p, low)] for name in loop.targets(p)]  # fmt: skip
                lines += loop.rows(high - low, stores)
        for unit, own in by_unit.items():
            loop = Loop(self, level)
            statements = []
            for p in own:
                for offset in range(0, self.width(p), unit):
                    term = loop.emit(p, offset)
                    statements += [f"{name}[j + {offset}] = {term};" for name in loop.targets(p)]
            totals = {}
            for value in sums:
                inner = value.operands[0]
                if self._unit(inner) == unit and value.position not in self.summed:
                    self.summed.add(value.position)
                    terms = [loop.emit(inner, at) for at in range(0, self.width(inner), unit)]
                    name = f"sum_{value.position}"
                    totals[name] = self.slot("scratch", value.position)
                    statements.append(f"{name} += {' + '.join(terms)};")
            lines += loop.rows(unit, statements, totals=totals)
        return lines

    def _carry(self) -> list[str]:
        """New states that no loop stores, and rows without a step, which keep what they have."""
        lines: list[str] = []
        for i, p in enumerate(self.program.carry):
            value = self.values[p]
            size = f"rows * {value.shape[1]}"
            past = self.slot("carry", i)
            if not self.stored_by_loop(i, p):
                loop = Loop(self, self.program.level[p])
                term = loop.emit(p, 0)
                row = f"{past} + goes * {size} + b * {value.shape[1]}"
                lines += loop.rows(
                    value.shape[1],
                    [f"state[j] = {term};"],
                    before=[f"real *restrict state = {row};"],
                )
            lines += [
                "if (mask) for (long b = first; b < last; b++) if (!mask[t * rows + b])",
                f"    memcpy({past} + goes * {size} + b * {value.shape[1]}, {past} + came * {size} "
                f"+ b * {value.shape[1]}, {value.shape[1]} * sizeof(real));",
            ]
        return lines

    def stored_by_loop(self, i: int, p: int) -> bool:
        """Whether the loops of the levels write state `i`."""
        own = p in self.program.core and not is_break(self.values[p])
        return own and self.program.carry.index(p) == i

    def width(self, p: int) -> int:
        return self.values[p].shape[-1] if self.values[p].shape else 1

    def _unit(self, p: int) -> int:
        """The widest stretch of columns over which a value is one expression."""
        return reduce(math.gcd, (b - a for a, b in pairwise(sorted(self._cuts(p)))))

    def _cuts(self, p: int) -> set[int]:
        """The columns at which the expression of a value changes."""
        value = self.values[p]
        wide = self.width(p)
        cuts = {0, wide}
        if value.op is None or is_break(value) or p in self.given:
            return cuts
        if is_place(value):
            for low, high, one in pieces(value, self.program):
                cuts |= {low, high} | {low + c for c in self._cuts(one)}
            return cuts
        if is_slice(value):
            low, high = bounds(value.attrs["key"][-1], self.width(value.operands[0]))
            inner = self._cuts(value.operands[0])
            return cuts | {c - low for c in inner if low <= c <= high}
        for one in value.operands:
            if self.width(one) == wide:
                cuts |= self._cuts(one)
        return cuts
