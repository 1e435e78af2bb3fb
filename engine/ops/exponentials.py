"""Exponentials, logarithms and the square root. Above the registry."""

import math
from typing import Any

from engine.errors import explain_broadcast
from engine.ops.elementwise import ONE, PAIR, POSITIVE
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = [
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "logaddexp", "rsqrt", "sqrt",
]  # fmt: skip


@op(vjp=(lambda xp, g, out, x: g * out,), examples=ONE, c="exponential({0})")
def exp(xp: Any, x: Any, /) -> Any:
    """Return e to the power x."""
    return xp.exp(x)


@op(vjp=(lambda xp, g, out, x: g * out * math.log(2),), examples=ONE, c="OF(exp2)({0})")
def exp2(xp: Any, x: Any, /) -> Any:
    """Return 2 to the power x. A primitive for precision: powers of two are exact."""
    return xp.exp2(x)


@op(vjp=(lambda xp, g, out, x: g * xp.exp(x),), examples=ONE, c="exponential1m({0})")
def expm1(xp: Any, x: Any, /) -> Any:
    """Return e^x - 1, precise near 0."""
    return xp.expm1(x)


@op(vjp=(lambda xp, g, out, x: g / x,), examples=POSITIVE, c="logarithm({0})")
def log(xp: Any, x: Any, /) -> Any:
    """Return the natural logarithm."""
    return xp.log(x)


@op(vjp=(lambda xp, g, out, x: g / (x * math.log(2)),), examples=POSITIVE, c="OF(log2)({0})")
def log2(xp: Any, x: Any, /) -> Any:
    """Return the logarithm to base 2."""
    return xp.log2(x)


@op(vjp=(lambda xp, g, out, x: g / (x * math.log(10)),), examples=POSITIVE, c="OF(log10)({0})")
def log10(xp: Any, x: Any, /) -> Any:
    """Return the logarithm to base 10."""
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
    explain=explain_broadcast,
    kind="elementwise",
    c="logsum({0}, {1})",
)
def logaddexp(xp: Any, x: Any, y: Any, /) -> Any:
    """Return log(e^x + e^y) without overflow."""
    return xp.logaddexp(x, y)


@op(vjp=(lambda xp, g, out, x: g / (x + 1.0),), examples=POSITIVE, c="logarithm1p({0})")
def log1p(xp: Any, x: Any, /) -> Any:
    """Return log(1 + x), precise near 0."""
    return xp.log1p(x)


@op(vjp=(lambda xp, g, out, x: 0.5 * g / out,), examples=POSITIVE, c="squareroot({0})")
def sqrt(xp: Any, x: Any, /) -> Any:
    """Return the square root."""
    return xp.sqrt(x)


@method
@composition
def rsqrt(x: Tensor, /) -> Tensor:
    """Return 1 / sqrt(x): infinite for 0, NaN for negative numbers."""
    return 1.0 / sqrt(x)
