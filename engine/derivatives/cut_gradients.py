"""Compute gradients in which some uses pass nothing back: truncation without a second forward pass.

Above the backward pass; `viz` measures with it what a truncation loses.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from engine.backward import backward_pass
from engine.derivatives.norms import Group
from engine.derivatives.seeds import seeds
from engine.node import Node
from engine.tensor import Tensor

Cut = Callable[[Node, int], bool]


def cut_gradients(
    outputs: Tensor | Sequence[Tensor], inputs: Sequence[Tensor], cut: Cut, grads: Any = None
) -> list[Tensor | None]:
    """Return `engine.gradients` of a graph in which some uses of tensors were detached.

    ``cut(node, slot)`` says whether the use of input `slot` by `node` passes no gradient. It is
    asked once for every use that a gradient comes to. The steps of a fused recurrence are no nodes
    of the graph: take ``engine.expanded(*outputs)`` first. None stands where no path is left.
    Raises as `engine.gradients`.

    >>> from engine.derivatives.cut_gradients import cut_gradients
    >>> x = engine.asarray(3.0, requires_grad=True)
    >>> cut_gradients(x * x, [x], lambda node, slot: slot == 0)[0].item()
    3.0
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)

    def observe(tensor: Tensor, slot: int, part: Any) -> bool:
        return not cut(tensor.node, slot)

    pairs = backward_pass(outputs, seeds(outputs, grads), list(inputs), observe=observe)
    found = {x.node: g for x, g in pairs}
    return [found.get(x.node) for x in inputs]


class Pass(NamedTuple):
    """Describe one backward pass of several: its outputs, the uses that pass nothing, the seeds."""

    outputs: Sequence[Tensor]
    cut: Cut
    grads: Any = None


class CutSums(NamedTuple):
    """Hold the sums of several cut backward passes, as arrays.

    `nodes` has the gradient of every node, `uses` what each joint use of a node adds to it, and
    `refused` what each joint use would have added, had it not been cut. A value with several
    results has its gradient on its output nodes, and is left out.
    """

    nodes: dict[Node, Any]
    uses: dict[tuple[Node, Hashable], Any]
    refused: dict[tuple[Node, Hashable], Any]


def cut_sums(passes: Sequence[Pass], group: Group | None = None) -> CutSums:
    """Return the sums over several backward passes over one graph, each with its own cuts.

    A use is a node and the slot of the input; `group` joins uses, as in `gradient_norms`. What is
    refused is counted in the pass that refuses it, so it is what would have come to it there.
    """
    found = CutSums({}, {}, {})
    for outputs, cut, grads in passes:

        def observe(tensor: Tensor, slot: int, part: Any, cut: Cut = cut) -> bool:
            source, user = tensor.node.input(slot), tensor.node
            passed = not cut(user, slot)
            key = (user, slot) if group is None else group(user, slot)
            if key is not None:
                assert isinstance(source, Tensor)
                _add(found.uses if passed else found.refused, (source.node, key), part)
            return passed

        def finished(tensor: Tensor, g: Any) -> None:
            _add(found.nodes, tensor.node, g)

        starts = list(outputs)
        backward_pass(starts, seeds(starts, grads), [], observe=observe, finished=finished)
    return found


def _add(sums: dict[Any, Any], key: Any, part: Any) -> None:
    if not isinstance(part, tuple):
        sums[key] = sums[key] + part if key in sums else part
