"""The stages of a recurrence as data, and the programs for parts of a recorded step that they have.

Such a program is read with the sources of the whole step. Below `split.py` and `lines.py`, which
say which parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from engine.node import Node
from engine.scan.affine.kinds import Axes
from engine.scan.groups import Group
from engine.scan.program import NotFusableError, Program, Source
from engine.scan.reading import ConstantReader, recorded, trace
from engine.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Stage:
    """A program for some states of the whole one, or for the arguments of a memory or of a line.

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
    """A state that goes on entry by entry, S' = a S + b: what its stage gives are a and b.

    Each is a number, or a place among the steps of the stage.
    """

    state: int
    decay: Any
    added: Any


@dataclass(frozen=True, eq=False)
class Matrix:
    """How the steps of a stage are the arguments of a memory: numbers, or places among the steps.

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
    """The stages of a program in the order in which they are run; the last has the outputs."""

    stages: tuple[Stage, ...]
    outputs: Stage


class Cutting:
    """A traced program, `made`, from which programs for parts of it are read.

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
                with recorded():
                    program.memo[key] = make(program)
            except NotFusableError as reason:
                program.memo[key] = str(reason)
        known: Split | str = program.memo[key]
        if isinstance(known, str):
            raise NotFusableError(known)
        return known

    return found
