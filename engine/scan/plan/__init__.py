"""Run the core of a program by array calls into buffers allocated once. Needs no compiler.

Works on the array library of its arrays. Above `time_batched.py`.
"""

from collections.abc import Callable
from typing import Any

from engine.backends import NAMESPACES, Array
from engine.scan.program import Literal, Program, Value
from engine.scan.time_batched import TimeBatched

Call = tuple[Callable[[list[Any]], Any], int]


class PlanCore:
    """Run the core of any program step by step."""

    name = "plan"
    library = ""  # any
    variant = ()

    def product(self, a: Array, b: Array, bias: Array | None = None) -> Array:
        """Return a large product, as the engine computes them."""
        out = NAMESPACES[type(a)].matmul(a, b)
        if bias is not None:
            out += bias
        return out

    def prepare(self, program: Program) -> None:
        """Return at once: any program can be run."""

    def lowered(self, program: Program) -> Program:
        """Return the program as it is: every op has a rule."""
        return program

    def wants(self, program: Program) -> list[int]:
        """Return the values outside of the core that must be there before it runs."""
        inside = [p for v in program.values if v.position in program.core for p in v.operands]
        own = program.core | program.carried.keys()
        return [p for p in (*inside, *program.carry) if p not in own]

    def run(
        self, batched: TimeBatched, carry: list[Array], *, reverse: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """Return the history (T + 1, ...) of every state, and the stored values (T, ...)."""
        program, steps, xp = batched.program, batched.steps, batched.xp
        history = [xp.empty((steps + 1, *x.shape), dtype=x.dtype) for x in carry]
        stored = {
            p: xp.empty((steps, *program.values[p].shape), dtype=program.values[p].dtype)
            for p in program.stored
        }
        came, goes, start = (1, 0, steps) if reverse else (0, 1, 0)
        for past, x in zip(history, carry, strict=True):
            past[start] = x
        slots: list[Any] = [None] * len(program.values)
        timed = self._fill(slots, batched)
        calls = [_call(value, program, xp) for value in program.values
                 if value.position in program.core]  # fmt: skip
        leaves = [(history[i], at) for at, i in program.carried.items()]
        kept = list(stored.items())
        results = list(zip(history, program.carry, strict=True))
        for t in reversed(range(steps)) if reverse else range(steps):
            for p, array in timed:
                slots[p] = array[t]
            for past, at in leaves:
                slots[at] = past[t + came]
            for function, p in calls:
                slots[p] = function(slots)
            for p, array in kept:
                array[t] = slots[p]
            for past, p in results:
                past[t + goes] = slots[p]
        return history, stored

    def _fill(self, slots: list[Any], batched: TimeBatched) -> list[tuple[int, Array]]:
        """Put what is fixed into its slot; what varies comes back, to be put there step by step."""
        timed = []
        for p in dict.fromkeys(self.wants(batched.program)):
            if p in batched.program.varies:
                timed.append((p, batched.get(p)))
            else:
                slots[p] = batched.get(p)
        return timed


def _call(value: Value, program: Program, xp: Any) -> Call:
    """Return a function from the slots to the result of one op, into a buffer if it can."""
    op, attrs = value.op, dict(value.attrs)
    assert op is not None
    forward = op.forward
    inputs = [one.value if isinstance(one, Literal) else None for one in value.inputs]
    places = [(i, one) for i, one in enumerate(value.inputs) if isinstance(one, int)]
    if (into := _into(value, program, xp)) is not None:
        buffer = xp.empty(value.shape, dtype=value.dtype)
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


def _into(value: Value, program: Program, xp: Any) -> Any:
    """Return the array library's function of that name with ``out=``; None for other ops."""
    op = value.op
    assert op is not None
    same = all(isinstance(one, Literal) or program.values[one].dtype == value.dtype
               for one in value.inputs)  # fmt: skip
    if not same or value.attrs or op.kind not in ("elementwise", "product"):
        return None
    found: Any = getattr(xp, op.name, None)
    if op.kind == "product":
        return found if op.inputs == 2 and min(
            len(program.values[p].shape) for p in value.operands) >= 2 else None  # fmt: skip
    takes = getattr(found, "nin", 0) if isinstance(found, getattr(xp, "ufunc", ())) else 0
    return found if takes == len(value.inputs) else None
