"""Make the parameters of a cell as PyTorch's layers have them. Above `base.py`."""

from engine.checks import flag
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive


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
        bias = flag("bias", bias)
        H, k = hidden_size, hidden_size**-0.5
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_ih = parameter((gates * H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((gates * H, recurrent or H), k, dtype=dtype)
        self.bias_ih = parameter((gates * H,), k, dtype=dtype) if bias else None
        self.bias_hh = parameter((gates * H,), k, dtype=dtype) if bias else None
