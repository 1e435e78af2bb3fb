"""Run recurrences in stages: each group of states by itself, some in ways of their own.

A stage is a program for a part of a recorded step, read with the sources of the whole. The
derivative is that of the ops of the stages. Numbers that are not finite go the long way, step by
step: in a product of matrices a NaN would reach steps before its own. Above `kinds.py` and
`nodes.py`; `chunked.py`, with `split.py`, and `stretched.py` say which stages there are, and what
is done with one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple

from engine.backends import Array, namespace_of
from engine.backward import gradients
from engine.derivatives.multi_output import MultiOutput
from engine.node import Node
from engine.scan.affine.kinds import Axes, Group
from engine.scan.call import prepare
from engine.scan.nodes import on_graph
from engine.scan.program import NotFusableError, Program, Source
from engine.scan.reading import ConstantReader, shapes_only, trace
from engine.scan.recorded import arguments, recorded
from engine.scan.recurrence import Recurrence
from engine.state import using
from engine.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Stage:
    """Hold a program for some states of the whole one, or for the arguments of a memory or a line.

    The sources of the program are those of the whole one by name and number; ``("state", i)`` is
    state i before every step, ``("read", n)`` what read n gives.
    """

    program: Program
    states: tuple[int, ...] = ()
    memory: "Matrix | None" = None
    line: "Line | None" = None
    shift: int | None = None  # the state of which its steps give the new value


@dataclass(frozen=True, eq=False)
class Line:
    """Hold a state that goes on entry by entry, S' = a S + b: its stage gives a and b.

    Each is a number, or a place among the steps of the stage.
    """

    state: int
    decay: Any
    added: Any


@dataclass(frozen=True, eq=False)
class Matrix:
    """Map steps of a stage to the arguments of a memory: numbers, or places among the steps.

    ``outer`` has pairs (k, v), `rank_one` u and w, `reads` the number of the read, whether it is of
    the state after the step, and q.
    """

    state: int
    axes: Axes
    decay: Any
    outer: tuple[tuple[Any, Any], ...]
    rank_one: tuple[Any, Any] | None
    reads: tuple[tuple[int, bool, Any], ...]


@dataclass(frozen=True, eq=False)
class Split:
    """Hold the stages of a program in the order in which they are run; the last has the outputs."""

    stages: tuple[Stage, ...]
    outputs: Stage


class Cutting:
    """Read programs for parts of a traced program, `made`.

    `sources` are further leaves that a part may read.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.made = program, trace(program)
        self.sources: dict[Node, Source] = {}

    def group(self, group: Group, carry: dict[int, Tensor]) -> Stage:
        """Return the stage of a group of states, which gives the states before every step."""
        before = [self.made[self.program.leaves["carry", i]]
                  for i in group.states if ("carry", i) in self.program.leaves]  # fmt: skip
        new = [carry[i] for i in group.states]
        return Stage(self.stage_program(group.states, new, before), group.states)

    def stage_program(
        self, states: Sequence[int], carry: Sequence[Tensor], steps: Sequence[Tensor]
    ) -> Program:
        """Return a program for some states, of recorded tensors.

        ``("state", i)`` is another state before every step.
        """
        known = dict(self.sources)
        for (name, i), at in self.program.leaves.items():
            node = self.made[at].node
            if name != "carry":
                known[node] = (name, i)
            else:
                known[node] = ("carry", states.index(i)) if i in states else ("state", i)
        reader = ConstantReader(known)
        new = tuple(reader.read(x) for x in carry)
        out = tuple(reader.read(x) for x in steps)
        own = {value.source for value in reader.values}
        per_step = (*(s for s in self.program.per_step if s in own), *reader.sources("state"),
                    *reader.sources("read"))  # fmt: skip
        fixed = (*(s for s in self.program.fixed if s in own), *reader.sources("constant"))
        return Program(tuple(reader.values), new, out, (), per_step, fixed,
                       constants=tuple(reader.constants))  # fmt: skip


def remembered(make: Callable[[Program], Split]) -> Callable[[Program], Split]:
    """Let a function find the stages of a program once, while recording.

    Where there are none the NotFusableError of the first time is raised again.
    """

    @wraps(make)
    def found(program: Program) -> Split:
        key = ("split", make.__name__)
        if key not in program.memo:
            try:
                with shapes_only():
                    program.memo[key] = make(program)
            except NotFusableError as reason:
                program.memo[key] = str(reason)
        known: Split | str = program.memo[key]
        if isinstance(known, str):
            raise NotFusableError(known)
        return known

    return found


# ---- running


Known = dict[Source, Any]


class Kept(NamedTuple):
    """Keep the graph of the stages of a call: the leaves it began with, and its outputs."""

    leaves: list[Tensor]
    outputs: list[Tensor]


class StagedRecurrence(Recurrence):
    """Run a recurrence in the stages of its program."""

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
