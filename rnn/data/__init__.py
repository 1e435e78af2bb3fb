"""Prepare data for sequence models: vocabularies, readers, padding, batches and streams.

Loaders are read again and again, an epoch each, and say where they are: see `Loader`. Above
`rnn.serialization.saving`, below the models and the training.
"""

from typing import TYPE_CHECKING

from engine.suggestions import teller
from rnn.data.arrays import ArrayBatches, windows
from rnn.data.batching import Batch, Batches
from rnn.data.files import read_text
from rnn.data.loader import Generated, Loader
from rnn.data.mapped import MappedBytes, MappedText, text_blocks
from rnn.data.padding import pad_sequences, padding_mask, unpad
from rnn.data.readers import read_conll, read_lines, read_pairs, read_table
from rnn.data.streams import Chunk, Streams
from rnn.data.tokenizers import TokenizerVocabulary, characters, words
from rnn.data.vectors import Matrix, WordVectors, read_vectors
from rnn.data.vocabulary import Vocabulary
from rnn.instead import DATA

__all__ = [
    "ArrayBatches",
    "Batch",
    "Batches",
    "Chunk",
    "Generated",
    "Loader",
    "MappedBytes",
    "MappedText",
    "Matrix",
    "Streams",
    "TokenizerVocabulary",
    "Vocabulary",
    "WordVectors",
    "characters",
    "pad_sequences",
    "padding_mask",
    "read_conll",
    "read_lines",
    "read_pairs",
    "read_table",
    "read_text",
    "read_vectors",
    "text_blocks",
    "unpad",
    "windows",
    "words",
]

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, DATA)
