"""Write what needs whole rows of its input: folds by warps, and products that are no tiles.

What a block makes of them it hands to its own threads through shared memory. Above `threads.py`,
below `bodies.py`.
"""

import math
from dataclasses import dataclass

from engine.scan.cuda.model import Shape, Tile
from engine.scan.cuda.threads import ThreadArrays, Threads, decoded, indented, put
from engine.scan.kernels.arrays import Box, folded_index, product_indices
from engine.scan.kernels.terms import ROW, At
from engine.scan.program import Value


def subscript(address: At) -> str:
    """Return an address in C."""
    return " + ".join([*(f"{name} * {n}" for name, n in address.factors), str(address.offset)])


def fold(arrays: ThreadArrays, value: Value, *, rows: int, shared: str, memory: bool) -> list[str]:
    """Return a fold over some units, one warp for each number of the result.

    With `shared` every block folds its own `rows` into that array, and the first block of a row
    writes them to memory too where `memory` says so; without, all warps of the grid share the work.
    """
    lines: list[str] = []
    for boxes in _by_result(arrays, value).values():
        lines += _fold(arrays, value, boxes, rows, shared, memory)
    return lines


def _axes(arrays: ThreadArrays, value: Value) -> tuple[list[int], list[int]]:
    """Return the axes of units that stay and those that are folded."""
    inner = value.operands[0]
    folded = arrays.layout.folded(value)
    units = arrays.layout.units(inner)
    return [a for a in units if a not in folded], [a for a in units if a in folded]


def _by_result(arrays: ThreadArrays, value: Value) -> dict[Box, list[Box]]:
    """Return the boxes of the operand by the numbers of the result that they are folded into."""
    kept, _ = _axes(arrays, value)
    found: dict[Box, list[Box]] = {}
    for box in arrays.boxes(value.operands[0]):
        found.setdefault(tuple(box[axis] for axis in kept), []).append(box)
    return found


def _fold(
    arrays: ThreadArrays, value: Value, boxes: list[Box], rows: int, shared: str, memory: bool
) -> list[str]:
    op, p, inner = value.op, value.position, value.operands[0]
    assert op is not None
    level = arrays.layout.level[p] - 1
    kept, gone = _axes(arrays, value)
    combined = op.expression({})
    results = [(f"i{a}", boxes[0][a][1] - boxes[0][a][0]) for a in kept]
    results = [one for one in results if one[1] > 1]
    count, to = math.prod(size for _, size in results), At()
    turns: list[str] = []
    for box in boxes:
        terms = [(f"i{a}", box[a][1] - box[a][0]) for a in gone]
        terms = [one for one in terms if one[1] > 1]
        named = {name for name, _ in (*results, *terms)}
        nest = Threads(arrays, level, [*results, *terms])
        names = [f"i{a}" if f"i{a}" in named else "" for a in range(len(box))]
        index = arrays.index(inner, box, names)
        to = nest.address(p, folded_index(arrays, value, index))
        term = nest.emit(inner, arrays.fitted(inner, index))
        size = nest.units // count
        step = f"folded = {combined.format('folded', term)};"
        turns += [f"for (long s = threadIdx.x % 32; s < {size}; s += 32) {{",
                  *indented([*decoded("s", terms), *nest.body([step])]), "}"]  # fmt: skip
    lines = [
        f"real folded = {op.start};",
        *(["if (r < rows) {"] if shared else []),
        *decoded("w", results),
        *turns,
        *(["}"] if shared else []),
        "for (int lanes = 16; lanes; lanes /= 2) {",
        "    const real other = __shfl_xor_sync(~0u, folded, lanes);",
        f"    folded = {combined.format('folded', 'other')};",
        "}",
    ]
    if shared:
        plain = At(tuple(f for f in to.factors if f[0] != ROW), to.offset)
        width = arrays.layout.width(p)
        place = f"{shared}[r * {width} + {subscript(plain)}]"
        write = [*decoded("w", results), f"{place} = folded;"]
        if memory:
            own = f"{arrays.slot('scratch', p)}[{subscript(to)}]"
            write.append(f"if (blockIdx.x == 0 && r < rows) {put(own, 'folded')}")
        head = [
            f"for (int e = threadIdx.x / 32; e < {rows * count}; e += WARPS) {{",
            f"    const int r = e / {count};",
            f"    const long w = e % {count}, b = first_row + r;",
        ]
    else:
        own = f"{arrays.slot('scratch', p)}[{subscript(to)}]"
        write = [*decoded("w", results), put(own, "folded")]
        head = [
            f"for (long e = thread / 32; e < {arrays.layout.batch * count}; e += threads / 32) {{",
            f"    const long b = e / {count}, w = e % {count};",
        ]
    return [*head, *indented(lines), "    if (threadIdx.x % 32 == 0) {",
            *indented(indented(write)), "    }", "    (void)w; (void)b;", "}"]  # fmt: skip


def dot(arrays: ThreadArrays, value: Value) -> list[str]:
    """Return a product of two values of which none is a weight, one thread for each number."""
    p, (left, right) = value.position, value.operands[:2]
    depth, level = arrays.values[left].shape[-1], arrays.layout.level[p]
    out, left_index, right_index = product_indices(arrays, value)
    names = [(f"i{axis}", value.shape[axis]) for axis in arrays.layout.units(p)
             if value.shape[axis] > 1]  # fmt: skip
    inner = [("k0", depth)] if depth > 1 else []
    nest = Threads(arrays, level, [*names, *inner])
    terms = nest.emit(left, left_index), nest.emit(right, right_index)
    units = nest.units // depth
    place = f"{arrays.slot('scratch', p)}[{subscript(nest.address(p, out))}]"
    step = nest.body([f"sum = OF(fma)({terms[0]}, {terms[1]}, sum);"])
    loop = [f"for (long k0 = 0; k0 < {depth}; k0++) {{", *indented(step), "}"] if inner else step
    return [
        f"for (long e = thread; e < {arrays.layout.batch * units}; e += threads) {{",
        f"    const long b = e / {units}, u = e % {units};",
        *indented([*decoded("u", names), "real sum = 0;", *loop, put(place, "sum")]),
        "    (void)b; (void)u;",
        "}",
    ]


@dataclass(frozen=True)
class Product:
    """Describe a product of a tile that the block hands to its threads."""

    value: Value
    offsets: tuple[int, ...]
    tile: Tile
    shape: Shape
    at: int  # where the sums lie in shared memory

    @property
    def columns(self) -> str:
        """Return the column of the product for unit 0 of the gate that column n of a tile is of."""
        units = self.tile.units
        of = " : ".join(f"n < {(g + 1) * units} ? {at}" for g, at in enumerate(self.offsets))
        return f"({of} : 0)"

    def place(self, address: At) -> str:
        """Return the sum at an address of the product."""
        p = self.value.position
        gate = self.offsets.index(address.offset)
        return f"sums_{p}[r * {self.shape.wide} + {gate * self.tile.units} + c]"


@dataclass(frozen=True)
class Folded:
    """Describe a fold with numbers that the block hands to its threads."""

    p: int
    width: int
    at: int

    def place(self, address: At) -> str:
        """Return the number at an address of the fold."""
        rest = At(tuple(one for one in address.factors if one[0] != ROW), address.offset)
        return f"fold_{self.p}[r * {self.width} + {subscript(rest)}]"
