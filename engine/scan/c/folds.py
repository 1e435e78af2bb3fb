"""Write nests as loops in C, and what needs whole rows of its input: reductions and products.

The rows of a thread are outside, the units inside. Above `arrays.py`, below `source.py`.
"""

from collections.abc import Iterable, Sequence

from engine.scan.kernels.arrays import PARTS, Arrays, Box, Slot, folded_index, product_indices
from engine.scan.kernels.nest import Nest
from engine.scan.kernels.terms import Fold
from engine.scan.program import Value
from engine.scan.rows import turned

BLOCKS = (128, 64, 32)  # units that a thread takes together, in whole lines of the caches


class Loops(Nest):
    """Write a nest as loops that a compiler makes vectors of."""

    shared = False  # whether threads with the same rows have a part of its units each
    across = False  # whether it adds up in memory over its outermost loop

    def text(
        self, statements: Iterable[str], totals: Sequence[tuple[str, str]] = (), *,
        folds: Sequence[Fold] = (), shared: bool = False,
    ) -> list[str]:  # fmt: skip
        """Return the nest with its statements in the innermost loop.

        `totals` are sums over all units of a row, by name, and where they go; `folds` are numbers
        that the innermost loops make. Threads with the same rows share the units of the innermost
        loop where it is said that they may, there are many and none are added up, or those of the
        outermost, where what is added up is so in each part of it; else the rows.
        """
        inside = [*self.lines, *statements]
        names = [name for name, _ in totals]
        names += [fold.name for fold in folds if fold.is_sum]
        pragma = f'_Pragma("omp simd reduction(+ : {", ".join(names)})")' if names else (
            '_Pragma("GCC ivdep")')  # fmt: skip
        pointers = [f"{_real(name)} *restrict {name} = {to};" for to, name in self.pointers.items()]
        parted = self.across and self.parts > 0
        wide = _block(self.dims[-1][1]) if shared and self.dims and not (names or parted) else 0
        if self.dims:
            name, size = self.dims[-1]
            first, last = ("part", f"part + {wide}") if wide else ("0", str(size))
            loop = [pragma, f"for (long {name} = {first}; {name} < {last}; {name}++) {{",
                    *(f"    {line}" for line in inside), "}"]  # fmt: skip
            if wide:  # of a fixed length, from which compilers make much better vectors
                count = size // wide
                loop = [f"for (long part = SHARE({count}, {wide}, lane); "
                        f"part < SHARE({count}, {wide}, lane + 1); part += {wide})",
                        "{", *(f"    {line}" for line in loop), "}"]  # fmt: skip
        else:
            loop = inside
        lines = [*pointers, *self.outer_lines, *loop]
        outer = self.dims[:-1]
        short = bool(outer) and not totals and all(fold.loops <= len(outer) for fold in folds)
        spread = shared and not wide and short and (parted or not self.across)
        self.shared = bool(wide) or spread
        for depth in range(len(outer), -1, -1):
            for fold in folds:
                if depth == len(outer) - max(fold.loops - 1, 0):
                    lines = [f"real {fold.name} = {fold.start};", *lines,
                             f"{fold.to} = {fold.name};"]  # fmt: skip
            if depth:
                name, size = outer[depth - 1]
                own = depth == 1 and (spread or parted)
                heads = self._outermost(spread=spread, parted=parted) if own else [
                    f"for (long {name} = 0; {name} < {size}; {name}++)"]  # fmt: skip
                lines = [*heads, "{", *(f"    {line}" for line in lines), "}"]
        start, end = ("first", "last") if self.shared else ("low", "high")
        return [
            f"for (long b = {start}; b < {end}; b++) {{",
            *(f"    real {name} = 0;" for name, _ in totals),
            *(f"    {line}" for line in lines),
            *(f"    {to}[b] = {name};" for name, to in totals),
            "}",
        ]

    @property
    def parts(self) -> int:
        """Return how many parts of the outermost loop are added up by themselves; 0: none."""
        size = self.dims[0][1] if len(self.dims) > 1 else 0
        return PARTS if size % PARTS == 0 and size >= PARTS * PARTS else 0

    def _outermost(self, *, spread: bool, parted: bool) -> list[str]:
        """Return the heads of the outermost loop, in parts, or with a share for each thread."""
        name, size = self.dims[0]
        count, variable = (PARTS, "part") if parted else (size, name)
        first, last = (f"SHARE({count}, 1, lane{more})" if spread else end
                       for more, end in (("", "0"), (" + 1", str(count))))  # fmt: skip
        heads = [f"for (long {variable} = {first}; {variable} < {last}; {variable}++)"]
        if parted:
            each = size // PARTS
            heads.append(f"for (long {name} = part * {each}; {name} < part * {each} + {each}; "
                         f"{name}++)")  # fmt: skip
        return heads


def _real(name: str) -> str:
    """Return the type of what a pointer of a name leads to."""
    if name.startswith("to"):
        return "double" if name.startswith("to_total") else "real"
    return "const real"


def _block(size: int) -> int:
    """Return how many units a thread takes together of a loop that threads share; 0: all."""
    return next((wide for wide in BLOCKS if size > wide and size % wide == 0), 0)


class LoopArrays(Arrays):
    """Name the arrays of a kernel in C."""

    def loops(self, level: int, extents: Sequence[int]) -> tuple[Loops, list[str]]:
        """Return a nest over units as loops, and each variable; those of size 1 have none."""
        dims, names = self.dims(extents)
        return Loops(self, level, dims), names


def summed_at(arrays: LoopArrays, value: Value) -> int:
    """Return the level of the loops that have the terms of a sum over all units at hand, or of one
    beside the core over some; -1: none.
    """
    if value.kind != "reduction" or value.degree != "sum":
        return -1
    if value.position in arrays.program.beside and not arrays.program.derived:
        return arrays.layout.level[value.operands[0]]
    if not arrays.layout.rows or arrays.layout.width(value.position) != 1:
        return -1
    inner = value.operands[0]
    known = inner in arrays.program.core and not arrays.values[inner].breaks
    return arrays.layout.level[inner] if known else -1


def fold(arrays: LoopArrays, value: Value) -> list[str]:
    """Return a reduction over some units."""
    assert value.op is not None
    p, inner = value.position, value.operands[0]
    level = arrays.layout.level[p] - 1
    shape, units = arrays.values[inner].shape, arrays.layout.units(inner)
    folded = arrays.layout.folded(value)
    kept = [axis for axis in units if axis not in folded and shape[axis] > 1]
    gone = [axis for axis in units if axis in folded and shape[axis] > 1]
    across = not gone or (bool(kept) and kept[-1] > gone[-1])  # the last axis stays
    boxes = arrays.boxes(inner)
    lines = _start(arrays, value) if across or len(boxes) > 1 else []
    for box in boxes:
        order = [*kept[:-1], *gone, kept[-1]] if across and kept else [*kept, *gone]
        sizes = {axis: box[axis][1] - box[axis][0] for axis in order}
        names = {axis: f"i{axis}" for axis in order if sizes[axis] > 1}
        nest = Loops(arrays, level, [(names[axis], sizes[axis]) for axis in order
                                  if axis in names])  # fmt: skip
        index = arrays.index(inner, box, [names.get(axis, "") for axis in range(len(shape))])
        to = folded_index(arrays, value, index)
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
        one = Fold(name, start, nest.plain(p, to), loops, value.degree == "sum")
        lines += nest.text([step], folds=[one])
    return lines


def partial(
    arrays: LoopArrays, nest: Loops, value: Value, box: Box, names: list[str]
) -> tuple[list[Fold], list[str]]:
    """Write a sum over some of the units that the loops of a nest count: numbers that its innermost
    loops make, or a statement that adds to the sum in memory.
    """
    p, inner = value.position, value.operands[0]
    loops = arrays.variables(inner, names)
    index = arrays.index(inner, box, loops)
    term = nest.emit(inner, index)
    gone = [loops[axis] for axis in arrays.layout.folded(value) if loops[axis]]
    to = folded_index(arrays, value, index)
    if nest.dims[-1][0] in gone:
        one = Fold(f"fold_{p}", "0", nest.plain(p, to), len(gone), True)
        return [one], [f"fold_{p} += {term};"]
    nest.across = gone[0] == nest.dims[0][0] and len(nest.dims) > 1
    first = " | ".join(gone)
    if nest.across and nest.parts:
        each = nest.dims[0][1] // nest.parts
        place, first = nest.part(p, to, "part"), first.replace(gone[0], f"{gone[0]} % {each}", 1)
    else:
        place = nest.scratch(p, to)
    return [], [f"{place} = ({first} ? {place} : 0) + {term};"]


def put_together(arrays: LoopArrays, value: Value) -> list[str]:
    """Write a sum of sums over the parts of a loop; nothing where there are none."""
    p = value.position
    if Slot("partial", p) not in arrays.slots:
        return []
    width, parts = arrays.layout.width(p), arrays.slot("partial", p)
    return [
        "for (long b = low; b < high; b++) {",
        f"    real *restrict sum = {arrays.slot('scratch', p)} + b * {width};",
        f"    const real *restrict parts = {parts} + b * {width};",
        f"    for (long i = 0; i < {width}; i++) sum[i] = parts[i];",
        f"    for (long k = 1; k < {PARTS}; k++)",
        f"        for (long i = 0; i < {width}; i++) sum[i] += parts[k * {arrays.size(p)} + i];",
        "}",
    ]


def _start(arrays: LoopArrays, value: Value, start: str = "") -> list[str]:
    """Return what a fold begins with, in the place of its result."""
    p = value.position
    assert value.op is not None
    box = tuple((0, size) for size in value.shape)
    nest, names = arrays.loops(arrays.layout.level[p], arrays.extents(p, box))
    place = nest.scratch(p, arrays.index(p, box, arrays.variables(p, names)))
    return nest.text([f"{place} = {start or value.op.start};"])


def packed(arrays: LoopArrays, value: Value) -> list[str]:
    """Return a product with a matrix that is the same at every step."""
    p, left = value.position, value.operands[0]
    depth, wide = arrays.values[left].shape[-1], value.shape[-1] if value.shape else 1
    count = arrays.layout.width(left) // depth
    rows = "n" if count == 1 and arrays.layout.rows else f"n * {count}"
    if arrays.program.whole:
        weight, turn = plain(arrays, value)
        return [
            f"if (!lane) service->plain_product({rows}, {wide}, {depth}, {arrays.base(left)} + "
            f"first * {count * depth}, {weight}, {int(turn)}, {arrays.slot('scratch', p)} + "
            f"first * {count * wide}); /* %{p} {value.label} */"
        ]
    weight, out = arrays.slot("packed", p), arrays.slot("scratch", p)
    return [
        f"service->packed_product({rows}, {wide}, {depth}, {arrays.base(left)} + first * "
        f"{count * depth}, {depth}, {weight}, {out} + first * {count * wide}, {wide}, "
        f"lane, lanes); "
        f"/* %{p} {value.label} */"
    ]


def plain(arrays: LoopArrays, value: Value) -> tuple[str, bool]:
    """Return the matrix of a product as it lies in memory, and whether it is the transpose."""
    right, turn = value.operands[1], value.linear
    source = turned(arrays.program, right)
    if source is not None and source not in arrays.program.varies and not turn:
        right, turn = source, True
    return arrays.slot("given", right), turn


def product(arrays: LoopArrays, value: Value) -> list[str]:
    """Return a product of two values one of which changes from row to row or from step to step."""
    p, (left, right) = value.position, value.operands[:2]
    depth, level = arrays.values[left].shape[-1], arrays.layout.level[p]
    out, left_index, right_index = product_indices(arrays, value)
    names = [(f"i{axis}", value.shape[axis]) for axis in arrays.layout.units(p)
             if value.shape[axis] > 1]  # fmt: skip
    inner = f"i{len(value.shape) - 1}"
    probe = Loops(arrays, level, [*names, ("k0", depth)])
    wide = len(arrays.values[right].shape) > 1 and bool(names) and names[-1][0] == inner
    if wide and probe.step_of(right, right_index, inner) == 1:
        dims = [*names[:-1], *([("k0", depth)] if depth > 1 else []), names[-1]]
        nest = Loops(arrays, level, dims)
        place = nest.scratch(p, out)
        terms = nest.emit(left, left_index), nest.emit(right, right_index)
        return [*_start(arrays, value, "(real)0"),
                *nest.text([f"{place} += {terms[0]} * {terms[1]};"])]  # fmt: skip
    dims = [*names, *([("k0", depth)] if depth > 1 else [])]
    nest = Loops(arrays, level, dims)
    terms = nest.emit(left, left_index), nest.emit(right, right_index)
    to = nest.plain(p, out)
    if depth == 1:
        return nest.text([f"{to} = {terms[0]} * {terms[1]};"])
    one = Fold(f"dot_{p}", "0", to, 1, True)
    return nest.text([f"dot_{p} += {terms[0]} * {terms[1]};"], folds=[one])
