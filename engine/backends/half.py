"""Store bfloat16, half the memory of float32 with its range, and compute with it in float32.

NumPy has no such dtype; the ml_dtypes package brings it, and CuPy takes it from there. Ops widen
what they are given and narrow what they give, so that every op has it on every backend.
"""

from typing import Any

from engine.backends.abstract import AbstractArray
from engine.backends.base import Array, DType
from engine.backends.numpy import dtype, float16, float32, float64

FLOATING = "fV"  # the kinds of floating dtypes: V is what bfloat16 says of itself


class _Half:
    """Hold whether there was any bfloat16 yet: until then no op has to look for it."""

    any = False


half = _Half()


def bfloat16() -> DType:
    """Return the dtype. Raises ImportError with the remedy where ml_dtypes is not installed."""
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError("bfloat16 needs the ml_dtypes package: pip install ml_dtypes") from error
    half.any = True
    return dtype(ml_dtypes.bfloat16)


def is_half(x: Any) -> bool:
    """Return whether an array, or anything with a dtype, is bfloat16."""
    kind = getattr(x, "dtype", None)
    return kind is not None and is_half_dtype(kind)


def is_half_dtype(kind: DType) -> bool:
    """Return whether a dtype is bfloat16."""
    return kind.kind == "V" and kind.name == "bfloat16"  # type: ignore[no-any-return]


def widened(values: list[Any]) -> tuple[list[Any], DType | None]:
    """Return arrays with float32 for bfloat16, and the result's dtype if no other floats occur."""
    found = [is_half(x) for x in values]
    if not any(found):
        return values, None
    own = next(x.dtype for x, narrow in zip(values, found, strict=True) if narrow)
    others = any(not narrow and hasattr(x, "dtype") and x.dtype.kind == "f"
                 for x, narrow in zip(values, found, strict=True))  # fmt: skip
    wide = [_as(x, float32) if narrow else x for x, narrow in zip(values, found, strict=True)]
    return wide, None if others else own


def narrowed(out: Array, target: DType | None) -> Array:
    """Return a floating result in the dtype that it should have."""
    return out if target is None or out.dtype.kind != "f" else _as(out, target)


def _as(x: Array, kind: DType) -> Array:
    """Return an array in another dtype, also one without numbers."""
    return AbstractArray(x.shape, kind, x.device) if type(x) is AbstractArray else x.astype(kind)


def single(x: Array) -> Array:
    """Return float16 in float32, so that no sum overflows, and integers in float64.

    Without a sign they would wrap around where numbers are subtracted.
    """
    if x.dtype.kind == "f":
        return x.astype(float32) if x.dtype == float16 else x
    return x.astype(float64)


def rounded(out: Array, x: Array) -> Array:
    """Return what was computed of ``single(x)`` in the dtype of x, where that is floating."""
    return out if out.dtype == x.dtype or x.dtype.kind != "f" else out.astype(x.dtype)
