"""Plan what a kernel holds in memory, what it computes where it is used, and in which order.

The rows of the batch are shared among threads where it is proved that every value of the core is
computed row by row; elsewhere there is one row and one thread. Below `nest.py` and `source.py`,
which ask these questions of programs.
"""

import math
from collections.abc import Iterator
from functools import cached_property

from engine.op import Move
from engine.ops.moves import aligned
from engine.scan.program import NotFusableError, Program, Value
from engine.scan.rows import MIXED, folded_axes, moves_of, row_axes, turned

DEEP = 32  # expressions inlined in each other from which a loop ends: compilers take too long
MULTIPLICATIONS = 64**3  # of a product of two values that change, in one thread, at most


class KernelLayout:
    """Answer the questions that the parts of a kernel ask of a program.

    Raises NotFusableError, with the reason, for what C lacks.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.values = program, program.values
        if not program.carry:
            raise NotFusableError("there is no state with a gradient")
        self.dtype = self.values[program.carry[0]].dtype
        self.rows = self._rows()
        self.given = frozenset(self._given())
        self._check()

    # ---- rows

    def _rows(self) -> dict[int, int]:
        """Return the axis of the rows of each value of the core; empty where no proof is found."""
        program = self.program
        axes = self.rows_from_states()
        hoisted = program.beside - program.depends
        terms = {self.values[p].operands[0] for p in hoisted if self.values[p].breaks}
        axes |= dict.fromkeys(hoisted | terms, 0)
        inside = {*program.core, *program.carried, *terms}
        if any(axes.get(p, MIXED) == MIXED for p in inside):
            return {}
        first = [self.values[p].shape[:1] for p in program.carry]
        if not all(first) or len(set(first)) > 1 or any(axes.get(p, 0) for p in program.carry):
            return {}
        return {p: axes[p] for p in inside}

    def rows_from_states(self) -> dict[int, int]:
        """Return the axis of the rows of each value that depends on the states."""
        states = [("carry", i) for i in range(len(self.program.carry))]
        return row_axes(self.program, states)

    @cached_property
    def batch(self) -> int:
        """Return the number of rows that threads share; 1 where they cannot be shared."""
        return self.values[self.program.carry[0]].shape[0] if self.rows else 1

    def units(self, p: int) -> tuple[int, ...]:
        """Return the axes of a value that are not the row of the batch."""
        row = self.rows.get(p)
        return tuple(axis for axis in range(len(self.values[p].shape)) if axis != row)

    def width(self, p: int) -> int:
        """Return how many numbers a value has in each row."""
        return math.prod(self.values[p].shape[axis] for axis in self.units(p))

    # ---- what is computed where it is used

    def expression(self, value: Value) -> str:
        """Return the expression of an element-wise op in C; empty where there is none."""
        assert value.op is not None
        return value.op.expression(value.attrs) if value.kind == "elementwise" else ""

    def moves(self, value: Value) -> tuple[Move, ...] | None:
        """Return where an op of layout takes its numbers from, None for any other."""
        return moves_of(value, self.program)

    def is_expression(self, value: Value) -> bool:
        """Return whether a value is computed number by number."""
        return bool(self.expression(value)) or self.moves(value) is not None

    def real(self, p: int) -> bool:
        """Return whether the numbers of a value are those of the kernel, or true and false."""
        return self.values[p].dtype in (self.dtype, "bool")

    def inlined(self, value: Value) -> bool:
        """Return whether a value outside of the core is computed where it is used."""
        p, program = value.position, self.program
        if value.op is None or p in program.depends or p in program.core:
            return False
        if p not in program.varies or not self.is_expression(value):
            return False
        if value.dtype == "bool":  # a comparison may be of numbers with last bits that count
            return False
        if turned(program, p) is not None or self._is_early(value):
            return False  # turned once for all steps it is read in the order in which it lies
        flat = any(move.flat for move in self.moves(value) or ())
        return not flat and all(map(self.real, (p, *value.operands)))

    def _is_early(self, value: Value) -> bool:
        """Return whether a function has fewer numbers than a state: loops do those one by one."""
        state = max(math.prod(self.values[p].shape) for p in self.program.carry)
        few = math.prod(value.shape) < state
        return few and value.kind == "elementwise" and not value.degree

    def _given(self) -> Iterator[int]:
        """Yield the values outside of the core that the kernel reads as arrays, leaves included."""
        stack = [*self.program.carry, *self.program.core]
        seen: set[int] = set()
        while stack:
            p = stack.pop()
            if p in seen:
                continue
            seen.add(p)
            value = self.values[p]
            if p in self.program.core or self.inlined(value):
                stack += value.operands
            elif p not in self.program.carried:
                yield p

    def _check(self) -> None:
        """Refuse what has no place in a kernel."""
        for other in (self.values[p].dtype for p in self.program.carry):
            if other != self.dtype:
                raise NotFusableError(f"there are states of {self.dtype} and {other}")
        for p in (*sorted(self.program.core), *sorted(self.given), *self.program.carried):
            value = self.values[p]
            if not self.real(p):
                raise NotFusableError(f"{_name(value)} is {value.dtype} in a step of {self.dtype}")
            if not math.prod(value.shape):
                raise NotFusableError(
                    f"{_name(value)} has shape {value.shape}: there are no numbers"
                )
        for p in sorted(self.program.core):
            value = self.values[p]
            if self.rows and self.rows[p] and p in self.kept:
                raise NotFusableError(
                    f"{_name(value)} has the rows of the batch on axis 1 or later"
                )
            self._check_op(value)

    def _check_op(self, value: Value) -> None:
        assert value.op is not None
        if value.kind == "product":
            work = math.prod(value.shape) * self.values[value.operands[0]].shape[-1]
            if not self.packs(value) and not self.rows and work > MULTIPLICATIONS:
                raise NotFusableError(f"{_name(value)} is a large product by a matrix that varies")
            if len(value.operands) > 2 or (value.linear and not self.packs(value)):
                raise NotFusableError(f"{_name(value)} is no plain product")
        elif value.kind == "reduction":
            if not value.op.start or value.dtype != self.dtype:
                raise NotFusableError(f"{_name(value)} in the step has no kernel")
            if (
                value.attrs.get("dtype") is not None
                and self.values[value.operands[0]].dtype != self.dtype
            ):
                raise NotFusableError(f"{_name(value)} changes the dtype")
        elif not self.is_expression(value):
            raise NotFusableError(f"{_name(value)} in the step has no expression in C")

    # ---- products

    def packs(self, value: Value) -> bool:
        """Return whether a product has a matrix that is the same at every step on its right."""
        left, right = value.operands[:2]
        fixed = right not in self.program.varies and len(self.values[right].shape) == 2
        return fixed and bool(self.values[left].shape) and len(value.operands) == 2

    # ---- order

    @cached_property
    def level(self) -> dict[int, int]:
        """Return how many products, folds and repeated computations lie before each value."""
        levels: dict[int, int] = {}
        depth: dict[int, int] = {}  # how many computed values are inlined in each other
        for value in self.values:
            position, before = value.position, 0
            if position not in self.program.core:
                levels[position] = max((levels[p] for p in value.operands), default=0)
                continue
            deep = max((depth.get(p, 0) for p in value.operands), default=0) >= DEEP
            for p in value.operands:
                again = self._repeats(value, p) or (deep and self._computed(p))
                before = max(before, levels[p] + again)
            levels[position] = before + value.breaks
            inside = (depth.get(p, 0) for p in value.operands if levels[p] == before)
            depth[position] = 0 if value.breaks else 1 + max(inside, default=0)
        return levels

    def _computed(self, p: int) -> bool:
        """Return whether a value of the core is an element-wise expression."""
        value = self.values[p]
        return p in self.program.core and not value.breaks and bool(self.expression(value))

    def _repeats(self, value: Value, p: int) -> bool:
        """Return whether a value is read in another shape, or again by entries of an outer axis."""
        inner, moves = self.values[p], self.moves(value) or ()
        if any(move.flat for move in moves):
            return p in self.program.core and not inner.breaks
        if not self._computed(p):
            return False
        if moves:
            return math.prod(value.shape) > math.prod(inner.shape) * len(moves)
        own = {along.axis for along in aligned(inner.shape, value.shape)}
        wide = [axis for axis in self.units(value.position) if value.shape[axis] > 1]
        return bool(own & set(wide)) and any(
            axis not in own for axis in wide[: max(i for i, a in enumerate(wide) if a in own)]
        )

    @cached_property
    def kept(self) -> frozenset[int]:
        """Return the computed values of the core that are put into memory: a product, a later level
        or another shape of them reads them there.
        """
        kept: set[int] = set()
        for value in self.values:
            if value.position not in self.program.core:
                continue
            for p in value.operands:
                inner = self.values[p]
                if p not in self.program.core or inner.breaks:
                    continue
                earlier = self.level[p] < self.level[value.position] - value.breaks
                flat = any(move.flat for move in self.moves(value) or ())
                if earlier or flat or value.kind == "product":
                    kept.add(p)
        return frozenset(kept)

    def in_memory(self, p: int, level: int) -> bool:
        """Return whether a value is read from an array at a level."""
        value = self.values[p]
        if value.op is None or p in self.given or value.breaks:
            return True
        return p in self.kept and self.level[p] < level

    def folded(self, value: Value) -> tuple[int, ...]:
        """Return the axes of its operand that a reduction folds away."""
        return folded_axes(value, self.values[value.operands[0]].shape)

    # ---- pieces

    def cuts(self, p: int) -> tuple[frozenset[int], ...]:
        """Return for each axis of a value the positions at which its expression changes."""
        return self._cuts[p]

    @cached_property
    def _cuts(self) -> dict[int, tuple[frozenset[int], ...]]:
        found: dict[int, tuple[frozenset[int], ...]] = {}
        for value in self.values:
            found[value.position] = tuple(map(frozenset, self._own_cuts(value, found)))
        return found

    def _own_cuts(
        self, value: Value, known: dict[int, tuple[frozenset[int], ...]]
    ) -> list[set[int]]:
        cuts: list[set[int]] = [set() for _ in value.shape]
        if value.op is None or value.breaks or value.position in self.given:
            return cuts
        if not self.is_expression(value):  # outside of the core: no loop computes it
            return cuts
        moves = self.moves(value)
        if moves is None:
            for p in value.operands:
                for along, own in zip(aligned(self.values[p].shape, value.shape), known[p],
                                      strict=True):  # fmt: skip
                    if along.axis is not None:
                        cuts[along.axis] |= own
        for move in moves or ():
            for axis, (low, high) in enumerate(zip(move.low, move.high, strict=True)):
                cuts[axis] |= {low, high}
            if move.flat:
                continue
            for along, own in zip(move.where, known[value.operands[move.slot]], strict=True):
                to = along.axis
                if to is not None:
                    inside = (_turned(cut, along.step, along.offset) for cut in own)
                    low, high = move.low[to], move.high[to]
                    cuts[to] |= {cut for cut in inside if low < cut < high}
        return [{cut for cut in own if 0 < cut < size}
                for own, size in zip(cuts, value.shape, strict=True)]  # fmt: skip


def _turned(cut: int, step: int, offset: int) -> int:
    """Return where a border of an input lies in a result that reads it at ``step * i + offset``."""
    if step > 0:
        return -((offset - cut) // step)
    return (offset - cut) // -step + 1


def _name(value: Value) -> str:
    what = value.op.name if value.op is not None else " ".join(map(str, value.source or ()))
    return f"{what} ({value.label})" if value.label else what
