"""Kernels of a GPU as data: their source, their arrays, their launches. Below `source.py`."""

from dataclasses import dataclass

from engine.scan.cuda.parts import Part
from engine.scan.kernels.arrays import Slot
from engine.scan.program import Value


@dataclass(frozen=True)
class Segment:
    """A kernel of one step: its parts, each with its lead in steps, and the library's products."""

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
