"""Keep the memory of large NumPy arrays between calls, by a memory handler of NumPy (NEP 49).

The handler is C, `engine/scan/c/arena.c`, which its loader hands to `start`. It is in force
in each context of a thread that `enter` was called in; an array that it made is freed by it
wherever that happens. Below `numpy.py`.
"""

import ctypes
import os
from typing import Any

import numpy as np

from engine.backends.base import Memory

PLAIN = "default_allocator"  # NumPy's own
OURS = "bptt_arena"
SET_HANDLER, GET_HANDLER = 304, 305  # entries of NumPy's table of C functions, which stay for good


class Arena:
    """Manage the arena of this process; nothing happens before `start`."""

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None
        self._bound: int | None = None  # asked for before there is a library

    @property
    def started(self) -> bool:
        """Return whether large arrays may come from here."""
        return self._library is not None

    @property
    def wanted(self) -> bool:
        """Return whether a library would be of use: there is none, and none was forbidden."""
        return not self.started and os.environ.get("BPTT_ARENA") != "0" and handler() == PLAIN

    def start(self, library: ctypes.CDLL) -> None:
        """Take the compiled library, and put its handler in force in this thread."""
        size, whole = ctypes.c_size_t, ctypes.c_int
        library.arena_start.argtypes = [ctypes.c_void_p, whole, whole]
        library.arena_start.restype = ctypes.c_void_p
        library.arena_figures.argtypes = [ctypes.POINTER(size)]
        library.arena_bound.argtypes = [size]
        library.arena_figures.restype = library.arena_bound.restype = None
        try:
            self._install = _Installer(library)
        except (AttributeError, ValueError):  # another Python, another NumPy
            return
        self._library = library
        if self._bound is not None:
            self.set_bound(self._bound)
        self.enter()

    def enter(self) -> None:
        """Put the handler in force in this context of this thread, unless another one is."""
        if self._library is not None and handler() == PLAIN:
            self._install()
            if handler() != OURS:
                self._library = None

    def figures(self) -> Memory:
        """Return the figures; zeros where there is no arena."""
        if self._library is None:
            return Memory(0, 0, 0, 0)
        found = (ctypes.c_size_t * 4)()
        self._library.arena_figures(found)
        return Memory(*found)

    def release(self) -> None:
        """Give all free blocks back to the system."""
        if self._library is not None:
            self._library.arena_release()

    def set_bound(self, size: int) -> None:
        """Keep no more bytes of free blocks than these."""
        self._bound = size
        if self._library is not None:
            self._library.arena_bound(size)


class _Installer:
    """Put the handler of a library in force. Raises ValueError where NumPy's table is missing."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer = _function("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object,
                            ctypes.c_char_p)  # fmt: skip
        new = _function("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p,
                        ctypes.c_void_p)  # fmt: skip
        table = pointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
        entries = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
        prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
        self._set = prototype(entries[SET_HANDLER])
        before = ctypes.PYFUNCTYPE(ctypes.py_object)(entries[GET_HANDLER])()
        name = b"mem_handler"
        own = library.arena_start(
            pointer(before, name),
            os.environ.get("BPTT_ARENA") == "poison",
            os.environ.get("NUMPY_MADVISE_HUGEPAGE") != "0",
        )
        # A capsule does not copy its name, and arrays hold it after all of Python has ended.
        lasting = ctypes.addressof(ctypes.c_char.in_dll(library, "arena_capsule"))
        self._capsule = new(own, lasting, None)

    def __call__(self) -> None:
        self._set(self._capsule)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a C function of Python with a prototype that others do not share."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


def handler() -> str:
    """Return the name of the handler in force, which NumPy's own functions have since 1.22."""
    found: str = np._core.multiarray.get_handler_name()  # type: ignore[attr-defined]
    return found


arena = Arena()
