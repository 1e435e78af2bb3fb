"""Compile kernels over many arrays on the host: what `multi` of a device is there.

Every piece of so many numbers is worked on by one thread, so the results have the same bits for any
number of threads. Below the kernels of optimisers and of clipping.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from engine.backends import HOST, Array, on_host
from engine.backends.numpy import float32, float64, int64
from engine.scan.c.compiler import CannotCompileError, compiled
from engine.scan.c.products import REALS, address, pool, threads_for, well_placed

LARGE = 1 << 19  # numbers from which a compiled kernel pays for its call, and its first compilation
PIECE = 1 << 15
EACH = 20  # what a number costs, in multiplications

SOURCE = """\
#include <stdatomic.h>
#include "runtime.h"

typedef struct {{
    {columns}
    long start, size; /* its place among all numbers */
}} array;
typedef struct {{
    const array *arrays;
    long count;
    void *const *pointers;
    const double *numbers;
    atomic_long next;
}} job;

static void part(const job *j, const array *own, long first, long last, long piece) {{
    (void)piece;
    {head}
    {body}
}}

static void all_pieces(void *pointer, int me, int all) {{
    (void)me, (void)all;
    job *j = pointer;
    const array *end = j->arrays + j->count - 1;
    for (long from; (from = {piece} * atomic_fetch_add(&j->next, 1)) < end->start + end->size;)
        for (const array *own = j->arrays; own <= end; own++) {{
            const long first = from > own->start ? from - own->start : 0, to = from + {piece};
            const long last = to < own->start + own->size ? to - own->start : own->size;
            if (first < last) part(j, own, first, last, from / {piece});
        }}
}}

void run(long count, const array *arrays, void *const *pointers, const double *numbers,
         const services *pool, int threads) {{
    job own = {{arrays, count, pointers, numbers, 0}};
    pool->in_parallel(all_pieces, &own, threads);
}}
"""


class Kernel(NamedTuple):
    """Describe a kernel: what each array of a call has, what all share, and the body.

    `columns` are fields such as ``"const real *g;"``; `shared` are names of arrays of `real` or, in
    `wide`, of double, and `numbers` names of numbers. The body goes over numbers `first` to `last`
    - 1 of the array `own`, within one piece of all.
    """

    columns: tuple[str, ...]
    body: str
    shared: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    def source(self) -> str:
        """Return the kernel in C."""
        names = [(f"real *restrict const {name}", place) for place, name in enumerate(self.shared)]
        names += [(f"double *restrict const {name}", len(self.shared) + place)
                  for place, name in enumerate(self.wide)]  # fmt: skip
        head = [f"{name} = j->pointers[{place}];" for name, place in names]
        head += [f"const real {name} = (real)j->numbers[{place}];"
                 for place, name in enumerate(self.numbers)]  # fmt: skip
        return SOURCE.format(columns="\n    ".join(self.columns), head="\n    ".join(head),
                             body=self.body, piece=f"{PIECE}L")  # fmt: skip


@lru_cache(maxsize=256)
def _library(kernel: Kernel, char: str) -> Any:
    """Return the compiled kernel and the address of its threads; None where nothing compiles."""
    try:
        threads, run = pool(), compiled(kernel.source(), REALS[char]).run
    except CannotCompileError:
        return None
    run.argtypes, run.restype = [ctypes.c_long, *[ctypes.c_void_p] * 4, ctypes.c_int], None
    return run, threads


def suited(arrays: Sequence[Array]) -> bool:
    """Return True for arrays on the host of one dtype that has kernels, and enough numbers."""
    if not on_host(arrays[0]) or arrays[0].dtype not in (float32, float64):
        return False
    size: int = sum(array.size for array in arrays)
    return size >= LARGE


def pieces(size: int) -> int:
    """Return how many pieces so many numbers are worked on in."""
    return -(-size // PIECE)


def run(
    kernel: Kernel,
    columns: Sequence[Sequence[Any]],
    shared: Sequence[Array] = (),
    numbers: Sequence[float] = (),
) -> bool:
    """Run a kernel over arrays of one dtype; False, with nothing done, where it does not compile.
    Each column has an array, or a number, for each of the kernel's. What is `shared` is written to.
    """
    arrays = columns[0]
    if (library := _library(kernel, arrays[0].dtype.char)) is None:
        return False
    call, threads = library
    held, rows, start = [], [], 0
    for row in zip(*columns, strict=True):
        placed = [well_placed(HOST.xp.ascontiguousarray(one)) if hasattr(one, "dtype") else one
                  for one in row]  # fmt: skip
        held.append(placed)  # copies live as long as the call
        rows.append([*(address(one) if hasattr(one, "dtype") else one for one in placed),
                     start, row[0].size])  # fmt: skip
        start += row[0].size
    table = HOST.xp.asarray(rows, dtype=int64)
    pointers = HOST.xp.asarray([address(one) for one in shared], dtype=int64)
    values = HOST.xp.asarray([*numbers, 0.0], dtype=float64)
    call(len(rows), table.ctypes.data, pointers.ctypes.data, values.ctypes.data, threads,
         threads_for(EACH * start))  # fmt: skip
    return True
