"""Check numbers on a device: the host sees the answers when it next reads anything.

A check that waits for its answer stops the host: at every index of an embedding, at every clipped
gradient. So a check is one kernel, which writes to its slot only where it fails, and the slots
travel along with the numbers that the host reads. No result reaches the host before the checks that
came before it. Below `cupy.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import cupy as cp
import cupyx

from engine.backends.base import Array
from engine.backends.cupy_multi import OPTIONS
from engine.backends.multi import INTEGERS, THREADS, blocks

Failure = Callable[[int], Exception]

LIMIT = 1000  # unread checks, at most, as they take memory
# How far numbers are below and above their bounds at most: 0 and 0 where none is wrong.
SOURCE = """
extern "C" __global__ void __launch_bounds__(%(threads)d) check_range(
    const %(type)s *x, long long size, long long least, long long most, unsigned long long *slot) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {
        const %(wide)s number = x[i];
        const unsigned long long bits = (unsigned long long)number;
        if (%(below)s) atomicMax(slot, (unsigned long long)least - bits);
        else if (%(above)s) atomicMax(slot + 1, bits - (unsigned long long)most);
    }
}
"""
SIGNED = {"wide": "long long", "below": "number < least", "above": "number > most"}
UNSIGNED = {
    "wide": "unsigned long long",
    "below": "least > 0 && number < (unsigned long long)least",
    "above": "most < 0 || number > (unsigned long long)most",
}


class Check(NamedTuple):
    """Hold a slot of a device, bounds of its numbers, and what makes the error of a wrong one."""

    device: int
    place: int
    least: int
    most: int
    error: Failure


class Slots:
    """Hold the slots of one device, and what the host has seen of them."""

    def __init__(self) -> None:
        self.used = 0
        self.values = cp.zeros((LIMIT, 2), dtype=cp.uint64)
        self.seen = cupyx.zeros_pinned((LIMIT, 2), dtype=cp.uint64)

    def fetch(self, *, wait: bool) -> None:
        """Bring the used slots to the host, which waits, or sees them when it next does."""
        self.values[: self.used].get(out=self.seen[: self.used], blocking=wait)


class Checks:
    """Keep the checks of all devices that wait for an answer."""

    def __init__(self) -> None:
        self._waiting: list[Check] = []
        self._slots: dict[int, Slots] = {}
        self._lock = Lock()

    def slot(self, least: int, most: int, error: Failure) -> Array:
        """Return two numbers on the current device: how far a number is below and above its bounds.

        They are 0 unless a kernel writes to them. `error(number)` makes what is raised then.
        """
        device = int(cp.cuda.runtime.getDevice())
        if device in self._slots and self._slots[device].used == LIMIT:
            self.settle()
        with self._lock:
            if device not in self._slots:
                self._slots[device] = Slots()
            slots = self._slots[device]
            place, slots.used = slots.used, slots.used + 1
            self._waiting.append(Check(device, place, least, most, error))
        return slots.values[place]

    def settle(self) -> None:
        """Raise the error of the first check that failed; all of them are forgotten."""
        if self._waiting:
            self._judge(self._taken(-1))

    @contextmanager
    def read_along(self, x: Array) -> Iterator[None]:
        """Have the host see all checks with what it reads of x inside, which waits for a device.

        Raises the error of the first check that failed.
        """
        if not self._waiting:
            yield
            return
        waiting = self._taken(x.device.id)
        yield
        self._judge(waiting)

    def _taken(self, read: int) -> list[Check]:
        """Return the checks that wait, and fetch their slots, without waiting for device `read`."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for device, slots in self._slots.items():
                if slots.used:
                    with cp.cuda.Device(device):
                        slots.fetch(wait=device != read)
                    slots.used = 0
        return waiting

    def _judge(self, waiting: list[Check]) -> None:
        for device, place, least, most, error in waiting:
            below, above = map(int, self._slots[device].seen[place])
            if below or above:
                self._clear()
                raise error(least - below if below else most + above)

    def _clear(self) -> None:
        for device, slots in self._slots.items():
            with cp.cuda.Device(device):
                slots.values.fill(0)


checks = Checks()
check_slot = checks.slot


@lru_cache(maxsize=16)
def _kernel(kind: str) -> Any:
    words = {"type": INTEGERS[kind], "threads": THREADS, **(UNSIGNED if kind == "u8" else SIGNED)}
    return cp.RawKernel(SOURCE % words, "check_range", options=OPTIONS)


def check_range(array: Array, least: int, most: int, error: Failure) -> None:
    """Have integers checked to lie in `least` to `most`, without waiting for the answer.

    ``error(number)`` makes what is raised when numbers are next read from the device.
    """
    if not array.size:
        return
    given = (cp.ascontiguousarray(array), array.size, least, most, checks.slot(least, most, error))
    kernel = _kernel(array.dtype.str[1:])
    kernel((blocks(array.size),), (THREADS,), given)
