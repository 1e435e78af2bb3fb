"""Writes the core of a program as C that a person can read: gates by name, values by number.

A step is a run of levels. Each level first does its products, with packed weights, and its row
sums, then one loop over the units computes everything element-wise, all gates of a unit in the
same turn, and stores what later levels or the backward pass read. Rows of the batch are
independent of each other, so threads share the rows and never wait. Above `program.py`.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

from engine.scan.program import Literal, NotFusable, Program, Value, is_break, is_product

THROUGH = ("identity", "broadcast_to", "reshape")


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


def inlined(value: Value, program: Program) -> bool:
    """Whether a value outside of the core is computed where it is used."""
    if value.op is None or value.position in program.core:
        return False
    if value.position not in program.varies:
        return False
    simple = bool(value.op.c) or value.op.name in THROUGH or _is_slice(value) or _is_place(value)
    return simple and len(value.shape) <= 2


def wants(program: Program) -> list[int]:
    """The values outside of the core that the kernel reads as arrays, leaves included."""
    found: dict[int, None] = {}
    stack = [p for p in (*program.carry, *program.core)]
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


def _is_slice(value: Value) -> bool:
    """A slice of the last axis, everything of the others."""
    if value.op is None or value.op.name != "getitem" or len(value.operands) != 1:
        return False
    *front, last = value.attrs["key"]
    whole = all(part == slice(None) or part is Ellipsis for part in front)
    return whole and isinstance(last, slice) and last.step in (None, 1)


def _is_place(value: Value) -> bool:
    """Pieces of the last axis put side by side."""
    if value.op is None or value.op.name != "place":
        return False
    keys = value.attrs["keys"]
    return len(value.operands) == len(keys) and all(
        key and isinstance(key[-1], slice) and key[-1].step in (None, 1)
        and all(part == slice(None) for part in key[:-1]) for key in keys
    )  # fmt: skip


def _bounds(part: slice, width: int) -> tuple[int, int]:
    low, high, _ = part.indices(width)
    return low, high


def generate(program: Program, *, backward: bool) -> Kernel:
    """The kernel of a program's core. Raises NotFusable, with the reason, where C cannot say it."""
    return _Writer(program, backward).kernel()


class _Writer:
    """Writes one kernel."""

    def __init__(self, program: Program, backward: bool) -> None:
        self.program, self.backward = program, backward
        self.values = program.values
        self.slots: dict[Slot, int] = {}
        self.given = set(wants(program))
        self.carried = {at: i for (name, i), at in program.leaves.items() if name == "carry"}
        self._check()
        self.kept = self._crossing()

    def _check(self) -> None:
        """Refuse what has no place in a kernel."""
        core = [self.values[p] for p in sorted(self.program.core)]
        states = [self.values[p] for p in self.program.carry]
        for value in states:
            if len(value.shape) != 2:
                raise NotFusable(f"a state has shape {value.shape}; kernels take (B, H)")
        self.dtype = states[0].dtype
        for value in (*core, *(self.values[p] for p in self.given)):
            if len(value.shape) > 2:
                raise NotFusable(f"a value of the step has shape {value.shape}")
        for value in core:
            self._check_op(value)
            if value.dtype not in (self.dtype, "bool"):
                raise NotFusable(f"the step mixes {self.dtype} and {value.dtype}")

    def _check_op(self, value: Value) -> None:
        assert value.op is not None
        name = value.op.name
        if is_product(value):
            fixed = all(p not in self.program.varies for p in value.operands[1:])
            weight = self.values[value.operands[1]] if len(value.operands) > 1 else None
            if not fixed or weight is None or len(weight.shape) != 2 or len(value.shape) != 2:
                raise NotFusable("a product in the step has no fixed matrix on its right")
            return
        if is_break(value):
            if name != "sum" or value.attrs.get("axis") not in (-1, 1, (-1,), (1,)):
                raise NotFusable(f"{name} in the step is not over the last axis")
            if not value.attrs.get("keepdims"):
                raise NotFusable("a sum in the step does not keep its axis")
            return
        simple = bool(value.op.c) or name in THROUGH or _is_slice(value) or _is_place(value)
        if not simple:
            raise NotFusable(f"{name} in the step has no expression in C")
        if name == "reshape" and self.values[value.operands[0]].shape != value.shape:
            raise NotFusable("reshape in the step changes the shape")

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
            "typedef void (*work)(void *job, int me, int all);",
            "typedef struct { long steps, rows; const unsigned char *mask; real **p; } kernel_job;",
            "",
            "static void sweep(void *pointer, int me, int all) {",
            "    const kernel_job *job = pointer;",
            "    const long steps = job->steps, rows = job->rows;",
            "    const long first = rows * me / all, last = rows * (me + 1) / all, n = last - first;",
            "    const unsigned char *mask = job->mask;",
            "    real **p = job->p;",
            f"    for ({order}) {{",
            f"        const long came = {came}, goes = {goes};",
            *(f"        {line}" for line in body),
            "        (void)came; (void)goes; (void)n; (void)mask;",
            "    }",
            "}",
            "",
            "void run(kernel_job *job, void (*in_parallel)(work, void *, int), int threads) {",
            "    in_parallel(sweep, job, threads);",
            "}",
        ]
        return Kernel("\n".join([*self._heading(), *lines, ""]), tuple(self.slots))

    def _heading(self) -> list[str]:
        text = self.program.text().splitlines()
        what = "backward" if self.backward else "forward"
        return [f"/* {what}: one step as it was recorded", *(f"   {line}" for line in text), "*/"]

    def _slot(self, role: str, position: int) -> str:
        slot = Slot(role, position)
        return f"p[{self.slots.setdefault(slot, len(self.slots))}]"

    def _level(self, level: int) -> list[str]:
        """The products, row sums and loops of one level."""
        at = [self.values[p] for p in sorted(self.program.core) if self.program.level[p] == level]
        lines = [f"/* level {level} */"]
        for value in at:
            if is_product(value):
                lines += self._product(value)
        sums = [value for value in at if is_break(value) and not is_product(value)]
        for value in sums:
            lines += self._sum(value)
        wanted = [
            value.position for value in at
            if not is_break(value) and (value.position in self.kept
                                        or value.position in self.program.stored
                                        or value.position in self.program.carry)
        ]  # fmt: skip
        copied = [value.position for value in at
                  if is_break(value) and value.position in self.program.stored]  # fmt: skip
        return lines + self._loops([*wanted, *copied], level)

    def _product(self, value: Value) -> list[str]:
        left = self.values[value.operands[0]]
        depth, wide = left.shape[1], value.shape[1]
        packed = self._slot("packed", value.position)
        return [
            f"packed_product(n, {wide}, {depth}, {self._rows(left)} + first * {depth}, {depth}, "
            f"{packed}, {self._slot('scratch', value.position)} + first * {wide}, {wide}); "
            f"/* %{value.position} {value.label} */"
        ]

    def _rows(self, value: Value) -> str:
        """Where the (B, N) of this step begins, for a value that lies in memory."""
        size = f"rows * {value.shape[1]}"
        if value.position in self.carried:
            return f"{self._slot('carry', self.carried[value.position])} + came * {size}"
        if value.position in self.program.stored:
            return f"{self._slot('stored', value.position)} + t * {size}"
        if value.position in self.given:
            return f"{self._slot('given', value.position)} + t * {size}"
        return self._slot("scratch", value.position)

    def _sum(self, value: Value) -> list[str]:
        inner = self.values[value.operands[0]]
        loop = _Loop(self, self.program.level[value.position] - 1)
        term = loop.emit(inner.position, 0)
        out = self._slot("scratch", value.position)
        return loop.rows(inner.shape[1], [f"sum += {term};"], before=["real sum = 0;"],
                         after=[f"{out}[b] = sum;"])  # fmt: skip

    def _loops(self, positions: list[int], level: int) -> list[str]:
        """Loops over the units that store these values: one for each width of unit."""
        by_unit: dict[int, list[int]] = {}
        for p in positions:
            by_unit.setdefault(self._unit(p), []).append(p)
        lines: list[str] = []
        for unit, own in by_unit.items():
            loop = _Loop(self, level)
            stores = []
            for p in own:
                for offset in range(0, self._width(p), unit):
                    term = loop.emit(p, offset)
                    stores += [f"{name}[j + {offset}] = {term};" for name in loop.targets(p)]
            lines += loop.rows(unit, stores)
        return lines

    def _carry(self) -> list[str]:
        """New states that no loop stores, and rows without a step, which keep what they have."""
        lines: list[str] = []
        for i, p in enumerate(self.program.carry):
            value = self.values[p]
            size = f"rows * {value.shape[1]}"
            past = self._slot("carry", i)
            if not self._stored_by_loop(i, p):
                loop = _Loop(self, self.program.level[p])
                term = loop.emit(p, 0)
                lines += loop.rows(
                    value.shape[1], ["state[j] = " + term + ";"],
                    before=[f"real *restrict state = {past} + goes * {size} + b * {value.shape[1]};"],
                )  # fmt: skip
            lines += [
                "if (mask) for (long b = first; b < last; b++) if (!mask[t * rows + b])",
                f"    memcpy({past} + goes * {size} + b * {value.shape[1]}, {past} + came * {size} "
                f"+ b * {value.shape[1]}, {value.shape[1]} * sizeof(real));",
            ]
        return lines

    def _stored_by_loop(self, i: int, p: int) -> bool:
        """Whether the loops of the levels write state `i`."""
        own = p in self.program.core and not is_break(self.values[p])
        return own and self.program.carry.index(p) == i

    def _width(self, p: int) -> int:
        return self.values[p].shape[-1] if self.values[p].shape else 1

    def _unit(self, p: int) -> int:
        """The widest stretch of columns over which a value is one expression."""
        return reduce(math.gcd, (b - a for a, b in pairwise(sorted(self._cuts(p)))))

    def _cuts(self, p: int) -> set[int]:
        """The columns at which the expression of a value changes."""
        value = self.values[p]
        wide = self._width(p)
        cuts = {0, wide}
        if value.op is None or is_break(value) or p in self.given:
            return cuts
        if _is_place(value):
            for key, one in zip(value.attrs["keys"], value.operands, strict=True):
                low, high = _bounds(key[-1], wide)
                cuts |= {low, high} | {low + c for c in self._cuts(one)}
            return cuts
        if _is_slice(value):
            low, high = _bounds(value.attrs["key"][-1], self._width(value.operands[0]))
            inner = self._cuts(value.operands[0])
            return cuts | {c - low for c in inner if low <= c <= high}
        for one in value.operands:
            if self._width(one) == wide:
                cuts |= self._cuts(one)
        return cuts


class _Loop:
    """One loop over rows and units: the statements that its terms need, each computed once."""

    def __init__(self, writer: _Writer, level: int) -> None:
        self.writer, self.level = writer, level
        self.pointers: dict[str, str] = {}
        self.lines: list[str] = []
        self.known: dict[tuple[int, int], str] = {}

    def rows(
        self, unit: int, stores: Iterable[str], before: Iterable[str] = (), after: Iterable[str] = ()
    ) -> list[str]:
        """The whole loop as text."""
        pointers = [f"{kind} {name} = {to};" for name, (kind, to) in self._declared().items()]
        masked = self.writer.backward
        skipped = self._skipped() if masked else []
        return [
            "for (long b = first; b < last; b++) {",
            *(f"    {line}" for line in (*pointers, *before, *skipped)),
            '    _Pragma("GCC ivdep")',
            f"    for (long j = 0; j < {unit}; j++) {{",
            *(f"        {line}" for line in (*self.lines, *stores)),
            "    }",
            *(f"    {line}" for line in after),
            "}",
        ]

    def _declared(self) -> dict[str, tuple[str, str]]:
        return {
            name: ("real *restrict" if name.startswith("to") else "const real *restrict", to)
            for to, name in self.pointers.items()
        }

    def _skipped(self) -> list[str]:
        """Backward, a row without a step has no gradient: zeros, and nothing is computed."""
        targets = [(to, name) for to, name in self.pointers.items() if name.startswith("to")]
        if not targets:
            return []
        zeros = [f"memset({name}, 0, {self._size(name)} * sizeof(real));" for _, name in targets]
        return ["if (mask && !mask[t * rows + b]) { " + " ".join([*zeros, "continue;"]) + " }"]

    def _size(self, name: str) -> int:
        found = re.match(r"to\w*_(\d+)$", name)
        assert found is not None
        return self.writer._width(int(found[1]))

    def targets(self, p: int) -> list[str]:
        """The rows in memory that a value is written to."""
        writer, program = self.writer, self.writer.program
        wide = writer._width(p)
        found = []
        for i, one in enumerate(program.carry):
            if one == p and writer._stored_by_loop(i, p):
                past = writer._slot("carry", i)
                found.append(self._pointer(f"{past} + (goes * rows + b) * {wide}", f"to_state_{p}"))
        if p in program.stored:
            to = f"{writer._slot('stored', p)} + (t * rows + b) * {wide}"
            found.append(self._pointer(to, f"to_stored_{p}"))
        if p in writer.kept and p not in program.stored:
            to = f"{writer._slot('scratch', p)} + b * {wide}"
            found.append(self._pointer(to, f"to_scratch_{p}"))
        return found

    def _pointer(self, to: str, name: str) -> str:
        return self.pointers.setdefault(to, name)

    def emit(self, p: int, offset: int) -> str:
        """The term for column ``j + offset`` of a value; statements are added as they are needed.

        Values are visited one by one, each after what it needs, so nothing recurses.
        """
        stack = [(p, offset)]
        while stack:
            key = stack[-1]
            if key in self.known:
                stack.pop()
                continue
            missing = [one for one in self._needs(*key) if one not in self.known]
            if missing:
                stack += missing
                continue
            self.known[key] = self._term(*key)
            stack.pop()
        return self.known[p, offset]

    def _in_memory(self, p: int) -> bool:
        """Whether a value is read from an array: leaves, products, sums, earlier levels."""
        writer = self.writer
        value = writer.values[p]
        if value.op is None or p in writer.given or is_break(value):
            return True
        return p in writer.kept and writer.program.level[p] < self.level + (
            0 if p in writer.program.core else 1
        )

    def _needs(self, p: int, offset: int) -> list[tuple[int, int]]:
        """The terms that a term is made of."""
        writer, value = self.writer, self.writer.values[p]
        if self._in_memory(p):
            return []
        wide = writer._width(p)
        if _is_place(value):
            found = self._piece(value, offset)
            return [] if found is None else [found]
        if _is_slice(value):
            low, _ = _bounds(value.attrs["key"][-1], writer._width(value.operands[0]))
            return [(value.operands[0], offset + low)]
        return [(one, offset if writer._width(one) == wide else 0) for one in value.operands]

    def _piece(self, value: Value, offset: int) -> tuple[int, int] | None:
        """The piece that covers a column, and the column in it."""
        for key, one in zip(value.attrs["keys"], value.operands, strict=True):
            low, high = _bounds(key[-1], self.writer._width(value.position))
            if low <= offset < high:
                return one, offset - low
        return None

    def _term(self, p: int, offset: int) -> str:
        value = self.writer.values[p]
        if self._in_memory(p):
            return self._load(value, offset)
        terms = [self.known[one] for one in self._needs(p, offset)]
        assert value.op is not None
        if _is_place(value):
            return terms[0] if terms else "(real)0"
        if _is_slice(value) or value.op.name in THROUGH:
            return terms[0]
        given = iter(terms)
        inputs = [next(given) if isinstance(one, int) else _literal(one) for one in value.inputs]
        kind = "int" if value.dtype == "bool" else "real"
        name = f"{_identifier(value.label)}v{p}" + (f"_{offset}" if offset else "")
        self.lines.append(f"const {kind} {name} = {value.op.c.format(*inputs)};")
        return name

    def _load(self, value: Value, offset: int) -> str:
        """Column ``j + offset`` of this row and step of a value in memory."""
        writer, p = self.writer, value.position
        wide = writer._width(p)
        column = "0" if wide == 1 else f"j + {offset}" if offset else "j"
        if is_product(value) and p not in writer.given:
            row = self._pointer(f"{writer._slot('scratch', p)} + b * {wide}", f"product_{p}")
            if len(value.operands) > 2:
                bias = writer.values[value.operands[2]]
                return f"({row}[{column}] + {self._load(bias, offset)})"
            return f"{row}[{column}]"
        rank = len(value.shape)
        steps = 1 if rank < 2 else value.shape[0]
        row_of = "b" if rank == 2 and value.shape[0] > 1 else "0"
        if p in writer.carried:
            base = f"{writer._slot('carry', writer.carried[p])} + (came * rows + b) * {wide}"
        elif p in writer.given:
            timed = p in writer.program.varies
            per_step = "rows" if rank == 2 and steps > 1 else "1"
            time = f"t * {per_step} + " if timed else ""
            base = f"{writer._slot('given', p)} + ({time}{row_of}) * {wide}"
        elif p in writer.program.stored and not is_break(value):
            base = f"{writer._slot('stored', p)} + (t * rows + b) * {wide}"
        else:
            base = f"{writer._slot('scratch', p)} + b * {wide}"
        return f"{self._pointer(base, f'from_{p}')}[{column}]"


def _literal(one: Any) -> str:
    """A Python number in C."""
    assert isinstance(one, Literal)
    value = one.value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and not math.isfinite(value):
        return "(real)NAN" if math.isnan(value) else f"({'-' if value < 0 else ''}(real)INFINITY)"
    return f"((real){value!r})"


def _identifier(label: str) -> str:
    """A gate's name as the beginning of a C name."""
    name = re.sub(r"\W+", "_", label.split(",")[0], flags=re.ASCII)
    return f"{name}_" if name and len(name) <= 12 else ""
