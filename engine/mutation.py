"""Changing a tensor in place without changing what was computed from it.

Arrays are never written to. A changed tensor gets a new array and a new node; nodes that read it
before keep its past self, so every gradient is that of the values that were used. A tensor that was
changed by values computed from itself is part of a cycle and waits for the garbage collector.
Above the ops.
"""

from collections.abc import Callable
from typing import Any
from weakref import ref

from engine.apply import asarray
from engine.backends.half import FLOATING
from engine.errors import NotRecordableError
from engine.interpreter import recording
from engine.node import changes, ordinal
from engine.ops.indexing import assign
from engine.ops.keys import parsed
from engine.state import current
from engine.tensor import Tensor


def set_item(x: Tensor, key: Any, values: Any) -> None:
    """``x[key] = values``. Raises ValueError for a leaf that requires a gradient.

    >>> import engine
    >>> x = engine.zeros(3)
    >>> x[1:] = 2.0
    >>> x
    tensor([0., 2., 2.], dtype=float32)
    """
    past = _past_self(x, "x[...] = values")
    template, arrays = parsed(x, key)
    if not isinstance(values, int | float):
        values = values if isinstance(values, Tensor) else asarray(values, device=x.device)
        values = past if values is x else values
        if x.dtype.kind not in FLOATING and values.requires_grad:
            values = values.detach()
    _become(x, assign(past, values, *arrays, key=template), past)


def in_place(function: Callable[..., Tensor], symbol: str) -> Callable[[Tensor, Any], Tensor]:
    """The in-place form of a binary operator. Raises where the result does not fit the tensor."""

    def change(x: Tensor, other: Any) -> Tensor:
        past = _past_self(x, f"x {symbol}= y")
        out = function(past, past if other is x else other)
        if out.shape != x.shape or out.dtype != x.dtype:
            kind = ValueError if out.shape != x.shape else TypeError
            raise kind(
                f"x {symbol}= y: the result {out.dtype}{list(out.shape)} does not fit into x, "
                f"{x.dtype}{list(x.shape)}; write x = x {symbol} y"
            )
        _become(x, out, past)
        return x

    return change


def _past_self(x: Tensor, what: str) -> Tensor:
    """The tensor as it is now, as an object of its own."""
    state = current()
    if any(x is argument for argument in state.arguments):
        raise ValueError(f"{what}: the arguments of a step cannot be changed; make new tensors")
    if x.requires_grad and not state.recording and x.node.given:
        raise ValueError(
            f"{what}: a tensor with a history cannot be changed where nothing is recorded, its "
            "gradient would be lost; detach() it first"
        )
    if x.requires_grad and state.recording and not x.node.given:
        raise ValueError(
            f"{what}: a leaf that requires a gradient cannot be changed in place where gradients "
            "are recorded; change a copy, or do it under engine.no_grad()"
        )
    step = recording()
    if step is not None and (x._node is None or x._node.id < step.start):
        raise NotRecordableError(f"{what} in the step changes a tensor from outside of it")
    past = Tensor(x.data, x._node, x.requires_grad)
    past._used = getattr(x, "_used", False)
    return past


def _become(x: Tensor, new: Tensor, past: Tensor) -> None:
    """Give the tensor its new value and keep its past for those who have read it."""
    if past._used:
        past._now = ref(x)
        if not hasattr(x, "_past"):
            x._past = []
        x._past.append((ordinal(), past))
        changes.any = True
        if past._node is None:
            past._node = x.node
    # Under no_grad a leaf stays the leaf that it was, with another value.
    stays = x.requires_grad and new._node is None and not x.node.inputs
    leaf = x._node if stays else None
    x.data, x._node, x._used = new.data, new._node or leaf, False
    x.requires_grad = new.requires_grad or leaf is not None
