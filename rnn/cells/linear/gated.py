"""Define gates on a diagonal, which see the input and not the state."""

import math

import engine
from engine import Tensor, exp, expm1, linear, log, maximum, sigmoid, softplus, split, tanh
from engine.checks import flag, is_real
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive
from rnn.modules.values import drawn


class _MinimalCell(Cell):
    """Hold parameters for `gates` gates: `weight_ih` (gates H, I), `bias` (gates H,), or none."""

    gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        above_zero: bool = False,
        bias: bool = True,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        H, k = hidden_size, input_size**-0.5
        self.input_size, self.hidden_size = input_size, H
        self.weight_ih = parameter((self.gates * H, input_size), k, dtype=dtype)
        self.bias = parameter((self.gates * H,), k, dtype=dtype) if flag("bias", bias) else None
        self.above_zero = flag("above_zero", above_zero)
        self.state_size = {"h": H}

    def candidate(self, a: Tensor) -> Tensor:
        """Return a as it is, or g(a) of appendix B, which is above 0."""
        return engine.where(a >= 0, a + 0.5, sigmoid(a)) if self.above_zero else a


class MinGRUCell(_MinimalCell):
    """Compute h' = (1 - z) h + z n with z = sigma(W_z x + b_z) and n = W_n x + b_n.

    `weight_ih` (2H, I), gate order z, n, and `bias` (2H,), uniform in +-1 / sqrt(I). With
    `above_zero` n = g(W_n x + b_n), where g(a) is a + 1/2 from 0 up and sigma(a) below: the form
    that the paper takes the logarithm of. Source: Feng et al., Were RNNs all we needed?, 2024,
    section 3.1 and appendix B.

    >>> import engine, rnn
    >>> rnn.MinGRUCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    gates = 2

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        a_z, a_n = split(linear(x, self.weight_ih, self.bias), 2, axis=-1)
        z = sigmoid(a_z)
        n = self.candidate(a_n)
        h = (1 - z) * h + z * n
        return h, h


class MinLSTMCell(_MinimalCell):
    """Compute h' = f h + i n with gates f + i = 1: f = s_f / (s_f + s_i), i = s_i / (s_f + s_i).

    s_f = sigma(W_f x + b_f), s_i = sigma(W_i x + b_i), n = W_n x + b_n. Written as f = sigma(-d),
    i = sigma(d) with d = log s_i - log s_f, which holds where both of the s underflow.
    `weight_ih` (3H, I), gate order f, i, n, and `bias` (3H,), uniform in +-1 / sqrt(I);
    `above_zero` as for `MinGRUCell`. Source: Feng et al., Were RNNs all we needed?, 2024, section
    3.2 and appendix B.

    >>> import engine, rnn
    >>> rnn.MinLSTMCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    gates = 3

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        a_f, a_i, a_n = split(linear(x, self.weight_ih, self.bias), 3, axis=-1)
        d = softplus(-a_f) - softplus(-a_i)
        f = sigmoid(-d)
        i = sigmoid(d)
        n = self.candidate(a_n)
        h = f * h + i * n
        return h, h


class SRUCell(Cell):
    """Compute c' = f c + (1 - f) W x, h = r c' + (1 - r) alpha x; the gates f and r see x and c.

    f = sigma(W_f x + v_f c + b_f), r = sigma(W_r x + v_r c + b_r): the version of 2018, equations 1
    to 4. Without `peephole` v is 0, as in the first version of 2017, and the state is linear in the
    one before it. Rows of `weight_ih` (3H, I): W, W_f, W_r; `weight_c` (2, H): v_f, v_r; `bias`
    (2, H): b_f, b_r. Where I is not H, W_s x with `weight_s` (H, I) stands for alpha x. Variances
    are 1 / I, half of it for W_f and W_r beside a peephole of 1/2, alpha^2 / I for W_s; b_f is 0,
    b_r is `highway_bias`, and alpha = sqrt(1 + 2 exp(highway_bias)). Source: Lei et al., Simple
    recurrent units for highly parallelizable recurrence, 2018, sections 3.1 and 3.2. Raises
    ValueError for settings out of range.

    >>> import engine, rnn
    >>> rnn.SRUCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peephole: bool = True,
        highway_bias: float = 0.0,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if not is_real(highway_bias) or not math.isfinite(highway_bias):
            raise ValueError(f"SRUCell: highway_bias must be a finite number, got {highway_bias!r}")
        H, k, half = hidden_size, math.sqrt(3 / input_size), math.sqrt(0.5)
        self.input_size, self.hidden_size = input_size, H
        self.alpha = math.sqrt(1 + 2 * math.exp(highway_bias))
        self.weight_ih = parameter((3 * H, input_size), k, dtype=dtype)
        self.weight_s = None
        if input_size != H:
            self.weight_s = parameter((H, input_size), k * self.alpha, dtype=dtype)
        self.weight_c = None
        if flag("peephole", peephole):
            self.weight_c = parameter((2, H), math.sqrt(3) * half, dtype=dtype)
        self.bias = parameter((2, H), 0.0, dtype=dtype)
        with engine.no_grad():
            self.bias[1] = float(highway_bias)
            if self.weight_c is not None:
                self.weight_ih[H:] *= half
        self.state_size = {"c": H}

    def step(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), c (B, H) -> h (B, H), c' (B, H)."""
        n, a_f, a_r = split(linear(x, self.weight_ih), 3, axis=-1)
        v = self.weight_c
        f = sigmoid(a_f + self.bias[0] if v is None else a_f + v[0] * c + self.bias[0])
        r = sigmoid(a_r + self.bias[1] if v is None else a_r + v[1] * c + self.bias[1])
        c = f * c + (1 - f) * n
        s = self.alpha * x if self.weight_s is None else linear(x, self.weight_s)
        h = r * c + (1 - r) * s
        return h, c


GATES = {"f": "zf", "fo": "zfo", "ifo": "zfoi"}


class QRNNCell(Cell):
    """Compute c' = f c + (1 - f) z, h = o c', with z, f, o of a window of two inputs: fo-pooling.

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
            raise ValueError(f"QRNNCell: pooling {pooling!r}: expected one of {list(GATES)}")
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


C = 8.0  # of equation 3
LEAST = 1e-30  # under a root: its slope is infinite at 0


class RGLRUCell(Cell):
    """Compute h' = a h + sqrt(1 - a^2) (i u), with u = x and a = sigma(Lambda)^(8 r).

    r = sigma(W_a u + b_a), i = sigma(W_x u + b_x): equations 1 to 4. With a `hidden_size` of its
    own u = W_u x, the linear layer that the paper's block has in front; its convolution and its
    other branch are outside of the cell. `weight_a` and `weight_x` (H, H) are normal with variance
    1 / H, `weight_u` (H, I) with 1 / I; `bias_a` and `bias_x` (H,) are 0; `Lambda` (H,) is such
    that sigma(Lambda)^8 is uniform in [0.9, 0.999). Source: De et al., Griffin, 2024, section 2.4
    and appendix A. Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> rnn.RGLRUCell(3)(engine.ones((2, 3)))[1].shape
    (2, 3)
    """

    def __init__(
        self, input_size: int, hidden_size: int | None = None, *, dtype: object = None
    ) -> None:
        H = input_size if hidden_size is None else hidden_size
        positive(input_size=input_size, hidden_size=H)
        k = H**-0.5
        self.input_size, self.hidden_size = input_size, H
        self.weight_u = None
        if hidden_size is not None:
            self.weight_u = parameter((H, input_size), input_size**-0.5, normal=True, dtype=dtype)
        self.weight_a = parameter((H, H), k, normal=True, dtype=dtype)
        self.weight_x = parameter((H, H), k, normal=True, dtype=dtype)
        self.bias_a = parameter((H,), 0.0, dtype=dtype)
        self.bias_x = parameter((H,), 0.0, dtype=dtype)
        # log a = log(p) / 8 of p in the ring; Lambda is the logit of a
        self.Lambda = drawn((H,), 0.9, 0.999, lambda p: -log(expm1(-log(p) / C)), dtype=dtype)
        self.state_size = {"h": H}

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        u = x if self.weight_u is None else linear(x, self.weight_u)
        r = sigmoid(linear(u, self.weight_a, self.bias_a))
        i = sigmoid(linear(u, self.weight_x, self.bias_x))
        log_a = -C * softplus(-self.Lambda) * r
        a = exp(log_a)
        b = engine.sqrt(maximum(-expm1(2 * log_a), LEAST))
        h = a * h + b * (i * u)
        return h, h
