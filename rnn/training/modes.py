"""Set which modules of a model train, before a run. Below the loop."""

from rnn.modules.module import Module


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
