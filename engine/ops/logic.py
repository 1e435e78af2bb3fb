"""Compare and combine by logic, element by element: ops without derivatives. Above the registry."""

from typing import Any

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


@op(vjp=None, examples=PAIR, c="({0} == {1})")
def equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x == y.

    >>> engine.equal([1, 2], [1, 3]).tolist()
    [True, False]
    """
    return xp.equal(x, y)


@op(vjp=None, examples=PAIR, c="({0} != {1})")
def not_equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x != y.

    >>> engine.not_equal([1, 2], [1, 3]).tolist()
    [False, True]
    """
    return xp.not_equal(x, y)


@op(vjp=None, examples=PAIR, c="({0} < {1})")
def less(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x < y.

    >>> engine.less([1, 2, 3], 2).tolist()
    [True, False, False]
    """
    return xp.less(x, y)


@op(vjp=None, examples=PAIR, c="({0} <= {1})")
def less_equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x <= y.

    >>> engine.less_equal([1, 2, 3], 2).tolist()
    [True, True, False]
    """
    return xp.less_equal(x, y)


@op(vjp=None, examples=PAIR, c="({0} > {1})")
def greater(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x > y.

    >>> engine.greater([1, 2, 3], 2).tolist()
    [False, False, True]
    """
    return xp.greater(x, y)


@op(vjp=None, examples=PAIR, c="({0} >= {1})")
def greater_equal(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x >= y.

    >>> engine.greater_equal([1, 2, 3], 2).tolist()
    [False, True, True]
    """
    return xp.greater_equal(x, y)


@op(vjp=None, examples=PAIR, c="({0} && {1})")
def logical_and(xp: Any, x: Any, y: Any, /) -> Any:
    """Return both x and y are true (not 0).

    >>> engine.logical_and([True, True, False], [True, False, False]).tolist()
    [True, False, False]
    """
    return xp.logical_and(x, y)


@op(vjp=None, examples=PAIR, c="({0} || {1})")
def logical_or(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x or y is true (not 0).

    >>> engine.logical_or([True, True, False], [True, False, False]).tolist()
    [True, True, False]
    """
    return xp.logical_or(x, y)


@op(vjp=None, examples=ONE, c="(!{0})")
def logical_not(xp: Any, x: Any, /) -> Any:
    """Return x is false (0).

    >>> engine.logical_not([0, 1, 2]).tolist()
    [True, False, False]
    """
    return xp.logical_not(x)


@op(vjp=None, examples=ONE, c="(absolute({0}) < (real)INFINITY)")
def isfinite(xp: Any, x: Any, /) -> Any:
    """Return neither infinite nor NaN.

    >>> engine.isfinite([1.0, engine.inf, engine.nan]).tolist()
    [True, False, False]
    """
    return xp.isfinite(x)


@op(vjp=None, examples=WHOLE, c="({0} & {1})")
def bitwise_and(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x & y, bit by bit; of booleans: both.

    >>> engine.bitwise_and(0b110, [0b011, 0b100]).tolist()
    [2, 4]
    """
    return xp.bitwise_and(x, y)


@op(vjp=None, examples=WHOLE, c="({0} | {1})")
def bitwise_or(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x | y, bit by bit; of booleans: at least one.

    >>> engine.bitwise_or(0b110, 0b011).item()
    7
    """
    return xp.bitwise_or(x, y)


@op(vjp=None, examples=WHOLE, c="({0} ^ {1})")
def bitwise_xor(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x ^ y, bit by bit; of booleans: exactly one.

    >>> engine.bitwise_xor(0b110, 0b011).item()
    5
    """
    return xp.bitwise_xor(x, y)


@op(vjp=None, examples=(Example((Draw((3, 4), 0, 9, integer=True),)),), c="(!{0})")
def bitwise_invert(xp: Any, x: Any, /) -> Any:
    """Return ~x, every bit turned over; of booleans: not.

    >>> engine.bitwise_invert([0, 5]).tolist()
    [-1, -6]
    """
    return xp.bitwise_invert(x)


@op(vjp=None, examples=PAIR, c="(!{0} != !{1})")
def logical_xor(xp: Any, x: Any, y: Any, /) -> Any:
    """Return exactly one of x and y is true (not 0).

    >>> engine.logical_xor([True, True, False], [True, False, False]).tolist()
    [False, True, False]
    """
    return xp.logical_xor(x, y)


@op(vjp=None, examples=ONE, c="(absolute({0}) == (real)INFINITY)")
def isinf(xp: Any, x: Any, /) -> Any:
    """Return infinite, of either sign.

    >>> engine.isinf([1.0, -engine.inf, engine.nan]).tolist()
    [False, True, False]
    """
    return xp.isinf(x)


@op(vjp=None, examples=ONE, c="({0} != {0})")
def isnan(xp: Any, x: Any, /) -> Any:
    """Return whether elements are NaN.

    >>> engine.isnan([1.0, engine.inf, engine.nan]).tolist()
    [False, False, True]
    """
    return xp.isnan(x)


@op(vjp=None, examples=ONE, c="(signbit({0}) != 0)")
def signbit(xp: Any, x: Any, /) -> Any:
    """Return negative, or a zero with a minus sign.

    >>> engine.signbit([-0.0, 0.0]).tolist()
    [True, False]
    """
    return xp.signbit(x)


@op(vjp=None, examples=PAIR[:2], c="OF(nextafter)({0}, {1})")
def nextafter(xp: Any, x: Any, y: Any, /) -> Any:
    """Return the next number after x in the direction of y.

    >>> engine.nextafter(1.0, 2.0).item() - 1 == engine.finfo("float32").eps
    True
    """
    return xp.nextafter(x, y)


@op(vjp=None, examples=WHOLE, kind="elementwise")
def bitwise_left_shift(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x << y.

    >>> engine.bitwise_left_shift(1, [0, 1, 4]).tolist()
    [1, 2, 16]
    """
    return xp.bitwise_left_shift(x, y)


@op(vjp=None, examples=WHOLE, kind="elementwise")
def bitwise_right_shift(xp: Any, x: Any, y: Any, /) -> Any:
    """Return x >> y, with the sign of x kept.

    >>> engine.bitwise_right_shift([16, -16], 2).tolist()
    [4, -4]
    """
    return xp.bitwise_right_shift(x, y)
