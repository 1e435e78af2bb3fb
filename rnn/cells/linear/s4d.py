"""Diagonal state spaces. Source: Gu et al., On the parameterization and initialization of diagonal
state space models, 2022.
"""

import math
from typing import Any

from engine import Tensor, cos, exp, expm1, sin
from engine import sum as total
from engine.backends import HOST
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive
from rnn.modules.values import drawn, fixed

INITIAL = ("lin", "inv", "real")


class S4DCell(Cell):
    """h' = exp(Delta A) h + (exp(Delta A) - 1) / A x, y = 2 Re(C h') + D x, for each channel of x.

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

    pure = True

    def __init__(
        self, input_size: int, order: int = 64, *, initial: str = "lin", dtype: object = None
    ) -> None:
        positive(input_size=input_size, order=order)
        if initial not in INITIAL:
            raise ValueError(f"initial {initial!r}: expected one of {list(INITIAL)}")
        real = initial == "real"
        if not real and order % 2:
            raise ValueError(f"order must be even, as its numbers are pairs, got {order}")
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
