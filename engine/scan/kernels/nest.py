"""Write one nest of loops of a kernel: over the rows of the batch and the units of a value.

Collects the terms that its stores need, each computed once, and outside of the innermost loop where
it does not depend on it. How the loops are written is for the languages to say. Below `arrays.py`.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.op import Move
from engine.ops.moves import aligned
from engine.scan.kernels.terms import ROW, At, Index, Term, identifier, literal, strides
from engine.scan.program import NotFusableError, Value

if TYPE_CHECKING:
    from engine.scan.kernels.arrays import Arrays


class Nest:
    """Loop over rows and over `dims`, pairs of a name and a size, the innermost last."""

    def __init__(self, arrays: "Arrays", level: int, dims: Sequence[tuple[str, int]]) -> None:
        self.arrays, self.layout, self.level = arrays, arrays.layout, level
        self.dims = list(dims)
        self.inner = self.dims[-1][0] if self.dims else ""
        self.pointers: dict[str, str] = {}
        self.outer_lines: list[str] = []
        self.lines: list[str] = []
        self.known: dict[Term, str] = {}
        self.names: set[str] = set()
        self.touched: set[At] = set()  # in arrays that the kernel writes

    # ---- places in memory

    def store(self, p: int, index: Index) -> list[str]:
        """Return the places in memory that a value is written to."""
        arrays, program = self.arrays, self.arrays.program
        found = []
        for i, one in enumerate(program.carry):
            if one == p and arrays.stored_by_level(i):
                found.append(self.carry(i, p, index))
        if p in program.stored:
            found.append(self._place(f"{arrays.slot('stored', p)} + t * {arrays.size(p)}", p,
                                     index, f"to_stored_{p}"))  # fmt: skip
        elif p in arrays.layout.kept:
            found.append(self.scratch(p, index))
        return found

    def carry(self, i: int, p: int, index: Index) -> str:
        """Return the place of new state `i`."""
        return self._place(f"{self.arrays.slot('carry', i)} + goes * {self.arrays.size(p)}", p,
                           index, f"to_state_{i}")  # fmt: skip

    def scratch(self, p: int, index: Index) -> str:
        """Return the place of a value of this step."""
        return self._place(self.arrays.slot("scratch", p), p, index, f"to_scratch_{p}")

    def part(self, p: int, index: Index, part: str) -> str:
        """Return the place of a sum over a part of the outermost loop."""
        base = f"{self.arrays.slot('partial', p)} + {part} * {self.arrays.size(p)}"
        return self._place(base, p, index, f"to_partial_{p}")

    def total(self, p: int, index: Index) -> str:
        """Return the place of the sum of a value over time, which is rounded once."""
        return self._place(f"(double *){self.arrays.slot('total', p)}", p, index, f"to_total_{p}")

    def plain(self, p: int, index: Index) -> str:
        """Return the place of a value of this step, without a pointer."""
        address = self.address(p, index)
        parts = [f"{name} * {factor}" for name, factor in address.factors]
        return f"{self.arrays.slot('scratch', p)}[{' + '.join([*parts, str(address.offset)])}]"

    def load(self, p: int, index: Index) -> str:
        """Return a number of a value that lies in memory."""
        return self.read(p, self.address(p, index))

    def read(self, p: int, address: At) -> str:
        """Return a number of a value that lies in memory, by its address in the value."""
        if p not in self.layout.given:
            self.touched.add(address)
        return self._at(self.arrays.base(p), address, f"from_{p}")

    def address(self, p: int, index: Index) -> At:
        """Return where the number at an index lies in a value."""
        return self._linear(index, strides(self.layout.values[p].shape))

    def _place(self, base: str, p: int, index: Index, name: str) -> str:
        self.touched.add(self.address(p, self._reduced(Term(p, index)).at))
        return self._at(base, self.address(p, index), name)

    def _linear(self, index: Iterable[At], steps: Iterable[int]) -> At:
        """Return an address from positions and strides."""
        factors: dict[str, int] = {}
        offset = 0
        for at, step in zip(index, steps, strict=True):
            offset += at.offset * step
            for name, factor in at.factors:
                factors[name] = factors.get(name, 0) + factor * step
        return At(tuple(sorted((n, f) for n, f in factors.items() if f)), offset)

    def _at(self, base: str, address: At, name: str) -> str:
        """Return an element: a pointer outside of the innermost loop, and a subscript inside."""
        outer = [f"{variable} * {factor}" for variable, factor in address.factors
                 if variable != self.inner]  # fmt: skip
        pointer = self._pointer(" + ".join([base, *outer]), name)
        step = dict(address.factors).get(self.inner, 0)
        parts = [self.inner if step == 1 else f"{self.inner} * {step}"] if step else []
        if address.offset or not parts:
            parts.append(str(address.offset))
        return f"{pointer}[{' + '.join(parts)}]"

    def _pointer(self, to: str, name: str) -> str:
        if to not in self.pointers:
            self.pointers[to] = self._unique(name)
        return self.pointers[to]

    def _unique(self, name: str) -> str:
        found, number = name, 1
        while found in self.names:
            number += 1
            found = f"{name}_{number}"
        self.names.add(found)
        return found

    def step_of(self, p: int, index: Index, name: str) -> int:
        """Return how far apart in memory entries are that a loop variable counts."""
        term = self._source(Term(p, index))
        own = strides(self.layout.values[term.p].shape)
        return dict(self._linear(term.at, own).factors).get(name, 0)

    def _source(self, term: Term) -> Term:
        """Return the value in memory that moves lead to."""
        while not self.layout.in_memory(term.p, self.level):
            value = self.layout.values[term.p]
            moves = self.layout.moves(value)
            if not moves or len(moves) > 1 or moves[0].flat:
                break
            term = self._moved(value, moves[0], term.at)
        return term

    # ---- terms

    def emit(self, p: int, index: Index) -> str:
        """Return a number of a value; statements are added as they are needed.

        Values are visited one by one, each after what it needs, so nothing recurses.
        """
        wanted = self._reduced(Term(p, index))
        stack = [wanted]
        while stack:
            term = stack[-1]
            if term in self.known:
                stack.pop()
                continue
            missing = [one for one in self.needs(term) if one not in self.known]
            if missing:
                stack += missing
                continue
            self.known[term] = self._term(term)
            stack.pop()
        return self.known[wanted]

    def _reduced(self, term: Term) -> Term:
        """Return a term with index 0 on the axes of size 1."""
        shape = self.layout.values[term.p].shape
        return Term(term.p, tuple(At() if size == 1 else at
                                  for at, size in zip(term.at, shape, strict=True)))  # fmt: skip

    def needs(self, term: Term) -> list[Term]:
        """Return the terms that a term is made of."""
        value = self.layout.values[term.p]
        if self.layout.in_memory(term.p, self.level):
            return []
        moves = self.layout.moves(value)
        if moves is None:
            shapes = [self.layout.values[p].shape for p in value.operands]
            return [self._reduced(Term(p, tuple(term.at[along.axis] if along.axis is not None
                                                else At() for along in aligned(s, value.shape))))
                    for p, s in zip(value.operands, shapes, strict=True)]  # fmt: skip
        return [self._reduced(self._moved(value, move, term.at)) for move in moves
                if not move.flat and self._inside(move, term.at)]  # fmt: skip

    def _moved(self, value: Value, move: Move, index: Index) -> Term:
        """Return the number of an input that a move takes."""
        found = tuple(At((), along.offset) if along.axis is None
                      else index[along.axis].along(along) for along in move.where)  # fmt: skip
        return Term(value.operands[move.slot], found)

    def _inside(self, move: Move, index: Index) -> bool:
        """Return whether all that the loops reach lies in a box; False where none of it does.

        Raises NotFusableError where only some does: the loops are cut so that this cannot be.
        """
        for at, low, high in zip(index, move.low, move.high, strict=True):
            first, last = self._range(at)
            if last < low or first >= high:
                return False
            if first < low or last >= high:
                raise NotFusableError("a piece of a value crosses the border of another")
        return True

    def _range(self, at: At) -> tuple[int, int]:
        """Return the smallest and the largest position."""
        sizes = {**dict(self.dims), ROW: self.layout.batch}
        reach = [factor * (sizes[name] - 1) for name, factor in at.factors]
        low = at.offset + sum(one for one in reach if one < 0)
        return low, at.offset + sum(one for one in reach if one > 0)

    def _term(self, term: Term) -> str:
        value = self.layout.values[term.p]
        if self.layout.in_memory(term.p, self.level):
            return self.load(term.p, term.at)
        moves = self.layout.moves(value)
        if moves is not None and any(move.flat for move in moves):
            return self._flat(value, moves[0], term.at)
        terms = [self.known[one] for one in self.needs(term)]
        if moves is not None:
            return f"({' + '.join(terms)})" if terms else "(real)0"
        given = iter(terms)
        inputs = [self._truth(value, one, next(given)) if isinstance(one, int) else literal(one)
                  for one in value.inputs]  # fmt: skip
        expression = self.layout.expression(value).format(*inputs)
        if expression in terms:
            return expression
        kind, wrapped = ("int", f"({expression}) != 0") if value.dtype == "bool" else (
            "real", expression)  # fmt: skip
        name = self._unique(f"{identifier(value.label)}v{value.position}")
        inside = any(name == self.inner for at in term.at for name, _ in at.factors)
        (self.lines if inside else self.outer_lines).append(f"const {kind} {name} = {wrapped};")
        return name

    def _truth(self, value: Value, operand: int, text: str) -> str:
        """Return an operand as C; a boolean lies in memory as a real number, without its bits."""
        both = value.dtype == "bool" and self.layout.values[operand].dtype == "bool"
        return f"({text} != 0)" if both and not text.isidentifier() else text

    def _flat(self, value: Value, move: Move, index: Index) -> str:
        """Return a number of a value in memory that has another shape here."""
        operand = value.operands[move.slot]
        address = self._linear(index, strides(value.shape))
        if not self.layout.in_memory(operand, self.level):
            raise NotFusableError("a value that is read in another shape is not in memory")
        return self.read(operand, address)
