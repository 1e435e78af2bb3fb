"""Search the most probable sequences by beams, several at once. Above `streaming.py`.

Source: Wu et al., Google's neural machine translation system, 2016, for the length penalty.
"""

import math
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import is_whole
from engine.pytree import flatten
from rnn.decoding.sampling import largest, real
from rnn.decoding.streaming import Advance
from rnn.modules.module import positive


class Hypothesis(NamedTuple):
    """Hold a sequence without its end, and whether it came to its end.

    `log_probability` is in nats; `score`, which ranks sequences, is that over the length penalty.

    >>> import rnn
    >>> rnn.decoding.Hypothesis([4, 2], score=-0.9, log_probability=-1.2).ended
    True
    """

    indices: list[int]
    score: float
    log_probability: float
    ended: bool = True


def length_penalty(length: int, alpha: float) -> float:
    """Return ((5 + length) / 6)^alpha, by which a log probability is divided; `length` in indices.

    Source: Wu et al., Google's neural machine translation system, 2016, equation 14.

    >>> import rnn
    >>> rnn.decoding.length_penalty(7, 1.0)
    2.0
    """
    return float(((5 + length) / 6) ** alpha)


def beam_search(
    advance: Advance,
    start: Any,
    state: Any = None,
    *,
    end: int,
    limit: int,
    width: int = 4,
    alpha: float = 0.0,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Return the `n_best` sequences of each row after `start` (B,) by beams, best first.

    A score is log p / ((5 + |Y|) / 6)^alpha, |Y| counted with the end; sequences of `limit` indices
    without an end are taken as they are. Every tensor of the state has its rows on axis 0. A row is
    searched until nothing that is still open can beat what was found; of equal scores the one
    with smaller indices comes first. Where `width` leaves nothing out the result is exact.
    Raises ValueError for settings out of range, for a start that is no integers (B,), and for
    logits of a row that have NaN or inf or are all -inf; TypeError for an end that is no integer.

    >>> import engine, rnn
    >>> table = engine.log(engine.asarray([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]))
    >>> advance = lambda index, state: (table[index], state)
    >>> [one] = rnn.beam_search(advance, [0], end=2, limit=4)
    >>> one[0].indices, round(one[0].log_probability, 4)
    ([1], -1.5606)
    """
    positive(limit=limit, width=width, n_best=n_best)
    check_width("beam_search", width, n_best)
    if not 0 <= real(alpha) < math.inf:
        raise ValueError(f"beam_search: alpha must be a finite number of at least 0, got {alpha!r}")
    if not is_whole(end):
        raise TypeError(f"beam_search: end must be an integer, an index of the model, got {end!r}")
    first = start.numpy() if isinstance(start, Tensor) else HOST.xp.asarray(start)
    if first.ndim != 1 or first.dtype.kind not in "iu":
        raise ValueError(
            f"beam_search: expected start as integers (B,), got {first.dtype} of shape "
            f"{first.shape}"
        )
    rows = [_Row(int(end), limit, width, float(alpha), n_best) for _ in range(len(first))]
    with engine.no_grad():
        _run(advance, first, state, rows, width)
    return [row.best() for row in rows]


def check_width(name: str, width: int, n_best: int) -> None:
    """Raise ValueError where more is asked for than a beam holds."""
    if n_best > width:
        raise ValueError(f"{name}: n_best = {n_best} of a beam of {width}; widen it")


def _run(advance: Advance, indices: Array, state: Any, rows: "list[_Row]", width: int) -> None:
    """Advance the open beams of all rows until none is left."""
    numbers = list(range(len(rows)))  # the rows that are open
    beams = 1
    carried = _Carried(state)
    while numbers:
        logits, state = advance(indices, carried.state)
        if logits.ndim != 2 or logits.shape[0] != len(indices):
            raise ValueError(
                f"beam_search: advance returned logits {logits.shape} for {len(indices)} rows; "
                "expected (B, V)"
            )
        values = engine.astype(logits, engine.float64)
        largest("beam_search", values)
        scores = engine.log_softmax(values, axis=-1).numpy().reshape((len(numbers), beams, -1))
        sources: list[int] = []
        taken: list[int] = []
        left = []
        for place, number in enumerate(numbers):
            before, after = rows[number].advance(scores[place])
            if before:
                left.append(number)
                # What is missing of a beam is filled up: all rows are as wide.
                fill = width - len(before)
                sources += [place * beams + one for one in (*before, *before[:1] * fill)]
                taken += [*after, *after[:1] * fill]
        if left:
            same = left == numbers and beams == width
            carried.reorder(state, HOST.xp.asarray(sources), same=same)
            indices = HOST.xp.asarray(taken)
        numbers, beams = left, width


class _Carried:
    """Hold the state of all beams. What no step has changed yet is the same in all beams of a row,
    such as the outputs of an encoder, and is left where it is.
    """

    def __init__(self, state: Any) -> None:
        self.state = state
        self.leaves = flatten(state)[0]
        self.constant = [True] * len(self.leaves)

    def reorder(self, state: Any, beams: Array, *, same: bool) -> None:
        """Go on with these beams of the state after a step; `same`: each in the row it was in."""
        after, rebuild = flatten(state)
        if len(after) == len(self.leaves):
            triples = zip(self.constant, after, self.leaves, strict=True)
            self.constant = [known and new is old for known, new, old in triples]
        else:
            self.constant = [False] * len(after)
        self.leaves = [
            x if not isinstance(x, Tensor) or (same and known) else engine.take(x, beams, axis=0)
            for x, known in zip(after, self.constant, strict=True)
        ]
        self.state = rebuild(self.leaves)


class _Row:
    """Hold the beam of one row: open hypotheses, and the best of the finished ones."""

    def __init__(self, end: int, limit: int, width: int, alpha: float, n_best: int) -> None:
        self.end, self.limit, self.width, self.n_best = end, limit, width, n_best
        self.alpha = alpha
        self.open: list[tuple[float, list[int]]] = [(0.0, [])]
        self.finished: list[Hypothesis] = []

    def advance(self, log_probs: Array) -> tuple[list[int], list[int]]:
        """Return the beams (k, V) one index on: former beams and indices, empty at the end."""
        own = log_probs[: len(self.open)]
        V = own.shape[1]
        if not 0 <= self.end < V:
            told = f"end = {self.end} for {V} classes; expected 0 to {V - 1}"
            raise ValueError(f"beam_search: {told}")
        totals = own + HOST.xp.asarray([[score] for score, _ in self.open])
        new: list[tuple[float, list[int]]] = []
        sources, taken = [], []
        for flat in _largest(totals.reshape(-1), 2 * self.width):
            beam, index = divmod(int(flat), V)
            score, indices = float(totals[beam, index]), self.open[beam][1]
            if score == -math.inf:
                continue
            if index == self.end:
                self._finish(score, indices, True)
            elif len(new) < self.width:
                new.append((score, [*indices, index]))
                sources.append(beam)
                taken.append(index)
        self.open = new
        if new and len(new[0][1]) == self.limit:
            for score, indices in new:
                self._finish(score, indices, False)
            self.open = []
        return (sources, taken) if self.open and not self._decided() else ([], [])

    def _finish(self, score: float, indices: list[int], ended: bool) -> None:
        penalty = length_penalty(len(indices) + ended, self.alpha)
        self.finished.append(Hypothesis(indices, score / penalty, score, ended))
        self.finished = self.best()

    def _decided(self) -> bool:
        """Return whether no open sequence can reach the score of the last one returned."""
        if len(self.finished) < self.n_best:
            return False
        hope = max(score for score, _ in self.open) / length_penalty(self.limit, self.alpha)
        return hope < self.finished[-1].score

    def best(self) -> list[Hypothesis]:
        """Return the best that are finished, best first."""
        return sorted(self.finished, key=lambda one: (-one.score, one.indices))[: self.n_best]


def _largest(x: Array, k: int) -> Array:
    """Return the positions of the k largest of x (n,), the largest first, of equals the first."""
    if k < len(x):
        limit = HOST.xp.partition(x, len(x) - k)[len(x) - k]
        above = HOST.xp.flatnonzero(x > limit)
        equal = HOST.xp.flatnonzero(x == limit)[: k - len(above)]
        chosen = HOST.xp.sort(HOST.xp.concatenate((above, equal)))
    else:
        chosen = HOST.xp.arange(len(x))
    return chosen[HOST.xp.argsort(-x[chosen], kind="stable")]
