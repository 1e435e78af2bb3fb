"""A step cut into stages where states go on entry by entry, or are shifts of what is known before.

Above `stages.py` and `kinds.py`.
"""

from typing import Any

from engine.ops.shaping import broadcast_to
from engine.scan.affine.kinds import DIAGONAL, OUTER, SHIFT, classified, state_forms
from engine.scan.affine.stages import Cutting, Line, Split, Stage, remembered
from engine.scan.groups import Group, groups, states_read
from engine.scan.program import NotFusableError, Program
from engine.tensor import Tensor


@remembered
def lines(program: Program) -> Split:
    """Return the stages where each state that reads itself goes on entry by entry.

    Raises NotFusableError where a state is neither so nor a shift.
    """
    own = classified(program)
    if others := [one for one in own if one.loop and one.kind not in (DIAGONAL, OUTER)]:
        raise NotFusableError(f"states {list(others[0].states)} are {others[0].kind}")
    cutting = Cutting(program)
    carry = {i: cutting.made[p] for i, p in enumerate(program.carry)}
    stages = [_line(cutting, one) if one.loop else cutting.group(one, carry) for one in own]
    outputs = [cutting.made[p] for p in program.steps]
    return Split(tuple(stages), Stage(cutting.stage_program((), (), outputs)))


def _line(cutting: Cutting, group: Group) -> Stage:
    """Return the coefficients of a state that goes on entry by entry."""
    (i,) = group.states
    form = state_forms(cutting.program, group.states, cutting.made)[i]
    steps: list[Tensor] = []
    places: list[Any] = []
    for x in (form.terms[0].coefficient, 0.0 if form.offset is None else form.offset):
        places.append(len(steps) if isinstance(x, Tensor) else x)
        if isinstance(x, Tensor):
            steps.append(x if x.shape == form.shape else broadcast_to(x, form.shape))
    return Stage(cutting.stage_program((), (), steps), line=Line(i, *places))


@remembered
def shifts(program: Program) -> Split:
    """Return the stages with the shifts of what depends on no other state before the rest.

    Raises NotFusableError where there are none, or none that a product reads.
    """
    if all(one.loop for one in groups(program)):
        raise NotFusableError("no state is a shift")
    reads = states_read(program)
    early: list[int] = []
    for group in classified(program):
        if group.kind == SHIFT and reads[program.carry[group.states[0]]] <= set(early):
            early.append(group.states[0])
    if not any(value.kind == "product" and own and own <= set(early)
               for value in program.values if (own := reads[value.position])):  # fmt: skip
        raise NotFusableError("no product reads a shift of what is known before")
    cutting = Cutting(program)
    made = cutting.made
    stages = [Stage(cutting.stage_program((), (), [made[program.carry[i]]]), shift=i)
              for i in early]  # fmt: skip
    rest = tuple(i for i in range(len(program.carry)) if i not in early)
    outputs = cutting.stage_program(
        rest, [made[program.carry[i]] for i in rest], [made[p] for p in program.steps]
    )
    return Split(tuple(stages), Stage(outputs, rest))
