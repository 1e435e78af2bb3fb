"""Convert by `asarray` as users have it, cast, promote, and tell what the standard says of dtypes.

Anything becomes a tensor, and a tensor of another dtype keeps its gradient. Above the ops;
`apply.asarray` makes leaves.
"""

from dataclasses import dataclass
from typing import Any

from engine import apply
from engine.arguments import public
from engine.backends import HOST, DType, backend_of, full_name
from engine.backends.half import half, is_half_dtype
from engine.backends.numpy import dtype as numpy_dtype
from engine.backends.numpy import float32, real_dtype
from engine.ops.casts import converted
from engine.ops.casts import copy as copied
from engine.ops.shaping import stack
from engine.registry import method
from engine.suggestions import clearer
from engine.tensor import Tensor


@public
def asarray(
    x: Any, /, dtype: DType | None = None, device: str | None = None, *, copy: bool | None = None,
    requires_grad: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return a tensor that holds `x`: an array, a number, a nested sequence, or a tensor.

    Arrays keep their dtype and are not copied without `copy`; Python floats become float32. A
    tensor comes back as it is where nothing about it has to change; one that requires a gradient
    keeps it under another dtype. With `requires_grad` or a `name`, which the graph calls it by, it
    is a new leaf. Raises TypeError for complex or object data and for integers that should have a
    gradient, ValueError for ragged sequences, unknown devices, and where `copy` False cannot be.

    >>> engine.asarray([1.0, 2.0], name="x")
    tensor([1., 2.], dtype=float32)
    """
    if isinstance(x, Tensor) and not requires_grad and name is None and device in (None, x.device):
        changed = dtype is not None and as_dtype(dtype) != x.dtype
        if changed and copy is False:
            raise ValueError(
                f"asarray: {x.dtype} to {dtype} cannot be done without a copy; leave copy=False out"
            )
        if changed:
            return astype(x, dtype)
        return copied(x) if copy else x
    if isinstance(x, list | tuple) and (there := _tensors(x)) is not None:
        joined = stack([asarray(part, dtype, device or there) for part in x])
        return asarray(joined, requires_grad=requires_grad, name=name)
    made = apply.asarray(x, dtype, device, requires_grad=requires_grad, name=name)
    return apply.separate(x, made, copy)


def _tensors(pytree: Any) -> str | None:
    """Return the device of the first tensor, or device array, in a nested sequence, if any."""
    waiting = [pytree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            return one.device
        if (backend := backend_of(one)) not in (None, HOST):
            return backend.device_of(one)
        if isinstance(one, list | tuple):
            waiting += reversed(one)
    return None


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
    """Hold the limits of a floating dtype, as Python floats."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class IntegerInfo:
    """Hold the limits of an integer dtype."""

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
