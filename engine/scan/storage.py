"""Recurrences of half the width on a device: arrays are stored so, all else is float32.

The program is that of float32; what is narrow is widened on its way in and narrowed on its way out,
by ops on the graph. Below `recorded.py`.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.backends import DType
from engine.backends.half import FLOATING
from engine.backends.numpy import dtype as dtype_of
from engine.backends.numpy import float32
from engine.ops.casts import converted
from engine.scan.program import NotFusableError, Value
from engine.tensor import Tensor


def is_narrow(dtype: DType) -> bool:
    """Return whether a dtype is float16 or bfloat16."""
    return dtype.kind in FLOATING and dtype.itemsize == 2


def widened(values: Sequence[Value]) -> list[Value]:
    """Return the values of a program with float32 in the place of half the width.

    Raises NotFusableError where an op asks for half the width itself.
    """
    for value in values:
        asked = value.attrs.get("dtype") if value.op is not None else None
        if asked is not None and is_narrow(dtype_of(asked)):
            raise NotFusableError(f"{value.op.name} in the step asks for {asked}")  # type: ignore[union-attr]
    return [replace(v, dtype=float32) if is_narrow(v.dtype) else v for v in values]


def wide(x: Tensor) -> Tensor:
    """Return a tensor in float32 where it is narrow."""
    return converted(x, float32) if is_narrow(x.dtype) else x


def narrowed(x: Tensor, dtype: DType) -> Tensor:
    """Return a result in the dtype that it is stored in."""
    return x if x.dtype == dtype else converted(x, dtype)
