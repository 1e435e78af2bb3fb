"""The long short-term memory with exponential gates. Source: Beck et al., xLSTM: extended long
short-term memory, 2024.
"""

from engine import Tensor, concat, exp, linear, maximum, no_grad, sigmoid, softplus, split, tanh
from engine.backends import HOST
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive
from rnn.modules.values import lowest

State = tuple[Tensor, Tensor, Tensor, Tensor]
FORGETTING = ("sigmoid", "exp")


class SLSTMCell(Cell):
    """c' = f c + i z, n' = f n + i, h' = o c' / n', with i = exp(a_i): the scalar memory of xLSTM.

    f is sigma(a_f), or exp(a_f) with `forget` "exp". Equations 8 to 17: the state is h, c e^-m,
    n e^-m and m, the largest exponent so far, all (B, H). `weight_ih` (4H, I), gate order i, f, z,
    o, `bias` (4H,), and `weight_hh` (heads, 4H / heads, H / heads): each head sees its own part of
    h. First values are those of the authors' code: `weight_ih` normal with variance 2 / 5I,
    `weight_hh` 0, `bias` 0 but for f, where it falls from 5 to -7 within a head by the power 0.3.
    The initial m is so low that nothing of the initial c and n counts. Source: Beck et al., xLSTM:
    extended long short-term memory, 2024, section 2.2 and appendix A. Raises ValueError for
    settings out of range.

    >>> import engine, rnn
    >>> y, (h, c, n, m) = rnn.SLSTMCell(3, 4, heads=2)(engine.ones((2, 3)))
    >>> c.shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 1,
        forget: str = "sigmoid",
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, heads=heads)
        if hidden_size % heads:
            raise ValueError(f"hidden_size {hidden_size} is not a multiple of heads {heads}")
        if forget not in FORGETTING:
            raise ValueError(f"forget {forget!r}: expected one of {list(FORGETTING)}")
        I, H, d, xp = input_size, hidden_size, hidden_size // heads, HOST.xp
        self.input_size, self.hidden_size, self.heads, self.forget = I, H, heads, forget
        self.weight_ih = parameter((4 * H, I), (2 / (5 * I)) ** 0.5, normal=True, dtype=dtype)
        self.weight_hh = parameter((heads, 4 * d, d), 0.0, dtype=dtype)
        self.bias = parameter((4 * H,), 0.0, dtype=dtype)
        with no_grad():
            place = xp.tile(xp.arange(d) / max(d - 1, 1), heads)
            self.bias[H : 2 * H] = (5 - 12 * place**0.3).astype(self.bias.data.dtype)
        self.state_size = {"h": H, "c": H, "n": H, "m": H}

    def zero_state(self, batch: int, *, like: Tensor) -> State:
        """Return zeros, and for m a number that is far below all exponents."""
        h, c, n, m = super().zero_state(batch, like=like)
        return h, c, n, lowest(m)

    def by_heads(self, h: Tensor) -> list[Tensor]:
        """Return what h (B, H) adds to each gate (B, H): each head sees its own part."""
        if self.heads == 1:
            return split(linear(h, self.weight_hh[0]), 4, axis=-1)
        parts = split(h, self.heads, axis=-1)
        v = [split(linear(one, self.weight_hh[k]), 4, axis=-1) for k, one in enumerate(parts)]
        return [concat(gate, axis=-1) for gate in zip(*v, strict=True)]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h, c, n and m (B, H) -> h' (B, H), (h', c', n', m')."""
        h, c, n, m = state
        u_i, u_f, u_z, u_o = split(linear(x, self.weight_ih, self.bias), 4, axis=-1)
        v_i, v_f, v_z, v_o = self.by_heads(h)
        a_i = u_i + v_i
        a_f = u_f + v_f
        z = tanh(u_z + v_z)
        o = sigmoid(u_o + v_o)
        log_f = a_f if self.forget == "exp" else -softplus(-a_f)
        p = maximum(log_f + m, a_i)
        i = exp(a_i - p)
        f = exp(log_f + m - p)
        c = f * c + i * z
        n = f * n + i
        h = o * (c / n)
        return h, (h, c, n, p)
