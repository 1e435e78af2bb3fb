"""Launch one kernel on a device: its attributes, and the limits of the hardware.

Between `_raw.py` and the emulator; `_driver.py` asks it for occupancy.
"""

import ctypes
import operator
import warnings

from cupy import _hardware as hardware
from cupy import _state as state
from cupy import _streams as streams
from cupy._arguments import packed
from cupy._build import runtime
from cupy._emulator import ORDERS, KernelError, settings

_handles = {}  # functions by the number that stands for their address


class Range(ctypes.Structure):
    """Describe memory that a kernel may use: EmulatedRange of emulator/runtime.h."""

    _fields_ = (("low", ctypes.c_void_p), ("high", ctypes.c_void_p), ("argument", ctypes.c_int))


class Launch(ctypes.Structure):
    """Describe a launch to the scheduler: EmulatedLaunch of emulator/runtime.h."""

    _fields_ = (
        ("call", ctypes.c_void_p),
        ("statics", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("dynamic_shared", ctypes.c_ulong),
        ("races", ctypes.c_int),
        ("cooperative", ctypes.c_int),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint),
        ("spins", ctypes.c_long),
        ("ranges", ctypes.c_void_p),
        ("range_count", ctypes.c_int),
        ("message", ctypes.c_void_p),
        ("message_size", ctypes.c_ulong),
    )


class CUDADriverError(RuntimeError):
    """Report an error of the driver, as `cupy.cuda.driver.CUDADriverError`."""


def _invalid(what):
    return CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: invalid argument ({what})")


def function_of(handle):
    """Return the function of a `ptr`."""
    if handle not in _handles:
        raise CUDADriverError("CUDA_ERROR_INVALID_HANDLE: invalid resource handle")
    return _handles[handle]


class Function:
    """Hold a compiled kernel, as `cupy.cuda.Function`; all users of it share its attributes."""

    def __init__(self, module, name, device):
        number = module.number(name)
        if number is None:
            raise CUDADriverError(
                f'CUDA_ERROR_NOT_FOUND: named symbol not found ({name}; extern "C" missing?)'
            )
        self.module, self.name, self.device = module, name, device
        self.parameters = module.parameters(number)
        self.bound = module.bound(number)
        self.registers = hardware.registers(self.bound)
        self.static_shared = module.static_shared
        self._dynamic = hardware.SHARED_DEFAULT - self.static_shared
        self._call = module.library[f"emulated_call_{number}"]
        self.ptr = ctypes.cast(self._call, ctypes.c_void_p).value + device
        _handles[self.ptr] = self

    @property
    def dynamic(self):
        """Return the most dynamic shared memory that a launch may ask for, in bytes."""
        return self._dynamic

    @dynamic.setter
    def dynamic(self, size):
        if not 0 <= size <= hardware.SHARED_OPT_IN - self.static_shared:
            raise _invalid(f"{size} bytes of shared memory; {hardware.SHARED_OPT_IN} at most")
        self._dynamic = size

    def resident(self, threads, shared):
        """Return how many blocks a multiprocessor holds; `shared` is dynamic, in bytes."""
        return hardware.resident_blocks(threads, shared + self.static_shared, self.registers)

    def __call__(
        self, grid, block, args, shared_mem=0, stream=None, enable_cooperative_groups=False
    ):
        """Launch with CuPy's own rules, of `cupy/cuda/function.pyx`."""
        if not isinstance(grid, tuple) or not isinstance(block, tuple):
            raise TypeError("grid and block are tuples")
        grid, block = (
            tuple(max(1, operator.index(n)) for n in (*given, 1, 1)[:3]) for given in (grid, block)
        )
        if self.device != state.current[-1]:
            raise CUDADriverError("CUDA_ERROR_INVALID_HANDLE: the kernel is of another device")
        arguments = packed(self.name, args, self.parameters)
        if enable_cooperative_groups:
            grid = self._resident_grid(grid, block, shared_mem)
        self._check(grid, block, shared_mem)
        work = self._work(grid, block, arguments, shared_mem, enable_cooperative_groups)
        memories, arguments.memories = arguments.memories, None  # a graph keeps no array alive
        streams.submit(self.name, work, stream, memories)

    def _resident_grid(self, grid, block, shared):
        """Return the grid that CuPy launches: a row of blocks that is too long is cut."""
        threads = block[0] * block[1] * block[2]
        most = self.resident(threads, shared) * hardware.MULTIPROCESSORS
        if grid[0] * grid[1] * grid[2] <= most:
            return grid
        if grid[1] == grid[2] == 1:
            warnings.warn(
                f"The grid size will be reduced from {grid[0]} to {most}, as the specified grid "
                "size exceeds the limit.",
                stacklevel=4,
            )
            return (most, 1, 1)
        raise ValueError(
            f"The specified grid size ({grid[0]} * {grid[1]} * {grid[2]}) exceeds the limit "
            f"({most})."
        )

    def _check(self, grid, block, shared):
        threads = block[0] * block[1] * block[2]
        over = [n for n, most in zip(block, hardware.BLOCK_LIMITS, strict=True) if n > most]
        if over or threads > hardware.THREADS_OF_BLOCK:
            raise _invalid(f"a block of {threads} threads {block}")
        if threads > self.bound:
            raise _invalid(f"a block of {threads} threads, launch bounds of {self.bound}")
        if any(n > most for n, most in zip(grid, hardware.GRID_LIMITS, strict=True)):
            raise _invalid(f"a grid of {grid}")
        if grid[0] == 0:
            raise _invalid("no block fits a multiprocessor")
        if not 0 <= shared <= self._dynamic:
            raise _invalid(
                f"{shared} bytes of dynamic shared memory, where {self._dynamic} were asked for; "
                "set max_dynamic_shared_size_bytes"
            )

    def _work(self, grid, block, arguments, shared, cooperative):
        """Return the launch as a call without arguments, which a graph repeats."""

        def work():
            message = ctypes.create_string_buffer(2000)
            reachable = arguments.reachable()
            ranges = (Range * max(1, len(reachable)))(*reachable)
            pointers = arguments.pointers()
            launch = Launch(
                call=ctypes.cast(self._call, ctypes.c_void_p).value,
                statics=ctypes.cast(self.module.library.emulated_statics, ctypes.c_void_p).value,
                arguments=ctypes.addressof(pointers),
                grid=grid,
                block=block,
                dynamic_shared=shared,
                races=settings.races,
                cooperative=cooperative,
                order=ORDERS.index(settings.order),
                seed=settings.seed,
                spins=settings.spins,
                ranges=ctypes.addressof(ranges),
                range_count=len(reachable),
                message=ctypes.addressof(message),
                message_size=len(message),
            )
            if runtime().emulated_launch(ctypes.byref(launch)):
                raise KernelError(f"{self.name}: {message.value.decode()}")

        return work
