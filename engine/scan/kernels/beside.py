"""Find what a kernel computes beside the core of a program, while its numbers are at hand.

What does not lead to the next state is otherwise computed op by op for all steps at once, each op
a pass over memory: most of the time of a derivative of a derivative, and of the first one where
nothing is multiplied by a matrix. Of a state with two axes of units what is read afterwards is
often smaller than the state: a sum over one of the axes, or over time, of products that would be as
large as all states together. Above `layout.py`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.scan.kernels.layout import KernelLayout
from engine.scan.program import Program, Value


def joined(program: Program) -> Program:
    """Return the program with element-wise ops beside its core, as it is where there are none.

    Of a first derivative those that are deferred, of a core without products: memory sets its time.
    """
    if not program.derived and any(program.values[p].breaks for p in program.core - program.beside):
        return program
    layout = KernelLayout(program)
    is_plain = plainness(layout)
    beside = _deferred(layout, is_plain)
    if program.derived:
        beside |= _hoisted(layout, is_plain, program.core | beside)
    return replace(program, beside=program.beside | beside, memo={}) if beside else program


def _deferred(layout: KernelLayout, is_plain: Callable[[Value], bool]) -> frozenset[int]:
    """Return the deferred ops done by number and row that are stored or lead to one that is."""
    program, values = layout.program, layout.values
    rows = layout.rows_from_states()
    fits: set[int] = set()
    for p in sorted(program.deferred):
        others = [one for one in values[p].operands if one in program.deferred and one not in fits]
        if not others and is_plain(values[p]) and (not layout.rows or rows[p] == 0):
            fits.add(p)
    wanted = set(program.steps)
    for p in sorted(program.deferred, reverse=True):
        if p not in fits or p in wanted:
            wanted.update(values[p].operands)
    return frozenset(fits & wanted)


def _hoisted(
    layout: KernelLayout, is_plain: Callable[[Value], bool], inside: frozenset[int]
) -> frozenset[int]:
    """Return the hoisted element-wise ops read afterwards; by the ops `inside` in one row alone."""
    if not layout.rows:
        return frozenset()
    program = layout.program
    found: set[int] = set()
    late, used, before, crooked = set(program.steps), set[int](), set[int](), set[int]()

    def read(value: Value, operands: Iterable[int]) -> None:
        """Note what the kernel reads, and what of that in rows that may not be those it writes."""
        used.update(operands)
        straight = value.kind == "elementwise"
        crooked.update(p for p in operands if not straight or value.position in crooked - inside
                       or len(layout.values[p].shape) != len(value.shape))  # fmt: skip

    for value in reversed(program.values):
        p = value.position
        if p in inside:
            read(value, value.operands)
        elif p in before:
            before.update(value.operands)
        elif value.op is None or p not in program.varies:
            continue
        elif p in late - crooked - program.depends and _is_own(layout, value) and is_plain(value):
            found.add(p)
            read(value, value.operands)
        elif p in used - program.depends:
            if layout.inlined(value):
                read(value, value.operands)
            else:
                before.update(value.operands)
        else:
            late.update(value.operands)
    return frozenset(found)


def _is_own(layout: KernelLayout, value: Value) -> bool:
    """Return whether a value has a row for each row of the batch, computed number by number."""
    is_computed = bool(layout.expression(value))
    return is_computed and len(value.shape) > 1 and value.shape[0] == layout.batch


def plainness(layout: KernelLayout) -> Callable[[Value], bool]:
    """Return what says whether a kernel has an op, on its own dtype, no more than in the core.

    What is compared has none: it may be a matter of last bits.
    """
    program = layout.program
    compared = {p for one in layout.values if one.dtype == "bool" for p in one.operands}
    size = max(math.prod(program.values[p].shape) for p in (*program.core, *program.carry))

    def is_plain(value: Value) -> bool:
        if value.position in compared:
            return False
        flat = any(move.flat for move in layout.moves(value) or ())
        real = all(map(layout.real, (value.position, *value.operands)))
        number = value.dtype == layout.dtype and math.prod(value.shape) <= size
        return number and real and not flat and layout.is_expression(value)

    return is_plain


AXES = 3  # of what is summed: the row of the batch and two of units


def reduced(program: Program) -> Program:
    """Return the program with sums beside its core, and what they are of; as it is without any."""
    if all(len(value.shape) < AXES for value in program.values):
        return program
    layout = KernelLayout(program)
    found = _Found(layout) if layout.rows else None
    if found is None or not (found.folds or found.summed):
        return program
    beside = program.beside | found.plain | found.folds
    return replace(program, beside=beside, summed=found.summed, memo={})


class _Found:
    """Find the element-wise ops that lead to sums alone, the folds, and the sums over time."""

    def __init__(self, layout: KernelLayout) -> None:
        self.layout, self.program, self.values = layout, layout.program, layout.values
        self.users: dict[int, list[Value]] = {p: [] for p in range(len(self.values))}
        for value in self.values:
            for p in value.operands:
                self.users[p].append(value)
        rows = layout.rows_from_states()
        deferred, is_plain = self.program.deferred, plainness(layout)
        self.plain = frozenset(p for p in deferred if rows[p] == 0 and is_plain(self.values[p]))
        self.folds = frozenset(p for p in deferred | self.program.hoisted
                               if self._is_fold(self.values[p], rows))  # fmt: skip
        self.summed: frozenset[int] = frozenset()
        while self._shrunk() or self._without_early():
            pass

    def _shrunk(self) -> bool:
        """Leave out what cannot be inside as others are not; return whether there was any."""
        before = self.plain, self.folds
        inside = self.program.core | self.plain | self.folds
        self.summed = frozenset(p for p in self.plain if self._is_summed(p, inside))
        self.plain = frozenset(p for p in self.plain if self._stays(p, inside))
        self.folds = frozenset(p for p in self.folds if self._is_there(self.values[p]))
        return before != (self.plain, self.folds)

    def _without_early(self) -> bool:
        """Leave out folds that are read before or by the kernel; return whether there was any."""
        before, early = self.folds, self._early()
        self.folds -= early
        return before != self.folds

    def _stays(self, p: int, inside: frozenset[int]) -> bool:
        """Return whether an element-wise op can be computed inside, and is read by sums alone."""
        if not self._is_there(self.values[p]):
            return False
        within = any(value.position in inside for value in self.users[p])
        return p in self.summed or (within and self._outside(p, inside) == 0)

    def _outside(self, p: int, inside: frozenset[int]) -> int:
        """Return how often a value is read outside of the kernel."""
        program = self.program
        wanted = (*program.carry, *program.steps, *program.totals).count(p)
        return wanted + sum(value.position not in inside for value in self.users[p])

    def _is_there(self, value: Value) -> bool:
        """Return whether what an op reads is there in the kernel when it is wanted."""
        deferred = self.program.deferred
        return all(p in self.plain for p in value.operands if p in deferred)

    def _is_summed(self, p: int, inside: frozenset[int]) -> bool:
        """Return whether all that is read of a value outside is its sum over time."""
        value = self.values[p]
        return len(value.shape) >= AXES and self._outside(p, inside) > 0 and (
            self._leads_to_totals(p, inside))  # fmt: skip

    def _leads_to_totals(self, p: int, inside: frozenset[int]) -> bool:
        """Return whether a value leads to sums over time alone, by ops that are linear in it."""
        stack = [p]
        while stack:
            p = stack.pop()
            if p in (*self.program.steps, *self.program.carry):
                return False
            users = [value for value in self.users[p] if value.position not in inside]
            for value in users:
                linear = value.degree == "sum" and len(value.inputs) == 1
                if not linear or value.dtype != self.values[p].dtype:
                    return False
                if any(one.position in inside for one in self.users[value.position]):
                    return False
            stack += [value.position for value in users]
        return True

    def _early(self) -> set[int]:
        """Return what is read by the kernel, or by what it reads."""
        stack = [p for one in (*self.program.core, *self.plain, *self.folds)
                 for p in self.values[one].operands]  # fmt: skip
        found: set[int] = set()
        while stack:
            p = stack.pop()
            if p not in found:
                found.add(p)
                stack += self.values[p].operands
        return found

    def _is_fold(self, value: Value, rows: dict[int, int]) -> bool:
        """Return whether a value is a sum over units that the loops of its operand can take."""
        layout, op = self.layout, value.op
        if op is None or value.kind != "reduction" or value.degree != "sum" or not op.start:
            return False
        p = value.operands[0]
        inner, gone = self.values[p], layout.folded(value)
        if p not in self.program.varies or {value.dtype, inner.dtype} != {layout.dtype}:
            return False
        if len(inner.shape) < AXES or inner.shape[0] != layout.batch or 0 in gone:
            return False
        if p in self.program.depends:
            known = rows[p] == 0 and (p in self.program.deferred or not inner.breaks)
        else:
            known = layout.inlined(inner)
        return known and not any(layout.cuts(p)) and is_in_order(inner.shape, gone)


def is_in_order(shape: tuple[int, ...], gone: tuple[int, ...]) -> bool:
    """Return whether the axes that are folded away are the last ones, or the last one stays."""
    axes = [axis for axis in range(1, len(shape)) if shape[axis] > 1]
    if not set(axes) & set(gone):
        return False
    own = [axis in gone for axis in axes]
    return not own[-1] or own == sorted(own)
