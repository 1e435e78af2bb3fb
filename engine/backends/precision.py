"""Set the precision of float32 products on devices with tensor cores. Below the backends."""

from collections.abc import Callable

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
    """Return how products of float32 matrices are computed on a GPU.

    >>> engine.get_matmul_precision()
    'float32'
    """
    return _chosen


def on_precision(listener: Callable[[str], None]) -> None:
    """Call a function now and whenever the precision is set."""
    _listeners.append(listener)
    listener(_chosen)
