"""Networks that feed their output back. Source: Jordan, Serial order: a parallel distributed
processing approach, 1986; both feedbacks as in Pham and Liu, 1992.
"""

from typing import Any

import engine
from engine import Tensor, linear
from engine.checks import flag
from rnn.cells.activations import activation
from rnn.cells.base import Cell
from rnn.cells.elman import Activation
from rnn.modules.module import parameter, positive


class JordanCell(Cell):
    """h = g(W_ih x + W_yh y + b_h), y' = f(W_ho h + b_o): the output is the state.

    `weight_ih` (H, I), `weight_yh` (H, O), `weight_ho` (O, H), `bias_h` (H,), `bias_o` (O,). `f` is
    ``"identity"`` by default. As x and y are known beforehand under teacher forcing, all steps can
    then be computed at once: see `forced`. Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> y, state = rnn.JordanCell(3, 5, 2)(engine.ones((4, 3)))
    >>> y.shape, state.shape
    ((4, 2), (4, 2))
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        nonlinearity: Activation = "tanh",
        output: Activation = "identity",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        bias = flag("bias", bias)
        H, O, k = hidden_size, output_size, hidden_size**-0.5
        self.input_size, self.hidden_size, self.output_size = input_size, H, O
        self.weight_ih = parameter((H, input_size), k, dtype=dtype)
        self.weight_yh = parameter((H, O), k, dtype=dtype)
        self.weight_ho = parameter((O, H), k, dtype=dtype)
        self.bias_h = parameter((H,), k, dtype=dtype) if bias else None
        self.bias_o = parameter((O,), k, dtype=dtype) if bias else None
        self.nonlinearity, self.output = nonlinearity, output
        activation(nonlinearity), activation(output)  # refused here if they are none
        self.state_size = {"y": O}

    def step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), y (B, O) -> y' (B, O), y'."""
        g, f = activation(self.nonlinearity), activation(self.output)
        h = g(linear(x, self.weight_ih, self.bias_h) + linear(y, self.weight_yh))
        y = f(linear(h, self.weight_ho, self.bias_o))
        return y, y

    def forced(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the outputs (T, B, O) under teacher forcing, all steps at once.

        `target` (T, B, O) are the outputs to learn; step t is fed that of t - 1, the first zeros.
        """
        before = engine.concat([engine.zeros_like(target[:1]), target[:-1]], axis=0)
        return self.step(x, before)[0]


class ElmanJordanCell(JordanCell):
    """h' = g(W_ih x + W_hh h + W_yh y + b_h), y' = f(W_ho h' + b_ho): both are fed back.

    As `JordanCell`, with `weight_hh` (H, H).

    >>> import engine, rnn
    >>> y, (h, same) = rnn.ElmanJordanCell(3, 5, 2)(engine.ones((4, 3)))
    >>> h.shape, same.shape
    ((4, 5), (4, 2))
    """

    pure = True

    def __init__(self, input_size: int, hidden_size: int, output_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, output_size, **options)
        dtype = options.get("dtype")
        self.weight_hh = parameter((hidden_size, hidden_size), hidden_size**-0.5, dtype=dtype)
        self.state_size = {"h": hidden_size, "y": output_size}

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map x (B, I), h (B, H) and y (B, O) -> y' (B, O), (h', y')."""
        h, y = state
        g, f = activation(self.nonlinearity), activation(self.output)
        a = linear(x, self.weight_ih, self.bias_h) + linear(h, self.weight_hh)
        h = g(a + linear(y, self.weight_yh))
        y = f(linear(h, self.weight_ho, self.bias_o))
        return y, (h, y)

    def forced(self, x: Tensor, target: Tensor) -> Tensor:
        """Raise TypeError: the hidden state has to be computed one step after another."""
        raise TypeError("ElmanJordanCell.forced: h depends on the h before it; run it by Recurrent")
