"""Compute exponentials, logarithms and the square root. Above the registry."""

import math
from typing import Any

from engine.ops.elementwise import ONE, PAIR, POSITIVE
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = [
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "logaddexp", "rsqrt", "sqrt",
]  # fmt: skip


@op(vjp=(lambda xp, g, out, x: g * out,), examples=ONE, c="exponential({0})")
def exp(xp: Any, x: Any, /) -> Any:
    """Return e to the power x.

    >>> engine.exp([0.0, -1000.0]).tolist()
    [1.0, 0.0]
    """
    return xp.exp(x)


@op(vjp=(lambda xp, g, out, x: g * out * math.log(2),), examples=ONE, c="OF(exp2)({0})")
def exp2(xp: Any, x: Any, /) -> Any:
    """Return 2 to the power x. A primitive for precision: powers of two are exact.

    >>> engine.exp2([10.0, -1.0]).tolist()
    [1024.0, 0.5]
    """
    return xp.exp2(x)


@op(vjp=(lambda xp, g, out, x: g * xp.exp(x),), examples=ONE, c="exponential1m({0})")
def expm1(xp: Any, x: Any, /) -> Any:
    """Return e^x - 1, precise near 0.

    >>> round(engine.expm1(1e-20).item() / 1e-20, 4), engine.exp(1e-20).item() - 1
    (1.0, 0.0)
    """
    return xp.expm1(x)


@op(vjp=(lambda xp, g, out, x: g / x,), examples=POSITIVE, c="logarithm({0})")
def log(xp: Any, x: Any, /) -> Any:
    """Return the natural logarithm.

    >>> round(engine.log(engine.e).item(), 4)
    1.0
    """
    return xp.log(x)


@op(vjp=(lambda xp, g, out, x: g / (x * math.log(2)),), examples=POSITIVE, c="OF(log2)({0})")
def log2(xp: Any, x: Any, /) -> Any:
    """Return the logarithm to base 2.

    >>> engine.log2([8.0, 0.5]).tolist()
    [3.0, -1.0]
    """
    return xp.log2(x)


@op(vjp=(lambda xp, g, out, x: g / (x * math.log(10)),), examples=POSITIVE, c="OF(log10)({0})")
def log10(xp: Any, x: Any, /) -> Any:
    """Return the logarithm to base 10.

    >>> round(engine.log10(1000.0).item(), 4)
    3.0
    """
    return xp.log10(x)


def _logaddexp_vjp(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """Return g times the share of x in e^x + e^y; equal infinities share equally."""
    gap = x - y
    return g * xp.sigmoid(xp.where((x == y) & (gap != gap), 0.0, gap))


@op(
    vjp=(
        lambda xp, g, out, x, y: _logaddexp_vjp(xp, g, x, y),
        lambda xp, g, out, x, y: _logaddexp_vjp(xp, g, y, x),
    ),
    examples=PAIR,
    c="logsum({0}, {1})",
)
def logaddexp(xp: Any, x: Any, y: Any, /) -> Any:
    """Return log(e^x + e^y) without overflow.

    >>> round(engine.logaddexp(1000.0, 1000.0).item(), 4)
    1000.6932
    """
    return xp.logaddexp(x, y)


@op(vjp=(lambda xp, g, out, x: g / (x + 1.0),), examples=POSITIVE, c="logarithm1p({0})")
def log1p(xp: Any, x: Any, /) -> Any:
    """Return log(1 + x), precise near 0.

    >>> engine.log1p(1e-20).item() > 0, engine.log(1 + 1e-20).item()
    (True, 0.0)
    """
    return xp.log1p(x)


@op(vjp=(lambda xp, g, out, x: 0.5 * g / out,), examples=POSITIVE, c="squareroot({0})")
def sqrt(xp: Any, x: Any, /) -> Any:
    """Return the square root.

    >>> engine.sqrt([9.0, 0.25]).tolist()
    [3.0, 0.5]
    """
    return xp.sqrt(x)


@method
@composition
def rsqrt(x: Tensor, /) -> Tensor:
    """Return 1 / sqrt(x): infinite for 0, NaN for negative numbers.

    >>> engine.rsqrt([4.0, 16.0]).tolist()
    [0.5, 0.25]
    """
    return 1.0 / sqrt(x)
