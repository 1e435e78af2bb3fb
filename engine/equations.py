"""Names each node after the variable that its equation assigns, so a cell needs no annotations.

While a step function runs on the graph, `apply` asks here which assignment of the step is being
computed: in ``c = f * c + i * g`` all three nodes belong to ``c``. Read from the compiled
function, so it works without the source, and costs nothing outside of a step.
"""

import dis
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from inspect import unwrap
from types import CodeType, FrameType
from typing import Any

from engine.scope import Scope

# Instructions that use a value up without giving it to a local variable.
ENDS = ("POP_", "RETURN_", "STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL", "STORE_SLICE", "RAISE_")


class Equations:
    """The assignments of one step function; `states` tells the names of states from gates."""

    __slots__ = ("_code", "_names", "_states")

    def __init__(self, code: CodeType, states: Iterable[str]) -> None:
        self._code = code
        self._names = _assigned_names(code)
        self._states = frozenset(states)

    @classmethod
    def of(cls, step: Callable[..., Any], states: Iterable[str] = ()) -> "Equations | None":
        """The equations of `step`, looking through wrappers; None for what is not Python."""
        code = getattr(unwrap(step), "__code__", None)
        return None if code is None else cls(code, states or getattr(step, "state_names", ()))

    def label(self, scope: Scope) -> Scope:
        """`scope` with ``gate=`` or ``state=`` of the assignment that is being computed."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code is not self._code:
            frame = frame.f_back
        name = None if frame is None else self._names.get(frame.f_lasti)
        if name is None:
            return scope
        return scope.named("state" if name in self._states else "gate", name)


@lru_cache(maxsize=256)
def _assigned_names(code: CodeType) -> dict[int, str]:
    """For each offset in the byte code, the variable that its statement stores to."""
    names: dict[int, str] = {}
    pending: list[int] = []
    stored: list[str] = []
    instructions = list(dis.get_instructions(code))
    # Python 3.12 runs a comprehension in the frame of its function; its variables are not ours.
    inner = {one.argval for one in instructions if one.opname == "LOAD_FAST_AND_CLEAR"}
    ends = [*(one.offset for one in instructions[1:]), len(code.co_code)]
    before = ""
    for instruction, end in zip(instructions, ends, strict=True):
        stores = [name for name in _stores(instruction) if name not in inner]
        if stored and not stores:
            names.update(dict.fromkeys(pending, ", ".join(stored)))
            pending, stored = [], []
        if instruction.opname.startswith(ENDS) and before != "END_FOR":
            pending = []  # the pop after END_FOR drops an iterator, not a value
        before = instruction.opname
        # A frame that is in a call may point past the instruction, into its inline cache.
        pending += range(instruction.offset, end, 2)
        stored += stores
    return names


def _stores(instruction: dis.Instruction) -> Iterator[str]:
    """The local variables that one instruction assigns (Python 3.13 joins two in one)."""
    values = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    kinds = instruction.opname.split("_")
    if kinds[0] == "STORE" and kinds[1] in ("FAST", "DEREF"):
        joined = instruction.opname.count("STORE_FAST")
        yield from (str(value) for value in values[: max(joined, 1)])
