"""Score translations by BLEU, which the package sacrebleu computes. Above `base.py`."""

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from rnn.metrics.base import Metric


def bleu(hypotheses: Sequence[str], references: Sequence[Any], **options: Any) -> float:
    """Return the corpus BLEU of texts, 0 to 100, as sacrebleu computes it (Post, 2018).

    `references` has a text for each hypothesis, or a list of texts each, as many for every one.
    Raises ImportError without sacrebleu, ValueError for numbers that differ, TypeError for a text
    where a list of texts is meant.

    >>> import rnn
    >>> rnn.metrics.bleu(["the cat sat on it"], ["the cat sat on it"])  # doctest: +SKIP
    """
    try:
        sacrebleu = import_module("sacrebleu")
    except ImportError as error:
        raise ImportError("bleu needs the package sacrebleu: pip install sacrebleu") from error
    check_lists(hypotheses, references)
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(uneven(hypotheses, references))
    several = [[one] if isinstance(one, str) else list(one) for one in references]
    counts = [len(one) for one in several]
    if min(counts) != max(counts) or not counts[0]:
        raise ValueError(
            f"bleu: a sentence has {min(counts)} references and another {max(counts)}; expected as "
            "many for each, at least one"
        )
    columns = [list(column) for column in zip(*several, strict=True)]
    return float(sacrebleu.corpus_bleu(list(hypotheses), columns, **options).score)


def check_lists(hypotheses: Any, references: Any) -> None:
    """Raise TypeError for a text where a list of texts is meant, and for hypotheses of tokens."""
    for name, given in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(given, str):
            raise TypeError(f"bleu: {name} are one text, {given[:20]!r}; give a list of texts")
    if odd := [one for one in hypotheses if not isinstance(one, str)]:
        raise TypeError(f"bleu: a hypothesis is {odd[0]!r:.40}, expected a text; join its tokens")


def uneven(hypotheses: Sequence[str], references: Sequence[Any]) -> str:
    return (
        f"bleu: {len(hypotheses)} hypotheses for {len(references)} references; expected as many, "
        "at least one"
    )


class BLEU(Metric):
    """Measure BLEU of translations, 0 to 100, by the package sacrebleu.

    ``update(hypotheses, references)``: lists of texts, or for several references of a sentence a
    list of lists. `options` are those of `sacrebleu.corpus_bleu`, such as ``lowercase=True``.

    >>> import rnn
    >>> metric = rnn.metrics.BLEU(lowercase=True)
    >>> metric.update(["The cat sat on it."], ["the cat sat on it."])
    >>> metric.value()  # doctest: +SKIP
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
