"""Gather every op of the engine, a family a file. Importing this fills the registry.

`engine` offers all names in ``__all__`` as its own, `engine.linalg` those of the files of linear
algebra. An op is made in its file, with its name in ``__all__`` there; a new file is entered here.
"""

from sys import modules
from typing import TYPE_CHECKING

from engine.ops.activations import *
from engine.ops.casts import *
from engine.ops.casts import round_
from engine.ops.chance import *
from engine.ops.choices import *
from engine.ops.contractions import *
from engine.ops.convolution import *
from engine.ops.creation import *
from engine.ops.ctc import *
from engine.ops.cumulative import *
from engine.ops.diagonals import *
from engine.ops.elementwise import *
from engine.ops.elementwise import abs_
from engine.ops.exponentials import *
from engine.ops.indexing import *
from engine.ops.logic import *
from engine.ops.loss_pairs import *
from engine.ops.losses import *
from engine.ops.normalization import *
from engine.ops.order import *
from engine.ops.products import *
from engine.ops.rearranging import *
from engine.ops.reductions import *
from engine.ops.reductions import all_, any_, max_, min_, sum_
from engine.ops.searching import *
from engine.ops.shaping import *
from engine.ops.statistics import *
from engine.ops.stopping import *
from engine.ops.trigonometry import *

abs, pow, round = abs_, power, round_
all, any, max, min, sum = all_, any_, max_, min_, sum_

if not TYPE_CHECKING:  # type checkers go by the imports: they do not follow the lists of files
    # First names that no file can give: those of Python itself.
    __all__ = ["abs", "all", "any", "max", "min", "pow", "round", "sum"]
    for file in (
        "activations", "casts", "chance", "choices", "contractions", "convolution", "creation",
        "ctc", "cumulative", "diagonals", "elementwise", "exponentials", "indexing", "logic",
        "loss_pairs", "losses", "normalization", "order", "products", "rearranging", "reductions",
        "searching", "shaping", "statistics", "stopping", "trigonometry",
    ):  # fmt: skip
        __all__ += modules[f"{__name__}.{file}"].__all__
