"""Changing dtypes, with and without a gradient, and rounding. Above the registry."""

from typing import Any

from engine.backends import DType
from engine.backends.half import FLOATING
from engine.op import Draw, Example
from engine.registry import op
from engine.tensor import Tensor

__all__ = ["ceil", "floor", "trunc"]

BETWEEN = (Example((Draw((3, 4), 0.1, 0.4),)), Example((Draw((4,), -1.9, -1.6),)))


def _cast_vjp(xp: Any, g: Any, out: Any, x: Any, *, dtype: Any) -> Any:
    return xp.astype(g, x.dtype)


def _in_c(dtype: Any) -> str:
    """A kernel has one floating type, and booleans."""
    floating = "((real)({0}))"
    return {"float32": floating, "float64": floating, "bool": "({0} != 0)"}.get(str(dtype), "")


@op(
    vjp=(_cast_vjp,),
    examples=(Example((Draw((3,)),), {"dtype": "float64"}),),
    kind="elementwise",
    c=_in_c,
    degree="sum",
)
def astype(xp: Any, x: Any, /, dtype: Any) -> Any:
    """x in another floating dtype; see `engine.astype` for the rest."""
    return x.astype(dtype)


@op(
    vjp=None,
    examples=(Example((Draw((3,)),), {"dtype": "int32"}),),
    kind="elementwise",
    c=_in_c,
    public=False,
)
def discretize(xp: Any, x: Any, /, dtype: Any) -> Any:
    """x as integers or booleans: a step function, through which no gradient goes."""
    return x.astype(dtype)


def converted(x: Tensor, target: DType) -> Tensor:
    """x in another dtype: between floats with its gradient, to others without."""
    return astype(x, target.name) if target.kind in FLOATING else discretize(x, target.name)


@op(vjp=(lambda xp, g, out, x: g * 0.0,), examples=BETWEEN, c="OF(ceil)({0})")
def ceil(xp: Any, x: Any, /) -> Any:
    """The smallest whole number that is not below x; its derivative is 0."""
    return xp.ceil(x)


@op(vjp=(lambda xp, g, out, x: g * 0.0,), examples=BETWEEN, c="OF(floor)({0})")
def floor(xp: Any, x: Any, /) -> Any:
    """The largest whole number that is not above x; its derivative is 0."""
    return xp.floor(x)


@op(vjp=(lambda xp, g, out, x: g * 0.0,), examples=BETWEEN, c="OF(trunc)({0})")
def trunc(xp: Any, x: Any, /) -> Any:
    """x without its fraction; its derivative is 0."""
    return xp.trunc(x)


@op(vjp=(lambda xp, g, out, x: g * 0.0,), examples=BETWEEN, c="OF(rint)({0})")
def round_(xp: Any, x: Any, /) -> Any:
    """The nearest whole number, the even one of two; its derivative is 0."""
    return xp.round(x)


@op(
    vjp=(lambda xp, g, out, x: g,),
    examples=(Example((Draw((3,)),)),),
    kind="elementwise",
    c="{0}",
    degree="sum",
    public=False,
)
def copy(xp: Any, x: Any, /) -> Any:
    """x with an array of its own."""
    return xp.asarray(x, copy=True)
