"""Element-wise ops and their derivatives: arithmetic and choices.

The backward pass sums a gradient over the axes along which an input was broadcast, so that no
rule here needs to. Above the registry.
"""

import math
from typing import Any

from engine.apply import asarray
from engine.backends.half import FLOATING
from engine.errors import broadcast_mistake
from engine.op import Draw, Example
from engine.ops.casts import converted
from engine.ops.multiples import multiple
from engine.ops.stopping import zero_gradient
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = [
    "add", "clip", "copysign", "divide", "floor_divide", "maximum", "minimum",
    "multiply", "negative", "power", "reciprocal", "remainder", "sign",
    "square", "subtract", "where",
]  # fmt: skip

PAIR = (
    Example((Draw((3, 4)), Draw((3, 4)))),
    Example((Draw((2, 1, 4)), Draw((3, 1)))),
    Example((Draw((3,)), 2.5)),
)
ONE = (Example((Draw((3, 4)),)), Example((Draw(()),)))
POSITIVE = (Example((Draw((3, 4), 0.5, 3.0),)),)
AWAY = (Example((Draw((3, 4), 0.2, 2.0),)), Example((Draw((5,), -2.0, -0.2),)))


@op(
    vjp=(lambda xp, g, out, x, y: g, lambda xp, g, out, x, y: g),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="({0} + {1})",
    degree="sum",
)
def add(xp: Any, x: Any, y: Any, /) -> Any:
    """x + y."""
    return x + y


@op(
    vjp=(lambda xp, g, out, x, y: g, lambda xp, g, out, x, y: -g),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="({0} - {1})",
    degree="sum",
)
def subtract(xp: Any, x: Any, y: Any, /) -> Any:
    """x - y."""
    return x - y


@op(
    vjp=(lambda xp, g, out, x, y: g * y, lambda xp, g, out, x, y: g * x),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="({0} * {1})",
    degree="product",
)
def multiply(xp: Any, x: Any, y: Any, /) -> Any:
    """x * y, element by element."""
    return x * y


@op(
    vjp=(lambda xp, g, out, x, y: g / y, lambda xp, g, out, x, y: -g * out / y),
    examples=(
        Example((Draw((3, 4)), Draw((4,), 0.5, 2.0))),
        Example((1.0, Draw((3,), 0.5, 2.0))),
    ),
    mistake=broadcast_mistake,
    c="({0} / {1})",
    degree="quotient",
)
def divide(xp: Any, x: Any, y: Any, /) -> Any:
    """x / y."""
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
    nought = (x == 0) & (y >= 0)
    return xp.where(nought, 0.0, g * out * xp.log(xp.where(nought, 1.0, x)))


@op(
    vjp=(_power_vjp_base, _power_vjp_exponent),
    examples=(
        Example((Draw((3, 4), 0.5, 2.0), Draw((4,)))),
        Example((Draw((3,)), 3)),
        Example((2.0, Draw((3,)))),
    ),
    mistake=broadcast_mistake,
    kind="elementwise",
    c="raised({0}, {1})",
)
def power(xp: Any, x: Any, y: Any, /) -> Any:
    """x to the power y."""
    return x**y


@op(
    vjp=(zero_gradient, zero_gradient),
    examples=(Example((Draw((3, 4), 1.1, 1.9), Draw((4,), 0.3, 0.35))),),
    mistake=broadcast_mistake,
    kind="elementwise",
    c="floordivide({0}, {1})",
)
def floor_divide(xp: Any, x: Any, y: Any, /) -> Any:
    """x / y rounded down; its derivative is 0."""
    return xp.floor_divide(x, y)


@op(
    vjp=(lambda xp, g, out, x, y: g, lambda xp, g, out, x, y: -g * xp.floor_divide(x, y)),
    examples=(Example((Draw((3, 4), 1.1, 1.9), Draw((4,), 0.6, 0.9))),),
    mistake=broadcast_mistake,
    kind="elementwise",
    c="modulo({0}, {1})",
)
def remainder(xp: Any, x: Any, y: Any, /) -> Any:
    """What is left of x after floor(x / y) y was taken away; it has the sign of y."""
    return xp.remainder(x, y)


@op(vjp=(lambda xp, g, out, x: g * (x + x),), examples=ONE, c="({0} * {0})")
def square(xp: Any, x: Any, /) -> Any:
    """x times x."""
    return xp.square(x)


@op(vjp=(lambda xp, g, out, x: -g * out * out,), examples=AWAY, c="((real)1 / {0})")
def reciprocal(xp: Any, x: Any, /) -> Any:
    """1 / x, of integers too."""
    return xp.divide(1, x)


@op(
    vjp=(
        lambda xp, g, out, x, y: xp.where(
            x == 0, 0.0, xp.where(xp.signbit(x) == xp.signbit(y), g, -g)
        ),
        zero_gradient,
    ),
    examples=(Example((Draw((3, 4), 0.2, 2.0), Draw((4,), -2.0, -0.2))),),
    mistake=broadcast_mistake,
    c="OF(copysign)({0}, {1})",
)
def copysign(xp: Any, x: Any, y: Any, /) -> Any:
    """The size of x with the sign of y; the derivative at x = 0 is taken as 0, as of |x|."""
    return xp.copysign(x, y)


@op(vjp=(lambda xp, g, out, x: -g,), examples=ONE, c="(-{0})", degree="sum")
def negative(xp: Any, x: Any, /) -> Any:
    """-x."""
    return -x


def _abs_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    share = multiple(xp, g, out)
    return xp.where(x == 0, 0.0, g * xp.sign(x)) if share is None else share * x


@op(
    vjp=(_abs_vjp,),
    examples=AWAY,
    c="absolute({0})",
)
def abs_(xp: Any, x: Any, /) -> Any:
    """|x|; the derivative at 0 is taken as 0."""
    return xp.abs(x)


@op(vjp=(zero_gradient,), examples=AWAY, c="signum({0})")
def sign(xp: Any, x: Any, /) -> Any:
    """-1, 0 or 1 by the sign of x; its derivative is 0."""
    return xp.sign(x)


def _won(xp: Any, g: Any, loses: Any, ties: Any) -> Any:
    """Return g where an input wins, half of it where both are equal, all of it beside a NaN.

    The inputs are compared with each other and not with the result, which may have been rounded
    elsewhere.
    """
    return xp.where(ties, 0.5 * g, xp.where(loses, 0.0, g))


@op(
    vjp=(
        lambda xp, g, out, x, y: _won(xp, g, x < y, x == y),
        lambda xp, g, out, x, y: _won(xp, g, x > y, x == y),
    ),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="maximum({0}, {1})",
)
def maximum(xp: Any, x: Any, y: Any, /) -> Any:
    """The larger of x and y, NaN where one is NaN; ties share the gradient equally."""
    return xp.maximum(x, y)


@op(
    vjp=(
        lambda xp, g, out, x, y: _won(xp, g, x > y, x == y),
        lambda xp, g, out, x, y: _won(xp, g, x < y, x == y),
    ),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="minimum({0}, {1})",
)
def minimum(xp: Any, x: Any, y: Any, /) -> Any:
    """The smaller of x and y, NaN where one is NaN; ties share the gradient equally."""
    return xp.minimum(x, y)


@op(
    vjp=(
        None,
        lambda xp, g, out, condition, x, y: xp.where(condition, g, 0.0),
        lambda xp, g, out, condition, x, y: xp.where(condition, 0.0, g),
    ),
    examples=(Example((Draw((3, 4), 0, 2, integer=True), Draw((3, 4)), Draw((4,)))),),
    mistake=broadcast_mistake,
    c="({0} ? {1} : {2})",
    degree="choice",
)
def where(xp: Any, condition: Any, x: Any, y: Any, /) -> Any:
    """x where the condition holds, else y."""
    if not hasattr(x, "shape") and not hasattr(y, "shape") and float in (type(x), type(y)):
        x = xp.asarray(x, dtype=xp.float32)  # the default float, where NumPy's is float64
    return xp.where(condition, x, y)


def _clip_vjp(xp: Any, g: Any, out: Any, x: Any, *, min: Any = None, max: Any = None) -> Any:
    outside = x != x if min is None else x < min
    outside = outside if max is None else outside | (x > max)
    return xp.where(outside, 0.0, g)


def _clip_in_c(min: float | None = None, max: float | None = None) -> str:
    held = "{0}" if min is None else f"maximum({{0}}, {_literal(min)})"
    return held if max is None else f"minimum({held}, {_literal(max)})"


def _literal(number: float) -> str:
    """A number as C writes it."""
    if math.isfinite(number):
        return f"(real){float(number)!r}"
    return "(real)NAN" if math.isnan(number) else f"({'-' * (number < 0)}(real)INFINITY)"


@op(
    vjp=(_clip_vjp,),
    examples=(
        Example((Draw((3, 4)),), {"min": -1.0, "max": 1.0}),
        Example((Draw((4,)),), {"max": 0.5}),
    ),
    kind="elementwise",
    c=_clip_in_c,
)
def clip_(xp: Any, x: Any, /, min: float | None = None, max: float | None = None) -> Any:
    """x held between numbers (what `clip` records where the bounds are no arrays)."""
    return xp.clip(x, min, max)


def _cast_like(bound: Any, x: Tensor) -> Tensor:
    """Return a bound in the dtype of a floating x, which clipping keeps.

    Integers are promoted with it: a bound may lie outside of the integers of x.
    """
    bound = bound if isinstance(bound, Tensor) else asarray(bound, device=x.device)
    keeps = bound.dtype != x.dtype and x.dtype.kind in FLOATING
    return converted(bound, x.dtype) if keeps else bound


@method
@composition
def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """x held between `min` and `max`, numbers or arrays that broadcast; None: no bound.

    No gradient goes through outside, all of it at bounds that are numbers.
    """
    if all(bound is None or isinstance(bound, int | float) for bound in (min, max)):
        given = {"min": min, "max": max}
        return clip_(x, **{name: bound for name, bound in given.items() if bound is not None})
    own = [bound if bound is None or isinstance(bound, int | float) else _cast_like(bound, x)
           for bound in (min, max)]  # fmt: skip
    held = x if own[0] is None else maximum(x, own[0])
    return held if own[1] is None else minimum(held, own[1])


@op(vjp=(lambda xp, g, out, x: g,), examples=ONE, c="{0}", degree="sum", public=False)
def identity(xp: Any, x: Any, /) -> Any:
    """x as it is, at a node of its own: a place to differentiate at."""
    return x
