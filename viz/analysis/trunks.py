"""Compute what uses of weights add to their gradients, as vectors, so that sums have norms.

Above the engine's backward pass and `levels.py`, below the drawings.
"""

from collections.abc import Iterable
from typing import Any

from engine import Node, Tensor
from engine.backward import backward_pass
from engine.derivatives.norms import Norms
from engine.derivatives.seeds import seeds
from viz.model.elements import Model
from viz.model.links import use_of

Parts = dict[Node, Any]  # what a use adds to each leaf that it stands for


def weight_parts(model: Model, loss: Tensor) -> dict[int, Parts]:
    """Return what each edge of weights, by its place in `model.links`, adds to their gradients."""
    place = {(source, link.use): i for i, link in enumerate(model.links)
             if link.kind == "parameter" for source in link.sources}  # fmt: skip
    found: dict[int, Parts] = {}

    def observe(tensor: Tensor, slot: int, part: Any) -> None:
        source = tensor.node.input(slot)
        assert isinstance(source, Tensor)
        i = place.get((source.node, use_of(model, tensor.node, slot)))
        if i is not None and not isinstance(part, tuple):
            own = found.setdefault(i, {})
            own[source.node] = own[source.node] + part if source.node in own else part

    backward_pass([loss], seeds([loss], None), [], observe=observe)
    return found


def running_norms(parts: Iterable[Parts]) -> list[float]:
    """Return the norm of the sum of the first, of the first two, and so on, of several uses."""
    sums: Parts = {}
    norms: Norms[int] = Norms()
    for number, own in enumerate(parts):
        for leaf, part in own.items():
            sums[leaf] = sums[leaf] + part if leaf in sums else part
        norms.add(number, sums.values())
    return [*norms.known().values()]
