"""What a block hands to its own threads through shared memory. Below `bodies.py`."""

from dataclasses import dataclass

from engine.scan.cuda.folds import subscript
from engine.scan.cuda.model import Shape, Tile
from engine.scan.kernels.terms import ROW, At
from engine.scan.program import Value


@dataclass(frozen=True)
class Product:
    """A product of a tile that the block hands to its threads."""

    value: Value
    offsets: tuple[int, ...]
    tile: Tile
    shape: Shape
    at: int  # where the sums lie in shared memory

    def place(self, address: At) -> str:
        """Return the sum at an address of the product."""
        p = self.value.position
        gate = self.offsets.index(address.offset)
        return f"sums_{p}[r * {self.shape.wide} + {gate * self.tile.units} + c]"


@dataclass(frozen=True)
class Folded:
    """A fold with numbers that the block hands to its threads."""

    p: int
    width: int
    at: int

    def place(self, address: At) -> str:
        """Return the number at an address of the fold."""
        rest = At(tuple(one for one in address.factors if one[0] != ROW), address.offset)
        return f"fold_{self.p}[r * {self.width} + {subscript(rest)}]"
