"""Run recurrences with states that go on entry by entry, or are shifts of what is known before.

A long and narrow recurrence is run in stretches of time side by side: S_t = a_t S_(t-1) + b_t over
a stretch from 0, together with the product of the decays of it; then what comes from the stretches
before is added. It so becomes short and wide. The length of a stretch is fixed, so the bits do not
depend on threads. What is computed of shifts, such as a product with the input before, is hoisted.
Ops on tensors alone, so any order of derivative follows. Above `stages.py` and `kinds.py`.
"""

from typing import Any

from engine.ops.creation import full, ones, zeros
from engine.ops.shaping import broadcast_to, concat, expand_dims, permute_dims
from engine.scan.affine.chunks import Cut, Scan
from engine.scan.affine.kinds import (
    DIAGONAL,
    OUTER,
    SHIFT,
    Group,
    classified,
    groups,
    state_forms,
    states_read,
)
from engine.scan.affine.stages import (
    Cutting,
    Known,
    Line,
    Split,
    Stage,
    StagedRecurrence,
    remembered,
)
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


class StretchedRecurrence(StagedRecurrence):
    """Run a recurrence with states that go on entry by entry, in stretches side by side."""

    def stages(self) -> Split:
        """Return the stages of the program."""
        return lines(self.program)

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Run a state: what it is at the end and before every step."""
        line = stage.line
        assert line is not None
        steps = self.run_stage(stage.program, [], known)
        first = finals[line.state]

        def over_time(x: Any) -> Tensor:
            if type(x) is int:
                return steps[x]
            return full((self.steps, *first.shape), x, dtype=first.dtype, device=first.device)

        finals[line.state], known["state", line.state] = in_stretches(
            first, over_time(line.decay), over_time(line.added), reverse=self.reverse,
            scan=self.scan,
        )  # fmt: skip


class ShiftedRecurrence(StagedRecurrence):
    """Run a recurrence with shifts that are there before its steps."""

    def stages(self) -> Split:
        """Return the stages of the program."""
        return shifts(self.program)

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Shift what a state is at every step by one."""
        i = stage.shift
        assert i is not None
        (new,) = self.run_stage(stage.program, [], known)
        first = expand_dims(finals[i], axis=0)
        known["state", i] = (
            concat([new[1:], first], axis=0) if self.reverse else concat([first, new[:-1]], axis=0)
        )
        finals[i] = new[0] if self.reverse else new[-1]


LENGTH = 256  # steps of a stretch


def in_stretches(
    first: Tensor, a: Tensor, b: Tensor, *, reverse: bool, scan: Scan
) -> tuple[Tensor, Tensor]:
    """Return the final state, and the states (T, ...) before every step.

    `first` (...), `a` and `b` (T, ...); `scan` runs a step over a leading axis.
    """
    steps, shape = a.shape[0], first.shape
    cut = Cut(steps, min(LENGTH, steps), reverse)
    order = (1, 0, *range(2, 2 + len(shape)))
    both = tuple(permute_dims(cut.cut(x, fill), order) for x, fill in ((a, 1.0), (b, 0.0)))
    options = {"dtype": first.dtype, "device": first.device}
    start = (zeros((cut.chunks, *shape), **options), ones((cut.chunks, *shape), **options))
    (rest, decay), (own, decays) = scan(_line_step, start, both)
    final, before = scan(_stretch_step, first, (decay, rest))
    return final, cut.joined(permute_dims(own + decays * expand_dims(before, axis=0), order))


def _line_step(state: tuple[Tensor, Tensor], x: tuple[Tensor, Tensor]) -> Any:
    """Return one step of all stretches: the state from 0, the product of decays, those before."""
    own, decays = state
    a, b = x
    return (a * own + b, a * decays), (own, decays)


def _stretch_step(state: Tensor, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Step from stretch to stretch; the state before it is kept."""
    decay, own = x
    return decay * state + own, state


STEPS: tuple[Any, ...] = (_line_step, _stretch_step)
for _step in STEPS:
    _step.memo = {}  # they compute the same at every call
