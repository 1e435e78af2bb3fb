"""The fused executors: a whole recurrence as one node, its core run by a plan or a kernel.

The step is recorded and laid out as a program once for each kind of call. The node's value is a
bundle of arrays, from which `output` nodes take their part. The derivative of such a node is
another one, so every order of derivative runs fused.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from engine.apply import apply, asarray
from engine.backends import on_device_of, placement
from engine.backward import Detour
from engine.derivatives.multi_output import Bundle
from engine.errors import NotRecordableError
from engine.node import Node, ordinal
from engine.op import Op
from engine.ops.creation import zeros_like
from engine.ops.indexing import Piece
from engine.pytree import flatten
from engine.registry import RECORDING
from engine.scan.call import ScanCall
from engine.scan.checkpointed import CheckpointedRecurrence
from engine.scan.cores import Core, chosen, refusal
from engine.scan.explicit import Explicit
from engine.scan.recorded import arguments, program_of, recorded
from engine.scan.recurrence import Recurrence
from engine.scan.storage import narrowed
from engine.state import current
from engine.stepping import stepping
from engine.tensor import Tensor
from engine.versions import as_read


class Fused:
    """Runs a recurrence with the first of some cores that can; the forward program by the first."""

    def __init__(self, *cores: Core) -> None:
        self.cores = cores
        self.name, self.library = cores[0].name, cores[0].library

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""
        if reason := unasked(call):
            return reason
        try:
            program = self._job(call)[0].first()
            with on_device_of(*(x.data for x in (*call.init, *call.xs)[:1])):
                chosen(program, self.cores)
                return refusal(self.cores[0], program, self.cores)
        except NotRecordableError as reason:
            return str(reason)

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the nest of all outputs (T, ...)."""
        job, inputs = self._job(call)
        for key in ("inputs", *(one for one in call.memo if isinstance(one, Fused))):
            del call.memo[key]  # the recurrence holds the call: a cycle would keep both alive
        own, states = recorded(call), len(call.init)
        parts = list(map(narrowed, on_graph(job, inputs), own.dtypes))
        return parts[:states], own.ys_nest(parts[states:])

    def _job(self, call: ScanCall) -> tuple[Recurrence, list[Tensor]]:
        """The recurrence of a call, and its inputs."""
        if self not in call.memo:
            call.memo[self] = self._made(call)
        found: tuple[Recurrence, list[Tensor]] = call.memo[self]
        return found

    def _made(self, call: ScanCall) -> tuple[Recurrence, list[Tensor]]:
        program = program_of(call)
        if "inputs" not in call.memo:
            call.memo["inputs"] = arguments(call, program, recorded(call).invariants)
        inputs: list[Tensor] = call.memo["inputs"]
        names = (*program.per_step, *program.fixed)
        given = inputs[len(call.init) :]
        keep = current().recording and any(x.requires_grad for x in inputs)
        needs = frozenset(source for source, x in zip(names, given, strict=True) if x.requires_grad)
        kind = CheckpointedRecurrence if call.checkpoint else Recurrence
        return kind(program, self.cores, steps=call.length, reverse=call.reverse, needs=needs,
                    keep=keep, call=call), inputs  # fmt: skip


def unasked(call: ScanCall) -> str:
    """Why no fused executor can run a call, before its step is recorded; empty: one may."""
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


def on_graph(job: Recurrence, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The results of a recurrence as tensors, on the graph where it keeps what that needs."""
    state = current()
    compute = partial(job.forward, [x.data for x in inputs])
    bundle: Bundle = (
        compute() if state.interpreter is None else state.interpreter.compute(SCAN, compute)
    )
    if not job.keep:
        return [Tensor(part) for part in bundle]
    for x in inputs:
        x.node  # noqa: B018  (a leaf gets its node before the node that it feeds)
        x._used = True
    node = Node(SCAN, tuple(inputs), {"job": job}, (), bundle.dtype, state.scope, ordinal(),
                state.origin)  # fmt: skip
    whole = Tensor(bundle, node, True)
    return [apply(OUTPUT, (whole,), {"number": i}) for i in range(job.public)]


def differentiated(job: Recurrence, g: Sequence[Any], whole: Tensor, inputs: Sequence[Any]) -> Any:
    """The gradients of the inputs of a recurrence as a recurrence on the graph."""
    own = job.derivative(g, saved=False)
    tensors = _Parts(whole)
    carry, sources = job.pulled(own, g, tensors, inputs, zeros_like)
    for number, (_, i) in enumerate(job.histories()):
        sources["state", i] = tensors.part(job.public + number)
    program = own.program
    names = program.inputs
    given = [asarray(sources[source]) for source in names]
    needs = frozenset(source for source, x in zip(names, given, strict=True) if x.requires_grad)
    back = Recurrence(program, job.cores, steps=job.steps, reverse=not job.reverse, needs=needs,
                      keep=True)  # fmt: skip
    parts = on_graph(back, [*carry, *given])
    first, second = len(program.carry), len(program.carry) + len(program.steps)
    return job.results(own, parts[:first], parts[first:second], parts[second:])


class _Parts:
    """The arrays of a bundle as tensors on the graph, each made when it is asked for."""

    def __init__(self, whole: Tensor) -> None:
        self._whole = whole

    def part(self, number: int) -> Tensor:
        """An array by its number."""
        return apply(OUTPUT, (self._whole,), {"number": number})


def _scan_vjp(xp: Any, g: Any, out: Any, *inputs: Any, job: Recurrence) -> Any:
    if xp is not RECORDING:
        return job.backward(g, out, list(inputs))
    if (
        stepping().explicit
        and job.call is not None
        and not any(one is not None for one in g[job.public :])
    ):
        return Detour(partial(_steps, job), g[: job.public])
    if isinstance(job, CheckpointedRecurrence):
        return Detour(partial(_whole, job), g)
    try:
        return differentiated(job, g, out, inputs)
    except NotRecordableError:  # by the rule of an op that works on arrays alone
        if job.call is None:
            raise
        return Detour(partial(_steps, job), g[: job.public])


def _whole(job: CheckpointedRecurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """The outputs of a recurrence without segments, and an ordinal older than all of its nodes."""
    oldest = ordinal()
    return on_graph(job.whole(), inputs), oldest


def _steps(job: Recurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """The outputs with every step on the graph, and an ordinal older than all of its nodes."""
    oldest = ordinal()
    states = len(job.call.init)
    call = replace(job.call, init=list(inputs[:states]),
                   xs=list(inputs[states : states + len(job.call.xs)]))  # fmt: skip
    with as_read(inputs):
        final, ys = Explicit().run(call)
    return [*final, *flatten(ys)[0]], oldest


def _scan_forward(xp: Any, *inputs: Any, job: Recurrence) -> Bundle:
    return job.forward(list(inputs))


def _output_vjp(xp: Any, g: Any, out: Any, bundle: Any, *, number: int) -> list[Any]:
    return [Piece(g, ("output", number), ())]


SCAN = Op("scan", _scan_forward, _scan_vjp)
OUTPUT = Op("output", lambda xp, bundle, *, number: bundle.part(number), _output_vjp)
