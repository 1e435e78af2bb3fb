"""Run recurrent layers as Keras does: batch first, masks, the last output or all. Below `keras.py`.

Keras leaves a step out of a row where its mask says so. The state is kept then, and the output is
that of the step before, or zero inside of its `Bidirectional`.
"""

from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from rnn.cells import Cell
from rnn.layers.recurrent import Recurrent
from rnn.modules.feedforward import Embedding
from rnn.modules.module import Module

MERGES = ("concat", "sum", "mul", "ave")


class KerasRecurrent(Module):
    """Run a cell over time as a recurrent layer of Keras: ``(x, mask=None) -> y``.

    x (B, T, I), mask (B, T) of booleans, true where there is a step. y (B, T, H) with
    `return_sequences`, else the output (B, H) of the last step that a row has. `go_backwards` reads
    from the last step to the first and gives the outputs in that order. With a second cell,
    `backward`, it is Keras's `Bidirectional`: that cell reads backward, and `merge` is "concat",
    "sum", "mul" or "ave" of both outputs. `zero_output_for_mask` puts zeros where there is no step,
    always with two cells; else the output before is repeated. Raises ValueError for another
    `merge`, and for two cells with `go_backwards`.

    >>> import engine, rnn
    >>> rnn.interop.KerasRecurrent(rnn.GRUCell(3, 5))(engine.ones((2, 7, 3))).shape
    (2, 5)
    """

    def __init__(
        self,
        cell: Cell,
        backward: Cell | None = None,
        *,
        return_sequences: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        merge: str = "concat",
        layer: int = 0,
    ) -> None:
        if merge not in MERGES:
            raise ValueError(f"KerasRecurrent: merge must be one of {MERGES}, got {merge!r}")
        if backward is not None and go_backwards:
            raise ValueError("KerasRecurrent: go_backwards is for one cell, got two")
        self.onward = Recurrent(cell, batch_first=True, reverse=go_backwards, layer=layer)
        self.backward = None
        if backward is not None:
            self.backward = Recurrent(backward, batch_first=True, reverse=True, layer=layer)
        self.return_sequences, self.merge = return_sequences, merge
        self.go_backwards, self.zero_output_for_mask = go_backwards, zero_output_for_mask

    def forward(self, x: Any, mask: Any = None) -> Tensor:
        given = {} if mask is None else {"mask": mask}
        y, state = self.onward(x, **given)
        if self.backward is None:
            if not self.return_sequences:
                return _last(state)
            y = engine.flip(y, axis=1) if self.go_backwards else y
            if mask is None or self.zero_output_for_mask:
                return y
            return _held(y, engine.flip(mask, axis=1) if self.go_backwards else mask)
        z, end = self.backward(x, **given)
        both = (y, z) if self.return_sequences else (_last(state), _last(end))
        return _merged(self.merge, *both)


class KerasEmbedding(Embedding):
    """Embed indices with Keras's ``mask_zero``: steps with the index 0 are left out after it.

    >>> import engine, rnn
    >>> rnn.interop.KerasEmbedding(9, 4)(engine.asarray([[5, 2, 0]])).shape
    (1, 3, 4)
    """

    def mask(self, ids: Any) -> Tensor:
        """Return which steps (B, T) there are."""
        return engine.asarray(ids) != 0


class KerasMasking(Module):
    """Mask as Keras does: steps with all features `mask_value` are zero, and left out after it.

    x (B, T, I) -> (B, T, I).

    >>> import rnn
    >>> rnn.interop.KerasMasking(-1.0)([[[0.5, -1.0], [-1.0, -1.0]]]).tolist()
    [[[0.5, -1.0], [0.0, 0.0]]]
    """

    def __init__(self, mask_value: float = 0.0) -> None:
        self.mask_value = float(mask_value)

    def mask(self, x: Any) -> Tensor:
        """Return which steps (B, T) there are."""
        return engine.any(engine.asarray(x) != self.mask_value, axis=-1)

    def forward(self, x: Any) -> Tensor:
        return engine.where(engine.expand_dims(self.mask(x), axis=-1), x, 0.0)


class KerasModel(Module):
    """Run the layers of a model of Keras in order, batch first: ``(x, mask=None) -> y``.

    x (B, T) indices or (B, T, I). `layers` are modules and functions, `names` what Keras calls
    them. Masks begin at embeddings and `KerasMasking`, or are given, go to all recurrent layers
    after that, and end at one that returns its last output alone.

    >>> import engine, rnn
    >>> net = rnn.interop.KerasModel([rnn.interop.KerasEmbedding(9, 4), rnn.Linear(4, 2)])
    >>> net(engine.asarray([[5, 2, 0]])).shape
    (1, 3, 2)
    """

    def __init__(self, layers: Sequence[Any], names: Sequence[str] | None = None) -> None:
        self.layers = list(layers)
        self.names = list(names or map(str, range(len(self.layers))))

    def forward(self, x: Any, mask: Any = None) -> Tensor:
        x = x if isinstance(x, Tensor) else engine.asarray(x)
        for layer in self.layers:
            if isinstance(layer, KerasRecurrent):
                x = layer(x, mask)
                mask = mask if layer.return_sequences else None
                continue
            if isinstance(layer, Embedding) and x.dtype.kind == "f":
                x = engine.astype(x, engine.int64)  # Keras takes indices of any dtype
            mask = layer.mask(x) if hasattr(layer, "mask") else mask
            x = layer(x)
        found: Tensor = x
        return found


def _last(state: Any) -> Tensor:
    """Return the output of the last step, which is the first state of every cell of Keras."""
    return state[0] if isinstance(state, tuple) else state  # type: ignore[no-any-return]


def _held(y: Tensor, mask: Tensor) -> Tensor:
    """Return y (B, T, H) with the output before where there is no step, zero where none was."""
    steps = engine.arange(y.shape[1], device=y.device)
    last = engine.cummax(engine.where(mask, steps, -1), axis=1)  # (B, T)
    places = engine.expand_dims(engine.maximum(last, 0), axis=-1)
    found = engine.take_along_axis(y, engine.broadcast_to(places, y.shape), axis=1)
    kept: Tensor = engine.where(engine.expand_dims(last >= 0, axis=-1), found, 0.0)
    return kept


def _merged(merge: str, y: Tensor, z: Tensor) -> Tensor:
    """Return the outputs of both directions as one."""
    if merge == "concat":
        return engine.concat([y, z], axis=-1)
    if merge == "mul":
        return y * z
    return y + z if merge == "sum" else (y + z) / 2
