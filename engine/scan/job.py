"""One recurrence in the hands of a fused executor: its programs, run forward and backward.

Above `batched.py` and `recording.py`; `fused.py` puts jobs on the graph.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from engine.backends import HOST, Array
from engine.bundle import Bundle
from engine.nest import flatten
from engine.node import ordinal
from engine.scan.batched import Batched, Products
from engine.scan.call import ScanCall
from engine.scan.explicit import Explicit
from engine.scan.program import Program, Source
from engine.scan.recording import Pair
from engine.tensor import Tensor


class Core(Protocol):
    """Who runs the core of a program, and its large products."""

    name: str

    @property
    def product(self) -> Products:
        """Who computes its large products."""
        ...

    def prepare(self, program: Program, *, backward: bool) -> None:
        """Get ready for a program. Raises NotFusableError where it cannot be run here."""
        ...

    def wants(self, program: Program) -> list[int]:
        """The values outside of the core that must be there before it runs."""
        ...

    def run(
        self, batched: Batched, carry: list[Array], mask: Array | None, *, backward: bool
    ) -> tuple[list[Array], dict[int, Array]]:
        """The history (T + 1, ...) of every state, and the stored values (T, ...).

        Forward ``history[i][t]`` is state i before step t. Backward the steps run from the last
        to the first, and ``history[i][t + 1]`` is the gradient that step t is given.
        """
        ...


class Job:
    """One recurrence: its call and programs, run forward now and backward later."""

    def __init__(self, call: ScanCall, core: Core, programs: Pair, needs: tuple[bool, ...]) -> None:
        self.call, self.core, self.programs, self.needs = call, core, programs, needs

    def __repr__(self) -> str:
        return f"<recurrence, {len(self.programs.forward.values)} values a step>"

    def _split(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """States, xs and what is fixed, of all inputs of the node."""
        a, b = len(self.call.init), len(self.call.init) + len(self.call.xs)
        return list(inputs[:a]), list(inputs[a:b]), list(inputs[b:])

    def _mask(self, xp: Any) -> Array | None:
        """Which rows (T, B) have a step, in the order in which the steps are run."""
        if self.call.lengths is None:
            return None
        times = xp.arange(self.call.length)
        times = times[::-1] if self.call.reverse else times
        return times[:, None] < self.call.lengths.data[None, :]

    def _in_order(self, x: Array) -> Array:
        return x[::-1] if self.call.reverse else x

    def _given(self, xs: list[Array], fixed: list[Array], mask: Array | None) -> dict[Source, Any]:
        """The arrays of x and of what is fixed, padding replaced by zeros."""
        xp = HOST.xp
        found: dict[Source, Any] = {("fixed", i): x for i, x in enumerate(fixed)}
        if self.programs.chance:
            found["key", 0] = self.call.key.data
            found["t", 0] = self._in_order(xp.arange(self.call.length) + self.call.first)
        for i, x in enumerate(xs):
            x = self._in_order(x)
            found["x", i] = x if mask is None else masked(xp, mask, x)
        return found

    def forward(self, inputs: list[Array], *, keep: bool) -> Bundle:
        """Final states and outputs; with `keep`, what the backward pass needs is saved too."""
        xp, mask = HOST.xp, self._mask(HOST.xp)
        program = self.programs.forward if keep else self.programs.inference
        init, xs, fixed = self._split(inputs)
        batched = Batched(program, xp, self._given(xs, fixed, mask), self.call.length,
                          self.core.product)  # fmt: skip
        batched.compute(self.core.wants(program))
        history, stored = self.core.run(batched, init, mask, backward=False)
        batched.arrays |= stored
        for i, (past, p) in enumerate(zip(history, program.carry, strict=True)):
            if ("carry", i) in program.leaves:
                batched.arrays[program.leaves["carry", i]] = past[:-1]
            if p in program.core:
                batched.arrays[p] = past[1:]
        ys = [batched.over_time(p) for p in program.steps[: self.programs.ys]]
        if mask is not None:
            ys = [masked(xp, mask, y) for y in ys]
        # Copies: a state that is carried on must not hold the history of all steps in memory.
        bundle = Bundle([*(past[-1].copy() for past in history), *map(self._in_order, ys)])
        if keep:
            kept = [batched.over_time(p) for p in program.steps[self.programs.ys :]]
            bundle.saved = dict(zip(self.programs.kept, kept, strict=True))
        return bundle

    def backward(self, grads: Sequence[Any], out: Bundle, inputs: list[Array]) -> list[Any]:
        """The gradient of every input that needs one, None for the others."""
        xp, mask = HOST.xp, self._mask(HOST.xp)
        program = self.programs.backward
        init, xs, fixed = self._split(inputs)
        sources = self._given(xs, fixed, mask) | out.saved
        for k, y in enumerate(out[len(init) :]):
            g = grads[len(init) + k]
            g = xp.zeros_like(y) if g is None else g
            g = self._in_order(g)
            sources["dy", k] = g if mask is None else masked(xp, mask, g)
        carry = [xp.zeros_like(x) if g is None else g
                 for g, x in zip(grads, init, strict=False)]  # fmt: skip
        batched = Batched(program, xp, sources, self.call.length, self.core.product)
        batched.compute(self.core.wants(program))
        history, stored = self.core.run(batched, carry, mask, backward=True)
        batched.arrays |= stored
        for i, (past, p) in enumerate(zip(history, program.carry, strict=True)):
            if ("carry", i) in program.leaves:
                incoming = past[1:]
                batched.arrays[program.leaves["carry", i]] = (
                    incoming if mask is None else masked(xp, mask, incoming)
                )
            if p in program.core:
                batched.arrays[p] = past[:-1]
        return [*(past[0] for past in history), *self._step_grads(batched, len(init), len(xs)),
                *self._total_grads(batched, len(init) + len(xs))]  # fmt: skip

    def _step_grads(self, batched: Batched, first: int, count: int) -> list[Any]:
        """The gradients of xs."""
        found: list[Any] = [None] * count
        for i, p in zip(self.programs.xs, batched.program.steps, strict=True):
            if self.needs[first + i]:
                found[i] = self._in_order(batched.over_time(p))
        return found

    def _total_grads(self, batched: Batched, first: int) -> list[Any]:
        """The gradients of what is fixed, summed over time."""
        found = [
            None if p is None or not self.needs[first + i] else batched.total(p)
            for i, p in enumerate(batched.program.totals)
        ]
        return found + [None] * len(self.programs.constants)

    def recorded(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
        """The outputs with every step on the graph, and an ordinal older than all of its nodes."""
        oldest = ordinal()
        states, xs, _ = self._split(inputs)
        final, ys = Explicit().run(replace(self.call, init=states, xs=xs))
        return [*final, *flatten(ys)[0]], oldest


def masked(xp: Any, mask: Array, x: Array) -> Array:
    """x (T, B, ...) with zeros in the rows that have no step."""
    zero = False if x.dtype.kind == "b" else x.dtype.type(0)
    return xp.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - 2)), x, zero)
