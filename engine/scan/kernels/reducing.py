"""Finds sums outside of the core that a kernel takes while the numbers are at hand.

Of a state with two axes of units what is read afterwards is often smaller than the state: a sum
over one of the axes, or over time. Computed for all steps at once, each product under such a sum is
an array as large as all states together, and a pass over memory. Above `beside.py`.
"""

from dataclasses import replace

from engine.scan.kernels.beside import plainness
from engine.scan.kernels.layout import KernelLayout
from engine.scan.program import Program, Value

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
                assert value.op is not None
                linear = value.op.degree == "sum" and len(value.inputs) == 1
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
        if op is None or op.kind != "reduction" or op.degree != "sum" or not op.start:
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
