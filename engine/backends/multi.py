"""Write kernels over many arrays in CUDA C++: one launch for all that its arguments hold.

Pointers are passed by value, so nothing is gathered and nothing is sent to the device. The backend
of a device launches them (`xp.multi`); below what writes them.
"""

from functools import cached_property, lru_cache

from engine.backends.base import DType

# Arrays a launch. Two pointers, a place and an end for each, and what all share, stay below the
# 4 KB of arguments that every device takes.
COUNTS = (8, 32, 96)
THREADS = 256
EACH = 4  # elements of a thread, until there are as many blocks as may be
BLOCKS = 512
TYPES = {2: "unsigned short", 4: "float", 8: "double"}  # by the bytes of a floating dtype
INTEGERS = {
    "b1": "unsigned char", "i1": "signed char", "i2": "short", "i4": "int", "i8": "long long",
    "u1": "unsigned char", "u2": "unsigned short", "u4": "unsigned int", "u8": "unsigned long long",
}  # fmt: skip


class Many:
    """Hold a kernel in which the blocks of row y of the grid work on array y of every column.

    `columns` and `shared` are parameters such as ``("const float *g",)``: the pointers of each
    array, or numbers that go with it, and what all arrays have in common. In `body` the names of
    columns are those of the block's own array, which has elements `start` to `stop` - 1 of all
    elements in a row.
    """

    def __init__(
        self, name: str, *, columns: tuple[str, ...], shared: tuple[str, ...], body: str, head: str
    ) -> None:
        self.name, self.columns, self.shared = name, columns, shared
        self.body, self.head = body, head

    @cached_property
    def sources(self) -> dict[int, str]:
        """Return the source for up to so many arrays."""
        return {count: self._source(count) for count in COUNTS}

    def _source(self, count: int) -> str:
        names = [one.replace("*", " ").split()[-1] for one in self.columns]
        given = [f"{one}{k}" for k in range(count) for one in self.columns]
        ends = [f"long long end{k}" for k in range(count)]
        parameters = [*self.shared, "long long end_", *given, *ends]
        cases = [
            f"    case {k}: {' '.join(f'{name} = {name}{k};' for name in names)} "
            f"start = end{k - 1 if k else '_'}; stop = end{k}; break;"
            for k in range(count)
        ]
        return "\n".join([
            self.head,
            f'extern "C" __global__ void __launch_bounds__({THREADS}) {self.name}(',
            f"    {', '.join(parameters)}) {{",
            *(f"    {one};" for one in self.columns),
            "    long long start, stop;",
            "    switch (blockIdx.y) {",
            *cases,
            "    default: return;",
            "    }",
            self.body,
            "}",
        ]) + "\n"  # fmt: skip


def each(body: str) -> str:
    """Return the body of a kernel that goes over elements: i in the array, `at` among all."""
    return f"""\
    const long long step = (long long)gridDim.x * {THREADS}, size = stop - start;
    for (long long i = (long long)blockIdx.x * {THREADS} + threadIdx.x; i < size; i += step) {{
        const long long at = start + i;
{body}
    }}"""


def blocks(size: int) -> int:
    """Return how many blocks work on an array of this size."""
    return max(1, min(-(-size // (THREADS * EACH)), BLOCKS))


def launches(sizes: list[int]) -> list[tuple[int, int, int, list[int]]]:
    """Return the arrays of each launch, first and last + 1, where they begin among all elements,
    and where each of them ends.
    """
    found, start, most = [], 0, COUNTS[-1]
    for first in range(0, len(sizes), most):
        last, ends = min(first + most, len(sizes)), []
        end = start
        for size in sizes[first:last]:
            end += size
            ends.append(end)
        found.append((first, last, start, ends))
        start = end
    return found


@lru_cache(maxsize=16)
def copying(dtype: DType) -> Many:
    """Return the kernel that copies arrays into one, one after the other."""
    kind = INTEGERS.get(f"{dtype.kind}{dtype.itemsize}") or TYPES[dtype.itemsize]
    return Many(
        f"copy_{dtype.itemsize}", columns=(f"const {kind} *from",), shared=(f"{kind} *out",),
        body=each("        out[at] = from[i];"), head="",
    )  # fmt: skip
