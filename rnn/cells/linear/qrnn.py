"""The quasi-recurrent network. Source: Bradbury et al., Quasi-recurrent neural networks, 2016."""

from engine import Tensor, linear, sigmoid, split, tanh
from engine.checks import flag
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive

GATES = {"f": "zf", "fo": "zfo", "ifo": "zfoi"}


class QRNNCell(Cell):
    """c' = f c + (1 - f) z, h = o c', with z, f, o of a window of two inputs: fo-pooling.

    z = tanh(V_z s + W_z x + b_z), f and o with sigma, where the state s is the input before x: a
    shift. `pooling` "f" is h' = f h + (1 - f) z (equation 3), "fo" the above (4), "ifo" has
    c' = f c + i z (5). `weight_ih` (gates H, I) is W and `weight_sh` (gates H, I) V, gate order z,
    f, o, i; `bias` (gates H,). All are uniform in +-1 / sqrt(2I); the paper names no first values
    and has no bias. Source: Bradbury et al., Quasi-recurrent neural networks, 2016, section 2.
    Raises ValueError for settings out of range.

    >>> import engine, rnn
    >>> y, (c, s) = rnn.QRNNCell(3, 5)(engine.ones((2, 3)))
    >>> c.shape, s.shape
    ((2, 5), (2, 3))
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        pooling: str = "fo",
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if pooling not in GATES:
            raise ValueError(f"pooling {pooling!r}: expected one of {list(GATES)}")
        rows, k = len(GATES[pooling]) * hidden_size, (2 * input_size) ** -0.5
        self.input_size, self.hidden_size, self.pooling = input_size, hidden_size, pooling
        self.weight_ih = parameter((rows, input_size), k, dtype=dtype)
        self.weight_sh = parameter((rows, input_size), k, dtype=dtype)
        self.bias = parameter((rows,), k, dtype=dtype) if flag("bias", bias) else None
        self.state_size = {"h" if pooling == "f" else "c": hidden_size, "s": input_size}

    def step(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map x and s (B, I), c (B, H) -> h (B, H), (c', x)."""
        c, s = state
        a = linear(x, self.weight_ih, self.bias) + linear(s, self.weight_sh)
        a_z, a_f, *more = split(a, len(GATES[self.pooling]), axis=-1)
        z = tanh(a_z)
        f = sigmoid(a_f)
        i = sigmoid(more[1]) if self.pooling == "ifo" else 1 - f
        c = f * c + i * z
        h = c if self.pooling == "f" else sigmoid(more[0]) * c
        return h, (c, x)
