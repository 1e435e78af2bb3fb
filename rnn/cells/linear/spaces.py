"""Define state spaces: a complex, fixed diagonal, or one made of the input; and RWKV-4."""

import math
from typing import Any

from engine import Tensor, cos, exp, expm1, linear, log, maximum, sigmoid, silu, sin, softplus
from engine import sum as total
from engine.backends import HOST
from engine.checks import is_real
from rnn.cells.base import Cell
from rnn.initializers import orthogonal
from rnn.modules.module import parameter, positive
from rnn.modules.values import drawn, fixed, lowest, whole

State = tuple[Tensor, Tensor]


class LRUCell(Cell):
    """Compute h' = lambda h + gamma B x with complex h, y = Re(C h') + D x: a diagonal in a ring.

    lambda = exp(-exp(nu_log) + i exp(theta_log)), the stable parametrisation of section 3.3, and
    gamma = exp(gamma_log), the normalisation of section 3.4. The state is the pair of its real and
    its imaginary part, each (B, H). `nu_log`, `theta_log` and `gamma_log` (H,), `B_re` and `B_im`
    (H, I), `C_re` and `C_im` (I, H), `D` (I,). At first lambda is uniform in the ring from `r_min`
    to `r_max` with an angle up to `max_phase`, gamma is sqrt(1 - |lambda|^2), and B, C, D are
    normal with variances 1 / 2I, 1 / H and 1. Source: Orvieto et al., Resurrecting recurrent neural
    networks for long sequences, 2023, section 3 and appendix A. Raises ValueError for sizes and
    radii out of range.

    >>> import engine, rnn
    >>> y, (h_re, h_im) = rnn.LRUCell(3, 5)(engine.ones((2, 3)))
    >>> y.shape, h_re.shape
    ((2, 3), (2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if not is_real(r_min) or not is_real(r_max) or not 0 <= r_min < r_max <= 1:
            raise ValueError(
                f"LRUCell: expected 0 <= r_min < r_max <= 1, got {r_min!r} and {r_max!r}"
            )
        if not is_real(max_phase) or not 0 < max_phase <= 2 * math.pi:
            raise ValueError(f"LRUCell: max_phase must lie in (0, 2 pi], got {max_phase!r}")
        I, H = input_size, hidden_size
        self.input_size, self.hidden_size = I, H
        # |lambda|^2 is uniform: log -log |lambda|
        self.nu_log = drawn((H,), r_min**2, r_max**2, lambda p: log(-0.5 * log(p)), dtype=dtype)
        self.theta_log = drawn((H,), 0.0, float(max_phase), log, dtype=dtype)
        nu = exp(self.nu_log.detach())
        self.gamma_log = fixed(0.5 * log(-expm1(-2 * nu)), dtype=dtype)
        self.B_re = parameter((H, I), (2 * I) ** -0.5, normal=True, dtype=dtype)
        self.B_im = parameter((H, I), (2 * I) ** -0.5, normal=True, dtype=dtype)
        self.C_re = parameter((I, H), H**-0.5, normal=True, dtype=dtype)
        self.C_im = parameter((I, H), H**-0.5, normal=True, dtype=dtype)
        self.D = parameter((I,), 1.0, normal=True, dtype=dtype)
        self.state_size = {"h_re": H, "h_im": H}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h (B, H) twice -> y (B, I), h' (B, H) twice."""
        h_re, h_im = state
        r = exp(-exp(self.nu_log))
        theta = exp(self.theta_log)
        lambda_re = r * cos(theta)
        lambda_im = r * sin(theta)
        gamma = exp(self.gamma_log)
        p = lambda_re * h_re - lambda_im * h_im + gamma * linear(x, self.B_re)
        q = lambda_re * h_im + lambda_im * h_re + gamma * linear(x, self.B_im)
        y = linear(p, self.C_re) - linear(q, self.C_im) + self.D * x
        return y, (p, q)


INITIAL = ("lin", "inv", "real")


class S4DCell(Cell):
    """Compute h' = exp(Delta A) h + (exp(Delta A) - 1) / A x, y = 2 Re(C h') + D x, per channel.

    A continuous system with a complex diagonal A, sampled every Delta with x held in between (ZOH).
    A channel of the I has `order` N real numbers of state, as N / 2 pairs: states `h_re` and `h_im`
    (B, I, N / 2). Its A = -exp(A_log) + i A_im begins with -1/2 + i pi n (S4D-Lin, "lin") or
    -1/2 + i N/pi (N / (2n + 1) - 1) (S4D-Inv, "inv"); "real" has A = -(n + 1) and N real states
    (B, I, N), without `A_im` and `C_im` (S4D-Real). B is 1, as only its product with C counts.
    `A_log`, `A_im`, `C_re` and `C_im` (I, N / 2), C normal with variance 1; `D` (I,) normal;
    `Delta_log` (I, 1), Delta from 0.001 to 0.1, its logarithm uniform. Source: Gu et al., On the
    parameterization and initialization of diagonal state space models, 2022, sections 3 and 4.
    Raises ValueError for settings out of range.

    >>> import engine, rnn
    >>> y, (h_re, h_im) = rnn.S4DCell(3, 8)(engine.ones((2, 3)))
    >>> y.shape, h_re.shape
    ((2, 3), (2, 3, 4))
    """

    def __init__(
        self, input_size: int, order: int = 64, *, initial: str = "lin", dtype: object = None
    ) -> None:
        positive(input_size=input_size, order=order)
        if initial not in INITIAL:
            raise ValueError(f"S4DCell: initial {initial!r}: expected one of {list(INITIAL)}")
        real = initial == "real"
        if not real and order % 2:
            raise ValueError(f"S4DCell: order must be even, as its numbers are pairs, got {order}")
        I, n = input_size, HOST.xp.arange(order if real else order // 2)[None].repeat(input_size, 0)
        self.input_size, self.order = I, order
        self.A_log = fixed(HOST.xp.log(n + 1.0) if real else math.log(0.5) + 0.0 * n, dtype=dtype)
        self.A_im = None
        self.C_im = None
        std = 1.0 if real else 0.5**0.5
        self.C_re = parameter(n.shape, std, normal=True, dtype=dtype)
        if not real:
            inverse = order / math.pi * (order / (2 * n + 1) - 1)
            self.A_im = fixed(math.pi * n if initial == "lin" else inverse, dtype=dtype)
            self.C_im = parameter(n.shape, std, normal=True, dtype=dtype)
        self.D = parameter((I,), 1.0, normal=True, dtype=dtype)
        low, high = math.log(0.001), math.log(0.1)
        self.Delta_log = drawn((I, 1), low, high, dtype=dtype)
        self.state_size = {"h": n.shape} if real else {"h_re": n.shape, "h_im": n.shape}

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map x (B, I), h (B, I, N / 2) twice -> y (B, I), h' (B, I, N / 2) twice."""
        Delta = exp(self.Delta_log)
        A = -exp(self.A_log)
        a = Delta * A
        u = x[:, :, None]
        if self.A_im is None or self.C_im is None:
            h = exp(a) * state + expm1(a) / A * u
            y = total(self.C_re * h, axis=-1) + self.D * x
            return y, h
        h_re, h_im = state
        b = Delta * self.A_im
        E_re = exp(a) * cos(b)
        E_im = exp(a) * sin(b)
        m = expm1(a) * cos(b) - 2 * sin(b / 2) ** 2  # E_re - 1, without cancellation
        B_re = (m * A + E_im * self.A_im) / (A**2 + self.A_im**2)
        B_im = (E_im * A - m * self.A_im) / (A**2 + self.A_im**2)
        p = E_re * h_re - E_im * h_im + B_re * u
        q = E_re * h_im + E_im * h_re + B_im * u
        y = 2 * total(self.C_re * p - self.C_im * q, axis=-1) + self.D * x
        return y, (p, q)


class MambaCell(Cell):
    """Compute h' = exp(Delta A) h + Delta B x, y = C h' + D x, with Delta, B, C of the input: S6.

    Each channel of x (B, I) has N = `order` numbers of state, h (B, I, N). `weight_x`
    (rank + 2N, I) makes d, B, C of x; Delta = softplus(W_Delta d + b_Delta) with `weight_Delta`
    (I, rank), `rank` being I / 16 rounded up; A = -exp(A_log) (I, N); `D` (I,). Algorithm 2, with B
    discretised as the authors' code does it, Delta B, and A as in equation 4. At first A is -1 to
    -N in each channel (S4D-Real), D is 1, Delta from 0.001 to 0.1, its logarithm uniform.
    With `window` k of at least 2, u = silu(b + sum_j w_j s_j) in the place of x is the block's
    causal convolution of each channel: s_0 is the input, and the states `s_1` to `s_k-1` (B, I) are
    the inputs before it; `weight_conv` (k, I), `bias_conv` (I,). The block's projections and its
    gate stay outside.
    Source: Gu and Dao, Mamba, 2023, sections 3.2 to 3.6. Raises ValueError for sizes out of range.

    >>> import engine, rnn
    >>> y, h = rnn.MambaCell(3, 4)(engine.ones((2, 3)))
    >>> y.shape, h.shape, list(rnn.MambaCell(3, 4, window=3).state_size)
    ((2, 3), (2, 3, 4), ['h', 's_1', 's_2'])
    """

    def __init__(
        self,
        input_size: int,
        order: int = 16,
        *,
        rank: int | None = None,
        window: int = 1,
        dtype: object = None,
    ) -> None:
        positive(input_size=input_size, order=order, window=window)
        I, N = input_size, order
        R = math.ceil(I / 16) if rank is None else whole("MambaCell", "rank", rank)
        self.input_size, self.order, self.rank, self.window = I, N, R, window
        self.weight_conv = None
        self.bias_conv = None
        if window > 1:
            self.weight_conv = parameter((window, I), window**-0.5, dtype=dtype)
            self.bias_conv = parameter((I,), window**-0.5, dtype=dtype)
        self.weight_x = parameter((R + 2 * N, I), I**-0.5, dtype=dtype)
        self.weight_Delta = parameter((I, R), R**-0.5, dtype=dtype)
        low, high = math.log(0.001), math.log(0.1)
        self.bias_Delta = drawn((I,), low, high, lambda p: log(expm1(exp(p))), dtype=dtype)
        self.A_log = fixed(HOST.xp.log(HOST.xp.arange(1.0, N + 1)[None].repeat(I, 0)), dtype=dtype)
        self.D = fixed(HOST.xp.ones(I), dtype=dtype)
        self.state_size = {"h": (I, N)} | {f"s_{j}": I for j in range(1, window)}

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Map x (B, I), h (B, I, N), and shifts (B, I) of x, to y (B, I), h' (B, I, N)."""
        R, N = self.rank, self.order
        h, *s = state if self.window > 1 else (state,)
        s = [x, *s]
        u = x
        if self.weight_conv is not None and self.bias_conv is not None:
            shifted = (self.weight_conv[j] * s_j for j, s_j in enumerate(s))
            u = silu(sum(shifted, start=self.bias_conv))
        a = linear(u, self.weight_x)
        d, B, C = a[:, :R], a[:, R : R + N], a[:, R + N :]
        Delta = softplus(linear(d, self.weight_Delta, self.bias_Delta))
        A = -exp(self.A_log)
        h = exp(Delta[:, :, None] * A) * h + (Delta * u)[:, :, None] * B[:, None, :]
        y = total(h * C[:, None, :], axis=-1) + self.D * u
        return y, (h, *s[:-1]) if self.window > 1 else h


Averages = tuple[Tensor, Tensor, Tensor, Tensor]


class RWKV4Cell(Cell):
    """Compute wkv = (a + e^(u + k) v) / (b + e^(u + k)), a' = e^-w a + e^k v, b' = e^-w b + e^k.

    The weighted mean of all v so far, with a bonus u for the newest: equation 16. The state is
    a e^-m, b e^-m and m, the largest exponent so far, as in the appendix, and s, the input before
    x (B, I): x mixed with it makes r, k and v (equations 11 to 13), and y = W_o (sigma(r) wkv) is
    (B, I). w = exp(w_log), `w_log` and `u` (H,); `mu_r`, `mu_k` and `mu_v` (I,); `weight_r`,
    `weight_k` and `weight_v` (H, I), `weight_o` (I, H). The initial m is so low that nothing of the
    initial a and b counts. First values are those of the authors' first layer: of the matrices W_v
    is orthogonal and the others 0, which asks for the sum x + y that the block has around the cell;
    layers on each other without it never learn. Source: Peng et al., RWKV: reinventing RNNs for the
    transformer era, 2023, section 3.1 and appendix. Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> y, (a, b, m, s) = rnn.RWKV4Cell(3, 5)(engine.ones((2, 3)))
    >>> y.shape, a.shape, s.shape
    ((2, 3), (2, 5), (2, 3))
    """

    def __init__(self, input_size: int, hidden_size: int, *, dtype: object = None) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        I, H, xp = input_size, hidden_size, HOST.xp
        self.input_size, self.hidden_size = I, H
        share = xp.arange(I) / I
        self.mu_r = fixed(share**0.5, dtype=dtype)
        self.mu_k = fixed(share, dtype=dtype)
        self.mu_v = fixed(share, dtype=dtype)
        self.weight_r = parameter((H, I), 0.0, dtype=dtype)
        self.weight_k = parameter((H, I), 0.0, dtype=dtype)
        self.weight_v = orthogonal(parameter((H, I), dtype=dtype), max(1.0, H / I) ** 0.5)
        self.weight_o = parameter((I, H), 0.0, dtype=dtype)
        self.w_log = fixed(8 * (xp.arange(H) / max(H - 1, 1)) ** 0.7 - 5, dtype=dtype)
        self.u = fixed(math.log(0.3) + 0.5 * ((xp.arange(H) + 1) % 3 - 1), dtype=dtype)
        self.state_size = {"a": H, "b": H, "m": H, "s": I}

    def zero_state(self, batch: int, *, like: Tensor) -> Averages:
        """Return zeros, and for m a number that is far below all exponents."""
        a, b, m, s = super().zero_state(batch, like=like)
        return a, b, lowest(m), s

    def step(self, x: Tensor, state: Averages) -> tuple[Tensor, Averages]:
        """Map x and s (B, I), a, b and m (B, H) -> y (B, I), (a', b', m', x)."""
        a, b, m, s = state
        r = linear(self.mu_r * x + (1 - self.mu_r) * s, self.weight_r)
        k = linear(self.mu_k * x + (1 - self.mu_k) * s, self.weight_k)
        v = linear(self.mu_v * x + (1 - self.mu_v) * s, self.weight_v)
        w = exp(self.w_log)
        q = maximum(m, self.u + k)
        old = exp(m - q)
        new = exp(self.u + k - q)
        wkv = (old * a + new * v) / (old * b + new)
        y = linear(sigmoid(r) * wkv, self.weight_o)
        p = maximum(m - w, k)
        f = exp(m - w - p)
        i = exp(k - p)
        a = f * a + i * v
        b = f * b + i
        return y, (a, b, p, x)
