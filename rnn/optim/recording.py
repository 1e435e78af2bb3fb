"""Records the rule of an optimiser: the equations of one element, in C, from the rule's own Python.

A rule that is given these numbers in the place of arrays writes statements in the place of values,
with the expressions in C that the records of the engine's ops have. Below `fused.py`.
"""

from collections.abc import Mapping
from typing import Any

from engine.op import Op
from engine.registry import REGISTRY

Number = int | float


class NotRecordableRuleError(Exception):
    """Why the rule of an optimiser cannot be recorded; it runs on arrays then."""


class Recorder:
    """The statements of a rule so far, and the numbers of Python in them, `c0`, `c1`, ..., which
    may change from step to step.
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
    """A number of an element in the place of a flat array: what it is used for is written down."""

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
    """The element-wise functions of the engine for a rule that is recorded."""

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
