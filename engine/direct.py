"""The functions of ops of one and of two tensors, with the common case written out.

That is arrays of the host and nothing that looks on; all else goes to `apply`, which says what it
means, and the result is made in one place for both. Above `apply`, below the registry.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import apply, recorded
from engine.backends import HOST, NAMESPACES
from engine.backends.half import half
from engine.node import NO_ATTRS
from engine.op import Op
from engine.state import threads
from engine.tensor import Tensor

Function = Callable[..., Tensor]

array_type, as_array, xp = HOST.array_type, HOST.asarray, HOST.xp


def of_one(op: Op, general: Function) -> Function:
    """Return the function of an op of one tensor; `general` sorts out other arguments."""
    forward, differentiable = op.forward, op.vjp is not None

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if attrs or len(inputs) != 1:
            return general(*inputs, **attrs)
        (x,) = inputs
        if type(x) is Tensor and type(a := x._data) is array_type and not half.any:
            state = threads.state
            if state.interpreter is None:
                try:
                    out = forward(xp, a)
                except Exception:
                    pass  # it fails again below, where the error is explained
                else:
                    if type(out) is not array_type and type(out) not in NAMESPACES:
                        out = as_array(out, None, None)
                    requires_grad = differentiable and state.recording and x.requires_grad
                    if requires_grad or state.tracing:
                        return recorded(op, inputs, NO_ATTRS, out, requires_grad, state)
                    return Tensor(out)
        return apply(op, inputs, NO_ATTRS)

    return call


def of_two(op: Op, general: Function) -> Function:
    """Return the function of an op of two tensors; `general` sorts out other arguments."""
    forward, differentiable = op.forward, op.vjp is not None

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if attrs or len(inputs) != 2:
            return general(*inputs, **attrs)
        x, y = inputs
        if type(x) is Tensor and type(y) is Tensor and not half.any:
            a, b, state = x._data, y._data, threads.state
            if type(a) is array_type and type(b) is array_type and state.interpreter is None:
                try:
                    out = forward(xp, a, b)
                except Exception:
                    pass  # it fails again below, where the error is explained
                else:
                    if type(out) is not array_type and type(out) not in NAMESPACES:
                        out = as_array(out, None, None)
                    requires_grad = (
                        differentiable and state.recording and (x.requires_grad or y.requires_grad)
                    )
                    if requires_grad or state.tracing:
                        return recorded(op, inputs, NO_ATTRS, out, requires_grad, state)
                    return Tensor(out)
        return apply(op, inputs, NO_ATTRS)

    return call
