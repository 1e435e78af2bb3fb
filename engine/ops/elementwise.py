"""Compute element by element, with derivatives: arithmetic, and questions to complex numbers.

The backward pass sums a gradient over the axes along which an input was broadcast, so that no
rule here needs to. Above the registry.
"""

import math
from typing import Any

from engine.arguments import public
from engine.backends import NAMESPACES, on_device_of
from engine.op import Draw, Example
from engine.ops.stopping import multiple, passed_on, zero_gradient
from engine.registry import op
from engine.tensor import Tensor

__all__ = [
    "add", "conj", "copysign", "divide", "floor_divide", "imag", "multiply", "negative", "positive",
    "power", "real", "reciprocal", "remainder", "sign", "square", "subtract",
]  # fmt: skip

PAIR = (
    Example((Draw((3, 4)), Draw((3, 4)))),
    Example((Draw((2, 1, 4)), Draw((3, 1)))),
    Example((Draw((3,)), 2.5)),
)
ONE = (Example((Draw((3, 4)),)), Example((Draw(()),)))
POSITIVE = (Example((Draw((3, 4), 0.5, 3.0),)),)
AWAY = (Example((Draw((3, 4), 0.2, 2.0),)), Example((Draw((5,), -2.0, -0.2),)))


@op(vjp=(passed_on, passed_on), examples=PAIR, c="({0} + {1})", degree="sum", sign="+")
def add(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x + y.

    >>> engine.add([[1], [2]], [10, 20]).tolist()
    [[11, 21], [12, 22]]
    """
    return x + y


@op(
    vjp=(passed_on, lambda xp, g, out, x, y: -g),
    examples=PAIR,
    c="({0} - {1})",
    degree="sum",
    sign="-",
)
def subtract(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x - y.

    >>> engine.subtract([5, 6], [1, 2]).tolist()
    [4, 4]
    """
    return x - y


@op(
    vjp=(lambda xp, g, out, x, y: g * y, lambda xp, g, out, x, y: g * x),
    examples=PAIR,
    c="({0} * {1})",
    degree="product",
    sign="*",
)
def multiply(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x * y, element by element.

    >>> engine.multiply([1, 2, 3], [4, 5, 6]).tolist()
    [4, 10, 18]
    """
    return x * y


@op(
    vjp=(lambda xp, g, out, x, y: g / y, lambda xp, g, out, x, y: -g * out / y),
    examples=(Example((Draw((3, 4)), Draw((4,), 0.5, 2.0))), Example((1.0, Draw((3,), 0.5, 2.0)))),
    c="({0} / {1})",
    degree="quotient",
    sign="/",
)
def divide(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x / y.

    >>> engine.divide([1, 2], 4).tolist()
    [0.25, 0.5]
    """
    return xp.divide(x, y)


def _power_vjp_base(xp: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    if isinstance(y, int | float):  # the common literal exponent
        if y == 0:
            return zero_gradient(xp, g)
        return g if y == 1 else g * (y * x) if y == 2 else g * (y * x ** (y - 1))
    # x**0 is 1 at 0 too. Only there, so that the slope 1/x of this by y is kept elsewhere.
    return xp.where((x == 0) & (y == 0), 0.0, g * (y * x ** (y - 1)))


def _power_vjp_exponent(xp: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    """Return g x**y log x, and its limit 0 where the base is 0 and the exponent is not below 0."""
    if isinstance(x, int | float):
        if x == 0:
            return xp.where(y >= 0, 0.0, g * -math.inf)
        return g * out * (math.log(x) if x > 0 else math.nan)
    is_zero = (x == 0) & (y >= 0)
    return xp.where(is_zero, 0.0, g * out * xp.log(xp.where(is_zero, 1.0, x)))


@op(
    vjp=(_power_vjp_base, _power_vjp_exponent),
    examples=(
        Example((Draw((3, 4), 0.5, 2.0), Draw((4,)))),
        Example((Draw((3,)), 3)),
        Example((2.0, Draw((3,)))),
    ),
    c="raised({0}, {1})",
    sign="**",
)
def power(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x to the power y.

    >>> engine.power([2.0, 3.0], 3).tolist()
    [8.0, 27.0]
    """
    return x**y


@op(
    vjp=(zero_gradient, zero_gradient),
    examples=(Example((Draw((3, 4), 1.1, 1.9), Draw((4,), 0.3, 0.35))),),
    c="floordivide({0}, {1})",
)
def floor_divide(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x / y rounded down; its derivative is 0.

    >>> engine.floor_divide([7, -7], 2).tolist()
    [3, -4]
    """
    return xp.floor_divide(x, y)


@op(
    vjp=(passed_on, lambda xp, g, out, x, y: -g * xp.floor_divide(x, y)),
    examples=(Example((Draw((3, 4), 1.1, 1.9), Draw((4,), 0.6, 0.9))),),
    c="modulo({0}, {1})",
)
def remainder(xp: Any, x: Any, y: Any, /) -> Any:
    """Return what is left of x after floor(x / y) y was taken away; it has the sign of y.

    >>> engine.remainder([7, -7], 3).tolist()
    [1, 2]
    """
    return xp.remainder(x, y)


@op(vjp=(lambda xp, g, out, x: g * (x + x),), examples=ONE, c="({0} * {0})", role="arithmetic")
def square(xp: Any, x: Any, /) -> Any:
    """Return x times x.

    >>> engine.square([-3.0, 2.0]).tolist()
    [9.0, 4.0]
    """
    return xp.square(x)


@op(
    vjp=(lambda xp, g, out, x: -g * out * out,),
    examples=AWAY,
    c="((real)1 / {0})",
    role="arithmetic",
)
def reciprocal(xp: Any, x: Any, /) -> Any:
    """Return 1 / x, of integers too.

    >>> engine.reciprocal([2, 4]).tolist()
    [0.5, 0.25]
    """
    return xp.divide(1, x)


@op(
    vjp=(
        lambda xp, g, out, x, y: xp.where(
            x == 0, 0.0, xp.where(xp.signbit(x) == xp.signbit(y), g, -g)
        ),
        zero_gradient,
    ),
    examples=(Example((Draw((3, 4), 0.2, 2.0), Draw((4,), -2.0, -0.2))),),
    c="OF(copysign)({0}, {1})",
)
def copysign(xp: Any, x: Any, y: Any, /) -> Any:
    """Return the size of x with the sign of y; the derivative at x = 0 is taken as 0, as of |x|.

    >>> engine.copysign([1.0, 2.0], [-0.0, 3.0]).tolist()
    [-1.0, 2.0]
    """
    return xp.copysign(x, y)


@op(vjp=(lambda xp, g, out, x: -g,), examples=ONE, c="(-{0})", degree="sum", sign="-")
def negative(xp: Any, x: Any, /) -> Any:
    """Return -x.

    >>> engine.negative([1.0, -2.0]).tolist()
    [-1.0, 2.0]
    """
    return -x


def _abs_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    share = multiple(xp, g, out)
    return xp.where(x == 0, 0.0, g * xp.sign(x)) if share is None else share * x


@op(vjp=(_abs_vjp,), examples=AWAY, c="absolute({0})", role="arithmetic")
def abs_(xp: Any, x: Any, /) -> Any:
    """Return |x|; the derivative at 0 is taken as 0.

    >>> engine.abs([-1.5, 2.0]).tolist()
    [1.5, 2.0]
    """
    return xp.abs(x)


@op(vjp=(zero_gradient,), examples=AWAY, c="signum({0})")
def sign(xp: Any, x: Any, /) -> Any:
    """Return -1, 0 or 1 by the sign of x; its derivative is 0.

    >>> engine.sign([-3.0, 0.0, 5.0]).tolist()
    [-1.0, 0.0, 1.0]
    """
    return xp.sign(x)


@op(vjp=(passed_on,), examples=ONE, c="{0}", degree="sum", public=False)
def identity(xp: Any, x: Any, /) -> Any:
    """Return x as it is, at a node of its own: a place to differentiate at."""
    return x


@public
def positive(x: Tensor, /) -> Tensor:
    """Return x as it is.

    >>> engine.positive([1.0, -2.0]).tolist()
    [1.0, -2.0]
    """
    return x


@public
def conj(x: Tensor, /) -> Tensor:
    """Return x as it is: there are no complex tensors.

    >>> engine.conj([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return x


@public
def real(x: Tensor, /) -> Tensor:
    """Return x as it is: there are no complex tensors.

    >>> engine.real([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return x


@public
def imag(x: Tensor, /) -> Tensor:
    """Return zeros: there are no complex tensors.

    >>> engine.imag([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """
    with on_device_of(x.data):
        return Tensor(NAMESPACES[type(x.data)].zeros_like(x.data))
