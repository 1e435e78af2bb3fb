"""Pack the arguments of a kernel as CuPy packs them, and check them against its parameters.

CuPy looks at the arguments alone (`cupy/cuda/function.pyx`), and the device reads as many bytes as
the parameters have: one of another width is rubbish there and an error here. Below `_launch.py`.
"""

import ctypes

import numpy as np

from cupy import _state as state
from cupy._base import Base
from cupy._pointers import MemoryPointer, block_of, extent

_JOB = 1 << 14  # bytes of an array in which addresses are looked for, at most
_NUMPY = {np.dtype(letter).type for letter in "?bhilqBHILQefdFD"}
_KINDS = {"p": "pointer", "f": "float", "i": "integer", "b": "bool", "s": "struct"}
_FAMILY = {"b": "bi", "i": "bi", "u": "bi", "f": "f", "c": "s"}  # what a dtype may be read as


class Packed:
    """Hold the bytes of all arguments, and the memory that their pointers may reach."""

    def __init__(self):
        self.values = []  # NumPy arrays of one element
        self.ranges = []  # low, high, number of the argument
        self.alive = []  # NumPy arrays, so that addresses stay valid
        self.memories = []  # blocks of the device
        self.jobs = []  # arrays of bytes, in which kernels may find addresses
        self._followed = {}  # by what the jobs hold

    def reachable(self):
        """Return the ranges of the arguments, and of what their arrays of bytes now point at."""
        key = tuple((i, array.tobytes()) for i, array in self.jobs)
        if key not in self._followed:
            words = [(i, int(word)) for i, held in key for word in np.frombuffer(held, np.uint64)]
            found = {(*block[:2], i) for i, word in words if word and (block := block_of(word))}
            self._followed = {key: [*self.ranges, *sorted(found)]}
        return self._followed[key]

    def pointers(self):
        """Return the array of addresses that a launch takes."""
        addresses = [one.ctypes.data for one in self.values]
        return (ctypes.c_void_p * max(1, len(addresses)))(*addresses)


def packed(name, args, parameters):
    """Return the arguments for a kernel. Raises TypeError where they do not fit its parameters."""
    if len(args) != len(parameters):
        raise TypeError(f"{name} has {len(parameters)} parameters, but {len(args)} arguments given")
    out = Packed()
    for i, (value, parameter) in enumerate(zip(args, parameters, strict=True)):
        where = f"argument {i} of {name}"
        if isinstance(value, Base | MemoryPointer):
            address = _address(out, i, value, parameter, where)
            out.values.append(np.array([address], np.uintp))
        else:
            out.values.append(_scalar(out, i, value, parameter, where))
    return out


def _address(out, i, value, parameter, where):
    """Return the address of an array or a pointer, after its device and its elements."""
    kind, _, to, to_bytes = parameter
    if kind != "p":
        raise TypeError(f"{where} is an array, the parameter {_told(parameter)}")
    if isinstance(value, MemoryPointer):
        memory, address = value.mem.memory, value.ptr
        low, high = value.mem.ptr, value.mem.ptr + value.mem.size
        out.alive.append(value.mem.owner)
    else:
        memory, address = value._memory, value.data.ptr
        low, high = extent(value._a)
        if value.dtype == np.uint8 and value.nbytes % 8 == 0 and value.nbytes < _JOB:
            out.jobs.append((i, value._a))
        out.alive.append(value._a)
        if not _reads(value.dtype, to, to_bytes):
            raise TypeError(
                f"{where} is an array of {value.dtype}, the parameter points at {to_bytes} bytes "
                f"({_KINDS.get(to, 'anything')})"
            )
    _reach(out, i, (low, high, memory), where)
    return address


def _reach(out, i, block, where):
    """Let the kernel use a block of memory, which has to be on its device."""
    low, high, memory = block
    if memory.device != state.current[-1]:
        raise ValueError(
            f"{where} lies on device {memory.device}, the kernel runs on {state.current[-1]}"
        )
    out.ranges.append((low, high, i))
    out.memories.append(memory)


def _reads(dtype, to, to_bytes):
    """Return whether elements may be read through a pointer; bits of 16 may be of any format."""
    if to in "vs" or (to == "i" and dtype.itemsize == to_bytes == 2):
        return True
    return dtype.itemsize == to_bytes and to in _FAMILY.get(dtype.kind, "")


def _scalar(out, i, value, parameter, where):
    """Return a number as CuPy packs it: NumPy's by their width, Python's as 64 bits."""
    kind, size, _, _ = parameter
    if value is None:
        raise TypeError(
            f"{where} is None, which CuPy passes on as no argument; np.uintp(0) is null"
        )
    if type(value) not in _NUMPY:
        if isinstance(value, int):  # also a bool, as there
            value = np.int64(value)
        elif isinstance(value, float):
            value = np.float64(value)
        elif isinstance(value, complex):
            value = np.complex128(value)
        else:
            raise TypeError(f"Unsupported type {type(value)}")
    if value.itemsize != size:
        raise TypeError(
            f"{where} has {value.itemsize} bytes ({value.dtype}), the parameter {_told(parameter)}"
        )
    family = _FAMILY[value.dtype.kind]
    half = value.dtype == np.float16 and kind == "i"
    if kind == "p" and value.dtype.kind in "iu":
        _known_address(out, i, int(value), where)
    elif kind not in family and kind != "s" and not half:
        raise TypeError(f"{where} is of {value.dtype}, the parameter {_told(parameter)}")
    return np.array([value])


def _known_address(out, i, address, where):
    """Add the memory behind a pointer that was passed as a number; zero is null."""
    if not address:
        return
    found = block_of(address)
    if found is None:
        raise ValueError(f"{where} is {address:#x}, which is in no living array")
    _reach(out, i, found, where)


def _told(parameter):
    kind, size, _, _ = parameter
    return "is a pointer" if kind == "p" else f"{size} ({_KINDS[kind]})"
