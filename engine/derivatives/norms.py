"""Norms of gradients, exact: of every node, and of every use of a node. Above the backward pass.

This is what pictures of gradients show, and what clipping measures.
"""

import math
from collections.abc import Callable, Hashable
from typing import Any

from engine.backends import Array, on_device_of
from engine.backward import backward_pass
from engine.derivatives.seeds import seeds
from engine.node import Node
from engine.tensor import Tensor

Group = Callable[[Node, int], Hashable]


def norm(values: Array | Tensor) -> float:
    """The Euclidean norm of all elements, in float64 and scaled, so that no square overflows.

    >>> import engine
    >>> from engine.derivatives.norms import norm
    >>> norm(engine.asarray([3.0, 4.0]))
    5.0
    """
    data = values.data if isinstance(values, Tensor) else values
    if not data.size:
        return 0.0
    with on_device_of(data):
        flat = data.reshape(-1).astype("float64")
        largest = float(abs(flat).max())
        if largest == 0 or not math.isfinite(largest):
            return largest
        flat = flat / largest
        return largest * math.sqrt(float(flat @ flat))


def gradient_norms(
    output: Tensor,
    grad: Any = None,
    *,
    group: Group | None = None,
    keep: dict[Node, Any] | None = None,
) -> tuple[dict[Node, float], dict[tuple[Node, Hashable], float]]:
    """The norm of the gradient of every node, and of what each of its uses adds to it.

    A use is a node and the slot of the input; ``group(node, slot)`` joins uses, whose
    contributions are then added as vectors before the norm is taken, so the figure is that of the
    joint use. None leaves a use out. Without `group` each use is keyed by ``(node, slot)``.
    The gradients themselves are put into `keep` where that is given.

    >>> import engine
    >>> x = engine.asarray(2.0, requires_grad=True)
    >>> engine.gradient_norms(x * x)[0][x.node]
    4.0
    """
    nodes: dict[Node, float] = {}
    sums: dict[tuple[Node, Hashable], Any] = {}

    def observe(tensor: Tensor, slot: int, part: Any) -> None:
        source, user = tensor.node.input(slot), tensor.node
        key = (user, slot) if group is None else group(user, slot)
        if key is not None:
            assert isinstance(source, Tensor)
            place = (source.node, key)
            if not isinstance(part, tuple):  # a part of a bundle has its norm on the output node
                sums[place] = sums[place] + part if place in sums else part

    def finished(tensor: Tensor, g: Any) -> None:
        parts = g if isinstance(g, tuple) else (g,)
        nodes[tensor.node] = math.hypot(*(norm(part) for part in parts if part is not None))
        if keep is not None:
            keep[tensor.node] = g

    backward_pass([output], seeds([output], grad), [], observe=observe, finished=finished)
    return nodes, {key: norm(total) for key, total in sums.items()}
