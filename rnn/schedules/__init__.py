"""Schedule the learning rate as a function of the steps taken, by PyTorch's definitions.

Each sets the rate of every group of an optimiser, first when it is made and then at each `step()`.
Above the optimisers.
"""

from typing import TYPE_CHECKING

from engine.suggestions import teller
from rnn.instead import SCHEDULES
from rnn.schedules.base import Schedule
from rnn.schedules.decay import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from rnn.schedules.onecycle import OneCycleLR
from rnn.schedules.plateau import ReduceLROnPlateau
from rnn.schedules.sequential import SequentialLR, WarmUp

__all__ = ["ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts",
           "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR",
           "PolynomialLR", "ReduceLROnPlateau", "Schedule", "SequentialLR", "StepLR",
           "WarmUp"]  # fmt: skip

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, SCHEDULES)
