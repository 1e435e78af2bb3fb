"""Runs a cell over time. Above the cells; the layers in `layers.py` are made of this."""

from typing import Any

import engine
from engine import Tensor
from rnn.cells.base import Cell
from rnn.module import Module


class Recurrent(Module):
    """Any cell over a sequence: ``(x, state=None, lengths=None) -> (y, state)``.

    x (T, B, I), or (B, T, I) with `batch_first`; the state is the cell's own, (B, H) each, zeros
    by default. `lengths` (B,) ends each row at its own time: see `engine.scan`. `reverse` runs
    from the last step to the first. `layer` is the number that scopes and pictures show.
    Raises ValueError for inputs or states whose shape does not fit the cell.

    >>> import engine, rnn
    >>> y, h = rnn.Recurrent(rnn.GRUCell(3, 5))(engine.ones((7, 2, 3)))
    >>> y.shape, h.shape
    ((7, 2, 5), (2, 5))
    """

    def __init__(
        self, cell: Cell, *, batch_first: bool = False, reverse: bool = False, layer: int = 0
    ) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"Recurrent: expected a Cell, got {type(cell).__name__}")
        self.cell = cell
        self.batch_first = batch_first
        self.reverse = reverse
        self.layer = layer

    def forward(
        self,
        x: Tensor,
        state: Any = None,
        lengths: Any = None,
        *,
        resets: Any = None,
        unroll: bool = False,
    ) -> tuple[Tensor, Any]:
        final, y = self.run(x, state, lengths, self.step(), resets=resets, unroll=unroll)
        return y, final

    def run(
        self,
        x: Tensor,
        state: Any,
        lengths: Any,
        step: Any,
        *,
        resets: Any = None,
        unroll: bool = False,
    ) -> tuple[Any, Any]:
        """`step` over the sequence as `engine.scan` does it: the final state, and the outputs."""
        x = x if isinstance(x, Tensor) else engine.asarray(x)
        if x.ndim != 3 or x.shape[-1] != self.cell.input_size:
            order = "(B, T, I)" if self.batch_first else "(T, B, I)"
            raise ValueError(
                f"{self._where()}: expected x {order} with I = {self.cell.input_size}, "
                f"got {x.shape}"
            )
        if self.batch_first:
            x = engine.permute_dims(x, (1, 0, 2))
        state = self._checked(state, x)
        xs: Any = x
        if resets is not None:
            xs, step = (x, self._marks(resets, x)), _resetting(step)
        labels = {
            "layer": self.layer,
            "direction": "reverse" if self.reverse else "forward",
            "cell": type(self.cell).__name__,
        }
        with engine.scope(f"l{self.layer}{'_reverse' if self.reverse else ''}", **labels):
            final, ys = engine.scan(
                step, state, xs, reverse=self.reverse, lengths=lengths, unroll=unroll
            )
        return final, _turned(ys) if self.batch_first else ys

    def _marks(self, resets: Any, x: Tensor) -> Tensor:
        """Where rows begin anew, (T, B, 1). Raises ValueError for another shape or dtype."""
        marks = resets if isinstance(resets, Tensor) else engine.asarray(resets, device=x.device)
        expected = (x.shape[1], x.shape[0]) if self.batch_first else x.shape[:2]
        if marks.shape != expected or marks.dtype != engine.bool:
            raise ValueError(
                f"{self._where()}: expected resets as booleans {expected}, "
                f"got {marks.dtype}{list(marks.shape)}"
            )
        marks = engine.permute_dims(marks, (1, 0)) if self.batch_first else marks
        return engine.expand_dims(marks, axis=-1)

    def step(self) -> Any:
        """The cell's step in the form that `scan` asks for: (state, x) -> (state, y)."""
        cell = self.cell

        def step(state: Any, x: Tensor) -> tuple[Any, Tensor]:
            y, state = cell.step(x, state)
            return state, y

        if cell.remembers():
            step.memo = cell.memo()  # type: ignore[attr-defined]
        step.__wrapped__ = cell.step  # type: ignore[attr-defined]  # where the equations are
        step.state_names = tuple(cell.state_size)  # type: ignore[attr-defined]
        return step

    def _checked(self, state: Any, x: Tensor) -> Any:
        """The state to start from, zeros by default, of the shapes that the cell declares."""
        own = next((p.dtype for p in self.cell.parameters()), x.dtype)
        kind = engine.result_type(x.dtype, own)
        if state is None:
            like = x if x.dtype == kind else engine.zeros((), dtype=kind, device=x.device)
            return self.cell.zero_state(x.shape[1], like=like)
        given = self.cell.checked(state, x.shape[1], self._where())
        for one in given if isinstance(given, tuple) else (given,):
            if one.dtype != kind:
                raise ValueError(
                    f"{self._where()}: a state is {one.dtype}, and x ({x.dtype}) with the "
                    f"parameters ({own}) is {kind}; convert one of them with engine.astype"
                )
        return given

    def _where(self) -> str:
        return self._name or type(self.cell).__name__


def _resetting(step: Any) -> Any:
    """A step that begins with zeros in the rows that are marked."""

    def fresh(state: Any, x: Any) -> tuple[Any, Tensor]:
        x, marked = x
        parts = state if isinstance(state, tuple) else (state,)
        parts = tuple(engine.where(marked, 0.0, part) for part in parts)
        return step(parts if isinstance(state, tuple) else parts[0], x)  # type: ignore[no-any-return]

    for name in ("memo", "__wrapped__", "state_names"):
        if hasattr(step, name):
            setattr(fresh, name, getattr(step, name))
    return fresh


def _turned(ys: Any) -> Any:
    """Time and batch exchanged in every output."""
    if isinstance(ys, Tensor):
        return engine.permute_dims(ys, (1, 0, *range(2, ys.ndim)))
    if isinstance(ys, dict):
        return {name: _turned(y) for name, y in ys.items()}
    return tuple(_turned(y) for y in ys)
