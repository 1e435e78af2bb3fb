"""Devices by name: moving tensors, waiting for work. Above `asarray`."""

from engine.apply import asarray
from engine.arguments import public
from engine.backends import by_device, full_name, loaded
from engine.backends.base import Memory
from engine.checks import byte_count, is_whole
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
