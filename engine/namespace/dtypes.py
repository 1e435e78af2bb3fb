"""Dtypes: changing them, asking about them, what the standard calls data type functions.

Above the ops.
"""

from dataclasses import dataclass
from typing import Any

from engine.arguments import public
from engine.backends import HOST, DType, full_name
from engine.backends.half import half, is_half_dtype
from engine.backends.numpy import dtype as numpy_dtype
from engine.backends.numpy import float32, real_dtype
from engine.ops.casts import converted
from engine.ops.casts import copy as copied
from engine.registry import method
from engine.suggestions import clearer
from engine.tensor import Tensor


@method
@public
def astype(x: Tensor, dtype: DType, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """Return x in another dtype. Between floats the gradient is cast back; to others it ends.

    A tensor of that dtype comes back with an array of its own, or as it is without `copy`. Raises
    ValueError for another device than that of x.

    >>> engine.astype(engine.ones(2), engine.int64).dtype
    dtype('int64')
    """
    target = real_dtype(dtype)
    half.any = half.any or target.kind == "V"
    if device is not None and x.device != full_name(device):
        raise ValueError(f"astype: the tensor is on {x.device}; move it with engine.to first")
    if target == x.dtype:
        return copied(x) if copy else x
    return converted(x, target)


def _dtype_of(x: Any) -> Any:
    return x.dtype if isinstance(x, Tensor) else x


def as_dtype(x: Any) -> DType:
    """Return the dtype of a name, a type or a dtype. Raises TypeError for others, as torch's."""
    try:
        return numpy_dtype(x)
    except TypeError as error:
        raise clearer(error) from None


def result_type(*values: Any) -> DType:
    """Return the dtype of a result of these tensors, dtypes and Python numbers, by promotion.

    >>> str(engine.result_type("float32", "int64"))
    'float64'
    """
    return HOST.xp.result_type(*map(_dtype_of, values))


def can_cast(x: Any, to: DType, /) -> bool:
    """Return whether promotion may turn the dtype of x, or the dtype x, into `to`.

    >>> engine.can_cast("int32", "int64"), engine.can_cast("float32", "int32")
    (True, False)
    """
    found: bool = HOST.xp.can_cast(_dtype_of(x), as_dtype(to))
    return found


def isdtype(dtype: DType, kind: Any) -> bool:
    """Return whether a dtype is of a kind: ``"bool"``, ``"signed integer"``, ``"real floating"``,
    ...

    >>> engine.isdtype("float32", "real floating")
    True
    """
    own = as_dtype(dtype)
    if is_half_dtype(own):  # NumPy does not know that it is a float
        kinds = kind if isinstance(kind, tuple) else (kind,)
        return any(
            HOST.xp.isdtype(float32, one) if isinstance(one, str) else as_dtype(one) == own
            for one in kinds
        )
    found: bool = HOST.xp.isdtype(own, kind)
    return found


@dataclass(frozen=True)
class FloatInfo:
    """The limits of a floating dtype, as Python floats."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class IntegerInfo:
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(x: Any, /) -> FloatInfo:
    """Return the limits of a floating dtype, or of the dtype of a tensor.

    >>> engine.finfo("float16").max
    65504.0
    """
    found = HOST.xp.finfo(_dtype_of(x))
    names = ("eps", "max", "min", "smallest_normal")
    limits = {name: float(getattr(found, name)) for name in names}
    return FloatInfo(bits=int(found.bits), dtype=found.dtype, **limits)


def iinfo(x: Any, /) -> IntegerInfo:
    """Return the limits of an integer dtype, or of the dtype of a tensor.

    >>> engine.iinfo("int8").min
    -128
    """
    found = HOST.xp.iinfo(_dtype_of(x))
    return IntegerInfo(int(found.bits), int(found.max), int(found.min), found.dtype)
