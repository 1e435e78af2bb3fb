"""Multiply large matrices in the kernels' own threads: two pools would wait for the same cores.

Above `compiler.py`; `core.py` hands what this offers to its kernels, and `install` lets the
engine's own products on the host come here too.
"""

import ctypes
import os
from functools import lru_cache
from typing import Any

from engine.backends import HOST, Array
from engine.backends.arena import arena
from engine.checks import is_whole
from engine.scan.c.compiler import FUSING, CannotCompileError, library

REALS = {"f": "float", "d": "double"}  # what C calls the dtypes that have kernels
SHORT = 1_000_000  # multiplications under which one thread is faster: a few microseconds
LARGE = 4_000_000  # multiplications from which a product of the engine goes through the library
ROWS = 32  # below which packing the weight takes too long
SIDE, MOST_SIDE = 16, 1024  # of matrices of which many are multiplied, each by one thread
Byte = ctypes.c_char

_threads = os.cpu_count() or 1
_libraries: dict[str, "Products"] = {}
_missing: set[str] = set()  # dtypes with a library that does not compile
_matmul = HOST.xp.matmul


def set_num_threads(number: int) -> None:
    """Set the number of threads of compiled recurrences. Raises ValueError for fewer than 1.

    >>> engine.set_num_threads(engine.get_num_threads())
    """
    global _threads
    if not is_whole(number, 1):
        raise ValueError(f"set_num_threads: expected a positive integer, got {number!r}")
    _threads = int(number)


def get_num_threads() -> int:
    """Return how many threads compiled recurrences use: all cores unless set.

    >>> engine.get_num_threads() >= 1
    True
    """
    return _threads


def threads_for(work: int) -> int:
    """Return how many threads so many multiplications are worth."""
    return _threads if work >= SHORT else 1


def address(array: Array) -> int:
    """Return where the data of an array begins."""
    try:
        return ctypes.addressof(Byte.from_buffer(array))  # four times as fast as the other way
    except (TypeError, ValueError, BufferError):  # read-only, strided or empty
        found: int = array.ctypes.data
        return found


def well_placed(array: Array) -> Array:
    """Return the array with its numbers where C expects them, also if it is of a record."""
    return array if array.flags.aligned else array.copy()


def products(char: str) -> "Products":
    """Return the library for a dtype, by its character. Raises CannotCompileError for none."""
    if char not in _libraries:
        _libraries[char] = Products(REALS[char])
    return _libraries[char]


@lru_cache(maxsize=1)
def pool() -> int:
    """Return the address of what `pool.c` offers: the threads of a process, for all dtypes.

    From the first call on large arrays come from memory that is kept. Raises CannotCompileError.
    """
    # Together and with few passes, as each run of a compiler takes its time.
    process = library("arena.c", "pool.c", more=("-O1",))
    if arena.wanted:
        arena.start(process)
    return ctypes.addressof(Byte.in_dll(process, "pool"))


class Products:
    """Call the compiled library for one dtype."""

    def __init__(self, real: str) -> None:
        found = library("products.c", dtype=real, more=FUSING)
        whole, pointer = ctypes.c_long, ctypes.c_void_p
        operand: list[Any] = [pointer, whole, whole]
        self._product, self._packed, self._pack = found.product, found.packed, found.pack_all
        self._product.argtypes = [whole] * 3 + operand * 2 + [pointer, pointer, ctypes.c_int]
        self._each = found.product_each
        self._each.argtypes = [whole] * 4 + [pointer, *operand] * 2 + [pointer, ctypes.c_int]
        self._packed.argtypes, self._packed.restype = [whole] * 2, whole
        self._pack.argtypes = [whole, whole, *operand, pointer]
        self._pack.restype = None
        self._pass = found["pass"]  # a word of Python
        self._pass.argtypes = [pointer, pointer]
        found.begin.argtypes, found.begin.restype = [pointer], pointer
        self.services: int = found.begin(pool())

    def product(self, a: Array, b: Array, bias: Array | None = None) -> Array:
        """Return a (M, K) times b (K, N), either possibly a strided view, plus a bias (N,)."""
        a, b = well_placed(a), well_placed(b)
        (rows, depth), columns, size = a.shape, b.shape[1], a.itemsize
        out = HOST.xp.empty((rows, columns), a.dtype)
        (a_row, a_depth), (b_depth, b_column) = a.strides, b.strides
        if bias is not None:
            bias = well_placed(bias if bias.strides == (size,) else HOST.xp.ascontiguousarray(bias))
        failed = self._product(
            rows, columns, depth, address(a), a_row // size, a_depth // size,
            address(b), b_depth // size, b_column // size,
            None if bias is None else address(bias), address(out),
            threads_for(rows * columns * depth),
        )  # fmt: skip
        if failed:
            raise MemoryError("a matrix product found no memory for its packed operand")
        return out

    def each(self, a: Array, b: Array) -> Array:
        """Return the products of matrices (..., M, K) and (..., K, N) of one batch, any strides."""
        a, b = well_placed(a), well_placed(b)
        batch, size = a.shape[:-2], a.itemsize
        (rows, depth), columns = a.shape[-2:], b.shape[-1]
        out = HOST.xp.empty((*batch, rows, columns), a.dtype)
        first, second = _begins(a), _begins(b)
        failed = self._each(
            len(first), rows, columns, depth,
            address(a), address(first), a.strides[-2] // size, a.strides[-1] // size,
            address(b), address(second), b.strides[-2] // size, b.strides[-1] // size,
            address(out), min(len(first), threads_for(out.size * depth)),
        )  # fmt: skip
        if failed:
            raise MemoryError("products of matrices found no memory for a packed operand")
        return out

    def run(self, plan: Any, addresses: Any) -> None:
        """Run a pass over time, see `passes.py`. Raises MemoryError."""
        if self._pass(plan, addresses):
            raise MemoryError("a recurrence found no memory for a packed operand")

    def size(self, rows: int, columns: int) -> int:
        """Return how many numbers a packed matrix takes."""
        return int(self._packed(rows, columns))

    def packed(self, matrix: Array) -> Array:
        """Return a matrix (K, N), possibly a strided view, laid out in panels for kernels."""
        matrix = well_placed(matrix)
        (depth, columns), size = matrix.shape, matrix.itemsize
        out = HOST.xp.empty(self._packed(depth, columns), matrix.dtype)
        row, column = matrix.strides
        self._pack(depth, columns, address(matrix), row // size, column // size, address(out))
        return out


def product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """Return a (M, K) times b (K, N) plus a bias (N,), by the library where it has the dtype."""
    if a.dtype is b.dtype and a.dtype.char in REALS and (bias is None or bias.dtype is a.dtype):
        return products(a.dtype.char).product(a, b, bias)
    out = a @ b
    return out if bias is None else out + bias


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return ``a @ b`` on the host, large ones by the library: NumPy's threads stay asleep."""
    found = _large(a, b) if b.ndim == 2 else _many(a, b)
    if found is None:
        return _matmul(a, b, out=out)
    if out is None:
        return found
    out[...] = found
    return out


def affine(a: Array, b: Array, bias: Array) -> Array:
    """Return ``a @ b + bias`` on the host; a large one begins with the bias, in one pass."""
    if bias.dtype is b.dtype and (found := _large(a, b, bias)) is not None:
        return found
    return matmul(a, b) + bias


def _large(a: Array, b: Array, bias: Array | None = None) -> Array | None:
    """Return a large product by the library; None for others and where there is no library."""
    char = a.dtype.char
    if not (a.ndim >= 2 == b.ndim and char in REALS and b.dtype.char == char and b.size):
        return None
    rows = a.size // b.shape[0]
    if a.shape[-1] != b.shape[0] or rows < ROWS or rows * b.size < LARGE:
        return None
    if (own := _available(char)) is None:
        return None
    arena.enter()
    if a.ndim == 2:
        return own.product(a, b, bias)  # not a view, so that it need not be copied
    found = own.product(a.reshape(rows, b.shape[0]), b, bias)
    return found.reshape(*a.shape[:-1], b.shape[1])


def _many(a: Array, b: Array) -> Array | None:
    """Return products of many matrices by the library; None for others and without one."""
    char = a.dtype.char
    if b.ndim < 3 or a.ndim < 3 or char not in REALS or b.dtype.char != char:
        return None
    (rows, depth), (inner, columns) = a.shape[-2:], b.shape[-2:]
    if depth != inner or min(rows, depth, columns) < SIDE or max(rows, depth, columns) > MOST_SIDE:
        return None
    if max(a.size * columns, b.size * rows) < LARGE:
        return None
    if (own := _available(char)) is None:
        return None
    arena.enter()
    if a.shape[:-2] != b.shape[:-2]:
        batch = HOST.xp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a = HOST.xp.broadcast_to(a, (*batch, *a.shape[-2:]))
        b = HOST.xp.broadcast_to(b, (*batch, *b.shape[-2:]))
    return own.each(a, b)


def _begins(x: Array) -> Array:
    """Return where each matrix of (..., M, N) begins, in numbers from the start."""
    at = HOST.xp.zeros(1, dtype="int64")
    for n, stride in zip(x.shape[:-2], x.strides[:-2], strict=True):
        at = (at[:, None] + HOST.xp.arange(n) * (stride // x.itemsize)).reshape(-1)
    return at


def _available(char: str) -> "Products | None":
    """Return the library of a dtype, None where it cannot be compiled."""
    if char not in _missing:
        try:
            return products(char)
        except CannotCompileError:
            _missing.add(char)
    return None


def install() -> None:
    """Let the engine's own products on the host be computed here."""
    HOST.xp.matmul, HOST.xp.affine = matmul, affine
