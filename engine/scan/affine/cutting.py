"""Read programs for parts of a recorded step, with the sources of the whole step.

Above `stages.py`; `split.py` and `lines.py` say which parts.
"""

from collections.abc import Callable, Sequence

from engine.node import Node
from engine.scan.affine.stages import Split, Stage
from engine.scan.groups import Group
from engine.scan.program import NotFusableError, Program, Source
from engine.scan.reading import ConstantReader, recorded, trace
from engine.tensor import Tensor


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


def remembered(program: Program, what: str, make: Callable[[], Split]) -> Split:
    """Return the stages that `make` finds while recording, or found before.

    Raises NotFusableError where there are none.
    """
    key = ("split", what)
    if key not in program.memo:
        try:
            with recorded():
                program.memo[key] = make()
        except NotFusableError as reason:
            program.memo[key] = str(reason)
    known: Split | str = program.memo[key]
    if isinstance(known, str):
        raise NotFusableError(known)
    return known
