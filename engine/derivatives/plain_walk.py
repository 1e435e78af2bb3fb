"""Run the backward pass where nothing looks on: no hooks or observers, no record, no bfloat16.

It finds its way while it goes: a heap of the tensors that a gradient has come to takes the place of
a list of all that can be reached, and the rules of one and of two inputs are called from here. The
order of the rules and of the sums, and so every bit, is that of the general walk in `backward.py`.
Below that, above the gradients under way.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from engine.backends import NAMESPACES
from engine.derivatives.accumulation import Gradients, as_array, fitted
from engine.node import NO_ATTRS, changes
from engine.ops.stopping import passed_on
from engine.tensor import Tensor


def plain_walk(
    outputs: Sequence[Tensor], seeds: Sequence[Tensor], wanted: set[int] | None,
    needed: set[int] | None, pull: Callable[..., None],
) -> list[tuple[Tensor, Tensor]] | None:  # fmt: skip
    """Return pairs of a tensor and its gradient, for nodes `wanted` or, where None, all leaves.

    Gradients go to the nodes `needed` only, or everywhere; `pull` takes them through the nodes that
    are not written out here. Return None where two tensors share a node (a copy and its original,
    a leaf before and after a change): the general walk says which of them has the gradient.
    """
    collected = Gradients(needed, recorded=False)
    dense, pieces, own = collected.dense, collected.pieces, collected.own
    heap: list[int] = []  # numbers of nodes, negative: the youngest is first
    waiting: dict[int, Tensor] = {}  # the tensors of these nodes
    for out, seed in zip(outputs, seeds, strict=True):
        number = out.node.id
        if not out.requires_grad or waiting.setdefault(number, out) is not out:
            return None
        if number not in dense:
            heappush(heap, -number)
        collected.add(number, seed.data)
    found = []
    while heap:
        number = -heappop(heap)
        tensor: Any = waiting.pop(number)
        node = tensor._node
        g = collected.take(tensor, node) if pieces else dense.pop(number)
        inputs = node.operands if number > changes.last else node.inputs
        if (number in wanted) if wanted is not None else not inputs:
            found.append((tensor, Tensor(as_array(g))))
        rules, count = node.op.vjp, len(inputs)
        if type(rules) is not tuple or count > 2 or node.attrs is not NO_ATTRS:
            if inputs:
                pull(tensor, node, g, collected, None)
            for x in inputs:
                if type(x) is Tensor and x.requires_grad:
                    number = x.node.id
                    if (number in dense or number in pieces) and waiting.get(number) is not x:
                        if number in waiting:
                            return None
                        waiting[number] = x
                        heappush(heap, -number)
            continue
        out = tensor._data
        xp = NAMESPACES[type(out)]
        x = y = inputs[0]
        a: Any = x._data if type(x) is Tensor else x
        if count == 2:
            y = inputs[1]
            b: Any = y._data if type(y) is Tensor else y
        slot = -1
        for x in inputs:
            slot += 1
            if type(x) is not Tensor or not x.requires_grad:
                continue
            like: Any = x._node
            number = like.id
            if needed is not None and number not in needed:
                continue
            rule = rules[slot]
            if rule is passed_on:
                part = g
            else:
                part = rule(xp, g, out, a, b) if count == 2 else rule(xp, g, out, a)
                if part is None:  # this rule leads nowhere from here
                    continue
            if part.shape != like.shape or part.dtype is not like.dtype:
                part = fitted(xp, part, x._data)
            other = waiting.get(number)
            if other is None:
                dense[number] = part
                waiting[number] = x
                heappush(heap, -number)
            elif other is not x:
                return None
            elif number in own:
                dense[number] += part
            elif number not in dense:  # there are pieces alone so far
                dense[number] = part
            else:
                dense[number] = dense[number] + part
                own.add(number)
    return found
