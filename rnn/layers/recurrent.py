"""Run a cell over time. Above the cells; the layers in `pytorch.py` are made of this."""

from contextvars import ContextVar
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from engine.checks import flag
from engine.pytree import Rebuild, flatten, structure
from engine.scan.padding import read_lengths
from engine.stepping import stepping
from engine.suggestions import kind_of
from rnn.cells.base import Cell
from rnn.cells.declaration import Step, borders, reset
from rnn.cells.sizes import given
from rnn.layers.packing import SequenceLayer
from rnn.layers.row_axes import with_row_axis
from rnn.modules.module import Found, HasStep

Checkpoint = bool | int | str  # as `engine.scan` takes it

# What sees the variables of every step; see `inspection/observe.py`.
watching: ContextVar[Any] = ContextVar("watching", default=None)


class Recurrent(SequenceLayer[Found]):
    """Run any cell over a sequence: ``(x, state=None, lengths=None) -> (y, state)``.

    x (T, B, I), or (B, T, I) with `batch_first`; the state is the cell's own, (B, H) each, zeros
    by default. x is a pytree of such, and of (T, B), where the cell's `input_size` is one.
    `lengths` (B,) ends each row at its own time, and `mask` (T, B) leaves steps out of rows: see
    `engine.scan`, as for `checkpoint`. `resets` (T, B) are true where a row starts over: no state
    passes from the step before to that one, nor back where it runs in `reverse`, from the last step
    to the first; ``(B,)`` are rows that start over with any `state`. `layer` is the number that
    scopes and pictures show. A packed batch gives packed outputs.
    Raises ValueError for inputs or states of a shape that does not fit the cell.

    >>> import engine, rnn
    >>> y, h = rnn.Recurrent(rnn.GRUCell(3, 5))(engine.ones((7, 2, 3)))
    >>> y.shape, h.shape
    ((7, 2, 5), (2, 5))
    """

    def __init__(
        self,
        cell: HasStep[Found],
        *,
        batch_first: bool = False,
        reverse: bool = False,
        layer: int = 0,
        checkpoint: Checkpoint = False,
    ) -> None:
        own: Any = cell  # of which checkers know the step alone
        if not isinstance(own, Cell):
            raise TypeError(
                f"Recurrent: expected a Cell, got {kind_of(cell)}; a class of rnn.Cell has "
                "step(x, state), which returns (y, state)"
            )
        own.check_sizes()
        self.cell = own
        self.batch_first = flag("batch_first", batch_first)
        self.reverse = flag("reverse", reverse)
        self.layer = layer
        self.checkpoint = checkpoint

    def run(
        self,
        x: Any,
        state: Any = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        resets: Any = None,
        unroll: bool = False,
    ) -> Any:  # nested as the cell's step returns them
        """Run the cell by `engine.scan`."""
        if state is not None and not unroll and self._is_plain(lengths, mask, resets):
            with self._scope():
                found = self.cell.repeated(x, state, reverse=self.reverse)
            if found is not None:
                return found[0], with_row_axis(found[1], 0)
        inputs, rebuild = self._inputs(x)
        if self.batch_first:
            inputs = [_turned(one) for one in inputs]
        steps, batch = inputs[0].shape[:2]
        state = self._checked(state, inputs, batch)
        marks, xs = None, rebuild(inputs)
        if resets is not None:
            present = self._present(lengths, mask, inputs[0], (steps, batch))
            state, marks = self._reset(resets, state, inputs[0], (steps, batch), present)
        step = Step(self.cell, resets=marks is not None, kind=structure(xs))
        if marks is not None:
            xs = (xs, engine.expand_dims(marks, axis=-1))
        if step.timed:
            xs = (xs, engine.arange(steps, device=inputs[0].device) + stepping().since)
        if (watch := watching.get()) is not None:
            step = watch.step(step)
        options: dict[str, Any] = {"lengths": lengths, "unroll": unroll, "reverse": self.reverse}
        if mask is not None:
            options["mask"] = self._marks("a mask", mask, inputs[0], (steps, batch))
        if self.checkpoint is not False:
            options["checkpoint"] = self.checkpoint
        with self._scope():
            final, ys = engine.scan(step, state, xs, **options)
            if watch is not None:
                ys = watch.taken(ys, self)
        if self.batch_first:
            leaves, rebuild = flatten(ys)
            ys = rebuild([_turned(y) for y in leaves])
        return ys, with_row_axis(final, 0)

    def _is_plain(self, *marks: Any) -> bool:
        """Return whether a call leaves out no step, starts nothing over, and is not observed."""
        if self.batch_first or self.checkpoint is not False or watching.get() is not None:
            return False
        return all(one is None for one in marks)

    def _scope(self) -> engine.scope:
        """Return the scope of the steps."""
        return engine.scope(
            f"l{self.layer}{'_reverse' if self.reverse else ''}",
            layer=self.layer,
            direction="reverse" if self.reverse else "forward",
            cell=type(self.cell).__name__,
        )

    def step(self) -> Step:
        """Return the cell's step in the form that `scan` asks for: (state, x) -> (state, y)."""
        return Step(self.cell)

    def _inputs(self, x: Any) -> tuple[list[Tensor], Rebuild]:
        """Return the inputs one by one, and what rebuilds them. Raises ValueError on bad shapes."""
        order = ("B", "T") if self.batch_first else ("T", "B")
        sizes = self.cell.input_size
        pairs, rebuild = given(self._where(), x, sizes)
        if len(pairs) == 1 and isinstance(sizes, int):
            one = pairs[0][0]
            if one.ndim != 3 or one.shape[-1] != sizes:
                raise ValueError(
                    f"{self._where()}: expected x ({', '.join(order)}, I) with I = {sizes}, "
                    f"got {one.shape}"
                )
        first = next((one for one, _ in pairs if one.ndim > 1), None)
        front = first.shape[:2] if first is not None else ()
        for number, (one, own) in enumerate(pairs):
            if one.shape != (*front, *own) or not front:
                name = "x" if len(pairs) == 1 else f"input {number}"
                expected = ", ".join((*order, *map(str, own)))
                raise ValueError(
                    f"{self._where()}: expected {name} ({expected}) with {' and '.join(order)} "
                    f"the same for all inputs, got {one.shape}"
                )
        return [one for one, _ in pairs], rebuild

    def _reset(
        self,
        resets: Any,
        state: Any,
        like: Tensor,
        front: tuple[int, int],
        present: tuple[Any, Any],
    ) -> tuple[Any, Tensor | None]:
        """Return the state to start from, and before which steps it is the initial one again."""
        resets = resets if isinstance(resets, Tensor) else engine.asarray(resets)
        if resets.ndim == 1:
            marks = self._marks("resets", resets, like, front[1:])
            return reset(self.cell, engine.expand_dims(marks, axis=-1), state), None
        marks = self._marks("resets", resets, like, front).numpy()
        return state, engine.asarray(borders(marks, *present, reverse=self.reverse),
                                     device=like.device)  # fmt: skip

    def _present(
        self, lengths: Any, mask: Any, like: Tensor, front: tuple[int, int]
    ) -> tuple[Any, Any]:
        """Return which steps (T, B) lie within the rows, and which of them there are."""
        xp = HOST.xp
        within = xp.ones(front, dtype=bool)
        if lengths is not None:
            ends = read_lengths(self._where(), lengths, *front)
            within = xp.arange(front[0])[:, None] < ends[None, :]
        if mask is None:
            return within, within
        return within, within & self._marks("a mask", mask, like, front).numpy()

    def _marks(self, name: str, marks: Any, like: Tensor, front: tuple[int, ...]) -> Tensor:
        """Return booleans (T, B), as `resets` are. Raises ValueError for other shapes, dtypes."""
        found = marks if isinstance(marks, Tensor) else engine.asarray(marks, device=like.device)
        expected = front[::-1] if self.batch_first else front
        if found.shape != expected or found.dtype != engine.bool:
            raise ValueError(
                f"{self._where()}: expected {name} as booleans {expected}, "
                f"got {found.dtype}{list(found.shape)}"
            )
        return _turned(found) if self.batch_first and found.ndim > 1 else found

    def _checked(self, state: Any, inputs: list[Tensor], batch: int) -> Any:
        """Return the first state, zeros by default, of the shapes that the cell declares."""
        floating = [x for x in inputs if x.dtype.kind == "f"] if len(inputs) > 1 else inputs
        own = next((p.dtype for p in self.cell.each_parameter()), None)
        kinds = [x.dtype for x in floating] + ([own] if own is not None else [])
        kind = engine.result_type(*kinds) if kinds else engine.float32
        if state is None:
            like = next((x for x in inputs if x.dtype == kind), None)
            like = engine.zeros((), dtype=kind, device=inputs[0].device) if like is None else like
            return self.cell.zero_state(batch, like=like)
        found = self.cell.checked(state, batch, self._where())
        for one in found if isinstance(found, tuple) else (found,):
            if one.dtype != kind:
                x = inputs[0].dtype
                raise ValueError(
                    f"{self._where()}: a state is {one.dtype}, and x ({x}) with the "
                    f"parameters ({own or x}) is {kind}; convert one of them with engine.astype"
                )
        return found

    def _where(self) -> str:
        return self._name or type(self.cell).__name__


def _turned(x: Tensor) -> Tensor:
    """Return the time and batch exchanged."""
    return engine.permute_dims(x, (1, 0, *range(2, x.ndim)))
