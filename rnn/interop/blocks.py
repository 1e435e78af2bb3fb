"""Give all formats the cells of a module in order, blocks of gates, and a way to assign all.

Above the layers, below the files of the formats.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.backends.half import is_half
from rnn.cells import Cell, GRUCell, ResetBeforeGRUCell
from rnn.layers.pytorch import _Layer
from rnn.layers.recurrent import Recurrent
from rnn.layers.stacked import Bidirectional, Stacked
from rnn.modules.module import Module

xp: Any = HOST.xp


class Run(NamedTuple):
    """Hold one cell with its place in the module: its layer, and whether time runs backward."""

    cell: Cell
    layer: int = 0
    reverse: bool = False

    @property
    def where(self) -> str:
        return f"layer {self.layer} {'reverse' if self.reverse else 'forward'}"


def runs(module: Module) -> list[list[Run]]:
    """Return the cells of a recurrent module, layer by layer, forward in time first.

    Raises TypeError for modules that are neither layers, `Recurrent`, `Bidirectional`, `Stacked`
    of these, nor cells.
    """
    found = []
    for part in module.layers if isinstance(module, Stacked) else [module]:
        if isinstance(part, _Layer):
            found += part._runs
        elif isinstance(part, Bidirectional):
            found.append([part.onward, part.backward])
        elif isinstance(part, Recurrent):
            found.append([part])
        elif isinstance(part, Cell):
            return [[Run(part)]]
        else:
            raise TypeError(
                "expected an RNN, LSTM, GRU, Recurrent, Bidirectional, Cell or Stacked of these, "
                f"got {type(part).__name__}; convert the recurrent parts of a model one by one"
            )
    return [
        [Run(one.cell, number, one.reverse) for one in layer] for number, layer in enumerate(found)
    ]


def batch_first(module: Module) -> bool:
    """Return whether a module has its batch first. Raises ValueError for parts that disagree."""
    found = {part.batch_first for part in module.modules() if isinstance(part, Recurrent | _Layer)}
    if len(found) > 1:
        raise ValueError(
            "export_onnx: some layers have the batch first and some have not; give all of them the "
            "same batch_first"
        )
    return found == {True}


def gates(x: Array, order: Sequence[int], count: int, signs: Sequence[int] = ()) -> Array:
    """Return the `count` blocks of rows of x (count H, ...) in another order, times their signs."""
    blocks = x.reshape(count, -1, *x.shape[1:])[list(order)]
    for block, sign in enumerate(signs):
        blocks[block] *= sign
    return blocks.reshape(-1, *x.shape[1:])


def keep_old(cell: Cell | None, x: Array) -> Array:
    """Return rows in gate order r, z, n for a z that is the share of the old state, or back.

    1 - sigma(a) = sigma(-a), so where z is the share of the new its rows change sign.
    """
    if isinstance(cell, GRUCell | ResetBeforeGRUCell) and cell.take_new:
        return gates(x, (0, 1, 2), 3, (1, -1, 1))
    return x


def as_array(x: Any) -> Array:
    """Return the values of a tensor of ours or of PyTorch's, or of anything that NumPy takes.
    bfloat16 comes out as float32, to the bit, as NumPy has none.
    """
    if not isinstance(x, Tensor) and hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
    x = x.numpy() if isinstance(x, Tensor) else HOST.asarray(x, None, None)
    return x.astype("float32") if is_half(x) else x


def numbers(x: Any) -> Array | None:
    """Return the values as an array, None where they are no real numbers."""
    try:
        x = as_array(x)
    except (TypeError, ValueError):
        return None
    return x if x.dtype.kind in "fiub" else None


def mismatches(given: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return a line for every array of another shape, or kind of values, than expected."""
    faults = []
    for name, shape in expected.items():
        if name in given:
            x = numbers(given[name])
            if x is None:
                faults.append(f"{name}: expected an array of real numbers, got {given[name]!r:.40}")
            elif x.shape != shape:
                faults.append(f"{name}: shape {x.shape}, expected {shape}")
    return faults


def assign(values: Sequence[tuple[Tensor, Array]]) -> None:
    """Give every parameter its values, in its own dtype and on its own device; all or none."""
    made = [engine.asarray(y.copy(), dtype=x.dtype, device=x.device).data for x, y in values]
    for (x, _), data in zip(values, made, strict=True):
        x.data = data
