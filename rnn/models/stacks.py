"""Make what the models share: layers and cells by name, states, what counts of padded targets.

Above `blocks.py`, below the models.
"""

from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from engine.checks import flag
from engine.pytree import flatten
from engine.random import random_state, set_random_state
from engine.scan.padding import read_lengths
from rnn.cells import Cell
from rnn.layers.pytorch import GRU, LSTM, RNN
from rnn.layers.recurrent import Checkpoint, Recurrent
from rnn.layers.row_axes import with_row_axis
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.models.blocks import CELLS, Make
from rnn.modules.feedforward import Embedding, Linear
from rnn.modules.module import Module, parameter, positive
from rnn.modules.values import check_vocabulary, known_values


class OwnLayers(Module):
    """Run layers of one cell each, two for both directions: ``(x, lengths=None) -> (y, states)``.

    x (T, B, I), y (T, B, H), both directions side by side; the states are as PyTorch has them,
    (layers * directions, B, ...) each, in a tuple where a cell has several.
    """

    def __init__(
        self, cells: Sequence[tuple[Cell, ...]], *, dropout: float, checkpoint: Checkpoint = False
    ) -> None:
        self.bidirectional = len(cells[0]) == 2
        kind: Any = Bidirectional if self.bidirectional else Recurrent
        self.stack = Stacked(
            [kind(*own, layer=number, checkpoint=checkpoint) for number, own in enumerate(cells)],
            dropout=dropout,
        )

    @property
    def cell(self) -> Cell:
        """Return the first cell; the states of all have its sizes."""
        first: Any = self.stack.layers[0]
        cell: Cell = (first.onward if self.bidirectional else first).cell
        return cell

    def forward(self, x: Tensor, *, lengths: Any = None) -> tuple[Tensor, Any]:
        y, finals = self.stack(x, None, lengths)
        runs = [run for pair in finals for run in pair] if self.bidirectional else finals
        if not isinstance(runs[0], tuple):
            return y, with_row_axis(engine.stack(runs), 1)
        joined = tuple(engine.stack(list(parts)) for parts in zip(*runs, strict=True))
        return y, with_row_axis(joined, 1)

    def last(self, y: Tensor, lengths: Any = None) -> Tensor:
        """Return the outputs (B, H) at the end of each row of y (T, B, H), zeros for rows of 0.

        The backward direction ends at the first step. The first state of a cell may be another
        thing than what it puts out.
        """
        T, B, H = y.shape
        if not T:
            return engine.zeros((B, H), dtype=y.dtype, device=y.device)
        if lengths is None:
            ends = y[-1]
        else:
            place = engine.maximum(engine.asarray(lengths, device=y.device) - 1, 0)
            index = engine.broadcast_to(place[None, :, None], (1, B, H))
            ends = engine.squeeze(engine.take_along_axis(y, index, axis=0), axis=0)
        half = H // 2
        return (
            engine.concat([ends[:, :half], y[0, :, half:]], axis=-1) if self.bidirectional else ends
        )


LAYERS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def made_cells(
    where: str, cell: str | Make, width: int, hidden: int, layers: int, *, inner: int | None = None
) -> list[Cell]:
    """Return a cell for each layer: by name, or by a function of the sizes of input and state.

    Layers above the first have `inner` inputs, as many as the state by default. Raises ValueError
    for an unknown name and sizes that are none, TypeError for what makes no cells.
    """
    positive(hidden=hidden, layers=layers)
    make = cell if callable(cell) else _by_name(where, cell)
    inner = hidden if inner is None else inner
    cells = [make(inner if layer else width, hidden) for layer in range(layers)]
    if wrong := [one for one in cells if not isinstance(one, Cell)]:
        raise TypeError(f"{where}: cell made a {type(wrong[0]).__name__}, expected a Cell")
    return cells


def made_layer(
    where: str,
    cell: str | Make,
    width: int,
    hidden: int,
    layers: int,
    *,
    dropout: float,
    bidirectional: bool,
    checkpoint: Checkpoint = False,
) -> Module:
    """Return `RNN`, `LSTM` or `GRU`, or layers of cells by name or function, as `made_cells`."""
    if isinstance(cell, str) and cell in LAYERS:
        kind = LAYERS[cell]
        return kind(  # type: ignore[no-any-return]
            width, hidden, layers, dropout=dropout, bidirectional=bidirectional,
            checkpoint=checkpoint,
        )  # fmt: skip
    directions = 2 if flag("bidirectional", bidirectional) else 1
    cells = [made_cells(where, cell, width, hidden, layers, inner=hidden * directions)
             for _ in range(directions)]  # fmt: skip
    if (found := _output_width(cells[0][0], width)) != hidden:
        raise ValueError(
            f"{where}: the output of the cell is {found} wide, expected hidden = {hidden}"
        )
    return OwnLayers(list(zip(*cells, strict=True)), dropout=dropout, checkpoint=checkpoint)


def _output_width(cell: Cell, width: int) -> int:
    """Return the width of what a cell puts out, from one step that leaves the randomness alone."""
    before = random_state()
    try:
        with engine.no_grad():
            return int(cell(engine.zeros((1, width)))[0].shape[-1])
    finally:
        set_random_state(before)


def _by_name(where: str, cell: Any) -> Make:
    if not isinstance(cell, str) or cell not in CELLS:
        raise ValueError(f"{where}: unknown cell {cell!r}; there are {', '.join(CELLS)}")
    return CELLS[cell]


def integers(
    where: str, what: str, x: Any, shape: str, ndim: int, *, vocabulary: int | None = None
) -> Tensor:
    """Return indices as a tensor. Raises TypeError for other dtypes, ValueError for other shapes.

    With the size of a `vocabulary` IndexError for such as it has not: at once where they are on the
    host, when values are next read where they are on a device.
    """
    given = x if isinstance(x, Tensor) else engine.asarray(x)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{where}: expected {what} as integers {shape}, got {given.dtype}")
    if given.ndim != ndim:
        raise ValueError(f"{where}: expected {what} {shape}, got {given.shape}")
    if vocabulary is not None:
        check_vocabulary(where, given, vocabulary)
    return given


def embedded(model: Any, x: Any) -> Tensor:
    """Return indices x (T, B) embedded by a model; features (T, B, I), where it has no embedding,
    as they are. Raises as `integers`.
    """
    if model.embedding is None:
        return engine.asarray(x, device=next(model.each_parameter()).device)
    V, name = model.embedding.weight.shape[0], type(model).__name__
    return model.embedding(integers(name, "x", x, "(T, B)", 2, vocabulary=V))  # type: ignore[no-any-return]


def dropped(model: Any, x: Tensor) -> Tensor:
    """Return x with the dropout of a model, while it trains."""
    return engine.dropout(x, model.dropout) if model.training and model.dropout else x


def advanced(
    cells: Sequence[Cell], x: Tensor, states: Sequence[Any], dropout: float = 0.0
) -> tuple[Tensor, list[Any]]:
    """Map x (B, I) by one step of cells on each other to the last output (B, H), new states."""
    after = []
    for number, (cell, state) in enumerate(zip(cells, states, strict=True)):
        labels = {"layer": number, "direction": "forward", "cell": type(cell).__name__}
        with engine.scope(f"l{number}", **labels):
            x = engine.dropout(x, dropout) if number and dropout else x
            x, state = cell.stepped(x, state)
        after.append(state)
    return x, after


def detached(state: Any) -> Any:
    """Return the same pytree with every tensor as a constant: the gradient ends here.

    >>> import engine, rnn
    >>> h = engine.ones((2, 5), requires_grad=True)
    >>> [x.requires_grad for x in rnn.models.detached((2 * h, h))]
    [False, False]
    """
    leaves, rebuild = flatten(state)
    return rebuild([x.detach() if isinstance(x, Tensor) else x for x in leaves])


def checked_states(where: str, cells: Sequence[Cell], states: Any, rows: int) -> list[Any]:
    """Return the states of cells on each other, one each, of as many rows as there are inputs.
    Raises ValueError for other numbers and shapes.
    """
    if not isinstance(states, list | tuple) or len(states) != len(cells):
        given = len(states) if isinstance(states, list | tuple) else type(states).__name__
        raise ValueError(
            f"{where}: {given} states for {len(cells)} layers; give a list of one for each"
        )
    before = states[0][0] if isinstance(states[0], tuple | list) else states[0]
    if (shape := getattr(before, "shape", ())) and shape[0] != rows:
        raise ValueError(f"{where}: {rows} rows of indices for states of {shape[0]} rows; "
                         "give an index for each")  # fmt: skip
    return [cell.checked(one, rows, where) for cell, one in zip(cells, states, strict=True)]


def optional_embedding(vocabulary_size: int | None, width: int) -> Embedding | None:
    """Return an embedding, or None for None: a model of features. Raises ValueError for no size."""
    if vocabulary_size is None:
        return None
    positive(vocabulary_size=vocabulary_size)
    return Embedding(vocabulary_size, width)


def sequence_mask(lengths: Any, steps: int, device: str) -> Tensor:
    """Return which steps (T, B) lie within the lengths (B,)."""
    ends = engine.asarray(lengths, device=device)
    return engine.expand_dims(engine.arange(steps, device=device), axis=1) < ends


def masked_loss(
    where: str, logits: Tensor, y: Any, lengths: Any = None, pad: int | None = None
) -> Tensor:
    """Return the mean cross entropy of logits (T, B, V) and y (T, B) without padding, in nats.

    Padding is what lies past `lengths`, and what has the index `pad`. Raises ValueError where
    nothing else is there, as far as that is known on the host, and for another shape than that of
    the logits; IndexError for other targets outside of V.
    """
    given = integers(where, "y", y, "(T, B)", 2)
    if given.shape != logits.shape[:2]:
        raise ValueError(f"{where}: expected y (T, B) = {logits.shape[:2]}, got {given.shape}")
    if pad is not None or lengths is not None:
        _check_left(where, given, lengths, pad)
    target = engine.asarray(given, device=logits.device)
    if lengths is None:
        return engine.cross_entropy(logits, target, ignore_index=pad)
    kept = sequence_mask(lengths, target.shape[0], logits.device)
    if pad is not None:
        kept = engine.bitwise_and(kept, target != pad)
    # No index that anyone gives by mistake, as -1 is.
    nothing = -(2**63)
    target = engine.where(kept, engine.astype(target, engine.int64), nothing)
    return engine.cross_entropy(logits, target, ignore_index=nothing)


def _check_left(where: str, y: Tensor, lengths: Any, pad: int | None) -> None:
    """Raise ValueError where all targets (T, B) are padding: their mean would be NaN."""
    if lengths is not None:
        read_lengths(where, lengths, *y.shape)
    ends = None if lengths is None else known_values(engine.asarray(lengths))
    known = known_values(y)
    if known is None or (lengths is not None and ends is None):
        return
    left = HOST.xp.ones(known.shape, dtype=bool) if pad is None else known != pad
    if ends is not None:
        left = left & (HOST.xp.arange(len(left))[:, None] < ends)
    if not left.any():
        raise ValueError(
            f"{where}: no target is left: all are padding (pad = {pad}); leave such a batch out"
        )


def tie(where: str, embedding: Embedding, head: Linear) -> None:
    """Tie embedding and head, drawn as the head. Raises ValueError for different widths."""
    vocabulary, width = embedding.weight.shape
    if head.weight.shape != (vocabulary, width):
        raise ValueError(
            f"{where}: tie_weights needs embedding = hidden, got {width} and {head.weight.shape[1]}"
        )
    embedding.weight = parameter((vocabulary, width), width**-0.5)
    head.weight = embedding.weight
