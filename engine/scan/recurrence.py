"""Run a recurrence for the fused executors: a program over time, and back again.

Forward recurrences, their derivatives, and the derivatives of those are all of this one kind. Above
`time_batched.py` and `derivative.py`; `nodes.py` puts recurrences on the graph.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from engine.backends import Array, namespace_of, on_device_of
from engine.derivatives.multi_output import MultiOutput
from engine.scan.cores import Core, best_core, execute
from engine.scan.derivative import Derivative, derivative
from engine.scan.program import Program, Source
from engine.state import current
from engine.tensor import Tensor


class Recurrence:
    """Run a program with its arguments: forward now, and backward when it is asked for.

    Its inputs are the initial states, an array (T, ...) for each source of the program that varies,
    and one for each that is fixed. Its value is a bundle: final states, steps, totals; with the
    states before every step as its `past`, where a gradient may be asked for.
    """

    opens = False  # whether its derivative is that of what it is made of

    def __init__(
        self, program: Program, cores: Sequence[Core], *, steps: int, reverse: bool,
        needs: frozenset[Source], keep: bool, call: Any = None,
    ) -> None:  # fmt: skip
        self.program, self.cores = program, cores
        self.steps, self.reverse, self.needs, self.keep = steps, reverse, needs, keep
        self.call = call  # of `scan`; None for a derivative

    @classmethod
    def of(
        cls, program: Program, cores: Sequence[Core], inputs: Sequence[Tensor], **options: Any
    ) -> "Recurrence":
        """Return a recurrence that keeps what the gradients of its inputs need."""
        given = inputs[len(program.carry) :]
        keep = current().recording and any(x.requires_grad for x in inputs)
        needs = frozenset(s for s, x in zip(program.inputs, given, strict=True) if x.requires_grad)
        return cls(program, cores, needs=needs, keep=keep, **options)

    def __repr__(self) -> str:
        return f"<recurrence, {len(self.program.values)} values a step>"

    def described(self) -> Iterator[tuple[str, str]]:
        """Yield all that tells it from another, by name, as exact text."""
        program = self.program
        lines = (f"{program.line(one)} {dict(one.attrs) or ''}" for one in program.values)
        yield "body", "\n".join(line.rstrip() for line in lines)
        yield "results", str([*program.carry, *program.steps, *program.totals])
        yield "steps", str(self.steps)
        yield "reverse", str(self.reverse)
        yield "lengths", str(program.mask is not None)
        yield "checkpoint", str(self.call is not None and self.call.checkpoint)

    def opened(self, inputs: Sequence[Any]) -> Any:
        """Return what it is made of: a recurrence, or the tensors that its ops give."""
        return self

    @property
    def public(self) -> int:
        """Return how many arrays of the bundle are results."""
        program = self.program
        return len(program.carry) + len(program.steps) + len(program.totals)

    def split(self, inputs: Sequence[Any]) -> tuple[list[Any], dict[Source, Any]]:
        """Return the states, and the other inputs by source."""
        count = len(self.program.carry)
        return list(inputs[:count]), dict(zip(self.program.inputs, inputs[count:], strict=True))

    def histories(self) -> list[Source]:
        """Return the states with values before every step in the bundle."""
        return [("carry", i) for i in range(len(self.program.carry))
                if ("carry", i) in self.program.leaves]  # fmt: skip

    def _kept(self) -> Program:
        """Return the program with the states before every step among its steps."""
        memo = self.program.memo
        if "kept" not in memo:
            places = [self.program.leaves[source] for source in self.histories()]
            memo["kept"] = replace(self.program, steps=(*self.program.steps, *places), memo={})
        found: Program = memo["kept"]
        return found

    def derivative(self, g: Sequence[Any] | None, *, saved: bool) -> Derivative:
        """Return the derivative by what needs one, for gradients `g` of the bundle (None: results).

        Of a call of `scan` all outputs count as having a gradient, so that one program serves.
        """
        past = () if g is None else g[self.public :]
        usual = g is None or (self.call is not None and all(one is None for one in past))
        if not usual:
            return self._derivative(g, saved=saved)
        key = ("usual", self.needs, saved)
        if key not in self.program.memo:
            self.program.memo[key] = self._derivative(None, saved=saved)
        return cast("Derivative", self.program.memo[key])

    def _derivative(self, g: Sequence[Any] | None, *, saved: bool) -> Derivative:
        first, program = len(self.program.carry), self._kept()
        count = len(self.program.steps)
        values = program.values
        real = [values[p].dtype.kind == "f" for p in program.steps]
        if g is None or self.call is not None:
            dys = [k for k in range(count) if real[k]]
        else:
            dys = [k for k in range(count) if g[first + k] is not None]
        totals = range(len(self.program.totals))
        dtotals = [k for k in totals if g is None or g[first + count + k] is not None]
        if g is not None:
            past = g[self.public :]
            dys += [count + k for k, one in enumerate(past) if one is not None]
        return derivative(program, self.needs, tuple(dys), tuple(dtotals), saved=saved)

    def first(self) -> Program:
        """Return the program run forward: with `keep` it gives what the backward pass needs."""
        return self.derivative(None, saved=True).forward if self.keep else self.program

    def forward(self, inputs: Sequence[Array]) -> MultiOutput:
        """Return the bundle; with `keep`, what the backward pass needs is saved too."""
        with on_device_of(*inputs[:1]):
            return self._forward(inputs)

    def _forward(self, inputs: Sequence[Array]) -> MultiOutput:
        carry, sources = self.split(inputs)
        program = self.first()
        core = best_core(program, self.cores)
        result = execute(core, program, carry, sources, self.steps, reverse=self.reverse)
        count = len(self.program.steps)
        if not self.keep:
            return MultiOutput([*result.finals, *result.steps, *result.totals])
        past = len(self.histories())
        multi_output = MultiOutput([*result.finals, *result.steps[:count], *result.totals])
        multi_output.past = tuple(result.steps[count : count + past])
        kept = self.derivative(None, saved=True).kept
        multi_output.saved = dict(zip(kept, result.steps[count + past :], strict=True))
        return multi_output

    def backward(self, g: Sequence[Any], out: MultiOutput, inputs: Sequence[Array]) -> list[Any]:
        """Return the gradient of every input that needs one, None for the others."""
        with on_device_of(*inputs[:1]):
            return self._backward(g, out, inputs)

    def _backward(self, g: Sequence[Any], out: MultiOutput, inputs: Sequence[Array]) -> list[Any]:
        own = self.derivative(g, saved=True)
        saved = out.saved
        if not set(own.kept) <= saved.keys():  # of a bundle with states in use besides
            again = execute(best_core(own.forward, self.cores), own.forward, *self.split(inputs),
                            self.steps, reverse=self.reverse)  # fmt: skip
            saved = dict(zip(own.kept, again.steps[len(self._kept().steps) :], strict=True))
        carry, sources = self.pulled(own, g, out.part, inputs)
        result = execute(best_core(own.program, self.cores), own.program, carry,
                         {**sources, **saved}, self.steps, reverse=not self.reverse)  # fmt: skip
        return self.results(own, result.finals, result.steps, result.totals)

    def pulled(
        self, own: Derivative, g: Sequence[Any], part: Callable[[int], Any], inputs: Sequence[Any],
        like: Any = None,
    ) -> tuple[list[Any], dict[Source, Any]]:  # fmt: skip
        """Return the gradients of the states that a derivative starts from, and other sources."""
        count, steps = len(self.program.carry), len(self.program.steps)
        init, sources = self.split(inputs)
        like = like or namespace_of(inputs[0]).zeros_like
        carry = [like(init[i]) if g[i] is None else g[i] for i in own.states]
        found: dict[Source, Any] = {}
        for name, i in (*own.program.per_step, *own.program.fixed):
            if name == "x":
                found[name, i] = sources[self.program.per_step[i]]
            elif name == "fixed":
                kind, number = self.program.fixed[i]
                constant = kind == "constant"
                found[name, i] = self.program.constants[number] if constant else (
                    sources[kind, number])  # fmt: skip
            elif name == "dy":
                at = count + i if i < steps else self.public + i - steps
                found[name, i] = like(part(at)) if g[at] is None else g[at]
            elif name == "dtotal":
                found[name, i] = g[count + steps + i]
        return carry, found

    def results(
        self, own: Derivative, carry: Sequence[Any], steps: Sequence[Any], totals: Sequence[Any]
    ) -> list[Any]:
        """Return what a derivative gives, in the order of the inputs; None where there is none."""
        at_start = dict(zip(own.states, carry, strict=True))
        of = dict(zip((*own.per_step, *own.fixed), (*steps, *totals), strict=True))
        states = [at_start.get(i) for i in range(len(self.program.carry))]
        return [*states, *(of.get(source) for source in self.program.inputs)]
