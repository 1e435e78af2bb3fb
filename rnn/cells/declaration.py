"""Declare a cell: the sizes of its states, its step, and what may be remembered of it.

`Step` makes of it what `engine.scan` asks for. Below `base.py`, the class of cells.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from inspect import signature
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from rnn.cells.memory import OWN, Leaves, UnnameableError, alike, leaves, module_key
from rnn.cells.sizes import units
from rnn.modules.module import Module, called
from rnn.modules.tree import PLAIN
from rnn.modules.tree import leaves as leaves_of

KINDS = 64  # of batches and dtypes that are remembered for one cell
_time: ContextVar[Any] = ContextVar("time")  # of the step that runs, for cells inside of cells


class BaseCell(Module):
    """Hold all of a cell but calls of it and its equations in words; the base of `Cell` alone."""

    input_size: Any
    state_size: dict[str, Any]

    # Whether `step` depends on nothing but its arguments and the attributes of the cell that are
    # tensors, numbers or words. Then it is recorded once and not again at every call. All steps
    # that are written in this library do, unless they say otherwise.
    pure = False
    _memos: dict[Any, dict[Any, Any]]
    _depends: Any
    _leaves: Leaves | None

    def __init_subclass__(cls, **options: Any) -> None:
        """Have a class that writes its own `step` promise for itself that it is pure."""
        super().__init_subclass__(**options)
        if "step" in vars(cls) and "pure" not in vars(cls):
            cls.pure = cls.__module__.partition(".")[0] == "rnn"

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for copies, which remember nothing yet."""
        return {name: x for name, x in vars(self).items() if name not in OWN}

    def remembers(self) -> bool:
        """Return whether the recorded step holds for the next call too: see `memo`."""
        return self.memo() is not None

    @property
    def takes_time(self) -> bool:
        """Return whether the step, or that of a cell inside, is handed the time."""
        held = [name for name, one in vars(self).items()
                if type(one) not in PLAIN and type(one) is not Tensor]  # fmt: skip
        parts = (part for name in held if name not in OWN
                 for _, part in leaves_of(name, vars(self)[name]))  # fmt: skip
        return self._is_timed() or any(one.takes_time for one in parts if isinstance(one, BaseCell))

    def _is_timed(self) -> bool:
        own = vars(self).get("step")
        return _third(type(self).step)[1:] == ["t"] if own is None else _third(own)[:1] == ["t"]

    def check_sizes(self) -> None:
        """Raise TypeError where the sizes are missing or no sizes, with what to write."""
        kind = type(self).__name__
        if not hasattr(self, "input_size"):
            raise TypeError(f"{kind} has no input_size; set self.input_size = I, the width of x")
        if not isinstance(getattr(self, "state_size", None), Mapping):
            raise TypeError(
                f"{kind}: state_size must be a dict of the widths of the states by name, such as "
                f'{{"h": 4}}, got {getattr(self, "state_size", None)!r}'
            )

    def checked(self, state: Any, batch: int, where: str = "") -> Any:
        """Return a state as tensors of the shapes that the cell declares. Raises ValueError for
        other shapes, or for one tensor where there are several states.
        """
        sizes = self.state_size
        single = hasattr(state, "shape")
        if not single and not isinstance(state, tuple | list):
            raise ValueError(f"{where or type(self).__name__}: expected states {', '.join(sizes)} "
                             f"as tensors, got {state!r}")  # fmt: skip
        found = tuple(x if isinstance(x, Tensor) else engine.asarray(x)
                      for x in ((state,) if single else state))  # fmt: skip
        expected = [(batch, *units(size)) for size in sizes.values()]
        if [x.shape for x in found] != expected:
            hint = "" if where else "; a cell returns (y, state), of which the state goes on"
            raise ValueError(
                f"{where or type(self).__name__}: expected states {', '.join(sizes)} of shapes "
                f"{expected}, got {[x.shape for x in found]}{hint}"
            )
        return found[0] if len(sizes) == 1 else found

    def memo(self, kind: Any = None) -> dict[Any, Any] | None:
        """Return what `scan` remembers of a pure step that is called in one way; empty again when
        an attribute has changed. None where it cannot be told whether one has.
        """
        own = leaves(self)
        full = max(map(len, getattr(self, "_memos", {}).values()), default=0) > KINDS
        if not full and self.pure and alike(own, getattr(self, "_leaves", None)):
            return self._memos.setdefault(kind, {})
        try:
            depends = module_key(self)
        except UnnameableError:
            return None
        if full or getattr(self, "_depends", None) != depends or len(self._memos) > KINDS:
            self._depends, self._memos = depends, {}
        self._leaves = own
        return self._memos.setdefault(kind, {})

    def step(self, x: Any, /, *states: Any, **more: Any) -> tuple[Any, Any]:
        """Return the output y and the state after one step, of x (B, I) and the state before it.

        A cell writes it as ``step(self, x, state)``, or ``step(self, x, state, t)`` with the time,
        under names of its choice. Raises NotImplementedError where it does not.
        """
        own = type(self)
        renamed = [name for name in ("call", "forward") if name in vars(own)]
        fix = f"rename {renamed[0]} to step, which returns (y, state)" if renamed else "write one"
        raise NotImplementedError(f"{own.__name__} has no step(x, state); {fix}")

    def stepped(self, x: Any, state: Any, t: Any = None) -> tuple[Any, Any]:
        """Return `step`, handed the time if it takes that, with its equations and hooks. Without
        `t` it is the time of the step that runs, as a cell inside of a cell has it.
        """
        return called(self, self._checked_step, (x, state), {"t": t})  # type: ignore[no-any-return]

    def _checked_step(self, x: Any, state: Any, t: Any) -> tuple[Any, Any]:
        found = self._named_step(x, state, t)
        if not isinstance(found, tuple) or len(found) != 2:
            told = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
            raise TypeError(
                f"{type(self).__name__}: step must return (y, state), the output and the state "
                f"after it, got {told}"
            )
        return found

    def _named_step(self, x: Any, state: Any, t: Any) -> tuple[Any, Any]:
        token = None if t is None else _time.set(t)
        try:
            with engine.equations(self.step, self.state_size):
                if self._is_timed():
                    return self.step(x, state, _time.get())
                return self.step(x, state)
        finally:
            if token is not None:
                _time.reset(token)

    @property
    def starts_at_zero(self) -> bool:
        """Tell whether `zero_state` gives zeros, as it does unless a class writes its own."""
        return type(self).zero_state is BaseCell.zero_state

    def zero_state(self, batch: int, *, like: Tensor) -> Any:
        """Return zeros for every state, of the dtype and on the device of `like`."""
        states = tuple(
            engine.zeros(
                (batch, *units(size)), dtype=like.dtype, device=like.device, name=f"{name}0"
            )
            for name, size in self.state_size.items()
        )
        return states[0] if len(states) == 1 else states


@lru_cache(maxsize=1024)
def _third(step: Callable[..., Any]) -> list[str]:
    """Return the third argument of a function and the fourth, which is a method's third."""
    return [*signature(step).parameters][2:4]


class Step:
    """Compute one step of a cell: ``(state, inputs) -> (state, y)``.

    `inputs` is x; with `resets` (x, marks), where rows that are marked start over; for a cell that
    takes the time (inputs, t). `memo` is what scan remembers of it, None for nothing;
    ``__wrapped__`` has its equations, and `state_names` the names of what it returns.
    """

    __slots__ = ("__wrapped__", "cell", "memo", "resets", "state_names", "timed")

    def __init__(self, cell: BaseCell, *, resets: bool = False, kind: str = "") -> None:
        self.cell, self.resets = cell, resets
        self.memo = memo = cell.memo((kind, resets))
        if memo is None:
            self.timed = cell.takes_time
        else:  # which is empty again when anything of the cell has changed
            if "timed" not in memo:
                memo["timed"] = cell.takes_time
            self.timed = memo["timed"]
        self.__wrapped__ = cell.step
        self.state_names = tuple(cell.state_size)

    def __call__(self, state: Any, inputs: Any) -> tuple[Any, Any]:
        x, t = inputs if self.timed else (inputs, None)
        if self.resets:
            x, marks = x
            state = reset(self.cell, marks, state)
        y, state = self.cell.stepped(x, state, t)
        return state, y


def reset(cell: BaseCell, marks: Any, state: Any) -> Any:
    """Return a state that is the cell's initial one in the rows that are marked (B, 1)."""
    states = state if isinstance(state, tuple) else (state,)
    initial = (0.0,) * len(states)  # no more to compute where it is zeros
    if not cell.starts_at_zero:
        own = cell.zero_state(states[0].shape[0], like=states[0])
        initial = own if isinstance(own, tuple) else (own,)
    found = []
    for x, new in zip(states, initial, strict=True):
        own = marks if x.ndim == 2 else engine.reshape(marks, (-1, *(1,) * (x.ndim - 1)))
        found.append(engine.where(own, new, x))
    return tuple(found) if isinstance(state, tuple) else found[0]


def borders(marks: Any, within: Any, present: Any, *, reverse: bool) -> Any:
    """Return before which steps (T, B) a state is the initial one again, of arrays of booleans.

    A border lies before the step that is marked; backward in time it is the step before it that
    starts over. One at a step that a row lacks comes into force at the next step that it has, one
    beyond its end nowhere.
    """
    xp = HOST.xp
    marks = marks & within
    if reverse:
        marks = xp.concatenate([marks[1:], xp.zeros_like(marks[:1])])
    found, waiting = xp.zeros_like(marks), xp.zeros(marks.shape[1:], dtype=bool)
    for t in reversed(range(len(marks))) if reverse else range(len(marks)):
        waiting = waiting | marks[t]
        found[t] = waiting & present[t]
        waiting &= ~present[t]
    return found
