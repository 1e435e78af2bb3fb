"""Weights of Keras's SimpleRNN, LSTM and GRU, as ``layer.get_weights()`` gives them.

Above `blocks.py`. Keras multiplies from the right, has one bias, or for the GRU two in one array,
and orders the gates of the GRU z, r, h; those of the LSTM come in our own order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from engine import Tensor
from engine.backends import Array
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell, ResetBeforeGRUCell
from rnn.interop.blocks import Run, as_array, assign, gates, keep_old, mismatches, runs, xp
from rnn.module import Module

# Which of our gates is Keras's first, second, ...; each order is its own inverse.
ORDERS: dict[type[Cell], tuple[int, ...]] = {
    ElmanCell: (0,), LSTMCell: (0, 1, 2, 3), GRUCell: (1, 0, 2), ResetBeforeGRUCell: (1, 0, 2),
}  # fmt: skip


def to_keras(module: Module) -> list[Array]:
    """The weights of a module, for ``set_weights`` of the Keras layer or model with its equations.

    For each direction ``kernel`` (I, gates H), ``recurrent_kernel`` (H, gates H) and, where there
    are biases, ``bias`` (gates H,), (2, 3H) for a GRU. `rnn.RNN` goes to SimpleRNN with the same
    activation, `LSTM` to LSTM, `GRU` to GRU, and a `Recurrent` of a `ResetBeforeGRUCell` to GRU
    with ``reset_after=False``. Both directions come as `Bidirectional` has them, forward first,
    and several layers one after another, as a `Sequential` has them. Raises TypeError for cells and
    ValueError for projections that Keras does not have.

    >>> import rnn
    >>> [x.shape for x in rnn.interop.to_keras(rnn.GRU(3, 5))]
    [(3, 15), (5, 15), (2, 15)]
    """
    return [x for run in _runs(module, "to_keras") for x in _written(run.cell)]


def from_keras(module: Module, weights: Sequence[Any]) -> None:
    """Take over the weights that ``get_weights()`` of a Keras layer or model gives.

    The order is that of `to_keras`; a list of lists, for directions or layers, is read as the one
    list that it makes. An LSTM's or SimpleRNN's bias goes to ``bias_ih``, ``bias_hh`` becomes
    zeros. Raises ValueError that lists every array that does not fit; then nothing has changed.
    Raises TypeError for cells and ValueError for projections that Keras does not have.

    >>> import rnn
    >>> here, there = rnn.LSTM(3, 5, bidirectional=True), rnn.LSTM(3, 5, bidirectional=True)
    >>> rnn.interop.from_keras(there, rnn.interop.to_keras(here))
    """
    found = _runs(module, "from_keras")
    given = list(_flat(weights))
    expected = {f"{run.where} {name}": shape
                for run in found for name, shape in _shapes(run.cell).items()}  # fmt: skip
    if len(given) != len(expected):
        listed = ", ".join(f"{name} {shape}" for name, shape in expected.items())
        raise ValueError(
            f"from_keras: expected {len(expected)} arrays ({listed}), got {len(given)}; "
            "use_bias, the number of layers and the directions have to be the module's"
        )
    named = dict(zip(expected, given, strict=True))
    faults = mismatches(named, expected)
    if faults:
        raise ValueError(f"from_keras: {'; '.join(faults)}{_hint(found, given)}")
    arrays = iter([as_array(x) for x in given])
    values: list[tuple[Tensor, Array]] = []
    for run in found:
        values += _read(run.cell, [next(arrays) for _ in _shapes(run.cell)])
    assign(values)


def _runs(module: Module, where: str) -> list[Run]:
    """All cells in order. Raises for those that Keras does not have."""
    found = [run for layer in runs(module) for run in layer]
    for run in found:
        if type(run.cell) not in ORDERS:
            known = ", ".join(kind.__name__ for kind in ORDERS)
            raise TypeError(
                f"{where}: Keras has no {type(run.cell).__name__}; it has the equations of {known}"
            )
        if isinstance(run.cell, LSTMCell) and run.cell.proj_size:
            raise ValueError(f"{where}: Keras's LSTM has no proj_size (here {run.cell.proj_size})")
    return found


def _shapes(cell: Any) -> dict[str, tuple[int, ...]]:
    """Keras's arrays for one cell by name, with their shapes."""
    rows, H = cell.weight_hh.shape
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (cell.input_size, rows), "recurrent_kernel": (H, rows)
    }  # fmt: skip
    if cell.bias_ih is not None:
        shapes["bias"] = (2, rows) if isinstance(cell, GRUCell) else (rows,)
    return shapes


def _ordered(cell: Cell, x: Array) -> Array:
    """The rows of a weight in Keras's order of gates, or those of Keras in ours."""
    order = ORDERS[type(cell)]
    return gates(x, order, len(order))


def _written(cell: Any) -> list[Array]:
    """Keras's arrays for one cell."""

    def rows(x: Tensor) -> Array:
        return _ordered(cell, keep_old(cell, x.numpy()))

    arrays = [rows(cell.weight_ih).T.copy(), rows(cell.weight_hh).T.copy()]
    if cell.bias_ih is None:
        return arrays
    if cell.bias_hh is None:
        return [*arrays, rows(cell.bias_ih)]
    both = [rows(cell.bias_ih), rows(cell.bias_hh)]
    return [*arrays, xp.stack(both) if isinstance(cell, GRUCell) else both[0] + both[1]]


def _read(cell: Any, arrays: list[Array]) -> list[tuple[Tensor, Array]]:
    """The parameters of one cell with the values that Keras's arrays give them."""

    def rows(x: Array) -> Array:
        return keep_old(cell, _ordered(cell, x))

    values = [(cell.weight_ih, rows(arrays[0].T)), (cell.weight_hh, rows(arrays[1].T))]
    if cell.bias_ih is None:
        return values
    bias = arrays[2]
    if isinstance(cell, GRUCell):
        return [*values, (cell.bias_ih, rows(bias[0])), (cell.bias_hh, rows(bias[1]))]
    values.append((cell.bias_ih, rows(bias)))
    if cell.bias_hh is not None:
        values.append((cell.bias_hh, xp.zeros_like(bias)))
    return values


def _flat(weights: Any) -> Iterator[Any]:
    """The arrays in lists of lists, in order."""
    waiting = [weights]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting += reversed(one)
        else:
            yield one


def _hint(found: list[Run], given: list[Any]) -> str:
    """Says so where the arrays are those of the GRU's other form."""
    kinds = {type(run.cell) for run in found}
    biases = [getattr(x, "ndim", 0) for x in given[2::3]]
    if kinds == {GRUCell} and 1 in biases:
        return "; a GRU with reset_after=False is rnn.Recurrent(rnn.ResetBeforeGRUCell(...)) here"
    if kinds == {ResetBeforeGRUCell} and 2 in biases:
        return "; a GRU with reset_after=True is rnn.GRU here"
    return ""
