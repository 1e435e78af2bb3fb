"""What the engine asks of an array library. `numpy.py` and `cupy.py` beside this file answer it."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

Array = Any
DType = Any


class Backend(Protocol):
    """One array library on one kind of device."""

    name: str

    @property
    def array_type(self) -> type:
        """The class of its arrays."""
        ...

    xp: Any

    def asarray(self, x: Any, dtype: DType | None, device: str | None) -> Array:
        """An array on this backend that holds `x`; copies only where it must."""
        ...

    def to_numpy(self, x: Array) -> Array:
        """The same values as a NumPy array on the host."""
        ...

    def device_of(self, x: Array) -> str:
        """The name of the device that holds `x`, such as ``"numpy"`` or ``"cupy:0"``."""
        ...

    def devices(self) -> list[str]:
        """The names of the devices that there are."""
        ...

    def full_name(self, device: str) -> str:
        """The name that `device_of` gives to arrays on a device."""
        ...

    def on(self, device: str | None) -> AbstractContextManager[Any]:
        """A context in which results lie on a device, the one that is current where it is None."""
        ...

    def on_device_of(self, x: Array) -> AbstractContextManager[Any]:
        """A context in which results lie on the device of `x`."""
        ...

    def memory(self, device: str) -> tuple[int, int]:
        """The bytes that arrays use, and those that the library holds for them."""
        ...

    def synchronize(self) -> None:
        """Wait until everything that was started has finished; raise what checks of it found."""
        ...
