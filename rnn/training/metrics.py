"""Metrics of sequence models, gathered batch by batch. Above `spans.py`, `comparing.py`
and `translations.py`, below the loop.

A metric takes batches with `update(...)`, gives its figure with `value()` and starts again with
`reset()`. Sums are kept in double precision, so the batches' sizes and order make no difference
that shows. Before the first batch the figure is NaN.
"""

import math
from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from engine.checks import is_whole
from rnn.training.comparing import as_integers, check_targets, compared, kept_of, lengths_of
from rnn.training.spans import SpanCounts, span_scores
from rnn.training.translations import bleu, check_lists, uneven


class Metric:
    """Base class. Write `update`, `value` and `reset`; `name` is what logs call it.

    `better` says whether smaller figures are better ("min") or larger ones ("max").
    """

    name = "metric"
    better = "max"

    def update(self, *batch: Any, **options: Any) -> None:
        """Take one more batch."""
        raise NotImplementedError(f"{type(self).__name__} has no update(...); write one")

    def value(self) -> float:
        """Return the figure over all batches since `reset`."""
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
    """A sum over what counts, divided by how much counts."""

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
    """The mean negative log-likelihood of the targets, in nats a token.

    ``update(logits, targets, lengths=None)``: logits (T, B, V), targets (T, B), or any (..., V)
    and (...) without lengths (B,). Targets that are `ignore`, such as `vocabulary.pad`, and those
    after the lengths do not count.
    """

    name, better = "nll", "min"

    def update(self, logits: Any, targets: Any, lengths: Any = None) -> None:
        """Add a batch. Raises what `engine.cross_entropy` does, TypeError for targets that are no
        integers, ValueError for odd lengths and shapes.
        """
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
    """exp of the mean negative log-likelihood a token. See `NLL`."""

    name = "perplexity"

    def value(self) -> float:
        return perplexity(super().value())


class BitsPerCharacter(NLL):
    """The negative log-likelihood in bits, by the number of characters. See `NLL`.

    A target is a character, unless `update` is told how many `characters` the targets of the batch
    spell, as it must be where tokens are words or parts of them.
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
    """The share of predictions that are right.

    ``update(predicted, targets, lengths=None)``: predicted classes shaped as the targets (T, B) or
    (B,), or logits with one more axis, whose largest counts. Targets that are `ignore`, and those
    after the lengths (B,), do not count. Of the probabilities of one class give ``p > 0.5``.
    """

    name = "accuracy"

    def update(self, predicted: Any, targets: Any, lengths: Any = None) -> None:
        """Add a batch. Raises TypeError for classes and targets that are no integers, ValueError
        for shapes, lengths and classes that do not fit, and for NaN that counts.
        """
        with engine.no_grad():
            classes, targets, kept, number = compared(
                self.name, predicted, targets, lengths, self.ignore
            )
            check_targets(self.name, targets, kept, number)
            right = engine.bitwise_and(classes == targets, kept)
            self.total += float(engine.sum(engine.astype(right, engine.int64)).item())
            self.count += int(engine.sum(engine.astype(kept, engine.int64)).item())


class SpanF1(Metric):
    """F1 of labelled spans over all types, as conlleval counts; `counts` has the rest.

    `tags` are the names of the classes in order, such as a `Vocabulary`: ``"B-PER"``, ``"O"``.
    ``update(predicted, targets, lengths=None)`` takes classes (T, B), or logits (T, B, V), and
    targets (T, B), of which column b counts up to its length. A predicted tag that is no tag of a
    span (such as ``"<pad>"``) counts as O.
    """

    name = "span_f1"

    def __init__(self, tags: Sequence[str] | Any) -> None:
        self.tags = tuple(tags)
        self.outside = tuple(
            tag if tag[:2] in ("B-", "I-", "E-", "S-") or tag in ("B", "I", "E", "S") else "O"
            for tag in self.tags
        )
        self.reset()

    def reset(self) -> None:
        self.counts = SpanCounts()

    def state(self) -> Any:
        return self.counts

    def merge(self, state: Any) -> None:
        self.counts.merge(state)

    def update(self, predicted: Any, targets: Any, lengths: Any = None) -> None:
        """Add a batch. Raises ValueError for shapes and lengths that do not fit, NaN and classes
        without a tag, TypeError for classes that are no integers; then nothing has changed.
        """
        with engine.no_grad():
            classes, targets, *_ = compared("span_f1", predicted, targets, lengths, None)
        if targets.ndim != 2:
            raise ValueError(f"span_f1: expected targets (T, B), got {targets.shape}")
        T, B = targets.shape
        ends = [T] * B if lengths is None else lengths_of(lengths, (T, B)).numpy().tolist()
        ours, gold = classes.numpy().T.tolist(), targets.numpy().T.tolist()
        added = span_scores(
            [_tags(self.outside, row[:n], "prediction") for row, n in zip(ours, ends, strict=True)],
            [_tags(self.tags, row[:n], "target") for row, n in zip(gold, ends, strict=True)],
        )
        self.counts.merge(added)

    def value(self) -> float:
        return self.counts.overall.f1 if self.counts.tags else math.nan


class BLEU(Metric):
    """BLEU of translations, 0 to 100, by the package sacrebleu.

    ``update(hypotheses, references)``: lists of texts, or for several references of a sentence a
    list of lists. `options` are those of `sacrebleu.corpus_bleu`, such as ``lowercase=True``.
    """

    name = "bleu"

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        self.hypotheses: list[str] = []
        self.references: list[Any] = []

    def state(self) -> Any:
        return self.hypotheses, self.references

    def merge(self, state: Any) -> None:
        self.hypotheses += state[0]
        self.references += state[1]

    def update(self, hypotheses: Sequence[str], references: Sequence[Any]) -> None:
        """Add a batch. Raises ValueError for different numbers of texts, TypeError for one text."""
        check_lists(hypotheses, references)
        if len(hypotheses) != len(references):
            raise ValueError(uneven(hypotheses, references))
        self.hypotheses += hypotheses
        self.references += references

    def value(self) -> float:
        if not self.hypotheses:
            return math.nan
        return bleu(self.hypotheses, self.references, **self.options)


def perplexity(nll: float) -> float:
    """Return exp of a mean negative log-likelihood in nats; inf where that is too large for a
    float.

    >>> import math, rnn.training.metrics as metrics
    >>> round(metrics.perplexity(math.log(4.0)), 9)
    4.0
    """
    try:
        return math.exp(nll)
    except OverflowError:
        return math.inf


def bits(nll: float) -> float:
    """Return nats as bits."""
    return nll / math.log(2)


def _tags(tags: Sequence[str], classes: Sequence[int], what: str) -> list[str]:
    """Return the tags of classes. Raises ValueError for a class that has none, such as -1."""
    for index in classes:
        if not 0 <= index < len(tags):
            raise ValueError(
                f"span_f1: {what} {index} is none of the {len(tags)} tags; "
                "padding? give the lengths"
            )
    return [tags[index] for index in classes]
