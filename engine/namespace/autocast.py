"""Narrow the factors of products inside a block, as PyTorch's `autocast` does."""

from contextlib import AbstractContextManager, ContextDecorator
from typing import Any

from engine.backends.precision import PRECISIONS, get_matmul_precision, set_matmul_precision
from engine.checks import flag


class Autocast(ContextDecorator, AbstractContextManager[None]):
    """Set a precision inside and put back after what it was before; None sets nothing."""

    def __init__(self, precision: str | None) -> None:
        self._precision = precision
        self._before: list[str] = []

    def __enter__(self) -> None:
        self._before.append(get_matmul_precision())
        if self._precision is not None:
            set_matmul_precision(self._precision)

    def __exit__(self, *error: Any) -> None:
        before = self._before.pop()
        if get_matmul_precision() != before:
            set_matmul_precision(before)


def autocast(device: str = "cupy", dtype: Any = "bfloat16", *, enabled: bool = True) -> Autocast:
    """Compute products of float32 matrices on a GPU inside with narrower factors.

    `device` is the kind that is meant, such as ``x.device``, `dtype` ``"bfloat16"`` or ``"tf32"``:
    see `set_matmul_precision`, which this sets and puts back, for the whole process. Weights,
    states and sums stay float32, so no scaling of the loss is needed. Hold it around the backward
    pass too: its products are then narrow as well. On the host products keep all digits, so
    nothing changes, and neither where `enabled` is False. ``@engine.autocast()`` decorates a
    function. Raises ValueError for float16, in which sums would overflow, and for other dtypes and
    devices, TypeError for another `enabled` than True and False.

    >>> with engine.autocast("cupy", "tf32"):
    ...     engine.get_matmul_precision()
    'tf32'
    """
    name = str(dtype).removeprefix("torch.")
    if name not in PRECISIONS:
        hint = "; float16 overflows in sums, take bfloat16" if name == "float16" else ""
        told = ", ".join(PRECISIONS)
        raise ValueError(f"autocast: expected a dtype of {told}, got {name!r}{hint}")
    kind = device.partition(":")[0] if isinstance(device, str) else device
    if kind not in ("cupy", "cuda", "numpy", "cpu"):
        raise ValueError(f"autocast: expected device 'cupy' or 'numpy', got {device!r}")
    return Autocast(name if flag("enabled", enabled) and kind in ("cupy", "cuda") else None)
