"""Tell how a recurrence runs: which executor, and what it makes of the step.

Above the executors.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from engine.backends import on_device_of
from engine.errors import NotRecordableError
from engine.scan.affine.chunked import ChunkedRecurrence
from engine.scan.affine.kinds import MEANING, SHIFT, classified
from engine.scan.affine.stretched import ShiftedRecurrence, StretchedRecurrence
from engine.scan.body import record_body
from engine.scan.call import ScanCall, prepare
from engine.scan.checkpointed import CheckpointedRecurrence
from engine.scan.cores import Core, best_core, refusal
from engine.scan.executors import Fused, executor_of, kind_of
from engine.scan.program import Program, Source
from engine.scan.recorded import program_of
from engine.stepping import while_stepping


def explain_scan(step: Any, *arguments: Any, **options: Any) -> str:
    """Return which executor a recurrence gets and why, and what it makes of the step.

    `step` is a step with the arguments of `scan`, or a layer or a model with the arguments of a
    call, with its recurrences one after another, or a cell with x (T, B, ...). For a fused
    executor the step and its derivative are listed value by value, each op as hoisted, core with
    its level, beside the core, or deferred, with what is stored for the backward pass, and what
    kept a program from a better core; for the explicit one the body as it was recorded, or why it
    could not be.

    >>> text = engine.explain_scan(lambda h, x: (h + x, h), engine.zeros(1), engine.ones((3, 1)))
    >>> text.split(": ")[1].split("\\n")[0]
    'runs it'
    """
    if hasattr(step, "state_size") and hasattr(step, "zero_state"):  # a cell
        x = arguments[0]
        init = step.zero_state(x.shape[1], like=x)
        return explained(prepare(_over_time(step), init, x, **options))
    if not hasattr(step, "forward"):
        return explained(prepare(step, *arguments, **options))
    told: list[str] = []
    with while_stepping(explained=told):
        step(*arguments, **options)
    return "\n\n".join(told)


def _over_time(cell: Any) -> Any:
    """Return the step of a cell in the form that `scan` asks for."""

    def step(state: Any, x: Any) -> Any:
        y, state = cell.step(x, state)
        return state, y

    step.__wrapped__ = cell.step  # type: ignore[attr-defined]  # where the equations are
    step.state_names = tuple(cell.state_size)  # type: ignore[attr-defined]
    return step


def explained(call: ScanCall) -> str:
    """Return what is told of one call."""
    executor, refusals = executor_of(call)
    where = f"{call.path}: " if call.path else ""
    lines = [f"{where}{name}: {reason}" for name, reason in refusals.items()]
    lines.append(f"{where}{executor.name}: runs it")
    if isinstance(executor, Fused):
        with on_device_of(*(x.data for x in (*call.init, *call.xs)[:1])):
            return "\n".join([*lines, *_programs(call, executor)])
    try:
        body = record_body(call)
    except NotRecordableError as reason:
        return "\n".join([*lines, f"the step is not recorded: {reason}"])
    inside = sum(1 for node in body.graph.nodes if node.inputs)
    recurrent = sum(1 for node in body.recurrent if node.inputs)
    lines.append(f"body: {inside} ops, {recurrent} of them depend on the state")
    return "\n".join([*lines, body.graph.text()])


def _programs(call: ScanCall, executor: Fused) -> Iterable[str]:
    """Return the forward and the backward program of a call, and which core runs each."""
    program = program_of(call)
    needs: frozenset[Source] = frozenset((*program.per_step, *program.fixed))
    kind = kind_of(call, program, executor.name)
    recurrence = kind(program, executor.cores, steps=call.length, reverse=call.reverse,
                     needs=needs, keep=True, call=call)  # fmt: skip
    own = recurrence.derivative(None, saved=True)
    if isinstance(recurrence, ChunkedRecurrence):
        yield "method chunks: memories run in chunks of steps, by products of matrices"
    if isinstance(recurrence, ShiftedRecurrence):
        yield "method shifts: states that are shifts are there before the steps"
    if isinstance(recurrence, StretchedRecurrence):
        yield "method stretches: stretches of time run side by side"
    if isinstance(recurrence, CheckpointedRecurrence):
        yield f"checkpoint: segments of {recurrence.segment} steps"
    core = _core(own.forward, executor.cores)
    for group in classified(program):
        states = ", ".join(_name(program, i) for i in group.states)
        role = "read each other" if len(group.states) > 1 else (
            "reads itself" if group.loop else f"is a shift: {MEANING[SHIFT]}")  # fmt: skip
        told = f" ({group.kind}: {MEANING[group.kind]})" if group.loop else ""
        yield f"group {states}: {role}{told}; runs in {core.partition(', ')[0]}"
    for name, one in (("forward", own.forward), ("backward", own.program)):
        told = _core(one, executor.cores)
        run = best_core(one, executor.cores).lowered(one)
        listed = run if run.values is one.values else one
        yield f"{name} ({told}): {listed.counts()}"
        yield listed.text()


def _name(program: Program, state: int) -> str:
    """Return the name of a state: the variable that its equation assigns, or its number."""
    label = program.values[program.carry[state]].label
    return label or f"state {state}"


def _core(program: Program, cores: Sequence[Core]) -> str:
    """Return the core that runs a program, what it tells of it, and what kept those before it."""
    core = best_core(program, cores)
    refusals = {one: refusal(one, program, cores) for one in cores[: cores.index(core)]}
    tells = getattr(core, "explain", None)
    name = core.name if tells is None else f"{core.name}, {tells(program)}"
    return "; ".join([name, *(f"{one.name}: {reason}" for one, reason in refusals.items())])
