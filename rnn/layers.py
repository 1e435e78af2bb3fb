"""RNN, LSTM and GRU as layers with PyTorch's signature, names and layouts. Above `recurrent.py`."""

from typing import Any

import engine
from engine import Tensor
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from rnn.module import Module
from rnn.recurrent import Recurrent


class _Layer(Module):
    """A cell over time whose parameters and states are named and shaped as PyTorch's."""

    def __init__(self, cell: Cell, batch_first: bool) -> None:
        self._recurrent = Recurrent(cell, batch_first=batch_first)
        self.input_size = cell.input_size
        self.hidden_size = next(iter(cell.state_size.values()))
        self.batch_first = batch_first
        for name, x in cell.named_parameters().items():
            setattr(self, f"{name}_l0", x)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assigning a weight of the layer assigns it to the cell that computes with it."""
        super().__setattr__(name, value)
        own = name.removesuffix("_l0")
        if own != name and hasattr(self.cell, own):
            setattr(self.cell, own, value)

    @property
    def cell(self) -> Cell:
        """The cell that runs over time; its parameters are the layer's own."""
        return self._recurrent.cell

    def forward(
        self, x: Tensor, state: Any = None, lengths: Any = None, *, unroll: bool = False
    ) -> tuple[Tensor, Any]:
        """x (T, B, I), states (1, B, H) -> y (T, B, H), states (1, B, H)."""
        if state is not None:
            state = state[0] if hasattr(state, "shape") else tuple(one[0] for one in state)
        y, final = self._recurrent.forward(x, state, lengths, unroll=unroll)
        if isinstance(final, Tensor):
            return y, engine.expand_dims(final, axis=0)
        return y, tuple(engine.expand_dims(one, axis=0) for one in final)


class RNN(_Layer):
    """An Elman network over time: ``(x, h=None, lengths=None) -> (y, h)``.

    x (T, B, I), or (B, T, I) with `batch_first`; h (1, B, H). See `ElmanCell`.

    >>> import engine, rnn
    >>> rnn.RNN(3, 5)(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dtype: object = None,
    ) -> None:
        cell = ElmanCell(input_size, hidden_size, nonlinearity=nonlinearity, bias=bias, dtype=dtype)
        super().__init__(cell, batch_first)


class LSTM(_Layer):
    """An LSTM over time: ``(x, (h, c)=None, lengths=None) -> (y, (h, c))``.

    x (T, B, I), or (B, T, I) with `batch_first`; h and c (1, B, H). See `LSTMCell`.

    >>> import engine, rnn
    >>> y, (h, c) = rnn.LSTM(3, 5)(engine.ones((7, 2, 3)))
    >>> y.shape, c.shape
    ((7, 2, 5), (1, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dtype: object = None,
    ) -> None:
        super().__init__(LSTMCell(input_size, hidden_size, bias=bias, dtype=dtype), batch_first)


class GRU(_Layer):
    """A GRU over time: ``(x, h=None, lengths=None) -> (y, h)``.

    x (T, B, I), or (B, T, I) with `batch_first`; h (1, B, H). See `GRUCell`.

    >>> import engine, rnn
    >>> rnn.GRU(3, 5)(engine.ones((7, 2, 3)))[1].shape
    (1, 2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dtype: object = None,
    ) -> None:
        super().__init__(GRUCell(input_size, hidden_size, bias=bias, dtype=dtype), batch_first)
