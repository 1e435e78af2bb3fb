"""Choose the way to run a recurrence, by its structure and its shapes. Above `split.py`."""

from math import prod

from engine.scan.affine.lines import lines, shifts
from engine.scan.affine.split import split
from engine.scan.affine.stages import Split
from engine.scan.call import ScanCall
from engine.scan.program import NotFusableError, Program

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
