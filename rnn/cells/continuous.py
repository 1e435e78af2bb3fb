"""Define cells of continuous time: discretised differential equations.

Liquid time constants, by a semi-implicit solver and in closed form; Legendre memories, which hold
the past as coefficients of orthogonal polynomials.
"""

from typing import Any

import engine
from engine import Tensor, exp, linear, sigmoid, tanh
from engine.backends import HOST, Array
from engine.checks import flag, is_real
from rnn.cells.base import Cell
from rnn.initializers import xavier_normal, xavier_uniform
from rnn.modules.module import parameter, positive


class _Timed(Cell):
    """Tell a cell how much time passes in a step: a base class.

    That is `dt`, or where `irregular` a second input (B,): the input is then the pair (x, dt).
    """

    def __init__(self, input_size: int, hidden_size: int, dt: float, irregular: bool) -> None:
        positive(input_size=input_size, hidden_size=hidden_size)
        if not is_real(dt) or not 0 < dt < float("inf"):
            raise ValueError(f"{type(self).__name__}: dt: expected a number above 0, got {dt!r}")
        self.irregular, self.dt = flag("irregular", irregular), float(dt)
        self.input_size: Any = (input_size, None) if irregular else input_size
        self.hidden_size, self.state_size = hidden_size, {"h": hidden_size}

    def _read(self, x: Any) -> tuple[Tensor, Any]:
        """Return x (B, I) and the time that passes, a number or (B, 1)."""
        return (x[0], x[1][:, None]) if self.irregular else (x, self.dt)


class LTCCell(_Timed):
    """Solve dh/dt = -(1 / tau + f) h + f A with f = sigmoid(W_ih x + b + W_hh h), over a time `dt`.

    By `unfolds` steps of the fused solver, h <- (h + d f A) / (1 + d (1 / tau + f)) with
    d = dt / unfolds, which no step length makes unstable. `weight_ih` (H, I), `weight_hh` (H, H),
    `bias`, `A` and `log_tau` (H,); tau begins with 1 and A uniform in +-1. With `irregular` times
    the input is (x, dt), dt (B,).

    Source: Hasani et al., Liquid time-constant networks, 2021, eq. 1, eq. 3 and algorithm 1. (Their
    programs have a conductance and a reversal potential for each synapse.) Raises ValueError for
    sizes below 1.

    >>> import engine, rnn
    >>> rnn.LTCCell(3, 5)(engine.ones((2, 3)))[1].shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        unfolds: int = 6,
        dt: float = 1.0,
        irregular: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, dt, irregular)
        positive(unfolds=unfolds)
        H, k = hidden_size, hidden_size**-0.5
        self.unfolds = unfolds
        self.weight_ih = parameter((H, input_size), k, dtype=dtype)
        self.weight_hh = parameter((H, H), k, dtype=dtype)
        self.bias = parameter((H,), k, dtype=dtype)
        self.A = parameter((H,), 1.0, dtype=dtype)
        self.log_tau = parameter((H,), 0.0, dtype=dtype)

    def step(self, x: Any, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        x, dt = self._read(x)
        d = dt / self.unfolds
        a = linear(x, self.weight_ih, self.bias)
        w = exp(-self.log_tau)
        for _ in range(self.unfolds):
            f = sigmoid(a + linear(h, self.weight_hh))
            h = (h + d * f * self.A) / (1.0 + d * (w + f))
        return h, h


class CfCCell(_Timed):
    """Compute h' = s g + (1 - s) k with s = sigmoid(-f dt): a liquid cell without a solver.

    f, g and k are heads of one layer z = 1.7159 tanh(2/3 (W_ih x + b + W_hh h)) of `backbone_size`
    units Z, H by default: f = W_f z + b_f, g = tanh(W_g z + b_g), k = tanh(W_k z + b_k). First
    weights are Xavier's, biases 0. With `irregular` times the input is (x, dt), dt (B,).

    Source: Hasani et al., Closed-form continuous-time neural networks, 2022 (h is x, k is h).
    Raises ValueError for sizes below 1.

    >>> import engine, rnn
    >>> run = rnn.Recurrent(rnn.CfCCell(3, 5, irregular=True))
    >>> run((engine.ones((7, 2, 3)), engine.ones((7, 2))))[0].shape
    (7, 2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        backbone_size: int | None = None,
        dt: float = 1.0,
        irregular: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, dt, irregular)
        H, Z = hidden_size, hidden_size if backbone_size is None else backbone_size
        positive(backbone_size=Z)
        self.weight_ih = xavier_uniform(parameter((Z, input_size), dtype=dtype))
        self.weight_hh = xavier_uniform(parameter((Z, H), dtype=dtype))
        self.bias = parameter((Z,), 0.0, dtype=dtype)
        self.weight_f = xavier_uniform(parameter((H, Z), dtype=dtype))
        self.bias_f = parameter((H,), 0.0, dtype=dtype)
        self.weight_g = xavier_uniform(parameter((H, Z), dtype=dtype))
        self.bias_g = parameter((H,), 0.0, dtype=dtype)
        self.weight_k = xavier_uniform(parameter((H, Z), dtype=dtype))
        self.bias_k = parameter((H,), 0.0, dtype=dtype)

    def step(self, x: Any, h: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), h (B, H) -> h' (B, H), h'."""
        x, dt = self._read(x)
        a = linear(x, self.weight_ih, self.bias) + linear(h, self.weight_hh)
        z = 1.7159 * tanh(2 / 3 * a)
        f = linear(z, self.weight_f, self.bias_f)
        g = tanh(linear(z, self.weight_g, self.bias_g))
        k = tanh(linear(z, self.weight_k, self.bias_k))
        s = sigmoid(-f if self.dt == 1 and not self.irregular else -f * dt)
        h = s * g + (1 - s) * k
        return h, h


State = tuple[Tensor, Tensor]


def hippo(order: int, measure: str = "legt") -> tuple[Array, Array]:
    """Return A (N, N) and B (N,), in float64, of the memory of a signal u(t) by N polynomials.

    ``"legt"``: dm/dt = (A m + B u) / theta holds the last theta of u, and u(t - r theta) is
    sum_n m_n P_n(2 r - 1) for r in [0, 1]. ``"legs"``: dm/dt = (A m + B u) / t holds all of u since
    0, and u(r t) is sum_n m_n sqrt(2 n + 1) P_n(2 r - 1). P_n are Legendre's polynomials. Raises
    ValueError for another measure.

    Sources: Voelker, Kajic and Eliasmith, Legendre memory units, 2019, section 2; Gu et al.,
    HiPPO: Recurrent memory with optimal polynomial projections, 2020, theorem 2.

    >>> hippo(2, "legt")[0].tolist()
    [[-1.0, -1.0], [3.0, -3.0]]
    """
    positive(order=order)
    xp = HOST.xp
    n = xp.arange(order)
    row, column = n[:, None], n[None, :]
    if measure == "legt":
        signs = xp.where(row < column, -1.0, (-1.0) ** (row - column + 1))
        return (2 * row + 1) * signs, (2 * n + 1) * (-1.0) ** n
    if measure == "legs":
        root = xp.sqrt(2 * n + 1.0)
        below = xp.tril(root[:, None] * root[None, :], -1)
        return 0.0 - below - xp.diag(n + 1.0), root
    raise ValueError(f"hippo: measure {measure!r}: expected 'legt' or 'legs'")


class LMUCell(Cell):
    """Compute m' = A m + B u with u = e_x x + e_h h + e_m m, h' = tanh(W_x x + W_h h + W_m m').

    m (B, N) are the coefficients of the last `theta` steps of u by `order` N Legendre polynomials:
    A and B are those of `hippo` held over one step exactly (zero-order hold), and are not trained.
    `e_x` (1, I), `e_h` (1, H) are uniform in +-sqrt(3 / inputs), `e_m` (1, N) is 0, `W_x` (H, I),
    `W_h` (H, H) and `W_m` (H, N) are Xavier's. Raises ValueError for a `theta` not above 0.

    Source: Voelker, Kajic and Eliasmith, Legendre memory units: continuous-time representation in
    recurrent neural networks, 2019, section 2.

    >>> import engine, rnn
    >>> y, (h, m) = rnn.LMUCell(3, 5, order=4, theta=10.0)(engine.ones((2, 3)))
    >>> h.shape, m.shape
    ((2, 5), (2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        order: int = 8,
        theta: float = 64.0,
        dtype: Any = None,
    ) -> None:
        positive(input_size=input_size, hidden_size=hidden_size, order=order)
        if not is_real(theta) or not 0 < theta < float("inf"):
            raise ValueError(f"LMUCell: theta: expected a number of steps above 0, got {theta!r}")
        I, H, N = input_size, hidden_size, order
        self.input_size, self.hidden_size, self.order, self.theta = I, H, N, float(theta)
        self.e_x = parameter((1, I), (3 / I) ** 0.5, dtype=dtype)
        self.e_h = parameter((1, H), (3 / H) ** 0.5, dtype=dtype)
        self.e_m = parameter((1, N), 0.0, dtype=dtype)
        self.W_x = xavier_normal(parameter((H, I), dtype=dtype))
        self.W_h = xavier_normal(parameter((H, H), dtype=dtype))
        self.W_m = xavier_normal(parameter((H, N), dtype=dtype))
        A, B = held(*hippo(order), 1 / self.theta)
        self.register_buffer("A", engine.asarray(A, dtype=self.e_x.dtype))
        self.register_buffer("B", engine.asarray(B, dtype=self.e_x.dtype))
        self.state_size = {"h": H, "m": N}

    A: Tensor
    B: Tensor

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x (B, I), h (B, H), m (B, N) -> h' (B, H), (h', m')."""
        h, m = state
        u = linear(x, self.e_x) + linear(h, self.e_h) + linear(m, self.e_m)
        m = linear(m, self.A) + u * self.B
        h = tanh(linear(x, self.W_x) + linear(h, self.W_h) + linear(m, self.W_m))
        return h, (h, m)


def held(A: Array, B: Array, dt: float) -> tuple[Array, Array]:
    """Return e^(A dt) (N, N) and the integral of e^(A s) B over a step (N,): a zero-order hold."""
    N, xp = len(B), HOST.xp
    both = xp.zeros((N + 1, N + 1))  # (A, B; 0, 0), the exponential of which has both
    both[:N, :N], both[:N, N] = A * dt, B * dt
    found = engine.linalg.expm(engine.asarray(both)).numpy()
    return found[:N, :N], found[:N, N]
