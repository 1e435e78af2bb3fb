"""Ends of gradients: `stop_gradient`, `detach`, rules of steps and of sums. Above the registry."""

from typing import Any

from engine.backends.abstract import AbstractArray
from engine.op import Draw, Example
from engine.registry import op
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
