"""Sum the gradients of a backward pass: from parts and pieces that wait to be placed, into `.grad`.

Below the backward pass, above the ops.
"""

import sys
from collections.abc import Sequence
from threading import Lock
from typing import Any

from engine.backends import HOST, NAMESPACES, on_host
from engine.backends.half import FLOATING, half, is_half
from engine.derivatives.multi_output import MultiOutput
from engine.node import Node
from engine.ops.indexing import Piece, place
from engine.registry import RECORDING, REGISTRY
from engine.state import using
from engine.tensor import Tensor

PLACE = REGISTRY["place"]

accumulating = Lock()  # two threads may add to the `.grad` of one leaf


def as_array(g: Any) -> Any:
    """Return a gradient as an array: NumPy turns sums of 0-d arrays into scalars."""
    return g if type(g) in NAMESPACES else HOST.asarray(g, None, None)


def check_leaf(leaf: Tensor) -> None:
    """Raise where a gradient cannot be added to a leaf, before any is."""
    if leaf.data.dtype.kind not in FLOATING:
        raise TypeError(
            f"backward: a leaf of dtype {leaf.dtype} has no gradient: {leaf.node}; make it a float"
        )
    old = leaf.grad
    if old is not None and not isinstance(old, Tensor):
        raise TypeError(
            f"backward: the .grad of {leaf.node} is {type(old).__name__}, not a tensor; "
            "set it to None"
        )
    if old is not None and old.shape != leaf.shape:
        raise ValueError(
            f"backward: the .grad of {leaf.node} has shape {old.shape}, expected {leaf.shape}; "
            "set it to None"
        )


def add_to_leaves(pairs: Sequence[tuple[Tensor, Tensor]], *, create_graph: bool) -> None:
    """Add gradients to the `.grad` of leaves. Raises as `check_leaf`, before any is changed."""
    for leaf, _ in pairs:
        check_leaf(leaf)
    if not pairs:
        return
    with accumulating:
        leaves = [own._current_version() for own, _ in pairs]
        # Rules may return one array for two inputs, or keep it: copies, all at once for a device.
        fresh = (place for place, leaf in enumerate(leaves) if leaf.grad is None)
        shared = [place for place in fresh if create_graph or not unshared(pairs[place][1])]
        library = NAMESPACES[type(pairs[0][1].data)]
        made = library.copies([pairs[place][1].data for place in shared])
        copies = dict(zip(shared, made, strict=True))
        for place, (leaf, (_, g)) in enumerate(zip(leaves, pairs, strict=True)):
            if leaf.grad is None:
                leaf.grad = Tensor(copies.get(place, g.data), g._node, g.requires_grad)
            elif create_graph:
                leaf.grad = leaf.grad + g
            else:
                leaf.grad = Tensor(as_array(leaf.grad.data + g.data))


def fitted(xp: Any, g: Any, like: Any) -> Any:
    """Return `g` in the shape and dtype of `like`: summed over the axes that were broadcast."""
    extra = len(g.shape) - len(like.shape)
    if extra > 0:
        g = xp.sum(g, axis=tuple(range(extra)))
    elif extra < 0:  # sizes of 1 in front that the rule left out
        g = xp.reshape(g, (1,) * -extra + tuple(g.shape))
    axes = tuple(i for i, size in enumerate(like.shape) if size == 1 and g.shape[i] != 1)
    if axes:
        g = xp.sum(g, axis=axes, keepdims=True)
    if g.shape != like.shape:  # the rule worked with fewer axes than the input has
        g = xp.broadcast_to(g, like.shape)
    return g if g.dtype == like.dtype else xp.astype(g, like.dtype)


def placed(xp: Any, parts: list[Any], like: Any) -> Any:
    """Return the sum of pieces of one tensor, or the one part that is dense already."""
    if type(parts[0]) is not Piece:
        return parts[0]
    if type(like) is MultiOutput:
        return like.gathered(parts)
    operands = [value for part in parts for value in (part.g, *part.arrays)]
    keys = tuple(part.key for part in parts)
    if xp is RECORDING:
        return place(*operands, keys=keys, shape=like.shape)
    return PLACE.forward(xp, *operands, keys=keys, shape=like.shape)


class Gradients:
    """Hold the gradients under way, by node id: dense sums, and pieces that wait to be placed."""

    __slots__ = ("dense", "needed", "own", "pieces", "recorded")

    def __init__(self, needed: set[int] | None, *, recorded: bool) -> None:
        self.needed = needed  # ids of nodes that lead to a wanted one; None: all do
        self.recorded = recorded
        self.dense: dict[int, Any] = {}
        self.pieces: dict[int, list[Piece]] = {}
        self.own: set[int] = set()  # sums that were allocated here and may be added to in place

    def add(self, number: int, part: Any) -> None:
        """Add one contribution to the gradient of node `number`."""
        if type(part) is Piece:
            self.pieces.setdefault(number, []).append(part)
        elif number not in self.dense:
            self.dense[number] = part
        elif number in self.own:
            self.dense[number] += part
        else:
            self.dense[number] = self.dense[number] + part
            if not self.recorded:
                self.own.add(number)

    def take(self, tensor: Tensor, node: Node) -> Any:
        """Return the whole gradient of a tensor, which is complete once its turn has come."""
        dense = self.dense.pop(node.id, None)
        if not self.pieces or node.id not in self.pieces:
            return dense
        xp = RECORDING if self.recorded else NAMESPACES[type(tensor.data)]
        with using(scope=node.scope, origin=node):
            sparse = placed(xp, list(self.pieces.pop(node.id)), tensor.data)
            if half.any and is_half(tensor.data):  # rules work on it in float32
                sparse = xp.astype(sparse, tensor.data.dtype)
            return sparse if dense is None else dense + sparse


def _holders(tensor: Tensor) -> int:
    """Return how many references there are to the array of a tensor, those of the count included.

    A view of an array holds it, and so does an object that lends out its memory.
    """
    return sys.getrefcount(tensor._data)


# Counted on an array that nothing else has, as interpreters count their own differently.
_ALONE = _holders(Tensor(HOST.asarray([0.0], None, None))) if hasattr(sys, "getrefcount") else 0


def unshared(tensor: Tensor) -> bool:
    """Return True where nothing else holds the array on the host of a tensor, nor its memory.

    It is False where that is not sure: for views of the memory of another array, arrays of a
    device and other interpreters, and for arrays not in the order of C, so that their copy is.
    """
    if not on_host(tensor._data) or _holders(tensor) != _ALONE:
        return False
    flags = tensor._data.flags
    return bool(flags.owndata and flags.c_contiguous)
