"""Recurrences from the output alone, trained with all steps at once. Above `layers/recurrent.py`.

Where the only thing that a step takes from the one before is its output, and the output is known
while training, no step waits for another (Goodfellow, Bengio and Courville, Deep learning, 2016,
section 10.2.1).
"""

from typing import Any

import engine
from engine import Tensor
from engine.scan.padding import read_lengths
from rnn.cells import Cell
from rnn.layers.recurrent import Checkpoint, Recurrent
from rnn.models.stacks import sequence_mask
from rnn.modules.module import Module


def forced(cell: Cell, x: Any, target: Any, first: Any = None) -> Tensor:
    """Return the outputs (T, B, O) of a cell of which the state is its output, all steps at once.

    x (T, B, I); step t is fed the target (T, B, O) of t - 1, the first one `first` (B, O), zeros by
    default. One step of T * B rows: there is no recurrence. Raises TypeError for a cell that
    carries anything else, ValueError for shapes that do not fit.

    >>> import engine, rnn
    >>> from rnn.models import forced
    >>> forced(rnn.JordanCell(3, 5, 2), engine.ones((7, 4, 3)), engine.ones((7, 4, 2))).shape
    (7, 4, 2)
    """
    name, sizes = type(cell).__name__, list(cell.state_size.values())
    if len(sizes) != 1:
        raise TypeError(f"forced: {name} carries {', '.join(cell.state_size)}; run it by Recurrent")
    x = x if isinstance(x, Tensor) else engine.asarray(x)
    if x.ndim != 3 or x.shape[-1] != cell.input_size:
        raise ValueError(f"forced: expected x (T, B, I) with I = {cell.input_size}, got {x.shape}")
    known = engine.asarray(target, device=x.device)
    T, B, _ = x.shape
    O = sizes[0]
    if known.shape != (T, B, O):
        raise ValueError(f"forced: expected targets {(T, B, O)}, got {known.shape}")
    before = cell.zero_state(B, like=known) if first is None else cell.checked(first, B, "forced")
    before = engine.expand_dims(before, axis=0)
    fed = engine.concat([before, known[:-1]], axis=0) if T else known
    with engine.scope(cell=name):
        y, state = cell.stepped(x.reshape((T * B, cell.input_size)), fed.reshape((T * B, O)))
    if state is not y:
        raise TypeError(f"forced: the state of {name} is not its output; run it by Recurrent")
    found: Tensor = y.reshape((T, B, O))
    return found


class OutputRecurrent(Module):
    """A cell with its output as state: ``(x, target=None, lengths=None, first=None) -> y``.

    With targets (T, B, O) it is fed those, all steps at once; without it runs free, each step fed
    what it has put out before, the first `first` (B, O), zeros by default. x is (T, B, I); outputs
    past `lengths` (B,) are 0. Raises as `forced` with targets, and ValueError for lengths that are
    not in 0 to T. Source: Goodfellow, Bengio and Courville, Deep learning, 2016, section 10.2.1.

    >>> import engine, rnn
    >>> from rnn.models import OutputRecurrent
    >>> OutputRecurrent(rnn.JordanCell(3, 5, 2))(engine.ones((7, 4, 3))).shape
    (7, 4, 2)
    """

    def __init__(self, cell: Cell, *, checkpoint: Checkpoint = False) -> None:
        self.recurrent = Recurrent(cell, checkpoint=checkpoint)

    def forward(self, x: Any, target: Any = None, lengths: Any = None, first: Any = None) -> Tensor:
        if target is None:
            return self.recurrent(x, first, lengths)[0]  # type: ignore[no-any-return]
        x, target = engine.asarray(x), engine.asarray(target)
        if lengths is None or x.ndim != 3:  # the latter is refused there
            return forced(self.recurrent.cell, x, target, first)
        ends = read_lengths(type(self).__name__, lengths, *x.shape[:2])
        kept = engine.expand_dims(sequence_mask(ends, x.shape[0], x.device), axis=-1)
        # Nothing of padding is read: selecting among the outputs would keep NaN in gradients.
        x, target = (engine.where(kept, one, 0.0) for one in (x, target))
        return engine.where(kept, forced(self.recurrent.cell, x, target, first), 0.0)
