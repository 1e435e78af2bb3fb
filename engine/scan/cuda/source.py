"""Writes the core of a program as CUDA C++ that a person can read, in three forms from one text.

Every part of a step is a function. *Segments* are kernels that each do a part or two of one step,
for a graph of all steps. A *sweep* is one kernel that goes through all steps: with a barrier of the
blocks of the same rows after each segment and the weights in shared memory, or, where all that a
thread reads of states is its own, with none. *Launches* are segments whose products with a weight a
library computes before. Above `parts.py` and `folds.py`.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.scan.cuda import model
from engine.scan.cuda.folds import dot, fold, subscript
from engine.scan.cuda.independent import Independent
from engine.scan.cuda.model import Multiplied, Shape, Tile, up
from engine.scan.cuda.parts import Part, divided, nests, stays
from engine.scan.cuda.threads import ThreadArrays, indented
from engine.scan.kernels.arrays import Slot
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.terms import ROW, At
from engine.scan.program import Program, Value

SOURCES = Path(__file__).parent
HEADERS = ("runtime.cuh", "products.cuh", "sweeps.cuh")
PLAIN_TILE = Tile(32, 32)  # rows and columns of a product that the whole grid shares
TURNS = 1 << 14  # blocks of a grid whose threads take turns, at most


@dataclass(frozen=True)
class Segment:
    """A kernel of one step: its parts, each with the steps that it is ahead, and the products that
    a library computes before it.
    """

    name: str
    parts: tuple[tuple[Part, int], ...]
    grid: tuple[int, int]
    shared: int
    products: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """Generated source, what it takes in order, and how it is launched."""

    source: str
    slots: tuple[Slot, ...]
    weights: tuple[int, ...]  # the products whose weights are packed, in order
    segments: tuple[Segment, ...]
    threads: int
    barriers: int  # a step of a sweep; -1: there is none
    halved: bool  # whether weights are bfloat16
    stretches: bool  # whether a warp may share the steps of a row and unit
    grid: tuple[int, int] = (1, 1)  # of a sweep
    shared: int = 0
    turns: int = 0  # rows and units of a sweep without barriers, where they are one nest's


@dataclass(frozen=True)
class Product:
    """A product of a tile, whose result the block hands to its threads."""

    value: Value
    offsets: tuple[int, ...]
    tile: Tile
    shape: Shape
    at: int  # where the sums lie in shared memory

    def place(self, address: At) -> str:
        """The sum at an address of the product."""
        p = self.value.position
        gate = self.offsets.index(address.offset)
        return f"sums_{p}[r * {self.shape.wide} + {gate * self.tile.units} + c]"


@dataclass(frozen=True)
class Folded:
    """A fold whose numbers the block hands to its threads."""

    p: int
    width: int
    at: int

    def place(self, address: At) -> str:
        """The number at an address of the fold."""
        rest = At(tuple(one for one in address.factors if one[0] != ROW), address.offset)
        return f"fold_{self.p}[r * {self.width} + {subscript(rest)}]"


class Writer(ThreadArrays):
    """Writes the kernels of one program."""

    def __init__(
        self, program: Program, layout: KernelLayout, *, real: int,
        precision: int = model.STRICT, library: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(program, layout)
        self.handed, self.reads, self.writes = {}, [], []
        self.real = real
        self.precision = precision if self.real == 4 else model.STRICT
        self.library = library
        self.parts = divided(self, library=library)
        self.packed: list[int] = []
        self.slots.clear()
        self.warps = model.warps_of(one.depth for own in self.products for one in own)

    # ---- what the model asks

    @property
    def tiled(self) -> bool:
        """Whether blocks of the same tile do all parts."""
        return all(p.tiled and p.extents == self.parts[0].extents for p in self.parts)

    @property
    def units(self) -> int:
        """The units of the first tiled part."""
        return next((math.prod(part.extents) for part in self.parts if part.tiled), 1)

    @property
    def products(self) -> list[list[Multiplied]]:
        """The products of the tiled parts, part by part."""
        return [[self.multiplied(part, value) for value in part.products]
                for part in self.parts if part.tiled]  # fmt: skip

    def multiplied(self, part: Part, value: Value) -> Multiplied:
        """The gates and the depth of a product of a tiled part."""
        return Multiplied(len(part.offsets[value.position]), self.depth(value))

    def depth(self, value: Value) -> int:
        """How many numbers are summed in a product."""
        return int(self.values[value.operands[0]].shape[-1])

    @property
    def folded(self) -> int:
        """Numbers a row of the folds of a tiled part, at most."""
        return max((sum(self.layout.width(v.position) for v in part.folds)
                    for part in self.parts if part.tiled), default=0)  # fmt: skip

    @property
    def independent(self) -> bool:
        """Whether no thread reads a state that another one has written."""
        (first, *more) = self.parts
        return not more and not first.breaks and not self.library and (
            stays(first, first, self.program.carried))  # fmt: skip

    @property
    def bytes(self) -> int:
        """The bytes of a step in global memory: what is read and written once a step."""
        wanted = {*self.layout.given & self.program.varies, *self.program.stored}
        carried = 2 * sum(math.prod(self.values[p].shape) for p in self.program.carry)
        return (sum(math.prod(self.values[p].shape) for p in wanted) + carried) * self.real

    def count(self, value: Value) -> int:
        """How many numbers a value has."""
        return math.prod(value.shape)

    @property
    def by_library(self) -> list[Value]:
        """The products with a weight, in the order in which they are computed."""
        return [v for v in self.values if v.position in self.program.core
                and v.op is not None and v.op.kind == "product"
                and self.layout.packs(v)]  # fmt: skip

    # ---- the whole text

    def kernel(self, tile: Tile, *, resident: bool = False) -> Kernel:
        """The kernels for one tile; `resident` weights stay in shared memory for a whole sweep."""
        self.slots.clear()
        self.packed.clear()
        self.tile, self.resident = tile, resident
        bodies = [line for part in self.parts for line in self._part(part)]
        segments = self._segments()
        ends = [line for segment in segments for line in self._kernel(segment)]
        barriers, turns, stretches = -1, 0, []
        if self.independent:
            own = Independent(self, self.parts[0])
            stretches, turns = own.stretches(), own.turns
            barriers, ends = 0, [*ends, *(own.sweep() if own.single else self._independent())]
            ends += stretches
        elif self.tiled and resident:
            barriers, ends = len(segments), [*ends, *self._sweep(segments), *self._poison()]
        threads = 32 * self.warps
        text = [
            *self._heading(),
            f"#define REAL_BYTES {self.real}",
            f"#define THREADS {threads}",
            f"#define PRECISION {self.precision}",
            *(["#define PRIVATE"] if self.independent else []),
            *((SOURCES / name).read_text(encoding="utf-8") for name in HEADERS),
            *self._job(),
            *bodies,
            *ends,
            "",
        ]
        shared = self._shared(resident=resident)
        grid = self._tiles() if self.tiled else (1, 1)
        return Kernel("\n".join(text), tuple(self.slots), tuple(self.packed), tuple(segments),
                      threads, barriers, self.precision == model.BFLOAT16, bool(stretches),
                      grid, shared, turns)  # fmt: skip

    def _heading(self) -> list[str]:
        """The listing of what is compiled; the batch is written B."""
        text = [self.program.line(value) for value in self.values
                if value.position not in self.program.deferred]  # fmt: skip
        return ["/* one step as it was recorded", *(f"   {line}" for line in text), "*/"]

    def _job(self) -> list[str]:
        """What kernels are handed, and the kernel that puts it where they look."""
        count, weights = max(len(self.slots), 1), max(len(self.packed), 1)
        arrays = [f"real *p{i}" for i in range(len(self.slots))]
        packed = [f"element *w{i}" for i in range(len(self.packed))]
        given = ", ".join(["job *to", "long steps", "long reverse", "unsigned *counters",
                           "int *fault", *arrays, *packed])  # fmt: skip
        return [
            "",
            "struct job {",
            "    long steps, reverse;",
            "    unsigned *counters;",
            "    int *fault;",
            f"    real *p[{count}];",
            f"    element *w[{weights}];",
            "};",
            "",
            f'extern "C" __global__ void bind({given}) {{',
            "    to->steps = steps, to->reverse = reverse;",
            "    to->counters = counters, to->fault = fault;",
            *(f"    to->p[{i}] = p{i};" for i in range(len(self.slots))),
            *(f"    to->w[{i}] = w{i};" for i in range(len(self.packed))),
            "}",
            "",
        ]

    # ---- parts

    def _part(self, part: Part) -> list[str]:
        """A part as a function of the step."""
        self.joined = self._joins and part is self.parts[0]
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
        """A part of which a block does some units of some rows."""
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
        """A product of a tiled part."""
        offsets = part.offsets[value.position]
        shape = Shape(len(offsets) * self.tile.units, self.depth(value), self.tile.rows,
                      self.precision, self.real, self.warps)  # fmt: skip
        return Product(value, offsets, self.tile, shape, at)

    def weight(self, value: Value) -> int:
        """The number of the packed weight of a product."""
        if value.position not in self.packed:
            self.packed.append(value.position)
        return self.packed.index(value.position)

    def _multiply(self, part: Part, one: Product) -> list[str]:
        """The product of a tile, whose sums go to shared memory and, if others want them, out."""
        p, shape, tile = one.value.position, one.shape, self.tile
        units, number = math.prod(part.extents), self.weight(one.value)
        left = self.base(one.value.operands[0])
        sizes = f"{shape.columns}, {shape.depth}, {shape.rows}"
        resident = str(self.resident).lower()
        of = " : ".join(f"n < {(g + 1) * tile.units} ? {offset}"
                        for g, offset in enumerate(one.offsets))  # fmt: skip
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
            f"    return n < {shape.columns} && u < {units} ? ({of} : 0) + u : -1;",
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
        """A part that the threads of the whole grid share."""
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
        """A product with a weight, tile by tile of the whole result."""
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
        """The bytes that the products of a part use in turn."""
        made = [self._product(part, value, 0).shape for value in part.products]
        return max((up(one.working(resident=self.resident), 16) for one in made), default=0)

    def _own_bytes(self, part: Part) -> int:
        """The bytes of shared memory of a part, without resident weights."""
        if not part.tiled:
            tile = PLAIN_TILE
            made = [Shape(tile.units, self.depth(v), tile.rows, self.precision, self.real,
                          self.warps) for v in part.products if self.layout.packs(v)]  # fmt: skip
            return 16 + max((up(s.working(resident=False) + s.sums, 16) for s in made), default=0)
        made = [self._product(part, value, 0).shape for value in part.products]
        folds = sum(self.layout.width(v.position) for v in part.folds) * self.tile.rows * self.real
        return 16 + self._working(part) + sum(up(one.sums, 16) for one in made) + up(folds, 16)

    def _shared(self, *, resident: bool) -> int:
        """The bytes of shared memory of a sweep."""
        weights = 0
        if resident:
            weights = sum(up(self._product(part, v, 0).shape.resident, 16)
                          for part in self.parts for v in part.products)  # fmt: skip
        return max(map(self._own_bytes, self.parts)) + weights

    def _resident_at(self, wanted: Value) -> int:
        """Where the weight of a product lies in the shared memory of a sweep."""
        at = max(map(self._own_bytes, self.parts))
        for part in self.parts:
            for value in part.products:
                if value is wanted:
                    return at
                at += up(self._product(part, value, 0).shape.resident, 16)
        raise AssertionError("a product of no part")

    def _tiles(self, part: Part | None = None) -> tuple[int, int]:
        """The grid of tiles."""
        units = math.prod((part or self.parts[0]).extents)
        return -(-units // self.tile.units), -(-self.layout.batch // self.tile.rows)

    def _grid(self, part: Part) -> tuple[int, int]:
        """The grid of a part."""
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

    # ---- kernels

    def _segments(self) -> list[Segment]:
        """The kernels of a step."""
        parts = list(self.parts)
        groups: list[tuple[tuple[Part, int], ...]] = [((part, 0),) for part in parts]
        if self._joins:
            groups = [*groups[1:-1], ((parts[-1], 0), (parts[0], 1))]
        found, before = [], 0
        for n, own in enumerate(groups):
            shared = max(self._own_bytes(part) for part, _ in own)
            level = own[0][0].level
            wanted = [v for v in self.by_library if before < self.layout.level[v.position] <= level]
            found.append(Segment(f"segment_{n}", own, self._grid(own[0][0]), shared,
                                 tuple(wanted) if self.library else ()))  # fmt: skip
            before = max(before, level)
        return found

    @cached_property
    def _joins(self) -> bool:
        """Whether the first part of the next step joins the last one of this: no thread then reads
        what another one has just written.
        """
        first, last = self.parts[0], self.parts[-1]
        alike = first.tiled and last.tiled and first.extents == last.extents
        return (
            first is not last and alike and first.level == 0 and not first.breaks
            and stays(last, first, self.program.carried)
        )  # fmt: skip

    def _calls(self, segment: Segment, own: str) -> list[str]:
        """The calls of the parts of a segment at step k."""
        lines = []
        for part, ahead in segment.parts:
            step = f"k + {ahead}" if ahead else "k"
            check = f"k + 1 < {own}.steps" if ahead else f"k >= 0 && k < {own}.steps"
            lines.append(f"if ({check}) {part.name}({own}, {step}, shared);")
        return lines

    def _kernel(self, segment: Segment) -> list[str]:
        """A segment as a kernel."""
        return [
            f'extern "C" __global__ void __launch_bounds__(THREADS, 1) {segment.name}'
            "(const job *own, const long k) {",
            "    extern __shared__ __align__(16) unsigned char shared[];",
            *(f"    {line}" for line in self._calls(segment, "(*own)")),
            "}",
            "",
        ]

    def _independent(self) -> list[str]:
        """All steps in one kernel, in which no thread waits for another."""
        (part,) = self.parts
        return [
            'extern "C" __global__ void __launch_bounds__(THREADS, 1) sweep(const job *given) {',
            "    extern __shared__ __align__(16) unsigned char shared[];",
            "    const job own = *given;",
            f"    for (long k = 0; k < own.steps; k++) {part.name}(own, k, shared);",
            "}",
            "",
        ]

    def _sweep(self, segments: list[Segment]) -> list[str]:
        """All steps in one kernel, with a barrier after each segment."""
        first = -1 if any(ahead for one in segments for _, ahead in one.parts) else 0
        reside = []
        for part in self.parts:
            for value in part.products:
                one = self._product(part, value, 0)
                reside += self._reside(part, one)
        body = []
        for segment in segments:
            body += [*self._calls(segment, "own"), "if (!barrier.meet()) return;"]
        return [
            'extern "C" __global__ void __launch_bounds__(THREADS, 1) sweep(const job *given) {',
            "    extern __shared__ __align__(16) unsigned char shared[];",
            "    const job own = *given;",
            f"    const int first_unit = blockIdx.x * {self.tile.units};",
            *indented(reside),
            "    Barrier barrier(own.counters, own.fault, (int *)shared);",
            "    __syncthreads();",
            f"    for (long k = {first}; k < own.steps; k++) {{",
            *indented(indented(body)),
            "    }",
            "    (void)first_unit;",
            "}",
            "",
        ]

    def _poison(self) -> list[str]:
        """NaN for all results of a sweep that gave up at a barrier."""
        lines = []
        for slot, number in self.slots.items():
            if slot.role in ("carry", "stored"):
                p = self.program.carry[slot.position] if slot.role == "carry" else slot.position
                more = " + 1" if slot.role == "carry" else ""
                lines += [f"for (long e = thread; e < (own->steps{more}) * {self.size(p)}; "
                          f"e += threads) own->p[{number}][e] = NAN;"]  # fmt: skip
        return [
            'extern "C" __global__ void poison(const job *own) {',
            "    if (!*own->fault) return;",
            "    const long thread = blockIdx.x * (long)blockDim.x + threadIdx.x;",
            "    const long threads = (long)gridDim.x * blockDim.x;",
            *indented(lines),
            "}",
            "",
        ]

    def _reside(self, part: Part, one: Product) -> list[str]:
        """The load of a weight into shared memory."""
        shape, units = one.shape, math.prod(part.extents)
        of = " : ".join(f"n < {(g + 1) * self.tile.units} ? {offset}"
                        for g, offset in enumerate(one.offsets))  # fmt: skip
        sizes = f"{shape.columns}, {shape.depth}, {shape.rows}"
        return [
            f"reside<{sizes}>(own.w[{self.weight(one.value)}], [&](int n) -> long {{",
            f"    const long u = first_unit + n % {self.tile.units};",
            f"    return n < {shape.columns} && u < {units} ? ({of} : 0) + u : -1;",
            f"}}, (element *)(shared + {self._resident_at(one.value)}));",
        ]
