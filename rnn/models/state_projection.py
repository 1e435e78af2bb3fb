"""From a vector, or from the states of an encoder, to the first state of a decoder."""

from collections.abc import Sequence
from math import prod
from typing import Any

import engine
from engine import Tensor
from rnn.cells import Cell
from rnn.cells.sizes import units
from rnn.modules.feedforward import Linear
from rnn.modules.module import Module


class Bridge(Module):
    """tanh(W v + b) of a vector v (B, F), cut into the states of each layer of cells.

    A list of one state a cell, of the shapes that it declares. Raises ValueError for another shape
    than (B, F). Source: Bahdanau et al., Neural machine translation by jointly learning to align
    and translate, 2015, appendix A.2.2.

    >>> import engine, rnn
    >>> from rnn.models import Bridge
    >>> [h.shape for h in Bridge(3, [rnn.GRUCell(2, 4), rnn.GRUCell(4, 4)])(engine.ones((2, 3)))]
    [(2, 4), (2, 4)]
    """

    def __init__(self, features: int, cells: Sequence[Cell]) -> None:
        self._sizes = [list(map(units, cell.state_size.values())) for cell in cells]
        self.linear = Linear(features, sum(prod(size) for own in self._sizes for size in own))

    def forward(self, v: Any) -> list[Any]:
        x = engine.asarray(v, device=self.linear.weight.device)
        if x.ndim != 2 or x.shape[-1] != self.linear.weight.shape[1]:
            raise ValueError(
                f"Bridge: expected (B, F) with F = {self.linear.weight.shape[1]}, got {x.shape}"
            )
        all_states = engine.tanh(self.linear(x))
        states, first = [], 0
        for sizes in self._sizes:
            parts = []
            for size in sizes:
                part = all_states[:, first : first + prod(size)]
                parts.append(part if len(size) == 1 else part.reshape((x.shape[0], *size)))
                first += prod(size)
            states.append(parts[0] if len(parts) == 1 else tuple(parts))
        return states


def joined(states: Sequence[Any]) -> Tensor:
    """Return all states of all layers side by side (B, F)."""
    parts = [x if x.ndim == 2 else x.reshape((x.shape[0], -1))
             for one in states for x in (one if isinstance(one, tuple) else (one,))]  # fmt: skip
    return parts[0] if len(parts) == 1 else engine.concat(parts, axis=-1)
