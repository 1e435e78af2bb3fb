"""Keep and set which modules train and which only evaluate. Below the loop."""

from collections.abc import Iterator
from contextlib import contextmanager

from rnn.module import Module


@contextmanager
def kept_modes(model: Module) -> Iterator[None]:
    """Leave every module in the mode that it had before, whatever happens inside."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def wake(model: Module) -> None:
    """Switch a model that is in evaluation mode to training, but for its frozen parts.

    A model that trains already is left as it is: what was put in evaluation mode inside of it was
    meant to be.
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
