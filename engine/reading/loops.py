"""Read from a graph what kind of loop each state of its recurrences has. Above `scan`."""

from collections.abc import Iterable
from typing import NamedTuple

from engine.graph import Graph
from engine.scan.affine.kinds import classified
from engine.scan.nodes import SCAN
from engine.tensor import Tensor


class Loop(NamedTuple):
    """Describe a state of a recurrence: where the call was made, its name, its group's kind."""

    path: str
    state: str
    kind: str


def loops(outputs: Iterable[Tensor]) -> tuple[Loop, ...]:
    """Return the loops of the fused recurrences that lead to some tensors.

    Of steps that stand in the graph one by one nothing is known: there is no recorded step.
    """
    found = []
    for node in Graph.of(*outputs).nodes:
        recurrence = node.attrs.get("recurrence") if node.op is SCAN else None
        if recurrence is None or recurrence.call is None:
            continue
        program = recurrence.program
        for group in classified(program):
            for i in group.states:
                label = program.values[program.carry[i]].label
                found.append(Loop(node.scope.path, label, group.kind))
    return tuple(found)
