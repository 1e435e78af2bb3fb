"""One loop of a kernel: over the rows of the batch and the units of a layer.

Collects the terms that its stores need, each computed once. Below `csource.py`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.scan.cterms import THROUGH, bounds, is_place, is_slice, pieces
from engine.scan.program import Literal, Value, is_break, is_product

if TYPE_CHECKING:
    from engine.scan.csource import Writer


class Column(NamedTuple):
    """A column of a value: ``j + offset`` in turn j of a loop; where `fixed`, `offset` alone."""

    p: int
    offset: int
    fixed: bool = False


class Loop:
    """One loop over rows and units: the statements that its terms need, each computed once."""

    def __init__(self, writer: "Writer", level: int) -> None:
        self.writer, self.level = writer, level
        self.pointers: dict[str, str] = {}
        self.lines: list[str] = []
        self.known: dict[Column, str] = {}

    def rows(
        self,
        unit: int,
        statements: Iterable[str],
        before: Iterable[str] = (),
        totals: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The whole loop as text; `totals` are sums over the units, by name, and where they go."""
        pointers = [f"{kind} {name} = {to};" for name, (kind, to) in self._declared().items()]
        totals = totals or {}
        skipped = self._skipped() if self.writer.backward else []
        pragma = f"omp simd reduction(+ : {', '.join(totals)})" if totals else "GCC ivdep"
        return [
            "for (long b = first; b < last; b++) {",
            *(f"    {line}" for line in (*pointers, *before, *skipped)),
            *(f"    real {name} = 0;" for name in totals),
            f'    _Pragma("{pragma}")',
            f"    for (long j = 0; j < {unit}; j++) {{",
            *(f"        {line}" for line in (*self.lines, *statements)),
            "    }",
            *(f"    {to}[b] = {name};" for name, to in totals.items()),
            "}",
        ]

    def _declared(self) -> dict[str, tuple[str, str]]:
        return {
            name: ("real *restrict" if name.startswith("to") else "const real *restrict", to)
            for to, name in self.pointers.items()
        }

    def _skipped(self) -> list[str]:
        """Backward, a row without a step has no gradient: zeros, and nothing is computed."""
        targets = [(to, name) for to, name in self.pointers.items() if name.startswith("to")]
        if not targets:
            return []
        zeros = [f"memset({name}, 0, {self._size(name)} * sizeof(real));" for _, name in targets]
        return ["if (mask && !mask[t * rows + b]) { " + " ".join([*zeros, "continue;"]) + " }"]

    def _size(self, name: str) -> int:
        found = re.match(r"to\w*_(\d+)$", name)
        assert found is not None
        return self.writer.width(int(found[1]))

    def targets(self, p: int) -> list[str]:
        """The rows in memory that a value is written to."""
        writer, program = self.writer, self.writer.program
        wide = writer.width(p)
        found = []
        for i, one in enumerate(program.carry):
            if one == p and writer.stored_by_loop(i, p):
                past = writer.slot("carry", i)
                found.append(self._pointer(f"{past} + (goes * rows + b) * {wide}", f"to_state_{p}"))
        if p in program.stored:
            to = f"{writer.slot('stored', p)} + (t * rows + b) * {wide}"
            found.append(self._pointer(to, f"to_stored_{p}"))
        if p in writer.kept and p not in program.stored:
            to = f"{writer.slot('scratch', p)} + b * {wide}"
            found.append(self._pointer(to, f"to_scratch_{p}"))
        return found

    def _pointer(self, to: str, name: str) -> str:
        return self.pointers.setdefault(to, name)

    def emit(self, p: int, offset: int) -> str:
        """The term for column ``j + offset`` of a value; statements are added as they are needed.

        Values are visited one by one, each after what it needs, so nothing recurses.
        """
        wanted = self._column(p, offset)
        stack = [wanted]
        while stack:
            key = stack[-1]
            if key in self.known:
                stack.pop()
                continue
            missing = [one for one in self._needs(key) if one not in self.known]
            if missing:
                stack += missing
                continue
            self.known[key] = self._term(key)
            stack.pop()
        return self.known[wanted]

    def _in_memory(self, p: int) -> bool:
        """Whether a value is read from an array: leaves, products, sums, earlier levels."""
        writer = self.writer
        value = writer.values[p]
        if value.op is None or p in writer.given or is_break(value):
            return True
        return p in writer.kept and writer.program.level[p] < self.level + (
            0 if p in writer.program.core else 1
        )

    def _needs(self, column: Column) -> list[Column]:
        """The terms that a term is made of."""
        p, offset, fixed = column
        writer, value = self.writer, self.writer.values[p]
        if self._in_memory(p):
            return []
        wide = writer.width(p)
        if is_place(value):
            # Several where the pieces lie over each other: they add up.
            return [self._column(one, offset - low, fixed)
                    for low, high, one in pieces(value, writer.program)
                    if low <= offset < high]  # fmt: skip
        if is_slice(value):
            low, _ = bounds(value.attrs["key"][-1], writer.width(value.operands[0]))
            return [self._column(value.operands[0], offset + low, fixed)]
        return [self._column(one, offset if writer.width(one) == wide else 0, fixed)
                for one in value.operands]  # fmt: skip

    def _column(self, p: int, offset: int, fixed: bool = False) -> Column:
        """A column; the only one of a value is that one, whichever the loop is at."""
        return Column(p, offset, fixed or self.writer.width(p) == 1)

    def _term(self, column: Column) -> str:
        p, offset, fixed = column
        value = self.writer.values[p]
        if self._in_memory(p):
            return self._load(value, offset, fixed=fixed)
        terms = [self.known[one] for one in self._needs(column)]
        assert value.op is not None
        if is_place(value):
            return f"({' + '.join(terms)})" if terms else "(real)0"
        if is_slice(value) or value.op.name in THROUGH:
            return terms[0]
        given = iter(terms)
        inputs = [next(given) if isinstance(one, int) else _literal(one) for one in value.inputs]
        kind = "int" if value.dtype == "bool" else "real"
        name = f"{_identifier(value.label)}v{p}" + (f"_{offset}" if offset else "")
        name += "_only" if fixed and self.writer.width(p) > 1 else ""
        self.lines.append(f"const {kind} {name} = {value.op.c.format(*inputs)};")
        return name

    def _load(self, value: Value, offset: int, *, fixed: bool) -> str:
        """A column of this row and step of a value in memory."""
        writer, p = self.writer, value.position
        wide = writer.width(p)
        column = "0" if wide == 1 else f"j + {offset}" if offset else "j"
        column = str(offset) if fixed else column
        if is_product(value) and p not in writer.given:
            row = self._pointer(f"{writer.slot('scratch', p)} + b * {wide}", f"product_{p}")
            if len(value.operands) > 2:
                bias = writer.values[value.operands[2]]
                return f"({row}[{column}] + {self._load(bias, offset, fixed=fixed)})"
            return f"{row}[{column}]"
        rank = len(value.shape)
        steps = 1 if rank < 2 else value.shape[0]
        row_of = "b" if rank == 2 and value.shape[0] > 1 else "0"
        if p in writer.carried:
            base = f"{writer.slot('carry', writer.carried[p])} + (came * rows + b) * {wide}"
        elif p in writer.given:
            timed = p in writer.program.varies
            per_step = "rows" if rank == 2 and steps > 1 else "1"
            time = f"t * {per_step} + " if timed else ""
            base = f"{writer.slot('given', p)} + ({time}{row_of}) * {wide}"
        elif p in writer.program.stored and not is_break(value):
            base = f"{writer.slot('stored', p)} + (t * rows + b) * {wide}"
        else:
            base = f"{writer.slot('scratch', p)} + b * {wide}"
        return f"{self._pointer(base, f'from_{p}')}[{column}]"


def _literal(one: Any) -> str:
    """A Python number in C."""
    assert isinstance(one, Literal)
    value = one.value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and not math.isfinite(value):
        return "(real)NAN" if math.isnan(value) else f"({'-' if value < 0 else ''}(real)INFINITY)"
    return f"((real){value!r})"


def _identifier(label: str) -> str:
    """A gate's name as the beginning of a C name."""
    name = re.sub(r"\W+", "_", label.split(",")[0], flags=re.ASCII)
    return f"{name}_" if name and len(name) <= 12 else ""
