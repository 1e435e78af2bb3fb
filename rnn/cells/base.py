"""A cell: the equations of one time step, and nothing else. Time, layers and direction live in
`recurrent.py`.
"""

from typing import Any

import engine
from engine import Tensor
from rnn.module import Module, parameter, positive

KINDS = 64  # of batches and dtypes that are remembered for one cell


class Cell(Module):
    """Base class. Set `input_size` and `state_size`, make parameters, and write `step`.

    `state_size` gives each state's name and width, in order: ``{"h": H, "c": H}``. A cell with
    one state is handed it as a tensor (B, H), one with several as a tuple. Assignments in `step`
    name the nodes that they make, so pictures show the symbols of the equations.

    >>> import engine, rnn
    >>> class Leaky(rnn.Cell):
    ...     input_size, state_size = 3, {"h": 3}
    ...     def step(self, x, h): return (h := 0.9 * h + 0.1 * engine.tanh(x)), h
    """

    input_size: int
    state_size: dict[str, int]

    # Whether `step` depends on nothing but its arguments and the attributes of the cell that are
    # tensors, numbers or words. Then it is recorded once and not again at every call.
    pure = False
    _memo: dict[Any, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        """A class that writes its own `step` has to promise for itself that it is pure."""
        super().__init_subclass__(**options)
        if "step" in vars(cls) and "pure" not in vars(cls):
            cls.pure = False

    def __getstate__(self) -> dict[str, Any]:
        """The attributes for copies, which remember nothing yet."""
        return {name: x for name, x in vars(self).items() if name not in ("_memo", "_depends")}

    def remembers(self) -> bool:
        """Whether the recorded step is good for the next call too: not where it calls functions of
        the user's, which may have changed by then.
        """
        return self.pure and not any(
            callable(x)
            and not isinstance(x, Cell)
            and getattr(x, "__module__", "").split(".")[0] != "engine"
            for x in vars(self).values()
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
        given = tuple(x if isinstance(x, Tensor) else engine.asarray(x)
                      for x in ((state,) if single else state))  # fmt: skip
        expected = [(batch, size) for size in sizes.values()]
        if [x.shape for x in given] != expected:
            raise ValueError(
                f"{where or type(self).__name__}: expected states {', '.join(sizes)} of shapes "
                f"{expected}, got {[x.shape for x in given]}"
            )
        return given[0] if len(sizes) == 1 else given

    def memo(self) -> dict[Any, Any]:
        """What `scan` remembers of a pure step; empty again when an attribute has changed."""
        own = self.__getstate__()
        depends = [
            (name, id(x), x.requires_grad, x.dtype.str) if isinstance(x, Tensor) else repr(x)
            for name, x in own.items()
        ]
        if getattr(self, "_depends", None) != depends or len(self._memo) > KINDS:
            self._depends, self._memo = depends, {}
        return self._memo

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step: x (B, I) and the state before it to the output y and the state after it."""
        raise NotImplementedError(f"{type(self).__name__} has no step(x, state); write one")

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """`step` from zeros where no state is given."""
        state = (self.zero_state(x.shape[0], like=x) if state is None
                 else self.checked(state, x.shape[0]))  # fmt: skip
        labels = {"cell": type(self).__name__}
        with engine.scope(**labels), engine.equations(self.step, self.state_size):
            return self.step(x, state)

    def zero_state(self, batch: int, *, like: Tensor) -> Any:
        """Zeros for every state, of the dtype and on the device of `like`."""
        states = tuple(
            engine.zeros((batch, size), dtype=like.dtype, device=like.device, name=f"{name}0")
            for name, size in self.state_size.items()
        )
        return states[0] if len(states) == 1 else states


class PyTorchCell(Cell):
    """Base class of cells with PyTorch's parameters, for any number of gates.

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
        H, k = hidden_size, hidden_size**-0.5
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_ih = parameter((gates * H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((gates * H, recurrent or H), k, dtype=dtype)
        self.bias_ih = parameter((gates * H,), k, dtype=dtype) if bias else None
        self.bias_hh = parameter((gates * H,), k, dtype=dtype) if bias else None
