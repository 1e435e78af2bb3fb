"""Choose between numbers, element by element: `maximum`, `minimum`, `where`, `clip`.

NaN is handed on with its gradient, and ties share it. Above `elementwise.py`.
"""

import math
from typing import Any

from engine.apply import asarray
from engine.backends.half import FLOATING
from engine.op import Draw, Example
from engine.ops.casts import converted
from engine.ops.elementwise import PAIR
from engine.registry import composition, method, op
from engine.tensor import Tensor

__all__ = ["clip", "maximum", "minimum", "where"]


def _won(xp: Any, g: Any, loses: Any, ties: Any) -> Any:
    """Return g where an input wins, half of it where both are equal, all of it beside a NaN.

    The inputs are compared with each other, not with the result, which may have been rounded.
    """
    return xp.where(ties, 0.5 * g, xp.where(loses, 0.0, g))


@op(
    vjp=(
        lambda xp, g, out, x, y: _won(xp, g, x < y, x == y),
        lambda xp, g, out, x, y: _won(xp, g, x > y, x == y),
    ),
    examples=PAIR,
    c="maximum({0}, {1})",
    degree="maximum",
    role="arithmetic",
)
def maximum(xp: Any, x: Any, y: Any, /) -> Any:
    """Return the larger of x and y, NaN where one is NaN; ties share the gradient equally.

    >>> engine.maximum([1.0, 5.0], [3.0, engine.nan]).tolist()
    [3.0, nan]
    """
    return xp.maximum(x, y)


@op(
    vjp=(
        lambda xp, g, out, x, y: _won(xp, g, x > y, x == y),
        lambda xp, g, out, x, y: _won(xp, g, x < y, x == y),
    ),
    examples=PAIR,
    c="minimum({0}, {1})",
    role="arithmetic",
)
def minimum(xp: Any, x: Any, y: Any, /) -> Any:
    """Return the smaller of x and y, NaN where one is NaN; ties share the gradient equally.

    >>> engine.minimum([1.0, 5.0], [3.0, engine.nan]).tolist()
    [1.0, nan]
    """
    return xp.minimum(x, y)


@op(
    vjp=(
        None,
        lambda xp, g, out, condition, x, y: xp.where(condition, g, 0.0),
        lambda xp, g, out, condition, x, y: xp.where(condition, 0.0, g),
    ),
    examples=(Example((Draw((3, 4), 0, 2, integer=True), Draw((3, 4)), Draw((4,)))),),
    c="({0} ? {1} : {2})",
    degree="choice",
    role="arithmetic",
)
def where(xp: Any, condition: Any, x: Any, y: Any, /) -> Any:
    """Return x where the condition holds, else y.

    >>> engine.where([True, False, True], [1.0, 2.0, 3.0], 0.0).tolist()
    [1.0, 0.0, 3.0]
    """
    if not hasattr(x, "shape") and not hasattr(y, "shape") and float in (type(x), type(y)):
        x = xp.asarray(x, dtype=xp.float32)  # the default float, where NumPy's is float64
    return xp.where(condition, x, y)


def _clip_vjp(xp: Any, g: Any, out: Any, x: Any, *, min: Any = None, max: Any = None) -> Any:
    outside = x < x if min is None else x < min  # x < x is nowhere, not at NaN either
    outside = outside if max is None else outside | (x > max)
    return xp.where(outside, 0.0, g)


def _clip_in_c(min: float | None = None, max: float | None = None) -> str:
    held = "{0}" if min is None else f"maximum({{0}}, {_literal(min)})"
    return held if max is None else f"minimum({held}, {_literal(max)})"


def _literal(number: float) -> str:
    """Return a number as C writes it."""
    if math.isfinite(number):
        return f"(real){float(number)!r}"
    return "(real)NAN" if math.isnan(number) else f"({'-' * (number < 0)}(real)INFINITY)"


@op(
    vjp=(_clip_vjp,),
    examples=(
        Example((Draw((3, 4)),), {"min": -1.0, "max": 1.0}),
        Example((Draw((4,)),), {"max": 0.5}),
    ),
    c=_clip_in_c,
)
def clip_(xp: Any, x: Any, /, min: float | None = None, max: float | None = None) -> Any:
    """Return x held between numbers (what `clip` records where the bounds are no arrays)."""
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
    """Return x held between `min` and `max`, numbers or arrays that broadcast; None: no bound.

    No gradient goes through outside, all of it at bounds that are numbers.

    >>> engine.clip([-3.0, 0.5, 3.0], -1.0, 1.0).tolist()
    [-1.0, 0.5, 1.0]
    """
    if all(bound is None or isinstance(bound, int | float) for bound in (min, max)):
        given = {"min": min, "max": max}
        return clip_(x, **{name: bound for name, bound in given.items() if bound is not None})
    own = [bound if bound is None or isinstance(bound, int | float) else _cast_like(bound, x)
           for bound in (min, max)]  # fmt: skip
    held = x if own[0] is None else maximum(x, own[0])
    return held if own[1] is None else minimum(held, own[1])
