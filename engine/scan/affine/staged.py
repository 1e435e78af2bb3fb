"""Recurrences that are run in stages: each group of states by itself, some in ways of their own.

The derivative is that of the ops of the stages. Numbers that are not finite go the long way, step
by step: in a product of matrices a NaN would reach steps before its own. Above `split.py` and
`nodes.py`; `chunked.py` and `stretched.py` say what is done with a stage.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.backends import Array, namespace_of
from engine.backward import gradients
from engine.derivatives.multi_output import MultiOutput
from engine.scan.affine.stages import Split, Stage
from engine.scan.call import prepare
from engine.scan.nodes import on_graph
from engine.scan.program import Program, Source
from engine.scan.recorded import arguments, recorded
from engine.scan.recurrence import Recurrence
from engine.state import using
from engine.tensor import Tensor

Known = dict[Source, Any]


class Kept(NamedTuple):
    """The graph of the stages of a call: the leaves it began with, and its outputs."""

    leaves: list[Tensor]
    outputs: list[Tensor]


class StagedRecurrence(Recurrence):
    """A recurrence that is run in the stages of its program."""

    opens = True

    def stages(self) -> Split:
        """Return the stages of the program."""
        raise NotImplementedError

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Run a stage that is not for the steps: add its final states and what it makes known."""
        raise NotImplementedError

    def _forward(self, inputs: Sequence[Array]) -> MultiOutput:
        states = len(self.program.carry)
        wanted = [True] * states + [source in self.needs for source in self.program.inputs]
        leaves = [Tensor(x, requires_grad=self.keep and want and x.dtype.kind == "f")
                  for x, want in zip(inputs, wanted, strict=True)]  # fmt: skip
        with using(recording=self.keep, tracing=False, interpreter=None, equations=None):
            outputs = self.opened(leaves)
        multi_output = MultiOutput([x.data for x in outputs])
        if not _all_finite(multi_output):
            return super()._forward(inputs)
        if self.keep:
            multi_output.saved = Kept(leaves, outputs)
        return multi_output

    def _backward(self, g: Sequence[Any], out: MultiOutput, inputs: Sequence[Array]) -> list[Any]:
        if not isinstance(out.saved, Kept):
            return super()._backward(g, out, inputs)
        pairs = [(x, one) for x, one in zip(out.saved.outputs, g, strict=False)
                 if one is not None and x.requires_grad]  # fmt: skip
        found = _pulled(pairs, out.saved.leaves)
        if _all_finite([one for one in found if one is not None]):
            return found
        return super()._backward(g, super()._forward(inputs), inputs)

    def opened(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the final states and the values of every step, by ops on tensors."""
        split = self.stages()
        carry, sources = self.split(inputs)
        finals, known = list(carry), dict(sources)
        for stage in split.stages:
            if not stage.states:
                self.special(stage, finals, known)
                continue
            first = [carry[i] for i in stage.states]
            parts = self.run_stage(stage.program, first, known)
            for i, x in zip(stage.states, parts, strict=False):
                finals[i] = x
            held = [i for i in stage.states if ("carry", i) in self.program.leaves]
            known |= {("state", i): x for i, x in zip(held, parts[len(first) :], strict=True)}
        last = split.outputs
        parts = self.run_stage(last.program, [carry[i] for i in last.states], known)
        for i, x in zip(last.states, parts, strict=False):
            finals[i] = x
        return [*finals, *parts[len(last.states) :]]

    def run_stage(self, program: Program, first: Sequence[Tensor], known: Known) -> list[Tensor]:
        """Return the results of the program of a stage."""
        inputs = [*first, *(known[source] for source in program.inputs)]
        own = Recurrence.of(program, self.cores, inputs, steps=self.steps, reverse=self.reverse)
        return on_graph(own, inputs)

    def scan(self, step: Any, first: Any, xs: Any) -> tuple[Any, Any]:
        """Run a recurrence inside of a stage, by the same cores; return its final state and ys."""
        call = prepare(step, first, xs)
        own = recorded(call)
        inputs = arguments(call, own.program, own.invariants)
        made = Recurrence.of(own.program, self.cores, inputs, steps=call.length, reverse=False)
        parts = on_graph(made, inputs)
        count = len(call.init)
        return call.init_nest(parts[:count]), own.ys_nest(parts[count:])


def _pulled(pairs: Sequence[tuple[Tensor, Array]], leaves: Sequence[Tensor]) -> list[Array | None]:
    """Return the gradients of the leaves as arrays."""
    wanted = [x for x in leaves if x.requires_grad]
    if not pairs or not wanted:
        return [None] * len(leaves)
    found = iter(gradients([x for x, _ in pairs], wanted, [Tensor(g) for _, g in pairs]))
    every = [next(found) if x.requires_grad else None for x in leaves]
    return [None if g is None else g.data for g in every]


def _all_finite(arrays: Sequence[Any]) -> bool:
    return all(bool(namespace_of(x).isfinite(x).all()) for x in arrays)
