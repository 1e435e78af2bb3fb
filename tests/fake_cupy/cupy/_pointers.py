"""Point into device memory: `ndarray.data`, and the array of an address. Below `_arguments.py`.

An address is that of the NumPy array inside, so kernels on the CPU can use it.
"""

import ctypes
import weakref

import numpy as np

from cupy import _state as state
from cupy import _streams as streams

_known = {}  # by the id of a block: first address, the one after the last, its memory (weak)


def root(array):
    """Return the NumPy array that owns the memory of another."""
    base = array.base
    while base is not None:  # as_strided puts an object of its own between two arrays
        array = base if isinstance(base, np.ndarray) else array
        base = getattr(base, "base", None)
    return array


def extent(array):
    """Return the first address of the block of an array, and the one after its last."""
    return np.lib.array_utils.byte_bounds(root(array))


def block_of(address):
    """Return low, high and memory of the living block of an address; None where there is none.

    Only blocks are known that were asked for their `data`: there is no other way to an address.
    """
    for low, high, weak in tuple(_known.values()):  # other threads add to it
        if low <= address < high and (memory := weak()) is not None:
            return low, high, memory
    return None


class Block:
    """Keep a block of memory alive for the pointers into it."""

    def __init__(self, owner, memory):
        self.owner, self.memory = owner, memory
        self.ptr, high = extent(owner)
        self.size = high - self.ptr
        self.device_id = memory.device
        if id(owner) not in _known:
            _known[id(owner)] = (self.ptr, high, weakref.ref(memory))
            weakref.finalize(owner, _known.pop, id(owner), None)


class MemoryPointer:
    """Point to a place in device memory, as `cupy.cuda.MemoryPointer`."""

    def __init__(self, mem, offset):
        self.mem = mem
        self.ptr = mem.ptr + offset

    @property
    def device_id(self):
        return self.mem.device_id

    @property
    def device(self):
        import cupy

        return cupy.cuda.Device(self.device_id)

    def __int__(self):
        return self.ptr

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def __sub__(self, offset):
        return self + -offset

    def memset_async(self, value, size, stream=None):
        """Fill bytes, in the order of a stream."""
        target, owner = self._bytes(size), self.mem.owner

        def work(_alive=owner):
            target.fill(value & 255)

        streams.submit("memset", work, stream, [self.mem.memory])

    def memset(self, value, size):
        """Fill bytes at once."""
        state.refuse_capture()
        self.memset_async(value, size)

    def copy_from_device_async(self, src, size, stream=None):
        """Copy bytes of the device, in the order of a stream."""
        to, source = self._bytes(size), src._bytes(size)

        def work(_alive=(self.mem.owner, src.mem.owner)):
            np.copyto(to, source)

        streams.submit("copy", work, stream, [self.mem.memory, src.mem.memory])

    def copy_from_device(self, src, size):
        """Copy bytes of the device at once."""
        state.refuse_capture()
        self.copy_from_device_async(src, size)

    def _bytes(self, size):
        """Return the next bytes as an array. Raises what a bad address raises on a device."""
        if not self.mem.ptr <= self.ptr <= self.ptr + size <= self.mem.ptr + self.mem.size:
            import cupy

            raise cupy.cuda.runtime.CUDARuntimeError(
                f"cudaErrorIllegalAddress: {size} bytes at {self.ptr:#x} leave their array"
            )
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self.ptr))


def pointer_of(array):
    """Return the pointer to the first element of a device array."""
    block = Block(root(array._a), array._memory)
    return MemoryPointer(block, array._a.__array_interface__["data"][0] - block.ptr)
