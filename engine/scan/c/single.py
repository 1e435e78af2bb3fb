"""Run one step of a program that is whole, in one call of C with arguments that are kept.

A step of a stream takes less time than the preparation of a call. Above `core.py`.
"""

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

from engine.backends import HOST, Array
from engine.scan.c.core import Ready, Recurrence
from engine.scan.c.products import address, well_placed
from engine.scan.program import NotFusableError, Program


class Single:
    """Run one step: of states and inputs the new states and the outputs, without a time axis.

    Raises NotFusableError for a program of which not all lies in the kernel.
    """

    def __init__(self, ready: Ready) -> None:
        own = ready.program
        self._ready = ready
        self._dtype = own.values[own.carry[0]].dtype
        self._shapes = [(2, *own.values[p].shape) for p in own.carry]
        self._inputs: list[tuple[int, int]] = []  # the place of a slot, and the number of its array
        self._fixed: list[tuple[int, int]] = []
        self._places = [0] * len(own.carry)  # of the slots of states
        self._stored: dict[int, int] = {}  # by position
        self._scratch: list[tuple[int, tuple[int, ...]]] = []
        self._constants: list[tuple[int, Array]] = []
        names = (*own.per_step, *(s for s in own.fixed if s[0] != "constant"))
        for place, slot in enumerate(ready.slots):
            value = own.values[slot.position] if slot.role != "carry" else None
            if slot.role == "carry":
                self._places[slot.position] = place
            elif slot.role == "stored":
                self._stored[slot.position] = place
            elif slot.role == "scratch":
                assert value is not None
                self._scratch.append((place, value.shape))
            else:
                source = None if value is None else value.source
                if source is None:
                    raise NotFusableError("a value is computed before the step")
                if source[0] == "constant":
                    array = HOST.xp.ascontiguousarray(own.constants[source[1]], self._dtype)
                    self._constants.append((place, well_placed(array)))
                elif source in own.per_step:
                    self._inputs.append((place, names.index(source)))
                else:
                    self._fixed.append((place, names.index(source)))
        self._outputs = [self._output(p, own) for p in own.steps]
        self._threads = threading.local()

    def _output(self, p: int, own: Program) -> tuple[bool, int, Any]:
        """Return whether an output is a state, its number or position, and its dtype."""
        if p in own.carry and p in own.core:
            return True, own.carry.index(p), None
        if p not in self._stored:
            raise NotFusableError("an output is computed outside of the step")
        return False, p, own.values[p].dtype

    def _own(self) -> Any:
        """Return the arguments of this thread."""
        own = self._threads
        if not hasattr(own, "pointers"):
            ready = self._ready
            own.pointers = ready.pointers()
            own.scratch = [HOST.xp.empty(shape, self._dtype) for _, shape in self._scratch]
            for (place, _), array in zip(self._scratch, own.scratch, strict=True):
                own.pointers[place] = address(array)
            for place, array in self._constants:
                own.pointers[place] = address(array)
            own.known = [None] * len(self._fixed)
            own.held = [None] * len(self._fixed)
            own.call = Recurrence(1, ready.rows, 0, own.pointers, ready.library.services)
            own.argument = ctypes.byref(own.call)
        return own

    def run(
        self, states: Sequence[Array], inputs: Sequence[Array]
    ) -> tuple[list[Array], list[Array]]:
        """Return the new states and the outputs; inputs are those a step, then the fixed ones."""
        own, empty, dtype = self._own(), HOST.xp.empty, self._dtype
        pointers = own.pointers
        past = []
        for place, shape, state in zip(self._places, self._shapes, states, strict=True):
            both = empty(shape, dtype)
            both[0] = state
            pointers[place] = address(both)
            past.append(both)
        given = [_plain(inputs[number], dtype) for _, number in self._inputs]
        for (place, _), array in zip(self._inputs, given, strict=True):
            pointers[place] = address(array)
        for k, (place, number) in enumerate(self._fixed):
            array = inputs[number]
            if own.known[k] is not array:  # another one than at the step before
                own.held[k] = held = _plain(array, dtype)
                own.known[k] = array if held is array else None
                pointers[place] = address(held)
        stored = {}
        for p, place in self._stored.items():
            stored[p] = array = empty(self._ready.program.values[p].shape, dtype)
            pointers[place] = address(array)
        self._ready.run(own.argument, 1, 1, 0)
        return (
            [both[1].copy() for both in past],
            [past[at][1] if is_state else stored[at].astype(kind, copy=False)
             for is_state, at, kind in self._outputs],
        )  # fmt: skip


def _plain(array: Array, dtype: Any) -> Array:
    """Return an array of numbers one after another, in the dtype of the kernel."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype is dtype:
        return array
    return well_placed(HOST.xp.ascontiguousarray(array, dtype=dtype))
