"""Run the core of a GPU on arrays of the host: all that is outside of the core stays on the host.

So everything that checks a recurrence on the host checks generated CUDA too. Without a GPU the
kernels run in the emulator of the fake CuPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.backends import NAMESPACES, by_device
from engine.scan import EXECUTORS
from engine.scan.cuda.core import CudaCore
from engine.scan.executors import Fused
from engine.scan.explicit import Explicit
from engine.scan.plan import PlanCore
from engine.scan.time_batched import TimeBatched
from tests.devices import choose_cupy


class EmulatedCore(CudaCore):
    """Run cores on the device, between a copy to it and a copy back."""

    library = "numpy"

    def run(self, batched: TimeBatched, carry: list[Any], *, reverse: bool) -> Any:
        import cupy

        xp = NAMESPACES[cupy.ndarray]
        moved = TimeBatched(batched.program, xp, {}, batched.steps, batched.product)
        moved.arrays = {p: cupy.asarray(x) for p, x in batched.arrays.items()}
        history, stored = super().run(moved, [cupy.asarray(x) for x in carry], reverse=reverse)
        return [x.get() for x in history], {p: x.get() for p, x in stored.items()}


@contextmanager
def emulated(form: str) -> Iterator[None]:
    """Run recurrences on host arrays by generated CUDA of one form, else in the loop."""
    choose_cupy()
    by_device("cupy")
    before = list(EXECUTORS)
    EXECUTORS[:] = [Fused(EmulatedCore(form), PlanCore()), Fused(PlanCore()), Explicit()]
    try:
        yield
    finally:
        EXECUTORS[:] = before
