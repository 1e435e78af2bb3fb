"""`EXECUTORS` is the seam: the first that does not refuse a call runs it, best first.

The last takes everything. Above the executors.
"""

import os
import warnings
from collections.abc import Callable
from inspect import unwrap
from typing import Any, Protocol

from engine.errors import RecurrenceWarning
from engine.scan.c.core import CCore
from engine.scan.call import ScanCall
from engine.scan.cuda.core import CudaCore
from engine.scan.explicit import Explicit
from engine.scan.fused import Fused, unasked
from engine.scan.plan import PlanCore
from engine.tensor import Tensor


class Executor(Protocol):
    """One way to run a recurrence."""

    name: str
    library: str  # of the arrays that it takes; empty: any

    def refusal(self, call: ScanCall) -> str:
        """Return why this call cannot be run here; empty: it can."""

    def run(self, call: ScanCall) -> tuple[list[Tensor], Any]:
        """Return the final states, flat, and the pytree of all outputs (T, ...)."""


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
