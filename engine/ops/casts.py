"""Change dtypes, with and without a gradient, and round. Above the registry."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from engine.backends import DType
from engine.backends.half import FLOATING
from engine.checks import whole
from engine.op import Draw, Example
from engine.ops.stopping import zero_gradient
from engine.registry import op
from engine.tensor import Tensor

__all__ = ["ceil", "floor", "trunc"]

P = ParamSpec("P")

BETWEEN = (Example((Draw((3, 4), 0.1, 0.4),)), Example((Draw((4,), -1.9, -1.6),)))


def _cast_vjp(xp: Any, g: Any, out: Any, x: Any, *, dtype: Any) -> Any:
    return xp.astype(g, x.dtype)


def _in_c(dtype: Any) -> str:
    """Return a kernel has one floating type, and booleans."""
    floating = "((real)({0}))"
    return {"float32": floating, "float64": floating, "bool": "({0} != 0)"}.get(str(dtype), "")


@op(
    vjp=(_cast_vjp,),
    examples=(Example((Draw((3,)),), {"dtype": "float64"}),),
    c=_in_c,
    degree="sum",
    role="cast",
)
def astype(xp: Any, x: Any, /, dtype: Any) -> Any:
    """Return x in another floating dtype; see `engine.astype` for the rest."""
    return x.astype(dtype)


@op(vjp=None, examples=(Example((Draw((3,)),), {"dtype": "int32"}),), c=_in_c, public=False)
def discretize(xp: Any, x: Any, /, dtype: Any) -> Any:
    """Return x as integers or booleans: a step function, through which no gradient goes."""
    return x.astype(dtype)


def converted(x: Tensor, target: DType) -> Tensor:
    """Return x in another dtype: between floats with its gradient, to others without."""
    return astype(x, target.name) if target.kind in FLOATING else discretize(x, target.name)


@op(vjp=(zero_gradient,), examples=BETWEEN, c="OF(ceil)({0})")
def ceil(xp: Any, x: Any, /) -> Any:
    """Return the smallest whole number that is not below x; its derivative is 0.

    >>> engine.ceil([-1.5, 1.5]).tolist()
    [-1.0, 2.0]
    """
    return xp.ceil(x)


@op(vjp=(zero_gradient,), examples=BETWEEN, c="OF(floor)({0})")
def floor(xp: Any, x: Any, /) -> Any:
    """Return the largest whole number that is not above x; its derivative is 0.

    >>> engine.floor([-1.5, 1.5]).tolist()
    [-2.0, 1.0]
    """
    return xp.floor(x)


@op(vjp=(zero_gradient,), examples=BETWEEN, c="OF(trunc)({0})")
def trunc(xp: Any, x: Any, /) -> Any:
    """Return x without its fraction; its derivative is 0.

    >>> engine.trunc([-1.5, 1.5]).tolist()
    [-1.0, 1.0]
    """
    return xp.trunc(x)


def _round_in_c(decimals: int = 0) -> str:
    """Round as NumPy does: scale by a power of ten and back."""
    if not decimals:
        return "OF(rint)({0})"
    times, over = ("*", "/") if decimals > 0 else ("/", "*")
    power = f"(real)1e{abs(decimals)}"
    return f"(OF(rint)({{0}} {times} {power}) {over} {power})"


@op(
    vjp=(zero_gradient,),
    examples=(*BETWEEN, Example((Draw((3, 4), 0.11, 0.14),), {"decimals": 1})),
    c=_round_in_c,
)
def round_(xp: Any, x: Any, /, *, decimals: int = 0) -> Any:
    """Return the nearest number of that many decimals, the even one of two; its derivative is 0.

    Whole numbers by default, tens for -1. Raises TypeError for `decimals` that are no integer.

    >>> engine.round([0.5, 1.5, 2.5]).tolist()
    [0.0, 2.0, 2.0]
    """
    return xp.round(x, whole("decimals", decimals))


@op(
    vjp=(lambda xp, g, out, x: g,),
    examples=(Example((Draw((3,)),)),),
    c="{0}",
    degree="sum",
    public=False,
)
def copy(xp: Any, x: Any, /) -> Any:
    """Return x with an array of its own."""
    return xp.asarray(x, copy=True)


def in_float32(function: Callable[Concatenate[Tensor, P], Tensor]) -> Callable[..., Tensor]:
    """Let a function compute on 16-bit floats in float32 and round its result once.

    Sums of them overflow, and lose what is small beside the total.
    """

    @wraps(function)
    def wide(x: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        kind = x.dtype
        if kind.itemsize != 2 or kind.kind not in FLOATING:
            return function(x, *args, **kwargs)
        return astype(function(astype(x, "float32"), *args, **kwargs), kind.name)

    return wide
