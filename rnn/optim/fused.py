"""Run the rule of an optimiser as one kernel over all parameters, where a device has such kernels.

A rule that is given numbers of its own in the place of arrays writes statements in the place of
values, with the expressions in C that the records of the engine's ops have. The kernel is printed
from those, in CUDA, or in C for many numbers on the host, and reads parameters and gradients where
they lie, by their pointers. Below `flat.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.backends import Array, DType
from engine.backends.multi import TYPES, Many, each
from engine.op import Op
from engine.registry import REGISTRY
from rnn.optim import on_host
from rnn.optim.elements import head, narrowed, widened

Number = int | float


class NotRecordableRuleError(Exception):
    """Tell why the rule of an optimiser cannot be recorded; it runs on arrays then."""


class Recorder:
    """Collect the statements of a rule, and the numbers of Python in them, `c0`, `c1` and so on.
    The numbers may change from step to step.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: list[float] = []
        self.changed: set[str] = set()
        self._made = 0

    def variable(self, name: str) -> "Variable":
        """Return the number of that name, which the kernel has declared."""
        return Variable(self, name)

    def apply(self, op: Op, given: tuple[Any, ...], out: "Variable | None" = None) -> "Variable":
        """Write an op of numbers as a statement; its result is `out`, or a variable of its own."""
        plain = op.kind == "elementwise" and isinstance(op.c, str) and op.c  # no attributes
        if not plain or len(given) != op.inputs:
            raise NotRecordableRuleError(f"{op.name} of {len(given)} arrays has no expression in C")
        expression = op.expression({}).format(*map(self._operand, given))
        if out is None:
            out = self.variable(f"t{self._made}")
            self._made += 1
            self.lines.append(f"real {out.name} = {expression};")
        else:
            self.assign(out, expression)
        return out

    def assign(self, to: "Variable", expression: str) -> None:
        """Write a statement that changes a variable."""
        self.lines.append(f"{to.name} = {expression};")
        self.changed.add(to.name)

    def _operand(self, given: Any) -> str:
        if isinstance(given, Variable):
            return given.name
        if not isinstance(given, Number):
            raise NotRecordableRuleError(f"{type(given).__name__} among the numbers of a rule")
        self.numbers.append(float(given))
        return f"c{len(self.numbers) - 1}"


class Variable:
    """Stand for a number of an element in the place of a flat array; its uses are written down."""

    __array_ufunc__ = None  # NumPy's numbers ask this class

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder, self.name = recorder, name

    def __setitem__(self, key: Any, values: Any) -> None:
        if key is not Ellipsis:
            raise NotRecordableRuleError("a part of an array is changed")
        self._recorder.assign(self, self._recorder._operand(values))

    def __getattr__(self, name: str) -> Any:
        raise NotRecordableRuleError(f"a rule uses the attribute {name!r} of an array")


OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
}  # fmt: skip


def _operator(op: Op) -> tuple[Any, Any, Any]:
    """Return the methods for x . y, y . x and x .= y."""

    def plain(x: Variable, y: Any) -> Variable:
        return x._recorder.apply(op, (x, y))

    def reflected(x: Variable, y: Any) -> Variable:
        return x._recorder.apply(op, (y, x))

    def in_place(x: Variable, y: Any) -> Variable:
        return x._recorder.apply(op, (x, y), x)

    return plain, reflected, in_place


for _name, _op in OPERATORS.items():
    for _side, _method in zip(("", "r", "i"), _operator(REGISTRY[_op]), strict=True):
        setattr(Variable, f"__{_side}{_name}__", _method)


def _refusing(name: str) -> Any:
    def method(x: Variable, *given: Any) -> Any:
        raise NotRecordableRuleError(f"a rule uses {name} of an array")

    return method


REFUSED = ("abs", "array", "bool", "contains", "eq", "float", "floordiv", "ge", "getitem", "gt",
           "index", "int", "invert", "iter", "le", "len", "lt", "matmul", "mod", "ne", "rfloordiv",
           "rmatmul", "rmod")  # fmt: skip
for _name in REFUSED:
    setattr(Variable, f"__{_name}__", _refusing(_name))
setattr(Variable, "__neg__", lambda x: x._recorder.apply(REGISTRY["negative"], (x,)))  # noqa: B010


class RuleNamespace:
    """Offer the element-wise functions of the engine to a rule that is recorded."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        if name not in REGISTRY:
            raise NotRecordableRuleError(f"a rule uses {name!r}, which has no expression in C")

        def function(*given: Any, out: Variable | None = None) -> Variable:
            return self._recorder.apply(REGISTRY[name], given, out)

        return function


def recorded(rule: Any, slots: Mapping[str, float], steps: int) -> Recorder:
    """Return the statements of a rule that changes x by g, and the state s0, s1, ... of `slots`.
    Raises NotRecordableRuleError for a rule that needs more than element-wise ops.
    """
    recorder = Recorder()
    x, g = recorder.variable("x"), recorder.variable("g")
    state = {slot: recorder.variable(f"s{place}") for place, slot in enumerate(slots)}
    rule(RuleNamespace(recorder), x, g, state, steps)
    return recorder


@lru_cache(maxsize=256)
def kernel(
    dtype: DType, lines: tuple[str, ...], numbers: int, states: tuple[bool, ...], *, master: bool
) -> Many:
    """Return the kernel of a rule; `states` says for each slot whether the rule changes it. With a
    `master` parameters of half precision have a copy in float32, which is stepped instead.
    """
    kind, slots = TYPES[dtype.itemsize], range(len(states))
    if master:
        narrow = widened(dtype, "xs[i]")
        first = [
            "real x = masters[place + i];",
            # Set by something else since the last step, where it is not its copy rounded.
            f"if ({widened(dtype, narrowed(dtype, 'x'))} != {narrow}) x = {narrow};",
        ]
    else:
        first = ["real x = xs[i];"]
    body = [
        *first,
        f"real g = {widened(dtype, 'gs[i]')};",
        *(f"real s{slot} = state{slot}[place + i];" for slot in slots),
        *lines,
        *(f"state{slot}[place + i] = s{slot};" for slot in slots if states[slot]),
        *(["masters[place + i] = x;"] if master else []),
        f"out[at] = {narrowed(dtype, 'x')};",
    ]
    return Many(
        "step",
        head=head(dtype),
        columns=(f"const {kind} *xs", f"const {kind} *gs", "long long place"),
        shared=(
            f"{kind} *out",
            *(["real *masters"] if master else []),
            *(f"real *state{slot}" for slot in slots),
            *(f"real c{number}" for number in range(numbers)),
        ),
        body=each("\n".join(f"        {line}" for line in body)),
    )


def stepped(
    xp: Any,
    columns: Sequence[Sequence[Any]],
    rule: Callable[..., None],
    state: Mapping[str, Array],
    master: Array | None,
    steps: int,
) -> Array:
    """Return parameters after a step, in one array; the columns are their arrays, their gradients
    and the places of their state.

    `state` and `master`, which parameters of half precision have, are changed. Raises
    NotRecordableRuleError, before anything has changed, for a rule that no kernel can have.
    """
    arrays = columns[0]
    found = recorded(rule, state, steps)
    if xp.multi is None:
        return _on_host(xp, columns, found, list(state.values()))
    changes = tuple(f"s{slot}" in found.changed for slot in range(len(state)))
    own = kernel(arrays[0].dtype, tuple(found.lines), len(found.numbers), changes,
                 master=master is not None)  # fmt: skip
    out = xp.empty(sum(array.size for array in arrays), dtype=arrays[0].dtype)
    masters = [] if master is None else [master]
    numbers = map((masters or [out])[0].dtype.type, found.numbers)
    there = [place for place, array in enumerate(arrays) if array.size]
    if there:
        rows = [[column[place] for place in there] for column in columns]
        xp.multi(own, rows, (out, *masters, *state.values(), *numbers))
    return out


def _on_host(
    xp: Any, columns: Sequence[Sequence[Any]], found: Recorder, state: Sequence[Array]
) -> Array:
    """Return the parameters after a step of compiled C; the operations are those of NumPy."""
    slots = range(len(state))
    lines = [
        "real x = own->xs[i], g = own->gs[i];",
        *(f"real s{slot} = state{slot}[own->place + i];" for slot in slots),
        *found.lines,
        *(f"state{slot}[own->place + i] = s{slot};" for slot in slots
          if f"s{slot}" in found.changed),
        "out[own->start + i] = x;",
    ]  # fmt: skip
    body = "\n".join(f"        {line}" for line in lines)
    kernel = on_host.Kernel(
        columns=("const real *xs, *gs;", "long place;"),
        shared=("out", *(f"state{slot}" for slot in slots)),
        numbers=tuple(f"c{number}" for number in range(len(found.numbers))),
        body=f"#pragma omp simd\n    for (long i = first; i < last; i++) {{\n{body}\n    }}",
    )
    arrays = columns[0]
    out = xp.empty(sum(array.size for array in arrays), dtype=arrays[0].dtype)
    if not on_host.run(kernel, columns, [out, *state], found.numbers):
        raise NotRecordableRuleError("there is no compiler")
    return out
