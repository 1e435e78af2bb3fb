"""Element-wise ops and their derivatives: arithmetic, exponentials, activations, choices.

The backward pass sums a gradient over the axes along which an input was broadcast, so that no
rule here needs to. Above the registry.
"""

import math
from typing import Any

from engine.errors import broadcast_mistake
from engine.op import Draw, Example
from engine.registry import op

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
)
def add(xp: Any, x: Any, y: Any, /) -> Any:
    """x + y."""
    return x + y


@op(
    vjp=(lambda xp, g, out, x, y: g, lambda xp, g, out, x, y: -g),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="({0} - {1})",
)
def subtract(xp: Any, x: Any, y: Any, /) -> Any:
    """x - y."""
    return x - y


@op(
    vjp=(lambda xp, g, out, x, y: g * y, lambda xp, g, out, x, y: g * x),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="({0} * {1})",
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
)
def divide(xp: Any, x: Any, y: Any, /) -> Any:
    """x / y."""
    return xp.divide(x, y)


def _power_vjp_base(xp: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    if isinstance(y, int | float):  # the common literal exponent: no 0 * x**-1 at 0
        return g if y == 1 else g * (y * x ** (y - 1)) if y else g * 0.0
    return g * xp.where(y == 0, 0.0, y * x ** xp.where(y == 0, 1.0, y - 1))


def _log_of_base(xp: Any, x: Any) -> Any:
    """log x of d(x**y)/dy = x**y log x; taken as 0 where the base is 0, the limit for y > 0."""
    if isinstance(x, int | float):
        return math.log(x) if x > 0 else 0.0 if x == 0 else math.nan
    return xp.log(xp.where(x == 0, 1.0, x))


@op(
    vjp=(
        _power_vjp_base,
        lambda xp, g, out, x, y: g * out * _log_of_base(xp, x),
    ),
    examples=(
        Example((Draw((3, 4), 0.5, 2.0), Draw((4,)))),
        Example((Draw((3,)), 3)),
        Example((2.0, Draw((3,)))),
    ),
    mistake=broadcast_mistake,
)
def power(xp: Any, x: Any, y: Any, /) -> Any:
    """x to the power y."""
    return x**y


@op(vjp=(lambda xp, g, out, x: -g,), examples=ONE, c="(-{0})")
def negative(xp: Any, x: Any, /) -> Any:
    """-x."""
    return -x


@op(vjp=(lambda xp, g, out, x: g * xp.sign(x),), examples=AWAY, c="absolute({0})")
def abs_(xp: Any, x: Any, /) -> Any:
    """|x|; the derivative at 0 is taken as 0."""
    return xp.abs(x)


@op(vjp=(lambda xp, g, out, x: g * 0.0,), examples=AWAY, c="signum({0})")
def sign(xp: Any, x: Any, /) -> Any:
    """-1, 0 or 1 by the sign of x; its derivative is 0."""
    return xp.sign(x)


@op(vjp=(lambda xp, g, out, x: g * out,), examples=ONE, c="exponential({0})")
def exp(xp: Any, x: Any, /) -> Any:
    """e to the power x."""
    return xp.exp(x)


@op(vjp=(lambda xp, g, out, x: g * (out + 1.0),), examples=ONE, c="exponential1m({0})")
def expm1(xp: Any, x: Any, /) -> Any:
    """e^x - 1, precise near 0."""
    return xp.expm1(x)


@op(vjp=(lambda xp, g, out, x: g / x,), examples=POSITIVE, c="logarithm({0})")
def log(xp: Any, x: Any, /) -> Any:
    """Natural logarithm."""
    return xp.log(x)


@op(vjp=(lambda xp, g, out, x: g / (x + 1.0),), examples=POSITIVE, c="logarithm1p({0})")
def log1p(xp: Any, x: Any, /) -> Any:
    """log(1 + x), precise near 0."""
    return xp.log1p(x)


@op(vjp=(lambda xp, g, out, x: g * xp.cos(x),), examples=ONE, c="sine({0})")
def sin(xp: Any, x: Any, /) -> Any:
    """Sine of x in radians."""
    return xp.sin(x)


@op(vjp=(lambda xp, g, out, x: -g * xp.sin(x),), examples=ONE, c="cosine({0})")
def cos(xp: Any, x: Any, /) -> Any:
    """Cosine of x in radians."""
    return xp.cos(x)


@op(vjp=(lambda xp, g, out, x: g * (1.0 - out * out),), examples=ONE, c="hyptan({0})")
def tanh(xp: Any, x: Any, /) -> Any:
    """Hyperbolic tangent."""
    return xp.tanh(x)


@op(vjp=(lambda xp, g, out, x: g * (out * (1.0 - out)),), examples=ONE, c="logistic({0})")
def sigmoid(xp: Any, x: Any, /) -> Any:
    """1 / (1 + e^-x). A primitive for stability: no overflow, and right in both tails."""
    return xp.sigmoid(x)


@op(vjp=(lambda xp, g, out, x: xp.where(x > 0, g, 0.0),), examples=AWAY, c="maximum({0}, (real)0)")
def relu(xp: Any, x: Any, /) -> Any:
    """max(x, 0); the derivative at 0 is taken as 0."""
    return xp.maximum(x, 0)


@op(vjp=(lambda xp, g, out, x: 0.5 * g / out,), examples=POSITIVE, c="squareroot({0})")
def sqrt(xp: Any, x: Any, /) -> Any:
    """Square root."""
    return xp.sqrt(x)


def _won(xp: Any, g: Any, wins: Any, ties: Any) -> Any:
    """g where an input wins, half of it where both are alike.

    The inputs are compared with each other and not with the result, which may have been rounded
    elsewhere.
    """
    return xp.where(ties, 0.5 * g, xp.where(wins, g, 0.0))


@op(
    vjp=(
        lambda xp, g, out, x, y: _won(xp, g, x > y, x == y),
        lambda xp, g, out, x, y: _won(xp, g, x < y, x == y),
    ),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="maximum({0}, {1})",
)
def maximum(xp: Any, x: Any, y: Any, /) -> Any:
    """The larger of x and y; ties share the gradient equally."""
    return xp.maximum(x, y)


@op(
    vjp=(
        lambda xp, g, out, x, y: _won(xp, g, x < y, x == y),
        lambda xp, g, out, x, y: _won(xp, g, x > y, x == y),
    ),
    examples=PAIR,
    mistake=broadcast_mistake,
    c="minimum({0}, {1})",
)
def minimum(xp: Any, x: Any, y: Any, /) -> Any:
    """The smaller of x and y; ties share the gradient equally."""
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
)
def where(xp: Any, condition: Any, x: Any, y: Any, /) -> Any:
    """x where the condition holds, else y."""
    if not hasattr(x, "shape") and not hasattr(y, "shape") and float in (type(x), type(y)):
        x = xp.asarray(x, dtype=xp.float32)  # the default float, where NumPy's is float64
    return xp.where(condition, x, y)


def _clip_vjp(xp: Any, g: Any, out: Any, x: Any, *, min: Any = None, max: Any = None) -> Any:
    inside = x == x if min is None else x >= min
    inside = inside if max is None else inside & (x <= max)
    return xp.where(inside, g, 0.0)


@op(
    vjp=(_clip_vjp,),
    examples=(
        Example((Draw((3, 4)),), {"min": -1.0, "max": 1.0}),
        Example((Draw((4,)),), {"max": 0.5}),
    ),
)
def clip(xp: Any, x: Any, /, min: float | None = None, max: float | None = None) -> Any:
    """x held between `min` and `max`; no gradient outside, all of it at the bounds."""
    return xp.clip(x, min, max)


def _cast_vjp(xp: Any, g: Any, out: Any, x: Any, *, dtype: Any) -> Any:
    return xp.astype(g, x.dtype)


@op(vjp=(_cast_vjp,), examples=(Example((Draw((3,)),), {"dtype": "float64"}),))
def astype(xp: Any, x: Any, /, dtype: Any) -> Any:
    """x in another floating dtype; see `engine.astype` for the rest."""
    return x.astype(dtype)


@op(vjp=None, examples=(Example((Draw((3,)),), {"dtype": "int32"}),))
def discretize(xp: Any, x: Any, /, dtype: Any) -> Any:
    """x as integers or booleans: a step function, through which no gradient goes."""
    return x.astype(dtype)


@op(vjp=(lambda xp, g, out, x: g,), examples=ONE, c="{0}")
def identity(xp: Any, x: Any, /) -> Any:
    """x as it is, at a node of its own: a place to differentiate at."""
    return x
