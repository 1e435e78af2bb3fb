"""The linear recurrent unit. Source: Orvieto et al., Resurrecting recurrent neural networks for
long sequences, 2023.
"""

import math

from engine import Tensor, cos, exp, expm1, linear, log, sin
from engine.checks import is_real
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive
from rnn.modules.values import drawn, fixed

State = tuple[Tensor, Tensor]


class LRUCell(Cell):
    """h' = lambda h + gamma B x with complex h, y = Re(C h') + D x: a diagonal in a ring.

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

    pure = True

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
            raise ValueError(f"expected 0 <= r_min < r_max <= 1, got {r_min!r} and {r_max!r}")
        if not is_real(max_phase) or not 0 < max_phase <= 2 * math.pi:
            raise ValueError(f"max_phase must lie in (0, 2 pi], got {max_phase!r}")
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
