"""Name devices: moving tensors, memory, waiting for work, narrow products. Above `asarray`."""

from contextlib import AbstractContextManager, ContextDecorator
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.backends import by_device, full_name, loaded
from engine.backends.base import Memory
from engine.backends.precision import PRECISIONS, get_matmul_precision, set_matmul_precision
from engine.checks import byte_count, flag, is_whole
from engine.tensor import Tensor


def device(name: str) -> str:
    """Return the full name of a device, once it is known to be usable: ``"cupy"`` -> ``"cupy:0"``.

    ``"cuda"`` and ``"cpu"``, which PyTorch says, are ``"cupy"`` and ``"numpy"``.
    Raises ValueError for an unknown name, RuntimeError where there is no such device.

    >>> engine.device("cpu")
    'numpy'
    """
    backend = by_device(name)
    return backend.device_of(backend.asarray(0.0, None, name))


@public
def to(x: Tensor, device: str) -> Tensor:
    """Return a leaf with the values of x on `device`; x itself where it is there already.

    >>> engine.to(engine.ones(2), "cpu").device
    'numpy'
    """
    if x.device == full_name(device):
        return x
    return asarray(x.data, device=device, requires_grad=x.requires_grad, name=x.node.name or None)


def memory(device: str = "numpy") -> Memory:
    """Return the memory that arrays on a device use, and what is kept for the next ones.

    On the host these are arrays of NumPy of 32 KB and more, from the first compiled recurrence or
    large product on; zeros where there is no arena.

    >>> engine.memory().in_use >= 0
    True
    """
    return by_device(device).memory(device)


def release_memory() -> None:
    """Give all memory that no array uses back to the system, on the host and on GPUs.

    >>> engine.release_memory()
    """
    for backend in loaded():
        backend.release_memory()


def set_memory_bound(size: int | str, device: str = "numpy") -> None:
    """Bound the memory that is kept on a device: a number of bytes, or a text such as ``"500MB"``.

    On the host it bounds what no array uses, an eighth of the machine's memory and 2 GB at most
    unless set; on a GPU it is the limit of CuPy's pool, arrays among it, where 0 is no limit.
    Raises ValueError for anything else.

    >>> engine.set_memory_bound("2GB")
    """
    bytes_ = byte_count(size) if isinstance(size, str) else size
    if bytes_ is None or not is_whole(bytes_, 0):
        raise ValueError(
            f"set_memory_bound: expected a number of bytes, such as '500MB', got {size!r}"
        )
    by_device(device).set_memory_bound(int(bytes_), device)


def synchronize() -> None:
    """Wait until everything that was started on the devices in use has finished.

    Raises what was found wrong on a device since values were last read: see `take`.

    >>> engine.synchronize()
    """
    for backend in loaded():
        backend.synchronize()


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
