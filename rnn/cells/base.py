"""A cell: the equations of one time step, and nothing else. Time, layers and direction live in
`layers/recurrent.py`.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any

import engine
from engine import Tensor
from engine.pytree import Rebuild, flatten
from engine.scan.repeated import repeated
from engine.state import current
from engine.stepping import stepping
from rnn.cells.memory import OWN, Leaves, UnnameableError, alike, leaves, module_key
from rnn.cells.sizes import given, units
from rnn.cells.step import Step
from rnn.modules.calling import Back, HasStep
from rnn.modules.containers import PLAIN
from rnn.modules.containers import leaves as leaves_of
from rnn.modules.module import Module, hooked

KINDS = 64  # of batches and dtypes that are remembered for one cell
_time: ContextVar[Any] = ContextVar("time")  # of the step that runs, for cells inside of cells


class Cell(Module):
    """Base class. Set `input_size` and `state_size`, make parameters, and write `step`.

    `state_size` gives each state's name and width, in order: ``{"h": H, "c": H}``. A cell with
    one state is handed it as a tensor (B, H), one with several as a tuple. ``{"S": (K, V)}`` is a
    state (B, K, V), and None in the place of a width one number a row. `input_size` is a width or
    a tuple of widths too, or a nest of such for a step of several inputs: ``(3, None)`` for x
    (B, 3) and a number a row (B,). A step with a third argument called `t` is handed the time, an
    integer tensor of shape (). Assignments in `step` name the nodes that they make, and the place
    in what it returns names the states, so pictures show the symbols of the equations.

    >>> import engine, rnn
    >>> class Leaky(rnn.Cell):
    ...     input_size, state_size = 3, {"h": 3}
    ...     def step(self, x, h): return (h := 0.9 * h + 0.1 * engine.tanh(x)), h
    """

    input_size: Any
    state_size: dict[str, Any]

    # Whether `step` depends on nothing but its arguments and the attributes of the cell that are
    # tensors, numbers or words. Then it is recorded once and not again at every call.
    pure = False
    _memos: dict[Any, dict[Any, Any]]
    _depends: Any
    _leaves: Leaves | None

    def __init_subclass__(cls, **options: Any) -> None:
        """A class that writes its own `step` has to promise for itself that it is pure."""
        super().__init_subclass__(**options)
        if "step" in vars(cls) and "pure" not in vars(cls):
            cls.pure = False

    def __getstate__(self) -> dict[str, Any]:
        """The attributes for copies, which remember nothing yet."""
        return {name: x for name, x in vars(self).items() if name not in OWN}

    def remembers(self) -> bool:
        """Whether the recorded step is good for the next call too: not where it depends on what
        cannot be told apart from its next version, such as functions of the user's.
        """
        return self.memo() is not None

    @property
    def takes_time(self) -> bool:
        """Whether the step, or that of a cell inside, is handed the time."""
        held = [name for name, one in vars(self).items()
                if type(one) not in PLAIN and type(one) is not Tensor]  # fmt: skip
        parts = (part for name in held if name not in OWN
                 for _, part in leaves_of(name, vars(self)[name]))  # fmt: skip
        return self._is_timed() or any(one.takes_time for one in parts if isinstance(one, Cell))

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
        """A state as tensors of the shapes that the cell declares.

        Raises ValueError for other shapes, or for one tensor where there are several states.
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
            raise ValueError(
                f"{where or type(self).__name__}: expected states {', '.join(sizes)} of shapes "
                f"{expected}, got {[x.shape for x in found]}"
            )
        return found[0] if len(sizes) == 1 else found

    def memo(self, kind: Any = None) -> dict[Any, Any] | None:
        """What `scan` remembers of a pure step that is called in one way; empty again when an
        attribute has changed. None where it cannot be told whether one has.
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
        raise NotImplementedError(f"{type(self).__name__} has no step(x, state); write one")

    if TYPE_CHECKING:  # a call returns what the `step` of the class does

        def __call__(self: HasStep[Back], x: Any, state: Any = None, *, t: Any = 0) -> Back: ...

    def stepped(self, x: Any, state: Any, t: Any = None) -> tuple[Any, Any]:
        """`step`, handed the time where it takes that, with the names of its equations and hooks.

        Without `t` it is the time of the step that runs, as a cell inside of a cell has it.
        """
        found = self._named_step(x, state, t)
        if not isinstance(found, tuple) or len(found) != 2:
            told = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
            raise TypeError(
                f"{type(self).__name__}: step must return (y, state), the output and the state "
                f"after it, got {told}"
            )
        return hooked(self, (x, state), found)  # type: ignore[no-any-return]

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

    def forward(self, x: Any, state: Any = None, *, t: Any = 0) -> tuple[Any, Any]:
        """`step` from zeros where no state is given, at time `t`; x (B, I), or one row (I,).

        In a loop by hand the nodes of each call are labelled with its time step: one after that of
        the state that it goes on from.
        """
        asked = state is None or _has_gradient(x, state)  # which no step is remembered for
        found = None if asked else self.repeated(x, state, timed=False)
        if found is not None:
            return found
        pairs, nest = given(type(self).__name__, x, self.input_size)
        if pairs and all(one.ndim == len(own) for one, own in pairs):
            return self._of_one([one for one, _ in pairs], nest, state, t)
        if isinstance(self.input_size, int) and pairs[0][0].ndim != 2:
            raise ValueError(
                f"{type(self).__name__}: expected x (B, I), or one row (I,), with I = "
                f"{self.input_size}, got {pairs[0][0].shape}; Recurrent runs a cell over time"
            )
        x = nest([one for one, _ in pairs])
        batch = max((one.shape[0] for one, _ in pairs if one.ndim), default=1)
        floating = (one for one, _ in pairs if one.dtype.kind == "f")
        like = next(floating, pairs[0][0]) if pairs else engine.zeros(())
        if state is None:
            state = self.zero_state(batch, like=like)
        else:
            state = self.checked(state, batch)
            found = None if asked else self.repeated(x, state, timed=False, new=True)
            if found is not None:
                return found
        now = engine.asarray(t) if self.takes_time else None
        with engine.scope(cell=type(self).__name__, **_place(state, t)):
            return self._named_step(x, state, now)

    def repeated(self, x: Any, state: Any, **options: Any) -> tuple[Any, Any] | None:
        """Return (y, state) of x (T, B, I), or of one step (B, I), where a call was like this.

        None where the long way has to be gone. See `engine.scan.repeated` for the options.
        """
        step = Step(self, kind="*")
        found = None if step.timed else repeated(step, state, x, **options)
        return None if found is None else (found[1], found[0])

    def _of_one(self, xs: list[Tensor], nest: Rebuild, state: Any, t: Any) -> tuple[Any, Any]:
        """Compute the step of one row (I,) with states (H,), as a batch of one."""
        x = nest([engine.expand_dims(one, axis=0) for one in xs])
        if state is not None:
            parts, rebuild = flatten(state)
            state = rebuild([engine.expand_dims(engine.asarray(one), axis=0) for one in parts])
        leaves, rebuild = flatten(self.forward(x, state, t=t))
        return rebuild([engine.squeeze(one, axis=0) for one in leaves])  # type: ignore[no-any-return]

    @property
    def starts_at_zero(self) -> bool:
        """Tell whether `zero_state` gives zeros, as it does unless a class writes its own."""
        return type(self).zero_state is Cell.zero_state

    def recorded_step(self, x: Any = None, states: Any = None) -> Any:
        """Record one step with its numbers and its equations, as a `StepRecord`.

        See `rnn.cells.recording`; pictures of cells are made of it.
        """
        from rnn.cells.recording import recorded_step

        return recorded_step(self, x, states)

    def _repr_latex_(self) -> str | None:
        """Return the equations of the step for notebooks; None where they cannot be read."""
        from rnn.cells.equations import latex

        try:
            return f"$$\n{latex(self)}\n$$"
        except Exception:  # a step of any kind: the notebook then shows the plain repr
            return None

    def zero_state(self, batch: int, *, like: Tensor) -> Any:
        """Zeros for every state, of the dtype and on the device of `like`."""
        states = tuple(
            engine.zeros(
                (batch, *units(size)), dtype=like.dtype, device=like.device, name=f"{name}0"
            )
            for name, size in self.state_size.items()
        )
        return states[0] if len(states) == 1 else states


def _has_gradient(x: Any, state: Any) -> bool:
    """Tell whether an argument of a step requires a gradient that is recorded."""
    if not current().recording:
        return False
    states = state if type(state) is tuple else (state,)
    return any(type(one) is Tensor and one.requires_grad for one in (x, *states))


def _place(state: Any, t: Any) -> dict[str, Any]:
    """Return the time label of a step that is called by hand: one after that of its state.

    Return nothing inside of a recurrence and in a scope that has one.
    """
    if "t" in current().scope.labels or stepping().arguments:
        return {}
    made = (one.node for one in flatten(state)[0] if isinstance(one, Tensor))
    times = [node.scope.labels.get("t") for node in made if "state" in node.scope.labels]
    earlier = [own for own in times if isinstance(own, int)]
    return {"t": max(earlier) + 1 if earlier else t if isinstance(t, int) else 0}


@lru_cache(maxsize=1024)
def _third(step: Callable[..., Any]) -> list[str]:
    """The third argument of a function and the fourth, which is a method's third."""
    return [*signature(step).parameters][2:4]
