"""The real-gated linear recurrent unit of Griffin. Source: De et al., Griffin: mixing gated linear
recurrences with local attention for efficient language models, 2024.
"""

from engine import Tensor, exp, expm1, linear, log, maximum, sigmoid, softplus, sqrt
from rnn.cells.base import Cell
from rnn.modules.module import parameter, positive
from rnn.modules.values import drawn

C = 8.0  # of equation 3
LEAST = 1e-30  # under a root: its slope is infinite at 0


class RGLRUCell(Cell):
    """h' = a h + sqrt(1 - a^2) (i u), with u = x and a = sigma(Lambda)^(8 r).

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

    pure = True

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
        b = sqrt(maximum(-expm1(2 * log_a), LEAST))
        h = a * h + b * (i * u)
        return h, h
