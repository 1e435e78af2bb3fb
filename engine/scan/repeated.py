"""Run calls like one before, by what was found out once for a step function and its arguments.

A step that promises to compute the same has a memo. In it stands how a call of one kind is run: a
recurrence, all but its arrays; or, of a single step of which no gradient is asked, one call of C
with nothing hoisted or kept and with weights as they are. What is unusual, or looks on, has a call
go the long way. Above `executors.py`, below `scan`.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from engine.backends import HOST
from engine.backends.arena import arena
from engine.errors import NotRecordableError
from engine.pytree import Rebuild
from engine.scan.c.single import Single
from engine.scan.call import ScanCall, prepare
from engine.scan.cores import refusal
from engine.scan.executors import EXECUTORS, Fused, kind_of
from engine.scan.nodes import on_graph
from engine.scan.program import Program, Source
from engine.scan.recorded import Recorded, recorded
from engine.scan.recurrence import Recurrence
from engine.state import current
from engine.stepping import stepping
from engine.tensor import Tensor

ROWS = 8  # from which packing the weights of a single step is worth it
KINDS = 64  # of calls that are remembered for one step function
MISSING = object()
ARRAY: Any = HOST.array_type
COMPILED = cast("Fused", EXECUTORS[0])


class Way(NamedTuple):
    """Hold how a kind of calls is run: in one call of C, or else as a recurrence.

    It lies in a memo that belongs to what the step is of, so it does not hold the step.
    """

    single: Single | None
    program: Program
    needs: frozenset[Source]
    asked: bool  # for gradients
    fixed: list[Tensor]  # what the step reads besides
    ys_nest: Rebuild
    like: ScanCall  # the call without a step and arrays
    kind: type[Recurrence] = Recurrence

    def recurrence(self, step: Any) -> Recurrence:
        """Return the recurrence of one call, which on the graph can run step by step."""
        one = self.like
        call = ScanCall(step, one.init, one.init_nest, one.init_structure, one.xs, one.xs_nest,
                        one.length, one.reverse, None, False) if self.asked else None  # fmt: skip
        return self.kind(self.program, COMPILED.cores, steps=one.length, reverse=one.reverse,
                         needs=self.needs, keep=self.asked, call=call)  # fmt: skip


def repeated(
    step: Any, init: Any, x: Any, *, reverse: bool = False, timed: bool = True, new: bool = False
) -> tuple[Any, Any] | None:
    """Return (state, ys) of a call like one before; None where the long way has to be gone.

    x is (T, ...), or one step (...) where it is not `timed`. A kind that is not known yet is made
    known where `new` says that the arguments have been checked.
    """
    memo: dict[Any, Any] | None = getattr(step, "memo", None)
    states: tuple[Any, ...] = init if type(init) is tuple else (init,)
    if memo is None or not states or _is_unusual():
        return None
    recording = current().recording
    key: tuple[Any, ...] = (recording, reverse, timed, type(init) is tuple)
    for one in (x, *states):
        data: Any = one._data if type(one) is Tensor else None
        if type(data) is not ARRAY:
            return None
        key += (data.shape, data.dtype.char, recording and one.requires_grad)
    known = memo.get("calls")
    if known is None:
        known = memo["calls"] = {}
    way = known.get(key, MISSING)
    if way is MISSING:
        if not new:
            return None
        if len(known) >= KINDS:
            known.clear()
        way = known[key] = _way(step, init, x if timed else Tensor(x._data[None]),
                                reverse=reverse, timed=timed)  # fmt: skip
    if way is None:
        return None
    arena.enter()
    if way.single is not None:
        finals, outputs = way.single.run(
            [one._data for one in states],
            [x._data[0] if timed else x._data, *[one._data for one in way.fixed]],
        )
        ys = way.ys_nest([Tensor(one[None] if timed else one) for one in outputs])
        found = list(map(Tensor, finals))
    else:
        parts = on_graph(way.recurrence(step), [*states, x, *way.fixed])
        found, ys = parts[: len(states)], way.ys_nest(parts[len(states) :])
    return (tuple(found) if type(init) is tuple else found[0]), ys


def _no_step(state: Any, x: Any) -> Any:
    raise AssertionError("the step comes with each call")


def _is_unusual() -> bool:
    """Return whether something looks on, or asks for another executor."""
    state, stepped = current(), stepping()
    return (
        state.tracing
        or state.interpreter is not None
        or stepped.explicit
        or stepped.explained is not None
        or stepped.since != 0
        or EXECUTORS[0] is not COMPILED
        or "BPTT_EXECUTORS" in os.environ
    )


def _way(step: Any, init: Any, x: Tensor, *, reverse: bool, timed: bool) -> Way | None:
    """Return how such a call is run; None where the long way finds it out each time."""
    call = prepare(step, init, x, reverse=reverse)
    if not call.init or not call.length:
        return None
    try:
        own = recorded(call)
        if own.program.per_step != (("x", 0),) or not _are_leaves(own):
            return None
        tensors = own.invariants.tensors
        asked = current().recording and any(
            one.requires_grad for one in (*call.init, *call.xs, *tensors)
        )
        names = (*own.program.per_step, *own.program.fixed)
        needs = frozenset(source for source, one in zip(names, (*call.xs, *tensors), strict=True)
                          if one.requires_grad)  # fmt: skip
        stub = Tensor(HOST.xp.empty(0))
        like = replace(call, step=_no_step, init=[stub] * len(call.init), xs=[stub], memo={})
        way = Way(None, own.program, needs, asked, tensors, own.ys_nest, like,
                  kind_of(call, own.program, COMPILED.name))  # fmt: skip
        few = all(one.shape[:1] <= (ROWS,) for one in call.init)
        if call.length == 1 and not asked and few:
            whole = replace(own.program, whole=True, memo={})
            if not refusal(COMPILED.cores[0], whole, COMPILED.cores):
                return way._replace(single=Single(whole.memo["c"]))
        refused = refusal(COMPILED.cores[0], way.recurrence(step).first(), COMPILED.cores)
        return way if timed and not refused else None
    except NotRecordableError:
        return None


def _are_leaves(own: Recorded) -> bool:
    """Return whether all that a step reads is there before it, as it is now, nothing drawn."""
    tensors: Sequence[Tensor] = own.invariants.tensors
    start = own.invariants.start
    return all(x.node.id < start and x._current_version() is x for x in tensors)
