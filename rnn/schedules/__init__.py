"""Schedules: the learning rate as a function of the steps taken, by PyTorch's definitions.

Each sets the rate of every group of an optimiser, first when it is made and then at each `step()`.
Above the optimisers.
"""

from rnn.schedules.base import Schedule
from rnn.schedules.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from rnn.schedules.decay import ExponentialLR, LambdaLR, LinearLR, MultiStepLR, StepLR
from rnn.schedules.onecycle import OneCycleLR
from rnn.schedules.plateau import ReduceLROnPlateau
from rnn.schedules.warmup import WarmUp

__all__ = [
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "Schedule",
    "StepLR",
    "WarmUp",
]
