"""Changing dtypes, and what the standard asks of them. Above the ops."""

from engine.backends import DType
from engine.backends.numpy import dtype as as_dtype
from engine.ops.elementwise import astype as cast
from engine.ops.elementwise import discretize
from engine.tensor import Tensor


def astype(x: Tensor, dtype: DType, /) -> Tensor:
    """x in another dtype. Between floats the gradient is cast back; to others it ends.

    >>> import engine
    >>> engine.astype(engine.ones(2), engine.int64).dtype
    dtype('int64')
    """
    target = as_dtype(dtype)
    if target == x.dtype:
        return x
    return cast(x, target.name) if target.kind == "f" else discretize(x, target.name)
