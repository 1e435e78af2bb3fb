"""Predict the time of a step on a GPU from launches, bytes, operations and barriers.

A floor, to be fitted to the first GPU that is measured; until then the constants are those of an
H200 in public sources. It chooses the tile of a block, and the form in which a program runs. Below
`source.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

# ---- constants: an H200, and what others have measured on an H100, in seconds and bytes a second

CLOCK = 1.755e9
FMA = {4: 128, 8: 64}  # multiplications and additions a processor and clock, by bytes of a number
MMA = {1: 0.62 * 1024, 2: 0.62 * 2048}  # by mma.sync: 62 % of the dense peak, arXiv 2402.13499
LOADS = 128  # bytes of shared memory a processor and clock
L2, HBM = 5.5e12, 4.8e12
BARRIER = 1.1e-6  # release, acquire and two barriers of a block: 1.07 to 1.09 for 32 to 132 blocks
NODE = 1.3e-6  # a kernel in a CUDA graph that does next to nothing: 1.24 to 1.40
FIXED = 0.45e-6  # the first load from L2, the sum over warps, the element-wise code: a guess
LAUNCH = 4e-6  # a kernel from Python, outside of a graph: a guess
LIBRARY = 12e-6  # a product of cuBLAS from Python, which no graph of CuPy's can hold: a guess
RATE = {0: 40e12, 1: 250e12, 2: 250e12}  # operations a second of large products by cuBLAS

GRID = 65535  # blocks in the second direction of a grid, at most
CHUNK = 32  # of k, that a warp takes at once, as in `products.cuh`
STRICT, TF32, BFLOAT16 = range(3)


class Tile(NamedTuple):
    """Hold the units and rows of a block."""

    units: int
    rows: int


class Multiplied(NamedTuple):
    """Describe a product of a tiled part: gates of each unit, and the depth."""

    gates: int
    depth: int


@dataclass(frozen=True)
class Shape:
    """Hold the sizes in `products.cuh` of one tile's product; a generated kernel asserts them."""

    columns: int
    depth: int
    rows: int
    precision: int
    real: int  # bytes of a number
    warps: int

    @property
    def element(self) -> int:
        """Return the bytes of a number of a weight."""
        return 2 if self.precision == BFLOAT16 else self.real

    @property
    def at_once(self) -> int:
        """Return how many rows are multiplied at once."""
        if self.precision:
            return 32 if self.rows > 16 else 16
        return next(n for n, low in ((32, 16), (16, 8), (8, 4), (4, 1), (1, 0)) if self.rows > low)

    @property
    def lane_rows(self) -> int:
        """Return how many rows the lanes of a warp divide, by FMA."""
        if self.at_once < 4:
            return self.at_once
        return 4 if self.columns >= 32 or self.at_once == 4 else 8

    @property
    def wide(self) -> int:
        """Return the columns, rounded up to those of the lanes."""
        return up(self.columns, 8 if self.precision else 32 // self.lane_rows)

    def stride(self, depth: int) -> int:
        """Return how far rows lie apart in shared memory."""
        if not self.precision:
            return up(depth, 32) + 16 // self.element
        size = depth * self.element
        return depth if size % 128 == 64 else (up(size, 128) + 64) // self.element

    @property
    def turns(self) -> int:
        """Return how many times the rows of a tile are multiplied, some at once."""
        return up(self.rows, self.at_once) // self.at_once

    @property
    def sums(self) -> int:
        """Return the bytes of the result."""
        return self.turns * self.at_once * self.wide * self.real

    def working(self, *, resident: bool) -> int:
        """Return the bytes of shared memory that products use in turn."""
        rows = self.at_once + (0 if resident else self.wide)
        stages = self.warps * rows * self.stride(CHUNK) * self.element
        return stages + self.warps * self.at_once * self.wide * self.real

    @property
    def resident(self) -> int:
        """Return the bytes of the weight where it stays in shared memory."""
        return self.wide * self.stride(up(self.depth, CHUNK)) * self.element

    @property
    def seconds(self) -> tuple[float, float]:
        """Return the time of a block's arithmetic, and of its traffic with shared memory."""
        depth = up(self.depth, CHUNK)
        work = up(self.rows, self.at_once) * self.wide * depth
        staged = 2 * self.at_once * depth * self.element
        parts = 2 * self.warps * self.at_once * self.wide * self.real
        if self.precision:
            traffic = self.turns * (self.resident + 1.5 * staged + parts) / LOADS
            return work / MMA[self.precision] / CLOCK, traffic / CLOCK
        rows, columns = self.at_once // self.lane_rows, self.wide // (32 // self.lane_rows)
        loads = (rows + columns) * (2 if self.lane_rows > 1 else 4)  # clocks for four of k
        traffic = self.turns * (depth / 4 * loads + (staged + parts) / LOADS)
        return work / FMA[self.real] / CLOCK, traffic / CLOCK


class Cost(NamedTuple):
    """Hold the predicted seconds of a step, and the term that decides."""

    seconds: float
    term: str


def up(a: int, b: int) -> int:
    """Return `a` rounded up to a multiple of `b`."""
    return -(-a // b) * b


def warps_of(depths: Iterable[int]) -> int:
    """Return how many warps a block has: as many as find a chunk of the deepest product."""
    return min(8, max([2, *(-(-depth // CHUNK) for depth in depths)]))


class Machine(NamedTuple):
    """Hold what decides which tiles there are: multiprocessors, bytes of shared memory a block."""

    processors: int
    shared: int


H200 = Machine(132, 227 * 1024)


@dataclass(frozen=True)
class Tiling:
    """Hold the tiled levels of a step, each with its products, for which a tile is sought.

    `units` and `rows` are those of the whole; `folded` are numbers of folds a row.
    """

    levels: Sequence[Sequence[Multiplied]]
    units: int
    rows: int
    precision: int
    real: int
    warps: int
    folded: int = 0
    machine: Machine = H200

    def tiles(self) -> list[Tile]:
        """Return the tiles that are tried."""
        return [
            Tile(u, min(r, self.rows))
            for u, r in product((2, 4, 8, 16, 32, 64), (1, 2, 4, 8, 16, 32, 64, 128))
            if (u <= self.units or u == 2) and r < 2 * self.rows + 1
        ]

    def blocks(self, tile: Tile) -> int:
        """Return how many blocks the tiles of a level are."""
        return -(-self.units // tile.units) * -(-self.rows // tile.rows)

    def shapes(self, level: Sequence[Multiplied], tile: Tile) -> list[Shape]:
        """Return the shapes of the products of a level in a tile."""
        return [Shape(one.gates * tile.units, one.depth, tile.rows, self.precision, self.real,
                      self.warps) for one in level]  # fmt: skip

    def shared(self, tile: Tile, *, resident: bool) -> int:
        """Return the bytes of shared memory of a block: weights, work, sums and folds."""
        working = sums = weights = 0
        for level in self.levels:
            made = self.shapes(level, tile)
            working = max([working, *(up(one.working(resident=resident), 16) for one in made)])
            sums = max(sums, sum(up(one.sums, 16) for one in made))
            weights += sum(up(one.resident, 16) for one in made) if resident else 0
        return 16 + working + sums + weights + self.folded * tile.rows * self.real

    def fits(self, tile: Tile, *, resident: bool) -> bool:
        """Return whether the machine has a tile; `resident` needs all blocks there at once."""
        if -(-self.rows // tile.rows) > GRID:
            return False
        if resident and self.blocks(tile) > self.machine.processors:
            return False
        return self.shared(tile, resident=resident) <= self.machine.shared

    def cost(self, level: Sequence[Multiplied], tile: Tile, *, resident: bool) -> Cost:
        """Return the time of the products of a level in a tile."""
        count = self.blocks(tile)
        waves = -(-count // self.machine.processors)
        work = traffic = read = 0.0
        for one in self.shapes(level, tile):
            own, loads = one.seconds
            work, traffic = work + waves * own, traffic + waves * loads
            read += count * min(tile.rows, self.rows) * one.depth * self.real
            if not resident:
                read += count * one.columns * one.depth * one.element
        terms = {"arithmetic": work, "shared memory": traffic, "L2": read / L2}
        slowest = max(terms, key=lambda name: terms[name])
        return Cost(terms[slowest], slowest)

    def best(self, *, resident: bool) -> tuple[Tile, Cost] | None:
        """Return the tile in which all levels take the least time; None where no tile fits."""
        found: list[tuple[float, int, Tile, str]] = []
        for number, tile in enumerate(self.tiles()):
            if self.fits(tile, resident=resident):
                each = [self.cost(level, tile, resident=resident) for level in self.levels]
                slowest = max(each, default=Cost(0.0, "launches"))
                found.append((sum(one.seconds for one in each), number, tile, slowest.term))
        if not found:
            return None
        seconds, _, tile, term = min(found)
        return tile, Cost(seconds, term)
