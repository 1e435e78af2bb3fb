"""Compose models of the five shapes from the layers, cells and losses below them."""

from typing import TYPE_CHECKING

from engine.suggestions import teller
from rnn.instead import NAMES
from rnn.models.attention import Attention, Memory
from rnn.models.classifier import Classifier
from rnn.models.crf import CRF
from rnn.models.decoder import Decoded, Decoder, DecoderState
from rnn.models.encoder import Encoder
from rnn.models.language_model import LanguageModel
from rnn.models.reservoir import EchoStateNetwork, ridge
from rnn.models.seq2seq import Bridge, Captioner, Seq2Seq
from rnn.models.sequential import Sequential
from rnn.models.stacks import detached
from rnn.models.tagger import CharacterEncoder, Tagger
from rnn.models.teacher_forcing import OutputRecurrent, forced, forcing_ratio

__all__ = [
    "CRF",
    "Attention",
    "Bridge",
    "Captioner",
    "CharacterEncoder",
    "Classifier",
    "Decoded",
    "Decoder",
    "DecoderState",
    "EchoStateNetwork",
    "Encoder",
    "LanguageModel",
    "Memory",
    "OutputRecurrent",
    "Seq2Seq",
    "Sequential",
    "Tagger",
    "detached",
    "forced",
    "forcing_ratio",
    "ridge",
]

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, NAMES)
