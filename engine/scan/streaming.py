"""A stream step by step: recurrences of one step, of which no gradient is asked, by a short way.

Nothing is hoisted or kept, and weights are read as they are. What can be streamed is found out once
for each step function and kind of arguments. Above `executors.py`, below `scan`.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from engine.backends import HOST
from engine.errors import NotRecordableError
from engine.scan.c.single import Single
from engine.scan.call import prepare
from engine.scan.cores import refusal
from engine.scan.executors import EXECUTORS
from engine.scan.fused import Fused
from engine.scan.recorded import recorded
from engine.state import current
from engine.stepping import stepping
from engine.tensor import Tensor

ROWS = 8  # from which packing the weights is worth it
MISSING = object()
ARRAY: Any = HOST.array_type
COMPILED = cast("Fused", EXECUTORS[0])


def streamed(step: Any, init: Any, x: Tensor, *, timed: bool) -> tuple[Any, Any] | None:
    """Return (state, y) of one step; None where a call of `scan` has to do it.

    `timed` says that x and y have a time axis of size 1 in front.
    """
    memo: dict[Any, Any] | None = getattr(step, "memo", None)
    if memo is None or type(x) is not Tensor or (timed and x._data.shape[:1] != (1,)):
        return None
    states: tuple[Any, ...] = init if type(init) is tuple else (init,)
    state, stepped = current(), stepping()
    if state.tracing or state.interpreter is not None or stepped.explicit:
        return None
    executor = EXECUTORS[0]
    if stepped.explained is not None or "BPTT_EXECUTORS" in os.environ or executor is not COMPILED:
        return None
    key: tuple[Any, ...] = ("stream", timed, type(init) is tuple)
    for one in (x, *states):
        data: Any = one._data if type(one) is Tensor else None
        if type(data) is not ARRAY or (state.recording and one.requires_grad):
            return None
        key += (data.shape, data.dtype.char)
    found = memo.get(key, MISSING)
    if found is MISSING:
        found = memo[key] = _stream(step, init, x if timed else _with_time(x))
    if found is None:
        return None
    single, fixed, ys_nest = found
    if state.recording and any(one.requires_grad for one in fixed):
        return None
    array = x._data[0] if timed else x._data
    finals, outputs = single.run(
        [one._data for one in states], [array, *[one._data for one in fixed]]
    )
    ys = ys_nest([Tensor(one[None] if timed else one) for one in outputs])
    new = tuple(map(Tensor, finals))
    return (new if type(init) is tuple else new[0]), ys


def _with_time(x: Tensor) -> Tensor:
    return Tensor(x._data[None])


def _stream(step: Any, init: Any, x: Tensor) -> Any:
    """What runs such a step, the tensors that it reads besides, and the nest of its outputs."""
    call = prepare(step, init, x)
    if not call.init or any(one.shape[:1] > (ROWS,) for one in call.init):
        return None
    try:
        own = recorded(call)
        program = replace(own.program, whole=True, memo={})
        tensors = own.invariants.tensors
        if program.per_step != (("x", 0),) or not _are_leaves(tensors, own.invariants.start):
            return None
        if refusal(COMPILED.cores[0], program, COMPILED.cores):
            return None
        return Single(program.memo["c"]), tensors, own.ys_nest
    except NotRecordableError:
        return None


def _are_leaves(tensors: Sequence[Tensor], start: int) -> bool:
    """Whether all that a step reads is there before it, as it is now; nothing is drawn in it."""
    return all(x.node.id < start and x._current_version() is x for x in tensors)
