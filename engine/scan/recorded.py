"""Make a program of the recorded step of a call: once a call, and shared by calls of its kind.

On a device arrays may be stored in half the width: the program is that of float32, and what is
narrow is widened on its way in and narrowed on its way out, by ops on the graph. Above `body.py`,
`reading.py` and `masked.py`; the executors are above this.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.backends import DType
from engine.backends.half import FLOATING
from engine.backends.numpy import dtype as dtype_of
from engine.backends.numpy import float32
from engine.errors import ImpureStepError, NotRecordableError
from engine.node import Node
from engine.ops.casts import converted
from engine.ops.creation import arange
from engine.pytree import Rebuild
from engine.scan.body import Body, record_body
from engine.scan.call import ScanCall
from engine.scan.masked import masked
from engine.scan.program import NotFusableError, Program, Source, Value
from engine.scan.purity import counters, is_known, make_known, require_pure
from engine.scan.reading import Invariants, Reader, signature
from engine.state import current
from engine.tensor import Tensor

REMEMBERED = 256  # kinds of call with programs that are kept

_programs: "OrderedDict[Any, Program]" = OrderedDict()


@dataclass(frozen=True, eq=False)
class Recorded:
    """Hold the recorded step of a call: its program, and what of the call it takes."""

    program: Program
    invariants: Invariants
    ys_nest: Rebuild
    dtypes: tuple[DType, ...]  # of the states and the outputs


def recorded(call: ScanCall) -> Recorded:
    """Return the recorded step of a call, recorded once however many executors ask.

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
    """Return the program of a call, with selections where it has a mask."""
    program = recorded(call).program
    return program if call.mask is None else masked(program, call.mask.shape[1])


def _remembered(call: ScanCall, memo: dict[Any, Any]) -> Recorded | str:
    """Return the step recorded for these kinds of states and inputs."""
    kinds = [(x.shape, x.dtype.str, x.requires_grad) for x in call.init]
    kinds += [(x.shape[1:], x.dtype.str, x.requires_grad) for x in call.xs]
    # A device has the program of wider numbers; masks depend on the rows in force.
    key = (call.library, call.init_structure, current().rows, *kinds)
    if key not in memo:
        memo[key] = _attempt(call)
    found: Recorded | str = memo[key]
    return found


def _attempt(call: ScanCall) -> Recorded | str:
    """Return the recorded step, or why there is none."""
    put_back = counters(call.step)
    try:
        return record(call)
    except ImpureStepError:
        put_back()
        raise
    except Exception as error:  # the loop raises it again, if it is one of the step and not of this
        put_back()
        told = f"recording the step raised {type(error).__name__}: {error}"
        return str(error) if isinstance(error, NotRecordableError) else told


def record(call: ScanCall) -> Recorded:
    """Record the step of a call, and read it into a program, shared by all calls of its kind.

    A step is recorded a second time for its first call of a kind: see `purity.py`.
    """
    body = record_body(call)
    found = read(call, body)
    if not is_known(call.step, found.program):
        require_pure(call, body)
        make_known(call.step, found.program)
    return found


def read(call: ScanCall, body: Body) -> Recorded:
    """Read a recorded step into a program, shared by all calls of its kind."""
    invariants = Invariants(body)
    known: dict[Node, Source] = {x.node: ("carry", i) for i, x in enumerate(body.states)}
    known |= {x.node: ("x", i) for i, x in enumerate(body.xs)}
    known[body.t.node] = ("t", 0)
    reader = Reader(known, invariants.source)
    carry = tuple(reader.read(x) for x in body.new_states)
    steps = tuple(reader.read(y) for y in body.ys)
    results = (*body.new_states, *body.ys)
    values = reader.values if call.library == "numpy" else widened(reader.values)
    if wrong := [v for v in values if v.dtype.kind not in "fiub"]:
        raise NotFusableError(
            f"a value of the step is {wrong[0].dtype}, which ops widen one by one"
        )
    key = (signature(values), carry, steps, len(body.xs))
    if key not in _programs:
        xs: list[Source] = [("x", i) for i in range(len(body.xs))]
        _programs[key] = Program(
            tuple(values), carry, steps, totals=(), per_step=(*xs, *reader.sources("t")),
            fixed=tuple(("fixed", i) for i in range(len(invariants.tensors))),
        )  # fmt: skip
        if len(_programs) > REMEMBERED:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return Recorded(_programs[key], invariants, body.ys_nest, tuple(x.dtype for x in results))


def arguments(call: ScanCall, program: Program, invariants: Invariants) -> list[Tensor]:
    """Return the inputs of the node of a call: states, what varies, what is fixed; on a device in
    float32 where they are of half the width.
    """
    found = [*call.init, *call.xs]
    for name, _ in program.per_step[len(call.xs) :]:
        if name == "rows":
            assert call.mask is not None
            found.append(call.mask)
        else:
            found.append(arange(call.first, call.first + call.length, device=call.device))
    found += invariants.values(lambda: call.key)
    return found if call.library == "numpy" else list(map(wide, found))


def is_narrow(dtype: DType) -> bool:
    """Return whether a dtype is float16 or bfloat16."""
    return dtype.kind in FLOATING and dtype.itemsize == 2


def widened(values: Sequence[Value]) -> list[Value]:
    """Return the values of a program with float32 in the place of half the width.

    Raises NotFusableError where an op asks for half the width itself.
    """
    for value in values:
        asked = value.attrs.get("dtype") if value.op is not None else None
        if asked is not None and is_narrow(dtype_of(asked)):
            raise NotFusableError(f"{value.op.name} in the step asks for {asked}")  # type: ignore[union-attr]
    return [replace(v, dtype=float32) if is_narrow(v.dtype) else v for v in values]


def wide(x: Tensor) -> Tensor:
    """Return a tensor in float32 where it is narrow."""
    return converted(x, float32) if is_narrow(x.dtype) else x


def narrowed(x: Tensor, dtype: DType) -> Tensor:
    """Return a result in the dtype that it is stored in."""
    return x if x.dtype == dtype else converted(x, dtype)
