"""Turn a cell into one direction of an ONNX node and back: weights in its layouts, and attributes.

Above the cells; no graph here. ONNX's gate orders are i, o, f, c for the LSTM and z, r, h for the
GRU, biases W's and R's one after the other, peepholes i, o, f.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.backends import Array
from rnn.cells import (
    Cell,
    CoupledLSTMCell,
    ElmanCell,
    GRUCell,
    LSTMCell,
    PeepholeLSTMCell,
    ResetBeforeGRUCell,
)
from rnn.interop.blocks import assign, gates, keep_old, xp
from rnn.interop.onnx_cells import (
    DEFAULTS,
    RELU,
    SIGMOID,
    TANH,
    Activation,
    OnnxCell,
    OnnxGRUCell,
    OnnxLSTMCell,
    OnnxRNNCell,
    to_attributes,
)

OPSET, IR = 17, 8  # the operators are those of opset 14; both are old enough for every runtime
BLOCKS = {"RNN": 1, "LSTM": 4, "GRU": 3}
ELMAN: dict[Any, Activation] = {
    "tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "identity": Activation("Affine", 1.0, 0.0),
    "elu": Activation("Elu", 1.0), "softplus": Activation("Softplus"),
    "leaky_relu": Activation("LeakyRelu", 0.01),
}  # fmt: skip


@dataclass(frozen=True)
class Direction:
    """Hold one direction of a node: W (gates H, I), R (gates H, H), B (2 gates H,), P (3H,)."""

    op: str
    W: Array
    R: Array
    B: Array | None
    P: Array | None
    activations: tuple[Activation, ...]
    clip: float | None = None
    coupled: bool = False
    reset_after: bool = False

    @property
    def hidden_size(self) -> int:
        return int(self.R.shape[-1])

    @property
    def input_size(self) -> int:
        return int(self.W.shape[-1])

    @property
    def plain(self) -> bool:
        """Return whether it has the default activations and no clipping."""
        return self.clip is None and self.activations == DEFAULTS[self.op]


@dataclass(frozen=True)
class Order:
    """List the cell's gates that are ONNX's, in ONNX's order, and the sign that each changes by."""

    blocks: int
    places: tuple[int, ...]
    signs: tuple[int, ...] = ()


# Where f = 1 - i, ONNX computes i and the CoupledLSTMCell f: 1 - sigma(a) = sigma(-a). The rows of
# the gate that is not used are what they would have to be without input_forget.
ORDERS: dict[type[Cell], Order] = {
    ElmanCell: Order(1, (0,)),
    LSTMCell: Order(4, (0, 3, 1, 2)),
    PeepholeLSTMCell: Order(4, (0, 3, 1, 2)),
    CoupledLSTMCell: Order(3, (0, 2, 0, 1), (-1, 1, 1, 1)),
    GRUCell: Order(3, (1, 0, 2)),
    ResetBeforeGRUCell: Order(3, (1, 0, 2)),
}


def written(cell: Any) -> Direction:
    """Return the direction of a node of a cell. Raises TypeError or ValueError if ONNX has none."""
    order = _order(cell)

    def rows(x: Array) -> Array:
        return gates(keep_old(cell, x), order.places, order.blocks, order.signs)

    B = None
    if cell.bias_ih is not None:
        b = rows(cell.bias_ih.numpy())
        B = xp.concat([b, xp.zeros_like(b) if cell.bias_hh is None else rows(cell.bias_hh.numpy())])
    op = cell.op if isinstance(cell, OnnxCell) else _op(cell)
    return Direction(
        op,
        rows(cell.weight_ih.numpy()),
        rows(cell.weight_hh.numpy()),
        B,
        _peepholes(cell),
        _activations(cell, op),
        getattr(cell, "clip", None),
        isinstance(cell, CoupledLSTMCell) or getattr(cell, "coupled", False),
        isinstance(cell, GRUCell) or getattr(cell, "reset_after", False),
    )


def _order(cell: Any) -> Order:
    """Return the order of a cell's gates. Raises for what ONNX does not have."""
    if getattr(cell, "proj_size", 0):
        raise ValueError(f"export_onnx: ONNX's LSTM has no proj_size (here {cell.proj_size})")
    if getattr(cell, "full", False):
        raise ValueError("export_onnx: ONNX's peepholes are diagonal; full=True cannot be written")
    if type(cell) is OnnxLSTMCell:
        return Order(3, (0, 2, 0, 1), (1, 1, -1, 1)) if cell.coupled else ORDERS[LSTMCell]
    plain = {OnnxRNNCell: ElmanCell, OnnxGRUCell: GRUCell}.get(type(cell), type(cell))
    if plain not in ORDERS:
        known = ", ".join(kind.__name__ for kind in ORDERS)
        raise TypeError(f"export_onnx: ONNX has no {type(cell).__name__}; it has {known}")
    return ORDERS[plain]


def _op(cell: Cell) -> str:
    if isinstance(cell, ElmanCell):
        return "RNN"
    return "GRU" if isinstance(cell, GRUCell | ResetBeforeGRUCell) else "LSTM"


def _activations(cell: Any, op: str) -> tuple[Activation, ...]:
    if isinstance(cell, OnnxCell):
        return cell.activations
    if isinstance(cell, ElmanCell):
        if cell.nonlinearity not in ELMAN:
            raise ValueError(f"export_onnx: ONNX has no nonlinearity {cell.nonlinearity!r}")
        return (ELMAN[cell.nonlinearity],)
    return DEFAULTS[op]


def _peepholes(cell: Any) -> Array | None:
    """Return P in ONNX's order i, o, f; the one of an f that is not used counts against i."""
    if getattr(cell, "weight_ch", None) is None:
        return None
    p = cell.weight_ch.numpy()
    coupled = getattr(cell, "coupled", False)
    return xp.concat([p[0], p[1], -p[0]] if coupled else [p[0], p[2], p[1]])


def read(part: Direction) -> Cell:
    """Return the cell that computes one direction of a node, a plain one if it can."""
    cell, order = _made(part)
    values = [(cell.weight_ih, _rows(part.W, part.op, order)),
              (cell.weight_hh, _rows(part.R, part.op, order))]  # fmt: skip
    if part.B is not None:
        b_w, b_r = (_rows(half, part.op, order) for half in xp.split(part.B, 2))
        if cell.bias_hh is None:
            values.append((cell.bias_ih, b_w + b_r))
        else:
            values += [(cell.bias_ih, b_w), (cell.bias_hh, b_r)]
    if part.P is not None:
        i, o, f = xp.split(part.P, 3)
        values.append((cell.weight_ch, xp.stack([i, o] if part.coupled else [i, f, o])))
    assign(values)
    return cell  # type: ignore[no-any-return]


def _rows(x: Array, op: str, order: Order) -> Array:
    return gates(x, order.places, BLOCKS[op], order.signs)


def _made(part: Direction) -> tuple[Any, Order]:
    """Return a cell for a direction, and which of ONNX's gates are the cell's."""
    sizes = part.input_size, part.hidden_size
    options: dict[str, Any] = {"bias": part.B is not None, "dtype": part.W.dtype}
    general = {"activations": part.activations, "clip": part.clip, **options}
    if part.op == "RNN":
        order = Order(1, (0,))
        for name, one in ELMAN.items():
            if part.clip is None and part.activations == (one,):
                return ElmanCell(*sizes, nonlinearity=name, **options), order
        return OnnxRNNCell(*sizes, **general), order
    if part.op == "GRU":
        order = Order(3, (1, 0, 2))
        if part.plain:
            return (GRUCell if part.reset_after else ResetBeforeGRUCell)(*sizes, **options), order
        return OnnxGRUCell(*sizes, reset_after=part.reset_after, **general), order
    peephole = part.P is not None
    if part.plain and part.coupled and not peephole:
        return CoupledLSTMCell(*sizes, **options), Order(4, (0, 3, 1), (-1, 1, 1))
    order = Order(4, (0, 3, 1) if part.coupled else (0, 2, 3, 1))
    if part.plain and not part.coupled:
        return (PeepholeLSTMCell if peephole else LSTMCell)(*sizes, **options), order
    return OnnxLSTMCell(*sizes, coupled=part.coupled, peephole=peephole, **general), order


def together(parts: Sequence[Direction], where: str) -> None:
    """Raise ValueError where the directions of one layer cannot share a node."""
    for name in ("op", "hidden_size", "input_size", "clip", "coupled", "reset_after"):
        found = [getattr(part, name) for part in parts]
        if any(one != found[0] for one in found):
            raise ValueError(f"{where}: both directions need the same {name}, got {found}")
    for name in ("B", "P"):
        if len({getattr(part, name) is None for part in parts}) > 1:
            raise ValueError(f"{where}: one direction has {name} and the other has none")


def inputs_of(
    parts: Sequence[Direction],
    constant: Callable[[str, Array], str],
    x: str,
    starts: Sequence[str],
    lengths: str = "",
) -> list[str]:
    """Return the inputs of the node of one layer by name, with ``constant(name, value)`` for each
    of its weights, all directions stacked; `starts` are the initial states.
    """
    W, R, B, P = (
        "" if getattr(parts[0], name) is None
        else constant(name, xp.stack([getattr(part, name) for part in parts]))
        for name in ("W", "R", "B", "P")
    )  # fmt: skip
    inputs = [x, W, R, B, lengths, *starts, *[""] * (2 - len(starts)), P]
    while not inputs[-1]:
        inputs.pop()
    return inputs


def attributes_of(parts: list[Direction], backward: bool, layout: int) -> dict[str, Any]:
    """Return the attributes of the node of one layer."""
    first = parts[0]
    one_way = "reverse" if backward else "forward"
    told: dict[str, Any] = {
        "hidden_size": first.hidden_size,
        "direction": "bidirectional" if len(parts) == 2 else one_way,
    }
    if any(part.activations != DEFAULTS[part.op] for part in parts):
        told |= to_attributes([one for part in parts for one in part.activations])
    if first.clip is not None:
        told["clip"] = float(first.clip)
    flags = {"layout": layout, "input_forget": first.coupled,
             "linear_before_reset": first.reset_after}  # fmt: skip
    return told | {name: 1 for name, value in flags.items() if value}
