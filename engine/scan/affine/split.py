"""Cut a step into stages: each group of states by itself, matrix memories apart from the rest.

A stage is a program for one group of states, or for what has no state: the coefficients of a
memory, and the outputs. What a memory is read by, a weighted sum over its keys, is an input of the
stages after it. Above `kinds.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from engine.ops.shaping import broadcast_to
from engine.scan.affine.forms import (
    ANY,
    Base,
    Coefficient,
    Form,
    NotAffineError,
    Term,
    arranged,
    identity,
    size,
)
from engine.scan.affine.kinds import OUTER, RANK_ONE, Axes, classified, fits
from engine.scan.affine.outer import products
from engine.scan.affine.rules import form_of, scaled
from engine.scan.affine.stages import Cutting, Matrix, Split, Stage, remembered
from engine.scan.body import leaf
from engine.scan.program import Literal, NotFusableError, Program, Value
from engine.scan.reading import traced
from engine.tensor import Tensor


class Read(NamedTuple):
    """Hold a weighted sum over an axis of a memory before or after the step, and its leaf."""

    base: Base
    weight: Coefficient
    folded: int | None
    leaf: Tensor


@remembered
def split(program: Program) -> Split:
    """Return the stages of a program with its matrix memories apart, found once.

    Raises NotFusableError where no state is a memory that is only read by sums.
    """
    return _Splitting(program).stages()


class _Splitting(Cutting):
    """Keep tensors and forms of all values, where memories are known by what is read of them."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.plain: dict[int, Tensor] = {}
        self.forms: dict[int, Form] = {}
        self.new: dict[int, Form] = {}  # of the memories
        self.reads: list[Read] = []

    def stages(self) -> Split:
        groups = classified(self.program)
        memories = {one.states[0] for one in groups if one.kind in (OUTER, RANK_ONE)}
        if not memories:
            raise NotFusableError("no state is a decay with outer products or a part of rank one")
        for value in self.program.values:
            self._visit(value, memories)
        ends = [self._tensor(p) for p in self.program.steps]
        carry = {i: self._tensor(p) for i, p in enumerate(self.program.carry) if i not in memories}
        matrices = {i: self._matrix(i) for i in memories}
        stages = [
            self._memory(one.states[0], *matrices[one.states[0]])
            if one.states[0] in memories
            else self.group(one, carry)
            for one in groups
        ]
        return Split(tuple(stages), Stage(self.stage_program((), (), ends)))

    # ---- values

    def _visit(self, value: Value, memories: set[int]) -> None:
        p, program = value.position, self.program
        if p in program.carried and program.carried[p] in memories:
            self.forms[p] = identity(("before", program.carried[p]), value.shape)
        elif any(one in self.forms for one in value.operands):
            self._compute(value)
        elif any(self.plain[one] is not self.made[one] for one in value.operands):
            self.plain[p] = self._again(value)
        else:
            self.plain[p] = self.made[p]
        for i in memories:
            if program.carry[i] == p:
                if p not in self.forms:
                    raise NotFusableError(f"state {i} is not affine in itself")
                self.new[i] = self.forms.pop(p)
                self.forms[p] = identity(("after", i), value.shape)

    def _compute(self, value: Value) -> None:
        given = [one.value if isinstance(one, Literal) else self.forms.get(one) or self.plain[one]
                 for one in value.inputs]  # fmt: skip
        try:
            self.forms[value.position] = form_of(value, given, self.program)
        except NotAffineError as reason:
            try:
                self.plain[value.position] = self._again(value)
            except NotAffineError:
                raise NotFusableError(f"a memory is needed entry by entry: {reason}") from None

    def _again(self, value: Value) -> Tensor:
        """Return one op, on the tensors of its inputs."""
        places = [one for one in value.inputs if isinstance(one, int)]
        found = [self._tensor(one) for one in places]
        count = iter(range(len(found)))
        inputs = tuple(next(count) if isinstance(one, int) else one for one in value.inputs)
        return traced(replace(value, inputs=inputs), found)

    def _tensor(self, p: int) -> Tensor:
        """Return the tensor of a value; of one that depends on memories, by the parts read."""
        if p in self.plain:
            return self.plain[p]
        form = self.forms[p]
        return self._of_reads(form.terms, form)

    def _of_reads(self, terms: Sequence[Term], form: Form) -> Tensor:
        out: Any = form.offset
        for term in terms:
            part = scaled(self._read(term, len(form.shape)), term.coefficient)
            out = part if out is None else out + part
        assert isinstance(out, Tensor)
        return out if out.shape == form.shape else broadcast_to(out, form.shape)

    def _read(self, term: Term, rank: int) -> Tensor:
        if term.weight is None:
            raise NotAffineError("a memory itself is needed")
        for one in self.reads:
            alike = (one.base, one.folded) == (term.base, term.folded)
            if alike and _same(one.weight, term.weight):
                made = one.leaf
                break
        else:
            memory = self.program.values[self.program.carry[term.base[1]]]
            left = tuple(n for i, n in enumerate(memory.shape) if i != term.folded)
            made = leaf(left, memory.dtype, "numpy")
            self.sources[made.node] = ("read", len(self.reads))
            self.reads.append(Read(term.base, term.weight, term.folded, made))
        to = [None if one == ANY else one for one in term.axes if one is not None]
        out: Tensor = arranged(made, to, made.ndim, rank)
        return out

    # ---- memories

    def _matrix(self, i: int) -> tuple[Axes, Form]:
        """Return the axes of a memory on which all of its weights and reads fit."""
        form = self.new[i]
        own = tuple(term for term in form.terms if term.base == ("before", i))
        others = tuple(term for term in form.terms if term.base != ("before", i))
        if others:
            form = Form(form.shape, own, self._of_reads(others, form))
        rank = len(form.shape)
        reads = [one for one in self.reads if one.base[1] == i]
        for folded, kept in ((rank - 2, rank - 1), (rank - 1, rank - 2)):
            axes = Axes(folded, kept)
            alike = all(one.folded == folded and _is_free(one.weight, kept, rank) for one in reads)
            if alike and fits(form, axes):
                return axes, form
        raise NotFusableError(f"state {i} is read along another axis than it is written")

    def _memory(self, i: int, axes: Axes, form: Form) -> Stage:
        steps: list[Tensor] = []

        def place(x: Coefficient | None) -> Any:
            if not isinstance(x, Tensor):
                return 1.0 if x is None else x
            missing = len(form.shape) - x.ndim
            steps.append(x if not missing else arranged(
                x, list(range(missing, len(form.shape))), x.ndim, len(form.shape)))  # fmt: skip
            return len(steps) - 1

        decays = [term for term in form.terms if term.weight is None]
        ranks = [term for term in form.terms if term.weight is not None]
        pairs = [] if form.offset is None else products(form.offset, form.shape, *axes)
        matrix = Matrix(
            i, axes,
            place(decays[0].coefficient) if decays else 0.0,
            tuple((place(u), place(v)) for u, v in pairs),
            (place(ranks[0].coefficient), place(ranks[0].weight)) if ranks else None,
            tuple((n, one.base[0] == "after", place(one.weight))
                  for n, one in enumerate(self.reads) if one.base[1] == i),
        )  # fmt: skip
        return Stage(self.stage_program((), (), steps), memory=matrix)


def _same(a: Coefficient, b: Coefficient) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.node is b.node
    return not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b


def _is_free(x: Any, axis: int, rank: int) -> bool:
    return not isinstance(x, Tensor) or size(x, axis, rank) == 1
