"""Build a small language model to look into, and influences of given norms, for tests."""

import engine
from rnn.data import Vocabulary
from rnn.models import LanguageModel
from viz.influence.norms import Influence, Output

TEXT = "to be or not\nto be"
V = Vocabulary.of(TEXT, specials=["unk"])


def model(cell: str = "lstm", seed: int = 3, **options) -> LanguageModel:
    engine.seed(seed)
    return LanguageModel(len(V), 4, 6, 2, cell=cell, **options).to(dtype=engine.float64)


def made(norms, pieces="ab c", **options) -> Influence:
    """Return an influence of given norms at the last step."""
    one = Output(0, "a", False, 1.5, 0.25)
    options = {"unit": "character", "smallest": 1e-45, "predicts": True} | options
    return Influence(tuple(pieces), options["unit"], (len(pieces) - 1,), (one,), (tuple(norms),),
                     options["smallest"], options["predicts"])  # fmt: skip
