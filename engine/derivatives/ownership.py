"""Tells whether a tensor is the only holder of its array, so that it may keep it uncopied.

Below the backward pass.
"""

import sys

from engine.backends import HOST, on_host
from engine.tensor import Tensor


def _holders(tensor: Tensor) -> int:
    """Return how many references there are to the array of a tensor, those of the count included.

    A view of an array holds it, and so does an object that lends out its memory.
    """
    return sys.getrefcount(tensor._data)


# Counted on an array that nothing else has, as interpreters count their own differently.
_ALONE = _holders(Tensor(HOST.asarray([0.0], None, None))) if hasattr(sys, "getrefcount") else 0


def unshared(tensor: Tensor) -> bool:
    """Return True where nothing else holds the array on the host of a tensor, nor its memory.

    It is False where that is not sure: for views of the memory of another array, arrays of a
    device and other interpreters, and for arrays not in the order of C, so that their copy is.
    """
    if not on_host(tensor._data) or _holders(tensor) != _ALONE:
        return False
    flags = tensor._data.flags
    return bool(flags.owndata and flags.c_contiguous)
