"""Find which tensors a backward pass comes to, and in which order. No walk here recurses.

Below the backward pass, above tensors.
"""

from collections.abc import Collection, Iterable
from typing import Any

from engine.node import Node, changes
from engine.op import Op
from engine.tensor import Tensor

Pairs = list[tuple[Tensor, Node]]


def reachable(outputs: Iterable[Tensor]) -> Pairs:
    """Return all tensors that the outputs depend on and that require a gradient, youngest first."""
    seen: dict[int, tuple[Tensor, Node]] = {}
    stack = [x for x in outputs if x.requires_grad]
    while stack:
        tensor = stack.pop()
        node = tensor._node or tensor.node
        number = node.id
        if number in seen:
            continue
        seen[number] = (tensor, node)
        for x in node.operands if number > changes.last else node.inputs:
            if type(x) is Tensor and x.requires_grad:
                stack.append(x)
    return [seen[number] for number in sorted(seen, reverse=True)]


def leading_to(wanted: set[int], pairs: Pairs) -> set[int]:
    """Return the ids of the nodes from which a wanted one is reached."""
    needed: set[int] = set()
    extend(needed, pairs, wanted)
    return needed


def younger(outputs: list[Tensor], lowest_id: int, known: set[int]) -> Pairs:
    """Return what of the graph of `outputs` is younger than an id, youngest first.

    Raises RuntimeError where it comes to something older that is not known.
    """
    seen: dict[int, tuple[Tensor, Node]] = {}
    stack = [x for x in outputs if x.requires_grad]
    while stack:
        tensor = stack.pop()
        node = tensor.node
        if node.id in seen or node.id in known:
            continue
        if node.id < lowest_id:
            raise RuntimeError(
                f"checkpoint: the second run used {node}, which the first did not; the function "
                "must do the same whenever it is called with the same arguments"
            )
        seen[node.id] = (tensor, node)
        stack += [x for x in node.inputs if type(x) is Tensor and x.requires_grad]
    return [seen[number] for number in sorted(seen, reverse=True)]


def extend(needed: set[int], pairs: Pairs, wanted: Collection[int] = ()) -> None:
    """Add the nodes that are wanted, and those from which one that is needed is reached."""
    for _, node in reversed(pairs):
        number = node.id
        if number in wanted or node.op is RELEASED:  # which is to be come to and refused
            needed.add(number)
            continue
        for x in node.operands if number > changes.last else node.inputs:
            if type(x) is Tensor and x.requires_grad and x.node.id in needed:
                needed.add(number)
                break


def release(tensor: Tensor) -> None:
    """Let go of the graph of a tensor: its values stay, what they were computed from does not."""
    for x, node in reachable([tensor]):
        if node.operands:
            what = f"{node.op.name} at {node.scope}"
            x._node = node._replace(op=RELEASED, operands=(0.0,), attrs={"what": what}, origin=None)
            x._epoch = None  # nor the earlier versions that its node may have read


def _released(xp: Any, g: Any, out: Any, *values: Any, what: str) -> Any:
    raise RuntimeError(
        f"backward: the graph of {what} was released by backward(retain_graph=False); "
        "leave that out, or compute the loss again"
    )


RELEASED = Op("released", lambda xp, *values, what: None, _released)
