"""Run RNN, LSTM and GRU with PyTorch's signature, names and layouts. Above `recurrent.py`."""

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import engine
from engine import Tensor
from engine.checks import flag
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from rnn.layers.packing import SequenceLayer
from rnn.layers.recurrent import Checkpoint, Recurrent
from rnn.layers.row_axes import with_row_axis
from rnn.modules.module import positive, probability

State = TypeVar("State")  # a tensor, or one for h and one for c
WEIGHT = re.compile(r"(\w+)_l(\d+)(_reverse)?")


class _Layer(SequenceLayer[tuple[Tensor, State]], Generic[State]):
    """Run layers of cells over time, with parameters and states named and shaped as PyTorch's."""

    def __init__(
        self,
        make: Callable[[int], Cell],
        input_size: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        checkpoint: Checkpoint,
    ) -> None:
        positive(num_layers=num_layers)
        dropout = probability("dropout", dropout)
        batch_first = flag("batch_first", batch_first)
        bidirectional = flag("bidirectional", bidirectional)
        self._runs: list[list[Recurrent]] = []
        for layer in range(num_layers):
            cells = [make(input_size) for _ in range(2 if bidirectional else 1)]
            self._runs.append([Recurrent(cell, reverse=direction == 1, layer=layer,
                                         checkpoint=checkpoint)
                               for direction, cell in enumerate(cells)])  # fmt: skip
            input_size = sum(next(iter(cell.state_size.values())) for cell in cells)
        cell = self._runs[0][0].cell
        self.input_size = cell.input_size
        self.hidden_size = tuple(cell.state_size.values())[-1]
        self.num_layers, self.bidirectional = num_layers, bidirectional
        self.batch_first, self.dropout = batch_first, dropout
        for layer, runs in enumerate(self._runs):
            for run in runs:
                suffix = f"_l{layer}{'_reverse' if run.reverse else ''}"
                for name, x in run.cell.named_parameters():
                    setattr(self, f"{name}{suffix}", x)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a weight of its cell, or the mode of all. Raises ValueError for another shape."""
        old = vars(self).get(name)
        if isinstance(old, Tensor) and isinstance(value, Tensor) and old.shape != value.shape:
            raise ValueError(
                f"{type(self).__name__}.{name}: expected shape {old.shape}, got {value.shape}"
            )
        super().__setattr__(name, value)
        if name == "training":
            for run in (run for runs in self._runs for run in runs):
                run.train(value)
        for cell, own in self._owner(name):
            setattr(cell, own, value)

    def __delattr__(self, name: str) -> None:
        """Delete a weight of the layer from the cell that computes with it, too."""
        super().__delattr__(name)
        for cell, own in self._owner(name):
            delattr(cell, own)

    def _owner(self, name: str) -> list[tuple[Cell, str]]:
        """Return the cell of a weight of the layer and its name there; nothing for other names."""
        found = WEIGHT.fullmatch(name)
        if not found or int(found[2]) >= len(self._runs):
            return []
        cell = self._runs[int(found[2])][-1 if found[3] else 0].cell
        return [(cell, found[1])] if hasattr(cell, found[1]) else []

    @property
    def cell(self) -> Cell:
        """Return the cell of the first layer, forward in time, with the layer's parameters."""
        return self._runs[0][0].cell

    def run(
        self, x: Any, state: Any = None, lengths: Any = None, **given: Any
    ) -> tuple[Tensor, State]:
        """Map x (T, B, I), states (layers * directions, B, H) to y (T, B, directions * H), states.

        `mask` (T, B), as x with `batch_first`, leaves steps out of rows; `resets`, (T, B) so too or
        (B,), are those of `Recurrent`.
        """
        x = x if isinstance(x, Tensor) else engine.asarray(x)
        alone = x.ndim == 2  # one sequence without a batch axis
        if alone:
            x = engine.expand_dims(x, axis=1)
        elif x.ndim == 3 and self.batch_first:
            x = engine.permute_dims(x, (1, 0, 2))
        if x.ndim != 3 or x.shape[-1] != self.input_size:
            raise ValueError(f"{self._where()}: {self._expected(x, alone)}")
        marks = {"mask": "a mask", "resets": "resets"}
        given |= {name: self._marks(word, given.get(name), alone) for name, word in marks.items()}
        states = self._split(state, x.shape[1], alone)
        finals: list[Any] = []
        for layer, runs in enumerate(self._runs):
            if layer and self.training:
                with engine.scope(f"l{layer}"):
                    x = engine.dropout(x, self.dropout)
            ys = []
            for run in runs:
                y, final = run.run(x, states[len(finals)], lengths, **given)
                ys.append(y)
                finals.append(final)
            x = ys[0] if len(ys) == 1 else engine.concat(ys, axis=-1)
        if alone:
            x = engine.squeeze(x, axis=1)
        elif self.batch_first:
            x = engine.permute_dims(x, (1, 0, 2))
        return x, self._joined(finals, alone)

    def _marks(self, name: str, marks: Any, alone: bool) -> Tensor | None:
        """Return marks (T, B), given as (T,) of one sequence; resets may be (B,) too."""
        if marks is None:
            return None
        given = marks if isinstance(marks, Tensor) else engine.asarray(marks)
        if given.ndim == 1 and (alone or name == "resets"):
            return engine.expand_dims(given, axis=1) if alone else given
        if given.ndim != 2 or alone:
            order = "(T,)" if alone else "(B, T)" if self.batch_first else "(T, B)"
            raise ValueError(f"{self._where()}: expected {name} {order}, got {given.shape}")
        return engine.permute_dims(given, (1, 0)) if self.batch_first else given

    def _expected(self, x: Tensor, alone: bool) -> str:
        order = "(B, T, I)" if self.batch_first else "(T, B, I)"
        shape = (x.shape[0], x.shape[2]) if alone else x.shape
        if x.ndim == 3 and self.batch_first and not alone:
            shape = (x.shape[1], x.shape[0], x.shape[2])
        return f"expected x {order} or (T, I) with I = {self.input_size}, got {shape}"

    def _split(self, state: Any, batch: int, alone: bool) -> list[Any]:
        """Return the state of every layer and direction, or None; ValueError for bad shapes."""
        count = len(self._runs) * len(self._runs[0])
        if state is None:
            return [None] * count
        sizes = self.cell.state_size
        given = (state,) if hasattr(state, "shape") else tuple(state)
        parts = [one if isinstance(one, Tensor) else engine.asarray(one) for one in given]
        front = (count,) if alone else (count, batch)
        expected = [(*front, size) for size in sizes.values()]
        if [one.shape for one in parts] != expected:
            raise ValueError(
                f"{self._where()}: expected states {', '.join(sizes)} of shapes {expected}, "
                f"got {[one.shape for one in parts]}"
            )
        if alone:
            parts = [engine.expand_dims(one, axis=1) for one in parts]
        if len(parts) == 1:
            return [parts[0][number] for number in range(count)]
        return [tuple(one[number] for one in parts) for number in range(count)]

    def _joined(self, finals: list[Any], alone: bool) -> Any:
        """Return the final states as PyTorch has them: (layers * directions, B, H) each."""
        single = isinstance(finals[0], Tensor)
        kinds = [finals] if single else [list(kind) for kind in zip(*finals, strict=True)]
        joined = [engine.stack(kind, axis=0) if len(kind) > 1 else
                  engine.reshape(kind[0], (1, *kind[0].shape)) for kind in kinds]  # fmt: skip
        with_row_axis(joined, 1)
        if alone:
            joined = [engine.squeeze(one, axis=1) for one in joined]
        return joined[0] if single else tuple(joined)


class RNN(_Layer[Tensor]):
    """Run Elman networks over time: ``(x, h=None, lengths=None) -> (y, h)``.

    h' = g(W_ih x + b_ih + W_hh h + b_hh) at every step, with g as `nonlinearity` says.
    x (T, B, I) with I = `input_size`, (B, T, I) with `batch_first`, or (T, I) of one sequence; h
    (layers * directions, B, H) with H = `hidden_size`; y (T, B, directions * H). `num_layers` lie
    on each other, with `dropout` between them while training; `bidirectional` ones run both ways.
    `bias=False` leaves out all b; `dtype` is that of the weights (float32); `checkpoint` is that of
    `engine.scan`. Weights have PyTorch's names and layouts, for each layer and direction.
    Raises ValueError for sizes, states and inputs that do not fit, TypeError for flags that are no
    booleans. Source: Elman, 1990; see `ElmanCell`.

    >>> import engine, rnn
    >>> rnn.RNN(3, 5, num_layers=2, bidirectional=True)(engine.ones((7, 2, 3)))[0].shape
    (7, 2, 10)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: object = None,
        checkpoint: Checkpoint = False,
    ) -> None:
        kind: Any = {"nonlinearity": nonlinearity, "bias": bias, "dtype": dtype}
        super().__init__(lambda width: ElmanCell(width, hidden_size, **kind), input_size,
                         num_layers, batch_first, dropout, bidirectional, checkpoint)  # fmt: skip


class LSTM(_Layer[tuple[Tensor, Tensor]]):
    """Run LSTMs over time: ``(x, (h, c)=None, lengths=None) -> (y, (h, c))``.

    i, f, o = sigmoid(W x + b_ih + U h + b_hh) and g = tanh of it, each by its rows of W, U and b;
    c' = f c + i g, h' = o tanh(c'). With `proj_size` h' = W_hr (o tanh(c')), and y are that wide.

    x (T, B, I) with I = `input_size`, (B, T, I) with `batch_first`, or (T, I) of one sequence; h, c
    (layers * directions, B, H) with H = `hidden_size`; y (T, B, directions * H). `num_layers` lie
    on each other, with `dropout` between them while training; `bidirectional` ones run both ways.
    `bias=False` leaves out all b; `dtype` is that of the weights (float32); `checkpoint` is that of
    `engine.scan`. Weights have PyTorch's names and layouts, for each layer and direction.
    Raises ValueError for sizes, states and inputs that do not fit, TypeError for flags that are no
    booleans. Source: Hochreiter and Schmidhuber, 1997; see `LSTMCell`.

    >>> import engine, rnn
    >>> y, (h, c) = rnn.LSTM(3, 5)(engine.ones((7, 2, 3)))
    >>> y.shape, c.shape
    ((7, 2, 5), (1, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: object = None,
        checkpoint: Checkpoint = False,
    ) -> None:
        kind: Any = {"bias": bias, "proj_size": proj_size, "dtype": dtype}
        super().__init__(lambda width: LSTMCell(width, hidden_size, **kind), input_size,
                         num_layers, batch_first, dropout, bidirectional, checkpoint)  # fmt: skip
        self.proj_size = proj_size


class GRU(_Layer[Tensor]):
    """Run GRUs over time: ``(x, h=None, lengths=None) -> (y, h)``.

    h' = (1 - z) n + z h with n = tanh(W_in x + b_in + r (W_hn h + b_hn)); r and z are sigmoids of
    W_ih x + b_ih + W_hh h + b_hh. x (T, B, I) with I = `input_size`, (B, T, I) with `batch_first`,
    or (T, I) of one sequence; h (layers * directions, B, H) with H = `hidden_size`; y
    (T, B, directions * H). `num_layers` lie on each other, with `dropout` between them while
    training; `bidirectional` ones run both ways. `bias=False` leaves out b; `dtype` is that of the
    weights (float32); `checkpoint` is that of `engine.scan`. Weights have PyTorch's names and
    layouts, for each layer and direction. Raises ValueError for sizes, states and inputs that do
    not fit, TypeError for flags that are no booleans. Source: Cho et al., 2014; see `GRUCell`.

    >>> import engine, rnn
    >>> rnn.GRU(3, 5)(engine.ones((7, 2, 3)))[1].shape
    (1, 2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: object = None,
        checkpoint: Checkpoint = False,
    ) -> None:
        kind: Any = {"bias": bias, "dtype": dtype}
        super().__init__(lambda width: GRUCell(width, hidden_size, **kind), input_size,
                         num_layers, batch_first, dropout, bidirectional, checkpoint)  # fmt: skip
