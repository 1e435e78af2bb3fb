"""Find spans in sequences of tags, and their precision, recall and F1 as conlleval counts them.

Source: the script conlleval of the shared tasks CoNLL-2000 to 2003. Above `base.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

import engine
from rnn.metrics.base import Metric
from rnn.metrics.comparing import compared, lengths_of

PREFIXES = "BIESO"


class Span(NamedTuple):
    """Hold the tags from `start` to before `stop`, all of one `type`.

    >>> import rnn
    >>> rnn.metrics.spans(["B-PER", "I-PER", "O"])
    [Span(start=0, stop=2, type='PER')]
    """

    start: int
    stop: int
    type: str


class Score(NamedTuple):
    """Count the spans that there are, that were found, and that were found rightly.

    >>> import rnn
    >>> score = rnn.metrics.Score(gold=4, found=2, correct=1)
    >>> score.precision, score.recall, round(score.f1, 4)
    (0.5, 0.25, 0.3333)
    """

    gold: int
    found: int
    correct: int

    @property
    def precision(self) -> float:
        """Return the share of those found that are right; 0 where none were found."""
        return self.correct / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Return the share of those that there are that were found; 0 where there are none."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def spans(tags: Sequence[str]) -> list[Span]:
    """Return the spans of a sentence, in order, by tags such as ``"B-PER"``, ``"O"``.

    IOB1, IOB2 (BIO), IOE and IOBES are read alike, and so is what is malformed, as conlleval does:
    a span begins at B and S, and at I and E after O, E, S or another type, so ``O I-PER`` begins
    one; it ends before the next begins, before O, and after E and S. A tag without a type has the
    type ``""``. conlleval itself knows no S, and no B after E; here they mean what IOBES says.
    Raises ValueError for a tag that is none of these.

    >>> import rnn
    >>> [tuple(span) for span in rnn.metrics.spans(["I-PER", "I-PER", "O", "I-LOC", "B-LOC"])]
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 5, 'LOC')]
    """
    found: list[Span] = []
    start, before, kind_before = 0, "O", ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, kind = _parsed(tag)
        begins = prefix in "BS" or before in "OES" or kind != kind_before
        if before != "O" and (prefix == "O" or begins):
            found.append(Span(start, place, kind_before))
        if prefix != "O" and begins:
            start = place
        before, kind_before = prefix, kind
    return found


def _parsed(tag: str) -> tuple[str, str]:
    """Return the letter of a tag and its type, which may hold hyphens."""
    prefix, _, kind = tag.partition("-")
    if len(prefix) != 1 or prefix not in PREFIXES:
        raise ValueError(
            f"spans: tag {tag!r}; expected O, or B-, I-, E- or S- and a type (padding? give the "
            "lengths)"
        )
    return prefix, "" if prefix == "O" else kind


@dataclass
class SpanCounts:
    """Count what `add` has seen: spans by type, and tags. ``str`` of it reads as conlleval prints.

    The scores are between 0 and 1; `str` gives percent.

    >>> import rnn
    >>> counts = rnn.metrics.SpanCounts()
    >>> counts.add(["B-PER", "O"], ["B-PER", "I-PER"]); counts.add(["O", "B-LOC"], ["O", "B-LOC"])
    >>> counts.overall.f1, counts.by_type["PER"].recall
    (0.5, 0.0)
    """

    gold: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)
    tags: int = 0
    right_tags: int = 0

    def add(self, predicted: Sequence[str], gold: Sequence[str]) -> None:
        """Count one more sentence.

        Raises ValueError for lengths that differ and bad tags; then nothing has changed.
        """
        if len(predicted) != len(gold):
            raise ValueError(
                f"spans: {len(predicted)} predicted tags for {len(gold)} in a sentence; "
                "give as many"
            )
        found, there = spans(predicted), spans(gold)
        same = frozenset(found).intersection(there)
        self.found.update(span.type for span in found)
        self.gold.update(span.type for span in there)
        self.correct.update(span.type for span in found if span in same)
        self.tags += len(gold)
        self.right_tags += sum(map(str.__eq__, predicted, gold))

    def merge(self, other: "SpanCounts") -> None:
        """Count what the other has counted too."""
        self.gold.update(other.gold)
        self.found.update(other.found)
        self.correct.update(other.correct)
        self.tags += other.tags
        self.right_tags += other.right_tags

    @property
    def by_type(self) -> dict[str, Score]:
        """Return the score of each type that there is or was found, by alphabet."""
        kinds = sorted(dict.fromkeys([*self.gold, *self.found]))
        return {k: Score(self.gold[k], self.found[k], self.correct[k]) for k in kinds}

    @property
    def overall(self) -> Score:
        """Return the score over all types: the micro-average."""
        return Score(self.gold.total(), self.found.total(), self.correct.total())

    @property
    def accuracy(self) -> float:
        """Return the share of tags that are right, O among them; 0 where there are none."""
        return self.right_tags / self.tags if self.tags else 0.0

    def __str__(self) -> str:
        score = self.overall
        lines = [
            f"processed {self.tags} tokens with {score.gold} phrases; found: {score.found} "
            f"phrases; correct: {score.correct}.",
            f"accuracy: {100 * self.accuracy:6.2f}%; {_percent(score)}",
        ]
        lines += [f"{kind:>17}: {_percent(one)}  {one.found}" for kind, one in self.by_type.items()]
        return "\n".join(lines)


def _percent(score: Score) -> str:
    return (
        f"precision: {100 * score.precision:6.2f}%; recall: {100 * score.recall:6.2f}%; "
        f"FB1: {100 * score.f1:6.2f}"
    )


def span_scores(predicted: Iterable[Sequence[str]], gold: Iterable[Sequence[str]]) -> SpanCounts:
    """Return the counts over sentences of predicted and of right tags.

    Raises ValueError for numbers of sentences, or of tags in one, that differ.

    >>> import rnn
    >>> rnn.metrics.span_scores([["B-LOC", "O"]], [["B-LOC", "B-LOC"]]).overall
    Score(gold=2, found=1, correct=1)
    """
    counts = SpanCounts()
    for ours, theirs in zip_longest(predicted, gold):
        if ours is None or theirs is None:
            few, many = ("predicted", "gold") if ours is None else ("gold", "predicted")
            raise ValueError(f"span_scores: fewer {few} sentences than {many}; give as many")
        counts.add(ours, theirs)
    return counts


class SpanF1(Metric):
    """Measure F1 of labelled spans over all types, as conlleval counts; `counts` has the rest.

    `tags` are the names of the classes in order, such as a `Vocabulary`: ``"B-PER"``, ``"O"``.
    ``update(predicted, targets, lengths=None)`` takes classes (T, B), or logits (T, B, V), and
    targets (T, B), of which column b counts up to its length. A predicted tag that is no tag of a
    span (such as ``"<pad>"``) counts as O.

    >>> import rnn
    >>> metric = rnn.metrics.SpanF1(["O", "B-PER", "I-PER"])
    >>> metric.update([[1], [0], [1]], [[1], [2], [1]])
    >>> metric.value(), metric.counts.overall
    (0.5, Score(gold=2, found=2, correct=1))
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


def _tags(tags: Sequence[str], classes: Sequence[int], what: str) -> list[str]:
    """Return the tags of classes. Raises ValueError for a class that has none, such as -1."""
    for index in classes:
        if not 0 <= index < len(tags):
            raise ValueError(
                f"span_f1: {what} {index} is none of the {len(tags)} tags; "
                "padding? give the lengths"
            )
    return [tags[index] for index in classes]
