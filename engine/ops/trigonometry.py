"""Compute circular and hyperbolic functions and their inverses. Above the registry."""

import math
from typing import Any

from engine.op import Draw, Example
from engine.ops.elementwise import ONE, PAIR
from engine.ops.stopping import multiple
from engine.registry import op

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "hypot", "sin",
    "sinc", "sinh", "tan", "tanh",
]  # fmt: skip

INSIDE = (Example((Draw((3, 4), -0.9, 0.9),)),)
BEYOND = (Example((Draw((3, 4), 1.1, 3.0),)),)
STEEP = (Example((Draw((3, 4), -1.2, 1.2),)),)


@op(vjp=(lambda xp, g, out, x: g * xp.cos(x),), examples=ONE, c="sine({0})")
def sin(xp: Any, x: Any, /) -> Any:
    """Return the sine of x in radians.

    >>> round(engine.sin(engine.pi / 6).item(), 4)
    0.5
    """
    return xp.sin(x)


@op(vjp=(lambda xp, g, out, x: -g * xp.sin(x),), examples=ONE, c="cosine({0})")
def cos(xp: Any, x: Any, /) -> Any:
    """Return the cosine of x in radians.

    >>> engine.cos([0.0, engine.pi]).tolist()
    [1.0, -1.0]
    """
    return xp.cos(x)


@op(vjp=(lambda xp, g, out, x: g * (1.0 + out * out),), examples=STEEP, c="OF(tan)({0})")
def tan(xp: Any, x: Any, /) -> Any:
    """Return the tangent of x in radians.

    >>> round(engine.tan(engine.pi / 4).item(), 4)
    1.0
    """
    return xp.tan(x)


@op(vjp=(lambda xp, g, out, x: g / xp.sqrt(1.0 - x * x),), examples=INSIDE, c="OF(asin)({0})")
def asin(xp: Any, x: Any, /) -> Any:
    """Return the angle in [-pi/2, pi/2] that has the sine x.

    >>> round(engine.asin(1.0).item(), 4)
    1.5708
    """
    return xp.asin(x)


@op(vjp=(lambda xp, g, out, x: -g / xp.sqrt(1.0 - x * x),), examples=INSIDE, c="OF(acos)({0})")
def acos(xp: Any, x: Any, /) -> Any:
    """Return the angle in [0, pi] that has the cosine x.

    >>> round(engine.acos(-1.0).item(), 4)
    3.1416
    """
    return xp.acos(x)


@op(vjp=(lambda xp, g, out, x: g / (1.0 + x * x),), examples=ONE, c="OF(atan)({0})")
def atan(xp: Any, x: Any, /) -> Any:
    """Return the angle in [-pi/2, pi/2] that has the tangent x.

    >>> round(4 * engine.atan(1.0).item(), 4)
    3.1416
    """
    return xp.atan(x)


def _around(xp: Any, g: Any, part: Any, x: Any, y: Any) -> Any:
    """Return g part / (x^2 + y^2), by a radius that does not underflow; 0 at the origin."""
    radius = xp.hypot(x, y)
    is_zero = radius == 0
    radius = xp.where(is_zero, 1.0, radius)
    return xp.where(is_zero, 0.0, g * (part / radius) / radius)


@op(
    vjp=(
        lambda xp, g, out, y, x: _around(xp, g, x, x, y),
        lambda xp, g, out, y, x: _around(xp, -g, y, x, y),
    ),
    examples=(PAIR[0], PAIR[1]),
    c="OF(atan2)({0}, {1})",
)
def atan2(xp: Any, y: Any, x: Any, /) -> Any:
    """Return the angle in [-pi, pi] of the point (x, y); its derivative at the origin is 0.

    >>> round(4 * engine.atan2(1.0, -1.0).item() / engine.pi, 4)
    3.0
    """
    return xp.atan2(y, x)


@op(vjp=(lambda xp, g, out, x: g * xp.cosh(x),), examples=ONE, c="OF(sinh)({0})")
def sinh(xp: Any, x: Any, /) -> Any:
    """Return the hyperbolic sine.

    >>> round(engine.sinh(1.0).item(), 4)
    1.1752
    """
    return xp.sinh(x)


@op(vjp=(lambda xp, g, out, x: g * xp.sinh(x),), examples=ONE, c="OF(cosh)({0})")
def cosh(xp: Any, x: Any, /) -> Any:
    """Return the hyperbolic cosine.

    >>> round(engine.cosh(1.0).item(), 4)
    1.5431
    """
    return xp.cosh(x)


@op(vjp=(lambda xp, g, out, x: g * (1.0 - out * out),), examples=ONE, c="hyptan({0})")
def tanh(xp: Any, x: Any, /) -> Any:
    """Return the hyperbolic tangent.

    >>> [round(y, 4) for y in engine.tanh([-1000.0, 0.0, 0.5]).tolist()]
    [-1.0, 0.0, 0.4621]
    """
    return xp.tanh(x)


@op(vjp=(lambda xp, g, out, x: g / xp.sqrt(x * x + 1.0),), examples=ONE, c="OF(asinh)({0})")
def asinh(xp: Any, x: Any, /) -> Any:
    """Return the inverse of sinh.

    >>> round(engine.asinh(engine.sinh(2.0)).item(), 4)
    2.0
    """
    return xp.asinh(x)


@op(vjp=(lambda xp, g, out, x: g / xp.sqrt(x * x - 1.0),), examples=BEYOND, c="OF(acosh)({0})")
def acosh(xp: Any, x: Any, /) -> Any:
    """Return the inverse of cosh, at least 0; NaN below 1.

    >>> round(engine.acosh(engine.cosh(2.0)).item(), 4)
    2.0
    """
    return xp.acosh(x)


@op(vjp=(lambda xp, g, out, x: g / (1.0 - x * x),), examples=INSIDE, c="OF(atanh)({0})")
def atanh(xp: Any, x: Any, /) -> Any:
    """Return the inverse of tanh; NaN outside of [-1, 1].

    >>> round(engine.atanh(engine.tanh(0.5)).item(), 4)
    0.5
    """
    return xp.atanh(x)


def _toward(xp: Any, g: Any, out: Any, part: Any, other: Any) -> Any:
    """Return g part / out, and 0 at the origin, where its own derivative is NaN, as of a norm."""
    share = multiple(xp, g, out)
    if share is not None:
        return share * part
    is_zero = out == 0
    tip = 0.0 * xp.sqrt(xp.where(is_zero, part * part + other * other, 1.0))
    return xp.where(is_zero, tip, g * (part / xp.where(is_zero, 1.0, out)))


@op(
    vjp=(
        lambda xp, g, out, x, y: _toward(xp, g, out, x, y),
        lambda xp, g, out, x, y: _toward(xp, g, out, y, x),
    ),
    examples=(PAIR[0], PAIR[1]),
    c="OF(hypot)({0}, {1})",
)
def hypot(xp: Any, x: Any, y: Any, /) -> Any:
    """Return sqrt(x^2 + y^2) without overflow on the way.

    >>> round(engine.hypot(3e30, 4e30).item() / 1e30, 4)
    5.0
    """
    return xp.hypot(x, y)


# sinc' x = pi^2 x (sum over k of c_k (pi x)^(2 k - 2)), with c_k = (-1)^k 2 k / (2 k + 1)!
SERIES = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 13)]

ANGLE = f"(real){math.pi!r} * {{0}}"


def _sinc_vjp(xp: Any, g: Any, out: Any, x: Any) -> Any:
    """Return g (cos(pi x) - sinc x) / x, near 0, where that cancels, by the series."""
    near = xp.abs(x) < 0.5
    close, far = xp.where(near, x, 0.0), xp.where(near, 1.0, x)
    square, total = math.pi**2 * close * close, 0.0
    for c in reversed(SERIES):
        total = total * square + c
    return g * xp.where(near, math.pi**2 * close * total, (xp.cos(math.pi * far) - out) / far)


@op(
    vjp=(_sinc_vjp,),
    examples=ONE,
    c=f"({{0}} == 0 ? (real)1 : sine({ANGLE}) / ({ANGLE}))",
)
def sinc(xp: Any, x: Any, /) -> Any:
    """Return sin(pi x) / (pi x), and 1 at 0, where all derivatives are right too.

    >>> [round(y, 4) for y in engine.sinc([0.0, 0.5]).tolist()]
    [1.0, 0.6366]
    """
    return xp.sinc(x)
