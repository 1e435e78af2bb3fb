"""Feed recurrences the truth while they train, at every step, all steps at once, or by a coin.

Where the only thing that a step takes from the one before is its output, and the output is known
while training, no step waits for another (Goodfellow, Bengio and Courville, Deep learning, 2016,
section 10.2.1). Above `layers/recurrent.py`, below `decoder.py`.
"""

import math
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from engine.scan.padding import read_lengths
from engine.state import current
from rnn.cells import Cell
from rnn.layers.recurrent import Checkpoint, Recurrent
from rnn.models.stacks import sequence_mask
from rnn.modules.module import Module
from rnn.modules.values import probability

FEEDBACKS = ("argmax", "sample")
DECAYS = ("linear", "exponential", "inverse sigmoid")


def forcing_ratio(step: int, decay: str, k: float, *, least: float = 0.0) -> float:
    """Return the share of steps with teacher forcing after so many updates: scheduled sampling.

    ``"linear"``: 1 - step / k, 0 after k updates; ``"exponential"``: k^step with k < 1;
    ``"inverse sigmoid"``: k / (k + e^(step / k)) with k >= 1. Never under `least`. Raises
    ValueError for another decay and settings out of range. Source: Bengio et al., Scheduled
    sampling for sequence prediction with recurrent neural networks, 2015, section 2.4.

    >>> from rnn.models import forcing_ratio
    >>> [forcing_ratio(step, "linear", 100, least=0.2) for step in (0, 50, 200)]
    [1.0, 0.5, 0.2]
    """
    if decay not in DECAYS:
        raise ValueError(f"forcing_ratio: unknown decay {decay!r}; there are {', '.join(DECAYS)}")
    least = probability("forcing_ratio: least", least)
    low, high = {"linear": (0.0, math.inf), "exponential": (0.0, 1.0)}.get(decay, (1.0, math.inf))
    if not (low < k < high or (k == 1 and decay == "inverse sigmoid")) or step < 0:
        raise ValueError(
            f"forcing_ratio: expected step >= 0 and for {decay} {'1 <=' if low else '0 <'} k < "
            f"{high}, got step = {step!r}, k = {k!r}"
        )
    if decay == "linear":
        found = 1 - step / k
    elif decay == "exponential":
        found = k**step
    else:
        found = k / (k + math.exp(min(step / k, 700.0)))
    return max(least, found)


class Feedback:
    """Choose an index from logits, and flip the coins that say when it is fed back.

    Raises ValueError for a ratio outside of [0, 1] and another kind of feedback.
    """

    def __init__(self, where: str, ratio: float, feedback: str) -> None:
        if feedback not in FEEDBACKS:
            raise ValueError(f"{where}: unknown feedback {feedback!r}; there are {FEEDBACKS}")
        self.ratio, self.feedback = probability(f"{where}: ratio", ratio), feedback

    def drawn(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return coins (U, B), true where the truth is fed, and numbers to sample with, by step."""
        words = engine.random.fresh_key("teacher forcing").numpy().tolist()
        coins, marks, (total, own) = [], [], _rows(inputs.shape[1])
        for t in range(inputs.shape[0]):
            tossed = engine.random.generator("teacher forcing", *words, t)
            numbers = tossed.random((total, 2))[own]  # a pair for each row
            coins.append(numbers[:, 0] < (self.ratio if t else 1))
            marks.append(numbers[:, 1])
        told = engine.asarray(HOST.xp.stack(coins), device=inputs.device)
        if self.feedback == "argmax":
            return told, None
        return told, engine.asarray(HOST.xp.stack(marks), device=inputs.device)

    def __call__(self, logits: Tensor, mark: Tensor | None) -> Tensor:
        """Return the index (B,) that is fed back; no gradient goes through it."""
        if mark is None:
            return engine.argmax(logits, axis=-1)
        heaps = engine.cumsum(engine.softmax(logits, axis=-1), axis=-1)
        at = engine.expand_dims(engine.astype(mark, logits.dtype), axis=-1) * heaps[:, -1:]
        passed = engine.astype(heaps <= at, engine.int64)
        drawn = engine.sum(passed, axis=-1)
        return engine.minimum(drawn, logits.shape[-1] - 1)


def _rows(count: int) -> tuple[int, slice]:
    """Return how many rows the whole batch has, and which of them are these."""
    rows = current().rows
    if rows is None or rows.size != count:
        return count, slice(count)
    return rows.total, slice(rows.first, rows.first + count)


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
    """Run a cell with its output as state: ``(x, target=None, lengths=None, first=None) -> y``.

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
