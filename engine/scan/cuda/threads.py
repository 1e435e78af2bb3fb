"""Write nests as turns of threads: one thread a row and unit, or a warp for each fold.

Keeps account of what a nest reads and where it writes new states, from which `parts.py` sees what
stays within a thread. Below `folds.py`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from engine.scan.kernels.arrays import Arrays
from engine.scan.kernels.nest import Nest
from engine.scan.kernels.terms import ROW, At, Index

Dims = Sequence[tuple[str, int]]


class Access(NamedTuple):
    """Hold a place that the thread of each (row, unit) of a box of `extents` reads or writes."""

    extents: tuple[int, ...]
    at: At


class Handed(Protocol):
    """Declare a product or a fold that a block hands to its own threads through shared memory."""

    def place(self, address: At) -> str:
        """Return the number at an address of the value."""


class ThreadArrays(Arrays):
    """Name the arrays of a kernel for a GPU. Scratch lies twice, for even and for odd steps."""

    handed: dict[int, Handed]
    held: Mapping[tuple[int, Access], str] = MappingProxyType({})  # states in registers
    fetched: dict[tuple[int, At], str] | None = None  # inputs that are loaded a step ahead, by name
    joined: bool = False  # what is read of states may have been put by the same thread
    reads: list[tuple[int, Access]]
    writes: list[tuple[int, Access]]  # by the number of the state

    def slot(self, role: str, position: int) -> str:
        """Return the array of a slot."""
        name = super().slot(role, position)
        if role != "scratch":
            return name
        return f"({name} + (k & 1) * {math.prod(self.values[position].shape)})"

    def size(self, p: int) -> str:
        """Return how many numbers a value has in one step."""
        return str(math.prod(self.values[p].shape))


class Threads(Nest):
    """Write a nest each turn of which is a thread's."""

    arrays: ThreadArrays

    def __init__(self, arrays: ThreadArrays, level: int, dims: Dims) -> None:
        super().__init__(arrays, level, dims)
        self.arrays = arrays

    def read(self, p: int, address: At) -> str:
        """Return a number of a value in memory, or one that the block hands to its threads."""
        access = self.access(address)
        self.arrays.reads.append((p, access))
        state = self.arrays.program.carried.get(p, -1)
        if (state, access) in self.arrays.held:
            return self.arrays.held[state, access]
        if p in self.arrays.handed:
            return self.arrays.handed[p].place(address)
        fetched = self.arrays.fetched
        if fetched is not None and p in self.layout.given and p in self.arrays.program.varies:
            return fetched.setdefault((p, address), f"in{len(fetched)}")
        place = super().read(p, address)
        own = self.arrays.joined and p in self.arrays.program.carried
        return f"own_load(&{place})" if own else place

    def carry(self, i: int, p: int, index: Index) -> str:
        """Return the place of new state `i`."""
        self.arrays.writes.append((i, self.access(self.address(p, index))))
        return super().carry(i, p, index)

    def access(self, address: At) -> Access:
        """Return an access in names that nests share: loops by number, no row if there is one."""
        names = {name: f"u{number}" for number, (name, _) in enumerate(self.dims)}
        factors = sorted(
            (names.get(name, name), factor) for name, factor in address.factors
            if name != ROW or self.layout.batch > 1
        )  # fmt: skip
        return Access(tuple(size for _, size in self.dims), At(tuple(factors), address.offset))

    # ---- text

    @property
    def units(self) -> int:
        """Return how many turns there are in each row."""
        return math.prod(size for _, size in self.dims)

    def body(self, statements: Iterable[str]) -> list[str]:
        """Return what one thread does in its turn."""
        pointers = [
            f"{'real' if name.startswith('to') else 'const real'} *{name} = {to};"
            for to, name in self.pointers.items()
        ]
        return [*pointers, *self.outer_lines, *self.lines, *statements]

    def spread(self, statements: Iterable[str]) -> list[str]:
        """Return the nest over all threads of the grid."""
        units = self.units
        return [
            f"for (long e = thread; e < {self.layout.batch * units}; e += threads) {{",
            f"    const long b = e / {units}, u = e % {units};",
            *indented([*decoded("u", self.dims), *self.body(statements)]),
            "    (void)b; (void)u;",
            "}",
        ]

    def tiled(self, statements: Iterable[str], units: int, rows: int) -> list[str]:
        """Return the nest over the threads of a block, which has so many units of so many rows."""
        return [
            f"for (int e = threadIdx.x; e < {units * rows}; e += THREADS) {{",
            f"    const int r = e / {units}, c = e % {units};",
            "    const long b = first_row + r, u = first_unit + c;",
            f"    if (r >= rows || u >= {self.units}) continue;",
            *indented([*decoded("u", self.dims), *self.body(statements)]),
            "    (void)b; (void)c;",
            "}",
        ]


def decoded(name: str, dims: Dims) -> list[str]:
    """Return the variables of some loops from one number that counts all turns."""
    lines, after = [], 1
    for at, (variable, size) in reversed(list(enumerate(dims))):
        turn = name if after == 1 else f"{name} / {after}"
        lines.append(f"const long {variable} = {turn}{f' % {size}' if at else ''};")
        after *= size
    return lines


def indented(lines: Iterable[str]) -> list[str]:
    """Return lines that are one level further in."""
    return [f"    {line}" for line in lines]


def put(place: str, term: str) -> str:
    """Return a store that other blocks may read at a later step or level."""
    return f"put(&{place}, {term});"
