"""Pack several arrays as the value of one node, for ops with more than one result.

`output` nodes take one array each out of it; their gradients come back as the parts of one
gradient. Below the backward pass.
"""

from typing import Any

from engine.backends import HOST, NAMESPACES, Array, DType


class MultiOutput(tuple[Array, ...]):
    """Hold arrays, and with `saved` all that the backward pass of their node needs.

    `past` are further arrays that are no results, but that derivatives may be taken of.
    """

    shape = ()
    saved: Any = None
    past: tuple[Array, ...] = ()

    def part(self, number: int) -> Array:
        """Return an array by its number; those of `past` come last."""
        return self[number] if number < len(self) else self.past[number - len(self)]

    @property
    def dtype(self) -> DType:
        return self[0].dtype

    @property
    def size(self) -> int:
        return sum(part.size for part in self)

    def gathered(self, pieces: list[Any]) -> tuple[Any, ...]:
        """Return the gradient of every array, from the pieces that came back; None for none."""
        grads: list[Any] = [None] * (len(self) + len(self.past))
        for g, (_, number), _ in pieces:
            grads[number] = g if grads[number] is None else grads[number] + g
        return tuple(grads)


NAMESPACES[MultiOutput] = HOST.xp
