"""Measure sequence models, batch by batch. Above `comparing.py`.

A metric takes batches with `update(...)`, gives its value with `value()` and starts again with
`reset()`. Sums are kept in double precision, so the batches' sizes and order make no difference
that shows. Before the first batch the value is NaN.
"""

import math
from typing import Any

import engine
from engine import Tensor
from engine.checks import is_whole
from engine.suggestions import Advised
from rnn.keywords import METRICS
from rnn.metrics.comparing import as_integers, check_targets, compared, kept_of


class Metric(Advised):
    """Serve as base class: write `update`, `value` and `reset`; `name` is what logs call it.

    `better` says whether smaller values are better ("min") or larger ones ("max").

    >>> import rnn
    >>> class Last(rnn.metrics.Metric):
    ...     def update(self, x): self.x = x
    ...     def value(self): return self.x
    >>> metric = Last()
    >>> metric.update(0.5); metric.value()
    0.5
    """

    _advice = METRICS
    name = "metric"
    better = "max"

    def update(self, *batch: Any, **options: Any) -> None:
        """Take one more batch."""
        raise NotImplementedError(f"{type(self).__name__} has no update(...); write one")

    def value(self) -> float:
        """Return the value over all batches since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} has no value(); write one")

    def reset(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__} has no reset(); write one")

    # Where a metric has both of these, processes that validate together take a part each.
    def state(self) -> Any:
        """Return what it has gathered since `reset`, to be pickled."""
        raise NotImplementedError(f"{type(self).__name__} has no state(); write one")

    def merge(self, state: Any) -> None:
        """Take in what another one of its kind gave as its state."""
        raise NotImplementedError(f"{type(self).__name__} has no merge(state); write one")


class _Mean(Metric):
    """Take a sum over what counts, divided by how much counts."""

    def __init__(self, *, ignore: int | None = None) -> None:
        if ignore is not None and not is_whole(ignore):
            raise TypeError(f"{self.name}: ignore must be a class, an integer, got {ignore!r}")
        self.ignore = None if ignore is None else int(ignore)
        self.reset()

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    def state(self) -> Any:
        return self.total, self.count

    def merge(self, state: Any) -> None:
        self.total += state[0]
        self.count += state[1]

    def value(self) -> float:
        return self.total / self.count if self.count else math.nan


class NLL(_Mean):
    """Measure the mean negative log-likelihood of the targets, in nats a token.

    ``update(logits, targets, lengths=None)``: logits (T, B, V), targets (T, B), or any (..., V)
    and (...) without lengths (B,). Targets that are `ignore`, such as `vocabulary.pad`, and those
    after the lengths do not count.

    >>> import engine, rnn
    >>> metric = rnn.metrics.NLL(ignore=0)
    >>> metric.update(engine.zeros((3, 2, 4)), [[1, 2], [3, 0], [1, 0]], lengths=[3, 1])
    >>> round(metric.value(), 4), metric.count
    (1.3863, 4)
    """

    name, better = "nll", "min"

    def update(self, logits: Any, targets: Any, lengths: Any = None) -> None:
        """Add a batch. Raises as `engine.cross_entropy`, TypeError for targets of floats."""
        with engine.no_grad():
            logits = logits if isinstance(logits, Tensor) else engine.asarray(logits)
            targets = as_integers(self.name, "targets", targets, logits.device)
            if logits.shape[:-1] != targets.shape or not logits.ndim:
                raise ValueError(
                    f"{self.name}: logits {logits.shape} for targets {targets.shape}; expected "
                    "logits with one more axis, that of the classes"
                )
            kept = kept_of(targets, lengths, self.ignore)
            targets = engine.where(kept, targets, 0)
            terms = engine.cross_entropy(logits, targets, reduction="none")
            terms = engine.where(kept, engine.astype(terms, engine.float64), 0.0)
            self.total += engine.sum(terms).item()
            self.count += int(engine.sum(engine.astype(kept, engine.int64)).item())


class Perplexity(NLL):
    """Measure perplexity, exp of the mean negative log-likelihood a token. See `NLL`.

    >>> import engine, rnn
    >>> metric = rnn.metrics.Perplexity()
    >>> metric.update(engine.zeros((3, 2, 4)), engine.zeros((3, 2), dtype=engine.int64))
    >>> round(metric.value(), 4)
    4.0
    """

    name = "perplexity"

    def value(self) -> float:
        return perplexity(super().value())


class BitsPerCharacter(NLL):
    """Measure the negative log-likelihood in bits, by the number of characters. See `NLL`.

    A target is a character, unless `update` is told how many `characters` the targets of the batch
    spell, as it must be where tokens are words or parts of them.

    >>> import engine, rnn
    >>> metric = rnn.metrics.BitsPerCharacter()
    >>> metric.update(engine.zeros((3, 4)), [1, 2, 3], characters=12)
    >>> round(metric.value(), 4)
    0.5
    """

    name = "bits_per_character"

    def update(
        self, logits: Any, targets: Any, lengths: Any = None, *, characters: int | None = None
    ) -> None:
        """Add a batch. Raises as `NLL.update`, and ValueError for no number of characters."""
        whole = is_whole(characters)
        if characters is not None and not (whole and characters >= 0):
            raise ValueError(f"{self.name}: expected characters of at least 0, got {characters!r}")
        before = self.count
        super().update(logits, targets, lengths)
        if characters is not None:
            self.count = before + int(characters)

    def value(self) -> float:
        return bits(super().value())


class Accuracy(_Mean):
    """Measure the share of predictions that are right.

    ``update(predicted, targets, lengths=None)``: predicted classes shaped as the targets (T, B) or
    (B,), or logits with one more axis: the largest counts. Targets that are `ignore`, and those
    after the lengths (B,), do not count. Of the probabilities of one class give ``p > 0.5``.

    >>> import rnn
    >>> metric = rnn.metrics.Accuracy()
    >>> metric.update([[1, 2], [3, 0]], [[1, 2], [1, 0]], lengths=[2, 1])
    >>> round(metric.value(), 4)
    0.6667
    """

    name = "accuracy"

    def update(self, predicted: Any, targets: Any, lengths: Any = None) -> None:
        """Add a batch. Raises TypeError for floats as classes, ValueError for misfits and NaN."""
        with engine.no_grad():
            classes, targets, kept, number = compared(
                self.name, predicted, targets, lengths, self.ignore
            )
            check_targets(self.name, targets, kept, number)
            right = engine.bitwise_and(classes == targets, kept)
            self.total += float(engine.sum(engine.astype(right, engine.int64)).item())
            self.count += int(engine.sum(engine.astype(kept, engine.int64)).item())


def perplexity(nll: float) -> float:
    """Return exp of a mean negative log-likelihood in nats; inf beyond the floats.

    >>> import math, rnn
    >>> round(rnn.metrics.perplexity(math.log(4.0)), 9)
    4.0
    """
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf


def bits(nll: float) -> float:
    """Return nats as bits.

    >>> import math, rnn
    >>> rnn.metrics.bits(math.log(8))
    3.0
    """
    return nll / math.log(2)
