"""The delta rule as a recurrence: a memory that is corrected by what it lacks."""

from typing import Any

from engine import Tensor, exp, linear, maximum, sigmoid, softplus, sqrt
from engine import sum as total
from engine.checks import flag
from rnn.cells.activations import activation
from rnn.cells.memories.heads import MatrixMemory, time_steps

TINY = 1e-12  # below which the square of the length of a key is not divided by


class DeltaNetCell(MatrixMemory):
    """S' = a S + k (b (v - a S^T k))^T, y = S'^T q: the memory learns to return v for the key k.

    q and k = phi(W x) of length 1, v = W_v x, b = sigmoid(w_b x), one a head; phi is silu, None or
    another name in `feature`. a is 1, or with `gated` exp(-e^A softplus(w_a x + b_a)). `negative`
    makes b = 2 sigmoid(w_b x), which allows eigenvalues -1 of I - b k k^T. States S (B, K, V), or
    (B, N, K, V) with `heads` N > 1; y (B, N V). Short convolutions and the norm of y stay outside.

    Sources: Schlag, Irie and Schmidhuber, Linear transformers are secretly fast weight programmers,
    2021; Yang et al., Parallelizing linear transformers with the delta rule, 2024 (silu and keys of
    length 1); gated: Yang, Kautz and Hatamizadeh, Gated delta networks, 2024, eq. 10; negative:
    Grazzi et al., Unlocking state-tracking in linear RNNs through negative eigenvalues, 2024.
    Raises TypeError for flags that are no booleans.

    >>> import engine, rnn
    >>> y, S = rnn.DeltaNetCell(3, 4, 5, gated=True)(engine.ones((2, 3)))
    >>> y.shape, S.shape
    ((2, 5), (2, 4, 5))
    """

    pure = True

    def __init__(
        self,
        input_size: int,
        key_size: int,
        value_size: int | None = None,
        *,
        heads: int = 1,
        gated: bool = False,
        negative: bool = False,
        feature: Any = "silu",
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, key_size, value_size, heads, dtype=dtype)
        activation(feature or "identity")  # refused here if it is none
        self.feature, self.gated = feature, flag("gated", gated)
        self.negative = flag("negative", negative)
        self.weight_b = self.made(1, dtype)
        if gated:
            self.weight_a = self.made(1, dtype)
            self.A_log, self.bias_a = time_steps(heads, dtype)
        self.state_size = {"S": self.by_heads(key_size, self.value_size)}

    def step(self, x: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, I), S (B, [N,] K, V) -> y (B, N V), S'."""
        q = self._direction(linear(x, self.weight_q))
        k = self._direction(linear(x, self.weight_k))
        v = self.cut(linear(x, self.weight_v), self.value_size)
        b = self.cut(sigmoid(linear(x, self.weight_b)), 1)
        b = 2 * b if self.negative else b
        r = total(S * k[..., None], axis=-2)
        if self.gated:
            dt = softplus(linear(x, self.weight_a, self.bias_a))
            a = self.cut(exp(-dt * exp(self.A_log)), 1)
            S = a[..., None] * S + k[..., None] * (b * (v - a * r))[..., None, :]
        else:
            S = S + k[..., None] * (b * (v - r))[..., None, :]
        y = self.join(total(S * q[..., None], axis=-2))
        return y, S

    def _direction(self, u: Tensor) -> Tensor:
        """Return phi(u) by heads (B, [N,] K), divided by its length."""
        u = self.cut(u if self.feature is None else activation(self.feature)(u), self.key_size)
        return u / sqrt(maximum(total(u * u, axis=-1, keepdims=True), TINY))
