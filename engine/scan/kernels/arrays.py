"""Name the arrays that a kernel is handed, where values lie in them, and the boxes of loops.

Every language writes its loops with these, and with what folds and products take of their operands.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, product

from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.terms import ROW, At, Index
from engine.scan.program import NotFusableError, Program, Value

TOGETHER = 8  # boxes of a value, such as gates, that one turn of a loop computes at most
BOXES = 64  # of one value, at most
PARTS = 8  # of a loop over units that threads may share although it adds up

Box = tuple[tuple[int, int], ...]  # low and high on each axis


@dataclass(frozen=True)
class Slot:
    """Describe an array that the kernel is handed: its role and the value that it holds."""

    role: str  # carry, stored, scratch, given, packed, total, partial
    position: int


class Arrays:
    """Name the arrays of one kernel."""

    def __init__(self, program: Program, layout: KernelLayout) -> None:
        self.program, self.layout, self.values = program, layout, program.values
        self.slots: dict[Slot, int] = {}

    def slot(self, role: str, position: int) -> str:
        """Return the array of a slot."""
        slot = Slot(role, position)
        return f"p[{self.slots.setdefault(slot, len(self.slots))}]"

    def size(self, p: int) -> str:
        """Return how many numbers a value has in one step."""
        shape = self.values[p].shape
        if self.layout.rows and shape and shape[0] == self.layout.batch:
            return f"rows * {math.prod(shape[1:])}"
        return str(math.prod(shape))

    def base(self, p: int) -> str:
        """Return where a value that lies in memory begins, at this step."""
        if p in self.program.carried:
            return f"{self.slot('carry', self.program.carried[p])} + came * {self.size(p)}"
        if p in self.layout.given:
            time = f" + t * {self.size(p)}" if p in self.program.varies else ""
            return f"{self.slot('given', p)}{time}"
        if p in self.program.stored and not self.values[p].breaks:
            return f"{self.slot('stored', p)} + t * {self.size(p)}"
        return self.slot("scratch", p)

    def stored_by_level(self, i: int) -> bool:
        """Return whether the loops of the levels write state `i`."""
        p = self.program.carry[i]
        return p in self.program.core and not self.values[p].breaks

    def written(self, level: int) -> list[int]:
        """Return the values of the core that nests of a level write to memory."""
        program, layout = self.program, self.layout
        return [
            p for p in sorted(program.core)
            if layout.level[p] == level and (
                p in program.stored
                or p in program.summed
                or (not self.values[p].breaks and (p in layout.kept or p in program.carry))
            )
        ]  # fmt: skip

    @property
    def top(self) -> int:
        """Return the last level of the core, after which all that is kept lies in memory."""
        return max((self.layout.level[p] for p in self.program.core), default=0)

    def heading(self) -> list[str]:
        """Return the listing of what is compiled as a comment; the batch is written B."""
        text = [self.program.line(value) for value in self.values
                if value.position not in self.program.deferred]  # fmt: skip
        return ["/* one step as it was recorded", *(f"   {line}" for line in text), "*/"]

    # ---- boxes

    def index(self, p: int, box: Box, names: Sequence[str]) -> Index:
        """Return the index of a value in a box, counted by the loop variables of its units."""
        row = self.layout.rows.get(p)
        found = []
        for axis, (low, _) in enumerate(box):
            name = ROW if axis == row else names[axis]
            found.append(At(((name, 1),) if name else (), 0 if axis == row else low))
        return tuple(found)

    def boxes(self, p: int) -> list[Box]:
        """Return the boxes of a value over each of which it is one expression."""
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

    def by_extents(
        self, positions: Iterable[int]
    ) -> list[tuple[tuple[int, ...], list[tuple[int, Box]]]]:
        """Return the boxes of some values in the nests that compute them: those of the same sizes
        in one, but each in a nest of its own where a value has too many.
        """
        single: list[tuple[tuple[int, ...], list[tuple[int, Box]]]] = []
        together: dict[tuple[int, ...], list[tuple[int, Box]]] = {}
        for p in positions:
            own: dict[tuple[int, ...], list[Box]] = {}
            for box in self.boxes(p):
                own.setdefault(self.extents(p, box), []).append(box)
            for extents, boxes in own.items():
                pairs = [(p, box) for box in boxes]
                if len(boxes) <= TOGETHER:
                    together.setdefault(extents, []).extend(pairs)
                else:
                    single += [(extents, [pair]) for pair in pairs]
        return [*single, *together.items()]

    def extents(self, p: int, box: Box) -> tuple[int, ...]:
        """Return the sizes of a box along the units."""
        return tuple(box[axis][1] - box[axis][0] for axis in self.layout.units(p))

    @staticmethod
    def dims(extents: Sequence[int]) -> tuple[list[tuple[str, int]], list[str]]:
        """Return the loops over units, and the variable of each; those of size 1 have none."""
        names = [f"i{k}" if size > 1 else "" for k, size in enumerate(extents)]
        return [pair for pair in zip(names, extents, strict=True) if pair[0]], names

    def variables(self, p: int, names: Sequence[str]) -> list[str]:
        """Return the loop variable of each axis of a value."""
        found = [""] * len(self.values[p].shape)
        for axis, name in zip(self.layout.units(p), names, strict=True):
            found[axis] = name
        return found

    def fitted(self, p: int, index: Index) -> Index:
        """Return an index that is 0 on the axes of size 1."""
        return tuple(At() if size == 1 else at
                     for at, size in zip(index, self.values[p].shape, strict=True))  # fmt: skip


def folded_index(arrays: Arrays, value: Value, index: Index) -> Index:
    """Return the index of a reduction's result, from that of its operand."""
    folded = arrays.layout.folded(value)
    if value.attrs.get("keepdims"):
        return tuple(At() if axis in folded else at for axis, at in enumerate(index))
    return tuple(at for axis, at in enumerate(index) if axis not in folded)


def product_indices(arrays: Arrays, value: Value) -> tuple[Index, Index, Index]:
    """Return the indices of a product and its two operands; ``k0`` is the inner axis's loop."""
    p, (left, right) = value.position, value.operands[:2]
    a, b = arrays.values[left].shape, arrays.values[right].shape
    row = arrays.layout.rows.get(p)
    out = [At(((ROW, 1),)) if axis == row else At(((f"i{axis}", 1),)) if size > 1 else At()
           for axis, size in enumerate(value.shape)]  # fmt: skip
    k = At((("k0", 1),)) if a[-1] > 1 else At()
    columns = 1 if len(b) > 1 else 0  # axes of the result behind its rows
    front = len(value.shape) - columns - (1 if len(a) > 1 else 0)
    batch = out[:front]
    left_index = (*batch[front - max(len(a) - 2, 0) :], *([out[front]] if len(a) > 1 else []), k)
    right_index = (*batch[front - max(len(b) - 2, 0) :], k, *out[len(out) - columns :])
    return tuple(out), arrays.fitted(left, left_index), arrays.fitted(right, right_index)
