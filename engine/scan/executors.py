"""Choose from `EXECUTORS`, best first: the first that does not refuse a call runs it.

The last takes everything. The others are fused: a whole recurrence as one node, its core run by a
plan or a kernel. The step is recorded and laid out as a program once for each kind of call; how it
is run is chosen by its structure and its shapes. Above `nodes.py`, the cores, and the methods by
which a recurrence can be run.
"""

import os
import warnings
from collections.abc import Callable
from inspect import unwrap
from math import prod
from typing import Any, Protocol

from engine.backends import on_device_of, placement
from engine.errors import NotRecordableError, RecurrenceWarning
from engine.scan.affine.chunked import ChunkedRecurrence
from engine.scan.affine.split import split
from engine.scan.affine.stages import Split
from engine.scan.affine.stretched import ShiftedRecurrence, StretchedRecurrence, lines, shifts
from engine.scan.c.core import CCore
from engine.scan.call import ScanCall
from engine.scan.checkpointed import CheckpointedRecurrence
from engine.scan.cores import Core, best_core, refusal
from engine.scan.cuda.core import CudaCore
from engine.scan.explicit import Explicit
from engine.scan.nodes import on_graph
from engine.scan.plan import PlanCore
from engine.scan.program import NotFusableError, Program
from engine.scan.recorded import arguments, narrowed, program_of, recorded
from engine.scan.recurrence import Recurrence
from engine.state import current
from engine.stepping import stepping
from engine.tensor import Tensor

KINDS: dict[str, type[Recurrence]] = {
    "chunks": ChunkedRecurrence, "shifts": ShiftedRecurrence, "stretches": StretchedRecurrence,
}  # fmt: skip


class Executor(Protocol):
    """Declare one way to run a recurrence."""

    name: str
    library: str  # of the arrays that it takes; empty: any

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the pytree of all outputs (T, ...)."""


class Fused:
    """Run a recurrence with the first of some cores that can; the forward program by the first."""

    def __init__(self, *cores: Core) -> None:
        self.cores = cores
        self.name, self.library = cores[0].name, cores[0].library

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""
        if reason := unasked(call):
            return reason
        try:
            program = self._recurrence(call)[0].first()
            with on_device_of(*(x.data for x in (*call.init, *call.xs)[:1])):
                best_core(program, self.cores)
                return refusal(self.cores[0], program, self.cores)
        except NotRecordableError as reason:
            return str(reason)

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the pytree of all outputs (T, ...)."""
        recurrence, inputs = self._recurrence(call)
        for key in ("inputs", *(one for one in call.memo if isinstance(one, Fused))):
            del call.memo[key]  # the recurrence holds the call: a cycle would keep both alive
        own, states = recorded(call), len(call.init)
        parts = list(map(narrowed, on_graph(recurrence, inputs), own.dtypes))
        return parts[:states], own.ys_nest(parts[states:])

    def _recurrence(self, call: ScanCall) -> tuple[Recurrence, list[Tensor]]:
        """Return the recurrence of a call, and its inputs."""
        if self not in call.memo:
            call.memo[self] = self._made(call)
        found: tuple[Recurrence, list[Tensor]] = call.memo[self]
        return found

    def _made(self, call: ScanCall) -> tuple[Recurrence, list[Tensor]]:
        program = program_of(call)
        if "inputs" not in call.memo:
            call.memo["inputs"] = arguments(call, program, recorded(call).invariants)
        inputs: list[Tensor] = call.memo["inputs"]
        kind = kind_of(call, program, self.name)
        return kind.of(program, self.cores, inputs, steps=call.length, reverse=call.reverse,
                       call=call), inputs  # fmt: skip


def unasked(call: ScanCall) -> str:
    """Return why no fused executor can run a call, before its step is recorded; empty: one may."""
    state = current()
    if call.unroll or stepping().explicit:
        return "the explicit graph was asked for"
    if state.tracing:
        return "the graph is being recorded"
    if call.length == 0:
        return "there are no steps"
    if not call.init:
        return "there is no state"
    tensors = (*call.init, *call.xs)
    if not placement.several and len({type(x.data) for x in tensors}) == 1:
        return ""
    devices = {x.device for x in tensors}
    return f"the arrays are on {' and '.join(sorted(devices))}" if len(devices) > 1 else ""


def kind_of(call: ScanCall, program: Program, core: str) -> type[Recurrence]:
    """Return the kind of recurrence that runs a call; `core` names what would run its steps.

    Raises ValueError where the call asks for a method that does not apply.
    """
    plain = CheckpointedRecurrence if call.checkpoint else Recurrence
    return KINDS.get(method_of(call, program, core), plain)


SEVERAL = 8  # steps from which shifts are worth stages of their own
LEAST = 128  # steps from which chunks are faster than steps
# Entries of one memory from which they are: where a step is compiled for the host, by what it takes
# in, an outer product or a delta rule; else where each op of a step is a call.
COMPILED = "c"
OUTER, DELTA, ENTRIES = 64 * 64, 128 * 128, 16 * 16


def method_of(call: ScanCall, program: Program, core: str) -> str:
    """Return ``"steps"``, ``"stretches"``, ``"chunks"``, or ``"shifts"``: steps without shifts.

    `core` is the name of the one that would run the steps.
    Stretches run where they are asked for: a kernel takes a step of few entries in some ten
    nanoseconds, which the passes over memory of stretches cost too.

    Raises ValueError where the call asks for a method that does not apply, with the reason.
    """
    if call.method == "steps" or (call.method is None and call.length < SEVERAL):
        return "steps"
    reason = ""
    if call.mask is not None:
        reason = "some rows have fewer steps than others"
    elif call.checkpoint:
        reason = "checkpoint asks for segments of steps"
    else:
        try:
            if call.method == "chunks" or (call.method is None and call.length >= LEAST):
                found = split(program)
                if call.method or is_large(call, found, core):
                    return "chunks"
        except NotFusableError as refused:
            reason = str(refused)
        try:
            if call.method == "stretches":
                lines(program)
                return "stretches"
        except NotFusableError as refused:
            reason = str(refused)
        if call.method is None and len(program.carry) > 1:
            try:
                shifts(program)
                return "shifts"
            except NotFusableError:
                return "steps"
    if call.method is not None:
        raise ValueError(f"scan: method={call.method!r} does not apply: {reason}")
    return "steps"


def is_large(call: ScanCall, found: Split, core: str) -> bool:
    """Return whether a memory of a call is so large that chunks are faster."""
    for memory in (one.memory for one in found.stages):
        if memory is None:
            continue
        least = ENTRIES if core != COMPILED else OUTER if memory.rank_one is None else DELTA
        if prod(call.init[memory.state].shape[-2:]) >= least:
            return True
    return False


EXECUTORS: list[Executor] = [
    Fused(CCore(), PlanCore()), Fused(CudaCore(), PlanCore()), Fused(PlanCore()), Explicit()
]  # fmt: skip

_told: set[Any] = set()  # the code of steps with a loop that was warned of


def executor_of(call: ScanCall) -> tuple[Executor, dict[str, str]]:
    """Return the executor of a call, and why those before it refused.

    The environment variable BPTT_EXECUTORS names those that may run, such as ``plan,explicit``.
    Raises ValueError where the call asks for a method that only the refused ones have.
    """
    allowed = os.environ.get("BPTT_EXECUTORS")
    refusals = {}
    for executor in EXECUTORS:
        if executor.library not in ("", call.library):
            continue
        if allowed and executor.name not in allowed.split(",") and executor is not EXECUTORS[-1]:
            refusals[executor.name] = f"BPTT_EXECUTORS is {allowed}"
        elif reason := executor.refusal(call):
            refusals[executor.name] = reason
        else:
            asked = call.method not in (None, "steps")
            if asked and executor is EXECUTORS[-1] and not unasked(call):
                reason = [*refusals.values(), "no executor is left"][0]
                raise ValueError(f"scan: method={call.method!r} does not apply: {reason}")
            return executor, refusals
    raise AssertionError("the last executor takes everything")


def warn_of_loop(call: ScanCall, executor: Executor, refusals: dict[str, str]) -> None:
    """Warn once for each step function of a step that was to be fast and runs in a loop."""
    limited = os.environ.get("BPTT_EXECUTORS")
    if not isinstance(executor, Explicit) or not refusals or limited or unasked(call):
        return
    function: Callable[..., Any] = unwrap(call.step)
    code = getattr(function, "__code__", type(function))  # an object may have no hash
    if code in _told:
        return
    _told.add(code)
    name = getattr(function, "__qualname__", type(function).__name__)
    warnings.warn(
        f"scan: {name} runs in a loop, one step after another: {list(refusals.values())[-1]}. "
        "engine.explain_scan says more; filter engine.RecurrenceWarning where this is meant",
        RecurrenceWarning,
        stacklevel=3,
    )
