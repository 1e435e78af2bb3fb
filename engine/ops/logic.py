"""Comparisons and logic, element by element: ops without derivatives. Above the registry."""

from typing import Any

from engine.errors import explain_broadcast
from engine.op import Draw, Example
from engine.ops.elementwise import ONE, PAIR
from engine.registry import op

__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less",
    "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "nextafter",
    "not_equal", "signbit",
]  # fmt: skip

WHOLE = (Example((Draw((3, 4), 0, 9, integer=True), Draw((4,), 0, 9, integer=True))),)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} == {1})")
def equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x == y."""
    return xp.equal(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} != {1})")
def not_equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x != y."""
    return xp.not_equal(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} < {1})")
def less(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x < y."""
    return xp.less(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} <= {1})")
def less_equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x <= y."""
    return xp.less_equal(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} > {1})")
def greater(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x > y."""
    return xp.greater(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} >= {1})")
def greater_equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x >= y."""
    return xp.greater_equal(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} && {1})")
def logical_and(xp: Any, x: Any, y: Any, /) -> Any:
    """Return both x and y are true (not 0)."""
    return xp.logical_and(x, y)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="({0} || {1})")
def logical_or(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x or y is true (not 0)."""
    return xp.logical_or(x, y)


@op(vjp=None, examples=ONE, c="(!{0})")
def logical_not(xp: Any, x: Any, /) -> Any:
    """Return x is false (0)."""
    return xp.logical_not(x)


@op(vjp=None, examples=ONE, c="(absolute({0}) < (real)INFINITY)")
def isfinite(xp: Any, x: Any, /) -> Any:
    """Return neither infinite nor NaN."""
    return xp.isfinite(x)


@op(vjp=None, examples=WHOLE, explain=explain_broadcast, c="({0} & {1})")
def bitwise_and(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x & y, bit by bit; of booleans: both."""
    return xp.bitwise_and(x, y)


@op(vjp=None, examples=WHOLE, explain=explain_broadcast, c="({0} | {1})")
def bitwise_or(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x | y, bit by bit; of booleans: at least one."""
    return xp.bitwise_or(x, y)


@op(vjp=None, examples=WHOLE, explain=explain_broadcast, c="({0} ^ {1})")
def bitwise_xor(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x ^ y, bit by bit; of booleans: exactly one."""
    return xp.bitwise_xor(x, y)


@op(
    vjp=None,
    examples=(Example((Draw((3, 4), 0, 9, integer=True),)),),
    kind="elementwise",
    c="(!{0})",
)
def bitwise_invert(xp: Any, x: Any, /) -> Any:
    """Return ~x, every bit turned over; of booleans: not."""
    return xp.bitwise_invert(x)


@op(vjp=None, examples=PAIR, explain=explain_broadcast, c="(!{0} != !{1})")
def logical_xor(xp: Any, x: Any, y: Any, /) -> Any:
    """Return exactly one of x and y is true (not 0)."""
    return xp.logical_xor(x, y)


@op(vjp=None, examples=ONE, c="(absolute({0}) == (real)INFINITY)")
def isinf(xp: Any, x: Any, /) -> Any:
    """Return infinite, of either sign."""
    return xp.isinf(x)


@op(vjp=None, examples=ONE, c="({0} != {0})")
def isnan(xp: Any, x: Any, /) -> Any:
    """Return whether elements are NaN."""
    return xp.isnan(x)


@op(vjp=None, examples=ONE, c="(signbit({0}) != 0)")
def signbit(xp: Any, x: Any, /) -> Any:
    """Return negative, or a zero with a minus sign."""
    return xp.signbit(x)


@op(
    vjp=None,
    examples=PAIR[:2],
    explain=explain_broadcast,
    kind="elementwise",
    c="OF(nextafter)({0}, {1})",
)
def nextafter(xp: Any, x: Any, y: Any, /) -> Any:
    """Return the next number after x in the direction of y."""
    return xp.nextafter(x, y)


@op(vjp=None, examples=WHOLE, explain=explain_broadcast, kind="elementwise")
def bitwise_left_shift(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x << y."""
    return xp.bitwise_left_shift(x, y)


@op(vjp=None, examples=WHOLE, explain=explain_broadcast, kind="elementwise")
def bitwise_right_shift(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x >> y, with the sign of x kept."""
    return xp.bitwise_right_shift(x, y)
