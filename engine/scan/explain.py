"""Tells how a recurrence runs: which executor, and what it makes of the step.

Above the executors.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from engine.errors import NotRecordableError
from engine.scan import executor_of
from engine.scan.body import record_body
from engine.scan.call import ScanCall, Step, prepare
from engine.scan.fused import Fused
from engine.scan.program import Program, Source
from engine.scan.recorded import program_of
from engine.scan.recurrence import Core, Recurrence, chosen


def explain_scan(step: Step, init: Any, xs: Any, **options: Any) -> str:
    """Which executor a call of `scan` with these arguments gets and why, and what it makes of it.

    For a fused executor the step and its derivative are listed value by value, each op as hoisted,
    core with its level, or deferred, and what is stored for the backward pass; for the explicit one
    the body as it was recorded.
    """
    options.pop("checkpoint", None)
    call = prepare(step, init, xs, **options)
    executor, refusals = executor_of(call)
    lines = [f"{name}: {reason}" for name, reason in refusals.items()]
    lines.append(f"{executor.name}: runs it")
    if isinstance(executor, Fused):
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
    """The forward and the backward program of a call, and which core runs each."""
    program = program_of(call)
    needs: frozenset[Source] = frozenset((*program.per_step, *program.fixed))
    job = Recurrence(program, executor.cores, steps=call.length, reverse=call.reverse,
                     needs=needs, keep=True, call=call)  # fmt: skip
    own = job.derivative(None, saved=True)
    for name, one in (("forward", own.forward), ("backward", own.program)):
        yield f"{name} ({_core(one, executor.cores)}): {one.counts()}"
        yield one.text()


def _core(program: Program, cores: Sequence[Core]) -> str:
    """The core that runs a program, and what kept those before it."""
    core = chosen(program, cores)
    refusals = program.memo["refusals"]
    return "; ".join([core.name, *(f"{one.name}: {refusals[one]}" for one in cores
                                   if refusals.get(one))])  # fmt: skip
