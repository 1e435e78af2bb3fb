"""Training and evaluation mode of a model and the modules in it. Above `module.py`."""

from collections.abc import Iterator
from contextlib import contextmanager

import engine
from rnn.modules.module import Module


@contextmanager
def kept_modes(module: Module) -> Iterator[None]:
    """Leave every module in the mode that it had before, also after an error inside."""
    modes = [(one, one.training) for one in module.modules()]
    try:
        yield
    finally:
        for one, mode in modes:
            one.training = mode


@contextmanager
def evaluating(module: Module) -> Iterator[None]:
    """Evaluate a module inside: in evaluation mode, with nothing recorded for gradients."""
    with kept_modes(module), engine.no_grad():
        module.eval()
        yield


def wake(model: Module) -> None:
    """Switch a model that is in evaluation mode to training, but for its frozen parts. A model that
    trains already is left as it is: parts in evaluation mode were meant to be.
    """
    if not model.training:
        _wake(model)


def _wake(module: Module) -> None:
    parameters = module.parameters()
    if parameters and not any(x.requires_grad for x in parameters):
        return
    module.training = True
    for child in module.children():
        _wake(child)
