"""Decode the predictions of a model into sequences, one step after another.

Above the modules, below the models; all of it needs only a function that advances by one step.
"""

from rnn.decoding.beam import Hypothesis, beam_search, length_penalty
from rnn.decoding.ctc import ctc_beam_search, ctc_decode
from rnn.decoding.sampling import generate, nucleus, sample, sample_rows, top_k
from rnn.decoding.streaming import Stream, decode

__all__ = ["Hypothesis", "Stream", "beam_search", "ctc_beam_search", "ctc_decode",
           "decode", "generate", "length_penalty", "nucleus", "sample", "sample_rows",
           "top_k"]  # fmt: skip
