"""Devices by name: moving tensors, waiting for work. Above `asarray`."""

from typing import NamedTuple

from engine.apply import asarray
from engine.arguments import public
from engine.backends import by_device, full_name, loaded
from engine.tensor import Tensor


def device(name: str) -> str:
    """The full name of a device, once it is known to be usable: ``"cupy"`` -> ``"cupy:0"``.

    ``"cuda"`` and ``"cpu"``, which PyTorch says, are ``"cupy"`` and ``"numpy"``.
    Raises ValueError for an unknown name, RuntimeError where the device is not to be had.
    """
    backend = by_device(name)
    return backend.device_of(backend.asarray(0.0, None, name))


@public
def to(x: Tensor, device: str) -> Tensor:
    """A leaf with the values of x on `device`; x itself where it is there already."""
    if x.device == full_name(device):
        return x
    return asarray(x.data, device=device, requires_grad=x.requires_grad, name=x.node.name or None)


class Memory(NamedTuple):
    """Bytes on a device: what arrays use, and what the pool holds for them."""

    used: int
    held: int


def memory(device: str) -> Memory:
    """The figures of a device's memory pool; zeros for NumPy, which has none."""
    return Memory(*by_device(device).memory(device))


def synchronize() -> None:
    """Wait until everything that was started on the devices in use has finished.

    Raises what was found wrong on a device since values were last read: see `take`.
    """
    for backend in loaded():
        backend.synchronize()
