"""Stack layers and join both directions, for any cells. Above `recurrent.py`."""

from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from rnn.cells import Cell
from rnn.layers.packing import SequenceLayer
from rnn.layers.recurrent import Checkpoint, Recurrent
from rnn.modules.module import Module, probability


class Bidirectional(SequenceLayer[tuple[Tensor, Any]]):
    """Run two cells over a sequence, one from each end: y is both outputs side by side.

    ``(x, (state, state)=None, lengths=None) -> (y, (state, state))`` with the states of the forward
    and of the backward cell; y (T, B, H + H'). `lengths` begins the backward direction at the end
    of each row. Raises TypeError for anything but two cells, ValueError for other input sizes.

    >>> import engine, rnn
    >>> run = rnn.Bidirectional(rnn.GRUCell(3, 5), rnn.ElmanCell(3, 2))
    >>> run(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 7)
    """

    def __init__(
        self,
        forward: Cell,
        backward: Cell | None = None,
        *,
        batch_first: bool = False,
        layer: int = 0,
        checkpoint: Checkpoint = False,
    ) -> None:
        if not isinstance(forward, Cell) or not isinstance(backward, Cell):
            given = " and ".join(type(one).__name__ for one in (forward, backward))
            raise TypeError(
                "Bidirectional: expected two cells with weights of their own, one for each "
                f"direction, as Bidirectional(GRUCell(3, 5), GRUCell(3, 5)), got {given}"
            )
        if forward.input_size != backward.input_size:
            raise ValueError(
                f"Bidirectional: expected cells of one input_size, as both read x, got "
                f"{forward.input_size} and {backward.input_size}"
            )
        options: Any = {"batch_first": batch_first, "layer": layer, "checkpoint": checkpoint}
        self.onward = Recurrent(forward, **options)
        self.backward = Recurrent(backward, reverse=True, **options)

    def run(
        self, x: Any, state: Any = None, lengths: Any = None, **options: Any
    ) -> tuple[Tensor, Any]:
        own = (None, None) if state is None else state
        if hasattr(own, "shape") or len(own) != 2:
            raise ValueError("Bidirectional: expected a pair of states, forward and backward")
        y, first = self.onward(x, own[0], lengths, **options)
        z, second = self.backward(x, own[1], lengths, **options)
        return engine.concat([y, z], axis=-1), (first, second)


class Stacked(SequenceLayer[tuple[Tensor, Any]]):
    """Stack layers on each other: the outputs of one are the inputs of the next.

    `layers` are cells, or anything that is called ``(x, state, lengths) -> (y, state)``, such as
    `Recurrent` and `Bidirectional`. ``(x, states=None, lengths=None) -> (y, states)`` with a list
    of one state a layer. `dropout` falls between layers while training. `checkpoint` is for the
    cells; layers have their own. Raises ValueError for no layers.

    >>> import engine, rnn
    >>> net = rnn.Stacked([rnn.GRUCell(3, 5), rnn.LSTMCell(5, 4)])
    >>> y, (h, (h2, c2)) = net(engine.ones((7, 2, 3)))
    >>> y.shape, h.shape, c2.shape
    ((7, 2, 4), (2, 5), (2, 4))
    """

    def __init__(
        self, layers: Sequence[Module], *, dropout: float = 0.0, checkpoint: Checkpoint = False
    ) -> None:
        if not layers:
            raise ValueError("Stacked: expected at least one layer or cell, got none")
        self.layers = [
            Recurrent(one, layer=number, checkpoint=checkpoint) if isinstance(one, Cell) else one
            for number, one in enumerate(layers)
        ]
        self.dropout = probability("Stacked: dropout", dropout)

    def run(
        self, x: Any, state: Any = None, lengths: Any = None, **options: Any
    ) -> tuple[Tensor, Any]:
        if hasattr(state, "shape"):
            raise ValueError("Stacked: expected a list of states, one a layer, got one tensor")
        states = [None] * len(self.layers) if state is None else list(state)
        if len(states) != len(self.layers):
            raise ValueError(
                f"Stacked: expected {len(self.layers)} states, one a layer, got {len(states)}"
            )
        # Layers of other kinds may take neither a mask nor resets.
        given = {name: one for name, one in options.items() if one is not None}
        finals = []
        for number, (layer, own) in enumerate(zip(self.layers, states, strict=True)):
            if number and self.training and self.dropout:
                with engine.scope(f"dropout{number}"):
                    x = engine.dropout(x, self.dropout)
            x, final = layer(x, own, lengths, **given)
            finals.append(final)
        return x, finals
