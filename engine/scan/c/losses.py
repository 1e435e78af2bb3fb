"""Compute the loss over many classes on the host, compiled: see `losses.c`. Above `products.py`.

`install` lets the op `softmax_cross_entropy` compute here what is large, where there is a compiler.
"""

import ctypes
from functools import lru_cache
from typing import Any

from engine.backends import HOST, Array
from engine.backends.numpy import float32, int64
from engine.scan.c.compiler import CannotCompileError, library
from engine.scan.c.products import address, pool, threads_for, well_placed

LARGE = 1 << 17  # logits from which the passes of an array library take longer than a kernel's call
EACH = 10  # what a logit costs, in multiplications


@lru_cache(maxsize=1)
def _library() -> Any:
    """Return the compiled function and the address of its threads; None without one."""
    try:
        threads, run = pool(), library("losses.c").softmax_cross_entropy
    except CannotCompileError:
        return None
    run.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 5 + [ctypes.c_int]
    run.restype = None
    return run, threads


def softmax_cross_entropy(
    x: Array, targets: Array, kept: Array | None, g: Array | None = None
) -> Array | None:
    """Return the terms (...) of the loss of float32 logits (..., V), or their slopes (..., V).

    The slopes are those of the terms' sum weighted by g (...), where it is given. Returns None for
    what has no kernel: small arrays, other dtypes and layouts.
    """
    if x.dtype is not float32 or x.size < LARGE or not x.flags.c_contiguous:
        return None
    if (found := _library()) is None:
        return None
    run, threads = found
    x, V = well_placed(x), x.shape[-1]
    if kept is not None:
        targets = HOST.xp.where(kept, targets, -1)
    targets = well_placed(HOST.xp.ascontiguousarray(targets, dtype=int64))
    if g is not None:
        g = well_placed(HOST.xp.ascontiguousarray(g, dtype=float32))
    out = HOST.xp.empty(x.shape[:-1] if g is None else x.shape, dtype=float32)
    run(targets.size, V, address(x), address(targets), None if g is None else address(g),
        address(out), threads, threads_for(EACH * x.size))  # fmt: skip
    return out


def install() -> None:
    """Let the engine's own loss over classes on the host be computed here."""
    HOST.xp.cross_entropy_kernel = softmax_cross_entropy
