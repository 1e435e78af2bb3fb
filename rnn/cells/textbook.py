"""The recurrent cell of the textbooks, under the names of either notation."""

from typing import Any

from engine import Tensor, linear
from rnn.cells.activations import activation
from rnn.cells.base import Cell
from rnn.cells.elman import Activation
from rnn.modules.module import parameter, positive

# The same weights as a = b + W h' + U x, h = tanh a, o = c + V h has them.
ALIASES = {"W": "W_aa", "U": "W_ax", "V": "W_ya", "b": "b_a", "c": "b_y"}


class TextbookCell(Cell):
    """a' = g1(W_aa a + W_ax x + b_a), y = g2(W_ya a' + b_y), or a = b + W h + U x, o = c + V h.

    `W_aa` (H, H), `W_ax` (H, I), `W_ya` (O, H), `b_a` (H,), `b_y` (O,); `W`, `U`, `V`, `b`, `c` are
    other names of the same. g1 is tanh, g2 the identity (softmax belongs to the loss), both by
    name or as functions. Sources: Ng, Sequence models, 2017; Goodfellow, Bengio and Courville, Deep
    learning, 2016, section 10.2. Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> cell = rnn.TextbookCell(3, 5, 2)
    >>> y, a = cell(engine.ones((4, 3)))
    >>> y.shape, a.shape, cell.W is cell.W_aa
    ((4, 2), (4, 5), True)
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        g1: Activation = "tanh",
        g2: Activation = "identity",
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        H, O, k = hidden_size, output_size, hidden_size**-0.5
        self.input_size, self.hidden_size, self.output_size = input_size, H, O
        self.W_aa = parameter((H, H), k, dtype=dtype)
        self.W_ax = parameter((H, input_size), k, dtype=dtype)
        self.W_ya = parameter((O, H), k, dtype=dtype)
        self.b_a = parameter((H,), 0.0, dtype=dtype)
        self.b_y = parameter((O,), 0.0, dtype=dtype)
        self.g1, self.g2 = g1, g2
        activation(g1), activation(g2)  # refused here if they are none
        self.state_size = {"a": H}

    def __getattr__(self, name: str) -> Any:
        if name in ALIASES:
            return getattr(self, ALIASES[name])
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(ALIASES.get(name, name), value)

    def step(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), a (B, H) -> y (B, O), a' (B, H)."""
        g1, g2 = activation(self.g1), activation(self.g2)
        a = g1(linear(a, self.W_aa) + linear(x, self.W_ax, self.b_a))
        y = g2(linear(a, self.W_ya, self.b_y))
        return y, a
