"""Write the core of a program as CUDA C++ that a person can read, in three forms from one text.

Every part of a step is a function. *Segments* are kernels that each do a part or two of one step,
for a graph of all steps. A *sweep* is one kernel that goes through all steps: with a barrier of the
blocks of the same rows after each segment and the weights in shared memory, or, where all that a
thread reads of states is its own, with none. *Launches* are segments after products with a weight,
which a library computes. Above `bodies.py`.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from engine.scan.cuda import model
from engine.scan.cuda.bodies import Bodies
from engine.scan.cuda.folds import Product
from engine.scan.cuda.headers import recurrences
from engine.scan.cuda.independent import Independent
from engine.scan.cuda.model import Tile
from engine.scan.cuda.parts import Part, stays
from engine.scan.cuda.threads import indented
from engine.scan.kernels.arrays import Slot
from engine.scan.program import Value


@dataclass(frozen=True)
class Segment:
    """Hold a kernel of one step: its parts, each with its lead in steps, and library products."""

    name: str
    parts: tuple[tuple[Part, int], ...]
    grid: tuple[int, int]
    shared: int
    products: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """Hold generated source, what it takes in order, and how it is launched."""

    source: str
    slots: tuple[Slot, ...]
    weights: tuple[int, ...]  # the products with packed weights, in order
    segments: tuple[Segment, ...]
    threads: int
    barriers: int  # a step of a sweep; -1: there is none
    halved: bool  # whether weights are bfloat16
    stretches: bool  # whether a warp may share the steps of a row and unit
    grid: tuple[int, int] = (1, 1)  # of a sweep
    shared: int = 0
    turns: int = 0  # rows and units of a sweep without barriers, where they are one nest's

    @property
    def most_shared(self) -> int:
        """Return the most bytes of shared memory that a block of a kernel has."""
        own = self.shared if self.barriers > 0 else 0
        return max([own, *(segment.shared for segment in self.segments)])


COUNTERS = 32  # numbers that a barrier has of each row tile: a cache line


class Writer(Bodies):
    """Write the kernels of one program."""

    # ---- the whole text

    def kernel(self, tile: Tile, *, resident: bool = False) -> Kernel:
        """Return the kernels for one tile; `resident` weights stay in shared memory."""
        self.slots.clear()
        self.packed.clear()
        self.tile, self.resident = tile, resident
        bodies = [
            line
            for part in self.parts
            for line in self.function(part, joined=self._joins and part is self.parts[0])
        ]
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
        grid = self._tiles() if barriers > 0 else (1, 1)
        text = [
            *self.heading(),
            f"#define REAL_BYTES {self.real}",
            f"#define THREADS {threads}",
            f"#define PRECISION {self.precision}",
            *(["#define PRIVATE"] if self.independent else []),
            recurrences(),
            *self._job(COUNTERS * grid[1]),
            *bodies,
            *ends,
            "",
        ]
        shared = self._shared(resident=resident)
        return Kernel("\n".join(text), tuple(self.slots), tuple(self.packed), tuple(segments),
                      threads, barriers, self.precision == model.BFLOAT16, bool(stretches),
                      grid, shared, turns)  # fmt: skip

    def _job(self, counters: int) -> list[str]:
        """Return what kernels are handed, and the kernel that puts it where they look."""
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
            f"    for (int i = threadIdx.x; i < {counters}; i += blockDim.x) counters[i] = 0;",
            "    if (threadIdx.x) return;",
            "    to->steps = steps, to->reverse = reverse;",
            "    to->counters = counters, to->fault = fault;",
            *(f"    to->p[{i}] = p{i};" for i in range(len(self.slots))),
            *(f"    to->w[{i}] = w{i};" for i in range(len(self.packed))),
            "}",
            "",
        ]

    # ---- kernels

    def _segments(self) -> list[Segment]:
        """Return the kernels of a step."""
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
        """Return whether the first part of the next step joins the last: all stays in a thread."""
        first, last = self.parts[0], self.parts[-1]
        alike = first.tiled and last.tiled and first.extents == last.extents
        return (
            first is not last and alike and first.level == 0 and not first.breaks
            and stays(last, first, self.program.carried)
        )  # fmt: skip

    def _calls(self, segment: Segment, own: str) -> list[str]:
        """Return the calls of the parts of a segment at step k."""
        lines = []
        for part, ahead in segment.parts:
            step = f"k + {ahead}" if ahead else "k"
            check = f"k + 1 < {own}.steps" if ahead else f"k >= 0 && k < {own}.steps"
            lines.append(f"if ({check}) {part.name}({own}, {step}, shared);")
        return lines

    def _kernel(self, segment: Segment) -> list[str]:
        """Return a segment as a kernel."""
        return [
            f'extern "C" __global__ void __launch_bounds__(THREADS, 1) {segment.name}'
            "(const job *own, const long k) {",
            "    extern __shared__ __align__(16) unsigned char shared[];",
            *(f"    {line}" for line in self._calls(segment, "(*own)")),
            "}",
            "",
        ]

    def _independent(self) -> list[str]:
        """Return all steps in one kernel, in which no thread waits for another."""
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
        """Return all steps in one kernel, with a barrier after each segment."""
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
            *self._global(),
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

    def _global(self) -> list[str]:
        """Return what a compiler cannot know of loaded addresses: none is of shared memory."""
        return [
            "#ifndef EMULATED",
            f"    for (int i = 0; i < {len(self.slots)}; i++) "
            "__builtin_assume(__isGlobal(own.p[i]));",
            f"    for (int i = 0; i < {len(self.packed)}; i++) "
            "__builtin_assume(__isGlobal(own.w[i]));",
            "#endif",
        ]

    def _poison(self) -> list[str]:
        """Return NaN for all results of a sweep that gave up at a barrier."""
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
        """Return the load of a weight into shared memory."""
        shape, units = one.shape, math.prod(part.extents)
        sizes = f"{shape.columns}, {shape.depth}, {shape.rows}"
        return [
            f"reside<{sizes}>(own.w[{self.weight(one.value)}], [&](int n) -> long {{",
            f"    const long u = first_unit + n % {self.tile.units};",
            f"    return n < {shape.columns} && u < {units} ? {one.columns} + u : -1;",
            f"}}, (element *)(shared + {self._resident_at(one.value)}));",
        ]
