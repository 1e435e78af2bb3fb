"""Writes the factors with which states enter values that are affine in them.

A factor is found by the degrees of the ops, not as a difference, so that no digit is lost. Below
`independent.py`.
"""

from engine.scan.cuda.threads import Access, ThreadArrays, Threads
from engine.scan.kernels.terms import Term, literal
from engine.scan.program import Literal


def is_affine(arrays: ThreadArrays) -> bool:
    """Return whether each new state is affine in the old ones, by the degrees of the ops."""
    program, layout = arrays.program, arrays.layout
    affine: dict[int, bool] = {}
    for value in program.values:
        p = value.position
        if p not in program.depends or value.op is None:
            affine[p] = True
            continue
        depends = [one in program.depends for one in value.inputs]
        inside = all(affine[one] for one in value.operands)
        alone = sum(depends) == 1
        affine[p] = inside and (
            layout.moves(value) is not None
            or value.op.degree == "sum"
            or (value.op.degree == "product" and alone and len(value.inputs) == 2)
            or (value.op.degree == "quotient" and depends[0] and alone)
            or (value.op.degree == "choice" and not depends[0])
        )  # fmt: skip
    return all(affine[p] for p in program.carry)


class Linear:
    """The factors with which the states of a thread enter a value that is affine in them."""

    def __init__(self, nest: Threads, held: dict[tuple[int, Access], str], count: int) -> None:
        self.nest, self.held, self.count = nest, held, count
        self.known: dict[tuple[Term, int], str] = {}

    def factor(self, term: Term, column: int) -> str:
        """Return the factor of a column's state in a value, in C; values are visited in turn."""
        stack = [term]
        while stack:
            top = stack[-1]
            if (top, column) in self.known:
                stack.pop()
                continue
            missing = [one for one in self._inside(top) if (one, column) not in self.known]
            if missing:
                stack += missing
                continue
            self.known[top, column] = self._factor(top, column)
            stack.pop()
        return self.known[term, column]

    def _inside(self, term: Term) -> list[Term]:
        """Return the terms that a term is made of and that depend on the states."""
        program = self.nest.arrays.program
        if term.p in program.carried or term.p not in program.depends:
            return []
        return [one for one in self.nest.needs(term) if one.p in program.depends]

    def _factor(self, term: Term, column: int) -> str:
        arrays, program = self.nest.arrays, self.nest.arrays.program
        value = arrays.values[term.p]
        if term.p not in program.depends:
            return "(real)0"
        if term.p in program.carried:
            own = (program.carried[term.p], self.nest.access(self.nest.address(*term)))
            return f"(real){int(self.held[own] == f's{column}')}"
        inner = self.nest.needs(term)
        assert value.op is not None
        if arrays.layout.moves(value) is not None:
            parts = [self.known.get((one, column), "(real)0") for one in inner]
            return f"({' + '.join(parts)})" if parts else "(real)0"
        given = iter(inner)
        words = []
        for slot, one in enumerate(value.inputs):
            if isinstance(one, Literal):
                words.append("(real)0" if value.op.degree in ("sum", "choice") else literal(one))
                continue
            part = next(given)
            keeps = (value.op.degree in ("product", "quotient") and one not in program.depends) or (
                value.op.degree == "choice" and slot == 0)  # fmt: skip
            words.append(self.nest.emit(*part) if keeps else
                         self.known.get((part, column), "(real)0"))  # fmt: skip
        return f"({arrays.layout.expression(value).format(*words)})"
