"""The fused executors: a whole recurrence as one node, its core run by a plan or a kernel.

The step is recorded and laid out as a program once for each kind of call. The node's value is a
bundle of arrays, from which `output` nodes take their part. The derivative of such a node is
another one, so every order of derivative runs fused.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.apply import apply, asarray
from engine.backends import HOST
from engine.backward import Detour
from engine.bundle import Bundle
from engine.errors import NotRecordableError
from engine.nest import Rebuild
from engine.node import Node, ordinal
from engine.op import Op
from engine.ops.creation import zeros_like
from engine.ops.indexing import Piece
from engine.registry import RECORDING
from engine.scan.body import record_body
from engine.scan.call import ScanCall
from engine.scan.checkpointed import CheckpointedRecurrence
from engine.scan.masked import masked
from engine.scan.program import NotFusableError, Program, Source
from engine.scan.reading import Invariants, Reader, signature
from engine.scan.recurrence import Core, Recurrence, chosen
from engine.state import current
from engine.tensor import Tensor

REMEMBERED = 256  # kinds of call whose programs are kept

_programs: "OrderedDict[Any, Program]" = OrderedDict()


@dataclass(frozen=True, eq=False)
class Recorded:
    """The recorded step of a call: its program, and what of the call it takes."""

    program: Program
    invariants: Invariants
    ys_nest: Rebuild


class Fused:
    """Runs a recurrence with the first of some cores that can; the forward program by the first."""

    def __init__(self, *cores: Core) -> None:
        self.cores = cores
        self.name = cores[0].name

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""
        if reason := _refusal(call):
            return reason
        try:
            chosen(self._job(call)[0].first(), self.cores[:1])
        except NotRecordableError as reason:
            return str(reason)
        return ""

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the nest of all outputs (T, ...)."""
        job, inputs = self._job(call)
        parts = on_graph(job, inputs)
        states = len(call.init)
        return parts[:states], recorded(call).ys_nest(parts[states:])

    def _job(self, call: ScanCall) -> tuple[Recurrence, list[Tensor]]:
        """The recurrence of a call, and its inputs."""
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


def _refusal(call: ScanCall) -> str:
    """Why no fused executor can run a call, before its step is recorded; empty: one may."""
    state = current()
    if call.unroll or state.explicit:
        return "the explicit graph was asked for"
    if state.tracing:
        return "the graph is being recorded"
    if call.length == 0:
        return "there are no steps"
    if not call.init:
        return "there is no state"
    if any(type(x.data) is not HOST.array_type for x in (*call.init, *call.xs)):
        return "the arrays are not on the host"
    return ""


def recorded(call: ScanCall) -> Recorded:
    """The recorded step of a call, recorded once however many executors ask.

    A step with a `memo` promises that it computes the same whenever it brings the same memo, and
    is not recorded again for states and inputs of the same kinds. Raises NotRecordableError for
    a step that cannot be recorded.
    """
    if "recorded" not in call.memo:
        memo: dict[Any, Any] | None = getattr(call.step, "memo", None)
        call.memo["recorded"] = _attempt(call) if memo is None else _remembered(call, memo)
    found: Recorded | str = call.memo["recorded"]
    if isinstance(found, str):
        raise NotFusableError(found)
    return found


def program_of(call: ScanCall) -> Program:
    """The program of a call, with selections where it has a mask."""
    program = recorded(call).program
    return program if call.mask is None else masked(program, call.mask.shape[1])


def _remembered(call: ScanCall, memo: dict[Any, Any]) -> Recorded | str:
    """The step recorded for these kinds of states and inputs."""
    kinds = [(x.shape, x.dtype.str, x.requires_grad) for x in call.init]
    kinds += [(x.shape[1:], x.dtype.str, x.requires_grad) for x in call.xs]
    key = (call.init_structure, *kinds)
    if key not in memo:
        memo[key] = _attempt(call)
    found: Recorded | str = memo[key]
    return found


def _attempt(call: ScanCall) -> Recorded | str:
    """The recorded step, or why there is none."""
    try:
        return record(call)
    except NotRecordableError as reason:
        return str(reason)
    except Exception as error:  # the loop raises it again, if it is one of the step and not of this
        return f"recording the step raised {type(error).__name__}: {error}"


def record(call: ScanCall) -> Recorded:
    """Record the step of a call, and read it into a program, shared by all calls of its kind."""
    body = record_body(call)
    invariants = Invariants(body)
    known: dict[Node, Source] = {x.node: ("carry", i) for i, x in enumerate(body.states)}
    known |= {x.node: ("x", i) for i, x in enumerate(body.xs)}
    known[body.t.node] = ("t", 0)
    reader = Reader(known, invariants.source)
    carry = tuple(reader.read(x) for x in body.new_states)
    steps = tuple(reader.read(y) for y in body.ys)
    key = (signature(reader.values), carry, steps, len(body.xs))
    if key not in _programs:
        xs: list[Source] = [("x", i) for i in range(len(body.xs))]
        _programs[key] = Program(
            tuple(reader.values), carry, steps, totals=(), per_step=(*xs, *reader.sources("t")),
            fixed=tuple(("fixed", i) for i in range(len(invariants.tensors))),
        )  # fmt: skip
        if len(_programs) > REMEMBERED:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return Recorded(_programs[key], invariants, body.ys_nest)


def arguments(call: ScanCall, program: Program, invariants: Invariants) -> list[Tensor]:
    """The inputs of the node of a call: states, what varies, what is fixed."""
    found = [*call.init, *call.xs]
    for name, _ in program.per_step[len(call.xs) :]:
        if name == "rows":
            assert call.mask is not None
            found.append(call.mask)
        else:
            found.append(asarray(HOST.xp.arange(call.first, call.first + call.length)))
    return [*found, *invariants.values(lambda: call.key)]


def on_graph(job: Recurrence, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The results of a recurrence as tensors, as nodes of the graph where it keeps what they need."""
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
    bundle = whole.data
    tensors = _Parts(whole, len(bundle))
    carry, sources = job.pulled(own, g, tensors, inputs, zeros_like)
    for number, (_, i) in enumerate(job.histories()):
        sources["state", i] = tensors[job.public + number]
    program = own.program
    names = (*program.per_step, *(s for s in program.fixed if s[0] != "constant"))
    given = [sources[source] for source in names]
    needs = frozenset(source for source, x in zip(names, given, strict=True) if x.requires_grad)
    back = Recurrence(program, job.cores, steps=job.steps, reverse=not job.reverse, needs=needs,
                      keep=True)  # fmt: skip
    parts = on_graph(back, [*carry, *given])
    first, second = len(program.carry), len(program.carry) + len(program.steps)
    return job.results(own, parts[:first], parts[first:second], parts[second:])


class _Parts:
    """The arrays of a bundle as tensors on the graph, each made when it is asked for."""

    def __init__(self, whole: Tensor, count: int) -> None:
        self._whole, self._count = whole, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        return apply(OUTPUT, (self._whole,), {"number": number})


def _scan_vjp(xp: Any, g: Any, out: Any, *inputs: Any, job: Recurrence) -> Any:
    if xp is not RECORDING:
        return job.backward(g, out, list(inputs))
    if isinstance(job, CheckpointedRecurrence):
        return Detour(partial(_whole, job), g)
    return differentiated(job, g, out, inputs)


def _whole(job: CheckpointedRecurrence, inputs: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """The outputs of a recurrence without segments, and an ordinal older than all of its nodes."""
    oldest = ordinal()
    return on_graph(job.whole(), inputs), oldest


def _scan_forward(xp: Any, *inputs: Any, job: Recurrence) -> Bundle:
    return job.forward(list(inputs))


def _output_vjp(xp: Any, g: Any, out: Any, bundle: Any, *, number: int) -> list[Any]:
    return [Piece(g, ("output", number), ())]


SCAN = Op("scan", _scan_forward, _scan_vjp)
OUTPUT = Op("output", lambda xp, bundle, *, number: bundle[number], _output_vjp)
