"""Score translations by BLEU, which the package sacrebleu computes. Below `metrics.py`."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any


def bleu(hypotheses: Sequence[str], references: Sequence[Any], **options: Any) -> float:
    """Return the corpus BLEU of texts, 0 to 100, as sacrebleu computes it (Post, 2018).

    `references` has a text for each hypothesis, or a list of texts each, as many for every one.
    Raises ImportError without sacrebleu, ValueError for numbers that differ, TypeError for a text
    where a list of texts is meant.
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
