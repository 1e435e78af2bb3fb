"""Writes nests as loops in C: the rows of a thread outside, the units inside. Below `folds.py`."""

from collections.abc import Iterable, Sequence

from engine.scan.kernels.arrays import PARTS, Arrays
from engine.scan.kernels.nest import Nest
from engine.scan.kernels.terms import Fold

BLOCKS = (128, 64, 32)  # units that a thread takes together, in whole lines of the caches


class Loops(Nest):
    """A nest as loops that a compiler makes vectors of."""

    shared = False  # whether threads with the same rows have a part of its units each
    across = False  # whether it adds up in memory over its outermost loop

    def text(
        self, statements: Iterable[str], totals: Sequence[tuple[str, str]] = (), *,
        folds: Sequence[Fold] = (), shared: bool = False,
    ) -> list[str]:  # fmt: skip
        """Return the nest with its statements in the innermost loop.

        `totals` are sums over all units of a row, by name, and where they go; `folds` are numbers
        that the innermost loops make. Threads with the same rows share the units of the innermost
        loop where it is said that they may, there are many and none are added up, or those of the
        outermost, where what is added up is so in each part of it; else the rows.
        """
        inside = [*self.lines, *statements]
        names = [name for name, _ in totals]
        names += [fold.name for fold in folds if fold.is_sum]
        pragma = f'_Pragma("omp simd reduction(+ : {", ".join(names)})")' if names else (
            '_Pragma("GCC ivdep")')  # fmt: skip
        pointers = [f"{kind} {name} = {to};" for name, (kind, to) in self._declared().items()]
        parted = self.across and self.parts > 0
        wide = _block(self.dims[-1][1]) if shared and self.dims and not (names or parted) else 0
        if self.dims:
            name, size = self.dims[-1]
            first, last = ("part", f"part + {wide}") if wide else ("0", str(size))
            loop = [pragma, f"for (long {name} = {first}; {name} < {last}; {name}++) {{",
                    *(f"    {line}" for line in inside), "}"]  # fmt: skip
            if wide:  # of a fixed length, from which compilers make much better vectors
                count = size // wide
                loop = [f"for (long part = SHARE({count}, {wide}, lane); "
                        f"part < SHARE({count}, {wide}, lane + 1); part += {wide})",
                        "{", *(f"    {line}" for line in loop), "}"]  # fmt: skip
        else:
            loop = inside
        lines = [*pointers, *self.outer_lines, *loop]
        outer = self.dims[:-1]
        short = bool(outer) and not totals and all(fold.loops <= len(outer) for fold in folds)
        spread = shared and not wide and short and (parted or not self.across)
        self.shared = bool(wide) or spread
        for depth in range(len(outer), -1, -1):
            for fold in folds:
                if depth == len(outer) - max(fold.loops - 1, 0):
                    lines = [f"real {fold.name} = {fold.start};", *lines,
                             f"{fold.to} = {fold.name};"]  # fmt: skip
            if depth:
                name, size = outer[depth - 1]
                own = depth == 1 and (spread or parted)
                heads = self._outermost(spread=spread, parted=parted) if own else [
                    f"for (long {name} = 0; {name} < {size}; {name}++)"]  # fmt: skip
                lines = [*heads, "{", *(f"    {line}" for line in lines), "}"]
        start, end = ("first", "last") if self.shared else ("low", "high")
        return [
            f"for (long b = {start}; b < {end}; b++) {{",
            *(f"    real {name} = 0;" for name, _ in totals),
            *(f"    {line}" for line in lines),
            *(f"    {to}[b] = {name};" for name, to in totals),
            "}",
        ]

    @property
    def parts(self) -> int:
        """Return how many parts of the outermost loop are added up by themselves; 0: none."""
        size = self.dims[0][1] if len(self.dims) > 1 else 0
        return PARTS if size % PARTS == 0 and size >= PARTS * PARTS else 0

    def _outermost(self, *, spread: bool, parted: bool) -> list[str]:
        """Return the heads of the outermost loop, in parts, or with a share for each thread."""
        name, size = self.dims[0]
        count, variable = (PARTS, "part") if parted else (size, name)
        first, last = (f"SHARE({count}, 1, lane{more})" if spread else end
                       for more, end in (("", "0"), (" + 1", str(count))))  # fmt: skip
        heads = [f"for (long {variable} = {first}; {variable} < {last}; {variable}++)"]
        if parted:
            each = size // PARTS
            heads.append(f"for (long {name} = part * {each}; {name} < part * {each} + {each}; "
                         f"{name}++)")  # fmt: skip
        return heads

    def _declared(self) -> dict[str, tuple[str, str]]:
        return {
            name: (
                "double *restrict"
                if name.startswith("to_total")
                else "real *restrict"
                if name.startswith("to")
                else "const real *restrict",
                to,
            )
            for to, name in self.pointers.items()
        }


def _block(size: int) -> int:
    """Return how many units a thread takes together of a loop that threads share; 0: all."""
    return next((wide for wide in BLOCKS if size > wide and size % wide == 0), 0)


class LoopArrays(Arrays):
    """The arrays of a kernel in C."""

    def loops(self, level: int, extents: Sequence[int]) -> tuple[Loops, list[str]]:
        """Return a nest over units as loops, and each variable; those of size 1 have none."""
        dims, names = self.dims(extents)
        return Loops(self, level, dims), names
