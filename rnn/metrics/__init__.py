"""Measure predictions, batch by batch: metrics that validations of `fit` can take.

Read `comparing.py` (predictions and targets), `base.py` (likelihood, accuracy), `spans.py` (F1 of
tagged spans) and `translations.py` (BLEU). Above `rnn/data`, below `rnn/training`.
"""

from typing import TYPE_CHECKING

from engine.suggestions import teller
from rnn.instead import NAMES
from rnn.metrics.base import NLL, Accuracy, BitsPerCharacter, Metric, Perplexity, bits, perplexity
from rnn.metrics.spans import Score, Span, SpanCounts, SpanF1, span_scores, spans
from rnn.metrics.translations import BLEU, bleu

__all__ = ["BLEU", "NLL", "Accuracy", "BitsPerCharacter", "Metric", "Perplexity",
           "Score", "Span", "SpanCounts", "SpanF1", "bits", "bleu", "perplexity",
           "span_scores", "spans"]  # fmt: skip

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, NAMES)
