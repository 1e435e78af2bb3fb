"""What a decoder is fed while it trains: the truth, or its own choice. Below `decoder.py`."""

import math

import engine
from engine import Tensor
from engine.backends import HOST
from engine.state import current
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
    """The choice of an index from logits, and the coins that say when it is fed back.

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
