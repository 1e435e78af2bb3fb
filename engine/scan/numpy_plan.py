"""The core of a program by array calls into buffers that were allocated once. Needs no compiler.

Works on whatever array library the arrays are of. Above `batched.py`.
"""

from collections.abc import Callable
from typing import Any

from engine.backends import NAMESPACES, Array
from engine.scan.batched import Batched, liftable
from engine.scan.program import Literal, NotFusableError, Program, Value

# Ops whose function of the same name takes out=.
INTO = frozenset({
    "add", "subtract", "multiply", "divide", "negative", "abs", "sign", "exp", "expm1", "log",
    "log1p", "sin", "cos", "tanh", "sqrt", "maximum", "minimum", "matmul",
})  # fmt: skip

Call = tuple[Callable[[list[Any]], Any], int]


class NumpyCore:
    """Runs the core of one program step by step."""

    name = "plan"

    def product(self, a: Array, b: Array, bias: Array | None = None) -> Array:
        """A large product, as the engine computes them."""
        out = NAMESPACES[type(a)].matmul(a, b)
        if bias is not None:
            out += bias
        return out

    def prepare(self, program: Program, *, backward: bool = False) -> None:
        """Any program can be run whose outer part can be computed for all steps at once."""
        for value in program.values:
            outside = value.op is not None and value.position not in program.core
            if outside and value.position in program.varies and not liftable(value, program):
                assert value.op is not None
                raise NotFusableError(f"{value.op.name} cannot be computed for all steps at once")

    def wants(self, program: Program) -> list[int]:
        """The values outside of the core that must be there before it runs."""
        return [p for v in program.values if v.position in program.core
                for p in v.operands if p not in program.depends]  # fmt: skip

    def run(
        self, batched: Batched, carry: list[Array], mask: Array | None, *, backward: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """The history (T + 1, ...) of every state, and the stored values (T, ...).

        `mask` (T, B) says which rows have a step: others keep their state; backward, a row that
        has none hands its gradient on.
        """
        program, steps, xp = batched.program, batched.steps, batched.xp
        history = [xp.empty((steps + 1, *x.shape), dtype=x.dtype) for x in carry]
        stored = {
            p: xp.empty((steps, *program.values[p].shape), dtype=program.values[p].dtype)
            for p in program.stored
        }
        came, goes, start = (1, 0, steps) if backward else (0, 1, 0)
        for past, x in zip(history, carry, strict=True):
            past[start] = x
        slots: list[Any] = [None] * len(program.values)
        timed = self._fill(slots, batched)
        calls = [_call(value, program, xp) for value in program.values
                 if value.position in program.core]  # fmt: skip
        leaves = [(i, at) for (name, i), at in program.leaves.items() if name == "carry"]
        kept = list(stored.items())
        for t in reversed(range(steps)) if backward else range(steps):
            rows = None if mask is None else mask[t]
            for p, array in timed:
                slots[p] = array[t]
            for i, at in leaves:
                old = history[i][t + came]
                slots[at] = _where(xp, rows, old, 0.0) if backward and rows is not None else old
            for function, p in calls:
                slots[p] = function(slots)
            for p, array in kept:
                array[t] = slots[p]
            for past, p in zip(history, program.carry, strict=True):
                new = slots[p]
                past[t + goes] = new if rows is None else _where(xp, rows, new, past[t + came])
        return history, stored

    def _fill(self, slots: list[Any], batched: Batched) -> list[tuple[int, Array]]:
        """Put what is fixed into its slot; what varies comes back, to be put there step by step."""
        timed = []
        for p in {*self.wants(batched.program), *batched.program.carry}:
            if p in batched.program.depends:
                continue
            if p in batched.program.varies:
                timed.append((p, batched.get(p)))
            else:
                slots[p] = batched.get(p)
        return timed


def _where(xp: Any, rows: Array, new: Array, old: Any) -> Array:
    return xp.where(rows.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def _call(value: Value, program: Program, xp: Any) -> Call:
    """A function from the slots to the result of one op, into a buffer of its own if it can."""
    op, attrs = value.op, dict(value.attrs)
    assert op is not None
    forward = op.forward
    inputs = [one.value if isinstance(one, Literal) else None for one in value.inputs]
    places = [(i, one) for i, one in enumerate(value.inputs) if isinstance(one, int)]
    same = all(isinstance(one, Literal) or program.values[one].dtype == value.dtype
               for one in value.inputs)  # fmt: skip
    buffer = xp.empty(value.shape, dtype=value.dtype)
    if op.name in INTO and same:
        into = getattr(xp, op.name)
        if len(places) == len(inputs) == 2:
            a, b = places[0][1], places[1][1]
            return (lambda slots: into(slots[a], slots[b], out=buffer)), value.position
        if len(places) == len(inputs) == 1:
            a = places[0][1]
            return (lambda slots: into(slots[a], out=buffer)), value.position

    def call(slots: list[Any]) -> Any:
        given = list(inputs)
        for i, p in places:
            given[i] = slots[p]
        return forward(xp, *given, **attrs)

    return call, value.position
