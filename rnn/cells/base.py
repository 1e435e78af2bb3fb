"""Define a cell: the equations of one time step, and nothing else. Time, layers and direction live
in `layers/recurrent.py`. Above `declaration.py`.
"""

from typing import TYPE_CHECKING, Any

import engine
from engine import Tensor
from engine.checks import flag
from engine.pytree import Rebuild, flatten
from engine.scan.repeated import repeated
from engine.state import current
from engine.stepping import stepping
from rnn.cells.declaration import BaseCell, Step
from rnn.cells.equations import latex
from rnn.cells.recording import recorded_step
from rnn.cells.sizes import given
from rnn.modules.module import Back, HasStep, parameter, positive


class Cell(BaseCell):
    """Serve as base class: set `input_size` and `state_size`, make parameters, and write `step`.

    `state_size` gives each state's name and width, in order: ``{"h": H, "c": H}``. A cell with
    one state is handed it as a tensor (B, H), one with several as a tuple. ``{"S": (K, V)}`` is a
    state (B, K, V), and None in the place of a width one number a row. `input_size` is a width or
    a tuple of widths too, or a pytree of such for a step of several inputs: ``(3, None)`` for x
    (B, 3) and a number a row (B,). A step with a third argument called `t` is handed the time, an
    integer tensor of shape (). Assignments in `step` name the nodes that they make, and the place
    in what it returns names the states, so pictures show the symbols of the equations.

    >>> import engine, rnn
    >>> class Leaky(rnn.Cell):
    ...     input_size, state_size = 3, {"h": 3}
    ...     def step(self, x, h): return (h := 0.9 * h + 0.1 * engine.tanh(x)), h
    """

    if TYPE_CHECKING:  # a call returns what the `step` of the class does

        def __call__(self: HasStep[Back], x: Any, state: Any = None, *, t: Any = 0) -> Back: ...

    def forward(self, x: Any, state: Any = None, *, t: Any = 0) -> tuple[Any, Any]:
        """Return `step` from zeros where no state is given, at time `t`; x (B, I), or one row (I,).

        In a loop by hand the nodes of each call are labelled with its time step: one after that of
        the state that it goes on from.
        """
        asked = state is None or _has_gradient(x, state)  # which no step is remembered for
        found = None if asked else self.repeated(x, state, timed=False)
        if found is not None:
            return found
        pairs, rebuild = given(type(self).__name__, x, self.input_size)
        if pairs and all(one.ndim == len(own) for one, own in pairs):
            return self._of_one([one for one, _ in pairs], rebuild, state, t)
        if isinstance(self.input_size, int) and pairs[0][0].ndim != 2:
            raise ValueError(
                f"{type(self).__name__}: expected x (B, I), or one row (I,), with I = "
                f"{self.input_size}, got {pairs[0][0].shape}; Recurrent runs a cell over time"
            )
        x = rebuild([one for one, _ in pairs])
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

    def _of_one(self, xs: list[Tensor], rebuild: Rebuild, state: Any, t: Any) -> tuple[Any, Any]:
        """Compute the step of one row (I,) with states (H,), as a batch of one."""
        x = rebuild([engine.expand_dims(one, axis=0) for one in xs])
        if state is not None:
            parts, rebuild = flatten(state)
            state = rebuild([engine.expand_dims(engine.asarray(one), axis=0) for one in parts])
        leaves, rebuild = flatten(self.forward(x, state, t=t))
        return rebuild([engine.squeeze(one, axis=0) for one in leaves])  # type: ignore[no-any-return]

    def recorded_step(self, x: Any = None, states: Any = None) -> Any:
        """Record one step with its numbers and its equations, as a `StepRecord`.

        See `rnn.cells.recording`; pictures of cells are made of it.
        """
        return recorded_step(self, x, states)

    def _repr_latex_(self) -> str | None:
        """Return the equations of the step for notebooks; None where they cannot be read."""
        try:
            return f"$$\n{latex(self)}\n$$"
        except Exception:  # a step of any kind: the notebook then shows the plain repr
            return None


def _has_gradient(x: Any, state: Any) -> bool:
    """Tell whether an argument of a step requires a gradient that is recorded."""
    if not current().recording:
        return False
    states = state if type(state) is tuple else (state,)
    return any(type(one) is Tensor and one.requires_grad for one in (x, *states))


def _place(state: Any, t: Any) -> dict[str, Any]:
    """Return the time label of a step called by hand, one after its state's, if none is there."""
    if "t" in current().scope.labels or stepping().arguments:
        return {}
    made = (one.node for one in flatten(state)[0] if isinstance(one, Tensor))
    times = [node.scope.labels.get("t") for node in made if "state" in node.scope.labels]
    earlier = [own for own in times if isinstance(own, int)]
    return {"t": max(earlier) + 1 if earlier else t if isinstance(t, int) else 0}


class PyTorchCell(Cell):
    """Give cells PyTorch's parameters, for any number of gates: a base class.

    `weight_ih` (gates H, I), `weight_hh` (gates H, H), `bias_ih` and `bias_hh` (gates H,), all
    uniform in +-1 / sqrt(H). `recurrent` is the width of the state that is fed back, H by default.
    """

    def __init__(
        self,
        gates: int,
        input_size: int,
        hidden_size: int,
        *,
        recurrent: int | None = None,
        bias: bool,
        dtype: object,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        bias = flag("bias", bias)
        H, k = hidden_size, hidden_size**-0.5
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_ih = parameter((gates * H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((gates * H, recurrent or H), k, dtype=dtype)
        self.bias_ih = parameter((gates * H,), k, dtype=dtype) if bias else None
        self.bias_hh = parameter((gates * H,), k, dtype=dtype) if bias else None
