"""Declare what the engine asks of array libraries, as `numpy.py` and `cupy.py` answer, and devices.

Below everything; the backends and the op registry each build a `Namespace` for rules.
"""

from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, NamedTuple, Protocol

Array = Any
DType = Any
Shape = tuple[int, ...]

STAYING: AbstractContextManager[Any] = nullcontext()


class Memory(NamedTuple):
    """Hold the memory that an array library keeps on one device, in bytes but for the last.

    `in_use` is that of arrays, `kept` is free and waits for the next ones. `bound` is the most that
    is kept on the host; on a GPU the most that both have together, 0 for no bound. `mapped` counts
    the blocks that were asked of the system since the start, 0 on a GPU.
    """

    in_use: int
    kept: int
    bound: int
    mapped: int


class Backend(Protocol):
    """Declare an array library on a kind of device; of itself it has no memory, and one device."""

    name: str

    @property
    def array_type(self) -> type:
        """Return the class of its arrays."""

    xp: Any

    @property
    def device_sums(self) -> Any:
        """Return the module that adds arrays over processes on their devices, None for the host."""
        return None

    def asarray(self, x: Any, dtype: DType | None, device: str | None) -> Array:
        """Return an array on this backend that holds `x`; copies only where it must."""

    def to_numpy(self, x: Array) -> Array:
        """Return the same values as a NumPy array on the host."""

    def device_of(self, x: Array) -> str:
        """Return the name of the device that holds `x`, such as ``"numpy"`` or ``"cupy:0"``."""

    def devices(self) -> list[str]:
        """Return the names of the devices that there are."""

    def full_name(self, device: str) -> str:
        """Return the name that `device_of` gives to arrays on a device."""

    def on(self, device: str | None) -> AbstractContextManager[Any]:
        """Return a context in which results lie on a device; None: on the current one."""
        return STAYING

    def on_device_of(self, x: Array) -> AbstractContextManager[Any]:
        """Return a context in which results lie on the device of `x`."""
        return STAYING

    def memory(self, device: str) -> Memory:
        """Return the figures of the memory that is kept for arrays on a device."""
        return Memory(0, 0, 0, 0)

    def release_memory(self) -> None:
        """Give the memory that no array uses back, on all of its devices."""
        return

    def set_memory_bound(self, size: int, device: str) -> None:
        """Bound the memory of a device, in bytes, as `Memory.bound` says."""
        return

    def synchronize(self) -> None:
        """Wait until everything that was started has finished; raise what checks of it found."""
        return


class Namespace:
    """Look attributes up in `module`, with `extensions` laid over it and every hit remembered."""

    def __init__(self, name: str, module: ModuleType | None = None, **extensions: Any) -> None:
        self.__name__ = name
        self._module = module
        self.__dict__.update(extensions)

    def __getattr__(self, name: str) -> Any:
        if self._module is None:
            raise AttributeError(f"namespace {self.__name__} has no {name!r}")
        value = getattr(self._module, name)
        self.__dict__[name] = value
        return value

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"


class _Placement:
    """Hold whether a library has several devices; with one no op has to choose."""

    several = False


placement = _Placement()
