"""Write the parts of a step as functions: tiled ones for a block, the others for a whole grid.

Above `parts.py` and `folds.py`, below `source.py`, which makes kernels of them.
"""

import math

from engine.scan.cuda import model
from engine.scan.cuda.folds import Folded, Product, dot, fold
from engine.scan.cuda.model import Multiplied, Shape, Tile, up
from engine.scan.cuda.parts import Part, divided, nests, stays
from engine.scan.cuda.threads import ThreadArrays, indented
from engine.scan.kernels.layout import KernelLayout
from engine.scan.program import Program, Value

PLAIN_TILE = Tile(32, 32)  # rows and columns of a product that the whole grid shares
TURNS = 1 << 14  # blocks of a grid at most; beyond that threads take turns


class Bodies(ThreadArrays):
    """Write the functions of one program, and tell what the model asks of it."""

    tile: Tile
    resident: bool

    def __init__(
        self, program: Program, layout: KernelLayout, *,
        precision: int = model.STRICT, library: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(program, layout)
        self.handed, self.reads, self.writes = {}, [], []
        self.real = int(layout.dtype.itemsize)
        self.precision = precision if self.real == 4 else model.STRICT
        self.library = library
        self.parts = divided(self, library=library)
        self.packed: list[int] = []
        self.slots.clear()
        self.warps = model.warps_of(one.depth for own in self.products for one in own)

    # ---- what the model asks

    @property
    def tiled(self) -> bool:
        """Return whether blocks of the same tile do all parts."""
        return all(p.tiled and p.extents == self.parts[0].extents for p in self.parts)

    @property
    def units(self) -> int:
        """Return the units of the first tiled part."""
        return next((math.prod(part.extents) for part in self.parts if part.tiled), 1)

    @property
    def products(self) -> list[list[Multiplied]]:
        """Return the products of the tiled parts, part by part."""
        return [[self.multiplied(part, value) for value in part.products]
                for part in self.parts if part.tiled]  # fmt: skip

    def multiplied(self, part: Part, value: Value) -> Multiplied:
        """Return the gates and the depth of a product of a tiled part."""
        return Multiplied(len(part.offsets[value.position]), self.depth(value))

    def depth(self, value: Value) -> int:
        """Return how many numbers are summed in a product."""
        return int(self.values[value.operands[0]].shape[-1])

    @property
    def folded(self) -> int:
        """Return numbers a row of the folds of a tiled part, at most."""
        return max((sum(self.layout.width(v.position) for v in part.folds)
                    for part in self.parts if part.tiled), default=0)  # fmt: skip

    @property
    def independent(self) -> bool:
        """Return whether no thread reads a state that another one has written."""
        (first, *more) = self.parts
        return not more and not first.breaks and not self.library and (
            stays(first, first, self.program.carried))  # fmt: skip

    @property
    def bytes(self) -> int:
        """Return the bytes of a step in global memory: what is read and written once a step."""
        wanted = {*self.layout.given & self.program.varies, *self.program.stored}
        carried = 2 * sum(math.prod(self.values[p].shape) for p in self.program.carry)
        return (sum(math.prod(self.values[p].shape) for p in wanted) + carried) * self.real

    @property
    def by_library(self) -> list[Value]:
        """Return the products with a weight, in the order in which they are computed."""
        return [v for v in self.values if v.position in self.program.core
                and v.kind == "product" and self.layout.packs(v)]  # fmt: skip

    # ---- parts

    def function(self, part: Part, *, joined: bool) -> list[str]:
        """Return a part as a function of the step; `joined` to what the same threads just put."""
        self.joined = joined
        body = self._tiled(part) if part.tiled else self._spread(part)
        return [
            f"__device__ void {part.name}(const job &own, const long k, unsigned char *shared) {{",
            "    const long t = own.reverse ? own.steps - 1 - k : k;",
            "    const long came = own.reverse ? t + 1 : t, goes = own.reverse ? t : t + 1;",
            "    real *const *p = own.p;",
            *indented(body),
            "    (void)came; (void)goes; (void)p; (void)shared;",
            "}",
            "",
        ]

    def _tiled(self, part: Part) -> list[str]:
        """Return a part of which a block does some units of some rows."""
        tile, batch = self.tile, self.layout.batch
        lines = [
            f"const int first_row = blockIdx.y * {tile.rows};",
            f"const int first_unit = blockIdx.x * {tile.units};",
            f"const int rows = min({tile.rows}, {batch} - first_row);",
        ]
        at = 16 + self._working(part)
        self.handed = {}
        for value in part.products:
            one = self._product(part, value, at)
            lines += self._multiply(part, one)
            self.handed[value.position] = one
            at += up(one.shape.sums, 16)
        for value in part.folds:
            p = value.position
            folded = Folded(p, self.layout.width(p), at)
            lines.append(f"real *const fold_{p} = (real *)(shared + {at});")
            lines += fold(self, value, rows=tile.rows, shared=f"fold_{p}", memory=p in part.memory)
            self.handed[p] = folded
            at += folded.width * tile.rows * self.real
        if part.folds:
            lines.append("__syncthreads();")
        for nest, statements in nests(self, part):
            lines += nest.tiled(statements, tile.units, tile.rows)
        self.handed = {}
        return lines

    def _product(self, part: Part, value: Value, at: int) -> Product:
        """Return a product of a tiled part."""
        offsets = part.offsets[value.position]
        shape = Shape(len(offsets) * self.tile.units, self.depth(value), self.tile.rows,
                      self.precision, self.real, self.warps)  # fmt: skip
        return Product(value, offsets, self.tile, shape, at)

    def weight(self, value: Value) -> int:
        """Return the number of the packed weight of a product."""
        if value.position not in self.packed:
            self.packed.append(value.position)
        return self.packed.index(value.position)

    def _multiply(self, part: Part, one: Product) -> list[str]:
        """Return the product of a tile; its sums go to shared memory and, if wanted, out."""
        p, shape, tile = one.value.position, one.shape, self.tile
        units, number = math.prod(part.extents), self.weight(one.value)
        left = self.base(one.value.operands[0])
        sizes = f"{shape.columns}, {shape.depth}, {shape.rows}"
        resident = str(self.resident).lower()
        weight = f"own.w[{number}]"
        if self.resident:
            weight = f"(const element *)(shared + {self._resident_at(one.value)})"
        lines = [
            f"/* %{p} {one.value.label} */",
            f"static_assert(Shape<{sizes}>::WIDE == {shape.wide} && Shape<{sizes}>::SUMS * "
            f"sizeof(real) == {shape.sums}, \"\");",
            f"static_assert(working_bytes<{sizes}, {resident}>() == "
            f"{shape.working(resident=self.resident)}, \"\");",
            f"real *const sums_{p} = (real *)(shared + {one.at});",
            f"auto row_{p} = [&](int n) -> long {{",
            f"    const long u = first_unit + n % {tile.units};",
            f"    return n < {shape.columns} && u < {units} ? {one.columns} + u : -1;",
            "};",
            f"product<{sizes}, {resident}>({left} + (long)first_row * {shape.depth}, rows, "
            f"{weight}, row_{p}, shared + 16, sums_{p});",
        ]  # fmt: skip
        if p in part.memory:
            out, width = self.slot("scratch", p), self.layout.width(p)
            lines += [
                f"for (int e = threadIdx.x; e < {shape.columns * tile.rows}; e += THREADS) {{",
                f"    const int r = e / {shape.columns}, n = e % {shape.columns};",
                f"    const long column = row_{p}(n);",
                "    if (r < rows && column >= 0)",
                f"        put(&{out}[(first_row + r) * {width} + column], "
                f"sums_{p}[r * {shape.wide} + n]);",
                "}",
            ]
        return lines

    def _spread(self, part: Part) -> list[str]:
        """Return a part that the threads of the whole grid share."""
        self.handed = {}
        lines = [
            "const long block = blockIdx.x + (long)gridDim.x * blockIdx.y;",
            "const long blocks = (long)gridDim.x * gridDim.y;",
            "const long thread = block * THREADS + threadIdx.x, threads = blocks * THREADS;",
        ]
        for value in part.products:
            lines += self._plain(value) if self.layout.packs(value) else dot(self, value)
        for value in part.folds:
            lines += fold(self, value, rows=0, shared="", memory=True)
        for nest, statements in nests(self, part):
            lines += nest.spread(statements)
        return [*lines, "(void)thread; (void)threads;"]

    def _plain(self, value: Value) -> list[str]:
        """Return a product with a weight, tile by tile of the whole result."""
        p, left = value.position, value.operands[0]
        depth, wide = self.depth(value), int(value.shape[-1]) if value.shape else 1
        rows = math.prod(self.values[left].shape) // depth
        tile = Tile(PLAIN_TILE.units, min(PLAIN_TILE.rows, rows))
        shape = Shape(tile.units, depth, tile.rows, self.precision, self.real, self.warps)
        sizes = f"{tile.units}, {depth}, {tile.rows}, false"
        across = -(-wide // tile.units)
        out = self.slot("scratch", p)
        return [
            f"/* %{p} {value.label} */",
            f"for (long tile = block; tile < {-(-rows // tile.rows) * across}; tile += blocks) {{",
            f"    const long r0 = tile / {across} * {tile.rows}, n0 = tile % {across} * "
            f"{tile.units};",
            f"    const int rows = min({tile.rows}, (int)({rows} - r0));",
            f"    real *const sums = (real *)(shared + 16 + working_bytes<{sizes}>());",
            f"    product<{sizes}>({self.base(left)} + r0 * {depth}, rows, "
            f"own.w[{self.weight(value)}],",
            f"        [&](int n) -> long {{ return n0 + n < {wide} ? n0 + n : -1; }}, shared + 16, "
            "sums);",
            f"    for (int e = threadIdx.x; e < {tile.units * tile.rows}; e += THREADS) {{",
            f"        const int r = e / {tile.units}, n = e % {tile.units};",
            f"        if (r < rows && n0 + n < {wide})",
            f"            put(&{out}[(r0 + r) * {wide} + n0 + n], sums[r * {shape.wide} + n]);",
            "    }",
            "    __syncthreads();",
            "}",
        ]

    # ---- shared memory and grids

    def _working(self, part: Part) -> int:
        """Return the bytes that the products of a part use in turn."""
        made = [self._product(part, value, 0).shape for value in part.products]
        return max((up(one.working(resident=self.resident), 16) for one in made), default=0)

    def _own_bytes(self, part: Part) -> int:
        """Return the bytes of shared memory of a part, without resident weights."""
        if not part.tiled:
            tile = PLAIN_TILE
            made = [Shape(tile.units, self.depth(v), tile.rows, self.precision, self.real,
                          self.warps) for v in part.products if self.layout.packs(v)]  # fmt: skip
            return 16 + max((up(s.working(resident=False) + s.sums, 16) for s in made), default=0)
        made = [self._product(part, value, 0).shape for value in part.products]
        folds = sum(self.layout.width(v.position) for v in part.folds) * self.tile.rows * self.real
        return 16 + self._working(part) + sum(up(one.sums, 16) for one in made) + up(folds, 16)

    def _shared(self, *, resident: bool) -> int:
        """Return the bytes of shared memory of a sweep."""
        weights = 0
        if resident:
            weights = sum(up(self._product(part, v, 0).shape.resident, 16)
                          for part in self.parts for v in part.products)  # fmt: skip
        return max(map(self._own_bytes, self.parts)) + weights

    def _resident_at(self, wanted: Value) -> int:
        """Return where the weight of a product lies in the shared memory of a sweep."""
        at = max(map(self._own_bytes, self.parts))
        for part in self.parts:
            for value in part.products:
                if value is wanted:
                    return at
                at += up(self._product(part, value, 0).shape.resident, 16)
        raise AssertionError("a product of no part")

    def _tiles(self, part: Part | None = None) -> tuple[int, int]:
        """Return the grid of tiles."""
        units = math.prod((part or self.parts[0]).extents)
        return -(-units // self.tile.units), -(-self.layout.batch // self.tile.rows)

    def _grid(self, part: Part) -> tuple[int, int]:
        """Return the grid of a part."""
        if part.tiled:
            return self._tiles(part)
        turns = 1
        for extents, _ in part.groups:
            turns = max(turns, math.prod(extents) * self.layout.batch)
        for i in part.copies:
            turns = max(turns, math.prod(self.values[self.program.carry[i]].shape))
        for value in part.breaks:
            size = math.prod(value.shape)
            turns = max(turns, size * 32 if value in part.folds or self.layout.packs(value)
                        else size)  # fmt: skip
        return min(-(-turns // (32 * self.warps)), TURNS), 1
