"""Optimise with PyTorch's update rules and argument names, over flat arrays.

`base.py` holds groups and state, `flat.py` the arrays; each rule has a file. On a device a rule is
one kernel: `fused.py` makes statements in C of it and the kernel, of `elements.py`.
Above the engine.
"""

from typing import TYPE_CHECKING

from engine.suggestions import teller
from rnn.instead import OPTIMISERS
from rnn.optim.adam import Adam, AdamW
from rnn.optim.adaptive import Adadelta, Adagrad, RMSprop
from rnn.optim.base import Optimizer
from rnn.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, OPTIMISERS)
