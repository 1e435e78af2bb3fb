"""Write recurrences in which no thread reads a state of another one: all steps in one kernel.

The states stay in registers. Where the new states are affine in the old ones, a warp can share the
steps too: each lane composes the maps of its stretch, shuffles give it the state that its stretch
begins with, and it then runs the stretch. A factor with which a state enters is found by the
degrees of the ops, not as a difference, so that no digit is lost. Above `parts.py`, below
`source.py`.
"""

import math
from dataclasses import dataclass

from engine.scan.affine.kinds import is_affine
from engine.scan.cuda.folds import subscript
from engine.scan.cuda.parts import Part
from engine.scan.cuda.threads import Access, ThreadArrays, Threads, decoded, indented, put
from engine.scan.kernels.terms import At, Term, literal
from engine.scan.program import Literal

MOST = 3  # states of a thread with maps that lanes compose, at most

TIMES = ("const long t = own.reverse ? own.steps - 1 - k : k;",
         "const long came = own.reverse ? t + 1 : t, goes = own.reverse ? t : t + 1;",
         "(void)t; (void)came; (void)goes;")  # fmt: skip


@dataclass(frozen=True)
class Register:
    """Hold a state of a thread: its number, where it lies, and the value that it becomes."""

    state: int
    at: At
    new: Term


class Independent:
    """Write the one nest of a recurrence with independent threads."""

    def __init__(self, arrays: ThreadArrays, part: Part) -> None:
        self.arrays, self.part = arrays, part
        sizes = {extents for extents, _ in part.groups}
        sizes |= {arrays.extents(arrays.program.carry[i], box) for i in part.copies
                  for box in arrays.boxes(arrays.program.carry[i])}  # fmt: skip
        self.single = len(sizes) == 1
        self.extents = next(iter(sizes)) if self.single else ()
        self.registers = self._registers() if self.single else []
        self.turns = arrays.layout.batch * math.prod(self.extents) if self.single else 0

    def _nest(self) -> tuple[Threads, list[str]]:
        dims, names = self.arrays.dims(self.extents)
        return Threads(self.arrays, self.part.level, dims), names

    def _registers(self) -> list[Register]:
        nest, names = self._nest()
        arrays, program = self.arrays, self.arrays.program
        found = []
        for i, p in enumerate(program.carry):
            for box in arrays.boxes(p):
                index = arrays.index(p, box, arrays.variables(p, names))
                new = Term(p, arrays.fitted(p, index))
                found.append(Register(i, nest.address(p, index), new))
        return found

    def _held(self, nest: Threads) -> dict[tuple[int, Access], str]:
        """Return the variables of states by what reads them."""
        return {(one.state, nest.access(one.at)): f"s{n}" for n, one in enumerate(self.registers)}

    # ---- a step

    def _step(self) -> list[str]:
        """Return the loop over steps `first` to `last`, with everything that is stored."""
        arrays = self.arrays
        nest, names = self._nest()
        arrays.held, arrays.fetched = self._held(nest), {}
        statements = []
        for _, pairs in self.part.groups:
            for p, box in pairs:
                index = arrays.index(p, box, arrays.variables(p, names))
                term = nest.emit(p, index)
                statements += [put(to, term) for to in nest.store(p, index)]
        for i in self.part.copies:
            p = arrays.program.carry[i]
            for box in arrays.boxes(p):
                index = arrays.index(p, box, arrays.variables(p, names))
                term = nest.emit(p, arrays.fitted(p, index))
                statements.append(put(nest.carry(i, p, index), term))
        news = [nest.emit(*one.new) for one in self.registers]
        statements += [f"const real new{n} = {term};" for n, term in enumerate(news)]
        statements += [f"s{n} = new{n};" for n in range(len(news))]
        return self._over_steps(nest, statements)

    def _initial(self) -> list[str]:
        lines = ["const long start = own.reverse ? own.steps : 0;"]
        for n, one in enumerate(self.registers):
            p = self.arrays.program.carry[one.state]
            base = f"{self.arrays.slot('carry', one.state)} + start * {self.arrays.size(p)}"
            lines.append(f"real s{n} = ({base})[{subscript(one.at)}];")
        return lines

    def sweep(self) -> list[str]:
        """Return all steps in one kernel, a thread for each row and unit."""
        nest, _ = self._nest()
        body = [*decoded("u", nest.dims), *self._initial(),
                "const long first = 0, last = own.steps;", *self._step()]  # fmt: skip
        return self._kernel("sweep", "thread", "threads", nest, body)

    def _kernel(
        self, name: str, turn: str, turns: str, nest: Threads, body: list[str]
    ) -> list[str]:
        return [
            f'extern "C" __global__ void __launch_bounds__(THREADS, 1) {name}(const job *given) {{',
            "    const job own = *given;",
            "    real *const *p = own.p;",
            "    const long thread = blockIdx.x * (long)THREADS + threadIdx.x;",
            "    const long threads = gridDim.x * (long)THREADS;",
            f"    for (long e = {turn}; e < {self.arrays.layout.batch * nest.units}; "
            f"e += {turns}) {{",
            f"        const long b = e / {nest.units}, u = e % {nest.units};",
            *indented(indented(body)),
            "        (void)b; (void)u;",
            "    }",
            "}",
            "",
        ]

    # ---- stretches

    def stretches(self) -> list[str]:
        """Return all steps in one kernel, a warp for each row and unit; nothing if impossible."""
        count, program = len(self.registers), self.arrays.program
        if not self.single or not 0 < count <= MOST or not (
            is_affine(program, range(len(program.carry)))):  # fmt: skip
            return []
        nest, _ = self._nest()
        every = range(count)
        body = [
            *decoded("u", nest.dims),
            *self._initial(),
            "const int lane = threadIdx.x % 32;",
            "const long length = (own.steps + 31) / 32;",
            "long first = min(lane * length, own.steps), last = min(first + length, own.steps);",
            f"real m[{count * count}], c[{count}];",
            *(f"m[{j * count + i}] = {int(i == j)};" for j in every for i in every),
            *(f"c[{j}] = 0;" for j in every),
            "/* the map of this stretch */",
            *self._maps(),
            "/* those of all stretches up to this one */",
            "for (int by = 1; by < 32; by *= 2) {",
            f"    real n[{count * count}], d[{count}], x[{count * count}], y[{count}];",
            *(f"    n[{i}] = __shfl_up_sync(~0u, m[{i}], by);" for i in range(count * count)),
            *(f"    d[{i}] = __shfl_up_sync(~0u, c[{i}], by);" for i in every),
            "    if (lane >= by) {",
            *(
                f"        x[{j * count + i}] = "
                f"{' + '.join(f'm[{j * count + h}] * n[{h * count + i}]' for h in every)};"
                for j in every
                for i in every
            ),
            *(f"        y[{j}] = {_row('m', 'd', j, count)} + c[{j}];" for j in every),
            *(f"        m[{i}] = x[{i}];" for i in range(count * count)),
            *(f"        c[{j}] = y[{j}];" for j in every),
            "    }",
            "}",
            "bool finite = true;",
            *(
                f"finite = finite && absolute({one}) < (real)INFINITY;"
                for one in [*(f"m[{i}]" for i in range(count * count)), *(f"c[{j}]" for j in every)]
            ),
            f"real before[{count}] = {{{', '.join(f's{j}' for j in every)}}};",
            *(f"m[{i}] = __shfl_up_sync(~0u, m[{i}], 1);" for i in range(count * count)),
            *(f"c[{j}] = __shfl_up_sync(~0u, c[{j}], 1);" for j in every),
            "if (!__all_sync(~0u, finite)) {  /* zero times infinity: one lane runs all steps */",
            "    first = lane ? own.steps : 0, last = own.steps;",
            "} else if (lane) {",
            *(f"    s{j} = {_row('m', 'before', j, count)} + c[{j}];" for j in every),
            "}",
            *self._step(),
        ]
        return self._kernel("stretches", "thread / 32", "threads / 32", nest, body)

    def _maps(self) -> list[str]:
        """Return the loop that composes the maps of the steps of a stretch."""
        count, arrays = len(self.registers), self.arrays
        nest, _ = self._nest()
        held, arrays.fetched = self._held(nest), {}
        linear = Linear(nest, held, count)
        factors = [[linear.factor(one.new, column) for column in range(count)]
                   for one in self.registers]  # fmt: skip
        arrays.held = dict.fromkeys(held, "(real)0")
        rest = [nest.emit(*one.new) for one in self.registers]
        every = range(count)
        statements = [f"const real a{j}{i} = {factors[j][i]};" for j in every for i in every]
        statements += [f"const real r{j} = {rest[j]};" for j in every]
        for i in every:
            for j in every:
                terms = " + ".join(f"a{j}{h} * m[{h * count + i}]" for h in every)
                statements.append(f"const real m{j}{i} = {terms};")
        statements += [f"const real c{j} = {' + '.join(f'a{j}{h} * c[{h}]' for h in every)} + r{j};"
                       for j in every]  # fmt: skip
        statements += [f"m[{j * count + i}] = m{j}{i};" for j in every for i in every]
        statements += [f"c[{j}] = c{j};" for j in every]
        return self._over_steps(nest, statements)

    def _over_steps(self, nest: Threads, statements: list[str]) -> list[str]:
        """Return the loop over the steps of a stretch, in which the inputs of the next step are
        asked for before this one is computed: a load takes longer than a step.
        """
        arrays = self.arrays
        body, fetched = nest.body(statements), arrays.fetched or {}
        arrays.held, arrays.fetched = {}, None
        made = [
            f"auto fetch_{name} = [&](long t) -> real {{ return "
            f"({arrays.base(p)})[{subscript(address)}]; }};"
            for (p, address), name in fetched.items()
        ]
        first, after = "own.reverse ? own.steps - 1 - first : first", "own.reverse ? t - 1 : t + 1"
        asked = []
        for name in fetched.values():
            made.append(f"real {name} = first < last ? fetch_{name}({first}) : (real)0;")
            asked.append(
                f"const real next_{name} = k + 1 < last ? fetch_{name}({after}) : (real)0;"
            )
        taken = [f"{name} = next_{name};" for name in fetched.values()]
        loop = indented([*TIMES, *asked, *body, *taken])
        return ["{", *indented([*made, "for (long k = first; k < last; k++) {", *loop, "}"]), "}"]


def _row(m: str, s: str, j: int, count: int) -> str:
    """Return row `j` of a matrix times a vector, in C."""
    return " + ".join(f"{m}[{j * count + c}] * {s}[{c}]" for c in range(count))


class Linear:
    """Find the factors with which the states of a thread enter a value that is affine in them."""

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
        if arrays.layout.moves(value) is not None:
            parts = [self.known.get((one, column), "(real)0") for one in inner]
            return f"({' + '.join(parts)})" if parts else "(real)0"
        given = iter(inner)
        words = []
        for slot, one in enumerate(value.inputs):
            if isinstance(one, Literal):
                words.append("(real)0" if value.degree in ("sum", "choice") else literal(one))
                continue
            part = next(given)
            keeps = (value.degree in ("product", "quotient") and one not in program.depends) or (
                value.degree == "choice" and slot == 0)  # fmt: skip
            words.append(self.nest.emit(*part) if keeps else
                         self.known.get((part, column), "(real)0"))  # fmt: skip
        return f"({arrays.layout.expression(value).format(*words)})"
