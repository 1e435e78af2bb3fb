"""The precision of float32 products on devices that have tensor cores. Below the backends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PRECISIONS = ("float32", "tf32", "bfloat16")

_chosen = PRECISIONS[0]
_listeners: list[Callable[[str], None]] = []


def set_matmul_precision(precision: str) -> None:
    """Set how products of float32 matrices are computed on a GPU, for the whole process.

    ``"float32"`` keeps all digits. ``"tf32"`` rounds the factors to 10 bits behind the point, for
    tensor cores; ``"bfloat16"`` rounds those of compiled recurrences to 7, and products of the
    library, which has no such class through CuPy, to 10. Sums, states and results stay float32.
    Products of several matrices at once keep all digits. On the host, and for other dtypes, nothing
    changes. PyTorch has it as ``torch.backends.cuda.matmul.fp32_precision``. Raises ValueError for
    another name.

    >>> import engine
    >>> engine.get_matmul_precision()
    'float32'
    """
    global _chosen
    if precision not in PRECISIONS:
        raise ValueError(
            f"set_matmul_precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}"
        )
    _chosen = precision
    for listener in _listeners:
        listener(precision)


def get_matmul_precision() -> str:
    """Return how products of float32 matrices are computed on a GPU."""
    return _chosen


@contextmanager
def autocast(
    device: str = "cupy", dtype: Any = "bfloat16", *, enabled: bool = True
) -> Iterator[None]:
    """Inside, products of float32 matrices on a GPU are computed with narrower factors.

    `device` is the kind that is meant, such as ``x.device``, `dtype` ``"bfloat16"`` or ``"tf32"``:
    see `set_matmul_precision`, which this sets and puts back, for the whole process. Weights,
    states and sums stay float32, so no scaling of the loss is needed. Hold it around the backward
    pass too, whose products are then narrow as well. On the host, whose products keep all digits,
    nothing changes, and neither where `enabled` is False. ``@engine.autocast()`` decorates a
    function. Raises ValueError for float16, in which sums would overflow, and for other dtypes and
    devices.

    >>> import engine
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
    before = _chosen
    if enabled and kind in ("cupy", "cuda"):
        set_matmul_precision(name)
    try:
        yield
    finally:
        if _chosen != before:
            set_matmul_precision(before)


def on_precision(listener: Callable[[str], None]) -> None:
    """Call a function now and whenever the precision is set."""
    _listeners.append(listener)
    listener(_chosen)
