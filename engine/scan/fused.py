"""The fused executors: a whole recurrence as one node, its core run by a plan or a kernel.

The body and its vjp are recorded and laid out as programs once for each kind of call. The node's
value is a bundle of arrays, from which `output` nodes take their part. Differentiating with
`create_graph` runs the recurrence again explicitly, so that every order of derivative is there.
"""

from collections import OrderedDict
from functools import partial
from typing import Any

from engine.apply import apply
from engine.backends import HOST
from engine.backward import Detour
from engine.bundle import Bundle
from engine.errors import NotRecordableError
from engine.node import Node, ordinal
from engine.op import Op
from engine.ops.indexing import Piece
from engine.registry import RECORDING
from engine.scan.call import ScanCall
from engine.scan.checkpointed import CheckpointedJob
from engine.scan.job import Core, Job
from engine.scan.program import NotFusableError
from engine.scan.recording import Pair, Recorded, pair, record
from engine.state import current
from engine.tensor import Tensor

REMEMBERED = 128  # kinds of call whose programs are kept


class Fused:
    """Runs a recurrence with one kind of core."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.name = core.name
        self._pairs: OrderedDict[Any, Pair | NotFusableError] = OrderedDict()

    def refusal(self, call: ScanCall) -> str:
        """Why this call cannot be run here; empty: it can."""
        state = current()
        if call.unroll or state.explicit:
            return "the explicit graph was asked for"
        if state.tracing:
            return "the graph is being recorded"
        if call.length == 0:
            return "there are no steps"
        arrays = [x.data for x in (*call.init, *call.xs)]
        if not call.init or any(type(x) is not HOST.array_type for x in arrays):
            return "there is no state" if not call.init else "the arrays are not on the host"
        try:
            self._pair(recorded(call))
        except NotRecordableError as reason:
            return str(reason)
        return ""

    def programs(self, call: ScanCall) -> Pair:
        """The programs of a call. Raises NotFusableError where it has none here."""
        return self._pair(recorded(call))

    def _pair(self, body: Recorded) -> Pair:
        """The programs of a body, made when its kind is seen first."""
        if self.name in body.pairs:
            return self._usable(body.pairs[self.name])
        key = body.signature
        if key not in self._pairs:
            self._pairs[key] = self._prepared(body)
            if len(self._pairs) > REMEMBERED:
                self._pairs.popitem(last=False)
        self._pairs.move_to_end(key)
        body.pairs[self.name] = self._pairs[key]
        return self._usable(self._pairs[key])

    def _usable(self, known: "Pair | NotFusableError") -> Pair:
        if isinstance(known, NotFusableError):
            raise NotFusableError(str(known))
        return known

    def _prepared(self, body: Recorded) -> "Pair | NotFusableError":
        """The programs of a body, ready to be run, or why they cannot be."""
        try:
            programs = pair(body)
            self.core.prepare(programs.forward, backward=False)
            self.core.prepare(programs.inference, backward=False)
            self.core.prepare(programs.backward, backward=True)
        except NotFusableError as reason:
            return reason
        return programs

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """The final states, flat, and the nest of all outputs (T, ...)."""
        body = recorded(call)
        programs = self._pair(body)
        inputs = (*call.init, *call.xs, *body.fixed, *programs.constants)
        state = current()
        requires_grad = state.recording and any(x.requires_grad for x in inputs)
        kind = CheckpointedJob if call.checkpoint else Job
        job = kind(call, self.core, programs, tuple(x.requires_grad for x in inputs))
        compute = partial(job.forward, [x.data for x in inputs], keep=requires_grad)
        bundle = state.abstract(SCAN, compute) if callable(state.abstract) else compute()
        if not requires_grad:
            parts = [Tensor(part) for part in bundle]
        else:
            for x in inputs:
                x.node  # noqa: B018  (a leaf gets its node before the node that it feeds)
                x._used = True
            attrs = {"job": job}
            node = Node(SCAN, inputs, attrs, (), bundle.dtype, state.scope, ordinal(), state.origin)
            whole = Tensor(bundle, node, True)
            parts = [apply(OUTPUT, (whole,), {"number": i}) for i in range(len(bundle))]
        states = len(call.init)
        return parts[:states], body.ys_nest(parts[states:])


def recorded(call: ScanCall) -> Recorded:
    """The body of a call, recorded once however many executors ask.

    A step with a `memo` promises that it computes the same whenever it brings the same memo, and
    is not recorded again for states and inputs of the same kinds.
    """
    if "recorded" not in call.memo:
        memo: dict[Any, Recorded] | None = getattr(call.step, "memo", None)
        call.memo["recorded"] = record(call) if memo is None else _remembered(call, memo)
    found: Recorded = call.memo["recorded"]
    return found


def _remembered(call: ScanCall, memo: dict[Any, Recorded]) -> Recorded:
    """The body recorded for these kinds of states and inputs."""
    kinds = [(x.shape, x.dtype.str, x.requires_grad) for x in call.init]
    kinds += [(x.shape[1:], x.dtype.str, x.requires_grad) for x in call.xs]
    key = (call.init_structure, *kinds)
    if key not in memo:
        memo[key] = record(call)
    return memo[key]


def _scan_vjp(xp: Any, g: Any, out: Any, *inputs: Any, job: Job) -> list[Any] | Detour:
    if xp is RECORDING:
        return Detour(job.recorded, g)
    return job.backward(g, out, list(inputs))


def _scan_forward(xp: Any, *inputs: Any, job: Job) -> Bundle:
    return job.forward(list(inputs), keep=True)


def _output_vjp(xp: Any, g: Any, out: Any, bundle: Any, *, number: int) -> list[Any]:
    return [Piece(g, ("output", number), ())]


SCAN = Op("scan", _scan_forward, _scan_vjp)
OUTPUT = Op("output", lambda xp, bundle, *, number: bundle[number], _output_vjp)
