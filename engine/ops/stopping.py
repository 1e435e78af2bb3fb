"""Stop gradients by `stop_gradient` and `detach`; and share what rules of several files need.

A rule may divide a recorded gradient by a tensor that it has as a factor: the gradient of
``norm(x)**2`` by the norm is twice the norm, which is divided by the norm on its way to x. At 0 the
numbers say 0 / 0, the graph says 2: that is what gives the square a Hessian. Above the registry.
"""

from typing import Any

from engine.backends.abstract import AbstractArray
from engine.op import Draw, Example
from engine.registry import RECORDING, op
from engine.tensor import Tensor

__all__ = ["stop_gradient"]


@op(vjp=None, examples=(Example((Draw((3, 4)),)),), degree="sum", c="{0}")
def stop_gradient(xp: Any, x: Any, /) -> Any:
    """Return x as a constant: no gradient goes through it.

    >>> engine.grad(lambda x: x * engine.stop_gradient(x))(3.0).item()
    3.0
    """
    return x


def detach(x: Tensor) -> Tensor:
    """Return the same array off the graph: no gradient goes through it."""
    if type(x.data) is AbstractArray:
        return stop_gradient(x)
    constant = Tensor(x.data)
    if hasattr(x, "_row_axis"):
        constant._row_axis = x._row_axis
    return constant


def zero_gradient(xp: Any, g: Any, *rest: Any, **attrs: Any) -> Any:
    """Return the gradient of an input of a step function: 0 for every g.

    0 times an infinite gradient would be NaN.
    """
    return xp.zeros_like(g)


def passed_on(xp: Any, g: Any, out: Any, *inputs: Any) -> Any:
    """Return the gradient as it is: a backward pass that knows this rule does not call it."""
    return g


DEPTH = 8  # a few products deep: what is written as a power or as a product of a norm with itself


def multiple(xp: Any, g: Any, x: Any) -> Any:
    """Return c with ``g = c x`` where the graph shows that g is such a multiple, None elsewhere.

    Never found where a rule computes on arrays.
    """
    return _multiple(g, x, DEPTH) if xp is RECORDING else None


def _multiple(g: Any, x: Tensor, depth: int) -> Any:
    if g is x:
        return RECORDING.ones_like(x)
    if not depth or not isinstance(g, Tensor) or not g.node.operands:
        return None
    first, second, *_ = (*g.node.inputs, None)
    match g.node.op.sign:
        case "+":
            left, right = _multiple(first, x, depth - 1), _multiple(second, x, depth - 1)
            return None if left is None or right is None else left + right
        case "-" if second is None:
            found = _multiple(first, x, depth - 1)
            return None if found is None else -found
        case "*":
            for part, other in ((first, second), (second, first)):
                if (found := _multiple(part, x, depth - 1)) is not None:
                    return found * other
        case "**":
            if isinstance(first, Tensor) and isinstance(second, int | float) and second >= 1:
                found = _multiple(first, x, depth - 1)
                return None if found is None else found * first ** (second - 1)
    return None
