"""Define simple recurrent networks: only the state, or the output, of the last step is fed back.

Sources: Elman, Finding structure in time, 1990; Jordan, Serial order: a parallel distributed
processing approach, 1986; both feedbacks as in Pham and Liu, 1992; Li et al., Independently
recurrent neural network, 2018; and textbooks.
"""

from collections.abc import Callable
from typing import Any

import engine
from engine import Tensor, linear
from engine.checks import flag
from rnn.cells.base import Cell, PyTorchCell
from rnn.modules.module import parameter, positive

NAMES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": engine.tanh, "relu": engine.relu, "sigmoid": engine.sigmoid,
    "identity": engine.positive, "elu": engine.elu, "gelu": engine.gelu, "silu": engine.silu,
    "softplus": engine.softplus, "leaky_relu": engine.leaky_relu,
}  # fmt: skip


def activation(given: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the function of a name, or the function itself. Raises ValueError for other names."""
    if callable(given):
        return given
    if given not in NAMES:
        raise ValueError(f"nonlinearity {given!r}: expected one of {list(NAMES)} or a function")
    return NAMES[given]


Activation = str | Callable[[Tensor], Tensor]


class ElmanCell(PyTorchCell):
    """Compute h' = g(W_ih x + b_ih + W_hh h + b_hh), with PyTorch's names and layouts.

    `weight_ih` (H, I), `weight_hh` (H, H), `bias_ih` and `bias_hh` (H,). g is ``"tanh"``,
    ``"relu"``, another name, or any function.

    >>> import engine, rnn
    >>> y, h = rnn.ElmanCell(3, 5)(engine.ones((2, 3)))
    >>> y.shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Activation = "tanh",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        super().__init__(1, input_size, hidden_size, bias=bias, dtype=dtype)
        activation(nonlinearity)  # refused here if it is none
        self.nonlinearity = nonlinearity
        self.state_size = {"h": hidden_size}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        g = activation(self.nonlinearity)
        a = linear(x, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        h = g(a)
        return h, h


class IndRNNCell(Cell):
    """Compute h' = g(W x + u h + b): each unit sees only its own past.

    `weight_ih` (H, I), `weight_hh` (H,), `bias` (H,); g is relu by default. The Jacobian
    dh'/dh is diagonal, so a unit's gradient over t steps is u^t times the slopes of g. Raises
    ValueError for sizes below 1.

    >>> import engine, rnn
    >>> rnn.IndRNNCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Activation = "relu",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        H, k = hidden_size, hidden_size**-0.5
        self.input_size, self.hidden_size = input_size, H
        self.weight_ih = parameter((H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((H,), 1.0, dtype=dtype)
        self.bias = parameter((H,), k, dtype=dtype) if flag("bias", bias) else None
        activation(nonlinearity)  # refused here if it is none
        self.nonlinearity = nonlinearity
        self.state_size = {"h": H}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        g = activation(self.nonlinearity)
        h = g(linear(x, self.weight_ih, self.bias) + self.weight_hh * h)
        return h, h


class JordanCell(Cell):
    """Compute h = g(W_ih x + W_yh y + b_h), y' = f(W_ho h + b_o): the output is the state.

    `weight_ih` (H, I), `weight_yh` (H, O), `weight_ho` (O, H), `bias_h` (H,), `bias_o` (O,). `f` is
    ``"identity"`` by default. As x and y are known beforehand under teacher forcing, all steps can
    then be computed at once: see `forced`. Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> y, state = rnn.JordanCell(3, 5, 2)(engine.ones((4, 3)))
    >>> y.shape, state.shape
    ((4, 2), (4, 2))
    """

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
    """Compute h' = g(W_ih x + W_hh h + W_yh y + b_h), y' = f(W_ho h' + b_ho): both are fed back.

    As `JordanCell`, with `weight_hh` (H, H).

    >>> import engine, rnn
    >>> y, (h, same) = rnn.ElmanJordanCell(3, 5, 2)(engine.ones((4, 3)))
    >>> h.shape, same.shape
    ((4, 5), (4, 2))
    """

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


# The same weights as a = b + W h' + U x, h = tanh a, o = c + V h has them.
ALIASES = {"W": "W_aa", "U": "W_ax", "V": "W_ya", "b": "b_a", "c": "b_y"}


class TextbookCell(Cell):
    """Compute a' = g1(W_aa a + W_ax x + b_a), y = g2(W_ya a' + b_y).

    `W_aa` (H, H), `W_ax` (H, I), `W_ya` (O, H), `b_a` (H,), `b_y` (O,); `W`, `U`, `V`, `b`, `c` are
    other names of the same, as in a = b + W h + U x, o = c + V h. g1 is tanh, g2 the identity
    (softmax belongs to the loss), both by name or as functions. Sources: Ng, Sequence models, 2017;
    Goodfellow, Bengio and Courville, Deep learning, 2016, section 10.2. Raises ValueError for sizes
    below 1.

    >>> import engine, rnn
    >>> cell = rnn.TextbookCell(3, 5, 2)
    >>> y, a = cell(engine.ones((4, 3)))
    >>> y.shape, a.shape, cell.W is cell.W_aa
    ((4, 2), (4, 5), True)
    """

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
