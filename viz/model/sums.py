"""Split a loss of one number into its weighted summands: look through sums, stacks and literals.

Above the engine, below `names.py` and the analysis of contributions.
"""

import math
from collections.abc import Callable
from typing import Any

from engine import Node, Tensor, full
from engine.backends import HOST
from engine.backends.half import FLOATING
from engine.backends.numpy import quiet


def summands(
    total: Tensor, whole: Callable[[Tensor], bool] = lambda _: False
) -> list[tuple[Tensor, float]]:
    """Return the numbers that a loss of one number is the weighted sum of, each with its weight.

    Looks through sums of stacked numbers, additions, and products with literals; not into `whole`.

    >>> import engine
    >>> from viz.model.sums import summands
    >>> x = engine.asarray(3.0, requires_grad=True)
    >>> [(part.item(), weight) for part, weight in summands((x * x - engine.exp(x * 0)) / 2)]
    [(9.0, 0.5), (1.0, -0.5)]
    """
    found: list[tuple[Tensor, float]] = []
    stack = [(total, 1.0)]
    while stack:
        x, weight = stack.pop()
        inner = None if whole(x) else terms(x)
        if inner is None:
            found.append((x, weight))
        else:
            stack += [(one, weight * own) for one, own in reversed(inner) if one.requires_grad]
    return found


def terms(x: Tensor) -> list[tuple[Tensor, float]] | None:
    """Return what a number, or the sum of a tensor, is the sum of, with weights; None for none."""
    op, inputs = x.node.op, x.node.inputs
    tensors = [one for one in inputs if isinstance(one, Tensor)]
    total = (op.kind, op.degree) == ("reduction", "sum")
    if total and tensors[0].node.op.role in ("stack", "join"):
        return terms(tensors[0])
    if not tensors or any(one.size != 1 for one in tensors) or not _linear(x.node):
        return None
    weights = [_weight(x.node, slot) for slot, one in enumerate(inputs) if isinstance(one, Tensor)]
    if not all(map(math.isfinite, weights)):
        return None
    return list(zip(tensors, weights, strict=True))


def _linear(node: Node) -> bool:
    """Return whether a node is linear in the tensors that it was made of, or one number off."""
    literal = [not isinstance(x, Tensor) for x in node.inputs]
    if node.op.degree == "product":
        return len(literal) == 2 and any(literal)
    return node.op.degree == "sum" or (node.op.degree == "quotient" and literal == [False, True])


def _weight(node: Node, slot: int) -> float:
    """Return what a node adds up to for a one in one of its slots, zeros in other tensors."""
    given = [_probe(x, float(i == slot)) if isinstance(x, Tensor) else x
             for i, x in enumerate(node.inputs)]  # fmt: skip
    if node.op.degree == "sum":
        given = [x if hasattr(x, "shape") else 0.0 for x in given]
    with quiet():
        return float(node.op.forward(HOST.xp, *given, **node.attrs).sum())


def _probe(x: Tensor, value: float) -> Any:
    """Return a number in the place of a tensor of one; an index is left as it is."""
    if x.dtype.kind not in FLOATING:
        return x.numpy()
    return full(x.shape, value, dtype="float64").numpy()
