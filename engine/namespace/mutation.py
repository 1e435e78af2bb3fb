"""Changing a tensor in place without changing what was computed from it.

Arrays are never written to. A changed tensor gets a new array and a new node; nodes that read it
before keep the earlier version, so every gradient is that of the values that were used. A tensor
that was changed by values computed from itself is part of a cycle and waits for the garbage
collector. Above the ops and `versions.py`.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.backends.half import FLOATING
from engine.ops.indexing import assign
from engine.ops.keys import parsed
from engine.state import current
from engine.tensor import Tensor
from engine.versions import become, copied, keep, refuse_in_step


def set_item(x: Tensor, key: Any, values: Any) -> None:
    """Assign ``x[key] = values``. Raises ValueError for a leaf that requires a gradient.

    >>> x = engine.zeros(3)
    >>> x[1:] = 2.0
    >>> x
    tensor([0., 2., 2.], dtype=float32)
    """
    earlier = _earlier_version(x, "x[...] = values")
    template, arrays = parsed(x, key)
    if not isinstance(values, int | float):
        values = values if isinstance(values, Tensor) else asarray(values, device=x.device)
        values = earlier if values is x else values
        if x.dtype.kind not in FLOATING and values.requires_grad:
            values = values.detach()
    _become(x, assign(earlier, values, *arrays, key=template), earlier)


def in_place(function: Callable[..., Tensor], symbol: str) -> Callable[[Tensor, Any], Tensor]:
    """Return the in-place form of a binary operator. Raises where the result does not fit."""

    def change(x: Tensor, other: Any) -> Tensor:
        earlier = _earlier_version(x, f"x {symbol}= y")
        out = function(earlier, earlier if other is x else other)
        if out.shape != x.shape or out.dtype != x.dtype:
            kind = ValueError if out.shape != x.shape else TypeError
            raise kind(
                f"x {symbol}= y: the result {out.dtype}{list(out.shape)} does not fit into x, "
                f"{x.dtype}{list(x.shape)}; write x = x {symbol} y"
            )
        _become(x, out, earlier)
        return x

    return change


def _earlier_version(x: Tensor, what: str) -> Tensor:
    """Return the tensor as it is now, as an object of its own."""
    refuse_in_step(x, what)
    state = current()
    if x.requires_grad and not state.recording and x.node.operands:
        raise ValueError(
            f"{what}: a tensor with a history cannot be changed where nothing is recorded, its "
            "gradient would be lost; detach() it first"
        )
    if x.requires_grad and state.recording and not x.node.operands:
        raise ValueError(
            f"{what}: a leaf that requires a gradient cannot be changed in place where gradients "
            "are recorded; change a copy, or do it under engine.no_grad()"
        )
    return copied(x, x.data)


def _become(x: Tensor, new: Tensor, earlier: Tensor) -> None:
    """Give the tensor its new value and keep the earlier version for the nodes that read it."""
    if earlier._used:
        keep(x, earlier)
    if x.requires_grad and new._node is None and not x.node.operands:
        new._node, new.requires_grad = x.node, True  # under no_grad a leaf stays that leaf
    become(x, new)
