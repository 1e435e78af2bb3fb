"""Convert arrays between a layer of Keras and one of our modules: their shapes, values, order.

Below `keras_parts.py`. Keras multiplies from the right, has one bias, or for the GRU two in one
array, and orders the gates of the GRU z, r, h; those of the LSTM come in our own order.
"""

from typing import Any

from engine import Tensor
from engine.backends import Array
from rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell, ResetBeforeGRUCell
from rnn.interop.blocks import gates, keep_old, xp
from rnn.modules.feedforward import Embedding, LayerNorm, Linear
from rnn.modules.module import Module
from rnn.wrappers.regularizers import VariationalDropout

# Which of our gates is Keras's first, second, ...; each order is its own inverse.
ORDERS: dict[type[Cell], tuple[int, ...]] = {
    ElmanCell: (0,), LSTMCell: (0, 1, 2, 3), GRUCell: (1, 0, 2), ResetBeforeGRUCell: (1, 0, 2),
}  # fmt: skip


def bare(cell: Cell) -> Cell:
    """Return the cell inside of the dropout of inputs, which has no arrays."""
    return bare(cell.cell) if isinstance(cell, VariationalDropout) else cell


def check_cell(where: str, cell: Cell) -> None:
    """Raise TypeError for a cell that Keras does not have, ValueError for a projection."""
    cell = bare(cell)
    if type(cell) not in ORDERS:
        known = ", ".join(kind.__name__ for kind in ORDERS)
        raise TypeError(
            f"{where}: Keras has no {type(cell).__name__}; it has the equations of {known}"
        )
    if isinstance(cell, LSTMCell) and cell.proj_size:
        raise ValueError(f"{where}: Keras's LSTM has no proj_size (here {cell.proj_size})")


def shapes_of(module: Module) -> dict[str, tuple[int, ...]]:
    """Return the arrays of Keras for one module by name, in order, with their shapes."""
    if isinstance(module, Linear):
        found: dict[str, tuple[int, ...]] = {"kernel": (module.in_features, module.out_features)}
        return found if module.bias is None else {**found, "bias": (module.out_features,)}
    if isinstance(module, Embedding):
        return {"embeddings": (module.num_embeddings, module.embedding_dim)}
    if isinstance(module, LayerNorm):
        names = ("gamma",) if module.bias is None else ("gamma", "beta")
        return dict.fromkeys(names, (module.size,))
    return _shapes(bare(module)) if isinstance(module, Cell) else {}


def written(module: Module) -> list[Array]:
    """Return the arrays of Keras for one module."""
    if isinstance(module, Linear):
        kernel = module.weight.numpy().T.copy()
        return [kernel] if module.bias is None else [kernel, module.bias.numpy().copy()]
    if isinstance(module, Embedding):
        return [module.weight.numpy().copy()]
    if isinstance(module, LayerNorm):
        own = [module.weight, module.bias]
        return [x.numpy().copy() for x in own if x is not None]
    return _written(bare(module)) if isinstance(module, Cell) else []


def read(module: Module, arrays: list[Array]) -> list[tuple[Tensor, Array]]:
    """Return the parameters of one module with the values that the arrays of Keras give them."""
    if isinstance(module, Cell):
        return _read(bare(module), arrays)
    own: Any = module
    turned = [x.T if isinstance(module, Linear) and x.ndim == 2 else x for x in arrays]
    return list(zip([own.weight, getattr(own, "bias", None)], turned, strict=False))


def _shapes(cell: Any) -> dict[str, tuple[int, ...]]:
    """Return Keras's arrays for one cell by name, with their shapes."""
    rows, H = cell.weight_hh.shape
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (cell.input_size, rows), "recurrent_kernel": (H, rows)
    }  # fmt: skip
    if cell.bias_ih is not None:
        shapes["bias"] = (2, rows) if isinstance(cell, GRUCell) else (rows,)
    return shapes


def _ordered(cell: Cell, x: Array) -> Array:
    """Return the rows of a weight in Keras's order of gates, or those of Keras in ours."""
    order = ORDERS[type(cell)]
    return gates(x, order, len(order))


def _written(cell: Any) -> list[Array]:
    """Return Keras's arrays for one cell."""

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
    """Return the parameters of one cell with the values that Keras's arrays give them."""

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
